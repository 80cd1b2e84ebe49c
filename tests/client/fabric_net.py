"""A testnet of one microgrid on Fabric, embedded or real, for tests of clients, commands and the audit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from bsmg.cli.main import run
from bsmg.client.fabric import FabricClient
from bsmg.client.testnet_file import FILE_NAME, ChainInfo, load_testnet

CHAIN = "mgf-1"
EMBEDDED, REAL = "fabric-embedded", "fabric"
TOPOLOGY = f"""
[[chain]]
id = "{CHAIN}"
kind = "KIND"
cells = 2
"""


def bsmg(home: Path, *arguments: str, code: int = 0) -> str:
    """What a command prints; fails unless it ends with `code`."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as errors:
        found = run([*arguments, "--home", str(home)])
    assert found == code, out.getvalue() + errors.getvalue()
    return out.getvalue() + errors.getvalue()


def network(home: Path, *arguments: str) -> None:
    """The same in a process of its own, which leaves nothing in this one."""
    command = [sys.executable, "-m", "bsmg.cli.main", "testnet", *arguments, "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


@contextmanager
def running(folder: Path, kind: str = EMBEDDED) -> Iterator[Path]:
    home = folder / "net"
    (folder / "net.toml").write_text(TOPOLOGY.replace("KIND", kind))
    try:
        network(home, "up", "--detach", "--topology", str(folder / "net.toml"))
        yield home
    finally:
        if home.exists():
            network(home, "down")


def info_of(home: Path) -> ChainInfo:
    return load_testnet(home / FILE_NAME).chain(CHAIN)


def client_of(home: Path, node: int = 0) -> FabricClient:
    return FabricClient.of(info_of(home), node)
