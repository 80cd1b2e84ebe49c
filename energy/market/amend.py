"""Amending an order in one step: it never leaves the book without its successor being in it.

Less energy at the same price keeps the sequence: nobody behind the order loses by it. Another price or more energy is a
new order, behind those that are there. Terms beside price and quantity stay.
"""

from __future__ import annotations

from cosmos_wire.protos import market_tx as tx
from energy.errors import NoSuchOrder, QuantityOutOfRange
from energy.market import orders, sealed, state, storage, terms
from energy.market.life import Step, require_step
from energy.registry import Registry
from energy.units import QUANTITY_MAX_MWH, require_range
from ibc_core.host import Context, event


def amend_order(registry: Registry, ctx: Context, msg: tx.MsgAmendOrder) -> tx.MsgAmendOrderResponse:
    """Change price or quantity while the slot is BIDDING; raises what placing and cancelling raise."""
    record = state.slot_record(ctx, msg.slot)
    require_step(record, Step.CANCEL)
    sealed.require_open(record, "amended")
    cell = orders.trader(registry, ctx, msg.cell)
    old = state.book_order(ctx, msg.slot, cell.number, msg.seq)
    if old is None:
        raise NoSuchOrder(f"{msg.cell} has no order {msg.seq} in slot {msg.slot}")
    storage.require_none(ctx, record, old)
    keeps = msg.price_e4 == old.price_e4 and msg.quantity_mWh <= old.quantity_mWh
    new = old._replace(price_e4=msg.price_e4, quantity_mWh=msg.quantity_mWh, seq=old.seq if keeps else record.next_seq)
    least = terms.min_fill_of(ctx, record, old)
    bounds = max(1, least), QUANTITY_MAX_MWH
    require_range(new.quantity_mWh, bounds, "quantity_mWh of an order with this minimum", QuantityOutOfRange)
    with ctx.branch() as inner:
        entry, extra = orders.take_out(inner, record, msg.cell, old)
        escrow = orders.check_order(inner, record, cell, new)
        entry.quantity_mWh = new.quantity_mWh
        orders.put_in(inner, record, msg.cell, (new, entry, extra))
        if not keeps:
            record.next_seq += 1
        state.save_slot(inner, record)
        inner.events.emit(
            event(
                "order_amended",
                slot=record.slot,
                seq=old.seq,
                cell=msg.cell,
                new_seq=new.seq,
                price_e4=new.price_e4,
                quantity_mWh=new.quantity_mWh,
            )
        )
    return tx.MsgAmendOrderResponse(seq=new.seq, escrow=str(escrow))
