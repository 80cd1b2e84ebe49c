"""What a forecast may say of a bus where schedules are held against a feeder: no more than what is registered there.

p and the middle of the expected net power    1.2 x the ratings of the bus's cells, and its unmetered load
q                                             what the branches at the bus carry
"""

from __future__ import annotations

from collections.abc import Iterable

from cosmos_wire.protos import market_tx as tx
from cosmos_wire.protos import registry as registry_pb
from energy.errors import ForecastTooHigh
from energy.market import security
from energy.registry import state as registered
from energy.units import require_range, slot_energy_mWh
from ibc_core.host import Context

RATING_NUM, RATING_DEN = 12, 10  # a meter may show as much


def require_plausible(ctx: Context, buses: Iterable[tx.BusBaseline]) -> None:
    """Raises ForecastTooHigh, which names the bus, its bounds and what was said. Without a feeder nothing is asked."""
    feeder = security.feeder_in_force(ctx)
    if feeder is None:
        return
    unmetered = {load.bus: load.baseline_max_W for load in feeder.loads}
    carried = _carried_W(feeder)
    for said in buses:
        rated, extra = registered.ratings(ctx, said.bus), unmetered.get(said.bus, 0)
        bounds = -_most_mWh(rated.export_W, extra), _most_mWh(rated.import_W, extra)
        middle = (said.net_low_mWh + said.net_high_mWh) // 2
        for name, energy in (("p_mWh", said.p_mWh), ("the middle of the net energy", middle)):
            require_range(energy, bounds, f"{name} of bus {said.bus}", ForecastTooHigh)
        reactive = slot_energy_mWh(carried.get(said.bus, 0))
        require_range(said.q_mvarh, (-reactive, reactive), f"q_mvarh of bus {said.bus}", ForecastTooHigh)


def _most_mWh(rating_W: int, extra_W: int) -> int:
    return slot_energy_mWh(rating_W) * RATING_NUM // RATING_DEN + slot_energy_mWh(extra_W)


def _carried_W(feeder: registry_pb.Feeder) -> dict[int, int]:
    """Ratings of the branches at each bus, added up."""
    found: dict[int, int] = {}
    for branch in feeder.branches:
        for bus in (branch.from_bus, branch.to_bus):
            found[bus] = found.get(bus, 0) + branch.s_max_W
    return found
