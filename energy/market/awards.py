"""What orders got where it doesn't follow from two marginal orders: an award an order, one key a cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from cosmos_wire.protos import market as pb
from energy.market import keys, state, terms
from energy.market.clearing import BookOrder, own_price_e4
from energy.market.schedule import grid_mWh
from energy.market.settlement import Filled
from energy.mechanisms.book import Award
from energy.records import load_or_new, save
from energy.units import PERMILLE, amount_of, stored
from ibc_core.host import Context


def write(ctx: Context, slot: int, awards: Iterable[Award]) -> None:
    """Keep awards with their cells."""
    by_cell: dict[int, list[Award]] = {}
    for award in awards:
        by_cell.setdefault(award.order.cell, []).append(award)
    for cell, own in sorted(by_cell.items()):
        rows = [_row(award) for award in sorted(own, key=lambda award: award.order.seq)]
        save(ctx, keys.award_key(slot, cell), pb.OrderAwards(awards=rows))


def remove(ctx: Context, slot: int) -> None:
    """Take a slot's awards away."""
    for key in [key for key, _ in ctx.app.iterate(keys.awards_prefix(slot))]:
        ctx.app.delete(key)


def _row(award: Award) -> pb.OrderAward:
    row = pb.OrderAward(seq=award.order.seq, fill_mWh=award.fill_mWh, amount=str(award.amount))
    row.fee = str(award.fee) if award.fee else ""
    return row


def filled(ctx: Context, record: pb.Slot, orders: Sequence[BookOrder]) -> list[Filled]:
    """A cell's orders of a slot with what they got, after the factor of the network check."""
    return [_less_carried(ctx, record, got) for got in _filled(ctx, record, orders)]


def _less_carried(ctx: Context, record: pb.Slot, got: Filled) -> Filled:
    """What moved on to a later slot took its escrow along."""
    carried = terms.shift_of(ctx, record, got.order).carried_mWh
    if not carried:
        return got
    return replace(got, escrow=got.escrow - state.escrow_of(record.prices, got.order._replace(quantity_mWh=carried)))


def _filled(ctx: Context, record: pb.Slot, orders: Sequence[BookOrder]) -> list[Filled]:
    if not record.clearing.explicit:
        return [_by_margin(record, order) for order in orders]
    rows: dict[int, pb.OrderAward] = {}
    if orders:
        kept = load_or_new(ctx, keys.award_key(record.slot, orders[0].cell), pb.OrderAwards)
        rows = {row.seq: row for row in kept.awards}
    return [_by_award(record, order, rows.get(order.seq)) for order in orders]


def _by_margin(record: pb.Slot, order: BookOrder) -> Filled:
    fill = state.order_fill_mWh(record, order)
    return _account(record, order, fill, (amount_of(own_price_e4(order, record.clearing), fill), 0))


def _by_award(record: pb.Slot, order: BookOrder, row: pb.OrderAward | None) -> Filled:
    """Amounts follow the fill; rounding never takes an order beyond its limit, and never leaves the market short."""
    if row is None:
        return _account(record, order, 0, (0, 0))
    fill = row.fill_mWh * record.factor_permille // PERMILLE
    share = stored(row.amount) * fill
    amount = -(-share // row.fill_mWh) if order.side == keys.BID else share // row.fill_mWh
    return _account(record, order, fill, (amount, stored(row.fee) * fill // row.fill_mWh))


def _account(record: pb.Slot, order: BookOrder, fill: int, money: tuple[int, int]) -> Filled:
    """`money` is what the fill costs or earns, and the grid fee in it."""
    return Filled(
        order=order,
        fill_mWh=fill,
        amount=money[0],
        escrow=state.escrow_of(record.prices, order),
        grid_fee=money[1],
        grid_mWh=grid_mWh(order, fill, record.export_permille),
    )
