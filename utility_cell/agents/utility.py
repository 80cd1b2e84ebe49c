"""The utility cell's agent: forecast, level-2 offers and locks from the residual, readings of the tie line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from bsmg.client.chain import ChainClient
from cosmos_wire.protos import Message, market, market_tx, trade, trade_packet, trade_query, trade_tx
from utility_cell.agents.view import MarketView, read_contracts, read_heard
from utility_cell.fleet import Fleet
from utility_cell.profiles import Profiles
from utility_cell.world import Calendar, forecast_mWh

METERED_STATES = (
    market.SLOT_STATE_METERING,
    market.SLOT_STATE_ESTIMATED,
    market.SLOT_STATE_SETTLING,
    market.SLOT_STATE_SETTLED,
)
LEVEL = 2
OFFER_PRICE_PERMILLE = 330  # of the band, when the own auction made no price

# Flow of a tie line: (selling chain, slot, energy contracted) -> mWh that really crossed.
TieLine = Callable[[str, int, int], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class UtilitySetup:
    """Who the utility cell is, and by which channels it reaches its neighbours."""

    address: str
    channels: tuple[str, ...]  # trade channels of the own chain
    neighbours: tuple[str, ...]  # chain id behind each channel
    forward: bool = True  # let the buyer's chain send the pay home by ICS-20


@dataclass(slots=True, kw_only=True)
class UtilityAgent:
    """Decides for one microgrid's utility cell."""

    chain: ChainClient
    setup: UtilitySetup
    fleet: Fleet
    calendar: Calendar
    profiles: Profiles
    tie_line: TieLine
    forecast: set[int] = field(default_factory=set)
    offered: set[int] = field(default_factory=set)
    locked: set[bytes] = field(default_factory=set)
    needed_mWh: dict[int, int] = field(default_factory=dict)
    read: set[tuple[int, str]] = field(default_factory=set)

    def forecasts(self, view: MarketView) -> Iterator[Message]:
        """The baseline of every bus for each slot that awaits its forecast."""
        for slot in view.in_state(market.SLOT_STATE_FORECAST):
            if slot.slot in self.forecast or not self.calendar.covers(slot.slot):
                continue
            self.forecast.add(slot.slot)
            yield market_tx.MsgPostForecast(
                utility=self.setup.address,
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

    def offers(self, view: MarketView) -> Iterator[Message]:
        """One offer a slot: the surplus that the own auction left, or none as a sign of life."""
        for slot in view.in_state(market.SLOT_STATE_RESIDUAL):
            done = slot.slot in self.offered or not self.calendar.covers(slot.slot)
            if done or not self.setup.channels:
                continue
            self.offered.add(slot.slot)
            self.needed_mWh[slot.slot] = max(0, slot.residual_mWh)
            yield self._offer(slot)

    def _offer(self, slot: market.Slot) -> trade_tx.MsgPostOffer:
        return trade_tx.MsgPostOffer(
            seller=self.setup.address,
            channels=list(self.setup.channels),
            slot=slot.slot,
            energy_mwh=max(0, -slot.residual_mWh),
            price_e4=_offer_price(slot),
            rate=trade_packet.Rate(num=1, den=1),
            level=LEVEL,
            bus=1,
            seller_payee=self.setup.address,
            forward=self.setup.forward,
            nonce=slot.slot,
        )

    async def locks(self, view: MarketView) -> AsyncIterator[trade_tx.MsgLock]:
        """Locks on offers heard, cheapest first, until the own shortage is covered."""
        for slot in view.in_state(market.SLOT_STATE_RESIDUAL):
            if self.needed_mWh.get(slot.slot, 0) <= 0:
                continue
            for record in await read_heard(self.chain, slot.slot):
                message = self._lock(slot, record)
                if message is not None:
                    yield message

    def _lock(self, slot: market.Slot, record: trade.OfferRecord) -> trade_tx.MsgLock | None:
        offer, need = record.offer, self.needed_mWh[slot.slot]
        affordable = slot.prices.floor_e4 <= offer.price_e4 <= slot.prices.cap_e4
        if not affordable or not offer.energy_mwh or need <= 0 or offer.offer_id in self.locked:
            return None
        self.locked.add(offer.offer_id)
        energy = min(need, offer.energy_mwh)
        self.needed_mWh[slot.slot] = need - energy
        return trade_tx.MsgLock(
            buyer=self.setup.address,
            channel_id=record.channel_id,
            offer_id=offer.offer_id,
            energy_mwh=energy,
            energy_min_mwh=1,
            buyer_payee=self.setup.address,
            nonce=slot.slot,
        )

    async def readings(self, view: MarketView) -> AsyncIterator[trade_tx.MsgPostReading]:
        """The tie line's total for each (slot, channel) that has a contract in force, once."""
        for slot in view.in_state(*METERED_STATES):
            open_channels = [c for c in self.setup.channels if (slot.slot, c) not in self.read]
            if not open_channels:
                continue
            contracts = await read_contracts(self.chain, slot.slot)
            for channel_id in open_channels:
                self.read.add((slot.slot, channel_id))
                message = self._reading(slot.slot, channel_id, contracts)
                if message is not None:
                    yield message

    def _reading(
        self, slot: int, channel_id: str, contracts: trade_query.QueryContractsResponse
    ) -> trade_tx.MsgPostReading | None:
        neighbour = self.setup.neighbours[self.setup.channels.index(channel_id)]
        sold = sum(c.energy_mwh for c in contracts.seller if c.channel_id == channel_id and _selling(c))
        bought = sum(c.energy_mwh for c in contracts.buyer if c.channel_id == channel_id and _buying(c))
        if not sold and not bought:
            return None
        seller = self.chain.chain_id if sold else neighbour
        total = self.tie_line(seller, slot, sold or bought)
        root = sha256(f"{channel_id}/{slot}/{total}".encode()).digest()
        return trade_tx.MsgPostReading(
            utility=self.setup.address, channel_id=channel_id, slot=slot, total_mwh=total, meters_root=root
        )


def _offer_price(slot: market.Slot) -> int:
    """What the own auction paid; without trade, a third up the band."""
    if slot.clearing.volume_mWh:
        return slot.clearing.price_e4
    prices = slot.prices
    return prices.floor_e4 + (prices.cap_e4 - prices.floor_e4) * OFFER_PRICE_PERMILLE // 1_000


def _selling(contract: trade.SellerContract) -> bool:
    return contract.state == trade.SELLER_STATE_ACTIVE


def _buying(contract: trade.BuyerContract) -> bool:
    return contract.state == trade.BUYER_STATE_COMMITTED
