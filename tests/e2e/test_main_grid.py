"""Level 3 on real chains: a microgrid sells to the main grid at the feed-in tariff and buys from it at its price.

The agents trade by themselves; what they did is worked out again by hand, to the unit and to the mWh.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bsmg.client.lane import FeePolicy
from bsmg.demo.assemble import contracts
from bsmg.demo.check import audited
from bsmg.demo.collect import ChainLog, follow
from bsmg.demo.scene import open_scene
from cosmos_wire.protos import coin, market, trade, transfer_tx
from tests.e2e.conftest import running
from tests.e2e.net import (
    GAS,
    LONG_MS,
    NS_PER_MS,
    PATIENCE,
    TRADE,
    TRANSFER,
    Net,
    Side,
    conserved,
    opened,
    quiet,
    until,
    voucher,
)
from tests.e2e.test_trade import ask, pools

pytestmark = pytest.mark.e2e
MICROGRID, GRID = "mga-1", "grid-1"
FIT, LMP, FEE = 20_000, 70_000, 2_500
TOPOLOGY = f"""
[[chain]]
id = "{MICROGRID}"
kind = "cometbft"
validators = 1
cells = 3
profile = "sunny"
gates = {{ window_min_ms = 60_000, {PATIENCE} }}
[[chain]]
id = "{GRID}"
kind = "cometbft"
role = "grid"
validators = 1
gates = {{ window_min_ms = 60_000, {PATIENCE} }}
market = {{ fit_e4 = {FIT}, cap_e4 = {LMP} }}
[[link]]
a = "{MICROGRID}"
b = "{GRID}"
[relayer]
clear_interval_s = 5
"""
QUARTER, SLOTS = 67, 4  # of the default day: a surplus turns into a shortage
BLOCKS = 180
UTILITY = "utility-cell"


@pytest.fixture(scope="module")
def grid_net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with running(tmp_path_factory.mktemp("grid"), TOPOLOGY, (MICROGRID, GRID)) as made:
        yield made


@asynccontextmanager
async def agents(net: Net) -> AsyncIterator[None]:
    """The agents of both chains, ended at the end."""
    options = ("--testnet", str(net.home.testnet), "--quarter", str(QUARTER), "--slots", str(SLOTS))
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "utility_cell.agents.run", *options)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def ended(side: Side) -> bool:
    """Whether the day is over: all slots closed, no contract open."""
    last = side.info.first_slot + SLOTS
    sold, bought = await contracts(side.client)
    open_sold = {trade.SELLER_STATE_RESERVED, trade.SELLER_STATE_ACTIVE}
    open_bought = {trade.BUYER_STATE_LOCKED, trade.BUYER_STATE_CONFIRMED, trade.BUYER_STATE_COMMITTED}
    done = not {c.state for c in sold} & open_sold and not {c.state for c in bought} & open_bought
    return done and await side.time_ms() > last * int(side.info.doc["slot_ms"]) + side.info.gates_ms["CLOSE"]


async def spent(side: Side, before: int) -> int:
    return before - await side.balance(side.address(UTILITY))


async def test_a_day_at_level_3_settles_to_the_unit(grid_net: Net) -> None:
    async with opened(grid_net) as (microgrid, grid):
        before = [await side.balance(side.address(UTILITY)) for side in (microgrid, grid)]
        async with agents(grid_net):
            for side in (microgrid, grid):
                await until(side.client, lambda side=side: ended(side), f"the day on {side.info.chain_id}", BLOCKS)
        await quiet(microgrid, grid, port=TRADE)
        purchases = await agreed(seller=grid, buyer=microgrid)
        sales = await agreed(seller=microgrid, buyer=grid)
        assert purchases
        assert sales
        bought, sold = sum(purchases.values()), sum(sales.values())
        assert bought > 0 < sold
        # Each chain's money: the buyer's utility cell pays price and fee, the seller has its pay there.
        assert await spent(microgrid, before[0]) == (LMP + FEE) * bought
        assert await spent(grid, before[1]) == (FIT + FEE) * sold
        assert await microgrid.balance(grid.address(UTILITY)) == LMP * bought
        assert await grid.balance(microgrid.address(UTILITY)) == FIT * sold
        for side, energy in ((microgrid, bought), (grid, sold)):
            held = await pools(side)
            assert held.pop("trade/fees") == FEE * energy
            assert set(held.values()) == {0}
        await energy_is_conserved(microgrid, purchases, sales)


async def agreed(*, seller: Side, buyer: Side) -> dict[int, int]:
    """Energy by slot of the contracts of one direction, which both chains ended alike."""
    sold = {bytes(c.lock.contract_id): c for c in (await contracts(seller.client))[0]}
    bought = {bytes(c.lock.contract_id): c for c in (await contracts(buyer.client))[1]}
    assert set(sold) == set(bought)
    found = {}
    for ident, mine in sold.items():
        theirs = bought[ident]
        assert (mine.state, theirs.state) == (trade.SELLER_STATE_SETTLED, trade.BUYER_STATE_SETTLED)
        assert (mine.level, mine.settlement, mine.collateral) == (3, theirs.settlement, "0")
        assert mine.settlement.export_mwh == mine.settlement.import_mwh
        found[mine.lock.slot] = mine.settlement.lo_mwh
    return found


async def energy_is_conserved(side: Side, purchases: dict[int, int], sales: dict[int, int]) -> None:
    """What the meters of the microgrid drew in a slot crossed the line to the main grid, in the direction of trade."""
    drawn = await metered(side)
    sold, bought = await contracts(side.client)
    for contract in sold:
        assert contract.settlement.export_mwh == max(0, -drawn[contract.lock.slot])
        assert sales[contract.lock.slot] == min(contract.energy_mwh, contract.settlement.export_mwh)
    for contract in bought:
        assert contract.settlement.import_mwh == max(0, drawn[contract.lock.slot])
        assert purchases[contract.lock.slot] == min(contract.energy_mwh, contract.settlement.import_mwh)


async def metered(side: Side) -> dict[int, int]:
    """Net energy of all cells by slot, from the settlement's statements."""
    log, total = ChainLog(chain_id=side.info.chain_id), defaultdict[int, int](int)
    await follow(side.client, log, (await side.client.head()).height)
    for seen in log.of("cell_settled"):
        statement = market.Statement.FromString(bytes.fromhex(seen.attributes["statement"]))
        total[statement.slot] += statement.import_mWh - statement.export_mWh
    return total


async def test_the_audit_agrees(grid_net: Net) -> None:
    async with open_scene(grid_net.home.testnet) as scene:
        found = await audited(scene.net)
    assert found.differences == ()
    assert found.checked["contracts"] > 0


async def test_the_main_grid_has_no_market_of_its_own(grid_net: Net) -> None:
    async with opened(grid_net) as (microgrid, grid):
        log = ChainLog(chain_id=GRID)
        await follow(grid.client, log, (await grid.client.head()).height)
        assert list(log.of("slot_opened")) == []
        (here,) = (await ask(microgrid, "Scores")).scores
        (there,) = (await ask(grid, "Scores")).scores
        assert here.contracts == there.contracts >= 2
        assert {here.HasField("heard"), there.HasField("heard")} == {True}


async def test_pay_goes_home_by_ics_20_and_vouchers_are_what_lies_in_escrow(grid_net: Net) -> None:
    """At level 3 the pay stays on the buyer's chain; the seller may take it home when it likes."""
    async with opened(grid_net) as (microgrid, grid):
        address = grid.address(UTILITY)
        pay = await microgrid.balance(address)
        lane = microgrid.client.lane_of(grid.info.account(UTILITY), FeePolicy(fixed_gas=GAS))
        message = transfer_tx.MsgTransfer(
            source_port=TRANSFER,
            source_channel=microgrid.channel(),
            token=coin.Coin(denom=microgrid.denom, amount=str(pay)),
            sender=address,
            receiver=address,
            timeout_timestamp=(await grid.time_ms() + LONG_MS) * NS_PER_MS,
        )
        assert (await lane.submit([message])).ok
        await quiet(microgrid, grid)
        assert await grid.balance(address, voucher(grid, microgrid.denom)) == pay
        assert await conserved(microgrid, grid)
        assert await conserved(grid, microgrid)


def test_the_topology_names_roles(grid_net: Net) -> None:
    docs = {info.chain_id: info.doc for info in grid_net.file.chains}
    assert (docs[MICROGRID]["role"], docs[GRID]["role"]) == ("microgrid", "grid")
    assert Path(docs[GRID]["genesis"]).exists()
    (operator,) = [account for account in grid_net.file.chain(GRID).accounts if account.identity]
    assert operator.identity == "dno@grid"
