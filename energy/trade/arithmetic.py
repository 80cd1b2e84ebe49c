"""Money and energy of a contract, in integers: the one set of functions that both chains use (docs/trade.md 4).

Prices are 1e-4 S token a kWh, energies mWh, so that price times energy is base units (1e-10 token) of S. A rate is
num/den S units for one B unit. The buyer's side rounds up, the seller's down: what is left goes to a pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from energy.trade.errors import WrongAmount

PPM = 1_000_000
AMOUNT_LIMIT = 1 << 128


class Basis(IntEnum):
    """What a decision rests on; numbers are those of the packet."""

    AGREED = 1
    ARBITER = 2
    FALLBACK = 3
    EXPORT = 4
    IMPORT = 5
    NONE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Price of a contract in S's token and the rate to B's."""

    price_e4: int
    num: int
    den: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Totals of a tie line in a slot, mWh at the point of delivery; None where nobody read."""

    export_mwh: int | None = None
    import_mwh: int | None = None
    arbiter_mwh: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The delivered total lies between `lo` (the seller is paid for) and `hi` (the buyer is charged for), mWh."""

    lo_mwh: int
    hi_mwh: int
    basis: Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """How an escrow on B is divided, B units; the four parts sum to the escrow."""

    seller: int
    pool: int
    fee: int
    buyer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralSplit:
    """How a collateral on S is divided, S units; the three parts sum to the collateral."""

    seller: int
    buyer: int
    pool: int


def checked(amount: int) -> int:
    """An amount below 2^128 as it is; anything else raises WrongAmount."""
    if not 0 <= amount < AMOUNT_LIMIT:
        raise WrongAmount(f"an amount has to be 0..2^128-1, got {amount}")
    return amount


def seller_value(price: Price, energy_mwh: int) -> int:
    """B units that the seller earns for an energy, rounded down."""
    return checked(price.price_e4 * energy_mwh * price.den // price.num)


def buyer_cost(price: Price, energy_mwh: int) -> int:
    """B units that the buyer locks or is charged for an energy, rounded up."""
    return checked(-(-price.price_e4 * energy_mwh * price.den // price.num))


def claim_for(locked: int, price: Price) -> int:
    """S units of the claim against a lock of B units: rounded down, so claim * den <= locked * num."""
    return checked(locked * price.num // price.den)


def claim_covered(claim: int, locked: int, price: Price) -> bool:
    """Whether a claim is within the locked amount at the rate."""
    return claim * price.den <= locked * price.num


def collateral_for(penalty_ppm: int, price_e4: int, energy_mwh: int) -> int:
    """S units that a seller deposits for an energy: the highest penalty, rounded down."""
    return checked(penalty_ppm * price_e4 * energy_mwh // PPM)


def fill(asked_mwh: int, remaining_mwh: int) -> int:
    """Energy that a lock gets of an offer."""
    return min(asked_mwh, remaining_mwh)


def at_delivery(export_mwh: int, loss_ppm: int) -> int:
    """An export reading less the line's declared loss, rounded down."""
    return export_mwh * (PPM - loss_ppm) // PPM


def tolerance(tol_mwh: int, tol_ppm: int, energy_mwh: int) -> int:
    """Gap between the two readings that counts as none, mWh."""
    return max(tol_mwh, tol_ppm * energy_mwh // PPM)


def judge(readings: Readings, tol_mwh: int) -> Verdict:
    """Agreement, else the arbiter's median, else each side by the reading worse for it; one reading; none."""
    x, m, a = readings.export_mwh, readings.import_mwh, readings.arbiter_mwh
    if x is None or m is None:
        return _one_sided(x, m)
    if agree(readings, tol_mwh):
        half = (x + m) // 2
        return Verdict(lo_mwh=half, hi_mwh=half, basis=Basis.AGREED)
    if a is not None:
        middle = median(x, m, a)
        return Verdict(lo_mwh=middle, hi_mwh=middle, basis=Basis.ARBITER)
    return Verdict(lo_mwh=min(x, m), hi_mwh=max(x, m), basis=Basis.FALLBACK)


def agree(readings: Readings, tol_mwh: int) -> bool:
    """Whether both ends read and differ by no more than the tolerance."""
    x, m = readings.export_mwh, readings.import_mwh
    return x is not None and m is not None and abs(x - m) <= tol_mwh


def median(x_mwh: int, m_mwh: int, a_mwh: int) -> int:
    """The middle of three readings: no single one of them can move the result past another."""
    return sorted((x_mwh, m_mwh, a_mwh))[1]


def _one_sided(x: int | None, m: int | None) -> Verdict:
    if x is not None:
        return Verdict(lo_mwh=x, hi_mwh=x, basis=Basis.EXPORT)
    if m is not None:
        return Verdict(lo_mwh=m, hi_mwh=m, basis=Basis.IMPORT)
    return Verdict(lo_mwh=0, hi_mwh=0, basis=Basis.NONE)


def shares(total_mwh: int, energies_mwh: Sequence[int]) -> tuple[int, ...]:
    """Divide a metered total over contracts in their order: pro rata, remainder in order, never above a contract."""
    return _shares_below(total_mwh, energies_mwh, energies_mwh)


def split_verdict(total: Verdict, energies_mwh: Sequence[int]) -> tuple[Verdict, ...]:
    """The verdict on each contract.

    Two independent divisions could give one of three contracts more of `lo` than of `hi` (3, 3, 3 of 5 and of 6), so
    the remainder of `lo` is filled below the shares of `hi`. One and two contracts are not affected.
    """
    highs = shares(total.hi_mwh, energies_mwh)
    lows = _shares_below(total.lo_mwh, energies_mwh, highs)
    return tuple(Verdict(lo_mwh=lo, hi_mwh=hi, basis=total.basis) for lo, hi in zip(lows, highs, strict=True))


def _shares_below(total: int, energies: Sequence[int], caps: Sequence[int]) -> tuple[int, ...]:
    whole = sum(energies)
    parts = pro_rata(total, energies, caps)
    left = min(total, whole) - sum(parts)
    for place, cap in enumerate(caps):
        extra = max(0, min(left, cap - parts[place]))
        parts[place] += extra
        left -= extra
    return tuple(parts)


def pro_rata(total_mwh: int, energies_mwh: Sequence[int], caps_mwh: Sequence[int]) -> list[int]:
    """Shares rounded down and capped; what is delivered beyond the contracts belongs to level 3."""
    whole = sum(energies_mwh)
    return [min(total_mwh * e // whole, cap) for e, cap in zip(energies_mwh, caps_mwh, strict=True)]


def payout(price: Price, escrow: int, verdict: Verdict, fee_e4: int) -> Payout:
    """Divide an escrow on B: the seller by `lo`, the buyer charged by `hi`, the gap to the pool."""
    seller, charged = seller_value(price, verdict.lo_mwh), buyer_cost(price, verdict.hi_mwh)
    fee = checked(fee_e4 * verdict.lo_mwh)
    return Payout(seller=seller, pool=charged - seller, fee=fee, buyer=checked(escrow - charged - fee))


@dataclass(frozen=True, slots=True, kw_only=True)
class PenaltyTerms:
    """What a seller's penalty depends on."""

    price_e4: int
    energy_mwh: int
    collateral: int
    penalty_ppm: int
    pen_tol_ppm: int


def penalty(terms: PenaltyTerms, delivered_mwh: int) -> int:
    """S units for what was not delivered beyond the tolerance, at most the collateral."""
    tol = terms.pen_tol_ppm * terms.energy_mwh // PPM
    missing = max(0, terms.energy_mwh - tol - delivered_mwh)
    return min(terms.collateral, terms.penalty_ppm * terms.price_e4 * missing // PPM)


def split_collateral(terms: PenaltyTerms, verdict: Verdict) -> CollateralSplit:
    """Divide a collateral on S: the seller fined by `lo`, the buyer compensated by `hi`, the gap to the pool."""
    fined, compensated = penalties(terms, verdict)
    return CollateralSplit(seller=terms.collateral - fined, buyer=compensated, pool=fined - compensated)


def penalties(terms: PenaltyTerms, verdict: Verdict) -> tuple[int, int]:
    """(fine of the seller, compensation of the buyer), S units; without any reading neither."""
    if verdict.basis == Basis.NONE:
        return 0, 0
    return penalty(terms, verdict.lo_mwh), penalty(terms, verdict.hi_mwh)
