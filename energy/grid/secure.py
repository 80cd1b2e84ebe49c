"""The chain's own certificate: an integer sweep finds the currents, a box is laid around them, C2 judges the box.

The sweep needs no exactness, for only C2 decides. When a schedule isn't certified, the fallback is at hand at once: the
largest certified factor, found by halving, that cuts all trades alike at an unchanged price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from energy.grid.feasible import Bounds, Box, Reason, Refusal, bounds_of, check_feasible, image_of
from energy.grid.fixed import BITS
from energy.grid.network import Network
from energy.grid.schedule import BusEnergy, Injection, injection_of
from energy.units import PERMILLE

SWEEPS = 8  # at peak load eight leave an error far below the box; heavier ones are caught by widening
RELATIVE_BITS, ABSOLUTE = 14, 1 << BITS - 20  # the first box: l * (1 -/+ 2^-14) -/+ 2^-20
WIDENINGS_MAX = 4
HALVINGS = 10  # 2^10 > 1000 permille


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A box of currents and what it implies; anybody checks it again by `check_feasible`."""

    box: Box
    bounds: Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured:
    """The largest factor that was certified; without a certificate the baseline alone already fails."""

    factor_permille: int
    certificate: Certificate | None
    refusal: Refusal | None  # of the whole schedule


def certify(net: Network, injection: Injection) -> Certificate | Refusal:
    """A certificate made from nothing but the withdrawals, or why there is none."""
    currents = sweep(net, injection)
    if isinstance(currents, Refusal):
        return currents
    box = _around(currents)
    found = _judge(net, injection, box)
    for _ in range(WIDENINGS_MAX):
        if isinstance(found, Certificate) or found.reason != Reason.OPEN_BOX:
            return found
        wider = _wider(net, injection, box)
        if isinstance(wider, Refusal):
            return wider
        box = wider
        found = _judge(net, injection, box)
    return found


def _judge(net: Network, injection: Injection, box: Box) -> Certificate | Refusal:
    found = check_feasible(net, injection, box)
    return found if isinstance(found, Refusal) else Certificate(box=box, bounds=found)


def sweep(net: Network, injection: Injection) -> list[int] | Refusal:
    """Squared currents after a few backward and forward passes from no losses, in the middle of the ranges."""
    p = tuple(low + high >> 1 for low, high in zip(injection.p_low, injection.p_high, strict=True))
    q = tuple(low + high >> 1 for low, high in zip(injection.q_low, injection.q_high, strict=True))
    middle = Injection(p_low=p, p_high=p, q_low=q, q_high=q)
    currents = [0] * net.size
    for _ in range(SWEEPS):
        found = _pass(net, middle, currents)
        if isinstance(found, Refusal):
            return found
        currents = found
    return currents


def _pass(net: Network, middle: Injection, currents: list[int]) -> list[int] | Refusal:
    p, q, parent = list(middle.p_low), list(middle.q_low), net.parent
    for at in range(net.size - 1, 0, -1):
        above, current = parent[at], currents[at]
        p[above] += p[at] + (net.r[at] * current >> BITS)
        q[above] += q[at] + (net.x[at] * current >> BITS)
    v, made = [net.v0[0]] * net.size, [0] * net.size
    for at in range(1, net.size):
        flow_p, flow_q = p[at], q[at]
        drop = (net.r[at] * flow_p + net.x[at] * flow_q >> BITS - 1) + (net.z2[at] * currents[at] >> 2 * BITS)
        v[at] = v[parent[at]] - drop
        if v[at] <= 0:
            return Refusal(reason=Reason.COLLAPSE, element=f"bus {net.bus[at]}")
        made[at] = (flow_p * flow_p + flow_q * flow_q) // v[at]
    return made


def _around(currents: list[int]) -> Box:
    margins = [0] + [(current >> RELATIVE_BITS) + ABSOLUTE for current in currents[1:]]
    pairs = list(zip(currents, margins, strict=True))
    return Box(
        low=tuple(max(0, current - margin) for current, margin in pairs),
        high=tuple(current + margin for current, margin in pairs),
    )


def _wider(net: Network, injection: Injection, box: Box) -> Box | Refusal:
    bounds = bounds_of(net, injection, box)
    if isinstance(bounds, Refusal):
        return bounds
    image = image_of(bounds)
    low, high = [0], [0]
    for at in range(1, net.size):
        least, most = min(box.low[at], image.low[at]), max(box.high[at], image.high[at])
        quarter = (most - least >> 2) + 1
        low.append(max(0, least - quarter))
        high.append(most + quarter)
    return Box(low=tuple(low), high=tuple(high))


def secure(net: Network, energies: Sequence[BusEnergy]) -> Secured:
    """The whole schedule when it is certified, else the largest certified factor that halving finds."""
    for energy in energies:
        if energy.bus not in net.index:
            refusal = Refusal(reason=Reason.OFF_FEEDER, element=f"bus {energy.bus}")
            return Secured(factor_permille=0, certificate=None, refusal=refusal)
    whole = certify(net, injection_of(net, energies))
    if isinstance(whole, Certificate):
        return Secured(factor_permille=PERMILLE, certificate=whole, refusal=None)
    factor, certificate = _halve(net, energies)
    return Secured(factor_permille=factor, certificate=certificate, refusal=whole)


def _halve(net: Network, energies: Sequence[BusEnergy]) -> tuple[int, Certificate | None]:
    found = certify(net, injection_of(net, energies, 0))
    if isinstance(found, Refusal):
        return 0, None
    best, certificate, above = 0, found, PERMILLE
    for _ in range(HALVINGS):
        factor = best + above >> 1
        if factor == best:
            break
        found = certify(net, injection_of(net, energies, factor))
        if isinstance(found, Certificate):
            best, certificate = factor, found
        else:
            above = factor
    return best, certificate
