"""Keeps a home's processes: starts them, reaps them, says who died with its last lines, stops them in rounds.

    python -m processes.supervisor --home DIR --ready-fd N

One line of JSON in, one line out, over a unix socket in DIR:

    {"do": "start", "names": [...]}             start those that don't run, all in the order of processes.json
    {"do": "signal", "names": [...], "signal": 9}
    {"do": "status"}
    {"do": "watch"}                             a line for every process that dies, until the connection ends
    {"do": "stop"}                              stop everything and end

Every answer carries `processes`: name -> {"pid", "start", "boot", "alive", "exit"}. The same table is kept in
supervisor.json, so that `down` works even when the supervisor itself was killed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from typing import Any as Json

from cosmos_wire.errors import ToolError
from processes import procfs
from processes.control import listen
from processes.files import Home, ProcessSpec, read_specs, tail, write_json

PATIENCE_S = 10.0  # between SIGTERM and SIGKILL
ACT_POLL_S = 0.01
LAST_LINES = 12
LINE_BYTES_MAX = 4 << 20


@dataclass(slots=True, kw_only=True)
class Running:
    """A process that was started: who it is, and how it ended."""

    spec: ProcessSpec
    identity: procfs.Identity
    process: asyncio.subprocess.Process
    exit: int | None = None
    expected: bool = False  # we ended it ourselves
    reaper: asyncio.Task[None] | None = None

    def doc(self) -> dict[str, Json]:
        """What a status says about it."""
        frozen = self.exit is None and procfs.is_frozen(self.identity)
        return {**self.identity.doc(), "alive": self.exit is None, "frozen": frozen, "exit": self.exit}


@dataclass(slots=True)
class Supervisor:
    """The processes of one home."""

    home: Home
    running: dict[str, Running] = field(default_factory=dict)
    watchers: set[asyncio.Queue[dict[str, Json]]] = field(default_factory=set)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, names: Sequence[str]) -> None:
        """Start the named processes that don't run."""
        known = {spec.name: spec for spec in read_specs(self.home)}
        for name in names:
            if name not in known:
                raise ToolError(f"process: expected one of {', '.join(known)}, got {name!r}")
            current = self.running.get(name)
            if current is None or current.exit is not None:
                self.running[name] = await self._spawn(known[name])
        self.save()

    async def _spawn(self, spec: ProcessSpec) -> Running:
        with open_log(spec) as out:
            process = await asyncio.create_subprocess_exec(
                *spec.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **dict(spec.env)},
                start_new_session=True,  # Ctrl-C at the terminal ends `up`, which then stops its nodes in order
            )
        identity = procfs.identify(process.pid) or procfs.Identity(pid=process.pid, start=0, boot=procfs.boot_id())
        running = Running(spec=spec, identity=identity, process=process)
        running.reaper = asyncio.create_task(self._reap(running))
        return running

    async def _reap(self, running: Running) -> None:
        running.exit = await running.process.wait()
        with suppress(OSError):  # on a full disk the table grows old, but what runs can still be asked and stopped
            self.save()
        if not running.expected:
            report = death(running.spec, running.exit)
            with suppress(OSError):
                sys.stderr.write(report["text"] + "\n")
            for queue in self.watchers:
                queue.put_nowait(report)

    async def signal(self, names: Sequence[str], number: int) -> None:
        """Send a signal to the named processes that run, and wait for what it does to them."""
        for name in names:
            if name not in self.running:
                raise ToolError(f"process: expected one of {', '.join(self.running)}, got {name!r}")
        chosen = [self.running[name] for name in names if self.running[name].exit is None]
        for running in chosen:
            running.expected = running.expected or number in (signal.SIGKILL, signal.SIGTERM)
            procfs.send(running.identity, number)
        await asyncio.gather(*(self._acted(running, number) for running in chosen))

    async def _acted(self, running: Running, number: int) -> None:
        """Until a process has ended, stands still or runs again, as the signal wants."""
        if number == signal.SIGKILL and running.reaper:
            await running.reaper
        if number not in (signal.SIGSTOP, signal.SIGCONT):
            return
        for _ in range(int(PATIENCE_S / ACT_POLL_S)):
            if running.exit is not None or procfs.is_frozen(running.identity) == (number == signal.SIGSTOP):
                return
            await asyncio.sleep(ACT_POLL_S)

    async def stop(self) -> None:
        """Stop everything, a round after the other."""
        rounds = sorted({running.spec.stop_round for running in self.running.values()})
        for number in rounds:
            await self._stop_round([r for r in self.running.values() if r.spec.stop_round == number])
        with suppress(OSError):
            self.save()

    async def _stop_round(self, members: list[Running]) -> None:
        for member in members:
            member.expected = True
            if member.exit is None:
                procfs.send(member.identity, signal.SIGTERM)
                procfs.send(member.identity, signal.SIGCONT)
        reapers = [member.reaper for member in members if member.reaper]
        if reapers:
            _, late = await asyncio.wait(reapers, timeout=PATIENCE_S)
            for member in [m for m in members if m.reaper in late]:
                procfs.send(member.identity, signal.SIGKILL)
            await asyncio.gather(*reapers)

    def doc(self) -> dict[str, Json]:
        """Table of the processes."""
        own = procfs.identify(os.getpid())
        assert own is not None, "a running process has an identity"
        table = {name: running.doc() for name, running in self.running.items()}
        return {"supervisor": own.doc(), "processes": table}

    def save(self) -> None:
        """Write the table where `down` finds it."""
        write_json(self.home.state, self.doc())

    async def stop_and_end(self) -> None:
        """Stop everything, then end the supervisor itself."""
        await self.stop()
        self.stopped.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: a request, an answer; or a watch."""
        request: dict[str, Json] = {}
        try:
            request = json.loads(await reader.readline() or b"{}")
            if request.get("do") == "watch":
                await self._watch(reader, writer)
            else:
                await _say(writer, await self._answer(request))
        except ConnectionError:
            pass  # whoever asked is gone
        finally:
            writer.close()
            if request.get("do") == "stop":
                self.stopped.set()  # only now: the answer has left

    async def _answer(self, request: dict[str, Json]) -> dict[str, Json]:
        try:
            match request.get("do"):
                case "start":
                    await self.start(request["names"])
                case "signal":
                    await self.signal(request["names"], request["signal"])
                case "stop":
                    await self.stop()
                case "status":
                    pass
                case other:
                    raise ToolError(f"request: expected start, signal, status, watch or stop, got {other!r}")
        except (ToolError, OSError, KeyError) as error:
            return {"error": str(error), **self.doc()}
        return self.doc()

    async def _watch(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queue: asyncio.Queue[dict[str, Json]] = asyncio.Queue()
        self.watchers.add(queue)
        ended = asyncio.create_task(reader.read())
        try:
            await _say(writer, self.doc())
            while not ended.done():
                news = asyncio.create_task(queue.get())
                await asyncio.wait({news, ended}, return_when=asyncio.FIRST_COMPLETED)
                if news.done():
                    await _say(writer, news.result())
                news.cancel()
        finally:
            self.watchers.discard(queue)
            ended.cancel()


def open_log(spec: ProcessSpec) -> IO[bytes]:
    """Log file of a process, to append to."""
    log = Path(spec.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("ab")


async def _say(writer: asyncio.StreamWriter, doc: dict[str, Json]) -> None:
    writer.write(json.dumps(doc).encode() + b"\n")
    await writer.drain()


def death(spec: ProcessSpec, code: int) -> dict[str, Json]:
    """What is said about a process that ended by itself."""
    how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
    lines = tail(Path(spec.log), LAST_LINES)
    shown = "\n".join(f"    {line}" for line in lines) or "    (it wrote nothing)"
    stamp = time.strftime("%H:%M:%S")
    text = f"{stamp} {spec.name} ended with {how}; its last lines ({spec.log}):\n{shown}"
    return {"died": spec.name, "exit": code, "lines": lines, "text": text}


async def run(home: Home, ready: Callable[[], None]) -> None:
    """Serve until told to stop, or until SIGTERM."""
    supervisor = Supervisor(home)
    loop = asyncio.get_running_loop()
    ends: list[asyncio.Task[None]] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: ends.append(loop.create_task(supervisor.stop_and_end())))
    server = await asyncio.start_unix_server(supervisor.serve, sock=listen(home.path), limit=LINE_BYTES_MAX)
    supervisor.save()
    ready()
    async with server:
        await supervisor.stopped.wait()


def main() -> None:
    """Started by `up`; `--ready-fd` gets a byte once requests are served."""
    parser = argparse.ArgumentParser(prog="python -m processes.supervisor", description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    options = parser.parse_args()

    def ready() -> None:
        os.write(options.ready_fd, b"\n")
        os.close(options.ready_fd)

    asyncio.run(run(Home(options.home), ready))


if __name__ == "__main__":
    main()
