"""The audit's own arithmetic of contracts between chains, written from section 4 of the trade protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

PPM = 1_000_000
AGREED, ARBITER, FALLBACK, EXPORT, IMPORT, NOTHING = range(1, 7)
BASIS_NAMES = {1: "AGREED", 2: "ARBITER", 3: "FALLBACK", 4: "EXPORT", 5: "IMPORT", 6: "NONE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """1e-4 S token a kWh, and S units for one B unit."""

    price_e4: int
    num: int
    den: int

    def in_b(self, energy_mwh: int) -> Fraction:
        """Exact cost in B units."""
        return Fraction(self.price_e4 * energy_mwh * self.den, self.num)

    def cost(self, energy_mwh: int) -> int:
        """What the buyer locks or is charged."""
        return ceil(self.in_b(energy_mwh))

    def pay(self, energy_mwh: int) -> int:
        """What the seller earns."""
        return floor(self.in_b(energy_mwh))

    def claim(self, locked: int) -> int:
        """S units that stand for a lock."""
        return floor(Fraction(locked * self.num, self.den))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The delivered energy is between lo and hi, mWh."""

    lo: int
    hi: int
    basis: int


def collateral(penalty_ppm: int, price_e4: int, energy_mwh: int) -> int:
    """What a seller deposits for an energy."""
    return penalty_ppm * price_e4 * energy_mwh // PPM


def at_delivery(export_mwh: int, loss_ppm: int) -> int:
    """An export reading less the line's loss."""
    return export_mwh * (PPM - loss_ppm) // PPM


def judge(readings: tuple[int | None, int | None, int | None], loss_ppm: int, tol_mwh: int) -> Verdict:
    """`readings` are export (before the line's loss), import, arbiter."""
    export, m, a = readings
    x = None if export is None else at_delivery(export, loss_ppm)
    match x, m:
        case None, None:
            return Verdict(lo=0, hi=0, basis=NOTHING)
        case None, int(one):
            return Verdict(lo=one, hi=one, basis=IMPORT)
        case int(one), None:
            return Verdict(lo=one, hi=one, basis=EXPORT)
    assert x is not None
    assert m is not None
    if abs(x - m) <= tol_mwh:
        return Verdict(lo=(x + m) // 2, hi=(x + m) // 2, basis=AGREED)
    if a is not None:
        middle = sorted((x, m, a))[1]
        return Verdict(lo=middle, hi=middle, basis=ARBITER)
    return Verdict(lo=min(x, m), hi=max(x, m), basis=FALLBACK)


def tolerance(tol_mwh: int, tol_ppm: int, energy_mwh: int) -> int:
    """Gap that counts as agreement."""
    return max(tol_mwh, tol_ppm * energy_mwh // PPM)


def shared(total: int, energies: Sequence[int], tops: Sequence[int]) -> list[int]:
    """Pro rata rounded down, none above its top, the remainder filled in order."""
    whole = sum(energies)
    parts = [min(total * energy // whole, top) for energy, top in zip(energies, tops, strict=True)]
    for at, top in enumerate(tops):
        left = min(total, whole) - sum(parts)
        parts[at] += max(0, min(left, top - parts[at]))
    return parts


def divided(verdict: Verdict, energies: Sequence[int]) -> list[Verdict]:
    """A delivery's verdict over its contracts in the order of their ids; lo stays below hi in each."""
    if not energies:
        return []
    highs = shared(verdict.hi, energies, energies)
    lows = shared(verdict.lo, energies, highs)
    return [Verdict(lo=lo, hi=hi, basis=verdict.basis) for lo, hi in zip(lows, highs, strict=True)]


def payout(price: Price, escrow: int, verdict: Verdict, fee_e4: int) -> dict[str, int]:
    """B units: to the seller, the pool, the fees, back to the buyer."""
    seller, charged, fee = price.pay(verdict.lo), price.cost(verdict.hi), fee_e4 * verdict.lo
    return {"seller": seller, "pool": charged - seller, "fee": fee, "buyer": escrow - charged - fee}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pledge:
    """What a seller's penalty depends on."""

    price_e4: int
    energy_mwh: int
    collateral: int
    penalty_ppm: int
    pen_tol_ppm: int

    def penalty(self, delivered_mwh: int) -> int:
        """S units for what is missing beyond the tolerance."""
        allowed = self.energy_mwh - self.pen_tol_ppm * self.energy_mwh // PPM
        short = max(0, allowed - delivered_mwh)
        return min(self.collateral, self.penalty_ppm * self.price_e4 * short // PPM)

    def split(self, verdict: Verdict) -> dict[str, int]:
        """Collateral back to the seller, to the buyer, to the pool; no reading at all, no penalty."""
        fine, gain = self.penalty(verdict.lo), self.penalty(verdict.hi)
        if verdict.basis == NOTHING:
            fine = gain = 0
        return {"seller": self.collateral - fine, "buyer": gain, "pool": fine - gain}
