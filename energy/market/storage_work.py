"""Background work of storages: final fills change the state of charge, and bids get their other halves."""

from __future__ import annotations

from cosmos_wire.protos import market as pb
from energy.market import keys, state
from energy.market.awards import filled
from energy.market.clearing import BookOrder
from energy.market.shift import next_number
from energy.market.storage import added_mWh, open_order, storage_of
from energy.records import keys_of, load, save
from energy.registry import Registry
from ibc_core.host import Context, event


def run(ctx: Context, registry: Registry, units: int) -> int:
    """Take over the fills of up to `units` orders of secured slots; returns the units left."""
    for key in keys_of(ctx.app, keys.STORAGE_WORK, units):
        if units > 0:
            units = _take_over(ctx, registry, int.from_bytes(key[len(keys.STORAGE_WORK) :], "big"), units)
    return units


def _take_over(ctx: Context, registry: Registry, slot: int, units: int) -> int:
    record, prefix = state.slot_record(ctx, slot), keys.storage_orders_prefix(slot)
    found = keys_of(ctx.app, prefix, units)
    for key in found:
        cell, seq = int.from_bytes(key[-13:-9], "big"), int.from_bytes(key[-8:], "big")
        value, order = load(ctx, key, pb.StorageOrder), state.book_order(ctx, slot, cell, seq)
        assert value is not None and order is not None  # noqa: PT018  # written and removed together
        ctx.app.delete(key)
        _change(ctx, registry, record, (order, value))
    if len(found) == units:
        return 0
    ctx.app.delete(keys.storage_work_key(slot))
    return units - len(found)


def _change(ctx: Context, registry: Registry, record: pb.Slot, row: tuple[BookOrder, pb.StorageOrder]) -> None:
    order, value = row
    kept, (got,) = storage_of(ctx, order.cell), filled(ctx, record, [order])
    open_order(kept, order, -1)
    gained = added_mWh(kept, got.fill_mWh) if order.side == keys.BID else -(got.fill_mWh + got.grid_mWh)
    kept.charged_mWh += gained
    save(ctx, keys.storage_key(order.cell), kept)
    owner = registry.cell(ctx, order.cell).address
    ctx.events.emit(
        event(
            "storage_changed",
            slot=record.slot,
            cell=owner,
            seq=order.seq,
            change_mWh=gained,
            charged_mWh=kept.charged_mWh,
        )
    )
    if value.discharge_slot and gained:
        _other_half(ctx, (order.cell, owner), record, (value, gained))


def _other_half(ctx: Context, who: tuple[int, str], record: pb.Slot, half: tuple[pb.StorageOrder, int]) -> None:
    (cell, owner), (value, energy_mWh) = who, half
    waits = pb.Waiting(
        price_e4=value.discharge_price_e4,
        quantity_mWh=energy_mWh,
        valid_to=value.discharge_slot,
        escrow="0",
        from_slot=record.slot,
        storage=True,
    )
    number = next_number(ctx)
    save(ctx, keys.waiting_key(value.discharge_slot, cell, number), waits)
    ctx.events.emit(event("order_waits", slot=value.discharge_slot, cell=owner, number=number, quantity_mWh=energy_mWh))
