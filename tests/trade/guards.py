"""How each guard of the model is taken out of the real handlers, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from cosmos_wire.protos import trade
from energy.trade import arithmetic, buyer, delivery, gates, life, outcome, params, pay, records, seller
from energy.trade.arithmetic import Basis, Readings, Verdict
from energy.trade.errors import WrongState
from energy.trade.keys import Due
from energy.trade.life import Buyer, BuyerEvent, Delivery, DeliveryEvent, Seller, SellerEvent
from energy.trade.ports import Ports
from ibc_core.host import Context

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Guard:
    """A guard: what to patch in the handlers, and which checks of IBC core go with it."""

    patches: tuple[Patch, ...] = ()
    without: frozenset[str] = frozenset()


def row(table: str, state: object, event: object, to: object | None) -> Patch:
    """Add a row to a life cycle, or take one out."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        rows = {key: dict(value) for key, value in getattr(life, table).items()}
        if to is None:
            del rows[state][event]
        else:
            rows[state][event] = to
        monkeypatch.setattr(life, table, rows)

    return patch


def attribute(place: object, name: str, value: object) -> Patch:
    return lambda monkeypatch: monkeypatch.setattr(place, name, value)


def nothing(*_: object, **__: object) -> None:
    return None


def refuse(*_: object, **__: object) -> None:
    raise WrongState("taken out")


def refuse_inactive(contract: object) -> None:
    if not contract.active:
        raise WrongState("EQUIVALENCE was not acknowledged")


def no_arbiter(readings: Readings, tol: int) -> Verdict:
    return arithmetic.judge(replace(readings, arbiter_mwh=None), tol)


def charge_low(readings: Readings, tol: int) -> Verdict:
    verdict = arithmetic.judge(readings, tol)
    return replace(verdict, hi_mwh=verdict.lo_mwh)


def pay_high(readings: Readings, tol: int) -> Verdict:
    verdict = arithmetic.judge(readings, tol)
    return replace(verdict, lo_mwh=verdict.hi_mwh)


def uncapped(total: Verdict, energies: list[int]) -> tuple[Verdict, ...]:
    if total.hi_mwh < sum(energies):
        return arithmetic.split_verdict(total, energies)
    return tuple(total for _ in energies)


def buyer_gets_the_gap(terms: arithmetic.PenaltyTerms, verdict: Verdict) -> tuple[int, int]:
    fined = 0 if verdict.basis == Basis.NONE else arithmetic.penalty(terms, verdict.lo_mwh)
    return fined, fined


def always_fined(terms: arithmetic.PenaltyTerms, verdict: Verdict) -> tuple[int, int]:
    return arithmetic.penalty(terms, verdict.lo_mwh), arithmetic.penalty(terms, verdict.hi_mwh)


def paid_again(price: arithmetic.Price, escrow: int, verdict: Verdict, fee_e4: int) -> arithmetic.Payout:
    return arithmetic.payout(price, escrow or arithmetic.buyer_cost(price, 4), verdict, fee_e4)


def passes(*_: object) -> bool:
    return True


gate_due = buyer.gate_due


def commit_anyway(ctx: Context, ports: Ports, due: Due) -> None:
    gate_due(ctx, ports, due)
    contract = records.find_buyer(ctx, due.channel_id, due.ident)
    if contract.state == Buyer.REFUNDED:
        buyer.commit(ctx, ports, contract)


def reduce_blindly(_: Context, contract: trade.BuyerContract, kept: int) -> None:
    contract.escrow = str(kept)


S, B, D = "SELLER_LIFE", "BUYER_LIFE", "DELIVERY_LIFE"
NO_EQUIVALENCE_STATE = row(S, Seller.CANCELLED, SellerEvent.EQUIVALENCE, Seller.ACTIVE)
GUARDS: dict[str, Guard] = {
    "reserved_expires": Guard((row(S, Seller.RESERVED, SellerEvent.ACT_PASSED, None),)),
    "locked_expires": Guard(
        (
            row(B, Buyer.LOCKED, BuyerEvent.ACT_PASSED, None),
            row(B, Buyer.CONFIRMED, BuyerEvent.ACT_PASSED, None),
        )
    ),
    "committed_waits_for_proof": Guard((row(B, Buyer.COMMITTED, BuyerEvent.ACT_PASSED, Buyer.REFUNDED),)),
    "timeout_needs_absence": Guard(without=frozenset({"absence"})),
    "timeout_needs_time": Guard(without=frozenset({"time"})),
    "equiv_needs_confirmed": Guard(
        (row(B, Buyer.REFUNDED, BuyerEvent.COMMIT, Buyer.REFUNDED), attribute(buyer, "gate_due", commit_anyway))
    ),
    # CANCELLED before T_act is CANCELLED by a halt, which the halt's own check refuses too: the two go together
    "equiv_needs_reserved": Guard((NO_EQUIVALENCE_STATE, attribute(gates, "require_running", nothing))),
    "equiv_timeout_and_state": Guard(
        (NO_EQUIVALENCE_STATE, attribute(seller, "check_equivalence_time", nothing)),
        frozenset({"timeout equivalence"}),
    ),
    "gate_before_equiv": Guard((attribute(buyer, "gate_verdict", passes),)),
    # the ledger refuses the negative change that would follow; that cover goes too
    "ack_needs_locked": Guard(
        (
            row(B, Buyer.REFUNDED, BuyerEvent.LOCK_OK, Buyer.CONFIRMED),
            attribute(pay, "reduce_escrow", reduce_blindly),
        )
    ),
    "offer_remaining": Guard((attribute(seller, "fill", lambda asked, _: asked),)),
    "claim_rounds_down": Guard((attribute(seller, "claim_for", lambda n, p: -(-n * p.num // p.den) + 1),)),
    "claim_burned_first": Guard((attribute(seller, "burn_claim", nothing),)),
    "t_close_after_outcome": Guard((attribute(params, "check_clock", nothing),), frozenset({"close after outcome"})),
    "dispute_deadline": Guard((row(D, Delivery.DISPUTED, DeliveryEvent.DISP_PASSED, None),)),
    "lapse": Guard((row(B, Buyer.COMMITTED, BuyerEvent.CLOSE_PASSED, None),)),
    "cancel_tells_b": Guard(
        (attribute(seller, "tell_cancelled", nothing), attribute(seller, "resend", refuse)),
    ),
    "settlement_before_ack": Guard((attribute(outcome, "check_activation", refuse_inactive),)),
    "second_release": Guard(
        (row(B, Buyer.SETTLED, BuyerEvent.SETTLED, Buyer.SETTLED), attribute(pay, "payout", paid_again)),
        frozenset({"receipt settlement"}),
    ),
    "receipt_and_state": Guard(
        (row(S, Seller.ACTIVE, SellerEvent.EQUIVALENCE, Seller.ACTIVE),), frozenset({"receipt equivalence"})
    ),
    "delivered_capped": Guard((attribute(delivery, "split_verdict", uncapped),)),
    "arbiter_median": Guard((attribute(delivery, "judge", no_arbiter),)),
    "buyer_charged_hi": Guard((attribute(delivery, "judge", charge_low),)),
    "seller_paid_lo": Guard((attribute(delivery, "judge", pay_high),)),
    "penalty_gap_to_pool": Guard((attribute(arithmetic, "penalties", buyer_gets_the_gap),)),
    "no_data_no_penalty": Guard((attribute(arithmetic, "penalties", always_fined),)),
    "lock_timeout": Guard((attribute(seller, "check_lock_time", nothing),), frozenset({"timeout lock"})),
    "settlement_timeout": Guard(
        (attribute(outcome, "check_settlement_time", nothing),), frozenset({"timeout settlement"})
    ),
    "settlement_resend": Guard((attribute(seller, "resend", refuse),)),
}
