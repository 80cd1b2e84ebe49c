"""The real fleets' day on their feeders without a chain, as the report would have read it from one."""

from __future__ import annotations

from bsmg.demo.feeder_day import BusPower, CellPower, FeederSeen, SlotSeen
from cosmos_wire.protos import market
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
        buses=tuple(BusPower(bus=row.bus, p_mWh=row.base_p_mWh, q_mvarh=row.base_q_mvarh) for row in day.energies),
        cells=tuple(_cell(entry, day) for entry in day.outcome.book.entries),
        refused="" if day.secured.refusal is None else str(day.secured.refusal),
    )


def _order(entry: Entry, slot: int) -> market.Order:
    found = entry.order
    order = market.Order(slot=slot, seq=found.seq, cell=f"cell-{found.cell}", price_e4=found.price_e4, bus=found.bus)
    order.side, order.kind = market.Side.ValueType(found.side), market.OrderKind.ValueType(int(found.kind))
    order.quantity_mWh = found.quantity_mWh
    return order


def _cell(entry: Entry, day: Rehearsed) -> CellPower:
    whole = entry.order.quantity_mWh
    drawn = (day.fill(entry) if entry.flexible else whole) if entry.is_bid else 0
    fed = 0 if entry.is_bid else (day.fill(entry) + day.let_out(entry) if entry.flexible else whole)
    return CellPower(bus=entry.order.bus, import_mWh=drawn, export_mWh=fed, tan_phi_permille=entry.tan_phi_permille)
