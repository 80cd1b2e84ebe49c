"""Talking to the supervisor of a home, over a unix socket in it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any as Json

from cosmos_wire.errors import ToolError
from processes import procfs
from processes.files import Home, read_json, tail

SOCKET = "supervisor.sock"
ANSWER_TIMEOUT_S = 60.0  # stopping takes at most three rounds of ten seconds
READY_TIMEOUT_S = 30.0
END_PATIENCE_S = 10.0


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A short name of the socket: unix sockets take 107 bytes, a home may be deeper."""
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{SOCKET}"
    finally:
        os.close(handle)


def listen(folder: Path) -> socket.socket:
    """The supervisor's end; only this user may connect."""
    (folder / SOCKET).unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short(folder) as name:
        server.bind(name)
    (folder / SOCKET).chmod(0o600)
    server.listen()
    return server


def connect(home: Home) -> socket.socket:
    """A connection; raises ToolError when no supervisor serves this home."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(ANSWER_TIMEOUT_S)
    try:
        with _short(home.path) as name:
            client.connect(name)
    except OSError as error:
        client.close()
        raise ToolError(f"{home.path}: expected a running network, got {_what_runs(home, error)}") from error
    return client


def _what_runs(home: Home, error: OSError) -> str:
    left = sum(map(procfs.is_alive, recorded(home)[1:]))
    if not left:
        return f"none ({error.strerror})"
    return f"{left} of its processes without their supervisor; `up` brings it up again, `down` ends them"


def ask(home: Home, do: str, **more: Json) -> dict[str, Json]:
    """One request; raises ToolError with the supervisor's reason. A supervisor that was frozen is thawed to stop."""
    for supervisor in filter(procfs.is_frozen, filter(procfs.is_alive, recorded(home)[:1])):
        if do != "stop":
            raise ToolError(
                f"{home.path}: expected a supervisor that answers, got a frozen one; `kill -CONT {supervisor.pid}` "
                "thaws it, `down` ends everything"
            )
        procfs.send(supervisor, signal.SIGCONT)
    with connect(home) as client, client.makefile("rwb") as stream:
        try:
            stream.write(json.dumps({"do": do, **more}).encode() + b"\n")
            stream.flush()
            line = stream.readline()
        except OSError as error:
            raise ToolError(f"{home.path}: expected an answer to {do!r}, got {error}") from error
    answer = json.loads(line) if line else {"error": f"{home.path}: the supervisor ended during {do!r}"}
    if "error" in answer:
        raise ToolError(answer["error"])
    return dict(answer)


def is_running(home: Home) -> bool:
    """Whether a supervisor serves this home."""
    try:
        connect(home).close()
    except ToolError:
        return False
    return True


def launch(home: Home) -> None:
    """Start the supervisor, detached from this terminal, and wait until it serves."""
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "processes.supervisor", "--home", str(home.path), "--ready-fd", str(writing)]
    with home.log.open("ab") as log, os.fdopen(reading, "rb") as ready:
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[writing], start_new_session=True
        )
        os.close(writing)
        if not ready.read(1):
            raise ToolError("supervisor: expected it to start, got:\n" + "\n".join(tail(home.log, 10)))


def recorded(home: Home) -> list[procfs.Identity]:
    """Processes that supervisor.json knows, the supervisor first."""
    if not home.state.exists():
        return []
    doc = read_json(home.state)
    return [procfs.Identity.of_doc(item) for item in (doc["supervisor"], *doc["processes"].values())]


def end_leftovers(home: Home) -> int:
    """End what a supervisor that was killed has left; returns how many there were."""
    left = [identity for identity in recorded(home) if procfs.is_alive(identity)]
    procfs.end(left, END_PATIENCE_S)
    return len(left)


def matching(names: Sequence[str], wanted: str) -> list[str]:
    """Processes of a node (`mga-1-0`) or one process (`mga-1-0/app`); raises ToolError with the known ones."""
    found = [name for name in names if wanted in (name, name.partition("/")[0])]
    if not found:
        known = ", ".join(dict.fromkeys(name.partition("/")[0] for name in names))
        raise ToolError(f"node: expected one of {known}, got {wanted!r}")
    return found


def stop(home: Home) -> int:
    """End every process of a home; returns how many a dead supervisor had left behind."""
    if is_running(home):
        try:
            ask(home, "stop")
        except ToolError:
            if is_running(home):
                raise
            # It ended while it was asked: what it left behind is ended below.
    return end_leftovers(home)


def signal_node(home: Home, name: str, number: int) -> list[str]:
    """Kill, freeze or thaw a node or one of its processes; returns their names."""
    table = ask(home, "status")["processes"]
    names = matching(list(table), name)
    ask(home, "signal", names=names, signal=number)
    return names


def kill(home: Home, name: str) -> list[str]:
    """SIGKILL."""
    return signal_node(home, name, signal.SIGKILL)


def freeze(home: Home, name: str) -> list[str]:
    """SIGSTOP: the process is there and does nothing."""
    return signal_node(home, name, signal.SIGSTOP)
