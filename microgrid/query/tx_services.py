"""cosmos.tx: simulate on the state; broadcast, look-up and search through CometBFT's RPC."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from cosmos_wire.errors import MempoolIsFull, TxInMempoolCache, TxTooLarge
from cosmos_wire.protos import DecodeError, base_abci, pagination, tx
from cosmos_wire.protos import tx_service as q
from cosmos_wire.tx import pack
from microgrid.query import comet_json
from microgrid.query.query_core import QueryError, Status
from microgrid.query.remote import BlockSource, RemoteRoute

PATH = "/cosmos.tx.v1beta1.Service/"
PAGE_MAX = 100  # CometBFT's own
HASH = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})+)")
HASH_BYTES = 32
METHODS = {
    q.BROADCAST_MODE_SYNC: "broadcast_tx_sync",
    q.BROADCAST_MODE_ASYNC: "broadcast_tx_async",
    q.BROADCAST_MODE_BLOCK: "broadcast_tx_commit",
}
MEMPOOL = {"tx already exists in cache": TxInMempoolCache, "mempool is full": MempoolIsFull, "too large": TxTooLarge}
Json = Mapping[str, Any]


class TxServices:
    """Handlers by method path; Simulate is the query server's own, for it reads the state."""

    def __init__(self, rpc: BlockSource) -> None:
        self._rpc = rpc

    def routes(self) -> Mapping[str, RemoteRoute]:
        """The whole service but Simulate."""
        return {
            PATH + "GetTx": RemoteRoute(self.get_tx, q.GetTxRequest),
            PATH + "BroadcastTx": RemoteRoute(self.broadcast, q.BroadcastTxRequest),
            PATH + "GetTxsEvent": RemoteRoute(self.search, q.GetTxsEventRequest),
            PATH + "GetBlockWithTxs": RemoteRoute(self.block_with_txs, q.GetBlockWithTxsRequest),
            PATH + "TxDecode": RemoteRoute(self.decode, q.TxDecodeRequest),
            PATH + "TxEncode": RemoteRoute(self.encode, q.TxEncodeRequest),
            PATH + "TxEncodeAmino": RemoteRoute(self.no_amino, q.TxEncodeAminoRequest),
            PATH + "TxDecodeAmino": RemoteRoute(self.no_amino, q.TxDecodeAminoRequest),
        }

    async def get_tx(self, request: q.GetTxRequest) -> q.GetTxResponse:
        """A transaction that is in a block; NOT_FOUND while it is not."""
        if not request.hash:
            raise QueryError(Status.INVALID_ARGUMENT, "tx hash cannot be empty")
        written = HASH.fullmatch(request.hash)
        if written is None:
            raise QueryError(Status.INVALID_ARGUMENT, f"hash: expected 64 hex digits, got {request.hash[:80]!r}")
        digest = bytes.fromhex(written[1])
        if len(digest) != HASH_BYTES:
            raise QueryError(Status.NOT_FOUND, f"tx not found: {request.hash[:80]}")
        try:
            doc = await self._rpc.call("tx", hash=b64encode(digest).decode())
        except QueryError as error:
            if error.status is Status.NOT_FOUND:
                raise QueryError(Status.NOT_FOUND, f"tx not found: {request.hash}") from error
            raise
        found = _found(doc, await self._time(doc["height"]))
        return q.GetTxResponse(tx=_tx(b64decode(doc["tx"])), tx_response=found)

    async def broadcast(self, request: q.BroadcastTxRequest) -> q.BroadcastTxResponse:
        """SYNC waits for CheckTx, ASYNC for nothing, BLOCK (which the SDK gave up) for the block, 10 s at most."""
        if not request.tx_bytes:
            raise QueryError(Status.INVALID_ARGUMENT, "invalid empty tx")
        method = METHODS.get(request.mode)
        if method is None:
            got = q.BroadcastMode.Name(request.mode) if request.mode in q.BroadcastMode.values() else request.mode
            raise QueryError(Status.INVALID_ARGUMENT, f"mode: expected SYNC, ASYNC or BLOCK, got {got}")
        try:
            doc = await self._rpc.call(method, tx=b64encode(request.tx_bytes).decode())
        except QueryError as error:
            return q.BroadcastTxResponse(tx_response=_refused(error, request.tx_bytes))
        made = _committed(doc) if request.mode == q.BROADCAST_MODE_BLOCK else _checked(doc)
        return q.BroadcastTxResponse(tx_response=made)

    async def search(self, request: q.GetTxsEventRequest) -> q.GetTxsEventResponse:
        """Transactions by events, in CometBFT's query language."""
        query = request.query or " AND ".join(request.events)
        if not query:
            raise QueryError(Status.INVALID_ARGUMENT, "query cannot be empty")
        limit = min(request.limit or request.pagination.limit or PAGE_MAX, PAGE_MAX)
        page = request.page or request.pagination.offset // limit + 1
        order = {q.ORDER_BY_ASC: "asc", q.ORDER_BY_DESC: "desc"}.get(request.order_by, "")
        try:
            doc = await self._rpc.call(
                "tx_search", query=query, page=str(page), per_page=str(limit), order_by=order, prove=False
            )
        except QueryError as error:
            raise QueryError(_search_status(error), f"failed to search for txs: {error}") from error
        made = q.GetTxsEventResponse(total=int(doc["total_count"]))
        times = {height: await self._time(height) for height in sorted({item["height"] for item in doc["txs"]})}
        for item in doc["txs"]:
            made.txs.append(_tx(b64decode(item["tx"])))
            made.tx_responses.append(_found(item, times[item["height"]]))
        return made

    async def block_with_txs(self, request: q.GetBlockWithTxsRequest) -> q.GetBlockWithTxsResponse:
        """A block with its transactions decoded; those that can't be are left out, as in the SDK."""
        if request.height <= 0:
            raise QueryError(
                Status.INVALID_ARGUMENT, f"requested height {request.height} but height must not be less than 1"
            )
        doc = await self._rpc.call("block", height=str(request.height))
        block = comet_json.block(doc["block"])
        made = q.GetBlockWithTxsResponse(block=block, block_id=comet_json.block_id(doc["block_id"]))
        made.pagination.total = len(block.data.txs)
        for data in _page_of(list(block.data.txs), request.pagination):
            try:
                made.txs.append(_tx(data))
            except QueryError:
                continue
        return made

    async def decode(self, request: q.TxDecodeRequest) -> q.TxDecodeResponse:
        """TxRaw bytes to Tx."""
        if not request.tx_bytes:
            raise QueryError(Status.INVALID_ARGUMENT, "invalid empty tx bytes")
        return q.TxDecodeResponse(tx=_tx(request.tx_bytes))

    async def encode(self, request: q.TxEncodeRequest) -> q.TxEncodeResponse:
        """Tx to TxRaw bytes."""
        if not request.HasField("tx"):
            raise QueryError(Status.INVALID_ARGUMENT, "invalid empty tx")
        return q.TxEncodeResponse(tx_bytes=raw_of(request.tx))

    async def no_amino(self, _request: q.TxEncodeAminoRequest | q.TxDecodeAminoRequest) -> q.TxEncodeAminoResponse:
        """Transactions in amino's binary form left the SDK in 2021."""
        raise QueryError(
            Status.UNIMPLEMENTED, "transactions have no amino binary form here: TxEncode and TxDecode have"
        )

    async def _time(self, height: str) -> str:
        doc = await self._rpc.call("header", height=height)
        return str(doc["header"]["time"])


def _checked(doc: Json) -> base_abci.TxResponse:
    return base_abci.TxResponse(
        txhash=doc["hash"],
        code=int(doc["code"]),
        codespace=doc["codespace"],
        raw_log=doc["log"],
        data=_hex(doc["data"]),
    )


def _committed(doc: Json) -> base_abci.TxResponse:
    """Of `broadcast_tx_commit`: CheckTx's refusal, or the result in the block."""
    check, result = doc["check_tx"], doc["tx_result"]
    shown = check if int(check["code"]) else result
    made = _checked({**shown, "hash": doc["hash"]})
    made.height, made.info = int(doc["height"]), shown.get("info") or ""
    made.gas_wanted, made.gas_used = int(shown["gas_wanted"]), int(shown["gas_used"])
    made.events.extend(comet_json.events(shown["events"]))
    return made


def _refused(error: QueryError, data: bytes) -> base_abci.TxResponse:
    """The mempool's own refusals have the SDK's codes; raises any other again."""
    for words, kind in MEMPOOL.items():
        if words in str(error).lower():
            made = base_abci.TxResponse(txhash=sha256(data).hexdigest().upper(), raw_log=str(error))
            made.code, made.codespace = kind.code, kind.codespace
            return made
    raise error


def _search_status(error: QueryError) -> Status:
    """A query or page that CometBFT can't take is the caller's mistake."""
    said = str(error)
    wrong = any(words in said for words in ("parse", "page should be", "got ", "invalid"))
    return Status.INVALID_ARGUMENT if wrong and error.status is Status.UNKNOWN else error.status


def _page_of(txs: list[bytes], page: pagination.PageRequest) -> list[bytes]:
    if txs and page.offset >= len(txs):
        raise QueryError(
            Status.INVALID_ARGUMENT,
            f"out of range: cannot paginate {len(txs)} txs with offset {page.offset} and limit {page.limit}",
        )
    ordered = txs[::-1] if page.reverse else txs
    return ordered[page.offset : page.offset + (page.limit or PAGE_MAX)]


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
