"""Blocks by CometBFT's RPC. Several clients follow a chain by the same blocks: each is read once."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from cosmos_wire.protos import abci, node_service
from microgrid.query import comet_json
from microgrid.query.blocks import Bell, Emitted
from microgrid.query.query_core import QueryError, Status
from microgrid.query.remote import BlockSource
from microgrid.system import time_ns_of

RECORDS_KEPT = 64
PAGE, PAGES_MAX = 100, 100
LAST = 1 << 31  # place of the hooks in a block
Json = Mapping[str, Any]


class CometBlocks:
    """One node's."""

    kind = "cometbft"

    def __init__(self, rpc: BlockSource) -> None:
        self._rpc = rpc
        self._records: OrderedDict[int, asyncio.Task[node_service.BlockResponse]] = OrderedDict()
        self._earliest = (-1, 0)  # as of a head

    @property
    def bell(self) -> Bell:
        """CometBFT's own wake-up: it tells of a block after the application has committed it."""
        return self._rpc.bell

    async def earliest(self, head: int) -> int:
        """CometBFT's."""
        if self._earliest[0] != head:
            info = (await self._rpc.call("status"))["sync_info"]
            self._earliest = (head, int(info["earliest_block_height"]))
        return self._earliest[1]

    async def record(self, height: int) -> node_service.BlockResponse:
        """The block and its results."""
        task = self._records.get(height)
        if task is None:
            task = self._records[height] = asyncio.create_task(self._read(height))
            while len(self._records) > RECORDS_KEPT:
                self._records.popitem(last=False)
        try:
            return await asyncio.shield(task)
        except QueryError:
            if self._records.get(height) is task:
                del self._records[height]
            raise

    async def _read(self, height: int) -> node_service.BlockResponse:
        try:
            block = comet_json.block((await self._rpc.call("block", height=str(height)))["block"])
            results = await self._rpc.call("block_results", height=str(height))
        except QueryError as error:
            if error.status is Status.UNKNOWN and "height" in str(error):
                raise QueryError(Status.NOT_FOUND, f"block {height} not found: {error}") from error
            raise
        made = node_service.BlockResponse(height=height, time_ns=time_ns_of(block.header.time))
        for data, result in zip(block.data.txs, results["txs_results"] or (), strict=True):
            made.txs.add(hash=sha256(data).hexdigest().upper(), tx=data, result=exec_result(result))
        made.hook_events.extend(comet_json.events(results["finalize_block_events"]))
        return made

    async def emitted(self, wanted: node_service.EventsRequest) -> list[Emitted]:
        """By the transaction index, and the block index for hooks."""
        query = query_of(wanted)
        txs, blocks = await asyncio.gather(self._pages("tx_search", "txs", query), self._hooks(query))
        found = [_emitted(doc) for doc in txs if not int(doc["tx_result"]["code"])]
        return [*found, *blocks]

    async def _hooks(self, query: str) -> list[Emitted]:
        found = []
        for doc in await self._pages("block_search", "blocks", query):
            height = int(doc["block"]["header"]["height"])
            events = (await self.record(height)).hook_events
            found.append(Emitted(height=height, index=LAST, tx_hash="", events=events))
        return found

    async def _pages(self, method: str, field: str, query: str) -> list[Json]:
        found: list[Json] = []
        for page in range(1, PAGES_MAX + 1):
            doc = await self._rpc.call(method, query=query, page=str(page), per_page=str(PAGE), order_by="asc")
            found += doc[field] or []
            if len(found) >= int(doc["total_count"]):
                return found
        raise QueryError(
            Status.RESOURCE_EXHAUSTED, f"expected at most {PAGE * PAGES_MAX} matches, got {doc['total_count']}"
        )


def query_of(wanted: node_service.EventsRequest) -> str:
    """In CometBFT's query language."""
    terms = [f"{wanted.type}.{item.key}='{item.value}'" for item in wanted.attributes]
    if wanted.range_key:
        ranged = f"{wanted.type}.{wanted.range_key}"
        terms += [f"{ranged}>={wanted.first}", f"{ranged}<={wanted.last}"]
    return " AND ".join(terms)


def exec_result(doc: Json) -> abci.ExecTxResult:
    """A transaction's result."""
    return abci.ExecTxResult(
        code=int(doc["code"]),
        data=b64decode(doc["data"] or ""),
        log=doc["log"],
        info=doc["info"],
        gas_wanted=int(doc["gas_wanted"]),
        gas_used=int(doc["gas_used"]),
        events=comet_json.events(doc["events"]),
        codespace=doc["codespace"],
    )


def _emitted(doc: Json) -> Emitted:
    events = comet_json.events(doc["tx_result"]["events"])
    return Emitted(height=int(doc["height"]), index=int(doc["index"]), tx_hash=doc["hash"].upper(), events=events)
