"""The store `app` as a log, and inbox keys that stay for a while: what is read back, and nothing runs twice."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric_adapter.embedded.refusals import ChaincodeRefusedError
from fabric_adapter.microgrid import app_log, executed
from fabric_adapter.microgrid.app_log import StoreChanges
from fabric_adapter.microgrid.errors import NoImageError
from fabric_adapter.microgrid.image import Proposed, state_of, store_of
from ibc_core.fabric.records import TickRecord
from ibc_core.host import MemoryStore
from microgrid.state_api import STORES
from tests.fabric_chaincode.test_ticks import FakeStub
from tests.fabric_chaincode.world import send

FEW = 8
Pairs = dict[bytes, bytes | None]
changes_of_ticks = st.lists(
    st.dictionaries(st.binary(min_size=1, max_size=1), st.none() | st.binary(min_size=1, max_size=2), max_size=6),
    min_size=1,
    max_size=5 * FEW,
)


class Ledger:
    """The log's keys alone."""

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}
        self.store, self.buckets, self.height = MemoryStore(), app_log.EMPTY, 0

    def tick(self, changes: Pairs) -> None:
        self.height += 1
        for key, value in changes.items():
            if value is None:
                self.store.delete(key)
            else:
                self.store.set(key, value)
        self.buckets = app_log.moved(self.buckets, changes)
        for name, written in app_log.writes(self.height, changes, self.buckets, self.store):
            if written is None:
                del self.keys[name]
            else:
                self.keys[name] = written

    def range(self, start: str, end: str):
        return iter(sorted((key, value) for key, value in self.keys.items() if start <= key < end))


def wholes(buckets: app_log.Buckets) -> list[frozenset[bytes]]:
    return [each.whole() for each in buckets]


@pytest.fixture(scope="module", autouse=True)
def _few():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_log, "BUCKETS", FEW)
        patch.setattr(app_log, "EMPTY", (app_log.Bucket(),) * FEW)
        patch.setattr(app_log, "LOOSE_MAX", 2)
        patch.setattr(app_log, "READ_TOGETHER", 3)
        yield


@given(ticks=changes_of_ticks)
def test_what_is_read_is_what_was_written(ticks):
    ledger = Ledger()
    for changes in ticks:
        ledger.tick(changes)
        assert app_log.read(ledger, ledger.height) == ledger.store.data
        assert wholes(ledger.buckets) == wholes(app_log.buckets_of(ledger.store.keys))
        assert all(each.new.isdisjoint(each.most) and each.gone <= each.most for each in ledger.buckets)
        assert all(len(each.new) + len(each.gone) <= app_log.LOOSE_MAX for each in ledger.buckets)
    assert len([key for key in ledger.keys if key.startswith(app_log.DELTA)]) == min(len(ticks), FEW)


def test_a_log_with_a_gap_is_no_image():
    ledger = Ledger()
    for number in range(2 * FEW):
        ledger.tick({b"k": b"%d" % number})
    for height in (FEW + 1, FEW + 3, 2 * FEW):
        held = ledger.keys.pop(app_log.delta_key(height))
        with pytest.raises(NoImageError, match=f"no changes of tick {height} on its ledger, whose last tick is 16"):
            app_log.read(ledger, ledger.height)
        ledger.keys[app_log.delta_key(height)] = held


def test_buckets_take_their_turns_on_a_ledger(net, cast):
    """A process that starts after any number of ticks reads what another one remembers."""
    for number in range(2 * FEW + 2):
        net.tick(net.submit(cast.cells[number], send(cast.cells[number], cast.relayer, number + 1)))
        whole = app_log.read(FakeStub(net), net.record.height)
        kept = next(iter(net.programs.values()))._current(FakeStub(net))
        assert whole == kept.stores["app"].data
        assert wholes(app_log.buckets_of(whole)) == wholes(kept.buckets)
    log = net.pairs("app/", "app0")
    heights = {StoreChanges.FromString(value).height for key, value in log.items() if key.startswith(app_log.BASE)}
    assert heights == set(range(net.record.height - FEW + 1, net.record.height + 1))
    assert len(log) == 2 * FEW


# what was executed


def sent_by(net, cast, count: int) -> list[str]:
    return [net.submit(cast.alice, send(cast.alice, cast.bob)) for _ in range(count)]


def test_keys_of_many_transactions_go_in_ticks_with_few(net, cast, monkeypatch):
    monkeypatch.setattr(executed, "REMOVED_MAX", 4)
    sent = sent_by(net, cast, 7)
    held = net.balance(cast.bob)
    left = []
    assert list(net.tick(*sent).tx_ids) == sent
    for _ in range(3):
        left.append(len(net.pairs("inbox/", "inbox0")))
        assert list(net.tick(*sent).tx_ids) == [], "those that are there are known, the others are gone"
    assert left == [7, 3, 0]
    assert net.balance(cast.bob) == held + 7
    assert net.tick(*sent_by(net, cast, 2)).record.height == net.record.height
    assert net.pairs("inbox/", "inbox0") == {}


def test_a_restarted_chaincode_knows_what_was_executed(net, cast, monkeypatch):
    monkeypatch.setattr(executed, "REMOVED_MAX", 0)
    sent = sent_by(net, cast, 3)
    net.tick(*sent)
    net.stop()
    net.open()
    with pytest.raises(ChaincodeRefusedError, match="image not loaded"):
        net.tick(*sent)
    net.load()
    more = sent_by(net, cast, 1)
    assert list(net.tick(*sent, *more).tx_ids) == more
    assert len(net.pairs("inbox/", "inbox0")) == 4


def test_not_more_than_so_many_keys_stay(net, cast, monkeypatch):
    monkeypatch.setattr(executed, "REMOVED_MAX", 0)
    monkeypatch.setattr(executed, "KEPT_MAX", 5)
    left = []
    for count in (3, 3, 3, 0):
        net.tick(*sent_by(net, cast, count))
        left.append(len(net.pairs("inbox/", "inbox0")))
    assert left == [3, 5, 5, 5]


def test_every_identifier_goes_once_and_the_oldest_first(monkeypatch):
    monkeypatch.setattr(executed, "KEPT_MAX", 60)
    chance, store = random.Random(7), MemoryStore()
    noted, removed = [], []
    known = executed.Known()
    for height in range(1, 200):
        ids = [
            height.to_bytes(20, "big") + number.to_bytes(20, "big")
            for number in range(chance.choice((0, 0, 3, 40, 100)))
        ]
        noted += ids
        gone = executed.settle(store, height, ids)
        removed += gone
        assert known.of(store) == executed.Known().of(store) == set(noted) - set(removed)
        assert len(noted) - len(removed) <= 60
    assert removed == noted[: len(removed)]


STEPS = st.lists(st.tuples(st.binary(min_size=1, max_size=2), st.none() | st.binary(min_size=1, max_size=2)))


@given(ticks=st.lists(STEPS, max_size=4))
def test_a_settled_store_is_the_one_before_with_the_changes(ticks):
    record = TickRecord(height=1)
    before = state_of(record, {name: store_of({}) for name in STORES}, app_log.EMPTY)
    model: dict[bytes, bytes] = {}
    for steps in ticks:
        changes = dict(steps)
        kept = dict(model)
        model = {key: value for key, value in {**model, **changes}.items() if value is not None}
        proposed = Proposed(parent=before, record=record, changes=dict.fromkeys(STORES, changes), buckets=app_log.EMPTY)
        after = proposed.settled()
        for name in STORES:
            assert list(before.stores[name].iterate(b"")) == sorted(kept.items())
            for seen in (after, proposed.view()):
                assert list(seen.stores[name].iterate(b"")) == sorted(model.items())
                assert all(seen.stores[name].get(key) == model.get(key) for key in changes)
        before = after
