"""What the state does not hold: blocks, transactions, validators, and how to learn of a new block; on any ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cosmos_wire.protos import Timestamp, abci, base_abci, cmt_block, cmt_p2p, cmt_query, cmt_types, node_service


class Bell:
    """Rings when a new block may be there. Whoever waits looks at `rung` before he looks for the block."""

    def __init__(self) -> None:
        self.rung = 0
        self._next = asyncio.Event()

    def ring(self) -> None:
        """Wake all who wait; on the event loop's thread."""
        self.rung += 1
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self, seen: int, timeout_s: float) -> None:
        """Return when it has rung since `rung` was `seen`, or after so long."""
        if self.rung != seen:
            return
        try:
            await asyncio.wait_for(self._next.wait(), timeout_s)
        except TimeoutError:
            return


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """Events of one successful transaction, or of a block's hooks (no hash, after all transactions)."""

    height: int
    index: int
    tx_hash: str
    events: Sequence[abci.Event]


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeBlock:
    """A block in CometBFT's form; what has no meaning on another ledger is empty."""

    block: cmt_block.Block
    block_id: cmt_types.BlockID


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTx:
    """A transaction in a block."""

    tx_hash: str  # upper-case hex
    height: int
    time: Timestamp
    tx: bytes
    result: abci.ExecTxResult


@dataclass(frozen=True, slots=True, kw_only=True)
class TxSearch:
    """A page of a search. `query` is in CometBFT's language; pages count from 1; order `asc`, `desc` or empty."""

    query: str
    page: int
    limit: int
    order: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTxs:
    """The page, and how many there are on all pages."""

    total: int
    txs: Sequence[FoundTx]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorPage:
    """Some of the set that votes on a block, in the SDK's form; consensus addresses beside it."""

    height: int
    total: int
    validators: Sequence[cmt_query.Validator]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerNode:
    """The node below this one: what it says of itself, and which software it is (module path, version)."""

    info: cmt_p2p.DefaultNodeInfo
    module: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerStatus:
    """How far that node is."""

    height: int
    time: Timestamp
    earliest: int
    app_hash: bytes
    is_catching_up: bool


class Blocks(Protocol):
    """The blocks of one chain by one node. Methods raise QueryError, UNIMPLEMENTED for what such a ledger has not."""

    @property
    def kind(self) -> str:
        """Of the ledger: cometbft, fabric, fabric-embedded."""

    @property
    def provable(self) -> bool:
        """Whether the ledger vouches for the state's root, so that proofs of keys under it mean anything."""

    @property
    def bell(self) -> Bell:
        """Rings after the state of a new block is durable."""

    async def earliest(self, head: int) -> int:
        """Lowest height that `record` knows while `head` is the newest."""

    async def record(self, height: int) -> node_service.BlockResponse:
        """A block and what came of it; NOT_FOUND."""

    async def emitted(self, wanted: node_service.EventsRequest) -> Sequence[Emitted]:
        """By the index: all that may have such an event, and perhaps others."""

    async def block(self, height: int | None) -> WholeBlock:
        """A block, None for the newest."""

    async def header(self, height: int) -> cmt_types.Header:
        """Of a block."""

    async def tx(self, digest: bytes) -> FoundTx:
        """A transaction by its hash; NOT_FOUND."""

    async def search(self, wanted: TxSearch) -> FoundTxs:
        """Transactions by their events."""

    async def broadcast(self, mode: int, data: bytes) -> base_abci.TxResponse:
        """Hand a transaction in; mode is one of `cosmos.tx.v1beta1.BroadcastMode`."""

    async def validators(self, height: int | None, page: int, limit: int) -> ValidatorPage:
        """A page, counted from 1, of the set at a height (None: the newest)."""

    async def node(self) -> LedgerNode:
        """Who answers."""

    async def status(self) -> LedgerStatus:
        """How far it is."""
