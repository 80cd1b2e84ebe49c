"""Stores as handlers see them (`ibc_core.host.Store`), over the latest version and over older ones. Only read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NoReturn, cast

import lmdb

from microgrid.store.disk import KEY_BYTES_MAX, Disk
from microgrid.store.errors import ReadOnly
from microgrid.store.tree import Tree

FIRST_CHUNK, CHUNK_MAX = 16, 512


class _Reading:
    def set(self, key: bytes, value: bytes) -> NoReturn:
        """Refused: a version is changed by `StateDb.put` and `commit`."""
        raise ReadOnly(f"expected reads only, got a write of {len(value)} bytes at {key!r}")

    def delete(self, key: bytes) -> NoReturn:
        """Refused."""
        raise ReadOnly(f"expected reads only, got a removal of {key!r}")


class LatestStore(_Reading):
    """The last committed version of one store, always the newest at the time of the call."""

    def __init__(
        self,
        table: lmdb._Database,
        begin: Callable[[], AbstractContextManager[lmdb.Transaction]],
        get: Callable[[lmdb._Database, bytes], bytes | None],
    ) -> None:
        self._table = table
        self._begin = begin
        self._get = get

    def get(self, key: bytes) -> bytes | None:
        """Value or None."""
        if not 0 < len(key) <= KEY_BYTES_MAX:
            return None
        return self._get(self._table, key)

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Ascending pairs; read in chunks, so that no transaction is open while the caller works."""
        place, size = max(prefix, start), FIRST_CHUNK
        while True:
            pairs = self._chunk(place, size)
            for key, value in pairs:
                if not key.startswith(prefix):
                    return
                yield key, value
            if len(pairs) < size:
                return
            place, size = pairs[-1][0] + b"\0", min(2 * size, CHUNK_MAX)

    def _chunk(self, place: bytes, size: int) -> list[tuple[bytes, bytes]]:
        with self._begin() as txn, txn.cursor(self._table) as cursor:
            found = cursor.set_range(place[:KEY_BYTES_MAX]) if place else cursor.first()
            if found and bytes(cursor.key()) < place:
                found = cursor.next()  # `place` was longer than any key: the one found lies below it
            pairs: list[tuple[bytes, bytes]] = []
            while found and len(pairs) < size:
                pairs.append(cast("tuple[bytes, bytes]", cursor.item()))
                found = cursor.next()
            return pairs


class TreeStore(_Reading):
    """One store of one version, read through its tree; valid as long as its snapshot."""

    def __init__(self, disk: Disk, txn: lmdb.Transaction, tree: Tree) -> None:
        self._disk = disk
        self._txn = txn
        self._tree = tree

    def get(self, key: bytes) -> bytes | None:
        """Value or None."""
        item = self._tree.find(key)
        return None if item is None else self._disk.value(self._txn, item)

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Ascending pairs."""
        for item in self._tree.entries(max(prefix, start)):
            if not item.key.startswith(prefix):
                return
            yield item.key, self._disk.value(self._txn, item)
