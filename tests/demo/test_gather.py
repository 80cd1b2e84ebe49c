"""Reading along: each slot once, as it ended, bounded, and from the past where the present has forgotten it."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

from bsmg.client.errors import NodeUnreachable, QueryNotFound
from bsmg.client.testnet_file import parse_testnet
from bsmg.demo.assemble import Span
from bsmg.demo.collect import ChainLog, Seen
from bsmg.demo.gather import SLOTS_AT_ONCE, gatherer
from bsmg.demo.scene import Scene
from cosmos_wire.protos import Message, market, market_query, pagination, registry, registry_query

SPAN = Span(first_slot=100, slots=20, first_quarter=0)
FEEDER = registry.Feeder(root_bus=1, s_base_W=10**6, branches=[registry.Branch(from_bus=1, to_bus=2)])


class Chain:
    """Answers as a node does; slots in `pruned` are known at past heights only."""

    def __init__(self, feeder: registry.Feeder | None) -> None:
        self.feeder, self.pruned, self.lost = feeder, set[int](), set[int]()
        self.asked: Counter[str] = Counter()
        self.down = False
        self.price, self.cleared = 40_000, 3

    async def query(self, path: str, request: Any, _response: type[Message], height: int | None = None) -> Message:
        name = path.rpartition("/")[2]
        self.asked[name] += 1
        if self.down:
            raise NodeUnreachable("query", "node", "no answer")
        answer: Message = getattr(self, f"_{name.lower()}")(request, height)
        return answer

    def _refuse(self, slot: int, height: int | None) -> None:
        if slot in self.lost or (slot in self.pruned and height is None):
            raise QueryNotFound("path", "node", 5, f"slot {slot}")

    def _feeder(self, _request: Any, _height: int | None) -> Message:
        if self.feeder is None:
            raise QueryNotFound("path", "node", 5, "no feeder is set")
        return registry_query.QueryFeederResponse(feeder=self.feeder)

    def _schedule(self, request: Any, height: int | None) -> Message:
        self._refuse(request.slot, height)
        row = market_query.BusSchedule(bus=2, p_mWh=request.slot)
        cell = market_query.CellSchedule(cell="a", bus=2, import_mWh=5)
        return market_query.QueryScheduleResponse(buses=[row], cells=[cell], factor_permille=1000)

    def _book(self, request: Any, height: int | None) -> Message:
        self._refuse(request.slot, height)
        start = int(request.pagination.key or b"0")
        orders = [market.Order(slot=request.slot, seq=start + 1, side=request.side, cell="a", bus=2)]
        page = pagination.PageResponse(next_key=b"1" if start == 0 else b"")
        return market_query.QueryBookResponse(orders=orders, pagination=page)

    def _forecast(self, request: Any, height: int | None) -> Message:
        self._refuse(request.slot, height)
        row = market_query.BusForecast(bus=2, p_mWh=7, q_mvarh=3 if height == self.cleared else 30)
        return market_query.QueryForecastResponse(buses=[row])

    def _lmps(self, request: Any, height: int | None) -> Message:
        if request.slot in self.pruned and height is None:
            return market_query.QueryLmpsResponse()
        return market_query.QueryLmpsResponse(buses=[market_query.BusLmp(bus=2, price_e4=self.price)])

    def _slots(self, _request: Any, _height: int | None) -> Message:
        records = [market.Slot(slot=slot, curtailed_mWh=slot) for slot in range(90, 130)]
        return market_query.QuerySlotsResponse(slots=records)

    def _cells(self, _request: Any, _height: int | None) -> Message:
        return registry_query.QueryCellsResponse(cells=[registry.Cell(address="a", tan_phi_permille=484)])

    def _params(self, _request: Any, _height: int | None) -> Message:
        return market_query.QueryParamsResponse(params=market.Params(k_den=2))


def scene_of(chains: dict[str, Chain], roles: dict[str, str]) -> Scene:
    docs = [
        {"chain_id": name, "kind": "cometbft", "nodes": [{"moniker": name}], "role": roles.get(name, "")}
        for name in chains
    ]
    logs = {name: ChainLog(chain_id=name) for name in chains}
    net = parse_testnet({"version": 1, "chains": docs})
    return Scene(net=net, chains=cast("Any", chains), faucets={}, logs=logs)


def happened(log: ChainLog, kind: str, slot: int, height: int, **more: str) -> None:
    log.events.append(Seen(kind=kind, height=height, time_ms=0, attributes={"slot": str(slot), **more}))


async def test_every_slot_is_read_once_and_a_few_at_a_time() -> None:
    chain = Chain(FEEDER)
    scene = scene_of({"mga-1": chain}, {})
    along = await gatherer(scene, SPAN)
    for slot in range(95, 115):
        happened(scene.logs["mga-1"], "slot_residual", slot, slot)
        happened(scene.logs["mga-1"], "slot_sealed", slot, slot + 1)
    await along.collect()
    assert chain.asked["Schedule"] == SLOTS_AT_ONCE
    await along.collect()
    await along.collect()
    assert chain.asked["Schedule"] == 15
    seen = (await along.seen())["mga-1"]
    assert [slot.record.slot for slot in seen.slots] == list(range(100, 115))
    first = seen.slots[0]
    assert [order.seq for order in first.orders] == [1, 2, 1, 2]
    assert (first.buses[0].p_mWh, first.record.curtailed_mWh) == (100, 100)
    assert (await along.seen())["mga-1"].tan_phi == {"a": 484}
    assert along.missed == SPAN.slots - 15


async def test_a_node_that_does_not_answer_is_asked_again() -> None:
    chain = Chain(FEEDER)
    scene = scene_of({"mga-1": chain}, {})
    along = await gatherer(scene, SPAN)
    happened(scene.logs["mga-1"], "slot_residual", 100, 6)
    chain.down = True
    await along.collect()
    assert along.kept["mga-1"].books == {}
    chain.down = False
    assert len((await along.seen())["mga-1"].slots) == 1


async def test_what_is_pruned_is_read_from_the_past_and_what_is_gone_is_counted() -> None:
    chain = Chain(FEEDER)
    scene = scene_of({"mga-1": chain}, {})
    along = await gatherer(scene, SPAN)
    chain.pruned, chain.lost = {100}, {101}
    for slot in (100, 101):
        happened(scene.logs["mga-1"], "slot_residual", slot, slot)
        happened(scene.logs["mga-1"], "lmp_certified", slot, slot)
    seen = (await along.seen())["mga-1"]
    assert [(slot.record.slot, dict(slot.lmps_e4)) for slot in seen.slots] == [(100, {2: 40_000})]
    assert along.missed == SPAN.slots - 1


async def test_what_was_fixed_before_the_auction_is_read_as_it_was_at_clear() -> None:
    scene = scene_of({"mga-1": Chain(FEEDER)}, {})
    along = await gatherer(scene, SPAN)
    log = scene.logs["mga-1"]
    happened(log, "slot_cleared", 100, 3)
    for slot in (100, 101):
        happened(log, "slot_residual", slot, 6)
    known, unknown = (await along.seen())["mga-1"].slots
    assert [row.q_mvarh for row in (*known.before, *known.beside)] == [3, 30]
    assert [row.q_mvarh for row in (*unknown.before, *unknown.beside)] == [30, 30]


async def test_the_last_certified_prices_count() -> None:
    chain = Chain(FEEDER)
    scene = scene_of({"mga-1": chain}, {})
    along = await gatherer(scene, SPAN)
    happened(scene.logs["mga-1"], "slot_residual", 100, 5)
    happened(scene.logs["mga-1"], "lmp_certified", 100, 6)
    await along.collect()
    chain.price = 41_000
    happened(scene.logs["mga-1"], "lmp_certified", 100, 7)
    await along.collect()
    await along.collect()
    assert chain.asked["Lmps"] == 2
    assert (await along.seen())["mga-1"].slots[0].lmps_e4 == {2: 41_000}


async def test_verdicts_stand_with_their_slots() -> None:
    scene = scene_of({"mga-1": Chain(FEEDER)}, {})
    along = await gatherer(scene, SPAN)
    log = scene.logs["mga-1"]
    happened(log, "slot_insecure", 100, 4, reason="vmax", element="bus 2")
    for code in ("14", "0"):
        happened(log, "caps_judged", 100, 5, attempt="1", code=code)
    happened(log, "slot_residual", 100, 6)
    (slot,) = (await along.seen())["mga-1"].slots
    assert (slot.refused, slot.caps_codes) == ("vmax at bus 2", (14, 0))


async def test_chains_without_a_feeder_and_the_main_grid_have_nothing_to_gather() -> None:
    grid = Chain(FEEDER)
    scene = scene_of({"mga-1": Chain(None), "grid-1": grid}, {"grid-1": "grid"})
    assert await (await gatherer(scene, SPAN)).seen() == {}
    assert not grid.asked
