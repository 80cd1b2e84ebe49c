"""Processes by identity: a pid alone may belong to another program by the time it is signalled.

An identity is (pid, start time in clock ticks since boot, boot id), read from /proc.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any as Json

PROC = Path("/proc")
STATE_FIELD, THREADS_FIELD, START_FIELD = 0, 17, 19  # of /proc/PID/stat, behind the command's closing parenthesis


@cache
def boot_id() -> str:
    """Changes with every boot, so that start times of two boots are never mixed up."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One process, whatever becomes of its pid."""

    pid: int
    start: int
    boot: str

    def doc(self) -> dict[str, Json]:
        """JSON form."""
        return {"pid": self.pid, "start": self.start, "boot": self.boot}

    @classmethod
    def of_doc(cls, doc: Mapping[str, Json]) -> Identity:
        """From the JSON form."""
        return cls(pid=int(doc["pid"]), start=int(doc["start"]), boot=str(doc["boot"]))


def _stat(pid: int) -> tuple[str, int] | None:
    """(state letter, start time), None when there is no such process.

    A first thread that ended makes no zombie of its process while others run: they hold its files and sockets.
    """
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    ending = fields[STATE_FIELD] == "Z" and int(fields[THREADS_FIELD]) > 1
    return "X" if ending else fields[STATE_FIELD], int(fields[START_FIELD])


def identify(pid: int) -> Identity | None:
    """Identity of a running process."""
    found = _stat(pid)
    return Identity(pid=pid, start=found[1], boot=boot_id()) if found else None


def is_alive(identity: Identity) -> bool:
    """Whether this very process still runs; a zombie does not."""
    found = _stat(identity.pid)
    return found is not None and found[0] != "Z" and found[1] == identity.start and identity.boot == boot_id()


def is_frozen(identity: Identity) -> bool:
    """Whether it was stopped by a signal."""
    found = _stat(identity.pid)
    return found is not None and found[0] == "T"


def send(identity: Identity, number: int) -> bool:
    """Signal this very process; False when it is gone. The pidfd is opened first, so that no reuse can slip between."""
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_alive(identity):
            return False
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)
        return True
    finally:
        os.close(handle)


def wait_gone(identity: Identity, timeout_s: float) -> bool:
    """Wait for a process that need not be a child; True when it has ended."""
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return True
    try:
        if not is_alive(identity):
            return True
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        return bool(poller.poll(timeout_s * 1000))
    finally:
        os.close(handle)


def end(identities: list[Identity], patience_s: float) -> None:
    """SIGTERM to all, SIGKILL to those that are still there after `patience_s`."""
    for identity in identities:
        send(identity, signal.SIGTERM)
        send(identity, signal.SIGCONT)  # a frozen process acts on SIGTERM only once it runs
    for identity in identities:
        if not wait_gone(identity, patience_s):
            send(identity, signal.SIGKILL)
            wait_gone(identity, patience_s)
