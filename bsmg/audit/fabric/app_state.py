"""The modules' state as a ledger's log of it says, and what the log itself has to be (docs/fabric.md)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from cosmos_wire.protos import fabric_microgrid

BUCKETS = 1024
APP = "app/"


class AppState:
    """All pairs, by bucket: the first ten bits of a key's SHA-256."""

    def __init__(self) -> None:
        self._buckets: list[dict[bytes, bytes]] = [{} for _ in range(BUCKETS)]

    def pairs(self) -> dict[bytes, bytes]:
        """All of it."""
        return {key: value for bucket in self._buckets for key, value in bucket.items()}

    def take(self, height: int, writes: Mapping[str, bytes | None]) -> dict[bytes, bytes | None]:
        """The changes of a Tick; none when it wrote none. Raises DecodeError."""
        found = fabric_microgrid.StoreChanges.FromString(writes.get(_delta(height)) or b"")
        changes = {item.key: item.value or None for item in found.changes}
        for key, value in changes.items():
            bucket = self._buckets[int(sha256(key).hexdigest()[:4], 16) * BUCKETS >> 16]
            if value is None:
                bucket.pop(key, None)
            else:
                bucket[key] = value
        return changes

    def written(self, height: int, changes: Mapping[bytes, bytes | None]) -> dict[str, bytes | None]:
        """Everything that a Tick with these changes, which were taken, has to write below `app/`."""
        bucket = height % BUCKETS
        expected: dict[str, bytes | None] = {
            _delta(height): _packed(height, changes),
            f"{APP}base/{bucket:03x}": _packed(height, self._buckets[bucket]),
        }
        if height > BUCKETS:
            expected[_delta(height - BUCKETS)] = None
        return expected


def _delta(height: int) -> str:
    return f"{APP}delta/{height:016x}"


def _packed(height: int, pairs: Mapping[bytes, bytes | None]) -> bytes:
    items = [fabric_microgrid.StoreChange(key=key, value=value or b"") for key, value in sorted(pairs.items())]
    return fabric_microgrid.StoreChanges(height=height, changes=items).SerializeToString(deterministic=True)
