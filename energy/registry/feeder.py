"""What a feeder has to be before it is kept: a tree over its buses, with sane limits."""

from __future__ import annotations

from cosmos_wire.protos import registry as pb
from energy.errors import FeederMalformed, NetworkCheckUnavailable
from energy.grid.network import network_of
from energy.units import PERMILLE, U16_MAX, require_range

BRANCHES_MAX = 1_000
CONTINGENCIES_MAX = 64


def check_feeder(feeder: pb.Feeder) -> None:
    """Refuse a feeder that isn't radial and connected (n-1 branches), has bad limits, or asks for votes."""
    if feeder.mode not in (pb.SECURITY_MODE_UNSPECIFIED, pb.SECURITY_MODE_CHAIN):
        raise NetworkCheckUnavailable(f"mode has to be UNSPECIFIED or CHAIN, got {feeder.mode}")
    if feeder.mode == pb.SECURITY_MODE_CHAIN and feeder.contingencies:
        raise NetworkCheckUnavailable(f"mode CHAIN takes no contingencies, got {len(feeder.contingencies)}")
    require_range(feeder.s_base_W, (1, 2**63), "s_base_W", FeederMalformed)
    require_range(feeder.root_bus, (0, U16_MAX), "root_bus", FeederMalformed)
    _check_voltages(feeder)
    require_range(len(feeder.branches), (1, BRANCHES_MAX), "number of branches", FeederMalformed)
    _check_tree(feeder)
    _check_contingencies(feeder)
    if feeder.mode == pb.SECURITY_MODE_CHAIN:
        network_of(feeder)


def _check_voltages(feeder: pb.Feeder) -> None:
    low, start, high = feeder.vmin_permille, feeder.v0_permille, feeder.vmax_permille
    if not 0 < low <= start <= high <= 2 * PERMILLE:
        raise FeederMalformed(f"0 < vmin <= v0 <= vmax <= 2000 permille is expected, got {low}, {start}, {high}")


def _check_tree(feeder: pb.Feeder) -> None:
    neighbours: dict[int, list[int]] = {feeder.root_bus: []}
    for branch in feeder.branches:
        require_range(max(branch.from_bus, branch.to_bus), (0, U16_MAX), "bus", FeederMalformed)
        if branch.from_bus == branch.to_bus or branch.s_max_W == 0:
            raise FeederMalformed(
                f"a branch joins two buses and has s_max_W > 0, got {branch.from_bus}-{branch.to_bus}"
            )
        neighbours.setdefault(branch.from_bus, []).append(branch.to_bus)
        neighbours.setdefault(branch.to_bus, []).append(branch.from_bus)
    if len(feeder.branches) != len(neighbours) - 1:
        raise FeederMalformed(
            f"{len(neighbours)} buses need {len(neighbours) - 1} branches, got {len(feeder.branches)}"
        )
    reached = _reached(feeder.root_bus, neighbours)
    if reached != len(neighbours):
        raise FeederMalformed(f"all {len(neighbours)} buses have to hang on the root, {reached} do")


def _reached(root: int, neighbours: dict[int, list[int]]) -> int:
    seen, waiting = {root: True}, [root]
    while waiting:
        for bus in neighbours[waiting.pop()]:
            if bus not in seen:
                seen[bus] = True
                waiting.append(bus)
    return len(seen)


def _check_contingencies(feeder: pb.Feeder) -> None:
    require_range(len(feeder.contingencies), (0, CONTINGENCIES_MAX), "number of contingencies", FeederMalformed)
    for index in feeder.contingencies:
        require_range(index, (0, len(feeder.branches) - 1), "contingency (index of a branch)", FeederMalformed)
