"""Storage offers: orders that charge or discharge a cell's registered storage, held against what it can hold and holds.

    charged   + fill * efficiency_permille // 1000 of a storage bid, once its fills are final
              - fill and what is let out to the main grid of a storage ask
    a bid     has to leave room: charged + what open bids may add + its own <= energy
    an ask    has to be there: its quantity + what open asks may take <= charged
    both      <= power over the slot, with the cell's other storage orders of that side

A bid may name its other half: a later slot and a price. What it charged becomes an ask there, placed by the chain when
that slot takes orders; its escrow comes from the cell's account then. What meters show is settled as for any order; the
utility cell corrects a state of charge that has drifted by registering again.
"""

from __future__ import annotations

from cosmos_wire.errors import InvalidRequest
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_tx as tx
from energy.errors import NoStorage, NotAuthorized, QuantityOutOfRange, StateOfCharge
from energy.market import keys, state
from energy.market.clearing import BookOrder
from energy.market.terms import VALID_SLOTS_MAX
from energy.records import load, load_or_new, save
from energy.registry import Registry
from energy.units import PERMILLE, PRICE_MAX_E4, QUANTITY_MAX_MWH, RATING_MAX_W, require_range, slot_energy_mWh
from ibc_core.host import Context, event


def register(registry: Registry, ctx: Context, msg: tx.MsgRegisterStorage) -> tx.MsgRegisterStorageResponse:
    """Register or correct a cell's storage; raises NotAuthorized, InvalidRequest, StateOfCharge (open orders)."""
    expected = state.params(ctx).utility
    if msg.utility != expected:
        raise NotAuthorized(f"the utility cell {expected} is expected, got {msg.utility}")
    cell = registry.find_cell(ctx, msg.cell)
    require_range(msg.energy_mWh, (1, QUANTITY_MAX_MWH), "energy_mWh")
    require_range(msg.power_W, (1, RATING_MAX_W), "power_W")
    require_range(msg.efficiency_permille, (1, PERMILLE), "efficiency_permille")
    kept = load_or_new(ctx, keys.storage_key(cell.number), pb.Storage)
    bounds = kept.reserved_mWh, msg.energy_mWh - kept.charging_mWh
    require_range(msg.charged_mWh, bounds, "charged_mWh, with what open orders may take and add,", StateOfCharge)
    kept.energy_mWh, kept.power_W, kept.charged_mWh = msg.energy_mWh, msg.power_W, msg.charged_mWh
    kept.efficiency_permille = msg.efficiency_permille
    save(ctx, keys.storage_key(cell.number), kept)
    ctx.events.emit(
        event("storage_registered", cell=cell.address, energy_mWh=msg.energy_mWh, charged_mWh=msg.charged_mWh)
    )
    return tx.MsgRegisterStorageResponse()


def storage_of(ctx: Context, cell: int) -> pb.Storage:
    """A cell's storage; raises NoStorage."""
    found = load(ctx, keys.storage_key(cell), pb.Storage)
    if found is None:
        raise NoStorage(f"cell {cell} has no registered storage")
    return found


def check_order(ctx: Context, record: pb.Slot, cell: int, msg: tx.MsgPlaceOrder) -> None:
    """Raises NoStorage, InvalidRequest, QuantityOutOfRange, StateOfCharge."""
    _check_half(msg)
    if not msg.storage:
        return
    if msg.kind != pb.ORDER_KIND_FLEXIBLE or msg.valid_to:
        raise InvalidRequest(f"a storage order is flexible and of one slot, got kind {msg.kind}, {msg.valid_to}")
    kept = storage_of(ctx, cell)
    own = [order for order in state.orders_of(ctx, record.slot, cell) if _is_storage(ctx, record, order)]
    power = msg.quantity_mWh + sum(order.quantity_mWh for order in own if order.side == msg.side)
    require_range(power, (0, slot_energy_mWh(kept.power_W)), "energy of a side by the power,", QuantityOutOfRange)
    if msg.side == keys.BID:
        full = kept.charged_mWh + kept.charging_mWh + added_mWh(kept, msg.quantity_mWh)
        require_range(full, (0, kept.energy_mWh), "state of charge, if all bids fill,", StateOfCharge)
    else:
        taken = kept.reserved_mWh + msg.quantity_mWh
        require_range(
            taken, (0, kept.charged_mWh), "energy of all open asks, up to the state of charge,", StateOfCharge
        )


def _check_half(msg: tx.MsgPlaceOrder) -> None:
    if not msg.discharge_slot and not msg.discharge_price_e4:
        return
    if not msg.storage or msg.side != keys.BID:
        raise InvalidRequest(f"discharge terms are for storage bids, got storage {msg.storage}, side {msg.side}")
    bounds = msg.slot + 1, msg.slot + VALID_SLOTS_MAX
    require_range(msg.discharge_slot, bounds, "discharge_slot")
    require_range(msg.discharge_price_e4, (1, PRICE_MAX_E4), "discharge_price_e4")


def added_mWh(kept: pb.Storage, drawn_mWh: int) -> int:
    """What the storage holds more of when it draws an energy."""
    return drawn_mWh * kept.efficiency_permille // PERMILLE


def _is_storage(ctx: Context, record: pb.Slot, order: BookOrder) -> bool:
    key = keys.storage_order_key(record.slot, order.cell, order.seq)
    return bool(record.storages) and ctx.app.get(key) is not None


def require_none(ctx: Context, record: pb.Slot, order: BookOrder) -> None:
    """Raises InvalidRequest for a storage order, which is placed anew instead of amended."""
    if _is_storage(ctx, record, order):
        raise InvalidRequest(f"order {order.seq} is the storage's: cancel it and place another")


def keep(ctx: Context, record: pb.Slot, order: BookOrder, msg: tx.MsgPlaceOrder) -> None:
    """Note that an order is the storage's, and what it may add or take."""
    if not msg.storage:
        return
    value = pb.StorageOrder(storage=True, discharge_slot=msg.discharge_slot, discharge_price_e4=msg.discharge_price_e4)
    save(ctx, keys.storage_order_key(record.slot, order.cell, order.seq), value)
    record.storages += 1
    _open(ctx, order, 1)


def forget(ctx: Context, record: pb.Slot, order: BookOrder) -> None:
    """An order of the storage leaves the book before it is cleared."""
    if _is_storage(ctx, record, order):
        ctx.app.delete(keys.storage_order_key(record.slot, order.cell, order.seq))
        record.storages -= 1
        _open(ctx, order, -1)


def _open(ctx: Context, order: BookOrder, sign: int) -> None:
    kept = storage_of(ctx, order.cell)
    open_order(kept, order, sign)
    save(ctx, keys.storage_key(order.cell), kept)


def open_order(kept: pb.Storage, order: BookOrder, sign: int) -> None:
    """Count what an order may add or take; -1: no longer."""
    if order.side == keys.BID:
        kept.charging_mWh += sign * added_mWh(kept, order.quantity_mWh)
    else:
        kept.reserved_mWh += sign * order.quantity_mWh


def release(ctx: Context, record: pb.Slot) -> None:
    """The slot's fills are final."""
    if record.storages:
        ctx.app.set(keys.storage_work_key(record.slot), b"1")
