"""cosmos.tx: broadcast, look-up and search on the ledger; Simulate, which reads the state, is the query server's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cosmos_wire.protos import DecodeError, base_abci, pagination, tx
from cosmos_wire.protos import tx_service as q
from cosmos_wire.tx import pack
from microgrid.query.blocks import Blocks, FoundTx, TxSearch
from microgrid.query.query_core import QueryError, Status
from microgrid.query.remote import RemoteRoute

PATH = "/cosmos.tx.v1beta1.Service/"
PAGE_MAX = 100  # CometBFT's own
HASH = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})+)")
HASH_BYTES = 32
MODES = (q.BROADCAST_MODE_SYNC, q.BROADCAST_MODE_ASYNC, q.BROADCAST_MODE_BLOCK)


class TxServices:
    """Handlers by method path; Simulate is the query server's own, for it reads the state."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks

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
            found = await self._blocks.tx(digest)
        except QueryError as error:
            if error.status is Status.NOT_FOUND:
                raise QueryError(Status.NOT_FOUND, f"tx not found: {request.hash}") from error
            raise
        return q.GetTxResponse(tx=_tx(found.tx), tx_response=_shown(found))

    async def broadcast(self, request: q.BroadcastTxRequest) -> q.BroadcastTxResponse:
        """SYNC waits for CheckTx, ASYNC for nothing, BLOCK (which the SDK gave up) for the block, 10 s at most."""
        if not request.tx_bytes:
            raise QueryError(Status.INVALID_ARGUMENT, "invalid empty tx")
        if request.mode not in MODES:
            got = q.BroadcastMode.Name(request.mode) if request.mode in q.BroadcastMode.values() else request.mode
            raise QueryError(Status.INVALID_ARGUMENT, f"mode: expected SYNC, ASYNC or BLOCK, got {got}")
        return q.BroadcastTxResponse(tx_response=await self._blocks.broadcast(request.mode, request.tx_bytes))

    async def search(self, request: q.GetTxsEventRequest) -> q.GetTxsEventResponse:
        """Transactions by events, in CometBFT's query language."""
        query = request.query or " AND ".join(request.events)
        if not query:
            raise QueryError(Status.INVALID_ARGUMENT, "query cannot be empty")
        limit = min(request.limit or request.pagination.limit or PAGE_MAX, PAGE_MAX)
        page = request.page or request.pagination.offset // limit + 1
        order = {q.ORDER_BY_ASC: "asc", q.ORDER_BY_DESC: "desc"}.get(request.order_by, "")
        try:
            found = await self._blocks.search(TxSearch(query=query, page=page, limit=limit, order=order))
        except QueryError as error:
            raise QueryError(_search_status(error), f"failed to search for txs: {error}") from error
        made = q.GetTxsEventResponse(total=found.total)
        for item in found.txs:
            made.txs.append(_tx(item.tx))
            made.tx_responses.append(_shown(item))
        return made

    async def block_with_txs(self, request: q.GetBlockWithTxsRequest) -> q.GetBlockWithTxsResponse:
        """A block with its transactions decoded; those that can't be are left out, as in the SDK."""
        if request.height <= 0:
            raise QueryError(
                Status.INVALID_ARGUMENT, f"requested height {request.height} but height must not be less than 1"
            )
        found = await self._blocks.block(request.height)
        made = q.GetBlockWithTxsResponse(block=found.block, block_id=found.block_id)
        made.pagination.total = len(found.block.data.txs)
        for data in _page_of(list(found.block.data.txs), request.pagination):
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


def _search_status(error: QueryError) -> Status:
    """A query or page that the index can't take is the caller's mistake."""
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


def _shown(found: FoundTx) -> base_abci.TxResponse:
    result = found.result
    made = base_abci.TxResponse(
        height=found.height,
        txhash=found.tx_hash,
        codespace=result.codespace,
        code=result.code,
        data=result.data.hex().upper(),
        raw_log=result.log,
        info=result.info,
        gas_wanted=result.gas_wanted,
        gas_used=result.gas_used,
        timestamp=found.time.ToJsonString().partition(".")[0].removesuffix("Z") + "Z",
        events=result.events,
    )
    made.tx.CopyFrom(pack(_tx(found.tx)))
    return made
