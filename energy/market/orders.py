"""Placing and cancelling orders. An order escrows its own worst case when it is placed; a cancel returns all of it."""

from __future__ import annotations

from cosmos_wire.address import from_bech32
from cosmos_wire.errors import InvalidRequest
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_tx as tx
from cosmos_wire.protos import registry as registry_pb
from energy.errors import (
    CellNotActive,
    InsufficientBalance,
    InsufficientCollateral,
    NoSuchOrder,
    NotAuthorized,
    PriceOutOfBand,
    QuantityOutOfRange,
    ScoreTooLow,
    TooManyOrders,
)
from energy.market import keys, sealed, state, storage, terms
from energy.market.clearing import BookOrder
from energy.market.forward_book import pledged_mWh
from energy.market.life import Step, require_step
from energy.records import keys_of, load_or_new, save
from energy.registry import Registry
from energy.units import PERMILLE, QUANTITY_MAX_MWH, amount_of, require_range, slot_energy_mWh, stored
from ibc_core.host import Context, event

KINDS = {
    number: name.removeprefix("ORDER_KIND_").lower() for name, number in pb.OrderKind.items()
}  # as events say them


def place_order(registry: Registry, ctx: Context, msg: tx.MsgPlaceOrder) -> tx.MsgPlaceOrderResponse:
    """Add an order to a slot's book; raises what section 7 of the slot protocol lists."""
    record = state.slot_record(ctx, msg.slot)
    require_step(record, Step.PLACE)
    sealed.require_open(record, "placed")
    cell, seq = trader(registry, ctx, msg.cell), record.next_seq
    escrow = admit(ctx, record, cell, msg, seq)
    record.next_seq += 1
    state.save_slot(ctx, record)
    return tx.MsgPlaceOrderResponse(seq=seq, escrow=str(escrow))


def admit(ctx: Context, record: pb.Slot, cell: registry_pb.Cell, msg: tx.MsgPlaceOrder, seq: int) -> int:
    """Check an order and put it into the book under a sequence; returns its escrow. The caller saves the record."""
    order = BookOrder(msg.side, msg.price_e4, seq, cell.number, cell.bus, msg.quantity_mWh, msg.kind)
    _check_threshold(record, msg)
    terms.check_terms(ctx, record, cell.number, msg)
    storage.check_order(ctx, record, cell.number, msg)
    escrow = check_order(ctx, record, cell, order)
    entry = pb.BookEntry(cell=order.cell, bus=order.bus, quantity_mWh=order.quantity_mWh, kind=msg.kind)
    entry.min_score_permille = msg.min_score_permille
    put_in(ctx, record, msg.cell, (order, entry, (msg.min_fill_mWh, msg.valid_to)))
    storage.keep(ctx, record, order, msg)
    _emit(ctx, "order_placed", record, msg.cell, order)
    return escrow


def cancel_order(registry: Registry, ctx: Context, msg: tx.MsgCancelOrder) -> tx.MsgCancelOrderResponse:
    """Take an order back while the slot is BIDDING; its whole escrow returns."""
    record = state.slot_record(ctx, msg.slot)
    require_step(record, Step.CANCEL)
    sealed.require_open(record, "cancelled")
    cell = registry.cell_at(ctx, msg.cell)
    order = state.book_order(ctx, msg.slot, cell.number, msg.seq) if cell is not None else None
    if order is None:
        raise NoSuchOrder(f"{msg.cell} has no order {msg.seq} in slot {msg.slot}")
    take_out(ctx, record, msg.cell, order)
    state.save_slot(ctx, record)
    _emit(ctx, "order_cancelled", record, msg.cell, order)
    return tx.MsgCancelOrderResponse(refund=str(state.escrow_of(record.prices, order)))


Kept = tuple[BookOrder, pb.BookEntry, tuple[int, int]]  # an order, its value in the book, its terms


def put_in(ctx: Context, record: pb.Slot, owner: str, kept: Kept) -> None:
    """Write an order that has been checked, count it in the record, and take its escrow."""
    order, entry, extra = kept
    slot, escrow = record.slot, state.escrow_of(record.prices, order)
    state.move(ctx, from_bech32(owner), state.ESCROW, escrow)
    save(ctx, keys.book_key(slot, order.side, order.price_e4, order.seq), entry)
    ctx.app.set(keys.order_key(slot, order.cell, order.seq), state.written_ref(order.side, order.price_e4))
    terms.keep(ctx, record, order, extra)
    _count(record, order, escrow, 1)


def take_out(ctx: Context, record: pb.Slot, owner: str, order: BookOrder) -> tuple[pb.BookEntry, tuple[int, int]]:
    """Remove an order, return its escrow; gives what the book had of it and its terms."""
    key = keys.book_key(record.slot, order.side, order.price_e4, order.seq)
    entry = load_or_new(ctx, key, pb.BookEntry)
    ctx.app.delete(key)
    ctx.app.delete(keys.order_key(record.slot, order.cell, order.seq))
    escrow = state.escrow_of(record.prices, order)
    _count(record, order, escrow, -1)
    storage.forget(ctx, record, order)
    state.move(ctx, state.ESCROW, from_bech32(owner), escrow)
    return entry, terms.forget(ctx, record, order)


def collateral_required(params: pb.Params, cell: registry_pb.Cell) -> int:
    """Base units that a cell has to hold to place orders: every live slot at full import and the highest penalty."""
    pen_e4 = params.penalty_permille * params.cap_e4 // 1000
    return amount_of(params.up_e4 + pen_e4, slot_energy_mWh(cell.max_import_W)) * params.max_live_slots


def trader(registry: Registry, ctx: Context, address: str) -> registry_pb.Cell:
    """The cell of an account that may place orders; raises NotAuthorized, CellNotActive."""
    cell = registry.cell_at(ctx, address)
    if cell is None:
        raise NotAuthorized(f"orders are placed by registered cells, {address} is none")
    if cell.status != registry_pb.STATUS_ACTIVE:
        raise CellNotActive(f"{cell.id} has to be ACTIVE, is {registry_pb.Status.Name(cell.status)}")
    if stored(cell.arrears):
        raise CellNotActive(f"{cell.id} is suspended until its arrears of {cell.arrears} are paid by MsgDeposit")
    return cell


def check_order(ctx: Context, record: pb.Slot, cell: registry_pb.Cell, order: BookOrder) -> int:
    """The escrow that an order needs; raises what makes it no order of this slot."""
    if order.side not in (keys.BID, keys.ASK):
        raise InvalidRequest(f"side has to be SIDE_BID or SIDE_ASK, got {order.side}")
    prices = record.prices
    require_range(order.price_e4, (prices.floor_e4, prices.cap_e4), "price_e4", PriceOutOfBand)
    _check_kind(order, prices.cap_e4)
    require_range(order.quantity_mWh, (1, QUANTITY_MAX_MWH), "quantity_mWh", QuantityOutOfRange)
    _check_cell_total(ctx, record, cell, order)
    check_standing(record.params, cell, order.side)
    escrow = state.escrow_of(prices, order)
    held = state.held(ctx, from_bech32(cell.address))
    if held < escrow:
        raise InsufficientBalance(f"an escrow of {escrow}{record.params.denom} is needed, {cell.address} holds {held}")
    return escrow


def _check_kind(order: BookOrder, cap_e4: int) -> None:
    """A critical order is a bid at the cap: then its price alone serves it first."""
    if order.kind not in KINDS:
        raise InvalidRequest(f"kind has to be one of {pb.OrderKind.keys()}, got {order.kind}")
    if order.kind != pb.ORDER_KIND_CRITICAL:
        return
    if order.side != keys.BID:
        raise InvalidRequest(f"a critical order has to be a bid, got side {order.side}")
    if order.price_e4 != cap_e4:
        raise PriceOutOfBand(f"a critical bid is at the slot's cap {cap_e4}, got {order.price_e4}")


def _check_cell_total(ctx: Context, record: pb.Slot, cell: registry_pb.Cell, order: BookOrder) -> None:
    others = state.orders_of(ctx, record.slot, cell.number)
    check_room(ctx, record, cell.number, len(others))
    rating_W = cell.max_import_W if order.side == keys.BID else cell.max_export_W
    total = order.quantity_mWh + sum([other.quantity_mWh for other in others if other.side == order.side])
    total += pledged_mWh(ctx, cell.number, order.side, (record.slot, record.slot)) if record.forwards else 0
    if total > slot_energy_mWh(rating_W):
        raise QuantityOutOfRange(
            f"orders of a side may add up to the rating, {slot_energy_mWh(rating_W)} mWh, would be {total}"
        )


def check_room(ctx: Context, record: pb.Slot, cell: int, open_orders: int) -> None:
    """One more order, sealed ones counted; raises TooManyOrders."""
    own, params, commits = open_orders, record.params, record.commits
    if commits:
        own += len(keys_of(ctx.app, keys.commits_prefix(record.slot, cell), params.max_orders_per_cell))
    if own >= params.max_orders_per_cell:
        raise TooManyOrders(f"a cell has at most {params.max_orders_per_cell} orders a slot, has {own}")
    total = record.orders + commits
    if total >= params.max_orders_per_slot:
        raise TooManyOrders(f"a slot has at most {params.max_orders_per_slot} orders, has {total}")


def check_standing(params: pb.Params, cell: registry_pb.Cell, side: int) -> None:
    """Readings, score and collateral that orders need; raises CellNotActive, ScoreTooLow, InsufficientCollateral."""
    if cell.missed >= params.missed_before_suspension:
        raise CellNotActive(f"{cell.id} missed the readings of {cell.missed} slots in a row; a reading lifts this")
    if side == keys.ASK and cell.score_permille < params.min_score_permille:
        raise ScoreTooLow(f"asks need a score of {params.min_score_permille}, {cell.id} has {cell.score_permille}")
    needed, has = collateral_required(params, cell), stored(cell.collateral)
    if has < needed:
        raise InsufficientCollateral(f"collateral has to be at least {needed}{params.denom}, {cell.id} has {has}")


def _check_threshold(record: pb.Slot, msg: tx.MsgPlaceOrder) -> None:
    """Raises InvalidRequest for a threshold that the slot's mechanism would not look at."""
    require_range(msg.min_score_permille, (0, PERMILLE), "min_score_permille")
    heard = record.params.mechanism == pb.MECHANISM_GREEDY and msg.side == keys.BID
    if msg.min_score_permille and not heard:
        name = pb.Mechanism.Name(record.params.mechanism)
        raise InvalidRequest(f"min_score_permille is for bids of the greedy match, this is side {msg.side} of {name}")


def _count(record: pb.Slot, order: BookOrder, escrow: int, sign: int) -> None:
    record.orders += sign
    record.escrow = str(stored(record.escrow) + sign * escrow)
    if order.side == keys.BID:
        record.bid_mWh += sign * order.quantity_mWh
    else:
        record.ask_mWh += sign * order.quantity_mWh


def _emit(ctx: Context, kind: str, record: pb.Slot, cell: str, order: BookOrder) -> None:
    ctx.events.emit(
        event(
            kind,
            slot=record.slot,
            seq=order.seq,
            cell=cell,
            side="bid" if order.side == keys.BID else "ask",
            price_e4=order.price_e4,
            quantity_mWh=order.quantity_mWh,
            order_kind=KINDS[pb.OrderKind.ValueType(order.kind)],
        )
    )
