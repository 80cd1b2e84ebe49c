"""Proofs as questions: asked of our verifier and of Go's in the same words, and spoilt in every way we know."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import commitment, ics23
from ibc_core.ics23 import IAVL_SPEC, TENDERMINT_SPEC, verify_membership, verify_non_membership
from tests.oracle.build import ask

SPECS = {"iavl": IAVL_SPEC, "tendermint": TENDERMINT_SPEC}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One chained proof; `value` None asks for absence. Proofs are leaf tree first, the path root tree first."""

    root: bytes
    path: tuple[bytes, ...]
    value: bytes | None
    proofs: tuple[ics23.CommitmentProof, ...]
    specs: tuple[str, ...] = ("iavl", "tendermint")
    label: str = ""

    def as_json(self) -> dict[str, object]:
        return {
            "specs": list(self.specs),
            "root": self.root.hex(),
            "path": [key.hex() for key in self.path],
            "value": None if self.value is None else self.value.hex(),
            "proofs": [proof.SerializeToString().hex() for proof in self.proofs],
        }


def ours(case: Case) -> ChainError | None:
    """Our verdict: None, or why not. Anything but a ChainError is a crash and fails the test."""
    data = commitment.MerkleProof(proofs=case.proofs).SerializeToString()
    specs = [SPECS[name] for name in case.specs]
    try:
        if case.value is None:
            verify_non_membership(specs, case.root, case.path, data)
        else:
            verify_membership(specs, case.root, case.path, data, case.value)
    except ChainError as error:
        return error
    return None


def check(cases: list[Case], *, accepted: bool) -> None:
    """Both verifiers have to agree with `accepted` on every case."""
    answers = ask("merkle", (case.as_json() for case in cases))
    for case, answer in zip(cases, answers, strict=True):
        mine = ours(case)
        assert mine is None or mine.codespace == "ics23", mine
        context = f"{case.label}: {json.dumps(case.as_json())[:400]}"
        assert answer["ok"] is accepted, f"go: {answer} {context}"
        assert (mine is None) is accepted, f"ours: {mine} {context}"


def spoilt(case: Case) -> Iterator[Case]:
    """The case with one thing wrong, every way."""
    yield replace(case, label="other root", root=_flip(case.root, 3))
    yield replace(case, label="key of another", path=(*case.path[:-1], _foreign_key(case)))
    if len(case.path) > 1:
        yield replace(case, label="other store", path=(case.path[0] + b"x", *case.path[1:]))
        yield replace(case, label="proofs reversed", proofs=case.proofs[::-1])
    yield replace(case, label="proof dropped", proofs=case.proofs[:-1])
    yield replace(case, label="proof doubled", proofs=(case.proofs[0], *case.proofs))
    if case.value is None:
        yield replace(case, label="existence claimed", value=b"value")
    else:
        yield replace(case, label="absence claimed", value=None)
        yield replace(case, label="other value", value=case.value + b"\0")
        yield replace(case, label="empty value", value=b"")
    for number, proof in enumerate(case.proofs):
        for label, bad in _spoilt_proofs(proof):
            proofs = (*case.proofs[:number], bad, *case.proofs[number + 1 :])
            yield replace(case, label=f"proof {number}: {label}", proofs=proofs)


def _foreign_key(case: Case) -> bytes:
    """A key for which the proof says nothing: another one for existence, a neighbour for absence."""
    if case.value is not None:
        return case.path[-1] + b"!"
    absent = case.proofs[0].nonexist
    return absent.left.key or absent.right.key


def _spoilt_proofs(proof: ics23.CommitmentProof) -> Iterator[tuple[str, ics23.CommitmentProof]]:
    if proof.WhichOneof("proof") == "exist":
        for label, bad in _spoilt_existence(proof.exist):
            yield label, ics23.CommitmentProof(exist=bad)
        return
    absent = proof.nonexist
    for side in ("left", "right"):
        if not absent.HasField(side):
            continue
        for label, bad in _spoilt_existence(getattr(absent, side)):
            changed = ics23.NonExistenceProof()
            changed.CopyFrom(absent)
            getattr(changed, side).CopyFrom(bad)
            yield f"{side} {label}", ics23.CommitmentProof(nonexist=changed)
        changed = ics23.NonExistenceProof()
        changed.CopyFrom(absent)
        changed.ClearField(side)
        yield f"{side} gone", ics23.CommitmentProof(nonexist=changed)
    if absent.HasField("left") and absent.HasField("right"):
        turned = ics23.NonExistenceProof(key=absent.key, left=absent.right, right=absent.left)
        yield "sides swapped", ics23.CommitmentProof(nonexist=turned)


Change = Callable[[ics23.ExistenceProof], None]


def _spoilt_existence(proof: ics23.ExistenceProof) -> Iterator[tuple[str, ics23.ExistenceProof]]:
    for label, change in _changes(proof):
        bad = ics23.ExistenceProof()
        bad.CopyFrom(proof)
        change(bad)
        if bad != proof:
            yield label, bad


def _changes(proof: ics23.ExistenceProof) -> Iterator[tuple[str, Change]]:
    yield "key flipped", lambda p: setattr(p, "key", _flip(p.key, 0))
    yield "value flipped", lambda p: setattr(p, "value", _flip(p.value, 0))
    yield "value empty", lambda p: p.ClearField("value")
    yield "leaf gone", lambda p: p.ClearField("leaf")
    for at in range(len(proof.leaf.prefix)):
        yield f"leaf prefix {at}", lambda p, at=at: setattr(p.leaf, "prefix", _flip(p.leaf.prefix, at))  # type: ignore[misc]  # mypy can't type a default of a lambda
    for name in ("hash", "prehash_key", "prehash_value", "length"):
        yield f"leaf {name}", lambda p, name=name: setattr(p.leaf, name, getattr(p.leaf, name) + 1)  # type: ignore[misc]  # as above
    for step in range(len(proof.path)):
        for label, change in _step_changes(step, proof.path[step]):
            yield f"step {step} {label}", change


def _step_changes(step: int, op: ics23.InnerOp) -> Iterator[tuple[str, Change]]:
    for at in sorted({0, 1, 2, len(op.prefix) - 1, len(op.prefix) - 5} & set(range(len(op.prefix)))):
        yield f"prefix {at}", lambda p, at=at: setattr(p.path[step], "prefix", _flip(p.path[step].prefix, at))  # type: ignore[misc]  # as above
    yield "suffix", lambda p: setattr(p.path[step], "suffix", _flip(p.path[step].suffix, -1))
    yield "prefix longer", lambda p: setattr(p.path[step], "prefix", p.path[step].prefix + b" ")
    yield "suffix longer", lambda p: setattr(p.path[step], "suffix", p.path[step].suffix + bytes(33))
    yield "sides swapped", lambda p: _swap(p.path[step])
    yield "hash", lambda p: setattr(p.path[step], "hash", ics23.SHA512)
    yield "dropped", lambda p: p.path.pop(step)
    yield "doubled", lambda p: p.path.insert(step, p.path[step])
    yield "moved", lambda p: p.path.append(p.path.pop(step))


def _swap(op: ics23.InnerOp) -> None:
    """The child on the other side of its sibling, with a well-formed node."""
    head = op.prefix[:-34] if len(op.prefix) > 34 else op.prefix
    if op.suffix:
        op.prefix, op.suffix = head[:-1] + op.suffix + b"\x20", b""
    else:
        op.prefix, op.suffix = head + b"\x20", b"\x20" + op.prefix[-33:-1]


def _flip(data: bytes, at: int) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)
