"""The state in memory: what submitted transactions are tried on, and what a Tick is computed from.

A state is known by its chained hash. One that a Tick computed waits as changes above its parent until the ledger shows
its hash; if the ledger never does, it is dropped. States don't change, so that any thread may read one while another
makes the next.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

from fabric_adapter.microgrid.app_log import Buckets
from ibc_core.fabric.records import TickRecord
from ibc_core.host import BlockEnv, MemoryStore, Overlay, Store
from microgrid import system
from microgrid.state_api import APP, STORES, Changes

CONFIRMED_KEPT = 3  # a transaction may still be looking at the ledger as it was a moment ago
PROPOSED_KEPT = 8  # several writers, each of whom may have lost


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The state after one tick, read only."""

    record: TickRecord
    env: BlockEnv
    stores: Mapping[str, Store]
    buckets: Buckets  # of the store `app`


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A state that a Tick computed and that the ledger has not shown yet."""

    parent: State
    record: TickRecord
    changes: Changes
    buckets: Buckets

    def view(self) -> State:
        """The changes above the parent, to read through."""
        return state_of(self.record, {name: _above(self.parent, self.changes, name) for name in STORES}, self.buckets)

    def settled(self) -> State:
        """In stores of its own."""
        stores = {name: _merged(self.parent.stores[name], self.changes[name]) for name in STORES}
        return state_of(self.record, stores, self.buckets)


def state_of(record: TickRecord, stores: Mapping[str, Store], buckets: Buckets) -> State:
    """The state with the environment of its tick."""
    return State(record=record, env=system.block_env(stores[APP]), stores=stores, buckets=buckets)


def store_of(data: dict[bytes, bytes]) -> MemoryStore:
    """A store of pairs."""
    return MemoryStore(data)


def _above(parent: State, changes: Changes, name: str) -> Store:
    made = Overlay(parent.stores[name])
    made.changes, made.order = dict(changes[name]), sorted(changes[name])
    return made


def _merged(store: Store, changes: Mapping[bytes, bytes | None]) -> MemoryStore:
    """A copy with the changes: a few milliseconds for 100,000 keys, most of which are not looked at."""
    assert isinstance(store, MemoryStore)
    data, before = store.data.copy(), store.keys
    keys: list[bytes] = []
    at = 0  # in `before`: of what lies in front of it, `keys` has what is left
    for key in sorted(changes):
        value, was_there = changes[key], key in data
        if value is None:
            data.pop(key, None)
        else:
            data[key] = value
        if was_there == (value is not None):
            continue
        place = bisect_left(before, key, at)
        keys += before[at:place]
        at = place + was_there
        if not was_there:
            keys.append(key)
    keys += before[at:]
    return MemoryStore(data, keys)


class Image:
    """All states that this process knows. Any thread may call."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._confirmed: OrderedDict[bytes, State] = OrderedDict()  # by hash, the newest last
        self._proposed: OrderedDict[bytes, Proposed] = OrderedDict()
        self._views: tuple[State, ...] = ()

    @property
    def views(self) -> tuple[State, ...]:
        """What a new transaction may meet: the last state, and what the newest Tick would make of it. Maybe none."""
        return self._views

    def load(self, state: State) -> None:
        """Take over what was read off the ledger, unless it is known; a ledger that began anew drops the old one."""
        with self._lock:
            if state.record.state_hash in self._confirmed:
                return
            if self._views and state.record.height <= self._views[0].record.height:
                self._confirmed.clear()
                self._proposed.clear()
            self._confirm(state)

    def propose(self, state: Proposed) -> None:
        """Keep what a Tick computed."""
        with self._lock:
            self._proposed[state.record.state_hash] = state
            while len(self._proposed) > PROPOSED_KEPT:
                self._proposed.popitem(last=False)
            self._look()

    def at(self, record: TickRecord) -> State | None:
        """The state that the ledger's tick record names, None when this process does not know it."""
        known = self._confirmed.get(record.state_hash)
        if known is not None:
            return known
        with self._lock:
            return self._settle(record.state_hash)

    def _settle(self, state_hash: bytes) -> State | None:
        found = self._proposed.get(state_hash)
        if found is None:
            return self._confirmed.get(state_hash)  # another thread was quicker
        made = found.settled()
        self._confirm(made)
        return made

    def _confirm(self, state: State) -> None:
        self._confirmed[state.record.state_hash] = state
        kept = sorted(self._confirmed.items(), key=lambda item: item[1].record.height)[-CONFIRMED_KEPT:]
        self._confirmed = OrderedDict(kept)
        last = kept[-1][1].record.height
        for state_hash, waiting in list(self._proposed.items()):
            if waiting.record.height <= last:
                del self._proposed[state_hash]
        self._look()

    def _look(self) -> None:
        if not self._confirmed:
            return
        last = next(reversed(self._confirmed.values()))
        above = [each for each in self._proposed.values() if each.parent is last]
        self._views = (last, *(each.view() for each in reversed(above[-1:])))
