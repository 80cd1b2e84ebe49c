"""The store's tables in LMDB, and the records in them.

| table | key | value |
|---|---|---|
| `records` | id, 8 bytes, ever growing | a page, or a value longer than `INLINE_BYTES_MAX` |
| `versions` | height, 8 bytes | app hash, meta, root of each store |
| `dead` | height, number: 8 + 4 bytes | ids that the version at this height no longer uses |
| `meta` | `next_id` | first id not given away yet |
| `flat.NAME` | key | value in the latest version: what `get` reads |
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import lmdb

from microgrid.store.errors import Corrupt, Missing
from microgrid.store.page import Item, Page, decode, encode
from microgrid.store.tree import Root

KEY_BYTES_MAX = 511  # LMDB's own limit
VALUE_BYTES_MAX = 1 << 20
INLINE_BYTES_MAX = 96
INLINE, APART = b"\0", b"\1"
READERS_MAX = 510
DEAD_CHUNK = 1_000

_U64 = struct.Struct(">Q")
_DEAD_KEY = struct.Struct(">QI")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """How a store is opened. `map_size` is address space in bytes: the file grows as it is used."""

    stores: tuple[str, ...] = ("app", "ibc")
    versions_kept: int = 1_000
    map_size: int = 64 << 30
    read_only: bool = False
    cached_pages: int = 16_384
    sync: bool = True  # False only in tests: a crash of the machine then loses integrity


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What is kept of one height beside its pages."""

    height: int
    app_hash: bytes
    meta: bytes
    roots: Mapping[str, Root]


def read(txn: lmdb.Transaction, table: lmdb._Database, key: bytes) -> bytes | None:
    """Value of a key; transactions are opened without `buffers`, so it is always bytes."""
    return txn.get(key, None, table)  # type: ignore[return-value]  # the stub allows for `buffers`; a cast costs time


def pack_id(number: int) -> bytes:
    """Key of a record or a height."""
    return _U64.pack(number)


def _framed(parts: Sequence[bytes]) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _unframed(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : end]
        at = end


def encode_version(version: Version) -> bytes:
    """Record of a version; a root is written as a page of one item."""
    parts = [version.app_hash, version.meta]
    for name, root in sorted(version.roots.items()):
        items = [] if root.item is None else [root.item]
        parts += [name.encode(), encode(Page(0, root.level + 1, items))]
    return _framed(parts)


def decode_version(height: int, data: bytes) -> Version:
    """Version from its record."""
    app_hash, meta, *rest = _unframed(data)
    roots = {}
    for name, packed in zip(rest[::2], rest[1::2], strict=True):
        page = decode(0, packed)
        roots[name.decode()] = Root(page.level - 1, page.items[0] if page.items else None)
    return Version(height=height, app_hash=app_hash, meta=meta, roots=roots)


class Disk:
    """The open environment with its tables, and the pages decoded lately (ids are never used twice)."""

    def __init__(self, path: Path, options: StoreOptions) -> None:
        self.options = options
        self.env = _open_env(path, options)
        try:
            self.records = self._table("records")
            self.versions = self._table("versions")
            self.dead = self._table("dead")
            self.meta = self._table("meta")
            self.flat = {name: self._table(f"flat.{name}") for name in options.stores}
        except (lmdb.NotFoundError, lmdb.ReadonlyError) as error:
            self.env.close()
            raise Missing(f"expected a store at {path}, got an environment without tables") from error
        self.env.reader_check()  # slots of killed readers would keep old pages alive
        self._pages: dict[int, Page] = {}
        self._lock = Lock()

    def _table(self, name: str) -> lmdb._Database:
        return self.env.open_db(name.encode(), create=not self.options.read_only)

    def page(self, txn: lmdb.Transaction, page_id: int) -> Page:
        """A page, from memory or disk."""
        page = self._pages.get(page_id)
        if page is None:
            page = decode(page_id, self.record(txn, page_id))
            self.remember(page)
        return page

    def remember(self, page: Page) -> None:
        """Keep a decoded page; the oldest one goes when there are too many."""
        with self._lock:
            while len(self._pages) >= self.options.cached_pages:
                del self._pages[next(iter(self._pages))]
            self._pages[page.id] = page

    def record(self, txn: lmdb.Transaction, number: int) -> bytes:
        """A record that has to be there."""
        data = read(txn, self.records, pack_id(number))
        if data is None:
            raise Corrupt(f"expected record {number}, got none")
        return data

    def value(self, txn: lmdb.Transaction, item: Item) -> bytes:
        """Value of an entry."""
        if item.ref[:1] == INLINE:
            return item.ref[1:]
        return self.record(txn, int.from_bytes(item.ref[1:], "big"))

    def latest(self, txn: lmdb.Transaction) -> Version | None:
        """Newest version that the transaction sees."""
        with txn.cursor(self.versions) as cursor:
            if not cursor.last():
                return None
            return decode_version(_U64.unpack(cursor.key())[0], bytes(cursor.value()))

    def version(self, txn: lmdb.Transaction, height: int) -> Version | None:
        """The version of a height, None when not there."""
        data = read(txn, self.versions, pack_id(height))
        return None if data is None else decode_version(height, data)

    def lowest(self, txn: lmdb.Transaction) -> int:
        """Lowest kept height, 0 when there is none."""
        with txn.cursor(self.versions) as cursor:
            return _U64.unpack(cursor.key())[0] if cursor.first() else 0

    def next_id(self, txn: lmdb.Transaction) -> int:
        """First record id that was never used."""
        data = read(txn, self.meta, b"next_id")
        return 1 if data is None else _U64.unpack(data)[0]

    def bury(self, txn: lmdb.Transaction, height: int, ids: Sequence[int]) -> int:
        """Note records that `height` no longer uses; returns the number of chunks written."""
        starts = range(0, len(ids), DEAD_CHUNK)
        for number, start in enumerate(starts):
            chunk = b"".join(map(_U64.pack, ids[start : start + DEAD_CHUNK]))
            txn.put(_DEAD_KEY.pack(height, number), chunk, db=self.dead)
        return len(starts)

    def sweep(self, txn: lmdb.Transaction, lowest: int, chunks_max: int) -> None:
        """Delete records that no version from `lowest` on uses, at most `chunks_max` chunks of them."""
        for _ in range(chunks_max):
            with txn.cursor(self.dead) as cursor:
                if not cursor.first() or _DEAD_KEY.unpack(cursor.key())[0] > lowest:
                    return
                key, chunk = cursor.item()
            for at in range(0, len(chunk), _U64.size):
                txn.delete(chunk[at : at + _U64.size], db=self.records)
            txn.delete(key, db=self.dead)


def _open_env(path: Path, options: StoreOptions) -> lmdb.Environment:
    if not options.read_only:
        path.mkdir(parents=True, exist_ok=True)
    elif not (path / "data.mdb").exists():
        raise Missing(f"expected a store at {path}, got no data.mdb there")
    return lmdb.open(
        str(path),
        map_size=options.map_size,
        max_dbs=4 + len(options.stores),
        max_readers=READERS_MAX,
        readonly=options.read_only,
        create=not options.read_only,
        metasync=False,  # integrity stays; at most the last commit is lost, which CometBFT replays
        sync=options.sync,
        readahead=False,
    )
