"""Versions and ranges against a model that runs the transactions one after the other."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from fabric_adapter.embedded.disk import Entry, Version
from fabric_adapter.embedded.mvcc import MVCC, PHANTOM, VALID, Pending
from fabric_adapter.embedded.simulation import Simulation
from fabric_adapter.stub import Invoked
from fabric_wire.protos import kvrwset, rwset

NAME = "n"
KEYS = st.sampled_from("abcde")
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), KEYS),
        st.tuples(st.just("put"), KEYS),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("range"), KEYS, KEYS, st.integers(0, 6)),
    ),
    min_size=1,
    max_size=5,
)


@dataclass
class FakeView:
    """What `View` offers, over a dict."""

    data: dict[str, Entry]

    def get(self, _namespace, key):
        return self.data.get(key)

    def range(self, _namespace, start, end):
        return ((key, self.data[key]) for key in sorted(self.data) if start <= key and (not end or key < end))


def simulate(view, operations, value):
    simulation = Simulation(view, NAME, Invoked(channel_id="c", tx_id="t", timestamp_ns=1, creator=b"", args=()))
    for kind, *rest in operations:
        if kind == "get":
            simulation.get_state(rest[0])
        elif kind == "put":
            simulation.put_state(rest[0], value)
        elif kind == "delete":
            simulation.del_state(rest[0])
        else:
            found = simulation.range(rest[0], rest[1])
            for _ in range(rest[2]):
                next(found, None)
    whole = rwset.TxReadWriteSet.FromString(simulation.results())
    return kvrwset.KVRWSet.FromString(whole.ns_rwset[0].rwset)


def observed(view, found):
    """What a transaction would see now of all that it looked at."""
    reads = {read.key: version_now(view, read.key) for read in found.reads}
    ranges = []
    for query in found.range_queries_info:
        count = len(query.raw_reads.kv_reads)
        now = [(key, entry.version) for key, entry in view.range(NAME, query.start_key, query.end_key)]
        ranges.append(now if query.itr_exhausted else now[:count])
    return reads, ranges


def version_now(view, key):
    entry = view.get(NAME, key)
    return None if entry is None else entry.version


@given(start=st.dictionaries(KEYS, st.binary(min_size=1, max_size=2)), block=st.lists(OPERATIONS, max_size=6))
def test_valid_is_exactly_what_still_sees_the_same(start, block):
    """All simulate on the state before the block; each is valid if its turn shows it what it saw then.

    As in Fabric, a key that an earlier one of the block wrote counts as changed even where the deletion found nothing.
    """
    view = FakeView({key: Entry(Version(0, at), value) for at, (key, value) in enumerate(sorted(start.items()))})
    sets = [simulate(view, operations, b"%d" % at) for at, operations in enumerate(block)]
    seen = [observed(view, found) for found in sets]
    pending, serial, touched = Pending(view), FakeView(dict(view.data)), set()
    for place, found in enumerate(sets):
        code = pending.check(NAME, found)
        reads, ranges = observed(serial, found)
        stale = reads != seen[place][0] or any(key in touched for key in reads)
        assert code == (MVCC if stale else VALID if ranges == seen[place][1] else PHANTOM)
        if code == VALID:
            pending.apply(NAME, found, place)
            apply(serial, found, place)
            touched.update(write.key for write in found.writes)


def apply(serial, found, place):
    for write in found.writes:
        if write.is_delete:
            serial.data.pop(write.key, None)
        else:
            serial.data[write.key] = Entry(Version(1, place), write.value)
