"""The life of a product: cleared before its first slot opens, its escrow handed to each slot that opens, then gone.

BIDDING    -> AWARDING   at `closes_ms`, or when its first slot opens before that: uniform k-double auction
AWARDING   -> ACTIVE     background work: an order becomes a position or ends, what it doesn't need returns
ACTIVE     -> gone       all slots closed or skipped: what slots that never opened would have held returns
"""

from __future__ import annotations

from cosmos_wire.address import from_bech32
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_forward as fw
from energy.market import forward_book as book
from energy.market import keys, minimum, state
from energy.market.clearing import BookOrder, Rules, clear, fill_mWh
from energy.market.forward import remove
from energy.records import keys_of, load, save
from energy.registry import Registry
from energy.registry import state as registered
from energy.units import PERMILLE, stored
from ibc_core.host import Context, event

BIDDING, AWARDING, ACTIVE = fw.FORWARD_STATE_BIDDING, fw.FORWARD_STATE_AWARDING, fw.FORWARD_STATE_ACTIVE


def close_due(ctx: Context) -> None:
    """Clear the products whose time has come; before the slots' gates."""
    for product in book.products(ctx):
        if product.state == BIDDING and product.closes_ms <= ctx.env.time_ms:
            _clear(ctx, product)


def slot_opens(ctx: Context, record: pb.Slot) -> None:
    """Products hand the slot its share of their escrow."""
    for product in book.covering(ctx, record.slot):
        if product.state == BIDDING:
            _clear(ctx, product)
        product.opened += 1
        share = stored(product.escrow_slot)
        if share:
            book.move_waiting(ctx, product, state.ESCROW, -share)
            record.escrow = str(stored(record.escrow) + share)
            record.forwards += 1
        book.save_product(ctx, product)


def _clear(ctx: Context, product: fw.ForwardProduct) -> None:
    rows = [row for side in (keys.BID, keys.ASK) for row in book.read_side(ctx, product, side)]
    least = {order.seq: order.quantity_mWh for order, whole in rows if whole}
    orders = {order.seq: order for order, _ in rows}
    rules = _rules(product)

    def once(dropped: minimum.Dropped) -> pb.Clearing:
        left = [order for order, _ in rows if order.seq not in dropped]
        bids, asks = ([order for order in left if order.side == side] for side in (keys.BID, keys.ASK))
        found, _ = clear((iter(bids), iter(asks)), rules, {})
        found.dropped.extend(dropped)
        return found

    result = minimum.cleared(once, lambda found: lambda seq: fill_mWh(orders[seq], found, PERMILLE), least)
    product.clearing.CopyFrom(result)
    product.state = AWARDING
    _add_up(ctx, product, [order for order, _ in rows])
    book.save_product(ctx, product)
    ctx.events.emit(
        event(
            "forward_cleared",
            first_slot=product.first_slot,
            slots=product.slots,
            price_e4=result.price_e4,
            volume_mWh=result.volume_mWh,
            welfare=result.welfare,
        )
    )


def _rules(product: fw.ForwardProduct) -> Rules:
    return Rules(
        mechanism=pb.MECHANISM_UNIFORM_K,
        k_num=product.params.k_num,
        k_den=product.params.k_den,
        floor_e4=product.prices.floor_e4,
        cap_e4=product.prices.cap_e4,
    )


def _add_up(ctx: Context, product: fw.ForwardProduct, orders: list[BookOrder]) -> None:
    """What the positions hold a slot, and what they withdraw at each bus."""
    escrow, sums = 0, dict[int, list[int]]()
    for order in orders:
        got = _position(product, order)
        if not got.quantity_mWh:
            continue
        escrow += state.escrow_of(product.prices, got)
        signed = got.quantity_mWh if got.side == keys.BID else -got.quantity_mWh
        row = sums.setdefault(got.bus, [0, 0])
        row[0] += signed
        row[1] += signed * registered.cell(ctx, got.cell).tan_phi_permille
    product.escrow_slot = str(escrow)
    for bus, (p, q) in sorted(sums.items()):
        product.buses.add(bus=bus, p_mWh=p, q_mvarh=q // PERMILLE)


def _position(product: fw.ForwardProduct, order: BookOrder) -> BookOrder:
    """What an order came to: its fill at the product's price."""
    fill = fill_mWh(order, product.clearing, PERMILLE)
    return order._replace(price_e4=product.clearing.price_e4, quantity_mWh=fill)


# Background


def run(ctx: Context, registry: Registry, units: int) -> int:
    """Award cleared products and take past ones away, up to `units` orders; returns the units left."""
    for product in book.products(ctx):
        if units > 0 and product.state == AWARDING:
            units = _award(ctx, registry, product, units)
        if units > 0 and product.state == ACTIVE and _is_past(ctx, product):
            units = _take_away(ctx, registry, product, units)
    return units


def _award(ctx: Context, registry: Registry, product: fw.ForwardProduct, units: int) -> int:
    part, used = book.part_of(product), 0
    for side in (keys.BID, keys.ASK):
        for order, _ in list(book.read_side(ctx, product, side)):
            if used == units:
                break
            used += 1
            ctx.app.delete(keys.forward_book_key(part, side, order.price_e4, order.seq))
            _award_one(ctx, registry, product, order)
    if used < units:
        product.state = ACTIVE
        if not product.clearing.volume_mWh:
            ctx.app.delete(keys.PRODUCTS + part)
            return units - used
    book.save_product(ctx, product)
    return units - used


def _award_one(ctx: Context, registry: Registry, product: fw.ForwardProduct, order: BookOrder) -> None:
    part, owner = book.part_of(product), registry.cell(ctx, order.cell).address
    key = keys.forward_key(part, order.cell, order.seq)
    kept = load(ctx, key, fw.ForwardOrder)
    assert kept is not None  # an order's keys are written and removed together
    got = _position(product, order)
    needed = state.escrow_of(product.prices, got)
    refund = (stored(kept.escrow_slot) - needed) * product.slots
    if got.quantity_mWh:
        kept.price_e4, kept.quantity_mWh, kept.position = got.price_e4, got.quantity_mWh, True
        kept.escrow_slot = str(needed)
        save(ctx, key, kept)
    else:
        remove(ctx, part, (order.cell, order.seq))
    book.move_waiting(ctx, product, from_bech32(owner), -refund)
    ctx.events.emit(
        event(
            "forward_awarded",
            first_slot=product.first_slot,
            slots=product.slots,
            seq=order.seq,
            cell=owner,
            quantity_mWh=got.quantity_mWh,
            price_e4=product.clearing.price_e4,
            refund=refund,
        )
    )


def _is_past(ctx: Context, product: fw.ForwardProduct) -> bool:
    end = product.first_slot + product.slots
    first_live = min((entry.slot for entry in state.live(ctx).slots), default=end)
    return state.last_opened(ctx) + 1 >= end and first_live >= end


def _take_away(ctx: Context, registry: Registry, product: fw.ForwardProduct, units: int) -> int:
    """Slots that were skipped held nothing and traded nothing: their share returns."""
    part, void = book.part_of(product), product.slots - product.opened
    prefix = keys.FORWARDS + part + b"/"
    found = keys_of(ctx.app, prefix, units)
    for key in found:
        kept = load(ctx, key, fw.ForwardOrder)
        assert kept is not None  # just listed
        cell, seq = int.from_bytes(key[-13:-9], "big"), int.from_bytes(key[-8:], "big")
        remove(ctx, part, (cell, seq))
        refund = void * stored(kept.escrow_slot)
        book.move_waiting(ctx, product, from_bech32(registry.cell(ctx, cell).address), -refund)
    if len(found) == units:
        book.save_product(ctx, product)
        return 0
    ctx.app.delete(keys.PRODUCTS + part)
    event_of = event("forward_ended", first_slot=product.first_slot, slots=product.slots, opened=product.opened)
    ctx.events.emit(event_of)
    return units - len(found)
