"""The last of these tests: `down` leaves no process and no port. Its name puts it behind the others."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from processes import control, procfs
from tests.e2e.conftest import bsmg
from tests.e2e.net import Net

pytestmark = pytest.mark.e2e


def ports_of(net: Net) -> list[int]:
    listeners = [
        address
        for chain in net.file.chains
        for node in chain.nodes
        for address in (node.rpc, node.grpc, node.rest, node.p2p, node.metrics, node.peer)
        if address
    ]
    listeners += [relayer.metrics for relayer in net.file.relayers]
    return [int(re.findall(r":(\d+)", text)[-1]) for text in listeners]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def mention(folder: Path) -> list[str]:
    """Command lines of all processes that name the testnet's folder, there or in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            known = words + (process / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue  # ended while we looked, or another user's
        if f"{folder}/" in known or f"{folder} " in words:
            found.append(words)
    return found


def test_down_leaves_no_process_and_no_port(net: Net) -> None:
    assert left_behind(net, processes=2 * 4 * 3 + 2) == []


def left_behind(net: Net, processes: int) -> list[object]:
    """Bring a testnet with so many processes beside the supervisor down: what is still there, and on which ports."""
    assert control.is_running(net.home)
    known, ports, folder = control.recorded(net.home), ports_of(net), net.home.path
    alive = [identity for identity in known if procfs.is_alive(identity)]
    assert len(alive) == 1 + processes  # after all that was killed before
    assert all(listens(port) for port in ports)
    assert len(mention(folder)) >= len(alive)
    bsmg("testnet", "down", "--home", str(folder))
    assert not control.is_running(net.home)
    alive = [identity for identity in known if procfs.is_alive(identity)]
    return [*alive, *mention(folder), *(port for port in ports if listens(port))]
