"""How a committed contract on B ends: its own meter, S's SETTLEMENT, or T_close."""

from __future__ import annotations

from cosmos_wire.protos import trade, trade_tx
from cosmos_wire.protos import trade_packet as pk
from energy.trade import gates, keys, life, packets, pay, records
from energy.trade.arithmetic import Basis, Verdict, shares
from energy.trade.buyer import times_of
from energy.trade.clock import slot_times, timeout_ns
from energy.trade.delivery import check_reading
from energy.trade.errors import ReadingKnown, ReadingMismatch, UnknownContract, WrongAmount, WrongState
from energy.trade.life import Buyer, BuyerEvent
from energy.trade.ports import Ports
from ibc_core.host import Context

BOUND_STATES = frozenset({Buyer.COMMITTED, Buyer.SETTLED, Buyer.LAPSED})  # reached COMMITTED and weren't refunded


def find_reading(ctx: Context, channel_id: str, slot: int) -> trade.OwnReading | None:
    """The buyer's own total of a (channel, slot)."""
    return records.load(ctx, keys.reading(channel_id, slot), trade.OwnReading)


def _save_reading(ctx: Context, reading: trade.OwnReading) -> None:
    records.save(ctx, keys.reading(reading.channel_id, reading.slot), reading)


# The own meter


def post_import(ctx: Context, ports: Ports, msg: trade_tx.MsgPostReading) -> None:
    """Keep the buyer's meter, once, and send it as METER."""
    terms = _committed_terms(ctx, msg.channel_id, msg.slot)
    packets.check_meter(pk.Meter(slot=msg.slot, import_mwh=msg.total_mwh, meters_root=msg.meters_root))
    check_reading(ctx, msg.total_mwh, terms, slot_times(terms, msg.slot))
    if find_reading(ctx, msg.channel_id, msg.slot) is not None:
        raise ReadingKnown(f"the import of slot {msg.slot} was posted")
    reading = trade.OwnReading(channel_id=msg.channel_id, slot=msg.slot, import_mwh=msg.total_mwh)
    reading.meters_root = msg.meters_root
    packet, timeout = _meter_packet(reading, terms)
    reading.sent = records.try_send(ctx, ports, msg.channel_id, packet, timeout)
    _save_reading(ctx, reading)
    where = (msg.channel_id, msg.slot, b"")
    records.emit(ctx, "trade_metered", where, Buyer.COMMITTED.name, side="import", total_mwh=msg.total_mwh)


def _committed_terms(ctx: Context, channel_id: str, slot: int) -> trade.Terms:
    for contract in records.buyers_of_slot(ctx, channel_id, slot):
        if Buyer(contract.state) == Buyer.COMMITTED:
            return contract.terms
    raise UnknownContract(f"no contract in slot {slot} of {channel_id} waits for a reading")


def _meter_packet(reading: trade.OwnReading, terms: trade.Terms) -> tuple[pk.TradePacketData, int]:
    meter = pk.Meter(slot=reading.slot, import_mwh=reading.import_mwh, meters_root=reading.meters_root)
    return pk.TradePacketData(meter=meter), timeout_ns(slot_times(terms, reading.slot).meter_ms)


def resend_meter(ctx: Context, ports: Ports, msg: trade_tx.MsgResend) -> None:
    """Send METER after a try that an inactive client prevented."""
    reading = find_reading(ctx, msg.channel_id, msg.slot)
    if reading is None or reading.sent:
        raise WrongState(f"slot {msg.slot} of {msg.channel_id} has no METER that was not sent")
    contracts = records.buyers_of_slot(ctx, msg.channel_id, msg.slot)
    terms = contracts[0].terms
    gates.require_before(ctx, slot_times(terms, msg.slot).meter_ms, "METER")
    packet, timeout = _meter_packet(reading, terms)
    records.send(ctx, ports, msg.channel_id, packet, timeout)
    reading.sent = True
    _save_reading(ctx, reading)


def on_meter_ack(ctx: Context, channel_id: str, meter: pk.Meter, ack: packets.Ack) -> None:
    """S has the reading: a SETTLEMENT without it will be refused."""
    reading = find_reading(ctx, channel_id, meter.slot)
    if reading is not None and ack.ok:
        reading.acknowledged = True
        _save_reading(ctx, reading)


# SETTLEMENT


def recv_settlement(ctx: Context, ports: Ports, channel_id: str, settlement: pk.Settlement) -> None:
    """S's outcome. It proves that S was ACTIVE, so the acknowledgement of EQUIVALENCE isn't asked for."""
    contract = records.find_buyer(ctx, channel_id, settlement.contract_id)
    settled = settlement.outcome == pk.OUTCOME_SETTLED
    state = life.require_buyer(contract.state, BuyerEvent.SETTLED if settled else BuyerEvent.CANCELLED)
    check_settlement_time(ctx, contract)
    check_activation(contract)
    if settled:
        check_energy(contract, settlement)
        check_import(ctx, contract, settlement)
    contract.settlement.CopyFrom(settlement)
    if not settled:
        pay.refund(ctx, contract, state, "cancelled")
        return
    verdict = Verdict(lo_mwh=settlement.lo_mwh, hi_mwh=settlement.hi_mwh, basis=Basis(settlement.basis))
    pay.settle(ctx, ports, contract, (state, verdict))


def check_settlement_time(ctx: Context, contract: trade.BuyerContract) -> None:
    """From T_close on the contract has lapsed."""
    gates.require_before(ctx, times_of(contract).close_ms, "SETTLEMENT")


def check_activation(contract: trade.BuyerContract) -> None:
    """Deliberately nothing: SETTLEMENT may overtake the acknowledgement of EQUIVALENCE, `active` is not asked for."""


def check_energy(contract: trade.BuyerContract, settlement: pk.Settlement) -> None:
    """Lo <= hi <= what was accepted."""
    if not settlement.lo_mwh <= settlement.hi_mwh <= contract.energy_mwh:
        raise WrongAmount(
            f"{settlement.lo_mwh} <= {settlement.hi_mwh} <= {contract.energy_mwh} mWh does not hold for SETTLEMENT"
        )


def check_import(ctx: Context, contract: trade.BuyerContract, settlement: pk.Settlement) -> None:
    """S used the own reading, or none; none only while it may not have it."""
    reading = find_reading(ctx, contract.channel_id, contract.lock.slot)
    if settlement.HasField("import_mwh"):
        if reading is None or reading.import_mwh != settlement.import_mwh:
            own = "no reading" if reading is None else f"{reading.import_mwh} mWh"
            raise ReadingMismatch(f"SETTLEMENT rests on an import of {settlement.import_mwh} mWh, here is {own}")
    elif reading is not None and reading.acknowledged:
        raise ReadingMismatch("SETTLEMENT leaves out an import that was acknowledged")


# T_close


def close_due(ctx: Context, ports: Ports, due: keys.Due) -> None:
    """T_close: no outcome came, so the own meter alone decides; without one everything goes back."""
    contract = records.find_buyer(ctx, due.channel_id, due.ident)
    state = life.buyer_next(contract.state, BuyerEvent.CLOSE_PASSED)
    if state is None:
        return
    delivered, basis = own_share(ctx, contract)
    verdict = Verdict(lo_mwh=delivered, hi_mwh=delivered, basis=basis)
    contract.settlement.CopyFrom(
        pk.Settlement(
            contract_id=contract.lock.contract_id,
            outcome=pk.OUTCOME_SETTLED,
            basis=pk.Basis.ValueType(basis),
            lo_mwh=delivered,
            hi_mwh=delivered,
        )
    )
    pay.settle(ctx, ports, contract, (state, verdict))


def own_share(ctx: Context, contract: trade.BuyerContract) -> tuple[int, Basis]:
    """The contract's share of the own reading, mWh, over all that reached COMMITTED and weren't refunded."""
    reading = find_reading(ctx, contract.channel_id, contract.lock.slot)
    if reading is None:
        return 0, Basis.NONE
    slot_contracts = records.buyers_of_slot(ctx, contract.channel_id, contract.lock.slot)
    bound = [other for other in slot_contracts if Buyer(other.state) in BOUND_STATES]
    parts = shares(reading.import_mwh, [other.energy_mwh for other in bound])
    by_id = {other.lock.contract_id: part for other, part in zip(bound, parts, strict=True)}
    return by_id[contract.lock.contract_id], Basis.IMPORT
