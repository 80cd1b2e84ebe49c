"""Levels 2 and 3: local first, then other microgrids, then the main grid; nothing twice, nothing too late."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from bsmg.client.errors import NodeError
from bsmg.client.feed import Head
from cosmos_wire.protos import Message, market, trade, trade_packet, trade_query, trade_tx
from utility_cell.agents.levels import GridAgent, LevelsAgent
from utility_cell.agents.lines import Lines
from utility_cell.agents.view import MarketView
from utility_cell.flows import TieLines
from utility_cell.world import Calendar

FIRST, SLOT_MS = 1_000, 4_000
CHAIN, PEER, GRID = "mga-1", "mgb-1", "grid-1"
GATES = {"T_lock": -36_000, "T_act": -18_000, "T_lock3": -17_400, "T_meter": 20_000}
CALENDAR = Calendar(first_slot=FIRST, first_quarter=0, slots=4)
ME = "bsmg1utility"
NEAR, FAR = "channel-1", "channel-3"
START = FIRST * SLOT_MS
LEVEL2, LEVEL3 = START - 60_000, START - 34_000


def slot(number: int, state: market.SlotState.ValueType, **fields: Any) -> market.Slot:
    made = market.Slot(slot=number, state=state, **fields)
    made.prices.floor_e4, made.prices.cap_e4 = 20_000, 80_000
    made.params.floor_e4, made.params.cap_e4 = 20_000, 80_000
    return made


def residual(energy_mWh: int, number: int = FIRST) -> market.Slot:
    return slot(number, market.SLOT_STATE_RESIDUAL, residual_mWh=energy_mWh)


def view(now_ms: int, *slots: market.Slot, height: int = 9) -> MarketView:
    return MarketView(head=Head(height=height, time_ns=now_ms * 10**6), slots={each.slot: each for each in slots})


def heard(name: bytes, price_e4: int, energy: int, **fields: Any) -> trade.OfferRecord:
    channel_id = fields.pop("channel_id", NEAR)
    offer = trade_packet.Offer(offer_id=name * 32, slot=FIRST, energy_mwh=energy, price_e4=price_e4, **fields)
    return trade.OfferRecord(offer=offer, channel_id=channel_id)


class FakeChain:
    """Answers the trade queries; contracts are by channel."""

    def __init__(self, chain_id: str = CHAIN) -> None:
        self.chain_id = chain_id
        self.offers: list[trade.OfferRecord] = []
        self.contracts: dict[str, trade_query.QueryContractsResponse] = {}
        self.contract = trade_query.QueryContractResponse()
        self.scores: list[trade.PeerScore] = []

    async def query(self, path: str, request: Any, _response: type[Message]) -> Message:
        match path.rpartition("/")[2]:
            case "Offers":
                return trade_query.QueryOffersResponse(offers=self.offers)
            case "Contracts":
                assert request.slot
                return self.contracts.get(request.channel_id, trade_query.QueryContractsResponse())
            case "Contract":
                return self.contract
            case "Params":
                params = trade.Params(slot_ms=SLOT_MS, floor_e4=20_000, cap_e4=70_000, line_max_mwh=10**9)
                return trade_query.QueryParamsResponse(params=params)
            case _:
                return trade_query.QueryScoresResponse(scores=self.scores)


def flows(nets: dict[str, int]) -> TieLines:
    return TieLines(nets=lambda chain, _: nets[chain], members=frozenset(nets))


def microgrid(chain: FakeChain, nets: dict[str, int] | None = None) -> LevelsAgent:
    lines = Lines(address=ME, slot_ms=SLOT_MS, gates_ms=GATES, neighbours={NEAR: PEER}, grid=FAR)
    return LevelsAgent(
        chain=chain,  # type: ignore[arg-type]  # a fake with the one method that is used
        lines=lines,
        calendar=CALENDAR,
        flows=flows(nets or {CHAIN: 0, PEER: 0}),
    )


def operator(chain: FakeChain, nets: dict[str, int] | None = None) -> GridAgent:
    lines = Lines(address=ME, slot_ms=SLOT_MS, gates_ms=GATES, neighbours={"channel-1": CHAIN, "channel-3": PEER})
    return GridAgent(
        chain=chain,  # type: ignore[arg-type]  # as above
        lines=lines,
        calendar=CALENDAR,
        flows=flows(nets or {CHAIN: 0, PEER: 0}),
    )


def only(kind: type[Message], messages: Iterable[Message]) -> list[Any]:
    return [message for message in messages if isinstance(message, kind)]


async def all_of(agent: LevelsAgent | GridAgent, seen: MarketView) -> list[Message]:
    return [message async for message in agent.act(seen)]


OFFER, LOCK, READING = trade_tx.MsgPostOffer, trade_tx.MsgLock, trade_tx.MsgPostReading


async def test_a_surplus_is_offered_to_microgrids_and_a_shortage_is_a_sign_of_life() -> None:
    agent = microgrid(FakeChain())
    seen = view(LEVEL2, residual(-5_000), residual(7_000, FIRST + 1), residual(1, FIRST + 4))
    offers = only(OFFER, await all_of(agent, seen))
    assert [(offer.energy_mwh, list(offer.channels), offer.level) for offer in offers] == [
        (5_000, [NEAR], 2),
        (0, [NEAR], 2),
    ]
    assert await all_of(agent, seen) == []


async def test_a_shortage_is_locked_cheapest_first_and_not_beyond_it() -> None:
    chain = FakeChain()
    chain.offers = [
        heard(b"a", 50_000, 6_000),
        heard(b"b", 30_000, 4_000),
        heard(b"c", 90_000, 9_000),
        heard(b"d", 40_000, 0),
        heard(b"e", 20_000, 5_000, level=3, channel_id=FAR),
        heard(b"f", 20_000, 5_000, reputation_milli_min=501),
    ]
    agent = microgrid(chain)
    locks = only(LOCK, await all_of(agent, view(LEVEL2, residual(7_000))))
    assert [(lock.offer_id[:1], lock.energy_mwh) for lock in locks] == [(b"b", 4_000), (b"a", 3_000)]
    assert await all_of(agent, view(LEVEL2, residual(7_000))) == []


async def test_among_equal_prices_the_more_reliable_chain_sells() -> None:
    chain = FakeChain()
    chain.offers = [heard(b"a", 30_000, 9_000), heard(b"b", 30_000, 9_000, channel_id="channel-2")]
    chain.scores = [trade.PeerScore(channel_id="channel-2", score_milli=501)]
    agent = microgrid(chain)
    agent.lines = Lines(address=ME, slot_ms=SLOT_MS, gates_ms=GATES, neighbours={NEAR: PEER, "channel-2": "mgc-1"})
    (lock,) = only(LOCK, await all_of(agent, view(LEVEL2, residual(7_000))))
    assert lock.channel_id == "channel-2"


GRID_OFFER = heard(b"g", 70_000, 10**9, level=3, channel_id=FAR)


def bought(
    state: trade.BuyerState.ValueType, energy: int, *, active: bool = True
) -> trade_query.QueryContractsResponse:
    contract = trade.BuyerContract(energy_mwh=energy, state=state, active=active)
    return trade_query.QueryContractsResponse(buyer=[contract])


async def test_what_level_2_did_not_cover_is_bought_from_the_main_grid_once() -> None:
    chain = FakeChain()
    chain.offers = [GRID_OFFER]
    chain.contracts[NEAR] = bought(trade.BUYER_STATE_COMMITTED, 4_000)
    agent = microgrid(chain)
    assert only(LOCK, await all_of(agent, view(LEVEL2, residual(7_000)))) == []  # not yet: level 2 has the word
    (lock,) = only(LOCK, await all_of(agent, view(LEVEL3, residual(7_000))))
    assert (lock.channel_id, lock.energy_mwh, lock.offer_id) == (FAR, 3_000, b"g" * 32)
    assert await all_of(agent, view(LEVEL3 + 1_000, residual(7_000))) == []


@pytest.mark.parametrize(
    ("state", "active"),
    [(trade.BUYER_STATE_LOCKED, False), (trade.BUYER_STATE_CONFIRMED, False), (trade.BUYER_STATE_COMMITTED, False)],
)
async def test_the_main_grid_waits_until_level_2_is_decided_or_over(
    state: trade.BuyerState.ValueType, active: bool
) -> None:
    chain = FakeChain()
    chain.offers, chain.contracts[NEAR] = [GRID_OFFER], bought(state, 7_000, active=active)
    agent = microgrid(chain)
    assert only(LOCK, await all_of(agent, view(LEVEL3, residual(7_000)))) == []
    chain.contracts[NEAR] = bought(trade.BUYER_STATE_REFUNDED, 7_000)
    (lock,) = only(LOCK, await all_of(agent, view(LEVEL3 + 1_000, residual(7_000))))
    assert lock.energy_mwh == 7_000


async def test_a_surplus_that_nobody_took_goes_to_the_main_grid_at_the_feed_in_tariff() -> None:
    chain = FakeChain()
    sold = trade.SellerContract(energy_mwh=2_000, state=trade.SELLER_STATE_ACTIVE)
    gone = trade.SellerContract(energy_mwh=1_500, state=trade.SELLER_STATE_CANCELLED)
    chain.contracts[NEAR] = trade_query.QueryContractsResponse(seller=[sold, gone])
    agent = microgrid(chain)
    (offer,) = only(OFFER, await all_of(agent, view(LEVEL3, residual(-5_000))))
    assert (offer.level, list(offer.channels), offer.energy_mwh, offer.price_e4) == (3, [FAR], 3_000, 20_000)
    assert offer.only_first_channel
    assert await all_of(agent, view(LEVEL3 + 1_000, residual(-5_000))) == []


async def test_an_agent_that_was_started_again_does_not_buy_twice() -> None:
    chain = FakeChain()
    chain.offers = [GRID_OFFER]
    assert len(only(LOCK, await all_of(microgrid(chain), view(LEVEL3, residual(7_000))))) == 1
    chain.contracts[FAR] = bought(trade.BUYER_STATE_LOCKED, 7_000)
    again = microgrid(chain)
    assert only(LOCK, await all_of(again, view(LEVEL3 + 1_000, residual(7_000)))) == []
    assert again.done == {FIRST}


async def test_nothing_is_traded_beyond_what_a_line_carries() -> None:
    chain = FakeChain()
    line = 10**9
    chain.offers = [heard(b"a", 30_000, 7 * 10**8), heard(b"b", 40_000, 7 * 10**8), GRID_OFFER]
    agent = microgrid(chain)
    locks = only(LOCK, await all_of(agent, view(LEVEL2, residual(3 * line))))
    assert [(lock.channel_id, lock.energy_mwh) for lock in locks] == [(NEAR, 7 * 10**8), (NEAR, 3 * 10**8)]
    (lock,) = only(LOCK, await all_of(agent, view(LEVEL3, residual(3 * line))))
    assert (lock.channel_id, lock.energy_mwh) == (FAR, line)
    (offer,) = only(OFFER, await all_of(microgrid(FakeChain()), view(LEVEL3, residual(-3 * line))))
    assert offer.energy_mwh == line


async def test_nothing_to_trade_is_no_message_to_the_main_grid() -> None:
    assert await all_of(microgrid(FakeChain()), view(LEVEL3, residual(999))) == []
    assert await all_of(microgrid(FakeChain()), view(LEVEL3, residual(-999))) == []


async def test_without_an_offer_of_the_grid_the_microgrid_asks_again_until_it_is_late() -> None:
    chain = FakeChain()
    agent = microgrid(chain)
    assert await all_of(agent, view(LEVEL3, residual(5_000))) == []
    chain.offers = [GRID_OFFER]
    assert await all_of(agent, view(START - 17_000, residual(5_000))) == []
    (lock,) = only(LOCK, await all_of(agent, view(START - 20_000, residual(5_000))))
    assert lock.energy_mwh == 5_000


async def test_lines_are_read_once_the_flows_are_known_in_the_direction_of_the_contracts() -> None:
    chain = FakeChain()
    chain.contracts[NEAR] = trade_query.QueryContractsResponse(
        seller=[trade.SellerContract(energy_mwh=100, state=trade.SELLER_STATE_ACTIVE)]
    )
    chain.contracts[FAR] = bought(trade.BUYER_STATE_COMMITTED, 500)
    agent = microgrid(chain, {CHAIN: -60, PEER: 90})
    seen = view(START + SLOT_MS + 500, slot(FIRST, market.SLOT_STATE_METERING))
    assert await all_of(agent, seen) == []  # the neighbour has not said what it contracted
    agent.flows.dispatch(FIRST, PEER, {(CHAIN, PEER): 100})
    readings = only(READING, await all_of(agent, seen))
    assert [(each.channel_id, each.total_mwh) for each in readings] == [(NEAR, 60), (FAR, 0)]
    assert await all_of(agent, seen) == []


async def test_a_silent_neighbour_is_not_waited_for_beyond_half_the_time() -> None:
    chain = FakeChain()
    chain.contracts[FAR] = bought(trade.BUYER_STATE_COMMITTED, 500)
    agent = microgrid(chain, {CHAIN: 430, PEER: 0})
    over = START + SLOT_MS
    assert await all_of(agent, view(over + 10_000, slot(FIRST, market.SLOT_STATE_SETTLING))) == []
    (reading,) = only(READING, await all_of(agent, view(over + 10_001, slot(FIRST, market.SLOT_STATE_SETTLING))))
    assert reading.total_mwh == 430


async def test_a_score_is_told_when_it_moved_and_both_sides_know_the_settlement() -> None:
    chain = FakeChain()
    score = trade.PeerScore(channel_id=NEAR, score_milli=600, contract_id=b"c" * 32)
    chain.scores = [score]
    agent, told = microgrid(chain), trade_tx.MsgPostReputation
    chain.contract.seller.confirmation = trade.CONFIRMATION_SENT
    assert await all_of(agent, view(LEVEL2, height=8)) == []
    chain.contract.seller.confirmation = trade.CONFIRMATION_CONFIRMED
    assert await all_of(agent, view(LEVEL2, height=9)) == []
    (message,) = only(told, await all_of(agent, view(LEVEL2, height=16)))
    assert (message.channel_id, message.contract_id) == (NEAR, b"c" * 32)
    score.told_contract_id, score.told_milli = b"b" * 32, 560
    assert await all_of(agent, view(LEVEL2, height=24)) == []
    score.told_milli = 550
    assert len(await all_of(agent, view(LEVEL2, height=32))) == 1


# The main grid's operator


async def test_the_operator_offers_each_slot_once_to_all_at_its_price() -> None:
    agent = operator(FakeChain(GRID))
    assert await all_of(agent, view(START - 52_000)) == []
    (offer,) = only(OFFER, await all_of(agent, view(START - 51_000)))
    assert (offer.slot, offer.price_e4, offer.level) == (FIRST, 70_000, 3)
    assert (list(offer.channels), offer.energy_mwh) == (["channel-1", "channel-3"], 2 * 10**9)
    assert await all_of(agent, view(START - 51_000)) == []
    offers = only(OFFER, await all_of(agent, view(START - 8_000)))
    assert [each.slot for each in offers] == [FIRST + 3]  # the two before it are too late, a fifth is not of the day


async def test_the_operator_locks_what_is_offered_at_the_feed_in_tariff_and_nothing_dearer() -> None:
    chain = FakeChain(GRID)
    chain.offers = [heard(b"a", 20_000, 6_000, level=3), heard(b"b", 20_001, 4_000, level=3), heard(b"c", 1, 0)]
    agent = operator(chain)
    agent.calendar = Calendar(first_slot=FIRST + 50, first_quarter=0)
    (lock,) = only(LOCK, await all_of(agent, view(START - 25_000)))
    assert (lock.offer_id[:1], lock.energy_mwh, lock.channel_id) == (b"a", 6_000, NEAR)
    assert await all_of(agent, view(START - 25_000)) == []
    late = operator(chain)
    late.calendar = agent.calendar
    assert await all_of(late, view(START - 18_000)) == []


async def test_the_operator_reads_the_same_lines_from_the_other_end() -> None:
    chain = FakeChain(GRID)
    sells = trade.SellerContract(energy_mwh=500, state=trade.SELLER_STATE_ACTIVE)
    chain.contracts["channel-1"] = trade_query.QueryContractsResponse(seller=[sells])
    chain.contracts["channel-3"] = bought(trade.BUYER_STATE_COMMITTED, 300)
    agent = operator(chain, {CHAIN: 430, PEER: -90})
    for number in range(FIRST, FIRST + 4):
        agent.offered.add(number)
    now = view(START + SLOT_MS + 500)
    assert await all_of(agent, now) == []
    for name in (CHAIN, PEER):
        agent.flows.dispatch(FIRST, name, {(PEER, CHAIN): 30})
    readings = only(READING, await all_of(agent, now))
    assert [(each.channel_id, each.total_mwh) for each in readings] == [("channel-1", 400), ("channel-3", 60)]
    assert await all_of(agent, now) == []


class NodeThatFails(FakeChain):
    """Has no answer to some of the questions for contracts, by their number."""

    def __init__(self, *failing: int) -> None:
        super().__init__()
        self.failing, self.asked = failing, 0

    async def query(self, path: str, request: Any, response: type[Message]) -> Message:
        self.asked += path.endswith("/Contracts")
        if path.endswith("/Contracts") and self.asked in self.failing:
            raise NodeError("query", "node", "no answer")
        return await super().query(path, request, response)


async def until_it_answers(agent: LevelsAgent, seen: MarketView, failures: int) -> list[Message]:
    """What is said in so many rounds that fail and one that does not."""
    said: list[Message] = []
    for _ in range(failures + 1):
        try:
            async for message in agent.act(seen):
                said.append(message)
        except NodeError:
            failures -= 1
    assert failures == 0
    return said


async def test_a_query_that_fails_loses_no_message() -> None:
    seen = view(LEVEL3, residual(-5_000), residual(-7_000, FIRST + 3))
    said = await until_it_answers(microgrid(NodeThatFails(1)), seen, 1)
    assert sorted((offer.slot, offer.level) for offer in only(OFFER, said)) == [(FIRST, 3), (FIRST + 3, 2)]


async def test_a_reading_is_posted_after_queries_that_failed() -> None:
    chain = NodeThatFails(1, 4)
    chain.contracts[FAR] = bought(trade.BUYER_STATE_COMMITTED, 500)
    agent = microgrid(chain, {CHAIN: 430, PEER: 0})
    agent.flows.dispatch(FIRST, PEER, {})
    seen = view(START + SLOT_MS + 500, slot(FIRST, market.SLOT_STATE_METERING))
    (reading,) = only(READING, await until_it_answers(agent, seen, 2))
    assert reading.total_mwh == 430
