"""The audit's arithmetic of contracts against the one that both chains use."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bsmg.audit import contract
from energy.trade import arithmetic

ENERGY = st.one_of(st.integers(0, 20), st.integers(0, 10**12))
READING = st.one_of(st.none(), ENERGY)
RATE = st.tuples(st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1))
PPM = st.one_of(st.integers(0, 10), st.integers(0, 10**6))


def verdict_of(found: arithmetic.Verdict) -> contract.Verdict:
    return contract.Verdict(lo=found.lo_mwh, hi=found.hi_mwh, basis=int(found.basis))


@settings(max_examples=400, deadline=None)
@given(price=st.integers(0, 10**9), rate=st.one_of(st.just((3, 2)), RATE), energy=ENERGY)
def test_costs_and_claims(price: int, rate: tuple[int, int], energy: int) -> None:
    assume(price * energy * rate[1] // rate[0] < 2**100)
    mine = contract.Price(price_e4=price, num=rate[0], den=rate[1])
    theirs = arithmetic.Price(price_e4=price, num=rate[0], den=rate[1])
    cost = mine.cost(energy)
    assert (cost, mine.pay(energy)) == (arithmetic.buyer_cost(theirs, energy), arithmetic.seller_value(theirs, energy))
    if cost * rate[0] // rate[1] < 2**128:
        assert mine.claim(cost) == arithmetic.claim_for(cost, theirs)


@settings(max_examples=400, deadline=None)
@given(
    readings=st.tuples(READING, READING, READING),
    loss=PPM,
    tol=st.tuples(st.integers(0, 10), PPM),
    energies=st.lists(st.integers(1, 30), min_size=1, max_size=5),
)
def test_verdicts_and_shares(
    readings: tuple[int | None, int | None, int | None], loss: int, tol: tuple[int, int], energies: list[int]
) -> None:
    export, imported, arbiter = readings
    delivered = None if export is None else arithmetic.at_delivery(export, loss)
    allowed = arithmetic.tolerance(*tol, sum(energies))
    assert contract.tolerance(*tol, sum(energies)) == allowed
    said = arithmetic.Readings(export_mwh=delivered, import_mwh=imported, arbiter_mwh=arbiter)
    theirs = arithmetic.judge(said, allowed)
    mine = contract.judge(readings, loss, allowed)
    assert mine == verdict_of(theirs)
    assert contract.divided(mine, energies) == [verdict_of(v) for v in arithmetic.split_verdict(theirs, energies)]


@settings(max_examples=400, deadline=None)
@given(
    terms=st.tuples(st.integers(0, 10**6), st.integers(1, 10**9), PPM, PPM),
    delivered=st.tuples(ENERGY, ENERGY),
    basis=st.integers(1, 6),
    fee=st.integers(0, 5_000),
)
def test_payouts_and_penalties(
    terms: tuple[int, int, int, int], delivered: tuple[int, int], basis: int, fee: int
) -> None:
    price, energy, penalty, tol = terms
    lo, hi = sorted(min(part, energy) for part in delivered)
    mine = contract.Verdict(lo=lo, hi=hi, basis=basis)
    theirs = arithmetic.Verdict(lo_mwh=lo, hi_mwh=hi, basis=arithmetic.Basis(basis))
    own = contract.Price(price_e4=price, num=3, den=2)
    other = arithmetic.Price(price_e4=price, num=3, den=2)
    escrow = own.cost(energy) + fee * energy
    paid = arithmetic.payout(other, escrow, theirs, fee)
    assert contract.payout(own, escrow, mine, fee) == {
        "seller": paid.seller,
        "pool": paid.pool,
        "fee": paid.fee,
        "buyer": paid.buyer,
    }
    pledged = contract.collateral(penalty, price, energy)
    assert pledged == arithmetic.collateral_for(penalty, price, energy)
    shared = {
        "price_e4": price,
        "energy_mwh": energy,
        "collateral": pledged,
        "penalty_ppm": penalty,
        "pen_tol_ppm": tol,
    }
    split = arithmetic.split_collateral(arithmetic.PenaltyTerms(**shared), theirs)
    assert contract.Pledge(**shared).split(mine) == {"seller": split.seller, "buyer": split.buyer, "pool": split.pool}
