"""The real fleets' day on their feeders without a chain, as the report would have read it from one."""

from __future__ import annotations

from collections.abc import Iterable

from bsmg.demo.feeder_day import BusPower, FeederSeen, SlotSeen
from cosmos_wire.protos import market
from energy.grid.schedule import BusEnergy
from energy.units import PERMILLE
from physics.feeders import feeder_case
from tests.demo.synthetic import PARAMS
from utility_cell.agents.run import DEFAULT_DAY
from utility_cell.fleet import load_fleet
from utility_cell.profiles import QUARTERS_PER_DAY, first_quarter, load_profiles
from utility_cell.rehearsal import BAND, Entry, Rehearsed, Stage


def seen_day(name: str, quarter: int = 0, slots: int = QUARTERS_PER_DAY) -> FeederSeen:
    """The default day of a feeder's fleet, slots numbered by quarter hours."""
    case, fleet = feeder_case(name), load_fleet(name)
    start = first_quarter(DEFAULT_DAY) + quarter
    days = Stage(case=case, fleet=fleet, profiles=load_profiles()).day(start, slots)
    tan_phi = {f"cell-{at}": spec.tan_phi_permille for at, spec in enumerate(fleet.cells, 1)}
    rows = tuple(_slot(day, quarter + at) for at, day in enumerate(days))
    return FeederSeen(feeder=case.feeder, params=PARAMS, tan_phi=tan_phi, slots=rows)


def _slot(day: Rehearsed, number: int) -> SlotSeen:
    record = market.Slot(
        slot=number,
        prices=market.FrozenPrices(floor_e4=BAND.floor_e4, cap_e4=BAND.cap_e4),
        clearing=day.outcome.clearing,
        factor_permille=day.factor_permille,
        export_permille=day.export_permille,
        curtailed_mWh=day.curtailed_mWh,
        grid_import_mWh=day.grid_import_mWh,
        grid_export_mWh=day.grid_export_mWh,
    )
    return SlotSeen(
        record=record,
        orders=tuple(_order(entry, number) for entry in day.outcome.book.entries),
        buses=_sums(day.energies),
        before=_sums(day.outcome.book.baselines),
        beside=_sums(day.outcome.book.baselines),
        refused="" if day.secured.refusal is None else str(day.secured.refusal),
    )


def _order(entry: Entry, slot: int) -> market.Order:
    found = entry.order
    order = market.Order(slot=slot, seq=found.seq, cell=f"cell-{found.cell}", price_e4=found.price_e4, bus=found.bus)
    order.side, order.kind = market.Side.ValueType(found.side), market.OrderKind.ValueType(int(found.kind))
    order.quantity_mWh = found.quantity_mWh
    return order


def _sums(energies: Iterable[BusEnergy]) -> tuple[BusPower, ...]:
    sums: dict[int, list[int]] = {}
    for energy in energies:
        row = sums.setdefault(energy.bus, [0, 0])
        row[0] += energy.base_p_mWh + energy.trade_p_mWh
        row[1] += energy.base_q_mvarh + (energy.base_q_permille + energy.trade_q_permille) // PERMILLE
    return tuple(BusPower(bus=bus, p_mWh=p, q_mvarh=q) for bus, (p, q) in sorted(sums.items()))
