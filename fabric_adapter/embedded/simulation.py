"""Runs a chaincode on committed state and writes down what it read and what it wants written.

Reads never see the transaction's own writes. The read-write set is Fabric's, field by field, with keys sorted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fabric_adapter.embedded.disk import Entry, View, state_key
from fabric_adapter.stub import FIRST_KEY, Invoked, InvokedStub, checked_event, checked_key, checked_value
from fabric_wire.protos import chaincode_event, kvrwset, rwset


class Simulation(InvokedStub):
    """A `Stub` on one view of the state."""

    def __init__(self, view: View, namespace: str, call: Invoked) -> None:
        super().__init__(call)
        self._view = view
        self._namespace = namespace
        self._reads: dict[str, Entry | None] = {}
        self._ranges: list[kvrwset.RangeQueryInfo] = []
        self._writes: dict[str, bytes | None] = {}
        self._event: chaincode_event.ChaincodeEvent | None = None

    def get_state(self, key: str) -> bytes | None:
        """Committed value; the read goes into the read set."""
        if key not in self._reads:
            self._reads[key] = self._view.get(self._namespace, checked_key(key))
        found = self._reads[key]
        return None if found is None else found.value

    def get_states(self, keys: Sequence[str]) -> list[bytes | None]:
        """Committed values."""
        return [self.get_state(key) for key in keys]

    def put_state(self, key: str, value: bytes) -> None:
        """Write."""
        state_key(self._namespace, checked_key(key))
        self._writes[key] = bytes(checked_value(key, value))

    def del_state(self, key: str) -> None:
        """Remove."""
        state_key(self._namespace, checked_key(key))
        self._writes[key] = None

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Committed pairs; what was looked at goes into the read set as a range query."""
        start = start or FIRST_KEY
        info = kvrwset.RangeQueryInfo(start_key=start, end_key=end, itr_exhausted=False)
        info.raw_reads.SetInParent()
        self._ranges.append(info)
        for key, entry in self._view.range(self._namespace, start, end):
            _fill(info.raw_reads.kv_reads.add(), key, entry)
            yield key, entry.value
        info.itr_exhausted = True

    def set_event(self, name: str, payload: bytes) -> None:
        """The last one counts."""
        self._event = chaincode_event.ChaincodeEvent(
            chaincode_id=self._namespace, tx_id=self._call.tx_id, event_name=checked_event(name), payload=payload
        )

    def event_bytes(self) -> bytes:
        """The event as the action carries it, empty for none."""
        return b"" if self._event is None else self._event.SerializeToString(deterministic=True)

    def results(self) -> bytes:
        """TxReadWriteSet of the one namespace, deterministic."""
        made = kvrwset.KVRWSet(range_queries_info=self._ranges)
        for key, entry in sorted(self._reads.items()):
            _fill(made.reads.add(), key, entry)
        for key, value in sorted(self._writes.items()):
            made.writes.add(key=key, is_delete=value is None, value=value or b"")
        whole = rwset.TxReadWriteSet(data_model=rwset.TxReadWriteSet.KV)
        whole.ns_rwset.add(namespace=self._namespace, rwset=made.SerializeToString(deterministic=True))
        return whole.SerializeToString(deterministic=True)


def _fill(made: kvrwset.KVRead, key: str, entry: Entry | None) -> None:
    """Set an empty read; messages that are made apart have to be copied into their list."""
    made.key = key
    if entry is not None:
        made.version.SetInParent()
        made.version.block_num, made.version.tx_num = entry.version
