"""A cell's agent: orders of a slot from the forecast and its devices, one signed reading a slot from the meter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cosmos_wire.ed25519 import sign
from cosmos_wire.protos import Message, market, market_tx, meter_tx
from energy.meter.reading import sign_bytes
from utility_cell.agents.view import MarketView
from utility_cell.bidding import Band, Outlook, Wish, share_permille
from utility_cell.devices import Allowed, Devices
from utility_cell.fleet import CellSpec
from utility_cell.profiles import Profiles
from utility_cell.world import Calendar, Forecaster, forecast_mWh


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
    forecast: Forecaster = forecast_mWh
    meter: Meter = field(default_factory=Meter)
    devices: Devices = field(init=False)
    ordered: set[int] = field(default_factory=set)
    metered: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Devices as they are before the first slot."""
        self.devices = Devices(spec=self.spec, profiles=self.profiles)

    def orders(self, view: MarketView) -> Iterator[Message]:
        """The orders for each slot that takes orders and has none of this cell."""
        for slot in view.in_state(market.SLOT_STATE_BIDDING):
            if slot.slot in self.ordered or not self.calendar.covers(slot.slot):
                continue
            self.ordered.add(slot.slot)
            for made in self.wishes(slot, view.last_price_e4):
                yield self._order(slot.slot, made)

    def wishes(self, slot: market.Slot, last_e4: int | None) -> tuple[Wish, ...]:
        """What the cell wants in a slot; asked once a slot, for devices remember what is promised."""
        quarter = self.calendar.quarter(slot.slot)
        band = Band(floor_e4=slot.prices.floor_e4, cap_e4=slot.prices.cap_e4)
        # The mood hangs on the quarter hour, not on the slot's number: another run of the day gives the same market.
        mood = share_permille(self.seed, self.spec.name, quarter)
        outlook = Outlook(band=band, last_e4=last_e4, mood_permille=mood)
        return self.devices.plan(slot.slot, quarter, self.forecast(self.profiles, self.spec, quarter), outlook)

    def learn(self, slot: int, allowed: Allowed) -> None:
        """The chain's schedule of a slot, which the devices follow."""
        self.devices.schedule(slot, allowed)

    def net_mWh(self, slot: int) -> int:
        """What the cell draws in a slot, negative when it feeds in."""
        return self.devices.net_mWh(slot, self.calendar.quarter(slot))

    def _order(self, slot: int, made: Wish) -> market_tx.MsgPlaceOrder:
        return market_tx.MsgPlaceOrder(
            cell=self.identity.address,
            slot=slot,
            side=market.SIDE_BID if made.is_bid else market.SIDE_ASK,
            price_e4=made.price_e4,
            quantity_mWh=made.quantity_mWh,
            kind=market.OrderKind.ValueType(made.kind),
        )

    def readings(self, view: MarketView) -> Iterator[meter_tx.Reading]:
        """A signed reading for each slot that is being metered, oldest first: totals have to continue."""
        for slot in view.in_state(market.SLOT_STATE_METERING):
            if slot.slot in self.metered or not self.calendar.covers(slot.slot):
                continue
            self.metered.add(slot.slot)
            yield self._reading(slot.slot)

    def _reading(self, slot: int) -> meter_tx.Reading:
        drawn, fed = self.meter.count(self.net_mWh(slot))
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
