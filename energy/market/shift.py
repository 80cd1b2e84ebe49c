"""Time-shiftable load: what a slot doesn't serve of a bid moves on, up to the last slot that the bid names.

Once a slot's fills are final (SECURE, or SEAL of a voided slot) the unserved part leaves it with its escrow: the part
waits, in `market/waiting`, for the next slot that takes orders, and enters its book as a new bid there when BIDDING has
begun, behind those that are there by then. Its price is the old one, or the slot's cap if that is lower. Where it can't
enter (a rating, a limit of orders, a band above its price, a higher escrow that its cell doesn't hold) it waits for the
slot after; after its last slot the escrow returns. All of it is background work in bounded units.
"""

from __future__ import annotations

from collections.abc import Iterator

from cosmos_wire.address import from_bech32
from cosmos_wire.errors import ChainError
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_tx as tx
from energy.errors import NoSuchOrder, NotAuthorized
from energy.market import keys, orders, state, terms
from energy.market.awards import filled
from energy.market.clearing import BookOrder
from energy.market.clock import Gate
from energy.market.life import BIDDING, FORECAST
from energy.records import keys_of, load, load_int, save, save_int, u64
from energy.registry import Registry
from energy.units import stored
from ibc_core import bank
from ibc_core.host import Context, event

NOTHING_YET = b"0"


def release(ctx: Context, record: pb.Slot) -> None:
    """The slot's fills are final: what it doesn't serve may move on from the next block's work."""
    if record.shiftable:
        ctx.app.set(keys.shift_work_key(record.slot), NOTHING_YET)


def run(ctx: Context, registry: Registry, units: int) -> int:
    """Move up to `units` bids out of secured slots and into open ones; returns the units left."""
    for key in keys_of(ctx.app, keys.SHIFT_WORK, units):
        if units > 0:
            units = _move_out(ctx, registry, int.from_bytes(key[len(keys.SHIFT_WORK) :], "big"), units)
    return _move_in(ctx, registry, units) if units > 0 else 0


# Out of a slot


def _move_out(ctx: Context, registry: Registry, slot: int, units: int) -> int:
    work, prefix, record = keys.shift_work_key(slot), keys.shifts_prefix(slot), state.slot_record(ctx, slot)
    done = ctx.app.get(work) or NOTHING_YET
    after, found = b"" if done == NOTHING_YET else prefix + done + b"\0", []
    for key, raw in ctx.app.iterate(prefix, after):
        found.append((key[len(prefix) :], pb.Shift.FromString(raw)))
        if len(found) == units:
            break
    for tail, shift in found:
        cell, seq = int.from_bytes(tail[:4], "big"), int.from_bytes(tail[5:], "big")
        order = state.book_order(ctx, slot, cell, seq)
        assert order is not None  # an order and its terms are written and removed together
        _leave(ctx, registry, record, (order, shift))
    state.save_slot(ctx, record)
    if len(found) == units:
        ctx.app.set(work, found[-1][0])
        return 0
    ctx.app.delete(work)
    return units - len(found)


def _leave(ctx: Context, registry: Registry, record: pb.Slot, bid: tuple[BookOrder, pb.Shift]) -> None:
    """The unserved part takes its escrow along; the order in the book stays as it was cleared."""
    order, shift = bid
    (got,) = filled(ctx, record, [order])
    rest = order.quantity_mWh - got.fill_mWh
    if rest == 0:
        terms.count_shifting(ctx, order.cell, -1)
        return
    escrow = state.escrow_of(record.prices, order._replace(quantity_mWh=rest))
    least = 0 if got.fill_mWh else terms.min_fill_of(ctx, record, order)
    shift.carried_mWh = rest
    save(ctx, keys.shift_key(record.slot, order.cell, order.seq), shift)
    record.escrow = str(stored(record.escrow) - escrow)
    bank.block_recipient(ctx, state.WAITING, state.WAITING_NAME)
    state.move(ctx, state.ESCROW, state.WAITING, escrow)
    state.add_totals(ctx, waiting=escrow)
    waits = pb.Waiting(
        price_e4=order.price_e4,
        quantity_mWh=rest,
        valid_to=shift.valid_to,
        escrow=str(escrow),
        from_slot=record.slot,
        min_fill_mWh=least,
    )
    _wait_on(ctx, registry, (record.slot, order.cell, next_number(ctx)), waits)


def next_number(ctx: Context) -> int:
    """A number for what begins to wait."""
    number = load_int(ctx, keys.WAITING_LAST) + 1
    save_int(ctx, keys.WAITING_LAST, number)
    return number


Place = tuple[int, int, int]  # slot, cell, number


def _wait_on(ctx: Context, registry: Registry, place: Place, waits: pb.Waiting) -> None:
    """Wait for the next slot behind `place` that may take it; behind its last one it ends."""
    _, cell, number = place
    slot = _next_slot(ctx, place[0])
    if slot > waits.valid_to:
        _end(ctx, registry, place, waits)
        return
    save(ctx, keys.waiting_key(slot, cell, number), waits)
    ctx.events.emit(
        event(
            "order_waits", slot=slot, cell=_address(ctx, registry, cell), number=number, quantity_mWh=waits.quantity_mWh
        )
    )


def _next_slot(ctx: Context, after: int) -> int:
    live = [entry.slot for entry in state.live(ctx).slots if entry.slot > after and entry.next_gate <= Gate.CLEAR]
    return min(live, default=max(after, state.last_opened(ctx)) + 1)


def _end(ctx: Context, registry: Registry, place: Place, waits: pb.Waiting) -> None:
    _, cell, number = place
    owner, escrow = _address(ctx, registry, cell), stored(waits.escrow)
    state.move(ctx, state.WAITING, from_bech32(owner), escrow)
    state.add_totals(ctx, waiting=-escrow)
    if not waits.storage:
        terms.count_shifting(ctx, cell, -1)
    ctx.events.emit(event("order_ended", cell=owner, number=number, quantity_mWh=waits.quantity_mWh, refund=escrow))


def _address(ctx: Context, registry: Registry, cell: int) -> str:
    return registry.cell(ctx, cell).address


# Into a slot


def _move_in(ctx: Context, registry: Registry, units: int) -> int:
    for slot in list(_slots_waited_for(ctx)):
        record = state.find_slot(ctx, slot)
        if units == 0 or (record is not None and record.state == FORECAST):
            continue
        waiting = keys_of(ctx.app, keys.WAITING + u64(slot) + b"/", units)
        for key in waiting:
            waits = load(ctx, key, pb.Waiting)
            assert waits is not None  # just listed
            ctx.app.delete(key)
            place = keys.slot_cell_number(key[len(keys.WAITING) :])
            if record is None or record.state != BIDDING or not _enter(ctx, registry, record, (place, waits)):
                _wait_on(ctx, registry, place, waits)
        if record is not None and waiting:
            state.save_slot(ctx, record)
        units -= len(waiting)
    return units


def _slots_waited_for(ctx: Context) -> Iterator[int]:
    """Slots that have opened (or never will) and that something waits for, ascending."""
    last, at = state.last_opened(ctx), 0
    while True:
        pair = next(iter(ctx.app.iterate(keys.WAITING, keys.WAITING + u64(at))), None)
        if pair is None or (slot := keys.slot_cell_number(pair[0][len(keys.WAITING) :])[0]) > last:
            return
        yield slot
        at = slot + 1


def _enter(ctx: Context, registry: Registry, record: pb.Slot, entry: tuple[Place, pb.Waiting]) -> bool:
    """Place what waits as an order of its cell; False when the slot doesn't take it."""
    (_, number, name), waits = entry
    owner, escrow = _address(ctx, registry, number), stored(waits.escrow)
    msg = tx.MsgPlaceOrder(
        cell=owner,
        slot=record.slot,
        side=pb.SIDE_ASK if waits.storage else pb.SIDE_BID,
        price_e4=_entry_price_e4(record, waits),
        storage=waits.storage,
        quantity_mWh=waits.quantity_mWh,
        min_fill_mWh=waits.min_fill_mWh,
        valid_to=waits.valid_to if waits.valid_to > record.slot else 0,
    )
    try:
        with ctx.branch() as inner:
            state.move(inner, state.WAITING, from_bech32(owner), escrow)
            state.add_totals(inner, waiting=-escrow)
            if not waits.storage:
                terms.count_shifting(inner, number, -1)
            cell = orders.trader(registry, inner, owner)
            orders.admit(inner, record, cell, msg, record.next_seq)
            seq, record.next_seq = record.next_seq, record.next_seq + 1
            inner.events.emit(event("order_moved", slot=record.slot, seq=seq, cell=owner, number=name))
    except ChainError:
        return False
    return True


def _entry_price_e4(record: pb.Slot, waits: pb.Waiting) -> int:
    """Its own price, or the edge of the slot's band where that is as good for it or better."""
    if waits.storage:
        return max(waits.price_e4, record.prices.floor_e4)
    return min(waits.price_e4, record.prices.cap_e4)


# What others ask


def cancel_waiting(registry: Registry, ctx: Context, msg: tx.MsgCancelWaiting) -> tx.MsgCancelWaitingResponse:
    """Take back what waits for a slot; raises NotAuthorized, NoSuchOrder."""
    cell = registry.cell_at(ctx, msg.cell)
    if cell is None:
        raise NotAuthorized(f"a registered cell is expected, {msg.cell} is none")
    found = next((item for item in waiting_of(ctx, cell.number) if item[0][2] == msg.number), None)
    if found is None:
        raise NoSuchOrder(f"nothing of {msg.cell} waits under number {msg.number}")
    place, waits = found
    ctx.app.delete(keys.waiting_key(*place))
    _end(ctx, registry, place, waits)
    return tx.MsgCancelWaitingResponse(refund=waits.escrow)


def waiting_of(ctx: Context, cell: int) -> list[tuple[Place, pb.Waiting]]:
    """What a cell has waiting: a look at every slot that something waits for, at most one day of them."""
    found, at = [], 0
    while (pair := next(iter(ctx.app.iterate(keys.WAITING, keys.WAITING + u64(at))), None)) is not None:
        slot = keys.slot_cell_number(pair[0][len(keys.WAITING) :])[0]
        prefix = keys.waiting_key(slot, cell, 0)[:-8]
        for key, raw in ctx.app.iterate(prefix):
            found.append((keys.slot_cell_number(key[len(keys.WAITING) :]), pb.Waiting.FromString(raw)))
        at = slot + 1
    return found
