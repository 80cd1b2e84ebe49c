"""Whether what a transaction read is still so when its turn comes in the block (Fabric's multi-version checks)."""

from __future__ import annotations

from collections.abc import Iterator

from fabric_adapter.embedded.disk import Entry, Version, View
from fabric_wire.protos import kvrwset, transaction

VALID = transaction.VALID
MVCC = transaction.MVCC_READ_CONFLICT
PHANTOM = transaction.PHANTOM_READ_CONFLICT

Updates = dict[tuple[str, str], tuple[int, bytes | None]]  # (namespace, key) -> place in the block, value


class Pending:
    """State as it will be before the next transaction of a block: what is committed, with the block's updates."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.updates: Updates = {}

    def check(self, namespace: str, found: kvrwset.KVRWSet) -> int:
        """VALID, or the code of the first conflict."""
        if not all(self._unchanged(namespace, read) for read in found.reads):
            return MVCC
        if not all(self._same_range(namespace, query) for query in found.range_queries_info):
            return PHANTOM
        return VALID

    def apply(self, namespace: str, found: kvrwset.KVRWSet, place: int) -> None:
        """Take over a valid transaction's writes."""
        for write in found.writes:
            self.updates[namespace, write.key] = place, None if write.is_delete else write.value

    def _unchanged(self, namespace: str, read: kvrwset.KVRead) -> bool:
        if (namespace, read.key) in self.updates:
            return False
        entry = self._view.get(namespace, read.key)
        return _version(read) == (None if entry is None else entry.version)

    def _same_range(self, namespace: str, query: kvrwset.RangeQueryInfo) -> bool:
        """The keys and versions that the simulation saw, and, when it saw the end, nothing more."""
        current = self._range(namespace, query.start_key, query.end_key)
        for seen in query.raw_reads.kv_reads:
            found = next(current, None)
            if found is None or (found[0], found[1]) != (seen.key, _version(seen)):
                return False
        return not query.itr_exhausted or next(current, None) is None

    def _range(self, namespace: str, start: str, end: str) -> Iterator[tuple[str, Version | None]]:
        """Keys in order with their versions; one that this block changed has None, which no read has."""
        changed = {
            key: value
            for (space, key), (_, value) in self.updates.items()
            if space == namespace and start <= key and (not end or key < end)
        }
        committed: dict[str, Entry | None] = dict(self._view.range(namespace, start, end))
        for key in sorted({*changed, *committed}):
            if key not in changed:
                entry = committed[key]
                yield key, None if entry is None else entry.version
            elif changed[key] is not None:
                yield key, None


def _version(read: kvrwset.KVRead) -> Version | None:
    return Version(read.version.block_num, read.version.tx_num) if read.HasField("version") else None
