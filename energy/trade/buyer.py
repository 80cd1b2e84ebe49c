"""Contracts on B, the buyer's chain: escrow, confirmation, commitment, pay or refund."""

from __future__ import annotations

from cosmos_wire.address import from_bech32
from cosmos_wire.errors import InvalidAddress, Unauthorized
from cosmos_wire.protos import trade, trade_tx
from cosmos_wire.protos import trade_packet as pk
from energy.trade import gates, keys, life, offers, packets, pay, records
from energy.trade.arithmetic import Price, buyer_cost, checked, claim_covered
from energy.trade.clock import SlotTimes, slot_times, timeout_ns
from energy.trade.errors import DuplicateContract, Malformed, NotAllowed, OutsidePriceBand
from energy.trade.life import Buyer, BuyerEvent
from energy.trade.params import ENERGY_MWH_MAX, LEVEL_MICROGRID, terms_for, terms_hash
from energy.trade.ports import Ports
from ibc_core import bank
from ibc_core.host import Context


def times_of(contract: trade.BuyerContract) -> SlotTimes:
    """The contract's clock, from the terms with which it was made."""
    return slot_times(contract.terms, contract.lock.slot)


def escrow_for(contract: trade.BuyerContract, energy_mwh: int) -> int:
    """B units that an energy takes: its cost and its fee."""
    cost = buyer_cost(packets.price_of(contract.lock), energy_mwh)
    return checked(cost + contract.terms.clock.fee_e4 * energy_mwh)


# MsgLock


def lock(ctx: Context, ports: Ports, msg: trade_tx.MsgLock) -> trade_tx.MsgLockResponse:
    """Escrow cost and fee of the asked energy and send LOCK; a failing send fails the transaction."""
    params = records.params(ctx)
    gates.require_utility(params, msg.buyer)
    offers.require_open(ctx, msg.channel_id)
    offer = offers.find_heard(ctx, msg.channel_id, msg.offer_id)
    contract = contract_from(ctx, params, msg, offer)
    packets.check_lock(contract.lock)
    gates.require_level(ctx, ports, msg.channel_id, offer.level)
    check_slot(ctx, ports, contract)
    check_price(params, packets.price_of(offer))
    check_payee(ctx, offer.seller_payee)
    if ctx.app.get(keys.buyer(msg.channel_id, contract.lock.contract_id)) is not None:
        raise DuplicateContract(f"contract {contract.lock.contract_id.hex()} exists")
    _open(ctx, contract, params.denom)
    packet = pk.TradePacketData(lock=contract.lock)
    records.send(ctx, ports, msg.channel_id, packet, timeout_ns(times_of(contract).lock_ms))
    _emit(ctx, "trade_locked", contract, escrow=contract.escrow)
    return trade_tx.MsgLockResponse(contract_id=contract.lock.contract_id, escrow=contract.escrow)


def contract_from(ctx: Context, params: trade.Params, msg: trade_tx.MsgLock, offer: pk.Offer) -> trade.BuyerContract:
    """The contract that a message asks for; its escrow is worked out, nothing is paid."""
    terms = terms_for(params, offer.level, msg.channel_id)
    ident = offers.digest(ctx.env.chain_id.encode(), offer.offer_id, msg.buyer.encode(), keys.u64(msg.nonce))
    lock_packet = pk.Lock(
        contract_id=ident,
        offer_id=offer.offer_id,
        buyer=params.buyer_identity,
        buyer_payee=msg.buyer_payee,
        slot=offer.slot,
        energy_mwh=msg.energy_mwh,
        energy_min_mwh=msg.energy_min_mwh,
        price_e4=offer.price_e4,
        rate=offer.rate,
        denom=params.denom,
        arbiter=terms.arbiter,
        terms_hash=terms_hash(terms),
    )
    _check_energy(msg)
    lock_packet.locked = str(buyer_cost(packets.price_of(offer), msg.energy_mwh))
    contract = trade.BuyerContract(
        channel_id=msg.channel_id, lock=lock_packet, energy_mwh=msg.energy_mwh, buyer=msg.buyer, terms=terms
    )
    contract.level, contract.seller_payee, contract.forward = offer.level, offer.seller_payee, offer.forward
    contract.escrow = str(escrow_for(contract, msg.energy_mwh))
    return contract


def _check_energy(msg: trade_tx.MsgLock) -> None:
    if not 1 <= msg.energy_min_mwh <= msg.energy_mwh <= ENERGY_MWH_MAX:
        raise Malformed(f"energy: 1 <= {msg.energy_min_mwh} <= {msg.energy_mwh} <= {ENERGY_MWH_MAX} fails")


def check_slot(ctx: Context, ports: Ports, contract: trade.BuyerContract) -> None:
    """The slot takes a lock: in time, not halted, not sold by this chain, not full."""
    where = (contract.channel_id, contract.lock.slot)
    gates.require_before(ctx, times_of(contract).lock_ms, "a lock")
    gates.require_running(ctx, ports, where, contract.level)
    gates.require_buying(ctx, *where)
    gates.require_line(gates.buying(ctx, where), contract.energy_mwh, contract.terms)
    gates.require_room(ctx, contract.channel_id, keys.buyers_of_slot(*where))


def check_price(params: trade.Params, price: Price) -> None:
    """FIT <= price <= cap, compared in B's token without rounding."""
    here = price.price_e4 * price.den
    if not params.floor_e4 * price.num <= here <= params.cap_e4 * price.num:
        raise OutsidePriceBand(
            f"price {price.price_e4} at rate {price.num}/{price.den} is outside {params.floor_e4}..{params.cap_e4}"
        )


def check_payee(ctx: Context, account: str) -> None:
    """The seller's account on this chain has to be one that can be paid."""
    try:
        bank.require_recipient(ctx, from_bech32(account))
    except InvalidAddress as error:
        raise Malformed(f"seller_payee: {error}") from error
    except Unauthorized as error:
        raise NotAllowed(f"seller_payee: {error}") from error


def _open(ctx: Context, contract: trade.BuyerContract, denom: str) -> None:
    contract.state = trade.BuyerState.ValueType(life.require_buyer(Buyer.NONE, BuyerEvent.LOCK))
    escrow = pay.escrow_address(contract.channel_id)
    records.move(ctx, from_bech32(contract.buyer), escrow, (denom, int(contract.escrow)))
    records.save_buyer(ctx, contract)
    slot_key = keys.buyers_of_slot(contract.channel_id, contract.lock.slot) + contract.lock.contract_id
    ctx.app.set(slot_key, records.PRESENT)
    records.add_to(ctx, keys.unfinished_count(contract.channel_id), 1)
    times = times_of(contract)
    _schedule(ctx, contract, keys.DueKind.BUYER_GATE, times.gate_ms)
    _schedule(ctx, contract, keys.DueKind.BUYER_ACT, times.act_ms)


# Outcome of LOCK


def on_lock_ack(ctx: Context, channel_id: str, lock_packet: pk.Lock, ack: packets.Ack) -> None:
    """S accepted all or part, or refused; an answer that makes no sense leaves it to the clock."""
    contract = waiting(ctx, channel_id, lock_packet.contract_id)
    if contract is None:
        return
    if not ack.ok:
        _end(ctx, contract, BuyerEvent.LOCK_FAILED, "error")
        return
    state = life.buyer_next(contract.state, BuyerEvent.LOCK_OK)
    result = packets.decode_result(ack.result, pk.LockResult)
    if state is None or result is None or not acceptable(contract, result.energy_mwh):
        return
    _confirm(ctx, contract, state, result.energy_mwh)


def acceptable(contract: trade.BuyerContract, energy_mwh: int) -> bool:
    """Whether S's answer lies between the minimum and what was asked."""
    return contract.lock.energy_min_mwh <= energy_mwh <= contract.lock.energy_mwh


def waiting(ctx: Context, channel_id: str, contract_id: bytes) -> trade.BuyerContract | None:
    """A contract for which news of LOCK still counts: from T_act on its refund is due, swept or not."""
    contract = records.load(ctx, keys.buyer(channel_id, contract_id), trade.BuyerContract)
    if contract is None or gates.passed(ctx, times_of(contract).act_ms):
        return None
    return contract


def _confirm(ctx: Context, contract: trade.BuyerContract, state: Buyer, energy_mwh: int) -> None:
    kept = escrow_for(contract, energy_mwh)
    pay.reduce_escrow(ctx, contract, kept)
    contract.state, contract.energy_mwh = trade.BuyerState.ValueType(state), energy_mwh
    contract.confirmed_height = ctx.env.height
    records.save_buyer(ctx, contract)
    _schedule(ctx, contract, keys.DueKind.BUYER_GATE, max(times_of(contract).gate_ms, ctx.env.time_ms + 1))
    _emit(ctx, "trade_confirmed", contract, energy_mwh=energy_mwh, escrow=kept)


def on_lock_timeout(ctx: Context, channel_id: str, lock_packet: pk.Lock) -> None:
    """S has no receipt of LOCK and can have none any more."""
    contract = waiting(ctx, channel_id, lock_packet.contract_id)
    if contract is not None:
        _end(ctx, contract, BuyerEvent.LOCK_FAILED, "timeout")


# Gate, commitment, T_act


def gate_due(ctx: Context, ports: Ports, due: keys.Due) -> None:
    """From T_gate to T_act: a halted slot refunds; else EQUIVALENCE goes as soon as it may."""
    contract = records.find_buyer(ctx, due.channel_id, due.ident)
    if life.buyer_next(contract.state, BuyerEvent.HALT) is None and not committable(contract):
        return
    verdict = gate_verdict(ctx, ports, contract)
    if verdict is False:
        _end(ctx, contract, BuyerEvent.HALT, "halted")
        return
    if gates.passed(ctx, times_of(contract).act_ms):
        return
    if verdict is None or (committable(contract) and not commit(ctx, ports, contract)):
        _schedule(ctx, contract, keys.DueKind.BUYER_GATE, ctx.env.time_ms + 1)


def gate_verdict(ctx: Context, ports: Ports, contract: trade.BuyerContract) -> bool | None:
    """The slot's verdict; at level 3 there is no gate."""
    if contract.level != LEVEL_MICROGRID:
        return True
    return gates.verdict(ctx, ports, contract.channel_id, contract.lock.slot)


def committable(contract: trade.BuyerContract) -> bool:
    """Whether EQUIVALENCE may be sent for a contract in this state."""
    return life.buyer_next(contract.state, BuyerEvent.COMMIT) is not None


def final(ctx: Context, contract: trade.BuyerContract) -> bool:
    """Whether the acknowledgement of LOCK lies deep enough."""
    return ctx.env.height >= contract.confirmed_height + records.params(ctx).finality_blocks


def commit(ctx: Context, ports: Ports, contract: trade.BuyerContract) -> bool:
    """Send EQUIVALENCE; False when it is too early or the client isn't active."""
    cost = buyer_cost(packets.price_of(contract.lock), contract.energy_mwh)
    times = times_of(contract)
    packet = pk.TradePacketData(
        equivalence=pk.Equivalence(contract_id=contract.lock.contract_id, locked=str(cost), rate=contract.lock.rate)
    )
    if not gates.passed(ctx, times.gate_ms) or not final(ctx, contract):
        return False
    if not records.try_send(ctx, ports, contract.channel_id, packet, timeout_ns(times.act_ms)):
        return False
    contract.state = trade.BuyerState.ValueType(life.require_buyer(contract.state, BuyerEvent.COMMIT))
    records.save_buyer(ctx, contract)
    _schedule(ctx, contract, keys.DueKind.BUYER_CLOSE, times.close_ms)
    _emit(ctx, "trade_committed", contract, locked=cost)
    return True


def act_due(ctx: Context, due: keys.Due) -> None:
    """T_act: refund what was never committed, without a proof."""
    contract = records.find_buyer(ctx, due.channel_id, due.ident)
    _end(ctx, contract, BuyerEvent.ACT_PASSED, "clock")


# Outcome of EQUIVALENCE


def on_equivalence_ack(ctx: Context, channel_id: str, equivalence: pk.Equivalence, ack: packets.Ack) -> None:
    """S activated the contract, or refused to."""
    contract = committed(ctx, channel_id, equivalence.contract_id)
    if contract is None:
        return
    if not ack.ok:
        _end(ctx, contract, BuyerEvent.EQUIVALENCE_FAILED, "error")
        return
    result = packets.decode_result(ack.result, pk.EquivalenceResult)
    if result is None or not packets.is_amount(result.claim):
        return
    if life.buyer_next(contract.state, BuyerEvent.EQUIVALENCE_OK) is None:
        return
    contract.active = True
    records.save_buyer(ctx, contract)
    covered = claim_covered(int(result.claim), int(equivalence.locked), packets.price_of(contract.lock))
    _emit(ctx, "trade_active" if covered else "claim_mismatch", contract, claim=result.claim)


def on_equivalence_timeout(ctx: Context, channel_id: str, equivalence: pk.Equivalence) -> None:
    """S has no receipt of EQUIVALENCE and can have none any more."""
    contract = committed(ctx, channel_id, equivalence.contract_id)
    if contract is not None:
        _end(ctx, contract, BuyerEvent.EQUIVALENCE_FAILED, "timeout")


def committed(ctx: Context, channel_id: str, contract_id: bytes) -> trade.BuyerContract | None:
    """A contract for which news of EQUIVALENCE still counts: past T_close it has lapsed, swept or not."""
    contract = records.load(ctx, keys.buyer(channel_id, contract_id), trade.BuyerContract)
    if contract is None or gates.passed(ctx, times_of(contract).close_ms):
        return None
    return contract


def _end(ctx: Context, contract: trade.BuyerContract, event: BuyerEvent, reason: str) -> None:
    state = life.buyer_next(contract.state, event)
    if state is not None:
        pay.refund(ctx, contract, state, reason)


def _schedule(ctx: Context, contract: trade.BuyerContract, kind: keys.DueKind, time_ms: int) -> None:
    where = contract.lock
    due = keys.Due(time_ms=time_ms, kind=kind, channel_id=contract.channel_id, slot=where.slot, ident=where.contract_id)
    records.schedule(ctx, due)


def _emit(ctx: Context, kind: str, contract: trade.BuyerContract, **more: str | int) -> None:
    where = (contract.channel_id, contract.lock.slot, contract.lock.contract_id)
    records.emit(ctx, kind, where, Buyer(contract.state).name, **more)
