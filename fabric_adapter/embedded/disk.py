"""The embedded ledger's tables in LMDB. A block and all that it changes are one write transaction: there or not there.

| table | key | value |
|---|---|---|
| `state` | namespace, 0, key | version (block 8 bytes, transaction 4), value |
| `blocks` | number, 8 bytes | Block |
| `txs` | transaction id | block 8 bytes, place 4, validation code 1 |
| `meta` | `height`, `last_hash` | number of blocks; hash of the last header |
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import lmdb

from cosmos_wire.errors import ToolError

MAP_BYTES = 64 << 30  # address space; the file grows as it is used
KEY_BYTES_MAX = 511
READERS_MAX = 510
_VERSION = struct.Struct(">QI")
_PLACE = struct.Struct(">QIB")
_NUMBER = struct.Struct(">Q")


class Version(NamedTuple):
    """Where a value was written: block number and place in it."""

    block: int
    tx: int


class Entry(NamedTuple):
    """A committed value."""

    version: Version
    value: bytes


class Place(NamedTuple):
    """Where a transaction stands, and what validation said of it."""

    block: int
    tx: int
    code: int


class LedgerDamagedError(ToolError):
    """The files hold something that this program never wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A block and its effects, to be written at once."""

    number: int
    block: bytes
    header_hash: bytes
    state: Mapping[tuple[str, str], tuple[int, bytes | None]]  # (namespace, key) -> place in the block, value
    places: Mapping[str, Place]


class View:
    """Committed state at one moment; closed by `Disk.view`."""

    def __init__(self, disk: Disk, txn: lmdb.Transaction) -> None:
        self._disk = disk
        self._txn = txn

    @property
    def height(self) -> int:
        """Number of blocks."""
        return _number(self._txn.get(b"height", b"\0" * 8, self._disk.meta))

    @property
    def last_hash(self) -> bytes:
        """Hash of the last block's header, empty before the first."""
        return bytes(self._txn.get(b"last_hash", b"", self._disk.meta))

    def get(self, namespace: str, key: str) -> Entry | None:
        """A value with its version."""
        data = self._txn.get(state_key(namespace, key), None, self._disk.state)
        return None if data is None else _entry(data)

    def range(self, namespace: str, start: str, end: str) -> Iterator[tuple[str, Entry]]:
        """Pairs with start <= key < end ascending; an empty end means all keys of the namespace."""
        prefix = namespace.encode() + b"\0"
        with self._txn.cursor(self._disk.state) as cursor:
            found = cursor.set_range(prefix + start.encode())
            while found:
                raw, data = cursor.item()
                key = bytes(raw)[len(prefix) :].decode()
                if not bytes(raw).startswith(prefix) or (end and key >= end):
                    return
                yield key, _entry(data)
                found = cursor.next()

    def block(self, number: int) -> bytes | None:
        """A block's bytes."""
        return self._txn.get(_NUMBER.pack(number), None, self._disk.blocks)  # type: ignore[return-value]  # opened without `buffers`

    def place(self, tx_id: str) -> Place | None:
        """Where a transaction stands, None when it was never ordered."""
        data = self._txn.get(tx_id.encode(), None, self._disk.txs)
        return None if data is None else Place(*_PLACE.unpack(bytes(data)))


class Disk:
    """The open environment."""

    def __init__(self, path: Path, *, map_bytes: int = MAP_BYTES, sync: bool = True, readonly: bool = False) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.env = lmdb.open(
            str(path), map_bytes, readonly=readonly, max_dbs=4, max_readers=READERS_MAX, sync=sync, readahead=False
        )
        self.state, self.blocks, self.txs, self.meta = (
            self.env.open_db(name, create=not readonly) for name in (b"state", b"blocks", b"txs", b"meta")
        )
        self.env.reader_check()

    @contextmanager
    def view(self) -> Iterator[View]:
        """A consistent state to read from, until the block ends."""
        with self.env.begin() as txn:
            yield View(self, txn)

    def place(self, tx_id: str) -> Place | None:
        """Where a transaction stands: the same as a view's, for those who ask nothing else."""
        with self.env.begin(db=self.txs) as txn:
            data = txn.get(tx_id.encode())
        return None if data is None else Place(*_PLACE.unpack(bytes(data)))

    def write(self, change: Change) -> None:
        """Make a block durable; its number has to be the next one."""
        with self.env.begin(write=True) as txn:
            expected = View(self, txn).height
            if change.number != expected:
                raise LedgerDamagedError(f"expected block {expected} to be written, got block {change.number}")
            for (namespace, key), (place, value) in change.state.items():
                self._apply(txn, state_key(namespace, key), Version(change.number, place), value)
            for tx_id, found in change.places.items():
                txn.put(tx_id.encode(), _PLACE.pack(*found), db=self.txs)
            txn.put(_NUMBER.pack(change.number), change.block, db=self.blocks)
            txn.put(b"height", _NUMBER.pack(change.number + 1), db=self.meta)
            txn.put(b"last_hash", change.header_hash, db=self.meta)

    def _apply(self, txn: lmdb.Transaction, key: bytes, version: Version, value: bytes | None) -> None:
        if value is None:
            txn.delete(key, db=self.state)
        else:
            txn.put(key, _VERSION.pack(*version) + value, db=self.state)

    def close(self) -> None:
        """End it; what was written stays."""
        self.env.close()


def state_key(namespace: str, key: str) -> bytes:
    """Key of the table; raises ToolError when it can't be one."""
    made = namespace.encode() + b"\0" + key.encode()
    if not key or len(made) > KEY_BYTES_MAX:
        raise ToolError(f"a state key has 1 to {KEY_BYTES_MAX - len(namespace) - 1} bytes, got {len(key.encode())}")
    return made


def _entry(data: object) -> Entry:
    raw = bytes(data)  # type: ignore[call-overload]  # bytes: opened without `buffers`
    return Entry(Version(*_VERSION.unpack_from(raw)), raw[_VERSION.size :])


def _number(data: object) -> int:
    return int(_NUMBER.unpack(bytes(data))[0])  # type: ignore[call-overload]  # bytes, as above
