"""CometBFT's JSON-RPC over HTTP, one method a call; answers are typed where programs depend on them."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any as Json

import aiohttp

from bsmg.client import comet_json
from bsmg.client.blocks import BlockResults, FoundTx, TxResult
from bsmg.client.errors import BadAnswer, NodeTimeout, NodeUnreachable, RpcRefused
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import cmt_proof, cmt_types, cmt_validator

RPC_TIMEOUT_S = 20.0  # a full block's FinalizeBlock may hold an answer back for seconds
CONNECTIONS_MAX = 32  # to one node
IDLE_S = 5.0  # a connection is kept; CometBFT closes it after 10
PER_PAGE = 100  # CometBFT's own limit
PAGES_MAX = 200  # 20,000 entries: more than any validator set or search that we ask for
ANSWER_BYTES_MAX = 1 << 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where a node is."""

    chain_id: str
    moniker: str
    height: int
    time_ns: int
    earliest_height: int
    catching_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Header and transactions of a block."""

    header: cmt_types.Header
    txs: tuple[bytes, ...]
    doc: Mapping[str, Json]

    @property
    def height(self) -> int:
        """Its height."""
        return self.header.height

    @property
    def time_ns(self) -> int:
        """Block time."""
        return self.header.time.seconds * 1_000_000_000 + self.header.time.nanos


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """CheckTx's answer to a broadcast."""

    code: int
    codespace: str
    log: str
    tx_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AbciAnswer:
    """Answer of the application's Query."""

    code: int
    codespace: str
    log: str
    key: bytes
    value: bytes
    height: int
    proof_ops: cmt_proof.ProofOps


class Rpc:
    """One node's RPC. Every method raises `NodeError` naming the stage and the node."""

    def __init__(self, url: str, timeout_s: float = RPC_TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._calls = 0

    async def __aenter__(self) -> Rpc:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def session(self) -> aiohttp.ClientSession:
        """The shared HTTP session, made at first use because it belongs to the running loop."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=IDLE_S)
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session

    async def call(self, method: str, **params: Json) -> dict[str, Json]:
        """Result of a JSON-RPC method."""
        self._calls += 1
        body = {"jsonrpc": "2.0", "id": self._calls, "method": method, "params": params}
        try:
            doc = await self._post(body)
        except TimeoutError as error:
            raise NodeTimeout(method, self.url, f"expected an answer within {self.timeout_s} s, got none") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NodeUnreachable(method, self.url, str(error) or type(error).__name__) from error
        except ValueError as error:
            raise BadAnswer(method, self.url, f"expected JSON, got something else: {error}") from error
        return self._result(method, doc)

    async def _post(self, body: Mapping[str, Json]) -> Json:
        """The answer; a question is asked again when the node closed a kept connection under it."""
        async with asyncio.timeout(self.timeout_s):
            try:
                return await self._post_once(body)
            except aiohttp.ServerDisconnectedError:
                if body["method"].startswith("broadcast"):
                    raise  # it may have been taken: the caller knows how to find out
                return await self._post_once(body)

    async def _post_once(self, body: Mapping[str, Json]) -> Json:
        async with self.session().post(self.url, json=body) as answer:
            return await answer.json(content_type=None)

    def _result(self, method: str, doc: Json) -> dict[str, Json]:
        if not isinstance(doc, dict):
            raise BadAnswer(method, self.url, f"expected a JSON-RPC object, got {type(doc).__name__}")
        error = doc.get("error")
        if error:
            detail = f"{error.get('message', '')}: {error.get('data', '')}".strip(": ") or "no message"
            raise RpcRefused(method, self.url, detail, code=int(error.get("code", 0)))
        result = doc.get("result")
        if not isinstance(result, dict):
            raise BadAnswer(method, self.url, f"expected a result object, got {str(result)[:100]}")
        return result

    def _bad(self, stage: str, error: Exception) -> BadAnswer:
        return BadAnswer(stage, self.url, f"expected CometBFT 0.38's form, got {type(error).__name__}: {error}")

    async def status(self) -> Status:
        """Height, time and chain id of the node."""
        doc = await self.call("status")
        try:
            sync, info = doc["sync_info"], doc["node_info"]
            return Status(
                chain_id=info["network"],
                moniker=info["moniker"],
                height=int(sync["latest_block_height"]),
                time_ns=comet_json.time_ns(sync["latest_block_time"]),
                earliest_height=int(sync["earliest_block_height"]),
                catching_up=bool(sync["catching_up"]),
            )
        except PARSE_ERRORS as error:
            raise self._bad("status", error) from error

    async def block(self, height: int | None = None) -> Block:
        """A block; the newest without a height."""
        doc = await self.call("block", **_at(height))
        try:
            block = doc["block"]
            txs = tuple(base64.b64decode(tx) for tx in block["data"]["txs"] or ())
            return Block(header=comet_json.header(block["header"]), txs=txs, doc=block)
        except PARSE_ERRORS as error:
            raise self._bad("block", error) from error

    async def block_results(self, height: int | None = None) -> BlockResults:
        """Results and events of a block."""
        doc = await self.call("block_results", **_at(height))
        try:
            return BlockResults(
                height=int(doc["height"]),
                txs=tuple(_tx_result(item) for item in doc.get("txs_results") or ()),
                hook_events=comet_json.events(doc.get("finalize_block_events")),
            )
        except PARSE_ERRORS as error:
            raise self._bad("block_results", error) from error

    async def commit(self, height: int | None = None) -> cmt_types.SignedHeader:
        """Header and commit at a height."""
        doc = await self.call("commit", **_at(height))
        try:
            return comet_json.signed_header(doc["signed_header"])
        except PARSE_ERRORS as error:
            raise self._bad("commit", error) from error

    async def header(self, height: int | None = None) -> cmt_types.Header:
        """Header at a height."""
        doc = await self.call("header", **_at(height))
        try:
            return comet_json.header(doc["header"])
        except PARSE_ERRORS as error:
            raise self._bad("header", error) from error

    async def validators(self, height: int, proposer: bytes | None = None) -> cmt_validator.ValidatorSet:
        """The whole validator set at a height, all pages."""
        found: list[Json] = []
        for page in range(1, PAGES_MAX + 1):
            doc = await self.call("validators", height=str(height), page=str(page), per_page=str(PER_PAGE))
            found += doc.get("validators") or []
            if len(found) >= int(doc.get("total", 0)):
                break
        try:
            return comet_json.validator_set(found, proposer)
        except PARSE_ERRORS as error:
            raise self._bad("validators", error) from error

    async def tx(self, tx_hash: str) -> FoundTx | None:
        """A transaction of the index by its hash (hex), None when no indexed block holds it."""
        try:
            doc = await self.call("tx", hash=base64.b64encode(bytes.fromhex(tx_hash)).decode(), prove=False)
        except RpcRefused as error:
            if "not found" in error.detail:
                return None
            raise
        return self._found_tx(doc)

    def _found_tx(self, doc: Mapping[str, Json]) -> FoundTx:
        try:
            return FoundTx(
                tx_hash=str(doc["hash"]).upper(),
                height=int(doc["height"]),
                index=int(doc["index"]),
                tx=base64.b64decode(doc["tx"]),
                result=_tx_result(doc["tx_result"]),
            )
        except PARSE_ERRORS as error:
            raise self._bad("tx", error) from error

    async def tx_search(self, query: str, pages_max: int = PAGES_MAX) -> tuple[FoundTx, ...]:
        """Indexed transactions that match a query, ascending, at most `pages_max` pages of 100."""
        docs = await self._pages("tx_search", "txs", query, pages_max)
        return tuple(self._found_tx(doc) for doc in docs)

    async def block_search(self, query: str, pages_max: int = PAGES_MAX) -> tuple[int, ...]:
        """Heights of indexed blocks whose hook events match a query, ascending."""
        docs = await self._pages("block_search", "blocks", query, pages_max)
        try:
            return tuple(int(doc["block"]["header"]["height"]) for doc in docs)
        except PARSE_ERRORS as error:
            raise self._bad("block_search", error) from error

    async def _pages(self, method: str, field: str, query: str, pages_max: int) -> list[Json]:
        found: list[Json] = []
        for page in range(1, pages_max + 1):
            params = {"query": query, "page": str(page), "per_page": str(PER_PAGE), "order_by": "asc"}
            doc = await self.call(method, **params)
            found += doc.get(field) or []
            if len(found) >= int(doc.get("total_count", 0)):
                break
        return found

    async def abci_query(self, path: str, data: bytes, height: int = 0, *, prove: bool = False) -> AbciAnswer:
        """The application's Query; height 0 is the newest. A refusal of the application is in `code`."""
        doc = await self.call("abci_query", path=path, data=data.hex(), height=str(height), prove=prove)
        try:
            answer = doc["response"]
            return AbciAnswer(
                code=int(answer.get("code", 0)),
                codespace=answer.get("codespace") or "",
                log=answer.get("log") or "",
                key=base64.b64decode(answer.get("key") or ""),
                value=base64.b64decode(answer.get("value") or ""),
                height=int(answer.get("height") or 0),
                proof_ops=_proof_ops(answer.get("proofOps")),
            )
        except PARSE_ERRORS as error:
            raise self._bad("abci_query", error) from error

    async def broadcast_tx_sync(self, tx: bytes) -> Accepted:
        """Hand a transaction to the mempool; the answer is CheckTx's."""
        doc = await self.call("broadcast_tx_sync", tx=base64.b64encode(tx).decode())
        try:
            return Accepted(
                code=int(doc["code"]),
                codespace=doc.get("codespace") or "",
                log=doc.get("log") or "",
                tx_hash=str(doc["hash"]).upper(),
            )
        except PARSE_ERRORS as error:
            raise self._bad("broadcast_tx_sync", error) from error

    async def broadcast_evidence(self, evidence: Mapping[str, Json]) -> dict[str, Json]:
        """Report a validator's double vote or a light client attack, in CometBFT's JSON form."""
        return await self.call("broadcast_evidence", evidence=dict(evidence))

    async def genesis(self) -> dict[str, Json]:
        """The genesis document."""
        return dict((await self.call("genesis"))["genesis"])

    async def consensus_params(self, height: int | None = None) -> dict[str, Json]:
        """Consensus parameters at a height."""
        return dict((await self.call("consensus_params", **_at(height)))["consensus_params"])

    async def net_info(self) -> dict[str, Json]:
        """Peers of the node."""
        return await self.call("net_info")


PARSE_ERRORS = (KeyError, TypeError, ValueError, AttributeError, binascii.Error, ToolError)


def _at(height: int | None) -> dict[str, str]:
    return {} if height is None else {"height": str(height)}


def _tx_result(doc: Mapping[str, Json]) -> TxResult:
    return TxResult(
        code=int(doc.get("code", 0)),
        codespace=doc.get("codespace") or "",
        log=doc.get("log") or "",
        data=base64.b64decode(doc.get("data") or ""),
        gas_wanted=int(doc.get("gas_wanted", 0)),
        gas_used=int(doc.get("gas_used", 0)),
        events=comet_json.events(doc.get("events")),
    )


def _proof_ops(doc: Mapping[str, Json] | None) -> cmt_proof.ProofOps:
    ops = (doc or {}).get("ops") or ()
    return cmt_proof.ProofOps(
        ops=[
            cmt_proof.ProofOp(type=op["type"], key=base64.b64decode(op["key"]), data=base64.b64decode(op["data"]))
            for op in ops
        ]
    )
