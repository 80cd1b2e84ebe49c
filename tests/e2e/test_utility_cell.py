"""A utility cell that is absent, honest or lying, on a real chain of four validators: the same book three times.

Its absence costs welfare and nothing else; a lie is refused by code and leaves what absence leaves. `tests/energy/
test_absent_or_lying.py` has the rules one by one, on the state machine.

Contracts with other chains take a window of 60 s and a relayer, so they have their own tests: settled to the unit
between chains of four validators each (`test_trade.py`), and at level 3 (`test_main_grid.py`). That each ends in
SETTLED or REFUNDED by the chains' own clocks when a utility cell says nothing more is in `tests/trade`, on the same
handlers: `test_paths.py` (EQUIVALENCE never relayed, METER lost, both silent), `test_over_ibc.py` (a timeout refunds),
and every order of events in `test_model.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bsmg.client.lane import TxOutcome
from cosmos_wire.protos import Message, market, market_query, market_tx, meter_tx, registry, registry_tx
from tests.e2e.cells import FAUCET, MARKET, UTILITY, Order, Played, app_hashes, played
from tests.e2e.conftest import running
from tests.e2e.net import Net
from utility_cell.agents.physics import PhysicsAgent
from utility_cell.agents.view import read_market

pytestmark = pytest.mark.e2e
CHAIN = "star-1"
TOPOLOGY = f"""
[[chain]]
id = "{CHAIN}"
kind = "cometbft"
validators = 4
profile = "sunny"
cells = 3
slot_s = 4

[chain.gates]
window_min_ms = 24_000
BID = -850
CLEAR = -600
SECURE = -320
METER_CLOSE = 300
SETTLE = 330
CLOSE = 400
"""
SELLER, NEAR_BUYER, FAR_BUYER = "home-01", "home-02", "home-03"
SELLER_BUS, WEAK_BUS, STRONG_BUS = 2, 3, 4
WEAK_W, STRONG_W = 4_000, 40_000
ASK, BID = market.SIDE_ASK, market.SIDE_BID
BOOK: tuple[Order, ...] = (
    (NEAR_BUYER, BID, 60_000, 1_200_000),  # 4.8 kW over a branch that carries 4 kW
    (FAR_BUYER, BID, 50_000, 1_200_000),
    (SELLER, ASK, 40_000, 2_400_000),
)
PLEDGE = 10**16
FLOOR, CAP = 20_000, 80_000
MODEST_MWH = 4_000  # what an honest forecast says is drawn beside the orders
Caps = tuple[tuple[int, market.Side.ValueType, int], ...]
LIES: tuple[tuple[Caps, str], ...] = (
    (((WEAK_BUS, BID, 1_100_000),), "14"),  # not certified
    (((SELLER_BUS, ASK, 0), (WEAK_BUS, BID, 0), (STRONG_BUS, BID, 0)), "15"),  # nothing trades
    (((SELLER_BUS, ASK, 1_000_000),), "14"),  # all of it to the weak bus
    (((SELLER_BUS, ASK, 500_000), (WEAK_BUS, BID, 400_000)), "15"),
    ((), "14"),  # the clearing that was refused
)


def feeder() -> registry.Feeder:
    """Three buses around the root, one of them behind a branch that is too weak for its bid."""
    made = registry.Feeder(s_base_W=10_000, v0_permille=1000, vmin_permille=900, vmax_permille=1100)
    made.mode = registry.SECURITY_MODE_CHAIN
    for bus in (SELLER_BUS, WEAK_BUS, STRONG_BUS):
        power = WEAK_W if bus == WEAK_BUS else STRONG_W
        made.branches.add(from_bus=0, to_bus=bus, r_pu_q30=2**22, x_pu_q30=2**22, s_max_W=power)
    return made


@pytest.fixture(scope="module")
def star_net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with running(tmp_path_factory.mktemp("star"), TOPOLOGY, (CHAIN, CHAIN)) as made:
        yield made


@asynccontextmanager
async def prepared(net: Net) -> AsyncIterator[Played]:
    """The chain with its feeder in force and the collateral of its cells, before its first slot opens."""
    async with played(net, CHAIN) as chain:
        said = registry_tx.MsgSetFeeder(utility=chain.address(UTILITY), feeder=feeder())
        pledges = [(cell, market_tx.MsgDeposit(cell=chain.address(cell), amount=str(PLEDGE))) for cell in chain.cells]
        await asyncio.gather(chain.done(UTILITY, said), *(chain.done(cell, pledge) for cell, pledge in pledges))
        yield chain


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A slot's end."""

    record: market.Slot
    statements: dict[str, market.Statement]

    @property
    def worth(self) -> int:
        """Welfare of what was delivered, base units."""
        return int(self.record.clearing.welfare) * self.record.factor_permille // 1000


async def traded(chain: Played, slot: int) -> market.Slot:
    """The book's orders, and the clearing that the feeder refuses."""
    await chain.at(slot, market.SLOT_STATE_BIDDING)
    await chain.order(slot, BOOK)
    return await chain.at(slot, market.SLOT_STATE_RECLEAR)


async def ended(chain: Played, slot: int) -> Outcome:
    """The slot's way to its end, metered as scheduled."""
    await chain.at(slot, market.SLOT_STATE_METERING)
    await chain.reported(slot)
    record = await chain.at(slot, market.SLOT_STATE_CLOSED)
    return Outcome(record=record, statements=await chain.statements(slot))


# --- three utility cells ---------------------------------------------------------------------------------------------


async def absent(chain: Played, slot: int) -> Outcome:
    """Says nothing at all."""
    refused = await traded(chain, slot)
    secured = await chain.at(slot, market.SLOT_STATE_RESIDUAL)
    assert 0 < secured.factor_permille == refused.factor_permille < 1000
    return await ended(chain, slot)


async def honest(chain: Played, slot: int) -> Outcome:
    """Posts a forecast, the caps of its solver, and a dual of the result: marginal prices by bus."""
    await chain.at(slot, market.SLOT_STATE_FORECAST)
    await chain.done(UTILITY, forecast(chain, slot, MODEST_MWH))
    await traded(chain, slot)
    agent = PhysicsAgent(chain=chain.client, address=chain.address(UTILITY))
    caps, outcome = await posted(chain, agent, slot)
    assert isinstance(caps, market_tx.MsgProposeCaps)
    assert judged(outcome) == ["0"]
    await chain.at(slot, market.SLOT_STATE_RESIDUAL)
    dual, outcome = await posted(chain, agent, slot)
    assert isinstance(dual, market_tx.MsgPostOptimality)
    assert outcome.ok, outcome.log
    request, kind = market_query.QueryLmpsRequest(slot=slot), market_query.QueryLmpsResponse
    prices = {row.bus: row.price_e4 for row in (await chain.client.query(MARKET + "Lmps", request, kind)).buses}
    assert prices[STRONG_BUS] < prices[WEAK_BUS]
    return await ended(chain, slot)


async def posted(chain: Played, agent: PhysicsAgent, slot: int) -> tuple[Message, TxOutcome]:
    """The first thing that the agent has to say about a slot, said."""
    view = await read_market(chain.client, await chain.client.head())
    message = await anext(agent.messages(replace(view, slots={slot: view.slots[slot]})))
    return message, await chain.send(UTILITY, message)


async def lying(chain: Played, slot: int) -> Outcome:
    """Lies wherever it may speak; each lie is refused by code."""
    await chain.at(slot, market.SLOT_STATE_FORECAST)
    ten_times = 10 * WEAK_W * 250  # in a slot
    assert await chain.refused(UTILITY, forecast(chain, slot, ten_times)) == ("market", 33)
    await traded(chain, slot)
    tries = [caps(chain, slot, attempt, lie) for attempt, (lie, _) in enumerate(LIES, start=1)]
    codes = [judged(outcome) for outcome in await asyncio.gather(*(chain.done(UTILITY, one) for one in tries))]
    assert codes == [[code] for _, code in LIES]
    more = [chain.refused(UTILITY, caps(chain, slot, attempt, ())) for attempt in (len(LIES) + 1, len(LIES))]
    assert await asyncio.gather(*more) == [("market", 12)] * 2
    assert await chain.refused(FAUCET, caps(chain, slot, 1, (), FAUCET)) == ("market", 4)
    await chain.at(slot, market.SLOT_STATE_RESIDUAL)
    dual, outcome = await posted(chain, PhysicsAgent(chain=chain.client, address=chain.address(UTILITY)), slot)
    assert isinstance(dual, market_tx.MsgPostOptimality)
    assert (outcome.codespace, outcome.code) == ("market", 14)  # of a schedule that was cut: no bound is near it
    dual.dual.p[:] = [value * 3 // 2 for value in dual.dual.p]
    assert await chain.refused(UTILITY, dual) == ("market", 14)
    await chain.at(slot, market.SLOT_STATE_METERING)
    await chain.reported(slot)
    assert await chain.refused(UTILITY, estimate(chain, slot, 1_000_000)) == ("meter", 7)
    return await ended(chain, slot)


def forecast(chain: Played, slot: int, energy_mWh: int) -> market_tx.MsgPostForecast:
    """So much is drawn at the weak bus beside its orders."""
    bus = market_tx.BusBaseline(bus=WEAK_BUS, p_mWh=energy_mWh)
    return market_tx.MsgPostForecast(utility=chain.address(UTILITY), slot=slot, floor_e4=FLOOR, cap_e4=CAP, buses=[bus])


def caps(chain: Played, slot: int, attempt: int, rows: Caps, sender: str = UTILITY) -> market_tx.MsgProposeCaps:
    made = [market_tx.BusCap(bus=bus, side=side, cap_mWh=cap) for bus, side, cap in rows]
    return market_tx.MsgProposeCaps(utility=chain.address(sender), slot=slot, attempt=attempt, caps=made)


def estimate(chain: Played, slot: int, energy_mWh: int) -> meter_tx.MsgPostEstimate:
    """For the near buyer's meter."""
    wrong = meter_tx.Estimate(device=chain.device(NEAR_BUYER), net_mWh=energy_mWh)
    return meter_tx.MsgPostEstimate(utility=chain.address(UTILITY), slot=slot, estimates=[wrong])


def judged(outcome: TxOutcome) -> list[str]:
    """What the chain said of the caps in a transaction."""
    return [dict(event.attributes)["code"] for event in outcome.events if event.type == "caps_judged"]


# --- what became of it -----------------------------------------------------------------------------------------------


async def lived(chain: Played) -> tuple[Outcome, Outcome, Outcome]:
    """Three slots in a row, with the absent, the lying and the honest one."""
    live = (await read_market(chain.client, await chain.client.head())).slots
    first = max(chain.info.first_slot, max(live, default=0) + 1)
    async with asyncio.TaskGroup() as group:
        alone = group.create_task(absent(chain, first))
        lied = group.create_task(lying(chain, first + 1))
        helped = group.create_task(honest(chain, first + 2))
    return alone.result(), lied.result(), helped.result()


async def test_absence_costs_welfare_and_lies_leave_what_absence_leaves(star_net: Net) -> None:
    async with prepared(star_net) as chain:
        genesis = minted(chain)
        alone, lied, helped = await lived(chain)
        assert 0 < alone.worth < helped.worth
        for outcome in (alone, lied, helped):
            closed_and_fair(chain, outcome)
        assert lied.record.clearing == alone.record.clearing
        assert lied.record.factor_permille == alone.record.factor_permille < helped.record.factor_permille == 1000
        for cell, statement in alone.statements.items():
            assert told(lied.statements[cell]) == told(statement)
        assert (await chain.supply(), await chain.held()) == (genesis, genesis)
        height = (await chain.client.head()).height
        hashes = await app_hashes(chain.info, height)
        assert hashes == [hashes[0]] * 4


def closed_and_fair(chain: Played, outcome: Outcome) -> None:
    """Closed with a price that every limit bears; who did as scheduled pays no penalty, and energy is conserved."""
    record, clearing = outcome.record, outcome.record.clearing
    assert (record.state, record.voided, record.baseline_inherited) == (market.SLOT_STATE_CLOSED, False, False)
    assert record.root
    assert 40_000 <= clearing.lower_e4 <= clearing.price_e4 <= clearing.upper_e4 <= 50_000
    assert sorted(outcome.statements) == sorted(chain.address(cell) for cell in chain.cells)
    for said in outcome.statements.values():
        assert (said.price_e4, said.estimated, said.penalty, said.imbalance) == (clearing.price_e4, False, "0", "0")
        assert not said.arrears or said.arrears == "0"
        assert said.import_mWh - said.export_mWh == (
            said.bought_mWh + said.grid_bought_mWh - said.sold_mWh - said.grid_sold_mWh
        )
    assert sum(said.bought_mWh - said.sold_mWh for said in outcome.statements.values()) == 0


def told(statement: market.Statement) -> market.Statement:
    """A statement without the number of its slot, and the score, which remembers the slots before."""
    made = market.Statement()
    made.CopyFrom(statement)
    made.slot = made.score_permille = 0
    return made


def minted(chain: Played) -> int:
    """All that genesis gave out of the chain's own token."""
    state = json.loads(Path(chain.info.genesis).read_text(encoding="utf-8"))["app_state"]
    coins = [coin for row in state["bank"]["balances"] for coin in row["coins"]]
    return sum(int(coin["amount"]) for coin in coins if coin["denom"] == chain.info.denom)
