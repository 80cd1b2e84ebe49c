"""The utility cell's physics against a chain in memory: what it proposes is adopted, what it posts is certified."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from bsmg.client.errors import NodeTimeout, QueryRefused
from bsmg.client.feed import Head
from cosmos_wire.errors import ChainError
from cosmos_wire.protos import Message, market, market_query, registry
from energy.registry import state as registered
from physics.feeders import sce56
from tests.energy.chain import ASK, BID, UTILITY, Chain
from tests.grid.test_on_chain import RECLEAR, RESIDUAL, SECURED, STRONG_W, bidding, cleared, star
from utility_cell.agents.physics import PhysicsAgent
from utility_cell.agents.view import MarketView

TIGHT = ((2, BID, 60_000, 1_200_000), (3, BID, 50_000, 1_200_000), (1, ASK, 40_000, 2_400_000))
LOOSE = ((2, BID, 60_000, 900_000), (3, BID, 55_000, 400_000), (1, ASK, 40_000, 1_300_000))


class Client:
    """Queries of a chain in memory, as the client library would send them."""

    chain_id = "mga-1"

    def __init__(self, chain: Chain) -> None:
        self.chain, self.asked = chain, list[str]()

    async def query(self, path: str, request: Message, _response: type[Message]) -> Any:
        self.asked.append(path.rpartition("/")[2])
        try:
            return self.chain.query(request)
        except ChainError as error:
            raise QueryRefused(path, "memory", error.code, str(error)) from error


def agent_of(chain: Chain) -> PhysicsAgent:
    return PhysicsAgent(chain=Client(chain), address=UTILITY)  # type: ignore[arg-type]  # a fake with `query`


def view(chain: Chain) -> MarketView:
    live = chain.query(market_query.QuerySlotsRequest(live=True)).slots
    head = Head(height=chain.height, time_ns=chain.now_ms * 1_000_000)
    return MarketView(head=head, slots={slot.slot: slot for slot in live})


async def act(agent: PhysicsAgent, chain: Chain) -> list[Message]:
    sent = [message async for message in agent.messages(view(chain))]
    for message in sent:
        chain.deliver(message)
    return sent


async def test_the_best_caps_are_adopted_at_the_first_try_and_priced_then() -> None:
    chain = Chain()
    slot = bidding(chain, star())
    agent = agent_of(chain)
    assert cleared(chain, slot, *TIGHT).state == RECLEAR
    (proposal,) = await act(agent, chain)
    assert proposal.attempt == 1
    record = chain.slot(slot)
    assert record.factor_permille == 1000
    assert [item["code"] for item in chain.events_of("caps_judged")] == ["0"]
    # bus 2 gets what 4 kW carry, bus 3 all: 20 x 1 kWh + 10 x 1.2 kWh of welfare, to 1 %
    assert int(record.clearing.welfare) >= 0.99 * (20_000 * 1_000_000 + 10_000 * 1_200_000)
    assert await act(agent, chain) == []
    chain.until(slot, RESIDUAL, 200)
    assert [type(message).__name__ for message in await act(agent, chain)] == ["MsgPostOptimality"]
    assert len(chain.events_of("lmp_certified")) == 1
    assert await act(agent, chain) == []


async def test_a_secured_slot_is_priced_and_not_capped() -> None:
    chain = Chain()
    slot = bidding(chain, star())
    agent = agent_of(chain)
    assert cleared(chain, slot, *LOOSE).state == SECURED
    assert [type(message).__name__ for message in await act(agent, chain)] == ["MsgPostOptimality"]
    assert len(chain.query(market_query.QueryLmpsRequest(slot=slot)).buses) == 4


async def test_a_refused_proposal_is_followed_by_a_tighter_one() -> None:
    """The agent's first caps never reach the chain whole: something halves what it read of the book."""
    chain = Chain()
    slot = bidding(chain, star())
    agent = agent_of(chain)
    cleared(chain, slot, *TIGHT)
    first = [message async for message in agent.messages(view(chain))]
    assert [message async for message in agent.messages(view(chain))] == []  # waits for the block that judges it
    for cap in first[0].caps:
        cap.cap_mWh *= 2
    chain.deliver(first[0])
    chain.height += 2
    (second,) = [message async for message in agent.messages(view(chain))]
    assert second.attempt == 2
    chain.deliver(second)
    assert [item["code"] for item in chain.events_of("caps_judged")] == ["14", "0"]


async def test_without_a_checked_feeder_nothing_is_sent() -> None:
    chain = Chain()
    slot = bidding(chain, None)
    agent = agent_of(chain)
    cleared(chain, slot, *LOOSE)
    assert await act(agent, chain) == []
    assert set(agent.chain.asked) == {"Feeder"}


async def test_nothing_is_said_of_an_empty_book() -> None:
    chain = Chain()
    slot = bidding(chain, star())
    agent = agent_of(chain)
    chain.until(slot, SECURED, 200)
    assert await act(agent, chain) == []


def small_sce56() -> registry.Feeder:
    """The 56-bus feeder at a hundredth of its power: cells of 10 kW weigh as 1 MW there."""
    feeder = sce56(980, 1020).feeder
    feeder.mode = registry.SECURITY_MODE_CHAIN
    feeder.s_base_W //= 100
    for branch in feeder.branches:
        branch.s_max_W //= 100
    return feeder


@pytest.mark.parametrize("seed", [1, 3, 4, 5])
async def test_on_the_56_bus_feeder_with_firm_orders(seed: int) -> None:
    """Fifty-six cells, half of the bids firm: caps are adopted at the first try, and certified prices follow."""
    random, chain = Random(seed), Chain(cells=56)
    slot = bidding(chain, small_sce56())
    for number in range(2, 57):
        seller = random.random() < 0.3
        price = random.randrange(20_000, 50_000) if seller else random.randrange(40_000, 80_000)
        most = 2_400_000 if seller else 500_000
        message = chain.place(number, slot, ASK if seller else BID, price, random.randrange(most // 4, most))
        message.kind = market.ORDER_KIND_FIRM if not seller and number % 2 else market.ORDER_KIND_FLEXIBLE
        chain.deliver(message)
    record, agent = cleared(chain, slot), agent_of(chain)
    assert record.state == RECLEAR
    free, best = int(record.clearing.welfare), int(record.clearing.welfare) * record.factor_permille // 1000
    await act(agent, chain)
    assert [item["code"] for item in chain.events_of("caps_judged")] == ["0"]
    record = chain.slot(slot)
    assert best < int(record.clearing.welfare) <= free
    chain.until(slot, RESIDUAL, 200)
    await act(agent, chain)
    prices = chain.query(market_query.QueryLmpsRequest(slot=slot))
    assert (len(prices.buses), int(prices.head.gap) <= int(prices.head.tau)) == (56, True)


async def test_set_points_come_with_the_caps_where_inverters_are_registered() -> None:
    """Bus 2 droops when it draws; its own inverter's reactive power lets the whole book trade."""
    chain = Chain()
    cell = registered.cell(chain.ctx(), 2)
    cell.inverter_VA = 2_000
    registered.save_cell(chain.ctx(), cell)
    feeder = star(vmin_permille=999)
    feeder.branches[1].s_max_W = STRONG_W
    slot = bidding(chain, feeder)
    book = (2, BID, 60_000, 900_000), (1, ASK, 40_000, 900_000)
    assert cleared(chain, slot, *book).state == RECLEAR
    plain, helped = await act(agent_of(chain), chain)
    assert (plain.attempt, list(plain.q), helped.attempt) == (1, [], 2)
    assert [(point.bus, point.q_mvarh < 0) for point in helped.q] == [(2, True)]
    assert chain.events_of("caps_judged")[-1]["code"] == "0"
    assert chain.slot(slot).clearing.volume_mWh == 900_000
    assert chain.slot(slot).factor_permille == 1000


async def test_a_node_that_is_away_is_asked_again() -> None:
    chain = Chain()
    slot = bidding(chain, star())
    agent = agent_of(chain)
    assert cleared(chain, slot, *LOOSE).state == SECURED
    client, agent.chain = agent.chain, Away()  # type: ignore[assignment]  # a fake with `query`
    with pytest.raises(NodeTimeout):
        await act(agent, chain)
    agent.chain = client
    assert [type(message).__name__ for message in await act(agent, chain)] == ["MsgPostOptimality"]


class Away:
    """A node that doesn't answer."""

    chain_id = "mga-1"

    async def query(self, path: str, _request: Message, _response: type[Message]) -> Any:
        raise NodeTimeout("query", "memory", path)
