"""The delivery records of S: opened with the first ACTIVE contract of a (channel, slot), gone with the last."""

from __future__ import annotations

from cosmos_wire.protos import trade
from energy.trade import keys, life, records
from energy.trade.arithmetic import Basis, Readings, at_delivery, tolerance
from energy.trade.clock import slot_times
from energy.trade.life import DeliveryEvent, Seller
from ibc_core.host import Context

__all__ = ["Basis"]


def find(ctx: Context, channel_id: str, slot: int) -> trade.Delivery | None:
    """The delivery of a (channel, slot)."""
    return records.load(ctx, keys.delivery(channel_id, slot), trade.Delivery)


def save(ctx: Context, delivery: trade.Delivery) -> None:
    """Write it."""
    records.save(ctx, keys.delivery(delivery.channel_id, delivery.slot), delivery)


def open_for(ctx: Context, contract: trade.SellerContract) -> None:
    """A contract became ACTIVE: there is something to meter."""
    channel_id, slot = contract.channel_id, contract.lock.slot
    delivery = find(ctx, channel_id, slot)
    if delivery is None:
        delivery = trade.Delivery(channel_id=channel_id, slot=slot, terms=contract.terms)
        _schedule_ends(ctx, delivery)
    delivery.state = trade.DeliveryState.ValueType(life.require_delivery(delivery.state, DeliveryEvent.ACTIVATED))
    save(ctx, delivery)


def _schedule_ends(ctx: Context, delivery: trade.Delivery) -> None:
    times = slot_times(delivery.terms, delivery.slot)
    ends = ((keys.DueKind.METER_END, times.meter_ms), (keys.DueKind.DISPUTE_END, times.disp_ms))
    for kind, time_ms in ends:
        due = keys.Due(time_ms=time_ms, kind=kind, channel_id=delivery.channel_id, slot=delivery.slot, ident=b"")
        records.schedule(ctx, due)


def active_contracts(ctx: Context, delivery: trade.Delivery) -> list[trade.SellerContract]:
    """The ACTIVE contracts that share the delivery, by contract id."""
    contracts = records.sellers_of_slot(ctx, delivery.channel_id, delivery.slot)
    return [contract for contract in contracts if Seller(contract.state) == Seller.ACTIVE]


def close_if_empty(ctx: Context, contract: trade.SellerContract) -> None:
    """Forget the delivery when its last ACTIVE contract was cancelled."""
    delivery = find(ctx, contract.channel_id, contract.lock.slot)
    if delivery is not None and not active_contracts(ctx, delivery):
        ctx.app.delete(keys.delivery(delivery.channel_id, delivery.slot))


def readings_of(delivery: trade.Delivery) -> Readings:
    """What is known, the export brought to the point of delivery."""
    exported = at_delivery(delivery.export_mwh, delivery.terms.loss_ppm) if delivery.HasField("export_mwh") else None
    return Readings(
        export_mwh=exported,
        import_mwh=delivery.import_mwh if delivery.HasField("import_mwh") else None,
        arbiter_mwh=delivery.arbiter_mwh if delivery.HasField("arbiter_mwh") else None,
    )


def tolerance_of(ctx: Context, delivery: trade.Delivery) -> int:
    """Gap of the two readings that counts as none, by the ACTIVE energy."""
    energy = sum(contract.energy_mwh for contract in active_contracts(ctx, delivery))
    return tolerance(delivery.terms.tol_mwh, delivery.terms.tol_ppm, energy)
