"""What a microgrid on a feeder keeps only while a slot lives: read during the day, a bounded number of slots a time.

The book, the schedule and the marginal prices are pruned after CLOSE. A slot's book and schedule are final from SECURE
on (event `slot_residual`; `slot_sealed` for one that never got there), its prices with the last `lmp_certified`. What
is gone already is asked for at the height of its event, which the nodes of most ledgers can still answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from bsmg.client.chain import ChainClient
from bsmg.client.errors import NodeError, QueryRefused
from bsmg.demo.assemble import Span, role_of
from bsmg.demo.collect import ChainLog, Seen
from bsmg.demo.day import MAIN_GRID
from bsmg.demo.feeder_day import BusPower, FeederSeen, SlotSeen
from bsmg.demo.scene import Scene
from cosmos_wire.protos import market, market_query, pagination, registry, registry_query

MARKET, REGISTRY = "/bsmg.market.v1.Query", "/bsmg.registry.v1.Query"
PAGE = 500
SLOTS_AT_ONCE = 8  # a reading; the rest waits for the next one
FINAL = ("slot_residual", "slot_sealed")


class Paged(Protocol):
    """An answer that comes in pages."""

    @property
    def pagination(self) -> pagination.PageResponse:
        """Where the next page begins."""


T = TypeVar("T")
P = TypeVar("P", bound=Paged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Orders and schedule of a slot, and what was fixed beside them at CLEAR and at the end."""

    orders: tuple[market.Order, ...]
    schedule: market_query.QueryScheduleResponse
    before: tuple[BusPower, ...]
    beside: tuple[BusPower, ...]


@dataclass(slots=True, kw_only=True)
class Kept:
    """One chain's slots so far; `lmp_height` is that of the event whose prices are kept."""

    feeder: registry.Feeder
    books: dict[int, Book | None] = field(default_factory=dict)  # None: it could not be read
    lmps_e4: dict[int, dict[int, int]] = field(default_factory=dict)
    lmp_height: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gatherer:
    """Reads along; `collect` after every reading of the logs, `seen` at the end."""

    scene: Scene
    span: Span
    kept: dict[str, Kept]

    async def collect(self) -> None:
        """Read what has become final since; some slots may be left for the next time."""
        await asyncio.gather(*(self._collect(chain_id) for chain_id in self.kept))

    async def _collect(self, chain_id: str) -> None:
        with suppress(NodeError):  # it is asked again at the next reading
            await self._catch_up(chain_id)

    async def _catch_up(self, chain_id: str) -> None:
        chain, log, kept = self.scene.chains[chain_id], self.scene.logs[chain_id], self.kept[chain_id]
        cleared = {_slot(seen): seen.height for seen in log.of("slot_cleared")}
        for slot, height in self._due(log, kept):
            kept.books[slot] = await _read((None, height), partial(_book, chain, slot, cleared.get(slot)))
        for slot, height in self._due_prices(log, kept):
            found = await _read((None, height), partial(_lmps, chain, slot))
            kept.lmps_e4[slot], kept.lmp_height[slot] = found or kept.lmps_e4.get(slot, {}), height

    def _due(self, log: ChainLog, kept: Kept) -> list[tuple[int, int]]:
        found: dict[int, int] = {}
        for seen in log.of(*FINAL):
            slot = int(seen.attributes["slot"])
            if slot in self.span and slot not in kept.books:
                found.setdefault(slot, seen.height)
        return sorted(found.items())[:SLOTS_AT_ONCE]

    def _due_prices(self, log: ChainLog, kept: Kept) -> list[tuple[int, int]]:
        found = {int(seen.attributes["slot"]): seen.height for seen in log.of("lmp_certified")}
        due = [(slot, height) for slot, height in found.items() if kept.lmp_height.get(slot) != height]
        return sorted(item for item in due if item[0] in self.span)[:SLOTS_AT_ONCE]

    @property
    def missed(self) -> int:
        """Slots of the day whose book could not be read."""
        return sum(self.span.slots - sum(map(bool, kept.books.values())) for kept in self.kept.values())

    async def seen(self) -> dict[str, FeederSeen]:
        """Everything about every chain with a feeder, with the records as the slots ended."""
        for _ in range(-(-self.span.slots // SLOTS_AT_ONCE)):
            await self.collect()
        return {chain_id: await self._seen(chain_id) for chain_id in sorted(self.kept)}

    async def _seen(self, chain_id: str) -> FeederSeen:
        chain, log, kept = self.scene.chains[chain_id], self.scene.logs[chain_id], self.kept[chain_id]
        records = {record.slot: record for record in await _slots(chain)}
        tan_phi = {cell.address: cell.tan_phi_permille for cell in await _cells(chain)}
        params = await chain.query(
            f"{MARKET}/Params", market_query.QueryParamsRequest(), market_query.QueryParamsResponse
        )
        verdicts = Verdicts.of(log)
        rows = [
            verdicts.slot(records[slot], book, kept.lmps_e4.get(slot, {}))
            for slot, book in sorted(kept.books.items())
            if book is not None and slot in records
        ]
        return FeederSeen(feeder=kept.feeder, params=params.params, tan_phi=tan_phi, slots=tuple(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What the network check and the judgement of caps said, by slot."""

    refused: Mapping[int, str]
    caps_codes: Mapping[int, tuple[int, ...]]

    @classmethod
    def of(cls, log: ChainLog) -> Verdicts:
        """From a chain's events."""
        refused: dict[int, str] = {}
        codes: dict[int, tuple[int, ...]] = {}
        for seen in log.of("slot_insecure"):
            refused[_slot(seen)] = f"{seen.attributes['reason']} at {seen.attributes['element']}"
        for seen in log.of("caps_judged"):
            codes[_slot(seen)] = (*codes.get(_slot(seen), ()), int(seen.attributes["code"]))
        return cls(refused=refused, caps_codes=codes)

    def slot(self, record: market.Slot, book: Book, lmps_e4: Mapping[int, int]) -> SlotSeen:
        """A slot with what was said of it."""
        return SlotSeen(
            record=record,
            orders=book.orders,
            buses=tuple(BusPower(bus=row.bus, p_mWh=row.p_mWh, q_mvarh=row.q_mvarh) for row in book.schedule.buses),
            before=book.before,
            beside=book.beside,
            lmps_e4=lmps_e4,
            refused=self.refused.get(record.slot, ""),
            caps_codes=self.caps_codes.get(record.slot, ()),
        )


def _slot(seen: Seen) -> int:
    return int(seen.attributes["slot"])


async def gatherer(scene: Scene, span: Span) -> Gatherer:
    """Ask every microgrid for its feeder; those without one have nothing to gather."""
    kept = {}
    for info in scene.net.chains:
        feeder = None if role_of(info) == MAIN_GRID else await _feeder(scene.chains[info.chain_id])
        if feeder is not None:
            kept[info.chain_id] = Kept(feeder=feeder)
    return Gatherer(scene=scene, span=span, kept=kept)


async def _feeder(chain: ChainClient) -> registry.Feeder | None:
    try:
        request = registry_query.QueryFeederRequest()
        return (await chain.query(f"{REGISTRY}/Feeder", request, registry_query.QueryFeederResponse)).feeder
    except QueryRefused:
        return None


async def _read(heights: Iterable[int | None], ask: Callable[[int | None], Awaitable[T]]) -> T | None:
    """The first of some heights (None: the newest) that has an answer; None if all have forgotten it.

    Raises NodeError when the node can't say.
    """
    for at in heights:
        with suppress(QueryRefused):
            found = await ask(at)
            if found:
                return found
    return None


async def _book(chain: ChainClient, slot: int, cleared: int | None, height: int | None) -> Book:
    request = market_query.QueryScheduleRequest(slot=slot)
    schedule = await chain.query(f"{MARKET}/Schedule", request, market_query.QueryScheduleResponse, height)
    sides = [await _side(chain, slot, side, height) for side in (market.SIDE_BID, market.SIDE_ASK)]
    beside = await _fixed(chain, slot, height)
    before = None if cleared is None else await _read((cleared,), partial(_fixed, chain, slot))
    return Book(orders=(*sides[0], *sides[1]), schedule=schedule, before=before or beside, beside=beside)


async def _fixed(chain: ChainClient, slot: int, height: int | None) -> tuple[BusPower, ...]:
    request = market_query.QueryForecastRequest(slot=slot)
    answer = await chain.query(f"{MARKET}/Forecast", request, market_query.QueryForecastResponse, height)
    return tuple(BusPower(bus=row.bus, p_mWh=row.p_mWh, q_mvarh=row.q_mvarh) for row in answer.buses)


async def _side(
    chain: ChainClient, slot: int, side: market.Side.ValueType, height: int | None
) -> tuple[market.Order, ...]:
    async def ask(page: pagination.PageRequest) -> market_query.QueryBookResponse:
        request = market_query.QueryBookRequest(slot=slot, side=side, pagination=page)
        return await chain.query(f"{MARKET}/Book", request, market_query.QueryBookResponse, height)

    return tuple(order for page in await _pages(ask) for order in page.orders)


async def _lmps(chain: ChainClient, slot: int, height: int | None) -> dict[int, int]:
    request = market_query.QueryLmpsRequest(slot=slot)
    answer = await chain.query(f"{MARKET}/Lmps", request, market_query.QueryLmpsResponse, height)
    return {row.bus: row.price_e4 for row in answer.buses}


async def _slots(chain: ChainClient) -> list[market.Slot]:
    async def ask(page: pagination.PageRequest) -> market_query.QuerySlotsResponse:
        request = market_query.QuerySlotsRequest(pagination=page)
        return await chain.query(f"{MARKET}/Slots", request, market_query.QuerySlotsResponse)

    return [record for page in await _pages(ask) for record in page.slots]


async def _cells(chain: ChainClient) -> list[registry.Cell]:
    async def ask(page: pagination.PageRequest) -> registry_query.QueryCellsResponse:
        request = registry_query.QueryCellsRequest(pagination=page)
        return await chain.query(f"{REGISTRY}/Cells", request, registry_query.QueryCellsResponse)

    return [cell for page in await _pages(ask) for cell in page.cells]


async def _pages(ask: Callable[[pagination.PageRequest], Awaitable[P]]) -> list[P]:
    pages: list[P] = []
    key = b""
    while not pages or key:
        pages.append(await ask(pagination.PageRequest(limit=PAGE, key=key)))
        key = pages[-1].pagination.next_key
    return pages
