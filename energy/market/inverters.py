"""Set-points of inverters: reactive power that the utility cell asks for, within what the cells registered.

An inverter of S VA that feeds in P has sqrt(S^2 - P^2) left, either way. P is taken as high as the cell's asks could
make it, so that a set-point holds whatever is sold or let out to the main grid later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isqrt

from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_tx as tx
from cosmos_wire.protos import registry as registry_pb
from energy.errors import CapsMalformed
from energy.market import keys, state
from energy.registry.state import CELLS
from energy.units import slot_energy_mWh
from ibc_core.host import Context


def check_set_points(ctx: Context, record: pb.Slot, said: Iterable[tx.BusQ]) -> dict[int, int]:
    """Set-points in mvarh by bus, withdrawal positive; raises CapsMalformed beyond what the inverters have left."""
    points = {point.bus: point.q_mvarh for point in said}
    if not points:
        return {}
    limits = limits_mvarh(ctx, record.slot)
    for bus, q_mvarh in points.items():
        limit = limits.get(bus, 0)
        if not -limit <= q_mvarh <= limit:
            raise CapsMalformed(f"inverters at bus {bus} have {limit} mvarh left either way, got {q_mvarh}")
    return points


def limits_mvarh(ctx: Context, slot: int) -> dict[int, int]:
    """What the inverters of each bus have left in a slot, either way."""
    limits: dict[int, int] = {}
    for _, raw in ctx.app.iterate(CELLS):
        cell = registry_pb.Cell.FromString(raw)
        if cell.inverter_VA:
            asked = sum(
                order.quantity_mWh for order in state.orders_of(ctx, slot, cell.number) if order.side == keys.ASK
            )
            limits[cell.bus] = limits.get(cell.bus, 0) + left_mvarh(cell.inverter_VA, asked)
    return limits


def left_mvarh(inverter_VA: int, active_mWh: int) -> int:
    """What an inverter has left beside an active energy, rounded down."""
    apparent = slot_energy_mWh(inverter_VA)
    return isqrt(max(0, apparent * apparent - active_mWh * active_mWh))


def adopted(ctx: Context, slot: int) -> dict[int, int]:
    """The set-points in force in a slot, mvarh by bus."""
    prefix = keys.set_points_prefix(slot)
    return {int.from_bytes(key[len(prefix) :], "big"): int(raw) for key, raw in ctx.app.iterate(prefix)}


def adopt(ctx: Context, slot: int, points: Mapping[int, int]) -> None:
    """Put set-points in force, in place of earlier ones."""
    for bus in adopted(ctx, slot):
        ctx.app.delete(keys.set_point_key(slot, bus))
    for bus, q_mvarh in sorted(points.items()):
        ctx.app.set(keys.set_point_key(slot, bus), str(q_mvarh).encode())
