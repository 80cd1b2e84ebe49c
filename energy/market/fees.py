"""Grid fees on the store: a table for every slot from which on it holds."""

from __future__ import annotations

from cosmos_wire.protos import market as pb
from energy.errors import FeesMalformed
from energy.market import keys
from energy.mechanisms.fees import FeeTable, Levies, fee_table
from energy.records import save
from ibc_core.host import Context

FREE = pb.FeeTable(areas=[pb.FeeArea(to_e4=[0])])


def table_of(message: pb.FeeTable) -> FeeTable:
    """Check and build the table of a message; raises FeesMalformed."""
    areas: dict[int, int] = {}
    for number, area in enumerate(message.areas):
        for bus in area.buses:
            if bus in areas:
                raise FeesMalformed(f"bus {bus} has to be in one fee area, is in {areas[bus]} and {number}")
            areas[bus] = number
    levies = Levies(dno_e4=message.dno_e4, mo_e4=message.mo_e4, kinds=[area.kind for area in message.areas])
    return fee_table(areas, [list(area.to_e4) for area in message.areas], levies)


def charges(table: FeeTable) -> bool:
    """Whether any trade pays a fee."""
    return any(fee for row in table.pair_e4 for fee in row)


def find(ctx: Context, slot: int) -> pb.FeeTable | None:
    """The table that holds for a slot, None when it has no fees."""
    found = None
    for key, raw in ctx.app.iterate(keys.FEES):
        if key > keys.fees_key(slot):
            break
        found = pb.FeeTable.FromString(raw)
    return None if found is None or not charges(table_of(found)) else found


def change(ctx: Context, message: pb.FeeTable, slot: int, oldest_live: int) -> None:
    """From a slot on another table holds; those that no live slot needs go. Raises FeesMalformed."""
    message = message if message.areas else FREE
    table_of(message)
    before = [key for key, _ in ctx.app.iterate(keys.FEES) if key <= keys.fees_key(oldest_live)]
    for key in before[:-1]:
        ctx.app.delete(key)
    save(ctx, keys.fees_key(slot), message)
