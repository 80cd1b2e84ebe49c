"""A testnet for one measurement: default configuration, in a folder of its own, gone afterwards."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bsmg.client.testnet_file import TestnetFile, parse_testnet
from testnet import lifecycle
from testnet.files import Home
from testnet.topology import Topology, parse_topology

CHAIN_ID = "bench-1"


def note(text: str) -> None:
    """Progress, beside the figures."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def alone(validators: int) -> Topology:
    """One chain with defaults, and no relayer."""
    text = f'[[chain]]\nid = "{CHAIN_ID}"\nkind = "cometbft"\nvalidators = {validators}\n[relayer]\ncount = 0\n'
    return parse_topology(text, "bench")


@asynccontextmanager
async def running(topology: Topology) -> AsyncIterator[TestnetFile]:
    """A testnet that works; whatever happens, its processes end and its folder goes."""
    home = Home(Path(tempfile.mkdtemp(prefix="bsmg-bench-")))
    try:
        doc = await lifecycle.up(lifecycle.Request(home=home, topology=topology, say=note))
        yield parse_testnet(doc)
    finally:
        if home.specs.exists():
            lifecycle.down(home, purge=True)
        shutil.rmtree(home.path, ignore_errors=True)
