"""A load process as its parent sees it: started with a specification, told when to begin, read when it is done."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any as Json

from cosmos_wire.errors import ToolError

READY, GO = b"ready\n", b"go\n"
LINE_BYTES_MAX = 64 << 20


class Child:
    """One load process. Lines: specification in, `ready` out, `go` in, result out."""

    def __init__(self, process: asyncio.subprocess.Process, module: str) -> None:
        self._process, self._module = process, module
        self.pid = process.pid

    async def prepare(self, spec: Mapping[str, Json]) -> None:
        """Hand over what to do and wait until everything is ready."""
        await self._write(json.dumps(spec).encode() + b"\n")
        if await self._line() != READY:
            raise ToolError(f"{self._module}: expected it to get ready, got another line")

    async def go(self) -> None:
        """Begin now."""
        await self._write(GO)

    async def result(self) -> dict[str, Json]:
        """Wait for the end."""
        return dict(json.loads(await self._line()))

    async def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise ToolError(f"{self._module}: expected a line from it, but it ended")
        return line


@asynccontextmanager
async def child(module: str) -> AsyncIterator[Child]:
    """Run `python -m MODULE`; it is ended when the block ends."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, stdin=pipe, stdout=pipe, limit=LINE_BYTES_MAX
    )
    try:
        yield Child(process, module)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def stdin_lines() -> asyncio.StreamReader:
    """The child's own end: standard input as a stream."""
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def tell(data: bytes) -> None:
    """One line to the parent."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def tell_result(doc: Mapping[str, Json]) -> None:
    """The result, in one line."""
    tell(json.dumps(doc).encode() + b"\n")
