"""A Fabric microgrid's blocks (its ticks) as queries show them, out of the front's index."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn, TypeVar

from cosmos_wire.protos import abci, base_abci, cmt_block, cmt_p2p, cmt_types, node_service
from fabric_adapter.node import terms
from fabric_adapter.node.follower import Follower
from fabric_adapter.node.index import Index
from fabric_adapter.node.terms import HEIGHT, HOOKS, Condition, Where
from microgrid import system
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
from microgrid.query.query_core import QueryError, Status
from microgrid.state_api import APP

T = TypeVar("T")

RECORDS_KEPT = 128
HASH_BYTES = 32
FOUND_MAX = 10_000  # transactions of one search, as on CometBFT
NO_BROADCAST = (
    "this chain runs on Hyperledger Fabric: a member submits transactions by a peer's Gateway service "
    "(chaincode function Submit), signed with the key of his certificate; a node takes none"
)
NO_VALIDATORS = (
    "this chain runs on Hyperledger Fabric: it has no validators, the member organisations' peers endorse its blocks"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a front says of itself: kind of the ledger, organisation, software below (module path, version)."""

    kind: str
    moniker: str
    module: tuple[str, str]


class FabricBlocks:
    """A `microgrid.query.blocks.Blocks`."""

    provable = False  # its state has no root that anybody signed: proofs are attestations

    def __init__(self, follower: Follower, described: Described) -> None:
        self._follower, self._described = follower, described
        self._index: Index = follower.replica.index
        self._read = lru_cache(maxsize=RECORDS_KEPT)(self._parsed)

    @property
    def kind(self) -> str:
        """Of the ledger."""
        return self._described.kind

    @property
    def bell(self) -> Bell:
        """The follower's."""
        return self._follower.bell

    @property
    def _height(self) -> int:
        return self._follower.replica.state.height

    async def earliest(self, head: int) -> int:
        """All blocks are kept."""
        return min(1, head)

    async def record(self, height: int) -> node_service.BlockResponse:
        """Out of the index."""
        return self._record(height)

    async def emitted(self, wanted: node_service.EventsRequest) -> Sequence[Emitted]:
        """By the index of terms; a transaction that failed has no events of its messages."""
        return await asyncio.to_thread(self._emitted, terms.conditions_of(wanted))

    async def block(self, height: int | None) -> WholeBlock:
        """Header, transactions; the hash is that of the Fabric block that holds the tick."""
        found = self._record(self._asked(height))
        made = cmt_block.Block(header=self._header(found))
        made.data.txs.extend(item.tx for item in found.txs)
        made.evidence.SetInParent()
        made.last_commit.SetInParent()
        return WholeBlock(block=made, block_id=cmt_types.BlockID(hash=self._hash(int(found.height))))

    async def header(self, height: int) -> cmt_types.Header:
        """Chain id, height, time, hash of the state after the tick; what only CometBFT has is empty."""
        return self._header(self._record(self._asked(height)))

    async def tx(self, digest: bytes) -> FoundTx:
        """By its transaction id."""
        where = self._index.where(digest)
        if where is None:
            raise QueryError(Status.NOT_FOUND, f"tx ({digest.hex()}) not found")
        return self._found(where)

    async def search(self, wanted: TxSearch) -> FoundTxs:
        """By the index of terms."""
        return await asyncio.to_thread(self._search, wanted)

    async def broadcast(self, _mode: int, _data: bytes) -> base_abci.TxResponse:
        """Not here."""
        _not_here(NO_BROADCAST)

    async def validators(self, _height: int | None, _page: int, _limit: int) -> ValidatorPage:
        """There are none."""
        _not_here(NO_VALIDATORS)

    async def node(self) -> LedgerNode:
        """The front itself."""
        info = cmt_p2p.DefaultNodeInfo(network=self._chain_id(), moniker=self._described.moniker)
        info.other.tx_index = "on"
        return LedgerNode(info=info, module=self._described.module)

    async def status(self) -> LedgerStatus:
        """The replica's."""
        found = self._record(self._asked(None))
        header = self._header(found)
        return LedgerStatus(
            height=int(found.height),
            time=header.time,
            earliest=1,
            app_hash=header.app_hash,
            is_catching_up=not self._follower.caught_up.is_set(),
        )

    def _asked(self, height: int | None) -> int:
        last = self._height
        if height is not None and height > last:
            raise QueryError(
                Status.UNKNOWN, f"height {height} must be less than or equal to the current blockchain height {last}"
            )
        if not last:
            raise QueryError(Status.UNAVAILABLE, "expected a chain with blocks, got one that has not begun")
        return height or last

    def _record(self, height: int) -> node_service.BlockResponse:
        if not 0 < height <= self._height:
            raise QueryError(Status.NOT_FOUND, f"block {height} not found: the newest is {self._height}")
        return self._read(height)

    def _parsed(self, height: int) -> node_service.BlockResponse:
        data = self._index.record(height)
        if data is None:
            raise QueryError(Status.NOT_FOUND, f"block {height} not found in the index")
        return node_service.BlockResponse.FromString(data)

    def _chain_id(self) -> str:
        return system.block_env(self._follower.replica.state.store(APP)).chain_id

    def _hash(self, height: int) -> bytes:
        place = self._index.place(height)
        return b"" if place is None else place.block_hash

    def _header(self, found: node_service.BlockResponse) -> cmt_types.Header:
        height = int(found.height)
        made = cmt_types.Header(chain_id=self._chain_id(), height=height)
        made.time.FromNanoseconds(int(found.time_ns))
        made.last_block_id.hash = self._hash(height - 1)
        place = self._index.place(height)
        made.app_hash = b"" if place is None else place.state_hash
        made.version.SetInParent()
        return made

    def _found(self, where: Where) -> FoundTx:
        height, place = where
        record = self._record(height)
        item = record.txs[place]
        return FoundTx(tx_hash=item.hash, height=height, time=self._header(record).time, tx=item.tx, result=item.result)

    def _events(self, where: Where) -> Sequence[abci.Event]:
        height, place = where
        record = self._record(height)
        return record.hook_events if place == HOOKS else record.txs[place].result.events

    def _emitted(self, conditions: Sequence[Condition]) -> list[Emitted]:
        return [self._carrier(where) for where in self._matching(conditions) if self._is_good(where)]

    def _is_good(self, where: Where) -> bool:
        height, place = where
        return place == HOOKS or not self._record(height).txs[place].result.code

    def _carrier(self, where: Where) -> Emitted:
        height, place = where
        tx_hash = "" if place == HOOKS else self._record(height).txs[place].hash
        return Emitted(height=height, index=place, tx_hash=tx_hash, events=self._events(where))

    def _search(self, wanted: TxSearch) -> FoundTxs:
        found = self._transactions(terms.parse(wanted.query))
        if wanted.order == "desc":
            found.reverse()
        pages = max(1, -(-len(found) // wanted.limit))
        if not 0 < wanted.page <= pages:
            raise QueryError(Status.UNKNOWN, f"page should be within [1, {pages}] range, given {wanted.page}")
        first = (wanted.page - 1) * wanted.limit
        page = found[first : first + wanted.limit]
        return FoundTxs(total=len(found), txs=[self._found(where) for where in page])

    def _transactions(self, conditions: Sequence[Condition]) -> list[Where]:
        """Of a query, whose terms may also be about transactions themselves: `tx.hash`, `tx.height`."""
        own = [item for item in conditions if item.key in (terms.HASH, HEIGHT)]
        events = [item for item in conditions if item not in own]
        found = self._matching(events) if events else self._all(own)
        return [where for where in found if where[1] != HOOKS and all(self._fits(where, item) for item in own)]

    def _fits(self, where: Where, condition: Condition) -> bool:
        if condition.key == HEIGHT:
            return condition.holds(str(where[0]))
        return self._record(where[0]).txs[where[1]].hash == condition.value.upper()

    def _all(self, own: Sequence[Condition]) -> Iterable[Where]:
        """Candidates by hash or height alone."""
        hashes = [item.value for item in own if item.key == terms.HASH and item.op == "="]
        if hashes:
            return self._by_hash(hashes[0])
        heights = [height for height in range(1, self._height + 1) if _within(height, own)]
        _bounded(len(heights))
        return [(height, place) for height in heights for place in range(len(self._record(height).txs))]

    def _by_hash(self, text: str) -> list[Where]:
        try:
            digest = bytes.fromhex(text)
        except ValueError:
            return []
        where = self._index.where(digest) if len(digest) == HASH_BYTES else None
        return [] if where is None else [where]

    def _matching(self, conditions: Sequence[Condition]) -> list[Where]:
        """Where all conditions hold, first to last."""
        candidates = set.intersection(*(self._index.find(item.bounds()) for item in conditions))
        _bounded(len(candidates))
        known = [where for where in sorted(candidates) if where[0] <= self._height]
        return [where for where in known if terms.match(self._events(where), conditions)]


def _within(height: int, own: Sequence[Condition]) -> bool:
    return all(item.holds(str(height)) for item in own if item.key == HEIGHT)


def _bounded(count: int) -> None:
    if count > FOUND_MAX:
        raise QueryError(Status.RESOURCE_EXHAUSTED, f"expected at most {FOUND_MAX} matches, got {count}: narrow it")


def _not_here(why: str) -> NoReturn:
    raise QueryError(Status.UNIMPLEMENTED, why)
