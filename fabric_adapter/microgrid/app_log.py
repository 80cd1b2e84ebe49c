"""The store `app` on the ledger: what each Tick changed, and bit by bit the whole of it again.

A write costs a message to each peer, and a Tick of many transactions changes many keys. Nobody attests keys of this
store, so that a Tick writes all its changes as one value. So that nobody has to read all of them from the first
on, keys are dealt into buckets by their hash, and each Tick writes one bucket, whose turn it is, as it has become.
`BUCKETS` Ticks later every bucket was written since, and a Tick's changes go.

    app/delta/<height, 16 hex digits>      StoreChanges
    app/base/<bucket, 3 hex digits>        StoreChanges, none removed; height mod 1024 is the bucket
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import NamedTuple, TypeAlias

from cosmos_wire.protos import fabric_microgrid
from fabric_adapter.microgrid.errors import NoImageError
from fabric_adapter.stub import Stub
from fabric_wire import strict
from ibc_core.host import Store

StoreChange: TypeAlias = fabric_microgrid.StoreChange
StoreChanges: TypeAlias = fabric_microgrid.StoreChanges
DELTA, BASE = "app/delta/", "app/base/"
BUCKETS = 1024
HASH_BITS = 16  # of a key's hash; those above say which bucket
READ_TOGETHER = 16  # values of one range query: a page of a peer's holds up to 100, however long they are
LOOSE_MAX = 32


class Bucket(NamedTuple):
    """Keys: a set that states share, and what came and went since, at most LOOSE_MAX; so that a Tick copies little."""

    most: frozenset[bytes] = frozenset()
    new: frozenset[bytes] = frozenset()  # none of `most`
    gone: frozenset[bytes] = frozenset()  # all of `most`

    def whole(self) -> frozenset[bytes]:
        """All of them."""
        return (self.most - self.gone) | self.new if self.gone else self.most | self.new

    def after(self, changes: Iterable[tuple[bytes, bool]]) -> Bucket:
        """With keys that come (true) or go; itself when each is there, or absent, already."""
        most, new, gone = self.most, set(self.new), set(self.gone)
        for key, comes in changes:
            apart, back = (new, gone) if comes else (gone, new)
            if key in back:
                back.remove(key)
            elif (key in most) != comes:
                apart.add(key)
        if new == self.new and gone == self.gone:
            return self
        made = Bucket(most, frozenset(new), frozenset(gone))
        return made if len(new) + len(gone) <= LOOSE_MAX else Bucket(made.whole())


Buckets: TypeAlias = tuple[Bucket, ...]
EMPTY: Buckets = (Bucket(),) * BUCKETS


def delta_key(height: int) -> str:
    """Ledger key of a Tick's changes."""
    return f"{DELTA}{height:016x}"


def base_key(bucket: int) -> str:
    """Ledger key of a bucket."""
    return f"{BASE}{bucket:03x}"


def bucket_of(key: bytes) -> int:
    """Where a key belongs."""
    return int.from_bytes(sha256(key).digest()[: HASH_BITS // 8], "big") * BUCKETS >> HASH_BITS


def buckets_of(keys: Iterable[bytes]) -> Buckets:
    """All keys of a store, dealt."""
    dealt: list[list[bytes]] = [[] for _ in range(BUCKETS)]
    for key in keys:
        dealt[bucket_of(key)].append(key)
    return tuple([Bucket(frozenset(part)) for part in dealt])


def moved(before: Buckets, changes: Mapping[bytes, bytes | None]) -> Buckets:
    """The buckets after changes; those that nothing came to or left are the same objects."""
    dealt: dict[int, list[tuple[bytes, bool]]] = {}
    for key, value in changes.items():
        dealt.setdefault(bucket_of(key), []).append((key, value is not None))
    after = list(before)
    for number, part in dealt.items():
        after[number] = before[number].after(part)
    return tuple(after)


def writes(
    height: int, changes: Mapping[bytes, bytes | None], buckets: Buckets, store: Store
) -> Iterator[tuple[str, bytes | None]]:
    """What a Tick does on the ledger; `buckets` and `store` are those after it."""
    number = height % BUCKETS
    yield base_key(number), _packed(height, {key: store.get(key) for key in buckets[number].whole()})
    yield delta_key(height), _packed(height, changes)
    if height > BUCKETS:
        yield delta_key(height - BUCKETS), None


def _packed(height: int, pairs: Mapping[bytes, bytes | None]) -> bytes:
    made = StoreChanges(height=height)
    for key, value in sorted(pairs.items()):
        made.changes.add(key=key, value=value or b"")
    return strict.write(made)


def changes_of(found: StoreChanges) -> dict[bytes, bytes | None]:
    """Out of a value of this log."""
    return {item.key: item.value or None for item in found.changes}


def read(stub: Stub, height: int) -> dict[bytes, bytes]:
    """The store after a Tick, which is the ledger's last one; raises NoImageError when the log has a gap."""
    data, heights = _base(stub)
    expected = max(1, height - BUCKETS + 1)
    for found in _deltas(stub, expected, height):
        if found.height != expected:
            break
        expected += 1
        for item in found.changes:
            if found.height <= heights[bucket_of(item.key)]:
                continue
            if item.value:
                data[item.key] = item.value
            else:
                data.pop(item.key, None)
    if expected != height + 1:
        raise NoImageError(f"no changes of tick {expected} on its ledger, whose last tick is {height}")
    return data


def _base(stub: Stub) -> tuple[dict[bytes, bytes], list[int]]:
    """All pairs out of buckets, and as of which height each bucket is."""
    data: dict[bytes, bytes] = {}
    heights = [0] * BUCKETS
    for first in range(0, BUCKETS, READ_TOGETHER):
        for key, value in stub.range(base_key(first), base_key(first + READ_TOGETHER)):
            found = StoreChanges.FromString(value)
            heights[int(key.removeprefix(BASE), 16)] = found.height
            data.update((item.key, item.value) for item in found.changes)
    return data, heights


def _deltas(stub: Stub, first: int, last: int) -> Iterator[StoreChanges]:
    for low in range(first, last + 1, READ_TOGETHER):
        for _, value in stub.range(delta_key(low), delta_key(min(low + READ_TOGETHER, last + 1))):
            yield StoreChanges.FromString(value)
