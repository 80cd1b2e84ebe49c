"""Answers of `bsmg.market.v1.Query`."""

from __future__ import annotations

from collections.abc import Sequence

from cosmos_wire.errors import InvalidRequest, NotFound
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_ballot as ballot_pb
from cosmos_wire.protos import market_query as query
from energy.errors import NoSuchOrder
from energy.grid.schedule import BusEnergy
from energy.market import awards, ballot, fees, forward_book, keys, security, state, terms
from energy.market import schedule as physical
from energy.market.clearing import BookOrder
from energy.market.shift import waiting_of
from energy.market.storage import storage_of
from energy.records import load, u64
from energy.registry import Registry
from energy.units import PERMILLE
from ibc_core.host import Context
from ibc_core.paginate import paginate, paginate_items

NO_SCHEDULE = (pb.SLOT_STATE_FORECAST, pb.SLOT_STATE_BIDDING, pb.SLOT_STATE_CLOSED)


def params(_registry: Registry, ctx: Context, _request: query.QueryParamsRequest) -> query.QueryParamsResponse:
    """Parameters of slots that open from now on."""
    return query.QueryParamsResponse(params=state.params(ctx), fees=fees.find(ctx, state.last_opened(ctx) + 1))


def slots(_registry: Registry, ctx: Context, request: query.QuerySlotsRequest) -> query.QuerySlotsResponse:
    """Records of live slots, or of all that are kept, ascending."""
    if request.live:
        numbers = [entry.slot for entry in state.live(ctx).slots]
        found = [(u64(slot), ctx.app.get(keys.slot_key(slot)) or b"") for slot in numbers]
        items, page = paginate_items(found, request.pagination)
    else:
        items, page = paginate(ctx.app, keys.SLOTS, request.pagination)
    return query.QuerySlotsResponse(slots=[pb.Slot.FromString(raw) for _, raw in items], pagination=page)


def slot(_registry: Registry, ctx: Context, request: query.QuerySlotRequest) -> query.QuerySlotResponse:
    """One slot's record or summary."""
    return query.QuerySlotResponse(slot=state.slot_record(ctx, request.slot))


def book(registry: Registry, ctx: Context, request: query.QueryBookRequest) -> query.QueryBookResponse:
    """One side of a slot's book in clearing order."""
    if request.side not in (keys.BID, keys.ASK):
        raise InvalidRequest(f"side has to be SIDE_BID or SIDE_ASK, got {request.side}")
    record, orders = state.slot_record(ctx, request.slot), []
    items, page = paginate(ctx.app, keys.book_prefix(request.slot, request.side), request.pagination)
    for tail, raw in items:
        price_e4, seq = keys.price_seq_of(tail, request.side)
        entry = pb.BookEntry.FromString(raw)
        found = BookOrder(request.side, price_e4, seq, entry.cell, entry.bus, entry.quantity_mWh, entry.kind)
        orders.append(_order(registry, ctx, record, found))
    return query.QueryBookResponse(orders=orders, pagination=page)


def orders(registry: Registry, ctx: Context, request: query.QueryOrdersRequest) -> query.QueryOrdersResponse:
    """A cell's orders in a slot."""
    cell, record = registry.find_cell(ctx, request.cell), state.slot_record(ctx, request.slot)
    found = state.orders_of(ctx, request.slot, cell.number)
    return query.QueryOrdersResponse(orders=[_order(registry, ctx, record, order) for order in found])


def fill(registry: Registry, ctx: Context, request: query.QueryFillRequest) -> query.QueryFillResponse:
    """What an order got, derived from the clearing; walks the slot's orders until it finds the sequence."""
    record = state.slot_record(ctx, request.slot)
    found = next((order for order in state.all_orders(ctx, request.slot) if order.seq == request.seq), None)
    if found is None:
        raise NoSuchOrder(f"slot {request.slot} keeps no order {request.seq}")
    (got,) = awards.filled(ctx, record, [found])
    return query.QueryFillResponse(
        order=_order(registry, ctx, record, found),
        fill_mWh=got.fill_mWh,
        amount=str(got.amount),
        fee=str(got.grid_fee),
        scheduled_mWh=got.fill_mWh + got.grid_mWh,
    )


def schedule(registry: Registry, ctx: Context, request: query.QueryScheduleRequest) -> query.QueryScheduleResponse:
    """What the buses withdraw and the cells' orders let them draw; raises NotFound before CLEAR and after CLOSE."""
    record = state.slot_record(ctx, request.slot)
    if record.state in NO_SCHEDULE:
        name = pb.SlotState.Name(record.state).removeprefix("SLOT_STATE_")
        raise NotFound(f"slot {record.slot} is {name}, a schedule is known between CLEAR and CLOSE")
    sums, tangents = physical.Sums(), physical.Tangents(ctx=ctx)
    cells: dict[int, list[int]] = {}
    for order, fill_mWh in physical.fills(ctx, record):
        energy = fill_mWh + physical.grid_mWh(order, fill_mWh, record.export_permille)
        physical.add_to(sums, order, energy, tangents.of(order.cell))
        cells.setdefault(order.cell, [order.bus, 0, 0])[order.side] += energy
    for item in forward_book.positions(ctx, record):
        cells.setdefault(item.cell, [item.order.bus, 0, 0])[item.order.side] += item.order.quantity_mWh
    answer = query.QueryScheduleResponse(
        buses=_buses(security.baselines(ctx, record.slot), sums),
        factor_permille=record.factor_permille,
        export_permille=record.export_permille,
    )
    for number, (bus, drawn, fed) in sorted(cells.items()):
        address = registry.cell(ctx, number).address
        answer.cells.append(query.CellSchedule(cell=address, bus=bus, import_mWh=drawn, export_mWh=fed))
    return answer


def _buses(baselines: Sequence[BusEnergy], sums: physical.Sums) -> list[query.BusSchedule]:
    """Baselines and orders by bus; reactive energy is rounded to the nearest below."""
    rows = {said.bus: [said.base_p_mWh, said.base_q_mvarh] for said in baselines}
    for bus, total in sums.items():
        row = rows.setdefault(bus, [0, 0])
        row[0] += total.p_mWh
        row[1] += total.q_permille // PERMILLE
    return [query.BusSchedule(bus=bus, p_mWh=p, q_mvarh=q) for bus, (p, q) in sorted(rows.items())]


def forecast(_registry: Registry, ctx: Context, request: query.QueryForecastRequest) -> query.QueryForecastResponse:
    """What is fixed before a slot's auction, the bounds that the utility cell posted, and the slot's prices."""
    record, prefix = state.slot_record(ctx, request.slot), keys.baseline_prefix(request.slot)
    bounds = {int.from_bytes(key[len(prefix) :], "big"): raw for key, raw in ctx.app.iterate(prefix)}
    answer = query.QueryForecastResponse(prices=record.prices)
    for fixed in security.baselines(ctx, request.slot):
        said = pb.Baseline.FromString(bounds.get(fixed.bus, b""))
        row = query.BusForecast(bus=fixed.bus, p_mWh=fixed.base_p_mWh, q_mvarh=fixed.base_q_mvarh)
        row.net_low_mWh, row.net_high_mWh = said.net_low_mWh, said.net_high_mWh
        answer.buses.append(row)
    return answer


def statement(registry: Registry, ctx: Context, request: query.QueryStatementRequest) -> query.QueryStatementResponse:
    """A cell's account of a settled slot, kept until the next slot closes."""
    cell = registry.find_cell(ctx, request.cell)
    found = load(ctx, keys.statement_key(request.slot, cell.number), pb.Statement)
    if found is None:
        raise NotFound(f"no statement of {request.cell} for slot {request.slot} is kept")
    return query.QueryStatementResponse(statement=found)


def pools(_registry: Registry, ctx: Context, _request: query.QueryPoolsRequest) -> query.QueryPoolsResponse:
    """What the market's accounts hold, and what is owed both ways."""
    totals = state.pool_totals(ctx)
    return query.QueryPoolsResponse(
        escrow=str(state.held(ctx, state.ESCROW)),
        balancing=str(state.held(ctx, state.BALANCING)),
        incentive=str(state.held(ctx, state.INCENTIVE)),
        fees=str(state.held(ctx, state.FEES)),
        collateral=str(state.held(ctx, state.COLLATERAL)),
        owed=totals.owed or "0",
        arrears=totals.arrears or "0",
        subsidy=str(state.held(ctx, state.SUBSIDY)),
        waiting=str(state.held(ctx, state.WAITING)),
    )


def ballot_of(_registry: Registry, ctx: Context, request: query.QueryBallotRequest) -> query.QueryBallotResponse:
    """A slot's ballot: the record for good, candidates and votes until SECURE; raises NotFound where none was held."""
    record = state.slot_record(ctx, request.slot)
    if not record.HasField("ballot"):
        raise NotFound(f"no ballot was held on slot {request.slot}")
    made = query.QueryBallotResponse(ballot=record.ballot, candidates=ballot.candidates(ctx, request.slot))
    prefix = keys.votes_prefix(request.slot)
    for key, raw in ctx.app.iterate(prefix):
        made.votes.add(validator=key[len(prefix) :], vote=ballot_pb.BallotVote.FromString(raw))
    return made


def waiting(registry: Registry, ctx: Context, request: query.QueryWaitingRequest) -> query.QueryWaitingResponse:
    """What a cell's bids have left for slots that don't take orders yet."""
    cell, answer = registry.find_cell(ctx, request.cell), query.QueryWaitingResponse()
    for (slot, _, number), waits in waiting_of(ctx, cell.number):
        answer.orders.add(number=number, slot=slot, order=waits)
    return answer


def forward_products(
    _registry: Registry, ctx: Context, _request: query.QueryForwardProductsRequest
) -> query.QueryForwardProductsResponse:
    """Products of the forward market that have orders or positions, by first slot."""
    return query.QueryForwardProductsResponse(products=forward_book.products(ctx))


def forward_orders(
    registry: Registry, ctx: Context, request: query.QueryForwardOrdersRequest
) -> query.QueryForwardOrdersResponse:
    """A cell's orders and positions of the forward market."""
    cell, answer = registry.find_cell(ctx, request.cell), query.QueryForwardOrdersResponse()
    for item in forward_book.held_by(ctx, cell.number):
        answer.orders.add(first_slot=item.first, slots=item.slots, seq=item.seq, order=item.order)
    return answer


def storage(registry: Registry, ctx: Context, request: query.QueryStorageRequest) -> query.QueryStorageResponse:
    """A cell's storage and its state of charge; raises NoStorage."""
    return query.QueryStorageResponse(storage=storage_of(ctx, registry.find_cell(ctx, request.cell).number))


def commits(registry: Registry, ctx: Context, request: query.QueryCommitsRequest) -> query.QueryCommitsResponse:
    """A cell's sealed orders in a slot that are not revealed yet."""
    cell, answer = registry.find_cell(ctx, request.cell), query.QueryCommitsResponse()
    prefix = keys.commits_prefix(request.slot, cell.number)
    for key, raw in ctx.app.iterate(prefix):
        answer.orders.add(seq=int.from_bytes(key[len(prefix) :], "big"), commit=pb.Commit.FromString(raw))
    return answer


def _order(registry: Registry, ctx: Context, record: pb.Slot, order: BookOrder) -> pb.Order:
    result = pb.Order(
        slot=record.slot,
        seq=order.seq,
        cell=registry.cell(ctx, order.cell).address,
        price_e4=order.price_e4,
        quantity_mWh=order.quantity_mWh,
        bus=order.bus,
        escrow=str(state.escrow_of(record.prices, order)),
        min_fill_mWh=terms.min_fill_of(ctx, record, order),
        dropped=order.seq in record.clearing.dropped,
    )
    shift = terms.shift_of(ctx, record, order)
    result.valid_to, result.carried_mWh = shift.valid_to, shift.carried_mWh
    result.side = pb.SIDE_BID if order.side == keys.BID else pb.SIDE_ASK
    result.kind = pb.OrderKind.ValueType(order.kind)
    return result
