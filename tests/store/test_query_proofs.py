"""Proofs as relayers get them, by ABCI Query: every shape, whole and forged, under our verifier and Go's."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import abci, commitment, ics23
from ibc_core.ics23 import IAVL_SPEC, TENDERMINT_SPEC, verify_membership, verify_non_membership
from microgrid.query.abci_query import AbciQueries
from microgrid.query.query_core import StateQueries
from microgrid.query.simulation import Simulator
from microgrid.store import StateDb, StoreOptions
from microgrid.store.page import Page
from tests.ics23.cases import Case, check, spoilt
from tests.oracle.build import ask

OPTIONS = StoreOptions(versions_kept=8, map_size=1 << 28, sync=False)
KINDS = ["ics23:iavl", "ics23:simple"]
GENESIS: dict[bytes, bytes | None] = {
    b"nextClientSequence": bytes(8),
    b"nextConnectionSequence": bytes(8),
    b"nextChannelSequence": bytes(8),
    b"clientParams": b"\n\x01*",
    b"connectionParams": b"\x08\x80\xb0\x9d\xc2\xdf\x01",
}
KEYS = [b"acks/ports/transfer/channels/channel-0/sequences/%d" % n for n in range(1, 1_500)]


class NoMethods:
    """No gRPC method: store paths alone."""

    routes: Mapping[str, object] = {}


def asked(db: StateDb, key: bytes, height: int, store: str = "ibc") -> Case:
    """What a relayer makes of the answer: a MerkleProof, to be checked against the app hash in the next header."""
    queries = AbciQueries(db, cast("StateQueries", NoMethods()), cast("Simulator", None), provable=True)
    answer = queries.answer(abci.RequestQuery(path=f"store/{store}/key", data=key, height=height, prove=True))
    assert answer.code == 0, answer.log
    assert (answer.height, answer.key) == (height, key)
    assert [op.type for op in answer.proof_ops.ops] == KINDS
    assert [op.key for op in answer.proof_ops.ops] == [key, store.encode()]
    with db.snapshot(height) as snapshot:
        root = snapshot.app_hash
    return Case(
        root=root,
        path=(store.encode(), key),
        value=answer.value or None,
        proofs=tuple(ics23.CommitmentProof.FromString(op.data) for op in answer.proof_ops.ops),
        label=f"{key!r} at {height}",
    )


def sides(case: Case) -> tuple[bool, bool]:
    """Of an absence: which neighbours it shows."""
    absent = case.proofs[0].nonexist
    return absent.HasField("left"), absent.HasField("right")


def pages(db: StateDb, height: int) -> list[Page]:
    """The lowest level of the `ibc` tree."""
    with db.snapshot(height) as snapshot:
        tree = snapshot._tree("ibc")
        found = []
        page, after = tree.locate(0, b"")
        found.append(page)
        while after is not None:
            page, after = tree.locate(0, after)
            found.append(page)
    return found


@pytest.fixture
def db(tmp_path: Path) -> Iterator[StateDb]:
    made = StateDb.open(tmp_path / "db", OPTIONS)
    made.commit(made.put({"ibc": GENESIS, "app": {b"sy/block": b"x"}}), 1, b"")
    yield made
    made.close()


def filled(db: StateDb, height: int = 2) -> None:
    db.commit(db.put({"ibc": {key: b"ack of " + key for key in KEYS}}), height, b"")


def test_the_tree_of_genesis(db: StateDb) -> None:
    """Seeded, so that absence can be proven before anything was written."""
    db.commit(db.put({}), 2, b"")
    keys = [b"\0", b"clients/07-tendermint-0/clientState", b"commitments/x", b"zzz", *GENESIS]
    cases = [asked(db, key, 2) for key in keys]
    assert [sides(case) for case in cases[:4]] == [(False, True), (True, True), (True, True), (True, False)]
    check(cases, accepted=True)
    check([bad for case in cases for bad in spoilt(case)], accepted=False)


def test_a_tree_of_one_key_and_both_trees(db: StateDb) -> None:
    db.commit(db.put({"ibc": dict.fromkeys(list(GENESIS)[1:])}), 2, b"")
    cases = [asked(db, key, 2) for key in (b"nextClientSequence", b"a", b"z")]
    cases += [asked(db, key, 2, "app") for key in (b"sy/block", b"a", b"z")]
    assert [sides(case) for case in cases[1:3]] == [(False, True), (True, False)]
    check(cases, accepted=True)
    check([bad for case in cases for bad in spoilt(case)], accepted=False)


def test_an_empty_tree_gives_no_proof_and_no_crash(db: StateDb) -> None:
    db.commit(db.put({"ibc": dict.fromkeys(GENESIS)}), 2, b"")
    queries = AbciQueries(db, cast("StateQueries", NoMethods()), cast("Simulator", None), provable=True)
    answer = queries.answer(abci.RequestQuery(path="store/ibc/key", data=b"k", height=2, prove=True))
    assert answer.code != 0
    assert not answer.proof_ops.ops
    assert not answer.value


def test_page_boundaries(db: StateDb) -> None:
    """First and last key of every page, and what is absent just beside them."""
    filled(db)
    edges = [key for page in pages(db, 2) for key in (page.keys[0], page.keys[-1])]
    assert len(edges) > 100
    beside = [changed for key in edges for changed in (key + b"\0", key[:-1] + bytes([key[-1] - 1]) + b"\xff")]
    cases = [asked(db, key, 2) for key in (*edges, *beside)]
    assert sum(case.value is None for case in cases) >= len(beside) - 2
    check(cases, accepted=True)


def test_after_deletes_and_at_the_heights_before(db: StateDb) -> None:
    """Whole pages, first and last keys of pages, the first and the last key of the tree: gone now, there before."""
    filled(db)
    before = pages(db, 2)
    gone = {key for page in before[3:7] for key in page.keys}
    gone |= {key for page in before[10::5] for key in (page.keys[0], page.keys[-1])}
    gone |= {before[0].keys[0], before[-1].keys[-1]}
    db.commit(db.put({"ibc": dict.fromkeys(sorted(gone))}), 3, b"")
    db.commit(db.put({"ibc": {b"later": b"x"}}), 4, b"")
    wanted = random.Random(7).sample(sorted(gone), 60)
    cases = {height: [asked(db, key, height) for key in wanted] for height in (2, 3, 4)}
    assert all(case.value is not None for case in cases[2])
    assert all(case.value is None for case in (*cases[3], *cases[4]))
    check([case for part in cases.values() for case in part], accepted=True)
    crossed = [
        Case(root=now.root, path=then.path, value=then.value, proofs=then.proofs, label="proof of another height")
        for then, now in zip(cases[2], cases[3], strict=True)
    ]
    mixed = [
        Case(root=now.root, path=then.path, value=then.value, proofs=(then.proofs[0], now.proofs[1]), label="mixed")
        for then, now in zip(cases[2], cases[3], strict=True)
    ]
    check(crossed + mixed, accepted=False)


def test_no_absence_out_of_honest_parts(db: StateDb) -> None:
    """Dragonberry: neighbours that are real but not adjacent, too far, turned round, of one side only."""
    filled(db)
    rng = random.Random(11)
    with db.snapshot(2) as snapshot:
        order = [key for key, _ in snapshot.store("ibc").iterate(b"")]
    forged = []
    for at in rng.sample(range(3, len(order) - 3), 25):
        near = {step: asked(db, order[at + step], 2) for step in (-2, -1, 0, 1, 2)}
        present = order[at]
        for left, right in ((-1, 1), (-2, 1), (-1, 2), (1, -1), (None, 1), (-1, None), (0, 1), (-1, 0), (0, 0)):
            absent = ics23.NonExistenceProof(key=present)
            for side, step in ((absent.left, left), (absent.right, right)):
                if step is not None:
                    side.CopyFrom(near[step].proofs[0].exist)
            proofs = (ics23.CommitmentProof(nonexist=absent), near[0].proofs[1])
            forged.append(
                Case(root=near[0].root, path=near[0].path, value=None, proofs=proofs, label=f"{left} {right}")
            )
    check(forged, accepted=False)


def field(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    size, head = len(data), bytearray([number << 3 | 2])
    while size >= 0x80:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes(head) + bytes([size]) + data


def verdicts(case: Case, raw: list[list[bytes]]) -> tuple[list[bool], list[bool]]:
    """Ours and Go's, of CommitmentProofs in bytes that may be no protobuf at all."""
    specs = [IAVL_SPEC, TENDERMINT_SPEC]
    mine = []
    for proofs in raw:
        data = b"".join(field(1, proof) for proof in proofs)
        try:
            if case.value is None:
                verify_non_membership(specs, case.root, case.path, data)
            else:
                verify_membership(specs, case.root, case.path, data, case.value)
        except ChainError as error:
            mine.append(error.codespace != "ics23")
        else:
            mine.append(True)
    questions = [{**case.as_json(), "proofs": [proof.hex() for proof in proofs]} for proofs in raw]
    return mine, [bool(answer["ok"]) for answer in ask("merkle", questions)]


FLIPS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2**20), st.integers(1, 255)), min_size=1, max_size=3)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds=st.lists(FLIPS, min_size=60, max_size=60), which=st.integers(0, 4))
def test_flipped_bytes_get_the_same_verdict_of_both(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[int, int, int]]], which: int
) -> None:
    case = honest(tmp_path_factory)[which]
    whole = [proof.SerializeToString() for proof in case.proofs]
    raw = []
    for flips in rounds:
        parts = [bytearray(data) for data in whole]
        for part, at, mask in flips:
            parts[part][at % len(parts[part])] ^= mask
        raw.append([bytes(part) for part in parts])
    mine, theirs = verdicts(case, raw)
    assert mine == theirs, [parts for parts, one, other in zip(raw, mine, theirs, strict=True) if one != other][:1]


HONEST: list[Case] = []


def honest(factory: pytest.TempPathFactory) -> list[Case]:
    """Existence and absence left, middle, right, and existence in the seeded tree's other keys; made once."""
    if not HONEST:
        made = StateDb.open(factory.mktemp("honest") / "db", OPTIONS)
        made.commit(made.put({"ibc": GENESIS, "app": {b"sy/block": b"x"}}), 1, b"")
        filled(made)
        keys = (KEYS[40], b"\0", KEYS[700] + b"\0", b"\xff", b"clientParams")
        HONEST.extend(asked(made, key, 2) for key in keys)
        made.close()
    return HONEST


def test_batch_and_compressed_forms_of_an_honest_proof_are_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    """ibc-go takes a proof of one key alone (GetExist, GetNonexist), whatever the library could do with the others."""
    for case in honest(tmp_path_factory):
        lowest, batch = case.proofs[0], ics23.BatchProof()
        entry = batch.entries.add()
        if lowest.HasField("exist"):
            entry.exist.CopyFrom(lowest.exist)
        else:
            entry.nonexist.CopyFrom(lowest.nonexist)
        wrapped = ics23.CommitmentProof(batch=batch)
        compressed = ics23.CommitmentProof(compressed=ics23.CompressedBatchProof())
        for other in (wrapped, compressed):
            data = commitment.MerkleProof(proofs=[other, case.proofs[1]]).SerializeToString()
            raw = [[other.SerializeToString(), case.proofs[1].SerializeToString()]]
            assert commitment.MerkleProof.FromString(data).proofs[0] == other
            assert verdicts(case, raw) == ([False], [False])
