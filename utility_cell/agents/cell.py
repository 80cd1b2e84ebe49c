"""A cell's agent: one order a slot from the forecast, one signed reading a slot from the meter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cosmos_wire.ed25519 import sign
from cosmos_wire.protos import Message, market, market_tx, meter_tx
from energy.meter.reading import sign_bytes
from utility_cell.agents.view import MarketView
from utility_cell.bidding import Band, Wish, share_permille, wish
from utility_cell.fleet import CellSpec
from utility_cell.profiles import Profiles
from utility_cell.world import MWH_PER_W_QUARTER, Calendar, forecast_mWh, net_mWh


@dataclass(frozen=True, slots=True, kw_only=True)
class CellIdentity:
    """Who the cell is on its chain."""

    chain_id: str
    address: str
    device: str
    device_seed: bytes  # ed25519 private key of the meter, 32 bytes


@dataclass(slots=True, kw_only=True)
class Meter:
    """Running totals of a physical meter, mWh."""

    import_mWh: int = 0
    export_mWh: int = 0

    def count(self, net: int) -> tuple[int, int]:
        """Add a slot's energy; returns its (import, export)."""
        drawn, fed = max(net, 0), max(-net, 0)
        self.import_mWh += drawn
        self.export_mWh += fed
        return drawn, fed


@dataclass(slots=True, kw_only=True)
class CellAgent:
    """Decides for one cell. `ordered` and `metered` hold the slots that are done."""

    spec: CellSpec
    identity: CellIdentity
    calendar: Calendar
    profiles: Profiles
    seed: int
    meter: Meter = field(default_factory=Meter)
    ordered: set[int] = field(default_factory=set)
    metered: set[int] = field(default_factory=set)

    def orders(self, view: MarketView) -> Iterator[Message]:
        """An order for each slot that takes orders and has none of this cell."""
        for slot in view.in_state(market.SLOT_STATE_BIDDING):
            if slot.slot in self.ordered or not self.calendar.covers(slot.slot):
                continue
            self.ordered.add(slot.slot)
            made = self.wish(slot)
            if made is not None:
                yield self._order(slot.slot, made)

    def wish(self, slot: market.Slot) -> Wish | None:
        """What the cell wants in a slot."""
        net = forecast_mWh(self.profiles, self.spec, self.calendar.quarter(slot.slot))
        rating_W = self.spec.max_import_W if net > 0 else self.spec.max_export_W
        band = Band(floor_e4=slot.prices.floor_e4, cap_e4=slot.prices.cap_e4)
        # The mood hangs on the quarter hour, not on the slot's number: another run of the day gives the same market.
        mood = share_permille(self.seed, self.spec.name, self.calendar.quarter(slot.slot))
        return wish(band, net, rating_W * MWH_PER_W_QUARTER, mood)

    def _order(self, slot: int, made: Wish) -> market_tx.MsgPlaceOrder:
        return market_tx.MsgPlaceOrder(
            cell=self.identity.address,
            slot=slot,
            side=market.SIDE_BID if made.is_bid else market.SIDE_ASK,
            price_e4=made.price_e4,
            quantity_mWh=made.quantity_mWh,
        )

    def readings(self, view: MarketView) -> Iterator[Message]:
        """A signed reading for each slot that is being metered, oldest first: totals have to continue."""
        for slot in view.in_state(market.SLOT_STATE_METERING):
            if slot.slot in self.metered or not self.calendar.covers(slot.slot):
                continue
            self.metered.add(slot.slot)
            yield meter_tx.MsgSubmitReadings(sender=self.identity.address, readings=[self._reading(slot.slot)])

    def _reading(self, slot: int) -> meter_tx.Reading:
        drawn, fed = self.meter.count(net_mWh(self.profiles, self.spec, self.calendar.quarter(slot)))
        reading = meter_tx.Reading(
            device=self.identity.device,
            slot=slot,
            import_mWh=drawn,
            export_mWh=fed,
            import_total_mWh=self.meter.import_mWh,
            export_total_mWh=self.meter.export_mWh,
        )
        reading.signature = sign(self.identity.device_seed, sign_bytes(self.identity.chain_id, reading))
        return reading
