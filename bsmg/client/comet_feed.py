"""New blocks of a CometBFT chain: the websocket is the wake-up, blocks and results are read by the RPC.

Hashes of transactions are computed here, results come from `block_results`.
"""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256

import aiohttp

from bsmg.client import comet_json
from bsmg.client.blocks import BlockResults
from bsmg.client.errors import NodeUnreachable, RpcRefused
from bsmg.client.feed import BlockFeed, BlockRecord, Head
from bsmg.client.rpc import Rpc
from cosmos_wire.errors import ToolError

SILENCE_S = 3.0  # without a wake-up for so long, ask for the status: the subscription may be dead
RESULTS_TRIES = 20  # the block is stored before it is executed: its results may need a moment
RESULTS_WAIT_S = 0.1
SUBSCRIBE = {"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"query": "tm.event='NewBlockHeader'"}}
WS_MESSAGE_BYTES_MAX = 1 << 24


class CometFeed(BlockFeed):
    """Follows a CometBFT chain through one node's RPC."""

    def __init__(self, rpc: Rpc, chain_id: str = "") -> None:
        super().__init__(chain_id, rpc.url)
        self.rpc = rpc

    async def _newest(self) -> tuple[str, Head]:
        status = await self.rpc.status()
        return status.chain_id, Head(height=status.height, time_ns=status.time_ns)

    async def _listen(self) -> None:
        try:
            await self._follow_socket()
        except aiohttp.ClientError as error:
            raise NodeUnreachable("websocket", self.rpc.url, str(error) or type(error).__name__) from error

    async def _follow_socket(self) -> None:
        url = self.rpc.url.replace("http", "ws", 1) + "/websocket"
        async with self.rpc.session().ws_connect(url, max_msg_size=WS_MESSAGE_BYTES_MAX) as socket:
            await socket.send_json(SUBSCRIBE)
            await self._poll()
            while True:
                try:
                    message = await socket.receive(timeout=SILENCE_S)
                except TimeoutError:
                    await self._poll()
                    continue
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                await self._hear(message.data)

    async def _hear(self, text: str) -> None:
        try:
            doc = json.loads(text)
            header = (doc.get("result") or {}).get("data", {}).get("value", {}).get("header")
            if header is not None:
                time_ns = comet_json.time_ns(header["time"])
                await self._advance(Head(height=int(header["height"]), time_ns=time_ns))
        except (ValueError, KeyError, AttributeError) as error:
            raise ToolError(f"websocket of {self.rpc.url}: expected a NewBlockHeader, got {text[:100]!r}") from error

    async def _read(self, height: int) -> BlockRecord:
        block = await self.rpc.block(height)
        return BlockRecord(
            height=height,
            time_ns=block.time_ns,
            txs=block.txs,
            tx_hashes=tuple(tx_hash_of(tx) for tx in block.txs),
            results=await self._results(height),
        )

    async def _results(self, height: int) -> BlockResults:
        for _ in range(RESULTS_TRIES):
            try:
                return await self.rpc.block_results(height)
            except RpcRefused as error:
                refused = error
                await asyncio.sleep(RESULTS_WAIT_S)
        raise refused


def tx_hash_of(tx: bytes) -> str:
    """CometBFT's hash of a transaction: SHA-256 in upper-case hex."""
    return sha256(tx).hexdigest().upper()
