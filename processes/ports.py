"""Free TCP ports, leased to a home under a file lock, so that several networks can start at once.

Ports come from below the kernel's ephemeral range: an outgoing connection can't take the port of a node that is being
restarted. A lease lasts until `release`, or until the folder that holds it is gone: a stopped network keeps its ports.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cosmos_wire.errors import ToolError

FIRST_PORT = 20_000
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL_EPHEMERAL_START = 32_768
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # gone with the machine, as its listeners are
LOOPBACK = "127.0.0.1"


def lease_file() -> Path:
    """Where this user's leases are kept: one file a machine, for ports don't follow TMPDIR."""
    shared = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    return shared / f"bsmg-ports-{os.getuid()}.json"


def lease(home: Path, count: int, host: str = LOOPBACK) -> list[int]:
    """Take `count` free ports for `home`; raises ToolError when there are not so many."""
    with _leases() as leases:
        found: list[int] = []
        for port in range(FIRST_PORT, _port_limit()):
            if len(found) == count:
                break
            if str(port) not in leases and is_free(port, host):
                found.append(port)
        if len(found) < count:
            raise ToolError(f"ports from {FIRST_PORT}: expected {count} free ones, got {len(found)}")
        leases.update({str(port): str(home) for port in found})
        return found


def release(home: Path) -> None:
    """Give back every port of `home`."""
    with _leases() as leases:
        for port in [port for port, holder in leases.items() if holder == str(home)]:
            del leases[port]


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether nothing listens on or is bound to a port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection in TIME_WAIT is no listener
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _port_limit() -> int:
    """First port that the kernel gives to outgoing connections."""
    try:
        start = int(EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return USUAL_EPHEMERAL_START
    return start if start > FIRST_PORT + 1000 else 65_536


@contextmanager
def _leases() -> Iterator[dict[str, str]]:
    """The table under its lock, written back at the end."""
    with lease_file().open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        leases = _read(file)
        yield leases
        file.seek(0)
        file.truncate()
        json.dump(leases, file)


def _read(file: IO[str]) -> dict[str, str]:
    """Leases whose holder still exists; a broken table is an empty one, the bind test protects what runs."""
    file.seek(0)
    try:
        doc = json.loads(file.read() or "{}")
    except ValueError:
        return {}
    return {port: home for port, home in doc.items() if Path(home).is_dir()} if isinstance(doc, dict) else {}
