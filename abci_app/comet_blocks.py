"""Blocks by CometBFT's RPC. Several clients follow a chain by the same blocks: each is read once."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from abci_app import comet_json
from abci_app.comet_rpc import CometRpc
from cosmos_wire.address import to_bech32
from cosmos_wire.errors import MempoolIsFull, TxInMempoolCache, TxTooLarge
from cosmos_wire.protos import (
    Timestamp,
    abci,
    base_abci,
    cmt_p2p,
    cmt_query,
    cmt_types,
    ed25519_keys,
    node_service,
    tx_service,
)
from cosmos_wire.tx import pack
from microgrid.query.blocks import (
    Bell,
    Emitted,
    FoundTx,
    FoundTxs,
    LedgerNode,
    LedgerStatus,
    TxSearch,
    ValidatorPage,
    WholeBlock,
)
from microgrid.query.comet_services import CONSENSUS_PREFIX
from microgrid.query.query_core import QueryError, Status
from microgrid.system import time_ns_of

METHODS: Mapping[int, str] = {
    tx_service.BROADCAST_MODE_SYNC: "broadcast_tx_sync",
    tx_service.BROADCAST_MODE_ASYNC: "broadcast_tx_async",
    tx_service.BROADCAST_MODE_BLOCK: "broadcast_tx_commit",
}
MEMPOOL = {"tx already exists in cache": TxInMempoolCache, "mempool is full": MempoolIsFull, "too large": TxTooLarge}
MODULE = "github.com/cometbft/cometbft"
RECORDS_KEPT = 64
PAGE, PAGES_MAX = 100, 100
LAST = 1 << 31  # place of the hooks in a block
Json = Mapping[str, Any]


class CometBlocks:
    """One node's."""

    kind = "cometbft"
    provable = True

    def __init__(self, rpc: CometRpc) -> None:
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

    async def block(self, height: int | None) -> WholeBlock:
        """The block; its evidence is left to CometBFT's own RPC."""
        doc = await self._rpc.call("block", **_at(height))
        return WholeBlock(block=comet_json.block(doc["block"]), block_id=comet_json.block_id(doc["block_id"]))

    async def header(self, height: int) -> cmt_types.Header:
        """Its header."""
        return comet_json.header((await self._rpc.call("header", height=str(height)))["header"])

    async def tx(self, digest: bytes) -> FoundTx:
        """By the transaction index."""
        doc = await self._rpc.call("tx", hash=b64encode(digest).decode())
        return _found(doc, await self._time(doc["height"]))

    async def search(self, wanted: TxSearch) -> FoundTxs:
        """By the transaction index."""
        doc = await self._rpc.call(
            "tx_search",
            query=wanted.query,
            page=str(wanted.page),
            per_page=str(wanted.limit),
            order_by=wanted.order,
            prove=False,
        )
        times = {height: await self._time(height) for height in sorted({item["height"] for item in doc["txs"]})}
        return FoundTxs(total=int(doc["total_count"]), txs=[_found(item, times[item["height"]]) for item in doc["txs"]])

    async def _time(self, height: str) -> Timestamp:
        doc = await self._rpc.call("header", height=height)
        return comet_json.timestamp(doc["header"]["time"])

    async def broadcast(self, mode: int, data: bytes) -> base_abci.TxResponse:
        """To the mempool; its own refusals have the SDK's codes."""
        try:
            doc = await self._rpc.call(METHODS[mode], tx=b64encode(data).decode())
        except QueryError as error:
            return _refused(error, data)
        return _committed(doc) if mode == tx_service.BROADCAST_MODE_BLOCK else _checked(doc)

    async def validators(self, height: int | None, page: int, limit: int) -> ValidatorPage:
        """As CometBFT orders them: by power."""
        doc = await self._rpc.call("validators", page=str(page), per_page=str(limit), **_at(height))
        found = [_validator(item) for item in doc["validators"]]
        return ValidatorPage(height=int(doc["block_height"]), total=int(doc["total"]), validators=found)

    async def node(self) -> LedgerNode:
        """CometBFT's own words."""
        info = (await self._rpc.call("status"))["node_info"]
        return LedgerNode(info=_node_info(info), module=(MODULE, f"v{info['version']}"))

    async def status(self) -> LedgerStatus:
        """The same."""
        info = (await self._rpc.call("status"))["sync_info"]
        return LedgerStatus(
            height=int(info["latest_block_height"]),
            time=comet_json.timestamp(info["latest_block_time"]),
            earliest=int(info["earliest_block_height"]),
            app_hash=bytes.fromhex(info["latest_app_hash"]),
            is_catching_up=bool(info["catching_up"]),
        )


def _at(height: int | None) -> dict[str, str]:
    return {} if height is None else {"height": str(height)}


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


def _found(doc: Json, time: Timestamp) -> FoundTx:
    return FoundTx(
        tx_hash=doc["hash"],
        height=int(doc["height"]),
        time=time,
        tx=b64decode(doc["tx"]),
        result=exec_result(doc["tx_result"]),
    )


def _checked(doc: Json) -> base_abci.TxResponse:
    return base_abci.TxResponse(
        txhash=doc["hash"],
        code=int(doc["code"]),
        codespace=doc["codespace"],
        raw_log=doc["log"],
        data=b64decode(doc["data"] or "").hex().upper(),
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


def _node_info(info: Json) -> cmt_p2p.DefaultNodeInfo:
    made = cmt_p2p.DefaultNodeInfo(
        default_node_id=info["id"],
        listen_addr=info["listen_addr"],
        network=info["network"],
        version=info["version"],
        channels=bytes.fromhex(info["channels"]),
        moniker=info["moniker"],
    )
    versions = info["protocol_version"]
    made.protocol_version.p2p = int(versions["p2p"])
    made.protocol_version.block = int(versions["block"])
    made.protocol_version.app = int(versions["app"])
    made.other.tx_index = info["other"]["tx_index"]
    made.other.rpc_address = info["other"]["rpc_address"]
    return made


def _validator(doc: Json) -> cmt_query.Validator:
    return cmt_query.Validator(
        address=to_bech32(bytes.fromhex(doc["address"]), CONSENSUS_PREFIX),
        pub_key=pack(ed25519_keys.PubKey(key=b64decode(doc["pub_key"]["value"]))),
        voting_power=int(doc["voting_power"]),
        proposer_priority=int(doc["proposer_priority"]),
    )
