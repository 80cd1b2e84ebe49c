"""One testnet of two chains with four validators each and two relayers, up once, down whatever happens; and one of a
chain on CometBFT and one on Fabric.

BSMG_E2E_HOME names a testnet of that topology which is up already: for work on these tests.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from testnet.files import Home
from tests.e2e.net import TOPOLOGY, A, B, C, F, Net, mixed_topology, topology_file


def bsmg(*arguments: str) -> str:
    """The command line; fails with what it said."""
    command = [sys.executable, "-m", "bsmg.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def _end_session(number: int, _: FrameType | None) -> None:
    pytest.exit(f"ended by signal {number}", returncode=1)


@contextmanager
def running(folder: Path, topology: str, ends: tuple[str, str]) -> Iterator[Net]:
    """A testnet of a topology, down whatever happens."""
    home = Home(folder / "net")
    before = signal.signal(signal.SIGTERM, _end_session)  # else nobody would end the testnet
    try:
        file = str(topology_file(folder, topology))
        bsmg("testnet", "up", "--detach", "--home", str(home.path), "--topology", file)
        yield Net(home=home, ends=ends)
    finally:
        if home.specs.exists():
            bsmg("testnet", "down", "--home", str(home.path))
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    if "BSMG_E2E_HOME" in os.environ:
        yield Net(home=Home(Path(os.environ["BSMG_E2E_HOME"])))
        return
    with running(tmp_path_factory.mktemp("e2e"), TOPOLOGY, (A, B)) as made:
        yield made


KINDS = (
    pytest.param("fabric-embedded", marks=pytest.mark.e2e),
    pytest.param("fabric", marks=pytest.mark.fabric),
)


@pytest.fixture(scope="session", params=KINDS)
def mixed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """A chain on CometBFT and one on Fabric; BSMG_MIXED_HOME names one that is up already."""
    if "BSMG_MIXED_HOME" in os.environ:
        yield Net(home=Home(Path(os.environ["BSMG_MIXED_HOME"])), ends=(C, F))
        return
    with running(tmp_path_factory.mktemp("mixed"), mixed_topology(request.param), (C, F)) as made:
        yield made
