"""The utility cell's agent within its own microgrid: the forecast. Other chains: `levels`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cosmos_wire.protos import Message, market, market_tx
from utility_cell.agents.view import MarketView
from utility_cell.fleet import Fleet
from utility_cell.profiles import Profiles
from utility_cell.world import Calendar, forecast_mWh


@dataclass(slots=True, kw_only=True)
class UtilityAgent:
    """Decides for one microgrid's utility cell."""

    address: str
    fleet: Fleet
    calendar: Calendar
    profiles: Profiles
    forecast: set[int] = field(default_factory=set)

    def forecasts(self, view: MarketView) -> Iterator[Message]:
        """The baseline of every bus for each slot that awaits its forecast."""
        for slot in view.in_state(market.SLOT_STATE_FORECAST):
            if slot.slot in self.forecast or not self.calendar.covers(slot.slot):
                continue
            self.forecast.add(slot.slot)
            yield market_tx.MsgPostForecast(
                utility=self.address,
                slot=slot.slot,
                floor_e4=slot.params.floor_e4,
                cap_e4=slot.params.cap_e4,
                buses=[
                    market_tx.BusBaseline(bus=bus, p_mWh=energy)
                    for bus, energy in self._by_bus(self.calendar.quarter(slot.slot))
                ],
            )

    def _by_bus(self, quarter: int) -> list[tuple[int, int]]:
        buses: dict[int, int] = {}
        for cell in self.fleet.cells:
            buses[cell.bus] = buses.get(cell.bus, 0) + forecast_mWh(self.profiles, cell, quarter)
        return sorted(buses.items())
