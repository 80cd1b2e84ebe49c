"""cosmos.tx: simulate on the state; broadcast, look-up and search through CometBFT's RPC."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from abci_app import comet_json
from abci_app.comet_rpc import CometRpc
from abci_app.query_core import QueryError, Status
from abci_app.remote import RemoteRoute
from cosmos_wire.protos import DecodeError, base_abci, tx
from cosmos_wire.protos import tx_service as q
from cosmos_wire.tx import pack

PATH = "/cosmos.tx.v1beta1.Service/"
PAGE_MAX = 100  # CometBFT's own
HASH = re.compile(r"(0x)?[0-9a-fA-F]{64}")
Json = Mapping[str, Any]


class TxServices:
    """Handlers by method path; Simulate is the query server's own, for it reads the state."""

    def __init__(self, rpc: CometRpc) -> None:
        self._rpc = rpc

    def routes(self) -> Mapping[str, RemoteRoute]:
        """All but amino."""
        return {
            PATH + "GetTx": RemoteRoute(self.get_tx, q.GetTxRequest),
            PATH + "BroadcastTx": RemoteRoute(self.broadcast, q.BroadcastTxRequest),
            PATH + "GetTxsEvent": RemoteRoute(self.search, q.GetTxsEventRequest),
            PATH + "GetBlockWithTxs": RemoteRoute(self.block_with_txs, q.GetBlockWithTxsRequest),
            PATH + "TxDecode": RemoteRoute(self.decode, q.TxDecodeRequest),
            PATH + "TxEncode": RemoteRoute(self.encode, q.TxEncodeRequest),
        }

    async def get_tx(self, request: q.GetTxRequest) -> q.GetTxResponse:
        """A transaction that is in a block; NOT_FOUND while it is not."""
        if HASH.fullmatch(request.hash) is None:
            raise QueryError(Status.INVALID_ARGUMENT, f"hash: expected 64 hex digits, got {request.hash[:80]!r}")
        digest = bytes.fromhex(request.hash.removeprefix("0x"))
        try:
            doc = await self._rpc.call("tx", hash=b64encode(digest).decode())
        except QueryError as error:
            if error.status is Status.NOT_FOUND:
                raise QueryError(Status.NOT_FOUND, f"tx not found: {request.hash}") from error
            raise
        found = _found(doc, await self._time(doc["height"]))
        return q.GetTxResponse(tx=_tx(b64decode(doc["tx"])), tx_response=found)

    async def broadcast(self, request: q.BroadcastTxRequest) -> q.BroadcastTxResponse:
        """SYNC waits for CheckTx, ASYNC for nothing."""
        methods = {q.BROADCAST_MODE_SYNC: "broadcast_tx_sync", q.BROADCAST_MODE_ASYNC: "broadcast_tx_async"}
        method = methods.get(request.mode)
        if method is None:
            raise QueryError(
                Status.INVALID_ARGUMENT, f"mode: expected SYNC or ASYNC, got {q.BroadcastMode.Name(request.mode)}"
            )
        if not request.tx_bytes:
            raise QueryError(Status.INVALID_ARGUMENT, "invalid empty tx")
        doc = await self._rpc.call(method, tx=b64encode(request.tx_bytes).decode())
        made = base_abci.TxResponse(
            txhash=doc["hash"],
            code=int(doc["code"]),
            codespace=doc["codespace"],
            raw_log=doc["log"],
            data=_hex(doc["data"]),
        )
        return q.BroadcastTxResponse(tx_response=made)

    async def search(self, request: q.GetTxsEventRequest) -> q.GetTxsEventResponse:
        """Transactions by events, in CometBFT's query language."""
        query = request.query or " AND ".join(request.events)
        if not query:
            raise QueryError(Status.INVALID_ARGUMENT, "query: expected an event condition, got an empty one")
        limit = min(request.limit or request.pagination.limit or PAGE_MAX, PAGE_MAX)
        page = request.page or request.pagination.offset // limit + 1
        order = "desc" if request.order_by == q.ORDER_BY_DESC else "asc"
        doc = await self._rpc.call(
            "tx_search", query=query, page=str(page), per_page=str(limit), order_by=order, prove=False
        )
        made = q.GetTxsEventResponse(total=int(doc["total_count"]))
        made.pagination.total = made.total
        times = {height: await self._time(height) for height in sorted({item["height"] for item in doc["txs"]})}
        for item in doc["txs"]:
            made.txs.append(_tx(b64decode(item["tx"])))
            made.tx_responses.append(_found(item, times[item["height"]]))
        return made

    async def block_with_txs(self, request: q.GetBlockWithTxsRequest) -> q.GetBlockWithTxsResponse:
        """A block with its transactions decoded; those that can't be are left out, as in the SDK."""
        if request.height <= 0:
            raise QueryError(Status.INVALID_ARGUMENT, f"height: expected above 0, got {request.height}")
        doc = await self._rpc.call("block", height=str(request.height))
        block = comet_json.block(doc["block"])
        made = q.GetBlockWithTxsResponse(block=block, block_id=comet_json.block_id(doc["block_id"]))
        made.pagination.total = len(block.data.txs)
        first, limit = request.pagination.offset, request.pagination.limit or PAGE_MAX
        for data in block.data.txs[first : first + limit]:
            try:
                made.txs.append(_tx(data))
            except QueryError:
                continue
        return made

    async def decode(self, request: q.TxDecodeRequest) -> q.TxDecodeResponse:
        """TxRaw bytes to Tx."""
        return q.TxDecodeResponse(tx=_tx(request.tx_bytes))

    async def encode(self, request: q.TxEncodeRequest) -> q.TxEncodeResponse:
        """Tx to TxRaw bytes."""
        return q.TxEncodeResponse(tx_bytes=raw_of(request.tx))

    async def _time(self, height: str) -> str:
        doc = await self._rpc.call("header", height=height)
        return str(doc["header"]["time"])


def raw_of(made: tx.Tx) -> bytes:
    """A Tx as TxRaw bytes."""
    raw = tx.TxRaw(
        body_bytes=made.body.SerializeToString(deterministic=True),
        auth_info_bytes=made.auth_info.SerializeToString(deterministic=True),
        signatures=made.signatures,
    )
    return raw.SerializeToString(deterministic=True)


def _tx(data: bytes) -> tx.Tx:
    try:
        return tx.Tx.FromString(data)  # TxRaw and Tx differ in nothing but how deep they are parsed
    except DecodeError as error:
        raise QueryError(Status.INVALID_ARGUMENT, f"{len(data)} bytes are not a transaction") from error


def _found(doc: Json, time: str) -> base_abci.TxResponse:
    result = doc["tx_result"]
    made = base_abci.TxResponse(
        height=int(doc["height"]),
        txhash=doc["hash"],
        codespace=result["codespace"],
        code=int(result["code"]),
        data=_hex(result["data"]),
        raw_log=result["log"],
        info=result["info"],
        gas_wanted=int(result["gas_wanted"]),
        gas_used=int(result["gas_used"]),
        timestamp=comet_json.timestamp(time).ToJsonString().partition(".")[0].removesuffix("Z") + "Z",
        events=comet_json.events(result["events"]),
    )
    made.tx.CopyFrom(pack(_tx(b64decode(doc["tx"]))))
    return made


def _hex(data: str | None) -> str:
    return b64decode(data or "").hex().upper()
