"""One testnet of two chains with four validators each and two relayers, up once, down whatever happens.

BSMG_E2E_HOME names a testnet of that topology which is up already: for work on these tests.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from testnet.files import Home
from tests.e2e.net import Net, topology_file


def bsmg(*arguments: str) -> str:
    """The command line; fails with what it said."""
    command = [sys.executable, "-m", "bsmg.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def _end_session(number: int, _: FrameType | None) -> None:
    pytest.exit(f"ended by signal {number}", returncode=1)


@pytest.fixture(scope="session")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    if "BSMG_E2E_HOME" in os.environ:
        yield Net(home=Home(Path(os.environ["BSMG_E2E_HOME"])))
        return
    home = Home(tmp_path_factory.mktemp("e2e") / "net")
    before = signal.signal(signal.SIGTERM, _end_session)  # else nobody would end the testnet
    try:
        topology = str(topology_file(home.path.parent))
        bsmg("testnet", "up", "--detach", "--home", str(home.path), "--topology", topology)
        yield Net(home=home)
    finally:
        if home.specs.exists():
            bsmg("testnet", "down", "--home", str(home.path))
        signal.signal(signal.SIGTERM, before)
