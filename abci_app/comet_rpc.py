"""The node's own CometBFT by its JSON-RPC: what the chain's state doesn't hold (blocks, transactions, validators)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import aiohttp

from microgrid.query.blocks import Bell
from microgrid.query.query_core import QueryError, Status

TIMEOUT_S = 10.0
RESPONSE_BYTES_MAX = 64 << 20
CONNECTIONS_MAX = 16
RETRY_S = 1.0  # between attempts to hear of blocks
HEARTBEAT_S = 10.0
SUBSCRIBE = {"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"query": "tm.event='NewBlockHeader'"}}

Json = Any  # what a JSON document holds


class CometRpc:
    """One HTTP session, opened with the first call."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None
        self._bell = Bell()

    @property
    def bell(self) -> Bell:
        """Rings with each block while `listen` runs."""
        return self._bell

    async def listen(self) -> None:
        """Ring for each block until cancelled; CometBFT may come and go."""
        while self._url:
            with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
                await self._listen_once()
            await asyncio.sleep(RETRY_S)

    async def _listen_once(self) -> None:
        url = self._url.replace("http", "ws", 1).rstrip("/") + "/websocket"
        async with self._opened().ws_connect(url, heartbeat=HEARTBEAT_S) as socket:
            await socket.send_json(SUBSCRIBE)
            async for message in socket:  # the first is the subscription's own: blocks may have come before it
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._bell.ring()

    async def call(self, method: str, **params: str | bool) -> Mapping[str, Json]:
        """The result; raises QueryError: UNAVAILABLE when CometBFT is away, NOT_FOUND or UNKNOWN as it says."""
        if not self._url:
            raise QueryError(Status.UNAVAILABLE, "this query process was started without --rpc")
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            async with self._opened().post(self._url, json=body) as response:
                answer = await response.json(content_type=None)
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            raise QueryError(Status.UNAVAILABLE, f"CometBFT's RPC at {self._url}: {error!r}") from error
        if answer.get("error"):
            said = answer["error"]
            raise _refusal(f"{said.get('message', '')}: {said.get('data', '')}".strip(": "))
        return dict(answer["result"])

    async def close(self) -> None:
        """End the session."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            )
        return self._session


def _refusal(text: str) -> QueryError:
    return QueryError(Status.NOT_FOUND if "not found" in text else Status.UNKNOWN, text or "CometBFT gave no reason")
