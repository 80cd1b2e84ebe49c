"""C2: does a radial feeder with given withdrawals have an AC solution that keeps every limit? Sufficient, in integers.

Branch flow (Baran and Wu, 1989) with P, Q at the receiving end of branch k from a to k and l the squared current:

    P_a += P_k + r l    Q_a += Q_k + x l    v_k = v_a - 2 (r P_k + x Q_k) - (r^2 + x^2) l    l = (P^2 + Q^2) / v_k

Given a box of squared currents, one pass to the root and one back bound every flow and voltage, each step rounded
outward. When the bounds send the box into itself, the continuous map l -> (P^2 + Q^2) / v has a fixed point in it
(Brouwer): an exact AC solution inside all the bounds, so that limits which the bounds keep it keeps too. A refusal
proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from energy.grid.fixed import BITS, ceil_shift, square_range
from energy.grid.network import Network
from energy.grid.schedule import Injection


class Reason(StrEnum):
    """Why a schedule is refused."""

    VOLTAGE_LOW = "vmin"
    VOLTAGE_HIGH = "vmax"
    FLOW = "flow"
    COLLAPSE = "collapse"  # a bound of a voltage falls to zero
    OPEN_BOX = "open_box"  # the map leaves the box of currents
    OFF_FEEDER = "off_feeder"  # a bus that the feeder doesn't have


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The first element that fails, named with the registry's bus numbers."""

    reason: Reason
    element: str

    def __str__(self) -> str:
        return f"{self.reason} at {self.element}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Ranges of the squared current of every branch, at 2^-30 p.u.; index 0 (the root has no branch) is 0."""

    low: tuple[int, ...]
    high: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a box implies: ranges of flows at receiving ends (at the root: what the feeder draws), squared voltages."""

    p_low: list[int]
    p_high: list[int]
    q_low: list[int]
    q_high: list[int]
    v_low: list[int]
    v_high: list[int]


def check_feasible(net: Network, injection: Injection, box: Box) -> Bounds | Refusal:
    """C2. Bounds that hold for an AC solution within all limits, or what fails first."""
    bounds = bounds_of(net, injection, box)
    if isinstance(bounds, Refusal):
        return bounds
    fault = limits_fault(net, box, bounds)
    if fault is not None:
        return fault
    image = image_of(bounds)
    for at in range(1, net.size):
        if image.low[at] < box.low[at] or image.high[at] > box.high[at]:
            return Refusal(reason=Reason.OPEN_BOX, element=net.branch_name(at))
    return bounds


def bounds_of(net: Network, injection: Injection, box: Box) -> Bounds | Refusal:
    """Flows towards the root, then voltages from it; a voltage that may be zero is a refusal."""
    p_low = _gather(net, injection.p_low, _products(net.r, box.low))
    q_low = _gather(net, injection.q_low, _products(net.x, box.low))
    p_high = _gather(net, injection.p_high, _products_up(net.r, box.high))
    q_high = _gather(net, injection.q_high, _products_up(net.x, box.high))
    v_low, v_high = [net.v0[0]] * net.size, [net.v0[1]] * net.size
    for at in range(1, net.size):
        r, x, z2, parent = net.r[at], net.x[at], net.z2[at], net.parent[at]
        drop = 2 * ceil_shift(r * p_high[at] + x * q_high[at], BITS) + ceil_shift(z2 * box.high[at], 2 * BITS)
        v_low[at] = v_low[parent] - drop
        if v_low[at] <= 0:
            return Refusal(reason=Reason.COLLAPSE, element=f"bus {net.bus[at]}")
        rise = 2 * (r * p_low[at] + x * q_low[at] >> BITS) + (z2 * box.low[at] >> 2 * BITS)
        v_high[at] = v_high[parent] - rise
    return Bounds(p_low=p_low, p_high=p_high, q_low=q_low, q_high=q_high, v_low=v_low, v_high=v_high)


def _products(factors: tuple[int, ...], currents: tuple[int, ...]) -> list[int]:
    return [a * b >> BITS for a, b in zip(factors, currents, strict=True)]


def _products_up(factors: tuple[int, ...], currents: tuple[int, ...]) -> list[int]:
    return [-(-a * b >> BITS) for a, b in zip(factors, currents, strict=True)]


def _gather(net: Network, withdrawals: tuple[int, ...], losses: list[int]) -> list[int]:
    """Flow into each bus: its own withdrawal and what its children's branches draw, losses included."""
    flow, parent = list(withdrawals), net.parent
    for at in range(net.size - 1, 0, -1):
        flow[parent[at]] += flow[at] + losses[at]
    return flow


def limits_fault(net: Network, box: Box, bounds: Bounds) -> Refusal | None:
    """The first bus whose voltage, then the first branch whose flow at either end may break its limit."""
    for at in range(net.size):
        if bounds.v_low[at] < net.v_min:
            return Refusal(reason=Reason.VOLTAGE_LOW, element=f"bus {net.bus[at]}")
        if bounds.v_high[at] > net.v_max:
            return Refusal(reason=Reason.VOLTAGE_HIGH, element=f"bus {net.bus[at]}")
    for at in range(1, net.size):
        if _flow_breaks(net, box, bounds, at):
            return Refusal(reason=Reason.FLOW, element=f"branch {net.branch_name(at)}")
    return None


def _flow_breaks(net: Network, box: Box, bounds: Bounds, at: int) -> bool:
    low, high, s2_max = box.low[at], box.high[at], net.s2_max[at]
    p_low, p_high, q_low, q_high = bounds.p_low[at], bounds.p_high[at], bounds.q_low[at], bounds.q_high[at]
    if max(p_low * p_low, p_high * p_high) + max(q_low * q_low, q_high * q_high) > s2_max:
        return True
    p_low, p_high = p_low + (net.r[at] * low >> BITS), p_high - (-net.r[at] * high >> BITS)
    q_low, q_high = q_low + (net.x[at] * low >> BITS), q_high - (-net.x[at] * high >> BITS)
    return max(p_low * p_low, p_high * p_high) + max(q_low * q_low, q_high * q_high) > s2_max


def image_of(bounds: Bounds) -> Box:
    """The box that l -> (P^2 + Q^2) / v sends the given bounds into; voltages are positive."""
    low, high = [0], [0]
    for at in range(1, len(bounds.v_low)):
        p_least, p_most = square_range(bounds.p_low[at], bounds.p_high[at])
        q_least, q_most = square_range(bounds.q_low[at], bounds.q_high[at])
        low.append((p_least + q_least) // bounds.v_high[at])
        high.append(-(-(p_most + q_most) // bounds.v_low[at]))
    return Box(low=tuple(low), high=tuple(high))
