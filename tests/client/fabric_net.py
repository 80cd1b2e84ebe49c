"""A testnet of one microgrid on the embedded ledger, for tests of clients, commands and the audit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bsmg.client.fabric import FabricClient
from bsmg.client.testnet_file import FILE_NAME, ChainInfo, load_testnet

CHAIN = "mgf-1"
TOPOLOGY = f"""
[[chain]]
id = "{CHAIN}"
kind = "fabric-embedded"
cells = 2
"""


def bsmg(home: Path, *arguments: str, code: int = 0) -> str:
    """What a command prints; fails unless it ends with `code`."""
    command = [sys.executable, "-m", "bsmg.cli.main", *arguments, "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout + done.stderr


@contextmanager
def running(folder: Path) -> Iterator[Path]:
    home = folder / "net"
    (folder / "net.toml").write_text(TOPOLOGY)
    try:
        bsmg(home, "testnet", "up", "--detach", "--topology", str(folder / "net.toml"))
        yield home
    finally:
        if home.exists():
            bsmg(home, "testnet", "down")


def info_of(home: Path) -> ChainInfo:
    return load_testnet(home / FILE_NAME).chain(CHAIN)


def client_of(home: Path, node: int = 0) -> FabricClient:
    return FabricClient.of(info_of(home), node)
