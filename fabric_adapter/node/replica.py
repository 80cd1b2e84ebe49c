"""The state and the index of a front, brought forward together, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cosmos_wire.protos import node_service
from fabric_adapter.deliver import Link, WrongBlockError
from fabric_adapter.microgrid import layout
from fabric_adapter.node.index import Index
from fabric_adapter.node.ledger_block import DamagedBlockError, LedgerBlock, Tick
from microgrid.operator import Operator
from microgrid.store import StateDb, StoreOptions

NOBODY = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class TickHead:
    """The last tick; `creator` proposed it, empty when nobody knows any more."""

    height: int
    time_ns: int
    creator: bytes = NOBODY


class Replica:
    """One thread at a time calls `apply`; the state may be read from any."""

    def __init__(self, state: StateDb, index: Index) -> None:
        self.state, self.index = state, index
        if state.height < index.height:
            index.rewind(state.height)
        self.link: Link = index.link
        self.head: TickHead | None = self._last()

    @classmethod
    def open(cls, folder: Path, operator: Operator) -> Replica:
        """Of a front's home."""
        options = StoreOptions(versions_kept=operator.versions_kept, map_size=operator.map_bytes)
        state = StateDb.open(folder / "state", options)
        return cls(state, Index(folder / "index"))

    def close(self) -> None:
        """End both."""
        self.index.close()
        self.state.close()

    def apply(self, block: LedgerBlock) -> None:
        """Take the next block: the index first, then the state, so that whoever sees a state finds its block."""
        ticks = tuple(block.ticks())
        new = [tick for tick in ticks if self._is_new(tick)]
        self.index.apply(block, ticks)
        for tick in new:
            self.state.commit(self.state.put(tick.changes), int(tick.record.height), b"")
        self.link = block.link
        for tick in ticks:
            self.head = TickHead(height=int(tick.record.height), time_ns=int(tick.record.time_ns), creator=tick.creator)

    def _is_new(self, tick: Tick) -> bool:
        """Whether the state has yet to take it: not when the index forgot that it had. Raises for any but the next."""
        height = int(tick.record.height)
        if height <= self.state.height:
            return False
        if height != self.state.height + 1:
            raise WrongBlockError(f"expected tick {self.state.height + 1}, got tick {height}")
        before = self.index.place(height - 1)
        expected = layout.chained_hash(
            layout.FIRST_HASH if before is None else before.state_hash, tick.record, layout.changed(tick.changes)
        )
        if tick.record.state_hash != expected:
            raise DamagedBlockError(
                f"tick {height}: expected the state hash {expected.hex()} by what it writes, "
                f"got {tick.record.state_hash.hex()}"
            )
        return True

    def _last(self) -> TickHead | None:
        height = min(self.index.height, self.state.height)
        data = self.index.record(height) if height else None
        if data is None:
            return None
        found = node_service.BlockResponse.FromString(data)
        return TickHead(height=height, time_ns=int(found.time_ns))
