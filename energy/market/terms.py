"""What an order may say beyond price and quantity: a least fill, and the last slot that its unserved part moves to.

Both lie beside the book, so that clearing and settlement cost nothing more where nobody uses them.
"""

from __future__ import annotations

from cosmos_wire.errors import InvalidRequest
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_tx as tx
from energy.errors import QuantityOutOfRange, TooManyOrders
from energy.market import keys
from energy.market.clearing import BookOrder
from energy.records import load, load_int, save, save_int
from energy.units import require_range
from ibc_core.host import Context

MINIMUMS_MAX = 200  # a slot
SHIFTABLE_MAX = 8  # a cell
VALID_SLOTS_MAX = 96
# Where an order without the others' knowledge may say "at least so much": fills go by merit, prices are common or own.
MINIMUMS_HEARD = (pb.MECHANISM_UNIFORM_K, pb.MECHANISM_LAO, pb.MECHANISM_FRO, pb.MECHANISM_PAY_AS_BID)


def check_terms(ctx: Context, record: pb.Slot, cell: int, msg: tx.MsgPlaceOrder) -> None:
    """Raises InvalidRequest, QuantityOutOfRange, TooManyOrders."""
    if msg.min_fill_mWh:
        require_range(msg.min_fill_mWh, (1, msg.quantity_mWh), "min_fill_mWh", QuantityOutOfRange)
        _check_minimum(record)
    if msg.valid_to:
        if msg.side != keys.BID or msg.kind != pb.ORDER_KIND_FLEXIBLE:
            raise InvalidRequest(f"valid_to is for flexible bids, got side {msg.side}, kind {msg.kind}")
        bounds = msg.slot + 1, msg.slot + VALID_SLOTS_MAX
        require_range(msg.valid_to, bounds, "valid_to")
        if load_int(ctx, keys.shifting_key(cell)) >= SHIFTABLE_MAX:
            raise TooManyOrders(f"a cell has at most {SHIFTABLE_MAX} bids that move on, cell {cell} has as many")


def _check_minimum(record: pb.Slot) -> None:
    if record.params.mechanism not in MINIMUMS_HEARD:
        name = pb.Mechanism.Name(record.params.mechanism)
        raise InvalidRequest(f"min_fill_mWh is for uniform prices and pay as bid, the slot is cleared by {name}")
    if record.minimums >= MINIMUMS_MAX:
        raise TooManyOrders(f"a slot has at most {MINIMUMS_MAX} orders with a minimum fill, has {record.minimums}")


def keep(ctx: Context, record: pb.Slot, order: BookOrder, terms: tuple[int, int]) -> None:
    """Write an order's terms (least fill in mWh, last slot; 0: none) and count them in the slot's record."""
    least, valid_to = terms
    if least:
        save(ctx, keys.minimum_key(record.slot, order.seq), pb.MinFill(cell=order.cell, min_fill_mWh=least))
        record.minimums += 1
    if valid_to:
        save(ctx, keys.shift_key(record.slot, order.cell, order.seq), pb.Shift(valid_to=valid_to))
        record.shiftable += 1
        count_shifting(ctx, order.cell, 1)


def forget(ctx: Context, record: pb.Slot, order: BookOrder) -> tuple[int, int]:
    """Take an order's terms away; returns them."""
    least, valid_to = min_fill_of(ctx, record, order), valid_to_of(ctx, record, order)
    if least:
        ctx.app.delete(keys.minimum_key(record.slot, order.seq))
        record.minimums -= 1
    if valid_to:
        ctx.app.delete(keys.shift_key(record.slot, order.cell, order.seq))
        record.shiftable -= 1
        count_shifting(ctx, order.cell, -1)
    return least, valid_to


def count_shifting(ctx: Context, cell: int, step: int) -> None:
    """A bid that moves on begins or ends."""
    key = keys.shifting_key(cell)
    save_int(ctx, key, load_int(ctx, key) + step)


def min_fill_of(ctx: Context, record: pb.Slot, order: BookOrder) -> int:
    """Least fill of an order in mWh, 0 when it takes anything."""
    kept = load(ctx, keys.minimum_key(record.slot, order.seq), pb.MinFill) if record.minimums else None
    return 0 if kept is None else kept.min_fill_mWh


def valid_to_of(ctx: Context, record: pb.Slot, order: BookOrder) -> int:
    """Last slot that an order's unserved part moves to, 0 when it stays."""
    return shift_of(ctx, record, order).valid_to


def shift_of(ctx: Context, record: pb.Slot, order: BookOrder) -> pb.Shift:
    """How an order's unserved part moves on; empty when it stays."""
    kept = load(ctx, keys.shift_key(record.slot, order.cell, order.seq), pb.Shift) if record.shiftable else None
    return pb.Shift() if kept is None else kept


def minimums(ctx: Context, record: pb.Slot) -> dict[int, pb.MinFill]:
    """Least fills of a slot's orders by sequence."""
    if not record.minimums:
        return {}
    prefix = keys.minimums_prefix(record.slot)
    pairs = ctx.app.iterate(prefix)
    return {int.from_bytes(key[len(prefix) :], "big"): pb.MinFill.FromString(raw) for key, raw in pairs}
