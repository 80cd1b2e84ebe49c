"""Agents decide from what a chain shows: once a slot, inside ratings and band, readings that continue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

from bsmg.client.feed import Head
from cosmos_wire.ed25519 import public_key, verify
from cosmos_wire.protos import Message, market, market_tx, meter_tx, trade, trade_packet, trade_query, trade_tx
from energy.meter.reading import sign_bytes
from utility_cell.agents.cell import CellAgent, CellIdentity
from utility_cell.agents.run import DEFAULT_DAY
from utility_cell.agents.utility import UtilityAgent, UtilitySetup
from utility_cell.agents.view import MarketView
from utility_cell.fleet import load_fleet
from utility_cell.profiles import first_quarter, load_profiles
from utility_cell.world import Calendar, net_mWh

FIRST = 1_000
CHAIN = "mga-1"
SEED = sha256(b"meter").digest()
PROFILES, FLEET = load_profiles(), load_fleet("sunny")
NOON = first_quarter(DEFAULT_DAY) + 48
CALENDAR = Calendar(first_slot=FIRST, first_quarter=NOON, slots=4)


def slot(number: int, state: market.SlotState.ValueType, **fields: Any) -> market.Slot:
    made = market.Slot(slot=number, state=state, **fields)
    made.prices.floor_e4, made.prices.cap_e4 = 20_000, 80_000
    made.params.floor_e4, made.params.cap_e4 = 20_000, 80_000
    return made


def view(*slots: market.Slot) -> MarketView:
    return MarketView(head=Head(height=9, time_ns=1), slots={each.slot: each for each in slots})


def cell(index: int = 0) -> CellAgent:
    identity = CellIdentity(chain_id=CHAIN, address="bsmg1cell", device="home-01-meter@mga", device_seed=SEED)
    return CellAgent(spec=FLEET.cells[index], identity=identity, calendar=CALENDAR, profiles=PROFILES, seed=1)


class FakeChain:
    """Answers the trade queries of the utility cell's agent."""

    chain_id = CHAIN

    def __init__(self, offers: tuple[trade.OfferRecord, ...] = (), contracts: Any = None) -> None:
        self.offers, self.contracts = offers, contracts or trade_query.QueryContractsResponse()

    async def query(self, path: str, _request: Message, _response: type[Message]) -> Message:
        if path.endswith("/Offers"):
            return trade_query.QueryOffersResponse(offers=self.offers)
        assert path.endswith("/Contracts")
        return self.contracts


def utility(chain: FakeChain) -> UtilityAgent:
    setup = UtilitySetup(address="bsmg1utility", channels=("channel-1",), neighbours=("mgb-1",))
    return UtilityAgent(
        chain=chain,  # type: ignore[arg-type]  # a fake with the one method that is used
        setup=setup,
        fleet=FLEET,
        calendar=CALENDAR,
        profiles=PROFILES,
        tie_line=lambda seller, _, energy: energy - 1 if seller == CHAIN else energy - 2,
    )


async def collect(messages: AsyncIterator[Any]) -> list[Any]:
    return [message async for message in messages]


def test_a_cell_orders_once_a_slot_and_only_in_slots_of_the_day() -> None:
    agent = cell()
    seen = view(
        slot(FIRST, market.SLOT_STATE_BIDDING),
        slot(FIRST + 1, market.SLOT_STATE_FORECAST),
        slot(FIRST + 4, market.SLOT_STATE_BIDDING),  # after the day's end
    )
    (order,) = agent.orders(seen)
    assert isinstance(order, market_tx.MsgPlaceOrder)
    assert (order.slot, order.cell) == (FIRST, "bsmg1cell")
    assert order.side == market.SIDE_ASK  # a roof at noon
    assert 20_000 <= order.price_e4 <= 80_000
    assert list(agent.orders(seen)) == []


def test_readings_are_signed_and_their_totals_continue() -> None:
    agent = cell()
    states = market.SLOT_STATE_METERING
    messages = list(agent.readings(view(slot(FIRST + 1, states), slot(FIRST, states))))
    imported = exported = 0
    for number, message in zip((FIRST, FIRST + 1), messages, strict=True):
        assert isinstance(message, meter_tx.MsgSubmitReadings)
        (reading,) = message.readings
        net = net_mWh(PROFILES, FLEET.cells[0], CALENDAR.quarter(number))
        assert reading.slot == number
        assert reading.import_mWh - reading.export_mWh == net
        imported, exported = imported + reading.import_mWh, exported + reading.export_mWh
        assert (reading.import_total_mWh, reading.export_total_mWh) == (imported, exported)
        assert verify(public_key(SEED), sign_bytes(CHAIN, reading), reading.signature)
        assert not verify(public_key(SEED), sign_bytes("mgb-1", reading), reading.signature)


def test_the_forecast_names_every_bus_once() -> None:
    agent = utility(FakeChain())
    (message,) = agent.forecasts(view(slot(FIRST, market.SLOT_STATE_FORECAST)))
    assert isinstance(message, market_tx.MsgPostForecast)
    buses = [entry.bus for entry in message.buses]
    assert buses == sorted({each.bus for each in FLEET.cells})
    assert (message.floor_e4, message.cap_e4) == (20_000, 80_000)


def test_a_surplus_is_offered_and_a_shortage_is_a_sign_of_life() -> None:
    agent = utility(FakeChain())
    long, short = (
        slot(FIRST, market.SLOT_STATE_RESIDUAL, residual_mWh=-500),
        slot(FIRST + 1, market.SLOT_STATE_RESIDUAL, residual_mWh=700),
    )
    offers = list(agent.offers(view(long, short)))
    assert [offer.energy_mwh for offer in offers if isinstance(offer, trade_tx.MsgPostOffer)] == [500, 0]
    assert list(agent.offers(view(long, short))) == []


async def test_a_shortage_is_locked_cheapest_first_and_not_beyond_it() -> None:
    def heard(name: bytes, price_e4: int, energy: int) -> trade.OfferRecord:
        offer = trade_packet.Offer(offer_id=name * 32, slot=FIRST, energy_mwh=energy, price_e4=price_e4)
        return trade.OfferRecord(offer=offer, channel_id="channel-1")

    offers = (heard(b"a", 50_000, 600), heard(b"b", 30_000, 400), heard(b"c", 90_000, 900), heard(b"d", 40_000, 0))
    agent = utility(FakeChain(offers))
    seen = view(slot(FIRST, market.SLOT_STATE_RESIDUAL, residual_mWh=700))
    list(agent.offers(seen))
    locks = await collect(agent.locks(seen))
    assert [(lock.offer_id[:1], lock.energy_mwh) for lock in locks] == [(b"b", 400), (b"a", 300)]
    assert await collect(agent.locks(seen)) == []


async def test_the_tie_line_is_read_once_on_the_side_of_the_contracts() -> None:
    sold = trade.SellerContract(channel_id="channel-1", energy_mwh=100, state=trade.SELLER_STATE_ACTIVE)
    gone = trade.SellerContract(channel_id="channel-1", energy_mwh=50, state=trade.SELLER_STATE_CANCELLED)
    bought = trade.BuyerContract(channel_id="channel-1", energy_mwh=80, state=trade.BUYER_STATE_COMMITTED)
    answers = {
        99: trade_query.QueryContractsResponse(seller=[sold, gone]),
        78: trade_query.QueryContractsResponse(buyer=[bought]),
    }
    seen = view(slot(FIRST, market.SLOT_STATE_METERING))
    for total, contracts in answers.items():
        agent = utility(FakeChain(contracts=contracts))
        (message,) = await collect(agent.readings(seen))
        assert (message.channel_id, message.slot, message.total_mwh) == ("channel-1", FIRST, total)
        assert await collect(agent.readings(seen)) == []
    assert await collect(utility(FakeChain()).readings(seen)) == []
