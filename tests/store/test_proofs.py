"""Every proof that the store emits passes our verifier and Go's; every spoilt one is refused by both."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from cosmos_wire.protos import ics23
from microgrid.store import StateDb, StoreOptions, errors
from microgrid.store.boundaries import SHAPE, is_marked
from tests.ics23.cases import Case, check, spoilt

OPTIONS = StoreOptions(versions_kept=4, map_size=1 << 28, sync=False)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[StateDb]:
    made = StateDb.open(tmp_path / "db", OPTIONS)
    yield made
    made.close()


def case_of(db: StateDb, name: str, key: bytes, height: int | None = None) -> Case:
    with db.snapshot(height) as snapshot:
        value, ops = snapshot.prove(name, key)
        assert value == snapshot.store(name).get(key)
        assert [(kind, each) for kind, each, _ in ops] == [("ics23:iavl", key), ("ics23:simple", name.encode())]
        return Case(
            root=snapshot.app_hash,
            path=(name.encode(), key),
            value=value,
            proofs=tuple(ics23.CommitmentProof.FromString(data) for _, _, data in ops),
        )


def cases_around(db: StateDb, name: str, keys: list[bytes]) -> list[Case]:
    """Existence of some keys, absence left of all, beside each, right of all."""
    wanted = [b"\0", b"\xff" * 30, *keys, *(key + b"\0" for key in keys), *(key[:-1] for key in keys if len(key) > 1)]
    return [case_of(db, name, key) for key in wanted]


def test_one_key(db: StateDb) -> None:
    db.commit(db.put({"ibc": {b"k": b"v"}}), 1, b"")
    cases = [case_of(db, "ibc", key) for key in (b"k", b"a", b"z")]
    check(cases, accepted=True)
    check([bad for case in cases for bad in spoilt(case)], accepted=False)


def test_an_empty_store_proves_nothing(db: StateDb) -> None:
    db.commit(db.put({"ibc": {b"k": b"v"}}), 1, b"")
    with db.snapshot() as snapshot:
        with pytest.raises(errors.EmptyTree):
            snapshot.prove("app", b"k")
        with pytest.raises(errors.BadEntry):
            snapshot.prove("ibc", b"")


@pytest.mark.parametrize("size", [2, 3, 17, 400, 3_000])
def test_sizes(db: StateDb, size: int) -> None:
    rng = random.Random(size)
    keys = [rng.randbytes(rng.randint(1, 20)) for _ in range(size)]
    db.commit(db.put({"ibc": {key: rng.randbytes(rng.randint(1, 200)) for key in keys}}), 1, b"")
    cases = cases_around(db, "ibc", rng.sample(keys, min(size, 60)))
    check(cases, accepted=True)
    check([bad for case in rng.sample(cases, 4) for bad in spoilt(case)], accepted=False)


def test_after_many_edits_and_at_older_heights(db: StateDb) -> None:
    rng = random.Random(1)
    keys = [b"clients/07-tendermint-%d/x%d" % (rng.randrange(9), n) for n in range(800)]
    cases = []
    for height in range(1, 31):
        changes = {rng.choice(keys): rng.choice([None, rng.randbytes(40)]) for _ in range(120)}
        db.commit(db.put({"ibc": changes, "app": {b"height": b"%d" % height}}), height, b"")
        for _ in range(4):
            cases.append(case_of(db, "ibc", rng.choice(keys), rng.randint(db.first_height, height)))
    cases += cases_around(db, "ibc", keys[:10]) + cases_around(db, "app", [b"height"])
    check(cases, accepted=True)
    check([bad for case in rng.sample(cases, 6) for bad in spoilt(case)], accepted=False)


@pytest.mark.parametrize("marked", [True, False])
def test_keys_that_an_adversary_picked(db: StateDb, *, marked: bool) -> None:
    rng = random.Random(2)
    keys = [n.to_bytes(4, "big") for n in range(40_000)]
    keys = [key for key in keys if is_marked(SHAPE, 0, key) == marked][:2_000]
    db.commit(db.put({"ibc": dict.fromkeys(keys, b"v")}), 1, b"")
    check(cases_around(db, "ibc", rng.sample(keys, 40)), accepted=True)


@pytest.mark.parametrize(
    "names", [("a",), ("a", "b"), ("a", "b", "c"), ("z", "b", "c", "d", "e"), ("app", "ibc", "x", "y")]
)
def test_any_number_of_stores(tmp_path: Path, names: tuple[str, ...]) -> None:
    db = StateDb.open(tmp_path, StoreOptions(stores=names, map_size=1 << 28, sync=False))
    db.commit(db.put({name: {b"k" + name.encode(): b"v"} for name in names}), 1, b"")
    check([case_of(db, name, key) for name in names for key in (b"k" + name.encode(), b"k")], accepted=True)
    db.close()
