"""What a slot lost on the feeder, from what the meters showed: an integer sweep at SETTLE.

    p of a bus   import - export of its cells, and estimates for silent devices; nothing else is metered
    q of a bus   tan phi * p of the cells with orders, and the forecast's (which stands for cells without)

Silent devices without an estimate count as nothing here; their cells pay a share by what is assumed of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from cosmos_wire.protos import meter as meter_pb
from energy.errors import FeederMalformed
from energy.grid.losses import loss_mWh
from energy.grid.network import Network, network_of
from energy.grid.schedule import BusEnergy
from energy.market import keys, security
from energy.market.schedule import BusSum, Sums
from energy.meter import state as meters
from energy.registry import state as registered
from ibc_core.host import Context

CELL_BYTES = 4


def metered(ctx: Context, slot: int) -> tuple[int, int]:
    """Losses, and the metered energies that they are shared by, both mWh; (0, 0) where no radial feeder is checked."""
    net = _network(ctx)
    if net is None:
        return 0, 0
    acting, sums, metered_mWh = _with_orders(ctx, slot), Sums(), 0
    for number, energy_mWh in _known(ctx, slot):
        cell = registered.cell(ctx, number)
        sums.setdefault(cell.bus, BusSum()).add(energy_mWh, cell.tan_phi_permille if number in acting else 0)
        metered_mWh += abs(energy_mWh)
    reactive = [_reactive(said) for said in security.forecasts(ctx, slot)]
    return loss_mWh(net, [*reactive, *security.fixed(sums)]), metered_mWh


def _network(ctx: Context) -> Network | None:
    feeder = security.feeder_in_force(ctx)
    if feeder is None:
        return None
    try:
        return network_of(feeder)
    except FeederMalformed:
        return None  # meshed: no sweep


def _known(ctx: Context, slot: int) -> Iterator[tuple[int, int]]:
    """Number of each cell that was heard of, and its net energy."""
    prefix = meters.cells_prefix(slot)
    for key, raw in ctx.app.iterate(prefix):
        said = meter_pb.CellMeter.FromString(raw)
        energy_mWh = said.import_mWh - said.export_mWh + said.estimated_mWh
        yield int.from_bytes(key[len(prefix) :], "big"), energy_mWh


def _with_orders(ctx: Context, slot: int) -> dict[int, bool]:
    prefix = keys.orders_prefix(slot)
    at = slice(len(prefix), len(prefix) + CELL_BYTES)
    return {int.from_bytes(key[at], "big"): True for key, _ in ctx.app.iterate(prefix)}


def _reactive(said: BusEnergy) -> BusEnergy:
    return BusEnergy(bus=said.bus, base_q_mvarh=said.base_q_mvarh)
