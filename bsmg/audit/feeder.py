"""The audit's own certificate of a radial feeder, written from docs/grid.md: integers at 2^-30 p.u., rounded outward.

A schedule is a list of `Draw`s, each rounded on its own. Eight passes find squared currents, a box is laid around them
(2^-14 of each and 2^-20); the box has to give flows and voltages within every limit and to be mapped into itself. A box
that isn't is widened by a quarter of its hull with its image, at most four times. Halving finds the largest factor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cosmos_wire.protos import registry

Q = 30
ONE = 1 << Q
PERMILLE = 1000
MWH_A_WATT = 250
PASSES, WIDER_MAX = 8, 4
SQUARE = PERMILLE * PERMILLE

Range = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What is drawn at a bus: fixed energy, and energy that a factor scales; q in permille of a mvarh."""

    bus: int
    p: int = 0
    q: int = 0
    scaled_p: int = 0
    scaled_q: int = 0
    orders: int = 0  # whose rounding a factor widens the ranges by
    tangents: int = 0

    def ranges(self, factor: int) -> tuple[Range, Range]:
        """Least and greatest p, and q, before they are made per unit."""
        cut = 0 < factor < PERMILLE
        found = []
        for fixed, part, slack in ((self.p, self.scaled_p, self.orders), (self.q, self.scaled_q, self.tangents)):
            low, high = part * factor // PERMILLE, -(-part * factor // PERMILLE)
            found.append((fixed + low - slack * cut, fixed + high + slack * cut))
        return found[0], found[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What stands against a schedule."""

    reason: str
    element: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A branch seen from the root: `bus` hangs on the bus at place `above`."""

    bus: int
    above: int
    r: int = 0
    x: int = 0
    rating: int = 0

    @property
    def zz(self) -> int:
        """Squared impedance at 2^-60."""
        return self.r**2 + self.x**2


class Feeder:
    """A tree, its limits, and what it bears."""

    def __init__(self, said: registry.Feeder) -> None:
        self.base_W = said.s_base_W
        self.lines = _lines(said)
        self.is_radial = len(self.lines) == len(said.branches) + 1
        self.place = {line.bus: at for at, line in enumerate(self.lines)}
        start = said.v0_permille**2 * ONE
        self.root = start // SQUARE, -(-start // SQUARE)
        self.v_least = -(-(said.vmin_permille**2) * ONE // SQUARE)
        self.v_most = said.vmax_permille**2 * ONE // SQUARE

    def named(self, at: int) -> str:
        """A branch by the numbers of its buses."""
        line = self.lines[at]
        return f"{self.lines[line.above].bus}-{line.bus}"

    def withdrawals(self, draws: Iterable[Draw], factor: int) -> tuple[list[Range], list[Range]]:
        """Ranges of p and q at every place, per unit; every draw lies on the feeder."""
        p, q = [(0, 0)] * len(self.lines), [(0, 0)] * len(self.lines)
        unit = MWH_A_WATT * self.base_W
        for draw in draws:
            at, parts = self.place[draw.bus], draw.ranges(factor)
            p[at] = _added(p[at], parts[0], unit)
            q[at] = _added(q[at], parts[1], unit * PERMILLE)
        return p, q

    # --- currents ----------------------------------------------------------------------------------------------------

    def currents(self, p: Sequence[Range], q: Sequence[Range]) -> list[int] | Fault:
        """Squared currents in the middle of the ranges, after a few passes from none."""
        middle = [[low + high >> 1 for low, high in side] for side in (p, q)]
        found = [0] * len(self.lines)
        for _ in range(PASSES):
            flows = [
                self._gathered(side, [_floor(factor * current) for factor, current in zip(factors, found, strict=True)])
                for side, factors in zip(middle, self._factors(), strict=True)
            ]
            voltage, made = [self.root[0]] * len(self.lines), [0] * len(self.lines)
            for at, line in enumerate(self.lines[1:], 1):
                own = flows[0][at], flows[1][at]
                fall = (line.r * own[0] + line.x * own[1] >> Q - 1) + (line.zz * found[at] >> 2 * Q)
                voltage[at] = voltage[line.above] - fall
                if voltage[at] <= 0:
                    return Fault(reason="collapse", element=f"bus {line.bus}")
                made[at] = (own[0] ** 2 + own[1] ** 2) // voltage[at]
            found = made
        return found

    def _factors(self) -> tuple[list[int], list[int]]:
        return [line.r for line in self.lines], [line.x for line in self.lines]

    def _gathered(self, own: Sequence[int], lost: Sequence[int]) -> list[int]:
        """What flows into each place: its own withdrawal and everything behind it."""
        flow = list(own)
        for at in range(len(self.lines) - 1, 0, -1):
            flow[self.lines[at].above] += flow[at] + lost[at]
        return flow

    def loss_mWh(self, draws: Iterable[Draw]) -> int:
        """R times squared currents over a slot, rounded down; draws off the feeder count for nothing."""
        found = self.currents(*self.withdrawals([draw for draw in draws if draw.bus in self.place], PERMILLE))
        if isinstance(found, Fault):
            return 0
        total = sum(line.r * current for line, current in zip(self.lines, found, strict=True))
        return total * MWH_A_WATT * self.base_W >> 2 * Q

    # --- certificates ------------------------------------------------------------------------------------------------

    def fault(self, draws: Sequence[Draw], factor: int) -> Fault | None:
        """None when a schedule is certified."""
        p, q = self.withdrawals(draws, factor)
        found = self.currents(p, q)
        if isinstance(found, Fault):
            return found
        margins = [0] + [(current >> 14) + (1 << Q - 20) for current in found[1:]]
        box = [(max(0, mid - margin), mid + margin) for mid, margin in zip(found, margins, strict=True)]
        for left in range(WIDER_MAX, -1, -1):
            bounds = self._bounds(p, q, box)
            if isinstance(bounds, Fault):
                return bounds
            image = [(0, 0), *(_image(bounds, at) for at in range(1, len(self.lines)))]
            open_at = next((at for at in range(1, len(box)) if not _inside(image[at], box[at])), None)
            broken = self._broken(box, bounds)
            if broken is not None or open_at is None:
                return broken
            if left == 0:
                return Fault(reason="open_box", element=self.named(open_at))
            box = [(0, 0), *(_hull(one, other) for one, other in zip(box[1:], image[1:], strict=True))]
        raise AssertionError  # the last round returns

    def _bounds(self, p: Sequence[Range], q: Sequence[Range], box: Sequence[Range]) -> Bounds | Fault:
        flows = []
        for side, factors in zip((p, q), self._factors(), strict=True):
            low = self._gathered([a for a, _ in side], [_floor(k * a) for k, (a, _) in zip(factors, box, strict=True)])
            high = self._gathered([b for _, b in side], [_ceil(k * b) for k, (_, b) in zip(factors, box, strict=True)])
            flows.append(list(zip(low, high, strict=True)))
        voltage = [self.root] * len(self.lines)
        for at, line in enumerate(self.lines[1:], 1):
            (p_low, p_high), (q_low, q_high) = flows[0][at], flows[1][at]
            above = voltage[line.above]
            fall = 2 * _ceil(line.r * p_high + line.x * q_high) + -(-line.zz * box[at][1] >> 2 * Q)
            rise = 2 * _floor(line.r * p_low + line.x * q_low) + (line.zz * box[at][0] >> 2 * Q)
            if above[0] - fall <= 0:
                return Fault(reason="collapse", element=f"bus {line.bus}")
            voltage[at] = above[0] - fall, above[1] - rise
        return Bounds(p=flows[0], q=flows[1], v=voltage)

    def _broken(self, box: Sequence[Range], bounds: Bounds) -> Fault | None:
        for line, (low, high) in zip(self.lines, bounds.v, strict=True):
            if low < self.v_least:
                return Fault(reason="vmin", element=f"bus {line.bus}")
            if high > self.v_most:
                return Fault(reason="vmax", element=f"bus {line.bus}")
        for at, line in enumerate(self.lines[1:], 1):
            (p_low, p_high), (q_low, q_high), (low, high) = bounds.p[at], bounds.q[at], box[at]
            sent_p = p_low + _floor(line.r * low), p_high + _ceil(line.r * high)
            sent_q = q_low + _floor(line.x * low), q_high + _ceil(line.x * high)
            for ends in (((p_low, p_high), (q_low, q_high)), (sent_p, sent_q)):
                if sum(max(abs(a), abs(b)) ** 2 for a, b in ends) > line.rating:
                    return Fault(reason="flow", element=f"branch {self.named(at)}")
        return None

    def most(self, draws: Sequence[Draw]) -> tuple[int, Fault | None, bool]:
        """The largest certified factor, what stands against the whole, whether anything at all is certified."""
        lost = next((draw.bus for draw in draws if draw.bus not in self.place), None)
        if lost is not None:
            return 0, Fault(reason="off_feeder", element=f"bus {lost}"), False
        against = self.fault(draws, PERMILLE)
        if against is None:
            return PERMILLE, None, True
        if self.fault(draws, 0) is not None:
            return 0, against, False
        return _largest(lambda factor: self.fault(draws, factor) is None), against, True


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Ranges of flows into each bus, and of squared voltages."""

    p: list[Range]
    q: list[Range]
    v: list[Range]


def _lines(said: registry.Feeder) -> list[Line]:
    """Outwards from the root, in the order in which the branches of a bus are listed."""
    lines = [Line(bus=said.root_bus, above=-1)]
    seen = {said.root_bus}
    for at, here in enumerate(lines):  # grows as it goes
        for branch in said.branches:
            ends = branch.from_bus, branch.to_bus
            if here.bus not in ends or seen >= set(ends):
                continue
            far = ends[ends[0] == here.bus]
            seen.add(far)
            rating = (branch.s_max_W**2 << 2 * Q) // said.s_base_W**2
            lines.append(Line(bus=far, above=at, r=branch.r_pu_q30, x=branch.x_pu_q30, rating=rating))
    return lines


def _floor(value: int) -> int:
    return value >> Q


def _ceil(value: int) -> int:
    return -(-value >> Q)


def _added(before: Range, part: Range, unit: int) -> Range:
    return before[0] + (part[0] << Q) // unit, before[1] - ((-part[1] << Q) // unit)


def _image(bounds: Bounds, at: int) -> Range:
    least = most = 0
    for low, high in (bounds.p[at], bounds.q[at]):
        squares = low * low, high * high
        least += 0 if low <= 0 <= high else min(squares)
        most += max(squares)
    return least // bounds.v[at][1], -(-most // bounds.v[at][0])


def _inside(inner: Range, outer: Range) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _hull(one: Range, other: Range) -> Range:
    low, high = min(one[0], other[0]), max(one[1], other[1])
    margin = (high - low >> 2) + 1
    return max(0, low - margin), high + margin


def _largest(holds: Callable[[int], bool]) -> int:
    """The largest factor below 1000 that halving finds; 0 holds."""
    low, high = 0, PERMILLE
    while high - low > 1:
        middle = low + high >> 1
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
