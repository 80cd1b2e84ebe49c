"""The utility cell's physics: caps when the feeder refuses a clearing, marginal prices with their dual.

Nothing here is believed by the chain. Solvers run on one worker thread, so that a round of agents isn't held up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from bsmg.client.chain import ChainClient
from bsmg.client.errors import QueryRefused
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Message, market, market_query, market_tx, pagination, registry, registry_query
from energy.grid.network import network_of
from energy.grid.optimality import Dual, lower_bound
from energy.grid.schedule import BusEnergy
from energy.grid.welfare import auction_problem
from energy.market import keys
from energy.market.clearing import BookOrder
from energy.market.inverters import left_mvarh
from energy.market.prices import loss_price_e4, write_dual
from energy.market.state import rules_of
from energy.units import PERMILLE
from physics.caps import Book, CapSearch, Found, offers_of
from physics.errors import DispatchError
from physics.opf import Opf
from utility_cell.agents.view import MarketView

log = logging.getLogger("agents")
R = TypeVar("R")
PRICED_STATES = (
    market.SLOT_STATE_SECURED,
    market.SLOT_STATE_RESIDUAL,
    market.SLOT_STATE_SEALED,
    market.SLOT_STATE_DELIVERING,
)
PAGE = 1_000
ROUNDS_MAX = 3  # searches a slot, each with tighter limits than the one before
MARKET, REGISTRY = "/bsmg.market.v1.Query/", "/bsmg.registry.v1.Query/"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFacts:
    """What the registry says of a cell that its orders' physics depends on."""

    number: int
    tan_phi_permille: int
    bus: int
    inverter_VA: int


@dataclass(slots=True, kw_only=True)
class CapWork:
    """How far a slot's caps are: searches done, proposals made, the height at which the last search began."""

    rounds: int = 0
    proposals: int = 0
    height: int = -2
    busy: bool = False


@dataclass(slots=True, kw_only=True)
class PhysicsAgent:
    """Decides what one microgrid's utility cell proposes and posts; each slot's work is done once a state."""

    chain: ChainClient
    address: str
    search: CapSearch = field(default_factory=CapSearch)
    solvers: tuple[Opf, ...] = field(default_factory=lambda: (Opf(), Opf(gan=False)))
    cells: dict[str, CellFacts] = field(default_factory=dict)
    work: dict[int, CapWork] = field(default_factory=dict)  # by slot
    priced: set[int] = field(default_factory=set)
    highest_e4: int | None = None  # marginal price of the last slot that has certified ones
    worker: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(max_workers=1))

    async def messages(self, view: MarketView) -> AsyncIterator[Message]:
        """What there is to send on a block; first what gates wait for."""
        async for proposal in self.proposals(view):
            yield proposal
        async for prices in self.prices(view):
            yield prices

    # Caps

    async def proposals(self, view: MarketView) -> AsyncIterator[market_tx.MsgProposeCaps]:
        """The best caps for each slot that the feeder refused; tighter ones when the chain didn't take the last."""
        for slot in view.in_state(market.SLOT_STATE_RECLEAR):
            work = self.work.setdefault(slot.slot, CapWork())
            if work.busy or view.head.height <= work.height + 1 or taken(slot) or not slot.orders:
                continue
            work.busy, work.height = True, view.head.height
            try:
                async for found in self._round(slot, work):
                    if work.proposals < slot.params.max_reclear:
                        work.proposals += 1
                        log.info("%s slot %d: caps worth %.4f of the best", self.chain.chain_id, slot.slot, found.share)
                        yield self._proposal(slot.slot, work.proposals, found)
            finally:
                work.busy, work.rounds = False, work.rounds + 1

    async def _round(self, slot: market.Slot, work: CapWork) -> AsyncIterator[Found]:
        if work.rounds >= ROUNDS_MAX or work.proposals >= slot.params.max_reclear:
            return
        book = await self._book(slot)
        if book is not None:
            async for found in self._found(book, work.rounds):
                yield found

    async def _found(self, book: Book, tries: int) -> AsyncIterator[Found]:
        """Caps alone, for the gate may be near; then with set-points of inverters, when they are worth more."""
        plain = await self._run(self.search.search, replace(book, inverters={}), tries)
        if plain is None:
            log.warning("%s: no caps alone that the feeder bears", self.chain.chain_id)
        else:
            yield plain
        helped = await self._run(self.search.search, book, tries) if book.inverters else None
        if helped is not None and helped.set_points and (plain is None or helped.welfare > plain.welfare):
            yield helped

    def _proposal(self, slot: int, attempt: int, found: Found) -> market_tx.MsgProposeCaps:
        made = market_tx.MsgProposeCaps(utility=self.address, slot=slot, attempt=attempt)
        made.q.extend(market_tx.BusQ(bus=bus, q_mvarh=q) for bus, q in sorted(found.set_points.items()))
        for (bus, side), cap_mWh in sorted(found.caps.items()):
            made.caps.append(market_tx.BusCap(bus=bus, side=market.Side.ValueType(side), cap_mWh=cap_mWh))
        return made

    # Prices

    async def prices(self, view: MarketView) -> AsyncIterator[market_tx.MsgPostOptimality]:
        """The dual of each slot whose schedule is final, once; certified prices of the slot before are remembered."""
        for slot in view.in_state(*PRICED_STATES):
            if slot.slot in self.priced or slot.voided:
                continue
            self.priced.add(slot.slot)
            try:
                dual = await self._priced(slot)
            except ToolError:
                self.priced.discard(slot.slot)  # the node is away: on the next block again
                raise
            if dual is not None:
                yield market_tx.MsgPostOptimality(utility=self.address, slot=slot.slot, dual=dual)

    async def _priced(self, slot: market.Slot) -> market_tx.Multipliers | None:
        book = await self._book(slot)
        if book is None:
            return None
        await self._remember(slot.slot - 1)
        return await self._run(self._dual, book)

    async def _remember(self, slot: int) -> None:
        """The chain's word, not the solver's: what isn't certified bounds nothing."""
        if slot in self.priced:
            request = market_query.QueryLmpsRequest(slot=slot)
            answer = await self.chain.query(MARKET + "Lmps", request, market_query.QueryLmpsResponse)
            self.highest_e4 = max((row.price_e4 for row in answer.buses), default=self.highest_e4)

    def _dual(self, book: Book) -> market_tx.Multipliers | None:
        """The tighter of two: Gan's constraint costs something where export meets a voltage limit."""
        problem, _ = auction_problem(book.net, book.base, offers_of(book), book.loss_price_e4)
        found: list[Dual] = []
        for solver in self.solvers if problem.blocks else ():
            try:
                found.append(solver.solve(problem).dual)
            except DispatchError as error:
                log.warning("%s: no marginal prices: %s", self.chain.chain_id, error)
        return write_dual(max(found, key=lambda dual: lower_bound(problem, dual))) if found else None

    async def _run(self, work: Callable[..., R], *arguments: object) -> R:
        return await asyncio.get_running_loop().run_in_executor(self.worker, partial(work, *arguments))

    async def _book(self, slot: market.Slot) -> Book | None:
        """A slot's book on the feeder in force; None where the chain certifies nothing by itself."""
        feeder = await read_feeder(self.chain)
        if feeder is None or feeder.mode != registry.SECURITY_MODE_CHAIN:
            return None
        orders = await read_book(self.chain, slot.slot)
        if any(order.cell not in self.cells for order in orders):
            self.cells = await read_cells(self.chain)
        asked: dict[str, int] = {}
        for order in orders:
            if order.side == market.SIDE_ASK:
                asked[order.cell] = asked.get(order.cell, 0) + order.quantity_mWh
        return Book(
            inverters=self._inverters(asked),
            net=network_of(feeder),
            base=await read_baselines(self.chain, slot.slot),
            orders=tuple(book_order(order, self.cells[order.cell].number) for order in orders),
            tangents={facts.number: facts.tan_phi_permille for facts in self.cells.values()},
            rules=rules_of(slot),
            loss_price_e4=loss_price_e4(slot),
        )

    def _inverters(self, asked: Mapping[str, int]) -> dict[int, int]:
        """What the inverters of each bus have left beside what their cells ask to feed in."""
        left: dict[int, int] = {}
        for address, cell in self.cells.items():
            if cell.inverter_VA:
                left[cell.bus] = left.get(cell.bus, 0) + left_mvarh(cell.inverter_VA, asked.get(address, 0))
        return left


def taken(slot: market.Slot) -> bool:
    """Whether caps were adopted: then the schedule is certified whole."""
    return slot.factor_permille == PERMILLE


def book_order(order: market.Order, cell: int) -> BookOrder:
    """An order as the chain clears it."""
    side = keys.BID if order.side == market.SIDE_BID else keys.ASK
    return BookOrder(side, order.price_e4, order.seq, cell, order.bus, order.quantity_mWh, order.kind)


async def read_feeder(chain: ChainClient) -> registry.Feeder | None:
    """The feeder in force, None when there is none."""
    try:
        answer = await chain.query(
            REGISTRY + "Feeder", registry_query.QueryFeederRequest(), registry_query.QueryFeederResponse
        )
    except QueryRefused:
        return None
    return answer.feeder


async def read_book(chain: ChainClient, slot: int) -> list[market.Order]:
    """Both sides of a slot's book."""
    found: list[market.Order] = []
    for side in (market.SIDE_BID, market.SIDE_ASK):
        page = pagination.PageRequest(limit=PAGE)
        while True:
            request = market_query.QueryBookRequest(slot=slot, side=side, pagination=page)
            answer = await chain.query(MARKET + "Book", request, market_query.QueryBookResponse)
            found += answer.orders
            if not answer.pagination.next_key:
                break
            page = pagination.PageRequest(limit=PAGE, key=answer.pagination.next_key)
    return found


async def read_cells(chain: ChainClient) -> dict[str, CellFacts]:
    """Every registered cell by its account."""
    found: dict[str, CellFacts] = {}
    page = pagination.PageRequest(limit=PAGE)
    while True:
        request = registry_query.QueryCellsRequest(pagination=page)
        answer = await chain.query(REGISTRY + "Cells", request, registry_query.QueryCellsResponse)
        for cell in answer.cells:
            found[cell.address] = CellFacts(
                number=cell.number,
                tan_phi_permille=cell.tan_phi_permille,
                bus=cell.bus,
                inverter_VA=cell.inverter_VA,
            )
        if not answer.pagination.next_key:
            return found
        page = pagination.PageRequest(limit=PAGE, key=answer.pagination.next_key)


async def read_baselines(chain: ChainClient, slot: int) -> tuple[BusEnergy, ...]:
    """What a slot's schedule counts for what places no orders."""
    request = market_query.QueryForecastRequest(slot=slot)
    answer = await chain.query(MARKET + "Forecast", request, market_query.QueryForecastResponse)
    return tuple(BusEnergy(bus=row.bus, base_p_mWh=row.p_mWh, base_q_mvarh=row.q_mvarh) for row in answer.buses)
