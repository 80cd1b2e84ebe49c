"""New blocks of any microgrid by gRPC: `bsmg.node.v1.Service`, whose Status answers when there is a newer block."""

from __future__ import annotations

import asyncio

from bsmg.client.blocks import BlockResults, TxResult
from bsmg.client.errors import BadAnswer, NodeUnreachable, QueryNotFound, QueryRefused
from bsmg.client.feed import BlockFeed, BlockRecord, Head
from bsmg.client.grpc import GrpcQueries
from cosmos_wire.protos import abci, node_service
from ibc_core.host import Event

PATH = "/bsmg.node.v1.Service/"
BLOCK_TRIES, BLOCK_PAUSE_S = 5, 0.02  # doubled each time
PAUSE_S = 0.2  # before the next question to a node that answers without a new block and without waiting for one


class NodeFeed(BlockFeed):
    """Follows a chain through one node's gRPC."""

    def __init__(self, queries: GrpcQueries, chain_id: str = "") -> None:
        super().__init__(chain_id, queries.target)
        self.queries = queries

    async def _newest(self) -> tuple[str, Head]:
        return await self._status(0)

    async def _status(self, above: int) -> tuple[str, Head]:
        request = node_service.StatusRequest(above=above)
        found = await self.queries.query(PATH + "Status", request, node_service.StatusResponse)
        if not found.height:
            raise NodeUnreachable(PATH + "Status", self.node, "expected a chain with a block, got one without any yet")
        return found.chain_id, Head(height=found.height, time_ns=found.time_ns)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            known, asked_at = self.head.height if self.head else 0, loop.time()
            _, head = await self._status(known)
            await self._advance(head)
            if head.height <= known and loop.time() < asked_at + PAUSE_S:
                await asyncio.sleep(PAUSE_S)

    async def _read(self, height: int) -> BlockRecord:
        found = await self._block(height)
        if found.height != height:
            raise BadAnswer(PATH + "Block", self.node, f"expected block {height}, got block {found.height}")
        return block_record(found)

    async def _block(self, height: int) -> node_service.BlockResponse:
        """Behind the head, so it has to be there; a node may show its state a moment before its blocks."""
        request = node_service.BlockRequest(height=height)
        for attempt in range(BLOCK_TRIES):
            try:
                return await self.queries.query(PATH + "Block", request, node_service.BlockResponse)
            except QueryRefused as error:
                refused = error
                if not isinstance(error, QueryNotFound):
                    break
            await asyncio.sleep(BLOCK_PAUSE_S * 2**attempt)
        raise BadAnswer(PATH + "Block", self.node, f"expected block {height}, got: {refused.detail}") from refused


def block_record(found: node_service.BlockResponse) -> BlockRecord:
    """A block as the service gives it."""
    results = BlockResults(
        height=found.height,
        txs=tuple(tx_result(item.result) for item in found.txs),
        hook_events=tuple(event_of(item) for item in found.hook_events),
    )
    return BlockRecord(
        height=found.height,
        time_ns=found.time_ns,
        txs=tuple(item.tx for item in found.txs),
        tx_hashes=tuple(item.hash.upper() for item in found.txs),
        results=results,
    )


def tx_result(found: abci.ExecTxResult) -> TxResult:
    """A transaction's result."""
    return TxResult(
        code=found.code,
        codespace=found.codespace,
        log=found.log,
        data=found.data,
        gas_wanted=found.gas_wanted,
        gas_used=found.gas_used,
        events=tuple(event_of(item) for item in found.events),
    )


def event_of(found: abci.Event) -> Event:
    """An event."""
    return Event(found.type, tuple((item.key, item.value) for item in found.attributes))
