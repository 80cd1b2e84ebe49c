"""Orders of the forward market: energy in each of several slots, placed and cancelled until the product is cleared.

An order escrows every slot's worst case at once, in `market/waiting`. `whole` makes it a block order: all of its energy
in all of its slots, or nothing. Products come into being with their first order.
"""

from __future__ import annotations

from cosmos_wire.address import from_bech32
from cosmos_wire.errors import InvalidRequest
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_forward as fw
from cosmos_wire.protos import market_tx as tx
from cosmos_wire.protos import registry as registry_pb
from energy.errors import (
    InsufficientBalance,
    NoForward,
    NoSuchOrder,
    NotAuthorized,
    PriceOutOfBand,
    QuantityOutOfRange,
    TooManyOrders,
    WrongState,
)
from energy.market import forward_book as book
from energy.market import keys, orders, state
from energy.market.clearing import BookOrder
from energy.market.clock import Gate, gate_ms
from energy.records import load, save
from energy.registry import Registry
from energy.units import QUANTITY_MAX_MWH, require_range, slot_energy_mWh, stored
from ibc_core import bank
from ibc_core.host import Context, event

SLOTS_MAX = 96
AHEAD_MAX = 960  # slots from the last opened one
PRODUCTS_MAX = 32
ORDERS_MAX = 500  # a product
OWN_MAX = 8  # orders and positions of a cell
BIDDING = fw.FORWARD_STATE_BIDDING


def place_forward(registry: Registry, ctx: Context, msg: tx.MsgPlaceForward) -> tx.MsgPlaceForwardResponse:
    """Add an order to a product; raises what placing an order raises, NoForward, WrongState."""
    cell = orders.trader(registry, ctx, msg.cell)
    product = _product_for(ctx, msg)
    order = BookOrder(msg.side, msg.price_e4, product.next_seq, cell.number, cell.bus, msg.quantity_mWh)
    _check(ctx, product, cell, order)
    escrow = state.escrow_of(product.prices, order)
    held = state.held(ctx, from_bech32(msg.cell))
    if held < escrow * product.slots:
        raise InsufficientBalance(
            f"an escrow of {escrow} in each of {product.slots} slots is needed, {msg.cell} holds {held}"
        )
    bank.block_recipient(ctx, state.WAITING, state.WAITING_NAME)
    _write(ctx, product, order, whole=msg.whole)
    book.move_waiting(ctx, product, from_bech32(msg.cell), escrow * product.slots)
    product.next_seq += 1
    product.orders += 1
    product.blocks += msg.whole
    book.save_product(ctx, product)
    _emit(ctx, "forward_placed", product, (msg.cell, order))
    return tx.MsgPlaceForwardResponse(seq=order.seq, escrow=str(escrow * product.slots))


def cancel_forward(registry: Registry, ctx: Context, msg: tx.MsgCancelForward) -> tx.MsgCancelForwardResponse:
    """Take an order back until its product is cleared; raises NotAuthorized, NoSuchOrder, WrongState."""
    cell = registry.cell_at(ctx, msg.cell)
    if cell is None:
        raise NotAuthorized(f"a registered cell is expected, {msg.cell} is none")
    product = book.product_of(ctx, msg.first_slot, _slots(msg.slots))
    if product is None:
        raise NoSuchOrder(f"no product has {msg.slots} slots from {msg.first_slot}")
    _require_bidding(ctx, product)
    part = book.part_of(product)
    kept = load(ctx, keys.forward_key(part, cell.number, msg.seq), fw.ForwardOrder)
    if kept is None:
        raise NoSuchOrder(f"{msg.cell} has no order {msg.seq} of {msg.slots} slots from {msg.first_slot}")
    refund = stored(kept.escrow_slot) * product.slots
    order = BookOrder(kept.side, kept.price_e4, msg.seq, cell.number, kept.bus, kept.quantity_mWh)
    ctx.app.delete(keys.forward_book_key(part, order.side, order.price_e4, order.seq))
    remove(ctx, part, (cell.number, msg.seq))
    book.move_waiting(ctx, product, from_bech32(msg.cell), -refund)
    product.orders -= 1
    product.blocks -= kept.whole
    if product.orders:
        book.save_product(ctx, product)
    else:
        ctx.app.delete(keys.PRODUCTS + part)
    _emit(ctx, "forward_cancelled", product, (msg.cell, order))
    return tx.MsgCancelForwardResponse(refund=str(refund))


def remove(ctx: Context, part: bytes, owner: tuple[int, int]) -> None:
    """Take an order or position (cell, sequence) of a product away."""
    cell, seq = owner
    ctx.app.delete(keys.forward_key(part, cell, seq))
    ctx.app.delete(keys.forward_of_key(cell, part, seq))


def _slots(number: int) -> int:
    require_range(number, (1, SLOTS_MAX), "slots", InvalidRequest)
    return number


def _product_for(ctx: Context, msg: tx.MsgPlaceForward) -> fw.ForwardProduct:
    found = book.product_of(ctx, msg.first_slot, _slots(msg.slots))
    if found is None:
        return _new_product(ctx, msg)
    _require_bidding(ctx, found)
    if found.orders >= ORDERS_MAX:
        raise TooManyOrders(f"a product has at most {ORDERS_MAX} orders, has {found.orders}")
    return found


def _new_product(ctx: Context, msg: tx.MsgPlaceForward) -> fw.ForwardProduct:
    params, last = state.params(ctx), state.last_opened(ctx)
    if not params.forward_lead:
        raise NoForward("the forward market needs the parameter forward_lead, which is 0")
    bounds = last + 1, last + AHEAD_MAX
    require_range(msg.first_slot, bounds, "first_slot", QuantityOutOfRange)
    if len(book.products(ctx)) >= PRODUCTS_MAX:
        raise TooManyOrders(f"there are at most {PRODUCTS_MAX} products at a time")
    product = fw.ForwardProduct(
        first_slot=msg.first_slot,
        slots=msg.slots,
        closes_ms=gate_ms(params, msg.first_slot, Gate.OPEN) - params.forward_lead * params.slot_ms,
        state=BIDDING,
        next_seq=1,
        params=params,
        prices=state.frozen_prices(params),
    )
    _require_bidding(ctx, product)
    return product


def _require_bidding(ctx: Context, product: fw.ForwardProduct) -> None:
    if product.state != BIDDING or ctx.env.time_ms >= product.closes_ms:
        name = fw.ForwardState.Name(product.state).removeprefix("FORWARD_STATE_")
        raise WrongState(f"the product took orders until {product.closes_ms} ms of block time, it is {name}")


def _check(ctx: Context, product: fw.ForwardProduct, cell: registry_pb.Cell, order: BookOrder) -> None:
    if order.side not in (keys.BID, keys.ASK):
        raise InvalidRequest(f"side has to be SIDE_BID or SIDE_ASK, got {order.side}")
    band = product.prices.floor_e4, product.prices.cap_e4
    require_range(order.price_e4, band, "price_e4", PriceOutOfBand)
    require_range(order.quantity_mWh, (1, QUANTITY_MAX_MWH), "quantity_mWh", QuantityOutOfRange)
    own = len(book.held_by(ctx, cell.number))
    if own >= OWN_MAX:
        raise TooManyOrders(f"a cell has at most {OWN_MAX} forward orders and positions, has {own}")
    edges = product.first_slot, product.first_slot + product.slots - 1
    rating = slot_energy_mWh(cell.max_import_W if order.side == keys.BID else cell.max_export_W)
    total = order.quantity_mWh + book.pledged_mWh(ctx, cell.number, order.side, edges)
    require_range(total, (0, rating), "energy a slot of a side, up to the rating,", QuantityOutOfRange)
    orders.check_standing(product.params, cell, order.side)


def _write(ctx: Context, product: fw.ForwardProduct, order: BookOrder, *, whole: bool) -> None:
    part = book.part_of(product)
    entry = fw.ForwardEntry(cell=order.cell, bus=order.bus, quantity_mWh=order.quantity_mWh, whole=whole)
    save(ctx, keys.forward_book_key(part, order.side, order.price_e4, order.seq), entry)
    kept = fw.ForwardOrder(
        price_e4=order.price_e4,
        quantity_mWh=order.quantity_mWh,
        whole=whole,
        bus=order.bus,
        escrow_slot=str(state.escrow_of(product.prices, order)),
    )
    kept.side = pb.Side.ValueType(order.side)
    save(ctx, keys.forward_key(part, order.cell, order.seq), kept)
    ctx.app.set(keys.forward_of_key(order.cell, part, order.seq), b"1")


def _emit(ctx: Context, kind: str, product: fw.ForwardProduct, placed: tuple[str, BookOrder]) -> None:
    cell, order = placed
    ctx.events.emit(
        event(
            kind,
            first_slot=product.first_slot,
            slots=product.slots,
            seq=order.seq,
            cell=cell,
            side="bid" if order.side == keys.BID else "ask",
            price_e4=order.price_e4,
            quantity_mWh=order.quantity_mWh,
        )
    )
