"""The end state by proofs: what a node tells has to be what validators signed, and a proof has to be one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bsmg.audit import proofs
from bsmg.audit.claims import Claim, claims_of
from bsmg.audit.headers import results_hash
from bsmg.audit.record import ChainRecord, Proven, StateProofs
from bsmg.audit.run import audit
from cosmos_wire import canonical
from cosmos_wire.protos import cmt_types, ics23
from microgrid.store import StateDb, StoreOptions
from tests.audit.conftest import Records
from tests.audit.day import Day
from tests.audit.recorder import SECOND, VALIDATORS
from tests.audit.test_replay import differences, named
from tests.tendermint.testgen import sign_commit

PROOFS = "proofs"
OTHERS = {b"mk/live": b"x", b"sy/block": b"y", b"zz": b"z"}


def stored(claim: Claim) -> bytes:
    """The record as the chain keeps it."""
    return str(claim.said).encode() if isinstance(claim.said, int) else claim.said.SerializeToString(deterministic=True)


def signed(record: ChainRecord, app_hash: bytes) -> cmt_types.SignedHeader:
    """The header after the record's last block, signed by all."""
    last = record.blocks[-1]
    header = cmt_types.Header(chain_id=record.chain_id, height=last.height + 1, app_hash=app_hash)
    header.time.FromNanoseconds(last.time_ns + SECOND)
    header.validators_hash = header.next_validators_hash = VALIDATORS.hash
    assert record.last_commit is not None
    header.last_block_id.CopyFrom(record.last_commit.block_id)
    header.last_results_hash = results_hash(last)
    commit = cmt_types.Commit(height=header.height)
    commit.block_id.hash = canonical.header_hash(header)
    commit.block_id.part_set_header.total = 1
    sign_commit(record.chain_id, commit, VALIDATORS, header.time)
    return cmt_types.SignedHeader(header=header, commit=commit)


def proving(
    record: ChainRecord, folder: Path, change: Callable[[dict[bytes, bytes]], None] = lambda _: None
) -> ChainRecord:
    """The record with proofs of all that the node tells; `change` makes the true state another one."""
    claims = claims_of(record.final)
    state = {claim.key: stored(claim) for claim in claims}
    change(state)
    db = StateDb.open(folder / record.chain_id, StoreOptions(versions_kept=2, map_size=1 << 24, sync=False))
    db.commit(db.put({"app": {**state, **OTHERS}, "ibc": {b"nextClientSequence": bytes(8)}}), 1, b"")
    with db.snapshot(1) as snapshot:
        found = [(claim.key, *snapshot.prove("app", claim.key)) for claim in claims]
    made = [Proven(key=key, value=value or b"", proofs=tuple(op[2] for op in ops)) for key, value, ops in found]
    root = db.app_hash
    db.close()
    return replace(record, proofs=StateProofs(signed=signed(record, root), records=tuple(made)))


@pytest.fixture(scope="module")
def proven(records: Records, tmp_path_factory: pytest.TempPathFactory) -> Records:
    folder = tmp_path_factory.mktemp("proven")
    return proving(records[0], folder), proving(records[1], folder)


def only(*found: object) -> object:
    """The only difference."""
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]


def test_all_of_an_honest_end_is_proven(proven: Records) -> None:
    for findings, record in zip(audit(proven), proven, strict=True):
        assert [str(item) for item in findings.differences] == []
        assert findings.checked[PROOFS] == len(claims_of(record.final)) > 20
        assert not [note for note in findings.notes if "end state" in note]


def test_the_keys_are_those_of_the_chain(day: Day) -> None:
    for chain in (day.a, day.b):
        claims, app = claims_of(chain.record().final), chain.view().app
        kinds = {claim.key[:5] for claim in claims}
        assert kinds >= {b"bk/b/", b"bk/s/", b"rg/c/"}
        assert [claim.name for claim in claims if claim.read(app.get(claim.key) or b"") != claim.said] == []
    assert b"td/k/s" in {claim.key[:6] for claim in claims_of(day.a.record().final)}
    assert b"td/k/b" in {claim.key[:6] for claim in claims_of(day.b.record().final)}


def test_a_node_that_tells_what_fits_the_books_and_not_the_state_is_found(records: Records, tmp_path: Path) -> None:
    """All its answers are what an honest chain would say; the state that validators signed is another one."""
    for prefix in (b"bk/b/", b"bk/s/"):

        def richer(state: dict[bytes, bytes], prefix: bytes = prefix) -> None:
            key = next(key for key in state if key.startswith(prefix))
            state[key] = str(int(state[key]) + 1).encode()

        lying = proving(records[0], tmp_path / prefix.decode().replace("/", "-"), richer)
        wrong = only(*differences(lying, records[1]))
        assert wrong.subject == PROOFS
        assert int(wrong.expected) == int(wrong.got) + 1


def test_a_cell_and_a_contract_that_are_others_in_the_state_are_found(records: Records, tmp_path: Path) -> None:
    def poorer(state: dict[bytes, bytes]) -> None:
        cell = type(records[0].final.cells[0]).FromString(state[b"rg/c/\0\0\0\1"])
        cell.collateral = str(int(cell.collateral) - 1)
        state[b"rg/c/\0\0\0\1"] = cell.SerializeToString(deterministic=True)

    assert only(*differences(proving(records[0], tmp_path, poorer), records[1])).subject == PROOFS

    def other(state: dict[bytes, bytes]) -> None:
        key = next(key for key in state if key.startswith(b"td/k/b"))
        contract = type(records[1].final.bought[0]).FromString(state[key])
        contract.energy_mwh += 1
        state[key] = contract.SerializeToString(deterministic=True)

    wrong = only(*differences(records[0], proving(records[1], tmp_path, other)))
    assert (wrong.subject, wrong.place[:8]) == (PROOFS, "contract")


def with_record(record: ChainRecord, at: int, change: Callable[[Proven], Proven]) -> ChainRecord:
    assert record.proofs is not None
    rows = list(record.proofs.records)
    rows[at] = change(rows[at])
    return replace(record, proofs=replace(record.proofs, records=tuple(rows)))


def test_another_value_under_a_good_proof_is_found(proven: Records) -> None:
    lying = with_record(proven[0], 0, lambda row: replace(row, value=row.value + b"0"))
    assert "ValueError: proof: expected it of" in named(differences(lying, proven[1]), PROOFS, "balance of").got


def test_a_record_without_a_proof_is_found(proven: Records) -> None:
    for bare in ((), None):
        lying = with_record(proven[0], 3, lambda row, bare=bare: replace(row, proofs=bare or row.proofs[:1]))
        assert "expected one of the key and one of the store" in named(differences(lying, proven[1]), PROOFS).got


def test_a_proof_of_another_record_or_of_absence_is_found(proven: Records) -> None:
    assert proven[0].proofs is not None
    other = proven[0].proofs.records[5]
    lying = with_record(proven[0], 4, lambda row: replace(row, proofs=other.proofs, value=other.value))
    assert named(differences(lying, proven[1]), PROOFS).expected == "a proof of it"
    absent = ics23.CommitmentProof(nonexist=ics23.NonExistenceProof(key=other.key)).SerializeToString()
    lying = with_record(proven[0], 4, lambda row: replace(row, proofs=(absent, row.proofs[1])))
    assert "expected one of existence, got nonexist" in named(differences(lying, proven[1]), PROOFS).got


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_changed_byte_of_a_proof_leads_to_the_root(proven: Records, data: st.DataObject) -> None:
    assert proven[0].proofs is not None
    row = data.draw(st.sampled_from(proven[0].proofs.records))
    which = data.draw(st.integers(0, 1))
    raw = row.proofs[which]
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :]
    before = ics23.CommitmentProof.FromString(raw)
    try:
        after = ics23.CommitmentProof.FromString(changed)
        rows = tuple(changed if n == which else old for n, old in enumerate(row.proofs))
        found = proofs.proven_root(replace(row, proofs=rows))
    except proofs.FAULTS:
        return
    assert before == after or found != proven[0].proofs.signed.header.app_hash


def test_nodes_that_are_none_of_the_tree_are_refused() -> None:
    """A node with both children said, a leaf as a node, a node as a leaf, foreign heights."""
    half, whole = b"\x20" + bytes(32), b"\x20" + bytes(32) + b"\x20"
    assert proofs.iavl_inner(b"\2\4\2\x20", half)
    assert proofs.iavl_inner(b"\2\4\2" + whole, b"")
    for prefix, suffix in (
        (b"\0\2\2\x20", half),
        (b"\2\4\2" + whole, half),
        (b"\2\4\2\x20", b""),
        (b"\2\4\2\x21", half),
        (b"\2\4\2\x20", half[:-1]),
        (b"\1\4\2\x20", half),  # height -1
        (b"\2\4", half),
        (b"", b""),
        (b"\x80" * 12, half),
    ):
        assert not proofs.iavl_inner(prefix, suffix)
    assert proofs.iavl_leaf(b"\0\2\2")
    assert [proofs.iavl_leaf(raw) for raw in (b"\2\2\2", b"\0\4\2", b"\0\2\2\0", b"\0\2", b"")] == [False] * 5
    assert proofs.simple_inner(b"\1", bytes(32))
    assert proofs.simple_inner(b"\1" + bytes(32), b"")
    for prefix, suffix in ((b"\1", b""), (b"\0", bytes(32)), (b"\1" + bytes(32), bytes(32)), (b"\1\0", bytes(31))):
        assert not proofs.simple_inner(prefix, suffix)
    assert not proofs.simple_leaf(b"\1")


# The header that all hangs on


def test_a_root_that_nobody_signed_is_found(proven: Records) -> None:
    assert proven[0].proofs is not None
    header = cmt_types.SignedHeader()
    header.CopyFrom(proven[0].proofs.signed)
    header.header.app_hash = bytes(32)
    lying = replace(proven[0], proofs=replace(proven[0].proofs, signed=header))
    found = differences(lying, proven[1])
    assert named(found, "signatures", "commit")
    assert len([item for item in found if item.subject == PROOFS]) == len(proven[0].proofs.records)


def test_a_header_of_another_block_is_found(proven: Records) -> None:
    assert proven[0].proofs is not None
    shorter = replace(proven[0], blocks=proven[0].blocks[:-1], last_commit=proven[0].blocks[-1].last_commit)
    found = differences(shorter, proven[1])
    assert named(found, "headers", "last block")


def test_results_of_the_last_block_are_held_against_that_header(records: Records, tmp_path: Path) -> None:
    record = proving(records[0], tmp_path)
    assert record.proofs is not None
    header = cmt_types.SignedHeader()
    header.CopyFrom(record.proofs.signed)
    header.header.last_results_hash = bytes(32)
    lying = replace(record, proofs=replace(record.proofs, signed=header))
    assert named(differences(lying, records[1]), "headers", "last results")


def test_what_is_not_proven_is_said(proven: Records) -> None:
    assert proven[0].proofs is not None
    some = replace(proven[0], proofs=replace(proven[0].proofs, records=proven[0].proofs.records[:7]))
    first, second = audit([some, replace(proven[1], proofs=None)])
    assert (first.differences, second.differences) == ([], [])
    left = len(claims_of(some.final)) - 7
    assert f"{left} records of the end state: taken from the node's answers, without proofs" in first.notes
    assert proofs.NO_PROOFS in second.notes
