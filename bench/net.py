"""A testnet for one measurement: one chain with default configuration in a folder of its own, gone afterwards."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bsmg.client.testnet_file import ChainInfo, parse_testnet
from testnet import lifecycle
from testnet.files import Home
from testnet.topology import parse_topology

CHAIN_ID = "bench-1"


def note(text: str) -> None:
    """Progress, beside the figures."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@asynccontextmanager
async def one_chain(validators: int) -> AsyncIterator[ChainInfo]:
    """A chain that makes blocks; whatever happens, its processes end and its folder goes."""
    text = f'[[chain]]\nid = "{CHAIN_ID}"\nkind = "cometbft"\nvalidators = {validators}\n[relayer]\ncount = 0\n'
    home = Home(Path(tempfile.mkdtemp(prefix="bsmg-bench-")))
    try:
        doc = await lifecycle.up(lifecycle.Request(home=home, topology=parse_topology(text, "bench"), say=note))
        yield parse_testnet(doc).chain(CHAIN_ID)
    finally:
        if home.specs.exists():
            lifecycle.down(home, purge=True)
        shutil.rmtree(home.path, ignore_errors=True)
