"""Overlays on overlays, metered or not, against a dict; and what the meter charges for each access."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibc_core.host import MemoryStore, Overlay, Store
from microgrid.gas import DELETE, NEXT, READ_BYTE, READ_FLAT, WRITE_BYTE, WRITE_FLAT, LimitedGas, MeteredStore

KEYS = st.binary(min_size=1, max_size=2)
STEPS = st.lists(st.tuples(KEYS, st.none() | st.binary(min_size=1, max_size=3)), max_size=12)
PREFIXES = st.binary(max_size=2)


def write(store: Store, model: dict[bytes, bytes], steps: list[tuple[bytes, bytes | None]]) -> None:
    for key, value in steps:
        if value is None:
            store.delete(key)
            model.pop(key, None)
        else:
            store.set(key, value)
            model[key] = value


def pairs(model: dict[bytes, bytes], prefix: bytes, start: bytes) -> list[tuple[bytes, bytes]]:
    return [(key, model[key]) for key in sorted(model) if key.startswith(prefix) and key >= start]


@given(below=STEPS, middle=STEPS, above=STEPS, prefix=PREFIXES, start=KEYS)
def test_layers_read_as_one_store(below, middle, above, prefix, start):
    model: dict[bytes, bytes] = {}
    bottom = MemoryStore()
    write(bottom, model, below)
    block = Overlay(bottom)
    write(block, model, middle)
    before = dict(model)
    own = Overlay(block)
    top = MeteredStore(own, LimitedGas(10**9))
    write(top, model, above)
    for store in (own, top):
        assert list(store.iterate(prefix)) == pairs(model, prefix, b"")
        assert list(store.iterate(prefix, start)) == pairs(model, prefix, start)
        assert all(store.get(key) == model.get(key) for key, _ in (*below, *middle, *above, (start, None)))
    assert list(block.iterate(b"")) == pairs(before, b"", b"")
    own.flush()
    block.flush()
    assert bottom.data == model
    assert bottom.keys == sorted(model)


@given(below=STEPS, above=STEPS, prefix=PREFIXES, plan=st.lists(st.sampled_from("kdwn"), max_size=12))
def test_keys_that_an_iteration_has_passed_may_be_written(below, above, prefix, plan):
    """Kept, deleted, written, or one before it written: what comes is what was there when it began."""
    model: dict[bytes, bytes] = {}
    bottom = MemoryStore()
    write(bottom, model, below)
    own = Overlay(bottom)
    write(own, model, above)
    expected = pairs(model, prefix, b"")
    for store in (own, bottom):
        wanted = expected if store is own else pairs(dict(bottom.data), prefix, b"")
        found = []
        for pair, act in zip(store.iterate(prefix), [*plan, *"k" * len(wanted)], strict=False):
            found.append(pair)
            if act == "d":
                store.delete(pair[0])
            elif act == "w":
                store.set(pair[0], b"w")
            elif act == "n" and pair[0] > b"\x00":
                store.set(b"\x00", b"n")
        assert found == wanted


def test_each_access_has_its_price():
    own = Overlay(MemoryStore())
    own.set(b"ab", b"123")
    gas = LimitedGas(10**9)
    store = MeteredStore(own, gas)
    spent = []
    for access in (
        lambda: store.get(b"ab"),
        lambda: store.get(b"none"),
        lambda: store.set(b"x", b"yz"),
        lambda: store.delete(b"x"),
        lambda: list(store.iterate(b"a")),
    ):
        before = gas.used
        access()
        spent.append(gas.used - before)
    reads = [READ_FLAT + READ_BYTE * 5, READ_FLAT + READ_BYTE * 4]
    assert spent == [*reads, WRITE_FLAT + WRITE_BYTE * 3, DELETE, NEXT + READ_BYTE * 5]


@pytest.mark.parametrize("store", [MemoryStore(), Overlay(MemoryStore())])
def test_no_store_keeps_empty_bytes(store):
    for key, value in ((b"", b"1"), (b"1", b"")):
        with pytest.raises(ValueError, match="a store keeps no empty key or value"):
            store.set(key, value)
