"""Section 4: conservation, rounding, shares, penalties."""

from __future__ import annotations

from math import gcd

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from energy.trade import arithmetic as a
from energy.trade.errors import WrongAmount

ENERGY = st.integers(0, 10**12)
PPM = st.integers(0, 10**6)
RATE = st.tuples(st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1)).filter(lambda r: gcd(*r) == 1)


@st.composite
def prices(draw):
    num, den = draw(RATE)
    return a.Price(price_e4=draw(st.integers(0, 10**9)), num=num, den=den)


@given(prices(), ENERGY)
def test_cost_rounds_up_and_pay_rounds_down_by_less_than_a_unit(price, energy):
    exact = price.price_e4 * energy * price.den
    assert 0 <= a.buyer_cost(price, energy) * price.num - exact < price.num
    assert 0 <= exact - a.seller_value(price, energy) * price.num < price.num


@given(prices(), ENERGY)
def test_a_claim_never_exceeds_the_lock_at_the_rate(price, energy):
    locked = a.buyer_cost(price, energy)
    claim = a.claim_for(locked, price)
    assert a.claim_covered(claim, locked, price)
    assert not a.claim_covered(claim + 1, locked, price)
    assert claim >= price.price_e4 * energy  # what the seller is owed in her own token is covered


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=64), st.integers(0, 10**14))
def test_shares_sum_to_the_total_and_stay_below_the_contracts(energies, total):
    parts = a.shares(total, energies)
    assert sum(parts) == min(total, sum(energies))
    assert all(0 <= part <= energy for part, energy in zip(parts, energies, strict=True))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(0, 200), st.integers(0, 200))
def test_no_contract_gets_more_of_the_low_total_than_of_the_high_one(energies, one, other):
    total = a.Verdict(lo_mwh=min(one, other), hi_mwh=max(one, other), basis=a.Basis.FALLBACK)
    parts = a.split_verdict(total, energies)
    assert all(part.lo_mwh <= part.hi_mwh for part in parts)
    assert sum(part.lo_mwh for part in parts) == min(total.lo_mwh, sum(energies))
    assert tuple(part.hi_mwh for part in parts) == a.shares(total.hi_mwh, energies)


def test_three_contracts_whose_independent_shares_would_cross():
    assert a.shares(5, (3, 3, 3)) == (3, 1, 1)
    assert a.shares(6, (3, 3, 3)) == (2, 2, 2)
    total = a.Verdict(lo_mwh=5, hi_mwh=6, basis=a.Basis.FALLBACK)
    assert [part.lo_mwh for part in a.split_verdict(total, (3, 3, 3))] == [2, 2, 1]


@given(st.integers(0, 20), st.lists(st.integers(1, 20), min_size=1, max_size=2))
def test_one_total_gives_lo_equal_to_hi(total, energies):
    both = a.Verdict(lo_mwh=total, hi_mwh=total, basis=a.Basis.AGREED)
    assert [part.lo_mwh for part in a.split_verdict(both, energies)] == list(a.shares(total, energies))


@given(prices(), ENERGY, st.data(), st.integers(0, 2**32 - 1))
def test_an_escrow_is_divided_without_a_rest(price, energy, data, fee_e4):
    hi = data.draw(st.integers(0, energy))
    lo = data.draw(st.integers(0, hi))
    escrow = a.buyer_cost(price, energy) + fee_e4 * energy
    assume(escrow < 2**128)
    parts = a.payout(price, escrow, a.Verdict(lo_mwh=lo, hi_mwh=hi, basis=a.Basis.FALLBACK), fee_e4)
    assert parts.seller + parts.pool + parts.fee + parts.buyer == escrow
    assert min(parts.seller, parts.pool, parts.fee, parts.buyer) >= 0


@given(st.integers(0, 10**9), st.integers(1, 10**12), PPM, PPM, st.data())
def test_a_collateral_is_divided_without_a_rest(price_e4, energy, penalty_ppm, pen_tol_ppm, data):
    hi = data.draw(st.integers(0, energy))
    lo = data.draw(st.integers(0, hi))
    terms = a.PenaltyTerms(
        price_e4=price_e4,
        energy_mwh=energy,
        collateral=a.collateral_for(penalty_ppm, price_e4, energy),
        penalty_ppm=penalty_ppm,
        pen_tol_ppm=pen_tol_ppm,
    )
    parts = a.split_collateral(terms, a.Verdict(lo_mwh=lo, hi_mwh=hi, basis=a.Basis.FALLBACK))
    assert parts.seller + parts.buyer + parts.pool == terms.collateral
    assert min(parts.seller, parts.buyer, parts.pool) >= 0


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=8), PPM, st.integers(0, 10**9))
def test_an_offer_has_collateral_for_every_part(parts, penalty_ppm, price_e4):
    whole = a.collateral_for(penalty_ppm, price_e4, sum(parts))
    assert sum(a.collateral_for(penalty_ppm, price_e4, part) for part in parts) <= whole


@given(st.integers(0, 10**12), PPM)
def test_losses_take_from_the_export_only(export, loss_ppm):
    assert 0 <= a.at_delivery(export, loss_ppm) <= export
    assert a.at_delivery(export, 0) == export


READINGS = [
    ((100, 102, None), 2, (101, 101, a.Basis.AGREED)),
    ((100, 103, None), 2, (100, 103, a.Basis.FALLBACK)),
    ((103, 100, 101), 2, (101, 101, a.Basis.ARBITER)),
    ((103, 100, 0), 2, (100, 100, a.Basis.ARBITER)),
    ((7, None, None), 2, (7, 7, a.Basis.EXPORT)),
    ((None, 9, None), 2, (9, 9, a.Basis.IMPORT)),
    ((None, None, None), 2, (0, 0, a.Basis.NONE)),
]


@pytest.mark.parametrize(("read", "tol", "expected"), READINGS)
def test_judgement(read, tol, expected):
    readings = a.Readings(export_mwh=read[0], import_mwh=read[1], arbiter_mwh=read[2])
    verdict = a.judge(readings, tol)
    assert (verdict.lo_mwh, verdict.hi_mwh, verdict.basis) == expected


def test_tolerance_is_the_larger_of_the_two():
    assert a.tolerance(1_000, 20_000, 10_000) == 1_000
    assert a.tolerance(1_000, 20_000, 100_000) == 2_000


@pytest.mark.parametrize("amount", [-1, 2**128])
def test_amounts_are_below_two_to_the_128(amount):
    with pytest.raises(WrongAmount, match="got"):
        a.checked(amount)


def test_no_reading_no_penalty():
    terms = a.PenaltyTerms(price_e4=10, energy_mwh=100, collateral=200, penalty_ppm=200_000, pen_tol_ppm=0)
    assert a.penalties(terms, a.Verdict(lo_mwh=0, hi_mwh=0, basis=a.Basis.NONE)) == (0, 0)
    assert a.penalties(terms, a.Verdict(lo_mwh=0, hi_mwh=0, basis=a.Basis.IMPORT)) == (200, 200)
