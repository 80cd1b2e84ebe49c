"""The durable index of a Fabric microgrid: blocks (ticks), transactions, events, what waits, how far it was followed.

| table | key | value |
|---|---|---|
| `blocks` | height, 8 bytes | node.v1.BlockResponse: transactions, results, events |
| `places` | height | number of the Fabric block, its header's hash, hash of the state |
| `txs` | transaction id, 32 bytes | height 8, place 4 |
| `terms` | term, height, place | other places of that height with the term (fabric_adapter.node.terms) |
| `inbox` | number of the Fabric block 8, place 4 | ticket 40, InboxTx |
| `waiting` | transaction id | key in `inbox` |
| `meta` | `link` | number of the next Fabric block, hash of the header before it |

A Fabric block and all that follows from it is one write transaction. The state has its own database, whose commit
comes after it: whoever sees a state finds its block. A kill between the two, or a machine that crashes and takes the
state's last commit with it, leaves the index ahead: then it goes back to where the state is (`rewind`), and the same
blocks come again. The other way round, a crash may take the index's last commit (LMDB's `metasync` is off, which keeps
all before it): then the same blocks come again to a state that has taken them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lmdb

from cosmos_wire.protos import fabric_microgrid, node_service
from fabric_adapter.deliver import Link
from fabric_adapter.microgrid.layout import TICKET_BYTES, TIME_BYTES
from fabric_adapter.node.ledger_block import DamagedBlockError, LedgerBlock, Tick, inbox_writes
from fabric_adapter.node.shown import tx_of
from fabric_adapter.node.terms import HOOKS, PLACE, WHERE, Bounds, Where, terms
from microgrid.query.query_core import QueryError, Status

InboxTx = fabric_microgrid.InboxTx
BlockResponse = node_service.BlockResponse

MAP_BYTES = 64 << 30  # address space; the file grows as it is used
READERS_MAX = 510
HASH_BYTES = 32
FOUND_MAX = 200_000  # entries that one condition of a search may look at
_NUMBER = struct.Struct(">Q")
_PLACE = struct.Struct(">Q32s32s")
TABLES = ("blocks", "places", "txs", "terms", "inbox", "waiting", "meta")


@dataclass(frozen=True, slots=True, kw_only=True)
class TickPlace:
    """Where a tick stands on the ledger."""

    block: int
    block_hash: bytes
    state_hash: bytes


class Index:
    """One writer (`apply`, `rewind`); any thread reads."""

    def __init__(self, path: Path, *, sync: bool = True) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._env = lmdb.open(
            str(path),
            map_size=MAP_BYTES,
            max_dbs=len(TABLES),
            max_readers=READERS_MAX,
            sync=sync,
            metasync=False,
            readahead=False,
        )
        self._tables = {name: self._env.open_db(name.encode()) for name in TABLES}
        self._env.reader_check()

    def close(self) -> None:
        """End it."""
        self._env.close()

    @property
    def link(self) -> Link:
        """The next block to follow."""
        with self._env.begin() as txn:
            data = txn.get(b"link", None, self._tables["meta"])
        if data is None:
            return Link()
        raw = bytes(data)
        return Link(number=_NUMBER.unpack_from(raw)[0], previous_hash=raw[_NUMBER.size :])

    @property
    def height(self) -> int:
        """Of the last tick, 0 before the first."""
        with self._env.begin() as txn, txn.cursor(self._tables["blocks"]) as cursor:
            return int(_NUMBER.unpack(bytes(cursor.key()))[0]) if cursor.last() else 0

    def record(self, height: int) -> bytes | None:
        """BlockResponse bytes of a tick."""
        return self._get("blocks", _NUMBER.pack(height))

    def place(self, height: int) -> TickPlace | None:
        """Where a tick stands."""
        data = self._get("places", _NUMBER.pack(height))
        if data is None:
            return None
        block, block_hash, state_hash = _PLACE.unpack(data)
        return TickPlace(block=block, block_hash=block_hash, state_hash=state_hash)

    def where(self, tx_id: bytes) -> Where | None:
        """Height and place of a transaction that was executed."""
        data = self._get("txs", tx_id)
        return None if data is None else WHERE.unpack(data)

    def waiting(self, count: int) -> list[bytes]:
        """Tickets of the transactions that wait for a tick, in the ledger's order."""
        found: list[bytes] = []
        with self._env.begin() as txn, txn.cursor(self._tables["inbox"]) as cursor:
            for value in cursor.iternext(keys=False, values=True):
                if len(found) >= count:
                    break
                found.append(bytes(value)[:TICKET_BYTES])
        return found

    def find(self, bounds: Bounds) -> set[Where]:
        """Places of all terms between two keys; raises RESOURCE_EXHAUSTED for too many."""
        first, behind = bounds
        found: set[Where] = set()
        with self._env.begin() as txn, txn.cursor(self._tables["terms"]) as cursor:
            if not cursor.set_range(first):
                return found
            for key, value in cursor.iternext():
                raw = bytes(key)
                if raw[: -WHERE.size] >= behind:
                    break
                height, place = WHERE.unpack(raw[-WHERE.size :])
                found.add((height, place))
                found.update([(height, other) for (other,) in PLACE.iter_unpack(value)])
                if len(found) > FOUND_MAX:
                    raise QueryError(
                        Status.RESOURCE_EXHAUSTED, f"expected at most {FOUND_MAX} matches of a condition, got more"
                    )
        return found

    def apply(self, block: LedgerBlock, ticks: Sequence[Tick]) -> None:
        """Take a block, all or nothing. The same block may come again after `rewind`."""
        with self._writing() as work:
            for tx in block.txs:
                for ticket, value in inbox_writes(tx.writes):
                    if value is not None:
                        work.wait(block.number, tx.place, ticket + value)
            for tick in ticks:
                work.tick(block, tick)
            work.put("meta", b"link", _NUMBER.pack(block.link.number) + block.link.previous_hash)

    def rewind(self, height: int) -> None:
        """Follow again from behind a tick: the state has no later one."""
        place = self.place(height)
        link = b"" if place is None else _NUMBER.pack(place.block + 1) + place.block_hash
        with self._writing() as work:
            if link:
                work.put("meta", b"link", link)
            else:
                work.delete("meta", b"link")

    def _get(self, table: str, key: bytes) -> bytes | None:
        with self._env.begin() as txn:
            found = txn.get(key, None, self._tables[table])
        return None if found is None else bytes(found)

    @contextmanager
    def _writing(self) -> Iterator[_Work]:
        with self._env.begin(write=True) as txn:
            yield _Work(txn, self._tables)


class _Work:
    """One write transaction."""

    def __init__(self, txn: lmdb.Transaction, tables: dict[str, lmdb._Database]) -> None:
        self._txn, self._tables = txn, tables

    def put(self, table: str, key: bytes, value: bytes) -> None:
        self._txn.put(key, value, db=self._tables[table])

    def delete(self, table: str, key: bytes) -> None:
        self._txn.delete(key, db=self._tables[table])

    def wait(self, block: int, place: int, waiting: bytes) -> None:
        """A transaction was taken into the inbox: ticket and InboxTx."""
        key = WHERE.pack(block, place)
        self.put("inbox", key, waiting)
        self.put("waiting", waiting[TIME_BYTES:TICKET_BYTES], key)

    def tick(self, block: LedgerBlock, tick: Tick) -> None:
        """A tick with the transactions that it executed; one that comes again finds most of them executed already."""
        height = int(tick.record.height)
        key, results = _NUMBER.pack(height), tick.event.results.tx_results
        if self._txn.get(key, None, self._tables["blocks"]) is not None:
            for tx_id in tick.event.tx_ids:
                self._taken(tx_id)
            return
        made = BlockResponse(height=height, time_ns=tick.record.time_ns, hook_events=tick.event.results.events)
        holders: dict[bytes, list[int]] = {}  # places of a term, ascending
        for place, (tx_id, result) in enumerate(zip(tick.event.tx_ids, results, strict=True)):
            made.txs.add(hash=tx_id.upper(), tx=self._shown(tx_id, height), result=result)
            self.put("txs", bytes.fromhex(tx_id), WHERE.pack(height, place))
            for term in terms(result.events):
                holders.setdefault(term, []).append(place)
        for term in terms(made.hook_events):
            holders.setdefault(term, []).append(HOOKS)
        entries = [(term + WHERE.pack(height, found[0]), _packed(found[1:])) for term, found in holders.items()]
        with self._txn.cursor(self._tables["terms"]) as cursor:
            cursor.putmulti(sorted(entries))
        self.put("blocks", key, made.SerializeToString(deterministic=True))
        self.put("places", key, _PLACE.pack(block.number, block.header_hash, tick.record.state_hash))

    def _shown(self, tx_id: str, height: int) -> bytes:
        found = self._taken(tx_id)
        if found is None:
            raise DamagedBlockError(f"tick {height}: expected transaction {tx_id} in the inbox, got none")
        return tx_of(InboxTx.FromString(found[TICKET_BYTES:]))

    def _taken(self, tx_id: str) -> bytes | None:
        """Out of the inbox, if it is in it."""
        name = bytes.fromhex(tx_id)
        key = self._txn.pop(name, self._tables["waiting"])
        found = None if key is None else self._txn.pop(bytes(key), self._tables["inbox"])
        return None if found is None else bytes(found)


def _packed(places: Sequence[int]) -> bytes:
    return b"".join(map(PLACE.pack, places))
