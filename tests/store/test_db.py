"""The durable store: versions, snapshots, pruning, refusals, other processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ibc_core.host import MemoryStore, Overlay, Store
from microgrid.store import StateDb, StoreOptions, errors
from tests.store.model import Pairs, apply, changes_of

OPTIONS = StoreOptions(versions_kept=5, map_size=1 << 28, sync=False)
SEED = 3


@pytest.fixture
def db(tmp_path: Path) -> Iterator[StateDb]:
    made = StateDb.open(tmp_path / "db", OPTIONS)
    yield made
    made.close()


def commit(db: StateDb, changes: dict[str, dict[bytes, bytes | None]], meta: bytes = b"") -> bytes:
    batch = db.put(changes)
    db.commit(batch, db.height + 1, meta)
    assert db.app_hash == batch.app_hash
    return batch.app_hash


def test_an_empty_store(db: StateDb) -> None:
    assert (db.height, db.app_hash, db.meta, db.first_height) == (0, b"", b"", 0)
    assert db.store("app").get(b"k") is None
    assert list(db.store("app").iterate(b"")) == []
    with pytest.raises(errors.VersionUnknown, match="nothing is committed"):
        db.snapshot()


def test_put_writes_nothing(db: StateDb) -> None:
    first = db.put({"app": {b"k": b"v"}})
    assert db.put({"app": {b"k": b"v"}}).app_hash == first.app_hash
    assert db.put({"app": {b"k": b"w"}}).app_hash != first.app_hash
    assert db.height == 0
    assert db.store("app").get(b"k") is None
    db.commit(first, 1, b"meta")
    assert (db.height, db.meta, db.store("app").get(b"k")) == (1, b"meta", b"v")


def test_every_kept_version_reads_as_its_model(db: StateDb) -> None:
    pairs: Pairs = {"app": {}, "ibc": {}}
    states: dict[int, Pairs] = {}
    hashes: dict[int, bytes] = {}
    for height in range(1, 60):
        changes = changes_of(SEED, height)
        hashes[height] = commit(db, changes, b"m%d" % height)
        apply(pairs, changes)
        states[height] = {name: dict(entries) for name, entries in pairs.items()}
        for name, entries in pairs.items():
            assert dict(db.store(name).iterate(b"")) == entries
    assert db.first_height == 55
    for height in range(55, 60):
        with db.snapshot(height) as snapshot:
            assert (snapshot.app_hash, snapshot.meta) == (hashes[height], b"m%d" % height)
            for name, entries in states[height].items():
                assert dict(snapshot.store(name).iterate(b"")) == entries
                assert all(snapshot.store(name).get(key) == value for key, value in entries.items())
                assert snapshot.store(name).get(b"absent") is None


def test_heights_outside_are_refused_with_the_limit_named(db: StateDb) -> None:
    for height in range(1, 9):
        commit(db, changes_of(SEED, height))
    with pytest.raises(errors.VersionPruned, match="from 4 on"):
        db.snapshot(3)
    with pytest.raises(errors.VersionUnknown, match="from 4 to 8"):
        db.snapshot(9)


def test_a_snapshot_outlives_the_pruning_of_its_version(db: StateDb) -> None:
    commit(db, {"app": {b"k": b"old", b"long": b"x" * 500}})
    with db.snapshot() as snapshot:
        for height in range(2, 12):
            commit(db, {"app": {b"k": b"%d" % height, b"long": b"%d" % height * 300}})
        assert snapshot.store("app").get(b"k") == b"old"
        assert snapshot.store("app").get(b"long") == b"x" * 500
    with pytest.raises(errors.VersionPruned):
        db.snapshot(1)


def test_records_do_not_pile_up(db: StateDb) -> None:
    """All live keys change in every block: after a thousand blocks there is room for the kept versions only."""
    keys = [b"key%d" % n for n in range(40)]
    counts = []
    for height in range(1, 301):
        commit(db, {"app": dict.fromkeys(keys, b"%d " % height * 60)})
        with db._disk.env.begin() as txn:
            counts.append(txn.stat(db._disk.records)["entries"])
    assert max(counts[50:]) <= 7 * (len(keys) + 15)
    with db._disk.env.begin() as txn:
        assert txn.stat(db._disk.dead)["entries"] <= 6
        assert txn.stat(db._disk.versions)["entries"] == 5


def test_fewer_versions_after_reopening_are_reached_step_by_step(tmp_path: Path) -> None:
    first = StateDb.open(tmp_path, replace(OPTIONS, versions_kept=50))
    for height in range(1, 31):
        commit(first, changes_of(SEED, height))
    first.close()
    db = StateDb.open(tmp_path, replace(OPTIONS, versions_kept=2))
    lowest = []
    for height in range(31, 41):
        commit(db, changes_of(SEED, height))
        lowest.append(db.first_height)
        with db.snapshot(db.first_height) as snapshot:
            assert snapshot.height == db.first_height
    assert lowest[0] > 1
    assert lowest == sorted(lowest)
    assert db.first_height == 39
    db.close()


def test_reopening_keeps_everything(tmp_path: Path) -> None:
    first = StateDb.open(tmp_path, OPTIONS)
    for height in range(1, 20):
        commit(first, changes_of(SEED, height), b"meta")
    told = first.height, first.app_hash, first.meta, first.first_height, dict(first.store("ibc").iterate(b""))
    first.close()
    again = StateDb.open(tmp_path, OPTIONS)
    assert (again.height, again.app_hash, again.meta, again.first_height, dict(again.store("ibc").iterate(b""))) == told
    batch = again.put({"ibc": {b"k": b"v"}})
    again.commit(batch, 25, b"")  # a chain may begin at, or jump to, any height
    assert again.height == 25
    again.close()


def test_equal_contents_have_equal_hashes_whatever_the_history(tmp_path: Path) -> None:
    pairs: Pairs = {"app": {}, "ibc": {}}
    long = StateDb.open(tmp_path / "long", OPTIONS)
    for height in range(1, 40):
        apply(pairs, changes_of(SEED, height))
        commit(long, changes_of(SEED, height))
    short = StateDb.open(tmp_path / "short", OPTIONS)
    assert short.put({name: dict(entries) for name, entries in pairs.items()}).app_hash == long.app_hash
    assert long.put({}).app_hash == long.app_hash
    long.close()
    short.close()


def test_commit_refuses_what_does_not_follow(db: StateDb) -> None:
    one, other = db.put({"app": {b"k": b"1"}}), db.put({"app": {b"k": b"2"}})
    db.commit(one, 1, b"")
    with pytest.raises(errors.StaleBatch, match=r"expected a batch on height 1, got one on 0"):
        db.commit(other, 2, b"")
    with pytest.raises(errors.WrongHeight):
        db.commit(db.put({}), 1, b"")
    assert db.store("app").get(b"k") == b"1"


@pytest.mark.parametrize(
    ("key", "value"), [(b"", b"v"), (b"k", b""), (b"k" * 512, b"v"), (b"k", b"v" * (1 << 20) + b"v")]
)
def test_entries_that_cannot_be_proven_or_kept_are_refused(db: StateDb, key: bytes, value: bytes) -> None:
    with pytest.raises(errors.BadEntry):
        db.put({"app": {key: value}})


def test_the_largest_entry(db: StateDb) -> None:
    key, value = b"\xff" * 511, b"v" * (1 << 20)
    commit(db, {"app": {key: value, b"k": b"v"}})
    assert db.store("app").get(key) == value
    with db.snapshot() as snapshot:
        assert snapshot.store("app").get(key) == value
        assert snapshot.prove("app", key)[0] == value
    assert db.store("app").get(key + b"\xff") is None
    assert db.store("app").get(b"") is None
    assert list(db.store("app").iterate(key + b"\xff")) == []


def test_removing_an_absent_key_changes_nothing(db: StateDb) -> None:
    before = commit(db, {"app": {b"k": b"v"}})
    assert commit(db, {"app": {b"other": None}}) == before
    commit(db, {"app": {b"k": None}})
    assert list(db.store("app").iterate(b"")) == []


def test_stores_are_only_read(db: StateDb) -> None:
    commit(db, {"app": {b"k": b"v"}})
    with db.snapshot() as snapshot:
        for store in (db.store("app"), snapshot.store("app")):
            with pytest.raises(errors.ReadOnly):
                store.set(b"k", b"w")
            with pytest.raises(errors.ReadOnly):
                store.delete(b"k")
    assert db.store("app").get(b"k") == b"v"


def test_unknown_stores_are_refused(db: StateDb) -> None:
    with pytest.raises(errors.UnknownStore):
        db.store("bank")
    with pytest.raises(errors.UnknownStore):
        db.put({"bank": {}})
    commit(db, {"app": {b"k": b"v"}})
    with db.snapshot() as snapshot, pytest.raises(errors.UnknownStore):
        snapshot.prove("bank", b"k")


def test_other_stores_than_on_disk_are_refused(tmp_path: Path) -> None:
    first = StateDb.open(tmp_path, OPTIONS)
    commit(first, {"app": {b"k": b"v"}})
    first.close()
    with pytest.raises(errors.UnknownStore, match="'app', 'ibc'"):
        StateDb.open(tmp_path, replace(OPTIONS, stores=("app",)))


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    db = StateDb.open(tmp_path, OPTIONS)
    store = db.store("app")
    db.close()
    for call in (lambda: store.get(b"k"), db.snapshot, lambda: db.height):
        with pytest.raises(errors.Closed):
            call()


@pytest.mark.parametrize("kind", ["latest", "snapshot", "overlay"])
def test_iteration_is_that_of_the_model(db: StateDb, kind: str) -> None:
    model = MemoryStore()
    for n in range(2_000):
        model.set(b"%04d" % n, b"v%d" % n)
    model.set(b"\xff\xff", b"last")
    commit(db, {"app": dict(model.data)})
    with db.snapshot() as snapshot:
        base = snapshot.store("app") if kind == "snapshot" else db.store("app")
        store: Store = Overlay(base) if kind == "overlay" else base
        for prefix in (b"", b"0", b"00", b"19", b"1999", b"3", b"\xff", b"\xff\xff", b"19990"):
            for start in (b"", b"0", b"0015", b"00150", b"1", b"\xff\xff\xff", prefix + b"\xff"):
                assert list(store.iterate(prefix, start)) == list(model.iterate(prefix, start)), (prefix, start)


def test_an_iteration_may_see_a_commit_but_does_not_break(db: StateDb) -> None:
    commit(db, {"app": {b"%03d" % n: b"v" for n in range(500)}})
    seen = []
    for key, _ in db.store("app").iterate(b""):
        seen.append(key)
        if len(seen) == 10:
            commit(db, {"app": {b"400": None, b"4000": b"v"}})
    assert len(seen) == 500
    assert b"400" not in seen


def test_a_reader_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(errors.Missing, match=r"no data\.mdb"):
        StateDb.open(tmp_path / "none", replace(OPTIONS, read_only=True))


READER = """
import sys
from pathlib import Path
from microgrid.store import StateDb, StoreOptions
db = StateDb.open(Path(sys.argv[1]), StoreOptions(read_only=True, map_size=1 << 28))
for line in sys.stdin:
    height = int(line)
    with db.snapshot(height) as snapshot:
        value, ops = snapshot.prove("app", b"k")
        print(db.height, db.first_height, db.app_hash.hex(), snapshot.app_hash.hex(), db.store("app").get(b"k"), value,
              len(ops), dict(db.store("app").iterate(b"k")), db.meta, flush=True)
"""


def test_another_process_sees_each_commit(tmp_path: Path) -> None:
    db = StateDb.open(tmp_path, OPTIONS)
    hashes = [b""]
    command = [sys.executable, "-c", READER, str(tmp_path)]
    hashes.append(commit(db, {"app": {b"k": b"1"}}, b"m1"))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        for height in range(2, 12):
            hashes.append(commit(db, {"app": {b"k": b"%d" % height}}, b"m%d" % height))
            old = max(height - 3, 1)
            reader.stdin.write(f"{old}\n")
            reader.stdin.flush()
            now, was = b"%d" % height, b"%d" % old
            assert reader.stdout.readline() == (
                f"{height} {max(height - 4, 1)} {hashes[height].hex()} {hashes[old].hex()} {now!r} {was!r} 2 "
                f"{ {b'k': now} } {b'm%d' % height!r}\n"
            )
        reader.stdin.close()
        assert reader.wait() == 0
    db.close()
