"""Fresh proofs of the real IAVL tree, and spoilt ones, under our verifier and Go's."""

from __future__ import annotations

import random

import pytest

from cosmos_wire.protos import ics23
from tests.ics23.cases import Case, check, spoilt
from tests.oracle.build import ask

SEED = 23


def iavl_cases(size: int) -> list[Case]:
    """Existence and absence (left of all, between, right of all) in a random IAVL tree with removals."""
    rng = random.Random(SEED + size)
    pairs = [(rng.randbytes(rng.randint(2, 9)), rng.randbytes(rng.randint(1, 40))) for _ in range(size)]
    pairs = [(key.replace(b"\xff", b"\x00"), value) for key, value in pairs]
    removed = [(key, b"") for key, _ in pairs[: size // 3]]
    tree = dict(pairs)
    for key, _ in removed:
        tree.pop(key, None)
    absent = [b"\0", b"\xff\xff", *(key + b"\0" for key in list(tree)[:4])]
    wanted = [*list(tree)[:6], *(key for key in absent if key not in tree)]
    question = {
        "pairs": [(key.hex(), value.hex()) for key, value in [*pairs, *removed]],
        "commits": 3,
        "prove": [key.hex() for key in wanted],
    }
    (answer,) = ask("iavl", [question])
    assert answer["ok"], answer
    return [
        Case(
            root=bytes.fromhex(answer["root"]),
            path=(key,),
            value=tree.get(key),
            proofs=(ics23.CommitmentProof.FromString(bytes.fromhex(proof)),),
            specs=("iavl",),
        )
        for key, proof in zip(wanted, answer["proofs"], strict=True)
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 10, 300])
def test_fresh_iavl_proofs_are_accepted(size: int) -> None:
    check(iavl_cases(size), accepted=True)


@pytest.mark.parametrize("size", [2, 10, 300])
def test_spoilt_iavl_proofs_are_refused(size: int) -> None:
    cases = [bad for case in iavl_cases(size)[::3] for bad in spoilt(case)]
    check(cases, accepted=False)
