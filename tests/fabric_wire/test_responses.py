"""Read-write sets that are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric_wire import strict
from fabric_wire.errors import InvalidReadWriteSet, MalformedMessage
from fabric_wire.protos import kvrwset, rwset
from fabric_wire.responses import NamespaceSet, Read, Write, read_action, read_sets, write_sets

keys = st.text(min_size=1, max_size=8)
versions = st.none() | st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
reads = st.lists(st.builds(lambda k, v: Read(key=k, version=v), keys, versions), max_size=4, unique_by=lambda r: r.key)
writes = st.lists(
    st.builds(lambda k, v, gone: Write(key=k, value=v, is_delete=gone), keys, st.binary(max_size=8), st.booleans()),
    max_size=4,
    unique_by=lambda w: w.key,
)


def order(key: str) -> bytes:
    return key.encode()


@given(st.dictionaries(keys, st.tuples(reads, writes), max_size=4))
def test_sets_go_round(drawn: dict[str, tuple[list[Read], list[Write]]]):
    sets = [
        NamespaceSet(
            namespace=name,
            reads=tuple(sorted(found, key=lambda r: order(r.key))),
            writes=tuple(sorted(made, key=lambda w: order(w.key))),
        )
        for name, (found, made) in drawn.items()
    ]
    assert read_sets(write_sets(sets)) == tuple(sorted(sets, key=lambda s: order(s.namespace)))


def of(*inner: bytes, model: int = 0, names: tuple[str, ...] = ()) -> bytes:
    message = rwset.TxReadWriteSet(data_model=rwset.TxReadWriteSet.DataModel.ValueType(model))
    for index, each in enumerate(inner):
        message.ns_rwset.add(namespace=(names or tuple(f"n{i:02}" for i in range(len(inner))))[index], rwset=each)
    return strict.write(message)


TWICE_READ = kvrwset.KVRWSet(reads=[kvrwset.KVRead(key="k"), kvrwset.KVRead(key="k")])
TWICE_WRITTEN = kvrwset.KVRWSet(writes=[kvrwset.KVWrite(key="k"), kvrwset.KVWrite(key="k", value=b"v")])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (of(b"", model=7), "expected data model KV, got number 7"),
        (of(b"", b"", names=("a", "a")), "expected at most 16 namespaces, each once"),
        (of(*[b""] * 17), "expected at most 16 namespaces"),
        (of(strict.write(TWICE_READ)), "expected one read a key, got 2"),
        (of(strict.write(TWICE_WRITTEN)), "expected one write a key, got 2"),
        (of(b"\xff"), "expected a protobuf message"),
        (b"\xff", "expected a protobuf message"),
        (of(b"\x78\x01"), "expected the canonical"),
    ],
)
def test_sets_that_are_none(data: bytes, text: str):
    assert read_sets(of(*[b""] * 16))
    with pytest.raises(InvalidReadWriteSet, match=text):
        read_sets(data)


@given(st.binary(max_size=100))
def test_any_bytes_are_sets_or_refused(data: bytes):
    try:
        found = read_sets(data)
    except InvalidReadWriteSet:
        return
    assert len(found) <= 16


def test_a_message_that_is_too_long():
    with pytest.raises(MalformedMessage, match="expected at most 10485760 bytes, got 10485761"):
        read_action(bytes((10 << 20) + 1))
