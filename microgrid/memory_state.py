"""State in memory with the application hash of a flat list: the model of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256

from cosmos_wire.errors import InvalidHeight
from ibc_core.host import MemoryStore, Store
from microgrid.state_api import STORES, Batch, Changes


def _copy(store: MemoryStore) -> MemoryStore:
    return MemoryStore(dict(store.data), list(store.keys))


def _root(stores: dict[str, MemoryStore]) -> bytes:
    total = sha256()
    for name in STORES:
        for key in stores[name].keys:
            value = stores[name].data[key]
            total.update(b"%d:%s%d:%s" % (len(key), key, len(value), value))
    return total.digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBatch:
    """Stores after the changes."""

    stores: dict[str, MemoryStore]
    app_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySnapshot:
    """The stores after one block; it proves nothing."""

    height: int
    stores: dict[str, MemoryStore]

    def store(self, name: str) -> Store:
        """One of them."""
        return self.stores[name]

    def prove(self, name: str, key: bytes) -> tuple[bytes | None, list[tuple[str, bytes, bytes]]]:
        """Value without a proof."""
        return self.stores[name].get(key), []


@dataclass(slots=True)
class MemoryState:
    """As `microgrid.state_api.State` and `History`; the object is the disk: a restart opens it again."""

    height: int = 0
    app_hash: bytes = b""
    versions: dict[int, dict[str, MemoryStore]] = field(
        default_factory=lambda: {0: {name: MemoryStore() for name in STORES}}
    )

    def store(self, name: str) -> Store:
        """At the last durable block."""
        return self.versions[self.height][name]

    def put(self, changes: Changes) -> Batch:
        """Copy, change, hash."""
        stores = {name: _copy(store) for name, store in self.versions[self.height].items()}
        for name, part in changes.items():
            for key, value in part.items():
                if value is None:
                    stores[name].delete(key)
                else:
                    stores[name].set(key, value)
        return MemoryBatch(stores=stores, app_hash=_root(stores))

    def commit(self, batch: Batch, height: int, _meta: bytes) -> None:
        """Keep the copy."""
        assert isinstance(batch, MemoryBatch)
        self.versions[height] = batch.stores
        self.height, self.app_hash = height, batch.app_hash

    @contextmanager
    def snapshot(self, height: int | None = None) -> Iterator[MemorySnapshot]:
        """Any block since the first."""
        wanted = self.height if height is None else height
        if wanted not in self.versions or (wanted == 0 and self.height):
            raise InvalidHeight(f"expected a height 1..{self.height}, got {wanted}")
        yield MemorySnapshot(height=wanted, stores=self.versions[wanted])
