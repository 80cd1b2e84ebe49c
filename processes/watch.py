"""Waiting until processes work, and until then listening for one that dies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from cosmos_wire.errors import ToolError
from processes.control import connect
from processes.files import Home

T = TypeVar("T")

POLL_S = 0.2
UP_TIMEOUT_S = 180.0
IN_USE = ("address already in use", "EADDRINUSE")


class ProcessDiedError(ToolError):
    """A process ended while its network was starting; the text carries its last lines."""

    @property
    def port_taken(self) -> bool:
        """Whether another program was faster in taking a port."""
        return any(words in str(self) for words in IN_USE)


async def unless_one_dies(home: Home, work: Awaitable[T], timeout_s: float = UP_TIMEOUT_S) -> T:
    """Result of `work`; raises ProcessDiedError as soon as a process ends, ToolError after `timeout_s`."""
    task, watch = asyncio.ensure_future(work), asyncio.ensure_future(_first_death(home))
    try:
        done, _ = await asyncio.wait({task, watch}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            return task.result()
        if watch in done:
            raise ProcessDiedError(watch.result())
        raise ToolError(f"{home.path}: expected it to be ready within {timeout_s:.0f} s; its logs may say why not")

    finally:
        for item in (task, watch):
            item.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


@asynccontextmanager
async def deaths(home: Home) -> AsyncIterator[asyncio.StreamReader]:
    """Stream of the supervisor's reports; the first line is the table of processes."""
    client = connect(home)
    client.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=client, limit=4 << 20)
    writer.write(b'{"do": "watch"}\n')
    await writer.drain()
    try:
        yield reader
    finally:
        writer.close()


async def show_deaths(home: Home, say: Callable[[str], None]) -> None:
    """Tell of every process that dies, until the supervisor ends."""
    async with deaths(home) as reader:
        await reader.readline()
        while line := await reader.readline():
            say(json.loads(line)["text"])


async def _first_death(home: Home) -> str:
    async with deaths(home) as reader:
        table = json.loads(await reader.readline() or b'{"processes": {}}')
        gone = [name for name, item in table["processes"].items() if not item["alive"]]
        if gone:
            return f"{', '.join(gone)} ended; look at its log in {home.path}"
        line = await reader.readline()
        return str(json.loads(line)["text"]) if line else f"the supervisor ended; look at {home.log}"


async def accepts(address: str) -> None:
    """Wait until something listens at unix://PATH or tcp://HOST:PORT."""
    kind, _, where = address.partition("://")
    host, _, port = where.rpartition(":")
    while True:
        try:
            opened = asyncio.open_unix_connection(where) if kind == "unix" else asyncio.open_connection(host, int(port))
            _, writer = await opened
        except OSError:
            await asyncio.sleep(POLL_S)
        else:
            writer.close()
            return
