"""The socket shell of ABCI: asyncio moves bytes, somebody else answers.

CometBFT opens four connections that don't say what they are for, so every request is dispatched by its kind. Answers
leave each connection in the order of its requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from abci_app.wire import FrameReader, WireError, frame, parse
from cosmos_wire.protos import abci
from microgrid.query.remote import Done

LOG = logging.getLogger("abci_app.server")
WAITING_MAX = 2_048  # requests of one connection without an answer; beyond, its socket is not read
UNIX, TCP = "unix://", "tcp://"

Dispatch = Callable[[abci.Request, bytes, Done], None]  # (request, its frame, what to call with the answer)


@dataclass(slots=True)
class Slot:
    """The place of one answer in its connection's order."""

    data: bytes | None = None


class AbciConnection(asyncio.Protocol):
    """One socket: requests in, answers out in the same order."""

    def __init__(self, dispatch: Dispatch, open_connections: set[AbciConnection]) -> None:
        self._dispatch = dispatch
        self._open = open_connections
        self._reader = FrameReader()
        self._waiting: deque[Slot] = deque()
        self._transport: asyncio.Transport | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Answers that are still being worked on have nowhere to go."""
        self._transport = None
        self._open.discard(self)
        LOG.debug("connection closed: %s", exc)

    def data_received(self, data: bytes) -> None:
        """Dispatch all requests that are complete; rubbish closes the connection."""
        try:
            for raw in self._reader.feed(data):
                self._take(parse(abci.Request, raw), raw)
        except WireError as error:
            LOG.warning("closing an ABCI connection: %s", error)
            self._answer(self._place(), abci.Response(exception=abci.ResponseException(error=str(error))))
            self.close()
        self._write_ready()
        self._throttle()

    def close(self) -> None:
        """Send what is ready and close."""
        if self._transport is not None:
            self._transport.close()

    def _place(self) -> Slot:
        slot = Slot()
        self._waiting.append(slot)
        return slot

    def _take(self, request: abci.Request, raw: bytes) -> None:
        slot = self._place()
        kind = request.WhichOneof("value")
        if kind == "flush":
            slot.data = frame(abci.Response(flush=abci.ResponseFlush()))
        elif kind == "echo":
            slot.data = frame(abci.Response(echo=abci.ResponseEcho(message=request.echo.message)))
        else:
            self._dispatch(request, raw, lambda response: self._answer(slot, response))

    def _answer(self, slot: Slot, response: abci.Response) -> None:
        slot.data = frame(response)
        self._write_ready()
        self._throttle()

    def _write_ready(self) -> None:
        ready: list[bytes] = []
        while self._waiting and self._waiting[0].data is not None:
            ready.append(self._waiting.popleft().data or b"")
        if ready and self._transport is not None:
            self._transport.write(b"".join(ready))

    def _throttle(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if not self._paused and len(self._waiting) > WAITING_MAX:
            self._paused = True
            self._transport.pause_reading()
        elif self._paused and len(self._waiting) < WAITING_MAX // 2:
            self._paused = False
            self._transport.resume_reading()


class AbciServer:
    """Listens on `unix://PATH` or `tcp://HOST:PORT`."""

    def __init__(self, address: str, dispatch: Dispatch) -> None:
        self._address, self._dispatch = address, dispatch
        self._connections: set[AbciConnection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; a socket file that a killed process left is replaced. Raises WireError, OSError."""
        loop = asyncio.get_running_loop()
        if self._address.startswith(UNIX):
            path = _free(self._address[len(UNIX) :])
            self._server = await loop.create_unix_server(self._connection, path)
        elif self._address.startswith(TCP):
            host, _, port = self._address[len(TCP) :].rpartition(":")
            self._server = await loop.create_server(self._connection, host, int(port))
        else:
            raise WireError(f"ABCI address: expected {UNIX}PATH or {TCP}HOST:PORT, got {self._address!r}")

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.close()

    def _connection(self) -> AbciConnection:
        return AbciConnection(self._dispatch, self._connections)


def _free(path: str) -> str:
    """The path without the socket file that a killed process left there."""
    Path(path).unlink(missing_ok=True)
    return path
