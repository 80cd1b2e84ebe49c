"""Metering of a (channel, slot) on S: two readings, a dispute, the decision on every ACTIVE contract."""

from __future__ import annotations

from cosmos_wire.protos import trade, trade_tx
from cosmos_wire.protos import trade_packet as pk
from energy.trade import delivery_book, gates, keys, life, records, seller
from energy.trade.arithmetic import agree, judge, split_verdict
from energy.trade.clock import SlotTimes, slot_times
from energy.trade.errors import (
    Malformed,
    NotAllowed,
    ReadingKnown,
    ReadingOutOfRange,
    SlotClosed,
    UnknownContract,
)
from energy.trade.life import Delivery, DeliveryEvent
from energy.trade.packets import ID_BYTES
from energy.trade.ports import Ports
from ibc_core.host import Context


def _times(delivery: trade.Delivery) -> SlotTimes:
    return slot_times(delivery.terms, delivery.slot)


def require(ctx: Context, channel_id: str, slot: int) -> trade.Delivery:
    """The delivery of a (channel, slot); raises UnknownContract when nothing is or was ACTIVE there."""
    delivery = delivery_book.find(ctx, channel_id, slot)
    if delivery is None:
        raise UnknownContract(f"no delivery in slot {slot} of {channel_id}")
    return delivery


def check_reading(ctx: Context, total_mwh: int, terms: trade.Terms, times: SlotTimes) -> None:
    """A posted total is at most what the line carries, and read after the slot, before T_meter."""
    check_range(total_mwh, terms)
    if not gates.passed(ctx, times.end_ms):
        raise SlotClosed(f"a reading comes after {times.end_ms} ms, block time is {ctx.env.time_ms} ms")
    check_meter_time(ctx, times)


def check_range(total_mwh: int, terms: trade.Terms) -> None:
    """A total is at most what the line carries in a slot."""
    if total_mwh > terms.line_max_mwh:
        raise ReadingOutOfRange(f"the line carries at most {terms.line_max_mwh} mWh a slot, read {total_mwh}")


def check_meter_time(ctx: Context, times: SlotTimes) -> None:
    """From T_meter on S decides on what it has."""
    gates.require_before(ctx, times.meter_ms, "a reading")


def post_export(ctx: Context, ports: Ports, msg: trade_tx.MsgPostReading) -> None:
    """The seller's meter."""
    delivery = require(ctx, msg.channel_id, msg.slot)
    if msg.meters_root and len(msg.meters_root) != ID_BYTES:
        raise Malformed(f"meters_root is empty or has {ID_BYTES} bytes, got {len(msg.meters_root)}")
    check_reading(ctx, msg.total_mwh, delivery.terms, _times(delivery))
    if delivery.HasField("export_mwh"):
        raise ReadingKnown(f"the export of slot {msg.slot} was posted")
    life.require_delivery(delivery.state, DeliveryEvent.EXPORT)
    delivery.export_mwh = msg.total_mwh
    _metered(ctx, ports, delivery, "export")


def recv_meter(ctx: Context, ports: Ports, channel_id: str, meter: pk.Meter) -> None:
    """The buyer's meter, by packet. B's clock said that the slot was over; S's may be behind by the skew."""
    delivery = require(ctx, channel_id, meter.slot)
    check_range(meter.import_mwh, delivery.terms)
    check_meter_time(ctx, _times(delivery))
    if delivery.HasField("import_mwh"):
        raise ReadingKnown(f"the import of slot {meter.slot} was received")
    life.require_delivery(delivery.state, DeliveryEvent.METER)
    delivery.import_mwh = meter.import_mwh
    _metered(ctx, ports, delivery, "import")


def _metered(ctx: Context, ports: Ports, delivery: trade.Delivery, side: str) -> None:
    delivery_book.save(ctx, delivery)
    total = delivery.export_mwh if side == "export" else delivery.import_mwh
    _emit(ctx, "trade_metered", delivery, side=side, total_mwh=total)
    readings = delivery_book.readings_of(delivery)
    if readings.export_mwh is None or readings.import_mwh is None:
        return
    if agree(readings, delivery_book.tolerance_of(ctx, delivery)):
        decide(ctx, ports, delivery, DeliveryEvent.AGREED)
        return
    delivery.state = trade.DeliveryState.ValueType(life.require_delivery(delivery.state, DeliveryEvent.GAP))
    delivery_book.save(ctx, delivery)
    _emit(ctx, "trade_disputed", delivery, export_mwh=readings.export_mwh, import_mwh=readings.import_mwh)


def post_arbiter(ctx: Context, ports: Ports, msg: trade_tx.MsgPostArbiterReading) -> None:
    """The arbiter of the channel ends a dispute before T_disp."""
    delivery = require(ctx, msg.channel_id, msg.slot)
    if not delivery.terms.arbiter or msg.arbiter != delivery.terms.arbiter:
        raise NotAllowed(f"the arbiter of {msg.channel_id} is {delivery.terms.arbiter!r}, not {msg.arbiter}")
    check_range(msg.total_mwh, delivery.terms)
    life.require_delivery(delivery.state, DeliveryEvent.ARBITER)
    gates.require_before(ctx, _times(delivery).disp_ms, "the arbiter's reading")
    delivery.arbiter_mwh = msg.total_mwh
    decide(ctx, ports, delivery, DeliveryEvent.ARBITER)


def meter_end_due(ctx: Context, ports: Ports, due: keys.Due) -> None:
    """T_meter: decide on what there is, unless the two readings are in dispute."""
    _end_due(ctx, ports, due, DeliveryEvent.METER_PASSED)


def dispute_end_due(ctx: Context, ports: Ports, due: keys.Due) -> None:
    """T_disp: the arbiter was silent."""
    _end_due(ctx, ports, due, DeliveryEvent.DISP_PASSED)


def _end_due(ctx: Context, ports: Ports, due: keys.Due, event: DeliveryEvent) -> None:
    delivery = delivery_book.find(ctx, due.channel_id, due.slot)
    if delivery is not None and life.delivery_next(delivery.state, event) is not None:
        decide(ctx, ports, delivery, event)


def decide(ctx: Context, ports: Ports, delivery: trade.Delivery, event: DeliveryEvent) -> None:
    """Judge the readings, once, and settle every ACTIVE contract with its share."""
    state = life.require_delivery(delivery.state, event)
    verdict = judge(delivery_book.readings_of(delivery), delivery_book.tolerance_of(ctx, delivery))
    delivery.state = trade.DeliveryState.ValueType(state)
    delivery.basis = pk.Basis.ValueType(verdict.basis)
    delivery.lo_mwh, delivery.hi_mwh = verdict.lo_mwh, verdict.hi_mwh
    delivery_book.save(ctx, delivery)
    _emit(ctx, "trade_decided", delivery, basis=verdict.basis.name, lo_mwh=verdict.lo_mwh, hi_mwh=verdict.hi_mwh)
    contracts = delivery_book.active_contracts(ctx, delivery)
    parts = split_verdict(verdict, [contract.energy_mwh for contract in contracts])
    for contract, part in zip(contracts, parts, strict=True):
        seller.settle(ctx, ports, contract, settlement_of(delivery, part.lo_mwh, part.hi_mwh))


def settlement_of(delivery: trade.Delivery, lo_mwh: int, hi_mwh: int) -> pk.Settlement:
    """The outcome for one contract, with the totals as they were read."""
    settlement = pk.Settlement(outcome=pk.OUTCOME_SETTLED, basis=delivery.basis, lo_mwh=lo_mwh, hi_mwh=hi_mwh)
    if delivery.HasField("export_mwh"):
        settlement.export_mwh = delivery.export_mwh
    if delivery.HasField("import_mwh"):
        settlement.import_mwh = delivery.import_mwh
    if delivery.HasField("arbiter_mwh"):
        settlement.arbiter_mwh = delivery.arbiter_mwh
    return settlement


def _emit(ctx: Context, kind: str, delivery: trade.Delivery, **more: str | int) -> None:
    where = (delivery.channel_id, delivery.slot, b"")
    records.emit(ctx, kind, where, Delivery(delivery.state).name, **more)
