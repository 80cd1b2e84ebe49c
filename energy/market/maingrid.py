"""What a slot's orders leave to the main grid, fixed at SECURE: what levels 2 and 3 trade is certified with it.

    grid import   unserved parts of firm and critical bids
    grid export   unserved firm asks, and of flexible ones the largest certified part (`export_permille`)
    curtailed     what flexible asks neither sold nor let out
    residual      grid import - grid export

A flexible bid that isn't served waits for another slot: nobody buys for it elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cosmos_wire.protos import market as pb
from energy.market import keys, security
from energy.market.schedule import Filled, Sums, Tangents, add_to, fills
from energy.units import PERMILLE
from ibc_core.host import Context


@dataclass(slots=True, kw_only=True)
class _Tally:
    """A slot's orders added up, before anything is let out."""

    tangents: Tangents
    unserved_mWh: list[int] = field(default_factory=lambda: [0, 0, 0])  # by side
    firm_mWh: list[int] = field(default_factory=lambda: [0, 0, 0])  # of it, of firm orders
    unsold_mWh: list[int] = field(default_factory=list)  # of each flexible ask
    settled: Sums = field(default_factory=Sums)
    unsold: Sums = field(default_factory=Sums)

    def add(self, row: Filled) -> None:
        """Count an order."""
        order, fill = row
        rest, tangent = order.quantity_mWh - fill, self.tangents.of(order.cell)
        self.unserved_mWh[order.side] += rest
        if order.kind:
            self.firm_mWh[order.side] += rest
            add_to(self.settled, order, order.quantity_mWh, tangent)
            return
        if fill:
            add_to(self.settled, order, fill, tangent)
        if rest and order.side == keys.ASK:
            self.unsold_mWh.append(rest)
            add_to(self.unsold, order, rest, tangent)


def balance(ctx: Context, record: pb.Slot) -> None:
    """Work out what the main grid takes and gives at the record's clearing and factor, and note it in the record."""
    tally = _Tally(tangents=Tangents(ctx=ctx))
    for row in fills(ctx, record):
        tally.add(row)
    record.export_permille = security.let_out_permille(ctx, record, tally.settled, tally.unsold)
    let_out = _let_out_mWh(tally.unsold_mWh, record.export_permille)
    record.unserved_bid_mWh, record.unserved_ask_mWh = tally.unserved_mWh[keys.BID], tally.unserved_mWh[keys.ASK]
    record.grid_import_mWh = tally.firm_mWh[keys.BID]
    record.grid_export_mWh = tally.firm_mWh[keys.ASK] + let_out
    record.curtailed_mWh = record.unserved_ask_mWh - record.grid_export_mWh
    record.residual_mWh = record.grid_import_mWh - record.grid_export_mWh


def _let_out_mWh(unsold_mWh: Iterable[int], export_permille: int) -> int:
    """Each order's part is rounded down on its own, as in `schedule.grid_mWh`."""
    return sum(rest * export_permille // PERMILLE for rest in unsold_mWh)
