"""A radial feeder as the certificates see it: buses in the order of a walk from the root, numbers at 2^-30 p.u.

Bus 0 of the arrays is the root; bus i > 0 hangs on `parent[i]` < i by the branch i. Series impedance only: what a shunt
takes belongs to the buses' withdrawals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cosmos_wire.protos import registry as pb
from energy.errors import FeederMalformed
from energy.grid.fixed import BITS, ONE, ceil_div
from energy.units import PERMILLE

IMPEDANCE_MAX = 16 * ONE  # 16 p.u. over one branch carries next to nothing; it bounds the length of every product


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A radial feeder, read once and used for every schedule."""

    s_base_W: int
    bus: tuple[int, ...]  # the registry's number of each bus
    parent: tuple[int, ...]  # parent[0] is -1
    r: tuple[int, ...]  # 2^-30 p.u., 0 at the root; x alike
    x: tuple[int, ...]
    z2: tuple[int, ...]  # r^2 + x^2 at 2^-60, exact
    s2_max: tuple[int, ...]  # square of the rating at 2^-60, rounded down
    v0: tuple[int, int]  # square of the root's voltage, at 2^-30, outward
    v_min: int  # squares of the limits, rounded inward
    v_max: int
    index: Mapping[int, int]  # the registry's number of a bus -> its place here

    @property
    def size(self) -> int:
        """Number of buses, the root among them."""
        return len(self.bus)

    def branch_name(self, at: int) -> str:
        """`from-to` with the registry's bus numbers."""
        return f"{self.bus[self.parent[at]]}-{self.bus[at]}"


Step = tuple[int, int, pb.Branch | None]  # a bus, the place of its parent, the branch between them


def walk(feeder: pb.Feeder) -> list[Step]:
    """The buses from the root outwards, each behind its parent."""
    neighbours: dict[int, list[tuple[int, pb.Branch]]] = {feeder.root_bus: []}
    for branch in feeder.branches:
        for here, there in ((branch.from_bus, branch.to_bus), (branch.to_bus, branch.from_bus)):
            neighbours.setdefault(here, []).append((there, branch))
    steps: list[Step] = [(feeder.root_bus, -1, None)]
    seen = {feeder.root_bus: 0}
    for at in range(len(neighbours)):
        if at == len(steps):
            raise FeederMalformed(f"all {len(neighbours)} buses have to hang on the root, {at} do")
        for bus, branch in neighbours[steps[at][0]]:
            if bus not in seen:
                seen[bus] = len(steps)
                steps.append((bus, at, branch))
    if len(feeder.branches) != len(steps) - 1:
        raise FeederMalformed(f"{len(steps)} buses need {len(steps) - 1} branches, got {len(feeder.branches)}")
    return steps


def network_of(feeder: pb.Feeder) -> Network:
    """Read a feeder of the registry; raises FeederMalformed when it isn't radial or a number is out of range."""
    steps = walk(feeder)
    branches = [branch for _, _, branch in steps if branch is not None]
    for branch in branches:
        _check_branch(branch)
    r = (0, *(branch.r_pu_q30 for branch in branches))
    x = (0, *(branch.x_pu_q30 for branch in branches))
    square = PERMILLE * PERMILLE
    v0 = feeder.v0_permille**2 * ONE
    return Network(
        s_base_W=feeder.s_base_W,
        bus=tuple(bus for bus, _, _ in steps),
        parent=tuple(parent for _, parent, _ in steps),
        r=r,
        x=x,
        z2=tuple(a * a + b * b for a, b in zip(r, x, strict=True)),
        s2_max=(0, *(_squared_rating(branch, feeder.s_base_W) for branch in branches)),
        v0=(v0 // square, ceil_div(v0, square)),
        v_min=ceil_div(feeder.vmin_permille**2 * ONE, square),
        v_max=feeder.vmax_permille**2 * ONE // square,
        index={bus: at for at, (bus, _, _) in enumerate(steps)},
    )


def _check_branch(branch: pb.Branch) -> None:
    worst = max(branch.r_pu_q30, branch.x_pu_q30)
    if worst > IMPEDANCE_MAX or branch.s_max_W == 0:
        raise FeederMalformed(
            f"branch {branch.from_bus}-{branch.to_bus}: r and x up to {IMPEDANCE_MAX} and s_max_W > 0 are expected,"
            f" got {branch.r_pu_q30}, {branch.x_pu_q30}, {branch.s_max_W}"
        )


def _squared_rating(branch: pb.Branch, s_base_W: int) -> int:
    return (branch.s_max_W**2 << 2 * BITS) // s_base_W**2
