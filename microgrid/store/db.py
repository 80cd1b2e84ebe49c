"""The durable, versioned Merkle store of a chain: named trees under one app hash.

    ChainError (code space `store`)
    ├── BadEntry, UnknownStore, ReadOnly        what was asked makes no sense
    ├── VersionPruned, VersionUnknown           a height outside of what is kept; the message names the limit
    ├── StaleBatch, WrongHeight                 a commit that does not follow the last one
    ├── EmptyTree                               absence can't be proven in an empty tree
    └── Missing, Corrupt, Closed                the files

One process writes; any number of others read with `read_only=True`. A process opens a path once.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import RLock
from types import TracebackType

import lmdb

from ibc_core.host import Store
from microgrid.store.boundaries import SHAPE, is_marked
from microgrid.store.disk import (
    APART,
    INLINE,
    INLINE_BYTES_MAX,
    KEY_BYTES_MAX,
    VALUE_BYTES_MAX,
    Disk,
    StoreOptions,
    Version,
    encode_version,
    pack_id,
    read,
)
from microgrid.store.edit import Editor
from microgrid.store.errors import (
    BadEntry,
    Closed,
    StaleBatch,
    UnknownStore,
    VersionPruned,
    VersionUnknown,
    WrongHeight,
)
from microgrid.store.page import MARK, Item, Page, encode, leaf_hash
from microgrid.store.proofs import prove
from microgrid.store.simple import app_hash, store_proof
from microgrid.store.tree import EMPTY, Root, Tree
from microgrid.store.views import LatestStore, TreeStore

Changes = Mapping[str, Mapping[bytes, bytes | None]]
ProofOp = tuple[str, bytes, bytes]  # type, key, bytes of a CommitmentProof: the fields of an ABCI ProofOp

SWEEP_CHUNKS_MIN = 8
PRUNE_MAX = 4  # versions that one commit lets go: after `versions_kept` was lowered the rest follows later
READER_CHECK_EVERY = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A next version, computed and not written. `app_hash` is its root."""

    app_hash: bytes
    roots: Mapping[str, Root]
    flat: Mapping[str, Mapping[bytes, bytes | None]]
    pages: Mapping[int, Page]
    values: Mapping[int, bytes]
    dead: tuple[int, ...]
    next_id: int
    base: int  # height that it was made on


class StateDb:
    """See the module. Not more than one thread writes; reads may come from any."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._options = disk.options
        self._lock = RLock()
        self._open = True
        self._txn: lmdb.Transaction | None = None
        self._head: Version | None = None
        self._lowest = 0
        if not self._options.read_only:
            self._refresh()

    @classmethod
    def open(cls, path: Path, options: StoreOptions) -> StateDb:
        """Open or create the store in a directory; Missing when it is read only and not there yet."""
        if options.versions_kept < 1 or not options.stores:
            raise BadEntry(f"expected at least one store and one version, got {options}")
        db = cls(Disk(path, options))
        head = db._version()
        if head is not None and sorted(head.roots) != sorted(options.stores):
            db.close()
            raise UnknownStore(f"expected stores {sorted(head.roots)} as on disk, got {sorted(options.stores)}")
        return db

    def close(self) -> None:
        """Release the files; snapshots have to be closed before."""
        with self._lock:
            self._open = False
            if self._txn is not None:
                self._txn.abort()
                self._txn = None
            self._disk.env.close()

    @property
    def height(self) -> int:
        """Last committed height, 0 if none."""
        version = self._version()
        return 0 if version is None else version.height

    @property
    def app_hash(self) -> bytes:
        """App hash of the last committed height, empty if none."""
        version = self._version()
        return b"" if version is None else version.app_hash

    @property
    def meta(self) -> bytes:
        """What was given to the last commit."""
        version = self._version()
        return b"" if version is None else version.meta

    @property
    def first_height(self) -> int:
        """Lowest height that can be read and proven, 0 if none."""
        with self._reading() as txn:
            return self._lowest if self._txn is not None else self._disk.lowest(txn)

    def store(self, name: str) -> Store:
        """The last committed version of a store; writes raise ReadOnly."""
        return LatestStore(self._table(name), self._reading, self._get)

    def _get(self, table: lmdb._Database, key: bytes) -> bytes | None:
        """Value in the newest version: the hot path of a block, hence without a context manager."""
        with self._lock:
            if self._txn is not None:
                return read(self._txn, table, key)
        with self._reading() as txn:
            return read(txn, table, key)

    def _table(self, name: str) -> lmdb._Database:
        if name not in self._disk.flat:
            raise UnknownStore(f"expected one of {sorted(self._disk.flat)}, got {name!r}")
        return self._disk.flat[name]

    def _version(self) -> Version | None:
        with self._reading() as txn:
            return self._head if self._txn is not None else self._disk.latest(txn)

    @contextmanager
    def _reading(self) -> Iterator[lmdb.Transaction]:
        """A transaction over the newest version: the writer's own is kept between commits."""
        with self._lock:
            self._check_open()
            if self._txn is not None:
                yield self._txn
                return
        with self._disk.env.begin() as txn:
            yield txn

    def _check_open(self) -> None:
        if not self._open:
            raise Closed("expected an open store, got a closed one")

    def _refresh(self) -> None:
        if self._txn is not None:
            self._txn.abort()
        self._txn = self._disk.env.begin()
        self._head = self._disk.latest(self._txn)
        self._lowest = self._disk.lowest(self._txn)

    def put(self, changes: Changes) -> Batch:
        """Compute the version that `changes` (final values, None for removals) make of the last one; writes nothing."""
        with self._reading() as txn, collector_paused():
            roots = dict(self._head.roots) if self._head else dict.fromkeys(self._options.stores, EMPTY)
            work = _Work(self._disk, txn)
            flat = {}
            for name in sorted(changes):
                self._table(name)
                roots[name], flat[name] = work.change(name, roots[name], changes[name])
            return work.batch(roots, flat, self.height)

    def commit(self, batch: Batch, height: int, meta: bytes) -> None:
        """Write a batch as the version of a height, all or nothing, and let versions go that are too old."""
        if batch.base != self.height:
            raise StaleBatch(f"expected a batch on height {self.height}, got one on {batch.base}")
        if height <= self.height:
            raise WrongHeight(f"expected a height above {self.height}, got {height}")
        version = Version(height=height, app_hash=batch.app_hash, meta=meta, roots=batch.roots)
        with self._lock:
            self._check_open()
            with self._disk.env.begin(write=True) as txn, collector_paused():
                self._write(txn, batch, version)
            for page in batch.pages.values():
                self._disk.remember(page)
            self._refresh()
        if height % READER_CHECK_EVERY == 0:
            self._disk.env.reader_check()

    def _write(self, txn: lmdb.Transaction, batch: Batch, version: Version) -> None:
        disk = self._disk
        records = {**{number: encode(page) for number, page in batch.pages.items()}, **batch.values}
        with txn.cursor(disk.records) as cursor:
            cursor.putmulti([(pack_id(number), records[number]) for number in sorted(records)], append=True)
        for name, entries in batch.flat.items():
            _write_flat(txn, disk.flat[name], entries)
        txn.put(b"next_id", pack_id(batch.next_id), db=disk.meta)
        txn.put(pack_id(version.height), encode_version(version), db=disk.versions)
        chunks = disk.bury(txn, version.height, batch.dead)
        self._prune(txn, version.height)
        disk.sweep(txn, disk.lowest(txn), 2 * chunks + SWEEP_CHUNKS_MIN)

    def _prune(self, txn: lmdb.Transaction, height: int) -> None:
        for _ in range(PRUNE_MAX):
            lowest = self._disk.lowest(txn)
            if lowest > height - self._options.versions_kept:
                return
            txn.delete(pack_id(lowest), db=self._disk.versions)

    def snapshot(self, height: int | None = None) -> Snapshot:
        """The version of a height (newest: None) for a short while; VersionPruned or VersionUnknown."""
        self._check_open()
        txn = self._disk.env.begin()
        try:
            version = self._disk.latest(txn) if height is None else self._disk.version(txn, height)
            if version is None:
                raise self._no_version(txn, height)
        except BaseException:
            txn.abort()
            raise
        return Snapshot(self._disk, txn, version)

    def _no_version(self, txn: lmdb.Transaction, height: int | None) -> Exception:
        latest = self._disk.latest(txn)
        if latest is None or height is None:
            return VersionUnknown(f"expected a committed height, got {height}: nothing is committed yet")
        lowest = self._disk.lowest(txn)
        if height < lowest:
            return VersionPruned(f"expected a height from {lowest} on (the lowest kept), got {height}")
        return VersionUnknown(f"expected a height from {lowest} to {latest.height}, got {height}")


@contextmanager
def collector_paused() -> Iterator[None]:
    """No collections of cycles meanwhile: pages make many small objects and no cycle, and looking at all of them
    again and again took half of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _write_flat(txn: lmdb.Transaction, table: lmdb._Database, entries: Mapping[bytes, bytes | None]) -> None:
    for key in sorted(entries):
        value = entries[key]
        if value is None:
            txn.delete(key, db=table)
        else:
            txn.put(key, value, db=table)


class _Work:
    """Computation of one batch."""

    def __init__(self, disk: Disk, txn: lmdb.Transaction) -> None:
        self._disk = disk
        self._txn = txn
        self._ids = count(disk.next_id(txn))
        self._pages: dict[int, Page] = {}
        self._values: dict[int, bytes] = {}
        self._dead: list[int] = []

    def change(
        self, name: str, root: Root, changes: Mapping[bytes, bytes | None]
    ) -> tuple[Root, dict[bytes, bytes | None]]:
        """New root of one tree, and those of the changes that change something."""
        tree = Tree(root, lambda page_id: self._disk.page(self._txn, page_id))
        table = self._disk.flat[name]
        flat: dict[bytes, bytes | None] = {}
        edits: dict[bytes, Item | None] = {}
        for key in sorted(changes):
            value = changes[key]
            _check_entry(key, value)
            old = read(self._txn, table, key)
            if old != value:
                flat[key] = value
                edits[key] = None if value is None else self._entry(key, value)
                self._forget(tree, key, old)
        editor = Editor(tree, SHAPE, lambda: next(self._ids))
        new_root = editor.apply(edits)
        self._pages.update(editor.made)
        self._dead += editor.dropped
        return new_root, flat

    def _entry(self, key: bytes, value: bytes) -> Item:
        if len(value) <= INLINE_BYTES_MAX:
            ref = INLINE + value
        else:
            number = next(self._ids)
            self._values[number] = value
            ref = APART + pack_id(number)
        return Item(key, leaf_hash(key, value), 0, 1, MARK if is_marked(SHAPE, 0, key) else 0, ref)

    def _forget(self, tree: Tree, key: bytes, old: bytes | None) -> None:
        """Note the record of a value that is replaced."""
        if old is None or len(old) <= INLINE_BYTES_MAX:
            return
        item = tree.find(key)
        assert item is not None
        self._dead.append(int.from_bytes(item.ref[1:], "big"))

    def batch(self, roots: dict[str, Root], flat: Changes, base: int) -> Batch:
        """What was computed."""
        return Batch(
            app_hash=app_hash({name: root.hash for name, root in roots.items()}),
            roots=roots,
            flat=flat,
            pages=self._pages,
            values=self._values,
            dead=tuple(sorted(self._dead)),
            next_id=next(self._ids),
            base=base,
        )


def _check_entry(key: bytes, value: bytes | None) -> None:
    if not 0 < len(key) <= KEY_BYTES_MAX:
        raise BadEntry(f"expected a key of 1 to {KEY_BYTES_MAX} bytes, got {len(key)}")
    if value is not None and not 0 < len(value) <= VALUE_BYTES_MAX:
        raise BadEntry(f"expected a value of 1 to {VALUE_BYTES_MAX} bytes at {key!r}, got {len(value)}")


class Snapshot:
    """One version, in a read transaction of its own: use it as a context manager and not for long."""

    def __init__(self, disk: Disk, txn: lmdb.Transaction, version: Version) -> None:
        self._disk = disk
        self._txn = txn
        self._version = version
        self.height = version.height
        self.app_hash = version.app_hash
        self.meta = version.meta

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the transaction."""
        self._txn.abort()

    def _tree(self, name: str) -> Tree:
        if name not in self._version.roots:
            raise UnknownStore(f"expected one of {sorted(self._version.roots)}, got {name!r}")
        return Tree(self._version.roots[name], lambda page_id: self._disk.page(self._txn, page_id))

    def store(self, name: str) -> Store:
        """A store of this version; writes raise ReadOnly."""
        return TreeStore(self._disk, self._txn, self._tree(name))

    def prove(self, name: str, key: bytes) -> tuple[bytes | None, list[ProofOp]]:
        """Value (None when absent) and the proof operations under `app_hash`, leaf tree first; EmptyTree, BadEntry."""
        if not key:
            raise BadEntry("expected a key to prove, got an empty one")
        value, proof = prove(self._tree(name), lambda item: self._disk.value(self._txn, item), key)
        roots = {each: root.hash for each, root in self._version.roots.items()}
        above = store_proof(roots, name)
        return value, [
            ("ics23:iavl", key, proof.SerializeToString()),
            ("ics23:simple", name.encode(), above.SerializeToString()),
        ]
