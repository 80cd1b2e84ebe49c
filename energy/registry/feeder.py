"""What a feeder has to be before it is kept: a tree over its buses, or a mesh where validators vote; sane limits."""

from __future__ import annotations

from cosmos_wire.protos import registry as pb
from energy.errors import FeederMalformed, NetworkCheckUnavailable
from energy.grid.network import IMPEDANCE_MAX, network_of
from energy.units import PERMILLE, RATING_MAX_W, U16_MAX, require_range

BRANCHES_MAX = 1_000
CONTINGENCIES_MAX = 64
MODES = (pb.SECURITY_MODE_UNSPECIFIED, pb.SECURITY_MODE_CHAIN, pb.SECURITY_MODE_BALLOT)


def check_feeder(feeder: pb.Feeder, *, votes: bool = False) -> None:
    """Refuse a feeder that isn't connected, isn't radial (n-1 branches) unless voted on, or has bad limits.

    `votes` says whether this ledger's validators can vote; without them mode BALLOT is refused.
    """
    _check_mode(feeder, votes=votes)
    require_range(feeder.s_base_W, (1, 2**63), "s_base_W", FeederMalformed)
    require_range(feeder.root_bus, (0, U16_MAX), "root_bus", FeederMalformed)
    _check_voltages(feeder)
    require_range(len(feeder.branches), (1, BRANCHES_MAX), "number of branches", FeederMalformed)
    _check_tree(feeder)
    _check_contingencies(feeder)
    _check_loads(feeder)
    if feeder.mode == pb.SECURITY_MODE_CHAIN:
        network_of(feeder)
    if feeder.mode == pb.SECURITY_MODE_BALLOT:
        _check_impedances(feeder)


def _check_mode(feeder: pb.Feeder, *, votes: bool) -> None:
    if feeder.mode not in MODES:
        raise NetworkCheckUnavailable(f"mode has to be UNSPECIFIED, CHAIN or BALLOT, got {feeder.mode}")
    if feeder.mode == pb.SECURITY_MODE_BALLOT and not votes:
        raise NetworkCheckUnavailable("mode BALLOT needs vote extensions, which this chain doesn't have")
    if feeder.mode == pb.SECURITY_MODE_CHAIN and feeder.contingencies:
        raise NetworkCheckUnavailable(f"mode CHAIN takes no contingencies, got {len(feeder.contingencies)}")


def _check_impedances(feeder: pb.Feeder) -> None:
    for branch in feeder.branches:
        pair = branch.r_pu_q30, branch.x_pu_q30
        if max(pair) > IMPEDANCE_MAX or max(pair) == 0:
            raise FeederMalformed(
                f"branch {branch.from_bus}-{branch.to_bus}: r and x up to {IMPEDANCE_MAX}, one above 0, got {pair}"
            )


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
    meshed = feeder.mode == pb.SECURITY_MODE_BALLOT
    if len(feeder.branches) != len(neighbours) - 1 and not meshed:
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


def _check_loads(feeder: pb.Feeder) -> None:
    buses = [load.bus for load in feeder.loads]
    if buses != sorted(dict.fromkeys(buses)):
        raise FeederMalformed(f"loads have to ascend by bus, each once, got {buses[:8]}")
    for load in feeder.loads:
        require_range(load.bus, (0, U16_MAX), "bus of a load", FeederMalformed)
        require_range(load.baseline_max_W, (0, RATING_MAX_W), f"baseline_max_W of bus {load.bus}", FeederMalformed)
