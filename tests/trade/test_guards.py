"""Each guard of the model, taken out of the real handlers, is missed: a path on which an invariant breaks without it.

One survives because a second guard covers it: `lock_timeout` (an S that accepts late only reserves, and cancels at
T_act); only the comparison with the model sees it. Three can't be taken out alone, because the handlers check twice:
`equiv_needs_reserved` goes with the halt's check, `ack_needs_locked` with the ledger's refusal of a negative change,
`second_release` with the check that an escrow covers what is paid.
"""

from __future__ import annotations

import pytest

from . import model as m
from .guards import GUARDS
from .walks import Case, follow, replay

ONE = m.Bounds(freeze=False)
SILENT = m.Bounds(freeze=False, arbiter=False)
FREEZE = m.Bounds()
TWO = m.Bounds(contracts=2, freeze=False, halt=False, cancel=False)
EIGHT = m.Bounds(contracts=2, offer=8, truths=(0, 8), lies=(0, 8), freeze=False, halt=False, cancel=False)


def path(text: str) -> tuple[str, ...]:
    return tuple(label.strip() for label in text.split(",") if label.strip())


def ticks(first: int, last: int) -> str:
    return ",".join(f"S block {t} gate 1, B block {t} gate 1" for t in range(first, last + 1))


RESERVED = "B lock 0, S recv LOCK 0"
CONFIRMED = RESERVED + ", B ack LOCK 0"
COMMITTED = CONFIRMED + ", B block 1 gate 1, B send EQUIVALENCE 0"
ACTIVE = COMMITTED + ", S recv EQUIVALENCE 0"
TO_END_OF_SLOT = ", S block 1 gate 1, S block 2 gate 1, B block 2 gate 1, S block 3 gate 1, B block 3 gate 1"
METERING = ACTIVE + ", B ack EQUIVALENCE 0" + TO_END_OF_SLOT
READ = ", S export 4, B import 4, S recv METER"
DISPUTED = METERING + ", S export 4, B import 0, S recv METER"
BOTH = (
    "B lock 0, B lock 1, S recv LOCK 0, S recv LOCK 1, B ack LOCK 0, B ack LOCK 1, B block 1 gate 1, "
    "B send EQUIVALENCE 0, B send EQUIVALENCE 1, S recv EQUIVALENCE 0, S recv EQUIVALENCE 1"
)

WITNESSES: dict[str, tuple[m.Bounds, int, str, str | None]] = {
    "reserved_expires": (ONE, 4, RESERVED + ", B block 1 gate 2", "not terminal"),
    "locked_expires": (FREEZE, 4, CONFIRMED + ", client B 1, " + ticks(1, 8), "not terminal"),
    "committed_waits_for_proof": (ONE, 4, ACTIVE + ", B block 2 gate 1", "claim above locked x rate"),
    "timeout_needs_absence": (
        ONE,
        4,
        ACTIVE + ", S block 1 gate 1, S block 2 gate 1, B timeout EQUIVALENCE 0",
        "claim above locked x rate",
    ),
    "timeout_needs_time": (
        ONE,
        4,
        COMMITTED + ", B timeout EQUIVALENCE 0, S recv EQUIVALENCE 0",
        "claim above locked x rate",
    ),
    "equiv_needs_confirmed": (
        ONE,
        4,
        CONFIRMED + ", B block 1 gate 2, B send EQUIVALENCE 0, S recv EQUIVALENCE 0",
        "claim above locked x rate",
    ),
    "equiv_needs_reserved": (
        ONE,
        4,
        COMMITTED + ", S block 1 gate 2, S recv EQUIVALENCE 0",
        "active in a halted slot or without collateral",
    ),
    "equiv_timeout_and_state": (
        ONE,
        4,
        COMMITTED + ", S block 1 gate 1, S block 2 gate 1, B timeout EQUIVALENCE 0, S recv EQUIVALENCE 0",
        "claim above locked x rate",
    ),
    "gate_before_equiv": (
        ONE,
        4,
        CONFIRMED + ", B block 1 gate 2, B send EQUIVALENCE 0",
        "committed in a halted slot",
    ),
    "ack_needs_locked": (ONE, 4, RESERVED + ", B block 1 gate 2, B ack LOCK 0", "money on B"),
    "offer_remaining": (TWO, 4, "B lock 0, S recv LOCK 0, B lock 1, S recv LOCK 1", "broke"),
    "claim_rounds_down": (ONE, 4, ACTIVE, "claim above locked x rate"),
    "claim_burned_first": (ONE, 4, METERING + READ + ", B recv SETTLEMENT 0", "claim above locked x rate"),
    "t_close_after_outcome": (
        SILENT,
        4,
        DISPUTED + ", S block 4 gate 1, B block 4 gate 1, B block 5 gate 1",
        "claim above locked x rate",
    ),
    "dispute_deadline": (SILENT, 4, DISPUTED, "claim above locked x rate"),
    "lapse": (FREEZE, 4, METERING + ", client B 1, " + ticks(4, 8), "not terminal"),
    "cancel_tells_b": (ONE, 4, ACTIVE + ", S remove 0", "lapsed under a fair relayer"),
    "settlement_before_ack": (
        ONE,
        4,
        ACTIVE + TO_END_OF_SLOT + READ + ", B recv SETTLEMENT 0",
        "lapsed although the outcome arrived",
    ),
    "second_release": (
        EIGHT,
        8,
        BOTH + TO_END_OF_SLOT + ", S export 8, B import 8, S recv METER, B recv SETTLEMENT 0, B recv SETTLEMENT 0",
        "money on B",
    ),
    "receipt_and_state": (ONE, 4, ACTIVE + ", S recv EQUIVALENCE 0", "claim above locked x rate"),
    "delivered_capped": (
        ONE,
        4,
        METERING + ", S export 5, B import 5, S recv METER",
        "lapsed although the outcome arrived",
    ),
    "arbiter_median": (ONE, 4, DISPUTED + ", S arbiter", "honest seller loses more than declared"),
    "buyer_charged_hi": (SILENT, 4, DISPUTED, "buyer gains by lying"),
    "seller_paid_lo": (SILENT, 0, DISPUTED, "seller gains by lying"),
    "penalty_gap_to_pool": (SILENT, 4, DISPUTED, "buyer gains by lying"),
    "no_data_no_penalty": (ONE, 0, METERING + ", S block 4 gate 1", "penalty without data"),
    "lock_timeout": (ONE, 4, "B lock 0, S block 1 gate 1, B timeout LOCK 0, S recv LOCK 0", None),
    "settlement_timeout": (
        ONE,
        4,
        METERING + ", S export 4, " + ticks(4, 7) + ", B recv SETTLEMENT 0, " + ticks(8, 8),
        "lapsed although the outcome arrived",
    ),
    "settlement_resend": (
        FREEZE,
        4,
        ACTIVE + ", client S 1, S remove 0, client S 2, S resend SETTLEMENT 0",
        "lapsed under a fair relayer",
    ),
}


def test_every_guard_has_a_witness():
    assert sorted(WITNESSES) == sorted(GUARDS)


@pytest.mark.parametrize("name", WITNESSES)
def test_the_path_is_harmless_with_the_guard(name):
    bounds, truth, text, _ = WITNESSES[name]
    assert replay(Case(bounds, truth), path(text)) is None


@pytest.mark.parametrize("name", WITNESSES)
def test_a_missing_guard_is_caught(name, monkeypatch):
    bounds, truth, text, expected = WITNESSES[name]
    for patch in GUARDS[name].patches:
        patch(monkeypatch)
    found = replay(Case(bounds, truth, GUARDS[name].without), path(text))
    assert (found or "").startswith(expected or "")
    assert (found is None) == (expected is None)


@pytest.mark.parametrize("name", WITNESSES)
def test_a_missing_guard_differs_from_the_model(name, monkeypatch):
    bounds, truth, text, _ = WITNESSES[name]
    assert follow(Case(bounds, truth), path(text)) is None
    for patch in GUARDS[name].patches:
        patch(monkeypatch)
    case = Case(bounds, truth, GUARDS[name].without)
    assert follow(case, (*path(text), *path(ticks(2, 8)))) is not None
