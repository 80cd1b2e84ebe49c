"""The utility cell's agent within its own microgrid: the forecast. Other chains: `levels`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cosmos_wire.protos import Message, market, market_tx
from physics.feeders import feeder_case
from utility_cell.agents.view import MarketView
from utility_cell.bidding import Band
from utility_cell.fleet import Fleet
from utility_cell.forecast import Bounds
from utility_cell.profiles import Profiles
from utility_cell.world import MWH_PER_W_QUARTER, Calendar, Forecaster, forecast_mWh, unordered_mWh


@dataclass(slots=True, kw_only=True)
class UtilityAgent:
    """Decides for one microgrid's utility cell."""

    address: str
    fleet: Fleet
    calendar: Calendar
    profiles: Profiles
    feeder: str = ""  # name of the feeder that the chain checks, for its capacitors
    expect: Forecaster = forecast_mWh
    bounds: Bounds | None = None
    marginal_e4: Callable[[], int | None] = lambda: None  # highest certified marginal price, once there is one
    forecast: set[int] = field(default_factory=set)

    def forecasts(self, view: MarketView) -> Iterator[Message]:
        """The baseline of every bus for each slot that awaits its forecast."""
        for slot in view.in_state(market.SLOT_STATE_FORECAST):
            if slot.slot in self.forecast or not self.calendar.covers(slot.slot):
                continue
            self.forecast.add(slot.slot)
            quarter = self.calendar.quarter(slot.slot)
            message = market_tx.MsgPostForecast(
                utility=self.address,
                slot=slot.slot,
                floor_e4=slot.params.floor_e4,
                cap_e4=slot.params.cap_e4,
                buses=self._baselines(quarter),
            )
            if self.bounds is not None:
                self._expect(message, quarter)
            yield message

    def _expect(self, message: market_tx.MsgPostForecast, quarter: int) -> None:
        """Say where price and powers are expected; the cap may fall to the marginal price, the floor is the FIT."""
        assert self.bounds is not None  # asked for where there are some
        band = Band(floor_e4=message.floor_e4, cap_e4=message.cap_e4)
        found = self.bounds.of(quarter, band)
        message.cap_e4 = found.cap_e4(band, self.marginal_e4())
        if message.cap_e4 < band.cap_e4:  # who bids less under a lower cap makes another price
            found = self.bounds.of(quarter, Band(floor_e4=message.floor_e4, cap_e4=message.cap_e4))
        message.price_low_e4, message.price_high_e4 = found.price_low_e4, found.price_high_e4
        for bus in message.buses:
            bus.net_low_mWh, bus.net_high_mWh = found.buses.get(bus.bus, (0, 0))

    def _baselines(self, quarter: int) -> list[market_tx.BusBaseline]:
        """What places no orders: the feeder's capacitors, and what cells don't bother to order."""
        p_mWh = dict.fromkeys((cell.bus for cell in self.fleet.cells), 0)
        for cell in self.fleet.cells:
            p_mWh[cell.bus] += unordered_mWh(self.expect(self.profiles, cell, quarter))
        q_mvarh = self.capacitors()
        return [
            market_tx.BusBaseline(bus=bus, p_mWh=p_mWh.get(bus, 0), q_mvarh=q_mvarh.get(bus, 0))
            for bus in sorted({**p_mWh, **q_mvarh})
        ]

    def capacitors(self) -> dict[int, int]:
        """Reactive energy that the feeder's capacitors withdraw in a slot (negative), mvarh by bus."""
        sites = feeder_case(self.feeder).sites if self.feeder else ()
        return {site.bus: -site.capacitor_var * MWH_PER_W_QUARTER for site in sites if site.capacitor_var}
