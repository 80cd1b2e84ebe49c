"""What the forward market has: products, orders, and the positions that they become.

A product is (first slot, number of slots): one energy in each of the slots at one price. A position counts as traded in
every slot of its product: it is scheduled whole, settled at the product's price, and no curtailment of the slot's own
auction touches it. What is delivered otherwise is imbalance as ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_forward as fw
from energy.grid.schedule import BusEnergy
from energy.market import keys, state
from energy.market.clearing import BookOrder
from energy.market.settlement import Filled
from energy.records import load, save
from energy.units import amount_of, stored
from ibc_core.host import Context

PRODUCT_BYTES = 11


class Held(NamedTuple):
    """An order or position of a cell."""

    first: int
    slots: int
    cell: int
    seq: int
    order: fw.ForwardOrder

    @property
    def product(self) -> bytes:
        """Key part of its product."""
        return keys.product_part(self.first, self.slots)

    def overlaps(self, first: int, last: int) -> bool:
        """Whether it has a slot of `first`..`last`."""
        return self.first <= last and first < self.first + self.slots


def product_of(ctx: Context, first: int, slots: int) -> fw.ForwardProduct | None:
    """A product that has orders or positions."""
    return load(ctx, keys.PRODUCTS + keys.product_part(first, slots), fw.ForwardProduct)


def products(ctx: Context) -> list[fw.ForwardProduct]:
    """All products, by first slot."""
    return [fw.ForwardProduct.FromString(raw) for _, raw in ctx.app.iterate(keys.PRODUCTS)]


def part_of(product: fw.ForwardProduct) -> bytes:
    """How keys name a product."""
    return keys.product_part(product.first_slot, product.slots)


def save_product(ctx: Context, product: fw.ForwardProduct) -> None:
    """Write a product back."""
    save(ctx, keys.PRODUCTS + part_of(product), product)


def covering(ctx: Context, slot: int) -> list[fw.ForwardProduct]:
    """Products that have the slot."""
    return [item for item in products(ctx) if item.first_slot <= slot < item.first_slot + item.slots]


def read_side(ctx: Context, product: fw.ForwardProduct, side: int) -> Iterator[tuple[BookOrder, bool]]:
    """Orders of a side in clearing order, and whether they want all or nothing."""
    prefix = keys.FORWARD_BOOK + part_of(product) + b"/" + bytes([side]) + b"/"
    for key, raw in ctx.app.iterate(prefix):
        entry = fw.ForwardEntry.FromString(raw)
        price_e4, seq = keys.price_seq_of(key[len(prefix) :], side)
        yield BookOrder(side, price_e4, seq, entry.cell, entry.bus, entry.quantity_mWh), entry.whole


def held_by(ctx: Context, cell: int) -> list[Held]:
    """A cell's orders and positions."""
    prefix, found = keys.FORWARDS_OF + cell.to_bytes(4, "big") + b"/", []
    for key, _ in ctx.app.iterate(prefix):
        tail = key[len(prefix) :]
        first, slots = int.from_bytes(tail[:8], "big"), int.from_bytes(tail[9:11], "big")
        seq = int.from_bytes(tail[12:], "big")
        order = load(ctx, keys.forward_key(tail[:PRODUCT_BYTES], cell, seq), fw.ForwardOrder)
        assert order is not None  # both keys are written and removed together
        found.append(Held(first, slots, cell, seq, order))
    return found


def pledged_mWh(ctx: Context, cell: int, side: int, edges: tuple[int, int]) -> int:
    """Energy a slot that a cell has on a side in the slots `edges`, as if all of it met in one of them."""
    found = [item for item in held_by(ctx, cell) if item.overlaps(*edges) and item.order.side == side]
    return sum(item.order.quantity_mWh for item in found)


def prefixes(ctx: Context, record: pb.Slot) -> list[bytes]:
    """Where the positions in a slot lie, by cell."""
    if not record.forwards:
        return []
    return [keys.FORWARDS + part_of(product) + b"/" for product in covering(ctx, record.slot)]


def positions(ctx: Context, record: pb.Slot) -> list[Held]:
    """Every position in a slot, product by product, by cell."""
    found = []
    for prefix in prefixes(ctx, record):
        first, slots = int.from_bytes(prefix[-12:-4], "big"), int.from_bytes(prefix[-3:-1], "big")
        for key, raw in ctx.app.iterate(prefix):
            cell, seq = int.from_bytes(key[-13:-9], "big"), int.from_bytes(key[-8:], "big")
            order = fw.ForwardOrder.FromString(raw)
            if order.position:
                found.append(Held(first, slots, cell, seq, order))
    return found


def filled(ctx: Context, record: pb.Slot, cell: int) -> list[Filled]:
    """A cell's positions in a slot as trades of it."""
    if not record.forwards:
        return []
    held = [item for item in held_by(ctx, cell) if item.overlaps(record.slot, record.slot) and item.order.position]
    return [_as_trade(item) for item in held]


def _as_trade(item: Held) -> Filled:
    order = item.order
    energy = order.quantity_mWh
    row = BookOrder(order.side, order.price_e4, item.seq, item.cell, order.bus, energy)
    return Filled(
        order=row, fill_mWh=energy, amount=amount_of(order.price_e4, energy), escrow=stored(order.escrow_slot)
    )


def on_buses(ctx: Context, slot: int) -> list[BusEnergy]:
    """What positions withdraw in a slot, by bus of each product: fixed, like the baseline."""
    found = [bus for product in covering(ctx, slot) for bus in product.buses]
    return [BusEnergy(bus=item.bus, base_p_mWh=item.p_mWh, base_q_mvarh=item.q_mvarh) for item in found]


def with_positions(ctx: Context, slot: int, baselines: list[BusEnergy]) -> list[BusEnergy]:
    """Baselines with what positions withdraw at the same buses, each bus once."""
    extra = on_buses(ctx, slot)
    if not extra:
        return baselines
    sums: dict[int, list[int]] = {}
    for item in (*baselines, *extra):
        row = sums.setdefault(item.bus, [0, 0])
        row[0] += item.base_p_mWh
        row[1] += item.base_q_mvarh
    return [BusEnergy(bus=bus, base_p_mWh=p, base_q_mvarh=q) for bus, (p, q) in sorted(sums.items())]


def move_waiting(ctx: Context, product: fw.ForwardProduct, account: bytes, amount: int) -> None:
    """From an account into what the product holds; a negative amount goes out to it."""
    state.move(ctx, account, state.WAITING, max(0, amount))
    state.move(ctx, state.WAITING, account, max(0, -amount))
    state.add_totals(ctx, waiting=amount)
    product.escrow = str(stored(product.escrow) + amount)
