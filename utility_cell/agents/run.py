"""Runs the agents of every microgrid of a testnet until told to stop.

    python -m utility_cell.agents.run --testnet FILE [--day 2016-04-26] [--quarter 0] [--slots 96] [--seed 1]

One line of log for what was refused; SIGTERM ends it cleanly.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from bsmg.client.chain import ChainClient
from bsmg.client.errors import NodeError, QueryRefused, TxError
from bsmg.client.lane import Lane
from bsmg.client.testnet_file import load_testnet
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Message, market, market_query, market_tx, meter_tx, registry_query
from energy.market.orders import collateral_required
from utility_cell.agents.cell import CellAgent
from utility_cell.agents.concentrator import batches, by_slot
from utility_cell.agents.estimation import EstimationAgent
from utility_cell.agents.microgrid import Day, Meters, Microgrid, dump_settings, flows_of, make_microgrid
from utility_cell.agents.physics import PhysicsAgent
from utility_cell.agents.view import MarketView, read_market, read_orders, read_schedule, read_totals
from utility_cell.devices import Allowed
from utility_cell.forecast import Forecaster
from utility_cell.profiles import first_quarter, load_profiles

log = logging.getLogger("agents")
DEFAULT_DAY = date(2016, 4, 26)  # sun at noon, wind at night: trades both ways
SUBMIT_TRIES = 3
SCHEDULED_STATES = (  # from SECURE on the schedule stays as it is
    market.SLOT_STATE_RESIDUAL,
    market.SLOT_STATE_SEALED,
    market.SLOT_STATE_DELIVERING,
    market.SLOT_STATE_METERING,
)


class Runner:
    """Submits what agents decide; `outcomes` counts codes by message."""

    def __init__(self, grid: Microgrid) -> None:
        self.grid = grid
        self.physics = PhysicsAgent(chain=grid.chain, address=grid.utility_lane.address)
        self.estimation: EstimationAgent | None = None  # once it runs
        self.learned: set[int] = set()
        self.outcomes: Counter[tuple[str, str, int]] = Counter()
        self.tasks: set[asyncio.Task[object]] = set()

    def start(self, lane: Lane, messages: Iterable[Message]) -> None:
        """Each message as a transaction of its own: one that is refused takes no other with it."""
        for message in messages:
            self._begin(self._submit(lane, message))

    def _begin(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _submit(self, lane: Lane, message: Message) -> bool:
        """Whether a block took it."""
        name = message.DESCRIPTOR.name
        for attempt in range(1, SUBMIT_TRIES + 1):
            try:
                outcome = await lane.submit([message])
            except TxError as error:
                log.warning("%s %s: %s", self.grid.chain.chain_id, name, error)
                return False
            except NodeError as error:
                log.warning("%s %s, attempt %d: %s", self.grid.chain.chain_id, name, attempt, error)
                continue
            self.outcomes[name, outcome.codespace, outcome.code] += 1
            if outcome.code:
                log.warning("%s %s refused: %s", self.grid.chain.chain_id, name, outcome.log)
            return outcome.ok
        return False

    async def prepare(self) -> None:
        """Collateral of every cell, and the totals that the chain knows of its meter."""
        await asyncio.gather(*(self._prepare_cell(agent, lane) for agent, lane in self.grid.cells))

    async def _prepare_cell(self, agent: CellAgent, lane: Lane) -> None:
        chain = self.grid.chain
        agent.meter.import_mWh, agent.meter.export_mWh = await read_totals(chain, agent.identity.device)
        await self._recall(agent)
        request = registry_query.QueryCellRequest(cell=lane.address)
        cell = (await chain.query("/bsmg.registry.v1.Query/Cell", request, registry_query.QueryCellResponse)).cell
        params = await chain.query(
            "/bsmg.market.v1.Query/Params", market_query.QueryParamsRequest(), market_query.QueryParamsResponse
        )
        missing = 2 * collateral_required(params.params, cell) - int(cell.collateral or 0)
        if missing > 0:  # twice what is asked for: penalties are paid from it
            outcome = await lane.submit([market_tx.MsgDeposit(cell=lane.address, amount=str(missing))])
            if not outcome.ok:
                raise ToolError(f"collateral of {cell.id}: expected the deposit to be taken, got {outcome.log}")

    async def _recall(self, agent: CellAgent) -> None:
        """What an earlier run has done: a slot gets no second order, and a slot under way no second reading."""
        chain = self.grid.chain
        view = await read_market(chain, await chain.head())
        agent.metered |= {slot.slot for slot in view.in_state(market.SLOT_STATE_METERING)}
        for slot in view.in_state(market.SLOT_STATE_BIDDING):
            if await read_orders(chain, agent.identity.address, slot.slot):
                agent.ordered.add(slot.slot)

    async def learn(self, view: MarketView) -> None:
        """The schedule of each slot that has one for good, once, to all cells: one query a slot."""
        for slot in view.in_state(*SCHEDULED_STATES):
            if slot.slot in self.learned or not self.grid.utility.calendar.covers(slot.slot):
                continue
            try:
                allowed = await read_schedule(self.grid.chain, slot.slot)
            except QueryRefused as error:
                log.warning("%s schedule of slot %d: %s", self.grid.chain.chain_id, slot.slot, error)
                allowed = {}
            self.learned.add(slot.slot)
            for agent, lane in self.grid.cells:
                agent.learn(slot.slot, allowed.get(lane.address, Allowed()))

    def meter(self, view: MarketView) -> None:
        """The readings of all cells, by the concentrator."""
        readings = [(reading, lane) for agent, lane in self.grid.cells for reading in agent.readings(view)]
        lanes = {reading.device: lane for reading, lane in readings}
        utility = self.grid.utility_lane
        for batch in batches(utility.address, [reading for reading, _ in readings]):
            self._begin(self._deliver(batch, lanes))
        for slot, group in by_slot([reading for reading, _ in readings]).items():
            self._begin(self._estimate(slot, group))

    async def _estimate(self, slot: int, readings: Sequence[meter_tx.Reading]) -> None:
        """The state estimation of a slot, behind its readings."""
        try:
            message = None if self.estimation is None else await self.estimation.message(slot, readings)
        except ToolError as error:
            log.warning("%s estimation of slot %d: %s", self.grid.chain.chain_id, slot, error)
            return
        if message is not None:
            await self._submit(self.grid.utility_lane, message)

    async def _deliver(self, batch: meter_tx.MsgSubmitReadings, lanes: Mapping[str, Lane]) -> None:
        """A batch as one transaction; when no block takes it, every cell sends its own reading."""
        if await self._submit(self.grid.utility_lane, batch):
            return
        for reading in batch.readings:
            lane = lanes[reading.device]
            self.start(lane, [meter_tx.MsgSubmitReadings(sender=lane.address, readings=[reading])])

    async def act(self, view: MarketView) -> None:
        """One round of all agents on one block."""
        await self.learn(view)
        for agent, lane in self.grid.cells:
            self.start(lane, agent.orders(view))
        self.meter(view)
        utility, lane = self.grid.utility, self.grid.utility_lane
        self.start(lane, utility.forecasts(view))
        self._begin(self._physics(view))
        async for message in self.grid.levels.act(view):
            self.start(lane, [message])

    async def _physics(self, view: MarketView) -> None:
        """Solvers take their time: what they find is sent when it is there."""
        try:
            async for message in self.physics.messages(view):
                self.start(self.grid.utility_lane, [message])
        except ToolError as error:
            log.warning("%s physics at block %d: %s", self.grid.chain.chain_id, view.head.height, error)

    async def run(self) -> None:
        """Act on every block until cancelled; a node that is away is waited for."""
        self.grid.utility.marginal_e4 = lambda: self.physics.highest_e4
        self.estimation = EstimationAgent(
            chain=self.grid.chain,
            address=self.grid.utility_lane.address,
            cells=[agent for agent, _ in self.grid.cells],
            capacitors=self.grid.utility.capacitors(),
        )
        feed = self.grid.chain.feed
        head = await self.grid.chain.head()
        while True:
            try:
                await self.act(await read_market(self.grid.chain, head))
            except ToolError as error:
                log.warning("%s at block %d: %s", self.grid.chain.chain_id, head.height, error)
            head = await feed.wait_above(head.height)


async def run(testnet: Path, day: Day) -> None:
    """Agents of every chain of the testnet."""
    net = load_testnet(testnet)
    # Agents use the chain's second node where there is one: the first is what people watch.
    clients = [ChainClient.of(info, min(1, len(info.nodes) - 1)) for info in net.chains]
    try:
        for client in clients:
            await client.connect()
        meters = Meters()
        flows, chains = flows_of(net, meters), zip(net.chains, clients, strict=True)
        grids = [make_microgrid(net, info, client, day, flows) for info, client in chains]
        meters.watch(grids)
        runners = [Runner(grid) for grid in grids]
        await asyncio.gather(*(runner.prepare() for runner in runners))
        log.info("ready: %d chains, %s", len(runners), dump_settings(day))
        await asyncio.gather(*(runner.run() for runner in runners))
    finally:
        await asyncio.gather(*(client.close() for client in clients))


async def _until_told(testnet: Path, day: Day) -> None:
    task = asyncio.create_task(run(testnet, day))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, got {text!r}")
    return int(text)


def main() -> None:
    """Parse the flags and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--testnet", type=Path, required=True)
    parser.add_argument("--day", type=date.fromisoformat, default=DEFAULT_DAY)
    parser.add_argument("--quarter", type=int, default=0, help="quarter hour of the day that the first slot stands for")
    parser.add_argument("--slots", type=_count, default=0, help="how many slots are traded; 0: no end")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        start = first_quarter(options.day, options.quarter, options.slots)
    except ToolError as error:
        parser.error(str(error))
    profiles = load_profiles()
    day = Day(
        profiles=profiles,
        first_quarter=start,
        seed=options.seed,
        slots=options.slots,
        forecaster=Forecaster(profiles=profiles),
    )
    asyncio.run(_until_told(options.testnet, day))


if __name__ == "__main__":
    main()
