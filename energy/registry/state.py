"""The registry's records and their keys on the `app` store.

rg/p                          Params
rg/n                          number of the last registered cell, decimal
rg/c/ <cell u32>              Cell
rg/i/ <id>                    number of the cell, decimal
rg/a/ <address bytes>         number of the cell, decimal
rg/d/ <device id>             Device
rg/e/ <cell u32> / <device>   1: the device belongs to the cell
rg/f/cur, rg/f/next           Feeder in force; feeder from the next OPEN
rg/b/ <bus u16>               BusRatings: of the cells there that aren't removed
rg/x/ <id>                    1: a status of this cell or device changes at the next OPEN
"""

from __future__ import annotations

from cosmos_wire.address import from_bech32
from cosmos_wire.protos import registry as pb
from energy.errors import Unknown
from energy.records import load, load_int, load_or_new, save, save_int, u16, u32
from ibc_core.host import Context

PARAMS = b"rg/p"
COUNT = b"rg/n"
CELLS = b"rg/c/"
IDS = b"rg/i/"
ADDRESSES = b"rg/a/"
DEVICES = b"rg/d/"
DEVICES_OF = b"rg/e/"
FEEDER = b"rg/f/cur"
FEEDER_NEXT = b"rg/f/next"
RATINGS = b"rg/b/"
CHANGES = b"rg/x/"


def params(ctx: Context) -> pb.Params:
    """The utility cell and the microgrid's name."""
    return load_or_new(ctx, PARAMS, pb.Params)


def cell(ctx: Context, number: int) -> pb.Cell:
    """A cell by its number; raises Unknown."""
    found = load(ctx, CELLS + u32(number), pb.Cell)
    if found is None:
        raise Unknown(f"no cell has the number {number}")
    return found


def cell_at(ctx: Context, address: str) -> pb.Cell | None:
    """The cell of an account, None when it has none."""
    number = load_int(ctx, ADDRESSES + from_bech32(address))
    return cell(ctx, number) if number else None


def cell_of_id(ctx: Context, text: str) -> pb.Cell | None:
    """The cell of an identity."""
    number = load_int(ctx, IDS + text.encode())
    return cell(ctx, number) if number else None


def find_cell(ctx: Context, text: str) -> pb.Cell:
    """A cell by identity or by account; raises Unknown."""
    found = cell_of_id(ctx, text) if "@" in text else cell_at(ctx, text)
    if found is None:
        raise Unknown(f"no cell has the identity or account {text[:100]!r}")
    return found


def save_cell(ctx: Context, record: pb.Cell) -> None:
    """Write a cell back."""
    save(ctx, CELLS + u32(record.number), record)


def add_cell(ctx: Context, record: pb.Cell) -> int:
    """Give a new cell the next number and write it with its indices."""
    record.number = load_int(ctx, COUNT) + 1
    save_int(ctx, COUNT, record.number)
    save_cell(ctx, record)
    save_int(ctx, IDS + record.id.encode(), record.number)
    save_int(ctx, ADDRESSES + from_bech32(record.address), record.number)
    _rate(ctx, record, 1)
    return record.number


def ratings(ctx: Context, bus: int) -> pb.BusRatings:
    """Ratings of a bus's cells, added up."""
    return load_or_new(ctx, RATINGS + u16(bus), pb.BusRatings)


def _rate(ctx: Context, record: pb.Cell, sign: int) -> None:
    sums = ratings(ctx, record.bus)
    sums.import_W += sign * record.max_import_W
    sums.export_W += sign * record.max_export_W
    save(ctx, RATINGS + u16(record.bus), sums)


def device(ctx: Context, text: str) -> pb.Device | None:
    """A device by identity."""
    return load(ctx, DEVICES + text.encode(), pb.Device)


def save_device(ctx: Context, record: pb.Device) -> None:
    """Write a device back."""
    save(ctx, DEVICES + record.id.encode(), record)


def add_device(ctx: Context, record: pb.Device, owner: pb.Cell) -> None:
    """Write a new device and count it at its cell."""
    save_device(ctx, record)
    ctx.app.set(DEVICES_OF + u32(owner.number) + b"/" + record.id.encode(), b"1")
    if record.status == pb.STATUS_ACTIVE:
        owner.devices += 1
        save_cell(ctx, owner)


def feeder(ctx: Context) -> pb.Feeder | None:
    """The feeder in force."""
    return load(ctx, FEEDER, pb.Feeder)


def is_voted_on(raw: bytes | None) -> bool:
    """Whether a stored feeder is of mode BALLOT."""
    return raw is not None and pb.Feeder.FromString(raw).mode == pb.SECURITY_MODE_BALLOT


def apply_changes(ctx: Context) -> None:
    """What waits for the next OPEN comes into force: statuses of cells and devices, the feeder."""
    for key, _ in list(ctx.app.iterate(CHANGES)):
        _apply_status(ctx, key[len(CHANGES) :].decode())
        ctx.app.delete(key)
    waiting = load(ctx, FEEDER_NEXT, pb.Feeder)
    if waiting is not None:
        save(ctx, FEEDER, waiting)
        ctx.app.delete(FEEDER_NEXT)


def _apply_status(ctx: Context, text: str) -> None:
    owner = cell_of_id(ctx, text)
    if owner is not None:
        owner.status, owner.next_status = owner.next_status, pb.STATUS_UNSPECIFIED
        save_cell(ctx, owner)
        if owner.status == pb.STATUS_REMOVED:
            _rate(ctx, owner, -1)
        return
    changed = device(ctx, text)
    assert changed is not None  # a change is written only for what exists, and nothing is ever removed from the store
    before = changed.status == pb.STATUS_ACTIVE
    changed.status, changed.next_status = changed.next_status, pb.STATUS_UNSPECIFIED
    save_device(ctx, changed)
    step = (changed.status == pb.STATUS_ACTIVE) - before
    if step:
        owner = cell_of_id(ctx, changed.cell)
        assert owner is not None
        owner.devices += step
        save_cell(ctx, owner)
