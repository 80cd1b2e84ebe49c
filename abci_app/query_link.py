"""How the app process hands ABCI Query to the query process: the same frames over a unix socket.

The state machine never waits for it. When the query process is away, the answer says so with a code.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from pathlib import Path
from typing import cast

from abci_app.wire import FrameReader, WireError, parse, varint
from cosmos_wire.errors import InternalLogic
from cosmos_wire.protos import abci
from microgrid.query.remote import Done

LOG = logging.getLogger("abci_app.query_link")
WAIT_S = 10.0  # an answer that takes longer breaks the link, for answers come in order


class QueryLink(asyncio.Protocol):
    """A connection to the query process that comes back by itself with the next query."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._waiting: deque[tuple[Done, asyncio.TimerHandle]] = deque()
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, raw: bytes, done: Done) -> None:
        """Pass one Request frame on; `done` gets the query process's answer or a refusal."""
        if self._transport is not None:
            self._send(raw, done)
            return
        task = asyncio.get_running_loop().create_task(self._connect_and_send(raw, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()

    async def _connect_and_send(self, raw: bytes, done: Done) -> None:
        async with self._lock:
            try:
                if self._transport is None:
                    await asyncio.get_running_loop().create_unix_connection(lambda: self, str(self._path))
            except OSError as error:
                done(away(f"the query process of this node is not running: {error}"))
                return
        self._send(raw, done)

    def _send(self, raw: bytes, done: Done) -> None:
        if self._transport is None:  # lost between connecting and now
            done(away("the query process of this node closed the connection"))
            return
        timer = asyncio.get_running_loop().call_later(WAIT_S, self._too_late)
        self._waiting.append((done, timer))
        self._transport.write(varint(len(raw)) + raw)

    def _too_late(self) -> None:
        LOG.warning("the query process took more than %s s for an answer", WAIT_S)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with an empty buffer."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._reader = FrameReader()

    def data_received(self, data: bytes) -> None:
        """Answers come in the order of the questions."""
        try:
            for raw in self._reader.feed(data):
                answer = parse(abci.Response, raw)
                if not self._waiting:
                    raise WireError("expected no answer without a question, got one")
                done, timer = self._waiting.popleft()
                timer.cancel()
                done(answer)
        except WireError as error:
            LOG.warning("closing the link to the query process: %s", error)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits is told."""
        self._transport = None
        waiting, self._waiting = self._waiting, deque()
        for done, timer in waiting:
            timer.cancel()
            done(away(f"the query process of this node closed the connection: {exc or 'it ended'}"))


def away(log: str) -> abci.Response:
    """The refusal of a query that nobody can answer now."""
    return abci.Response(query=abci.ResponseQuery(code=InternalLogic.code, codespace=InternalLogic.codespace, log=log))
