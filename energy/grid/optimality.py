"""C3: how far can a schedule be from the best one? A lower bound of every schedule's cost from an integer dual.

The relaxation of the welfare problem is the branch flow model with l >= (P^2 + Q^2) / v (Farivar and Low, 2013) and
Gan's constraint: the voltages that the feeder would have without losses keep the upper limit too (Gan, Li, Topcu, Low,
IEEE TAC 60(1), 2015, OPF-m). Written as  min c'x, Ax + s = b, s in K, lo <= x <= hi,  every z in the dual cone gives

    c'x >= -b'z + sum min(rho lo, rho hi),      rho = c + A'z

so a lying dual can only make the bound worse. Everything is computed in integers and rounded downwards. With the
certified cost of a schedule from above, UB - LB <= tau proves it that near to optimal, and the dual's balance block are
the marginal prices. An inexact relaxation fails by itself: its UB - LB is large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from energy.errors import NotCertified
from energy.grid.dispatch import Problem, cost_of, energies_of
from energy.grid.feasible import Box, Refusal, check_feasible
from energy.grid.fixed import BITS, ceil_div
from energy.grid.network import Network
from energy.grid.schedule import Injection, injection_of
from energy.grid.secure import Certificate, certify
from energy.units import MWH_PER_W, PERMILLE

DUAL_BITS_MAX = 62  # of any number in a dual: bounds the work of a check

Row = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dual:
    """Multipliers at 2^-30 of a price_e4, by bus in the network's order; index 0 (the root) is used by `p` alone.

    Rows: balances of P and Q, the voltage drop, and the same three without losses; in a local market the balance of
    trades. Cones: (v + l, v - l, 2P, 2Q), and the ratings at the receiving and at the sending end, (S, P, Q) each.
    """

    p: Row
    q: Row
    v: Row
    p_free: Row
    q_free: Row
    v_free: Row
    local: int
    current: tuple[Row, ...]  # four numbers each
    near: tuple[Row, ...]  # three
    far: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Cost of a schedule from above and of every schedule from below, in base units."""

    upper: int
    lower: int

    @property
    def size(self) -> int:
        """The most that another schedule could save; negative when the schedule beats the modified problem."""
        return self.upper - self.lower


def require_near_optimal(problem: Problem, fills: Sequence[int], dual: Dual, tau: int, box: Box | None = None) -> Gap:
    """C2 on a schedule, C3 on its cost; raises NotCertified with element and reason, or with the gap.

    Without a box the check makes its own; a box that comes with the schedule is checked like any other.
    """
    net = problem.net
    injection = injection_of(net, energies_of(problem, fills))
    found = certify(net, injection) if box is None else _given(net, injection, box)
    if isinstance(found, Refusal):
        raise NotCertified(str(found))
    gap = Gap(upper=cost_of(problem, fills, found.bounds.p_high[0]), lower=lower_bound(problem, dual))
    if gap.size > tau:
        raise NotCertified(f"a gap of at most {tau} is expected, got {gap.size} (cost {gap.upper}, bound {gap.lower})")
    return gap


def _given(net: Network, injection: Injection, box: Box) -> Certificate | Refusal:
    if len(box.low) != net.size or len(box.high) != net.size:
        raise NotCertified(f"a box of {net.size} branches is expected, got {len(box.low)} and {len(box.high)}")
    bounds = check_feasible(net, injection, box)
    return bounds if isinstance(bounds, Refusal) else Certificate(box=box, bounds=bounds)


def lower_bound(problem: Problem, dual: Dual) -> int:
    """Base units that no schedule of the relaxed problem undercuts; raises NotCertified for a dual outside its cone."""
    check_dual(problem.net, dual)
    base = injection_of(problem.net, problem.base)
    total = _constants(problem.net, base, dual)
    total += _flows(problem.net, dual) + _voltages(problem.net, dual)
    total += _free_flows(problem, base, dual) + _blocks(problem, dual) + _root(problem, base, dual)
    return total * MWH_PER_W * problem.net.s_base_W >> 2 * BITS


def check_dual(net: Network, dual: Dual) -> None:
    """Right lengths, numbers of bounded length, and every cone's multiplier inside the cone."""
    for name in ("p", "q", "v", "p_free", "q_free", "v_free", "current", "near", "far"):
        if len(getattr(dual, name)) != net.size:
            raise NotCertified(f"dual {name}: {net.size} rows are expected, got {len(getattr(dual, name))}")
    limit = 1 << DUAL_BITS_MAX
    for row in (dual.p, dual.q, dual.v, dual.p_free, dual.q_free, dual.v_free, (dual.local,)):
        if max(row) >= limit or min(row) <= -limit:
            raise NotCertified(f"numbers of a dual have to be below 2^{DUAL_BITS_MAX}")
    for at in range(1, net.size):
        for name, row, width in (
            ("current", dual.current[at], 4),
            ("near", dual.near[at], 3),
            ("far", dual.far[at], 3),
        ):
            if len(row) != width or not _in_cone(row, limit):
                raise NotCertified(f"dual {name} at branch {net.branch_name(at)} lies outside its cone of {width}")


def _in_cone(row: Row, limit: int) -> bool:
    return 0 <= row[0] < limit and row[0] * row[0] >= sum(value * value for value in row[1:])


def _least(factor: int, low: int, high: int) -> int:
    return factor * low if factor >= 0 else factor * high


def _ratings(net: Network) -> list[int]:
    return [isqrt(value - 1) + 1 if value else 0 for value in net.s2_max]


def _constants(net: Network, base: Injection, dual: Dual) -> int:
    """-b'z, at 2^-60."""
    total = 0
    p, q = dual.p, dual.q
    total += _least(-p[0], base.p_low[0], base.p_high[0])
    for at, rating in enumerate(_ratings(net)):
        if at:
            total += _least(-p[at] - dual.p_free[at], base.p_low[at], base.p_high[at])
            total += _least(-q[at] - dual.q_free[at], base.q_low[at], base.q_high[at])
            total -= rating * (dual.near[at][0] + dual.far[at][0])
            if net.parent[at] == 0:
                total += _least(-dual.v[at] - dual.v_free[at], *net.v0)
    return total


def _flows(net: Network, dual: Dual) -> int:
    """Reduced costs of P, Q and l of every branch; |P|, |Q| <= S and 0 <= l <= S^2 / v_min."""
    total, p, q = 0, dual.p, dual.q
    for at, rating in enumerate(_ratings(net)):
        if not at:
            continue
        above, r, x, v = net.parent[at], net.r[at], net.x[at], dual.v[at]
        c0, c1, c2, c3 = dual.current[at]
        _, n1, n2 = dual.near[at]
        _, f1, f2 = dual.far[at]
        q_above = q[above] if above else 0  # the root's reactive power is free
        rho_p = (p[at] - p[above] - 2 * c2 - n1 - f1 << BITS) + 2 * r * v
        rho_q = (q[at] - q_above - 2 * c3 - n2 - f2 << BITS) + 2 * x * v
        rho_l = (c1 - c0 << BITS) - r * (p[above] + f1) - x * (q_above + f2) + (net.z2[at] * v >> BITS)
        total += (-(abs(rho_p) + abs(rho_q)) * rating) >> BITS
        if rho_l < 0:
            total += rho_l * ceil_div(net.s2_max[at], net.v_min) >> BITS
    return total


def _voltages(net: Network, dual: Dual) -> int:
    """Reduced costs of v and of the voltages without losses, each within the limits."""
    rho, rho_free = [0] * net.size, [0] * net.size
    for at in range(1, net.size):
        above = net.parent[at]
        rho[at] += dual.v[at] - dual.current[at][0] - dual.current[at][1]
        rho_free[at] += dual.v_free[at]
        rho[above] -= dual.v[at]
        rho_free[above] -= dual.v_free[at]
    return sum(
        _least(a, net.v_min, net.v_max) + _least(b, net.v_min, net.v_max)
        for a, b in zip(rho[1:], rho_free[1:], strict=True)
    )


def _free_flows(problem: Problem, base: Injection, dual: Dual) -> int:
    """Reduced costs of the flows without losses, which lie within what the buses behind can withdraw and inject."""
    net, total = problem.net, 0
    ranges = free_ranges(problem, base)
    for at in range(1, net.size):
        above, v = net.parent[at], dual.v_free[at]
        rho_p = (dual.p_free[at] - (dual.p_free[above] if above else 0) << BITS) + 2 * net.r[at] * v
        rho_q = (dual.q_free[at] - (dual.q_free[above] if above else 0) << BITS) + 2 * net.x[at] * v
        p_low, p_high, q_low, q_high = ranges[at]
        total += _least(rho_p, p_low, p_high) + _least(rho_q, q_low, q_high) >> BITS
    return total


def free_ranges(problem: Problem, base: Injection) -> list[list[int]]:
    """[P low, P high, Q low, Q high] without losses into each bus, at 2^-30 p.u., whatever the fills."""
    net = problem.net
    ranges = [list(row) for row in zip(base.p_low, base.p_high, base.q_low, base.q_high, strict=True)]
    for block in problem.blocks:
        row, width = ranges[net.index[block.bus]], width_of(net, block.quantity_mWh)
        row[1 if block.direction > 0 else 0] += block.direction * width
        reactive = ceil_div(abs(block.reactive_permille) * width, PERMILLE)
        row[3 if block.reactive_permille > 0 else 2] += reactive if block.reactive_permille > 0 else -reactive
    for at in range(net.size - 1, 0, -1):
        above = ranges[net.parent[at]]
        for side in range(4):
            above[side] += ranges[at][side]
    return ranges


def width_of(net: Network, quantity_mWh: int) -> int:
    """A quantity at 2^-30 p.u., rounded up."""
    return ceil_div(quantity_mWh << BITS, MWH_PER_W * net.s_base_W)


def _blocks(problem: Problem, dual: Dual) -> int:
    """Reduced costs of the fills, which lie between 0 and the blocks' quantities."""
    net, total = problem.net, 0
    p, q = marginal(dual)
    for block in problem.blocks:
        at = net.index[block.bus]
        rho = block.direction * (p[at] + (dual.local if problem.local else 0) - (block.price_e4 << BITS))
        rho += block.reactive_permille * q[at] // PERMILLE
        if rho < 0:
            total += rho * width_of(net, block.quantity_mWh)
    return total


def marginal(dual: Dual) -> tuple[list[int], list[int]]:
    """What another unit of withdrawal costs at each bus, active and reactive, at 2^-30 of a price_e4."""
    p = [-dual.p[0]] + [-a - b for a, b in zip(dual.p[1:], dual.p_free[1:], strict=True)]
    q = [0] + [-a - b for a, b in zip(dual.q[1:], dual.q_free[1:], strict=True)]
    return p, q


def _root(problem: Problem, base: Injection, dual: Dual) -> int:
    """Reduced costs of what is drawn and of what is fed back at the root, both within the root's ratings."""
    net, price = problem.net, dual.p[0]
    ratings = _ratings(net)
    carried = sum(ratings[at] for at in range(1, net.size) if net.parent[at] == 0)
    at_root = [block for block in problem.blocks if net.index[block.bus] == 0]
    bids = sum(width_of(net, block.quantity_mWh) for block in at_root if block.direction > 0)
    asks = sum(width_of(net, block.quantity_mWh) for block in at_root if block.direction < 0)
    most_in = max(0, carried + base.p_high[0] + bids)
    most_out = max(0, carried - base.p_low[0] + asks)
    drawn, fed = (problem.import_e4 << BITS) + price, -(problem.export_e4 << BITS) - price
    return min(0, drawn * most_in) + min(0, fed * most_out)


def caps_e4(problem: Problem, dual: Dual, band: tuple[int, int]) -> list[int]:
    """Highest price by bus: the marginal price, never below the feed-in tariff band[0] nor above the tariff band[1]."""
    floor_e4, ceiling_e4 = band
    return [min(ceiling_e4, max(floor_e4, price)) for price in prices_e4(problem, dual)]


def prices_e4(problem: Problem, dual: Dual) -> list[int]:
    """Locational marginal prices by bus in the network's order, rounded down; what a local market trades at."""
    shift = dual.local if problem.local else 0
    return [value + shift >> BITS for value in marginal(dual)[0]]
