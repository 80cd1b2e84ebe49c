"""The meters' records on the `app` store.

mt/r/<slot u64>/<device>      Reading, until the slot closes
mt/e/<slot u64>/<device>      Estimate of the utility cell for a device that is silent, until the slot closes
mt/c/<slot u64>/<cell u32>    CellMeter: what the cell's devices said, added up, until the slot closes
mt/g/<slot u64>/<device>      Estimate that contradicts a reading (flagged), until the slot closes
mt/p/<slot u64>               residual root of the utility cell's state estimation, until the slot closes
mt/t/<device>                 Totals: the counters after the last accepted reading
mt/k/<cell u32>               energy assumed for slots without a reading (net, import positive), decimal; what the
                              counters show later is settled less this
"""

from __future__ import annotations

from cosmos_wire.protos import meter as pb
from cosmos_wire.protos import meter_tx as tx
from energy.records import load, load_int, load_or_new, save, save_int, u32, u64
from ibc_core.host import Context

READINGS = b"mt/r/"
ESTIMATES = b"mt/e/"
FLAGS = b"mt/g/"
CELLS = b"mt/c/"
ROOTS = b"mt/p/"
TOTALS = b"mt/t/"
CARRIED = b"mt/k/"


def readings_prefix(slot: int) -> bytes:
    """Readings of a slot."""
    return READINGS + u64(slot) + b"/"


def estimates_prefix(slot: int) -> bytes:
    """Estimates of a slot."""
    return ESTIMATES + u64(slot) + b"/"


def flags_prefix(slot: int) -> bytes:
    """Readings of a slot that the utility cell contradicts."""
    return FLAGS + u64(slot) + b"/"


def flag(ctx: Context, slot: int, device: str) -> tx.Estimate | None:
    """What the utility cell says in place of a device's reading."""
    return load(ctx, flags_prefix(slot) + device.encode(), tx.Estimate)


def save_flag(ctx: Context, slot: int, value: tx.Estimate) -> None:
    """Keep it."""
    save(ctx, flags_prefix(slot) + value.device.encode(), value)


def cells_prefix(slot: int) -> bytes:
    """Sums by cell of a slot."""
    return CELLS + u64(slot) + b"/"


def root_key(slot: int) -> bytes:
    """Residual root of a slot."""
    return ROOTS + u64(slot)


def reading(ctx: Context, slot: int, device: str) -> tx.Reading | None:
    """A device's reading of a slot."""
    return load(ctx, readings_prefix(slot) + device.encode(), tx.Reading)


def save_reading(ctx: Context, value: tx.Reading) -> None:
    """Keep a reading, and its counters as the device's last."""
    save(ctx, readings_prefix(value.slot) + value.device.encode(), value)
    totals = pb.Totals(
        import_total_mWh=value.import_total_mWh, export_total_mWh=value.export_total_mWh, slot=value.slot
    )
    save(ctx, TOTALS + value.device.encode(), totals)


def totals(ctx: Context, device: str) -> pb.Totals | None:
    """A device's counters, None before its first reading."""
    return load(ctx, TOTALS + device.encode(), pb.Totals)


def estimate(ctx: Context, slot: int, device: str) -> tx.Estimate | None:
    """The utility cell's estimate for a silent device."""
    return load(ctx, estimates_prefix(slot) + device.encode(), tx.Estimate)


def save_estimate(ctx: Context, slot: int, value: tx.Estimate) -> None:
    """Keep an estimate."""
    save(ctx, estimates_prefix(slot) + value.device.encode(), value)


def drop_estimate(ctx: Context, slot: int, device: str) -> None:
    """Forget an estimate: the device spoke."""
    ctx.app.delete(estimates_prefix(slot) + device.encode())


def cell_meter(ctx: Context, slot: int, cell: int) -> pb.CellMeter:
    """What a cell's devices said about a slot; all zero when nothing."""
    return load_or_new(ctx, cells_prefix(slot) + u32(cell), pb.CellMeter)


def save_cell_meter(ctx: Context, slot: int, cell: int, value: pb.CellMeter) -> None:
    """Write it back."""
    save(ctx, cells_prefix(slot) + u32(cell), value)


def carried_mWh(ctx: Context, cell: int) -> int:
    """Energy that was assumed for a cell and that its counters haven't confirmed yet."""
    return load_int(ctx, CARRIED + u32(cell))


def save_carried(ctx: Context, cell: int, value_mWh: int) -> None:
    """Write it back."""
    save_int(ctx, CARRIED + u32(cell), value_mWh)
