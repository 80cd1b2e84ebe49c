"""What orders mean physically, and the schedule of a slot that follows: certified, sealed, delivered.

    FLEXIBLE bid    drawn as far as it is filled                        FLEXIBLE ask   fed in: fill + let out
    FIRM, CRITICAL  drawn or fed in whole; what isn't filled is with the main grid
    let out         (quantity - fill) * export_permille // 1000
    p of a bus      baseline + bids drawn - asks fed in                 q   baseline + tan phi of the cell * its p

Fills are those after the factor of the network check.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from cosmos_wire.protos import market as pb
from energy.market import keys
from energy.market.clearing import BookOrder, fill_mWh, read_side
from energy.mechanisms.book import Outcome
from energy.registry import state as registered
from energy.units import PERMILLE
from ibc_core.host import Context, Store

FLEXIBLE = pb.ORDER_KIND_FLEXIBLE


def grid_mWh(order: BookOrder, fill: int, export_permille: int) -> int:
    """The part of an order that isn't filled and is with the main grid all the same."""
    if order.kind != FLEXIBLE:
        return order.quantity_mWh - fill
    return (order.quantity_mWh - fill) * export_permille // PERMILLE if order.side == keys.ASK else 0


class Filled(NamedTuple):
    """An order of the book and its fill."""

    order: BookOrder
    fill_mWh: int


def fills(ctx: Context, record: pb.Slot) -> Iterator[Filled]:
    """Every order of a slot with its fill after the factor, bids then asks in book order."""
    factor = record.factor_permille if record.HasField("clearing") else 0
    awarded = _awarded(ctx, record.slot) if record.clearing.explicit else None
    for order, fill in whole_fills(ctx.app, record.slot, record.clearing, awarded):
        yield Filled(order, fill * factor // PERMILLE)


def whole_fills(
    store: Store, slot: int, clearing: pb.Clearing, awarded: Mapping[int, int] | None
) -> Iterator[tuple[BookOrder, int]]:
    """Every order with its fill at factor 1000; `awarded` by sequence where fills don't follow from marginal orders."""
    for side in (keys.BID, keys.ASK):
        orders = read_side(store, slot, side)
        if awarded is not None:
            yield from ((order, awarded.get(order.seq, 0)) for order in orders)
        elif clearing.cuts or clearing.dropped:
            yield from ((order, fill_mWh(order, clearing, PERMILLE)) for order in orders)
        else:
            yield from _by_margin(orders, clearing, side)


def _by_margin(orders: Iterator[BookOrder], clearing: pb.Clearing, side: int) -> Iterator[tuple[BookOrder, int]]:
    """In book order: whole before the marginal order, nothing behind it."""
    marginal = clearing.bid if side == keys.BID else clearing.ask
    last, passed = marginal.seq, clearing.volume_mWh == 0
    for order in orders:
        if passed:
            yield order, 0
        elif order.seq == last:
            passed = True
            yield order, marginal.part_mWh
        else:
            yield order, order.quantity_mWh


def _awarded(ctx: Context, slot: int) -> dict[int, int]:
    rows = (pb.OrderAwards.FromString(raw).awards for _, raw in ctx.app.iterate(keys.awards_prefix(slot)))
    return {row.seq: row.fill_mWh for own in rows for row in own}


def awarded_by(outcome: Outcome | None) -> dict[int, int] | None:
    """Fills of an outcome that isn't written yet, by sequence; None where they follow from marginal orders."""
    if outcome is None:
        return None
    return {award.order.seq: award.fill_mWh for award in (*outcome.bids, *outcome.asks)}


@dataclass(slots=True, kw_only=True)
class BusSum:
    """Energies of a bus, withdrawal positive; reactive ones in permille of a mvarh."""

    p_mWh: int = 0
    q_permille: int = 0
    orders: int = 0
    tangents_permille: int = 0  # sum over the orders

    def add(self, energy_mWh: int, tangent_permille: int) -> None:
        """Add what one order draws."""
        self.p_mWh += energy_mWh
        self.q_permille += energy_mWh * tangent_permille
        self.orders += 1
        self.tangents_permille += tangent_permille


Sums = dict[int, BusSum]


@dataclass(slots=True, kw_only=True)
class Tangents:
    """tan phi of cells in permille, read once each."""

    ctx: Context
    known: dict[int, int] = field(default_factory=dict)

    def of(self, cell: int) -> int:
        """One cell's."""
        found = self.known.get(cell)
        if found is None:
            found = self.known[cell] = registered.cell(self.ctx, cell).tan_phi_permille
        return found


def add_to(sums: Sums, order: BookOrder, energy_mWh: int, tangent_permille: int) -> None:
    """Add what an order draws (a bid) or feeds in (an ask) to its bus."""
    found = sums.get(order.bus)
    if found is None:
        found = sums[order.bus] = BusSum()
    found.add(energy_mWh if order.side == keys.BID else -energy_mWh, tangent_permille)


def summed(ctx: Context, orders: Iterable[tuple[BookOrder, int]], factor_permille: int) -> Sums:
    """What orders draw and feed in by bus, given their whole fills: firm ones whole, others' fills under a factor."""
    sums, tangents = Sums(), Tangents(ctx=ctx)
    for order, fill in orders:
        energy = fill * factor_permille // PERMILLE if order.kind == FLEXIBLE else order.quantity_mWh
        add_to(sums, order, energy, tangents.of(order.cell))
    return sums
