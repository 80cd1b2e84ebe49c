"""Contracts on S, the seller's chain: reservation, activation with a claim, outcome, collateral."""

from __future__ import annotations

from cosmos_wire.address import from_bech32
from cosmos_wire.errors import InvalidAddress, Unauthorized
from cosmos_wire.protos import trade, trade_tx
from cosmos_wire.protos import trade_packet as pk
from energy.trade import delivery_book, gates, keys, life, offers, packets, records, reputation
from energy.trade.arithmetic import (
    PenaltyTerms,
    Verdict,
    buyer_cost,
    claim_for,
    collateral_for,
    fill,
    split_collateral,
)
from energy.trade.clock import SlotTimes, slot_times, timeout_ns
from energy.trade.errors import (
    BelowMinimum,
    DuplicateContract,
    Malformed,
    NotAllowed,
    NothingLeft,
    TermsDiffer,
    WrongAmount,
    WrongState,
)
from energy.trade.life import Seller, SellerEvent
from energy.trade.params import LEVEL_MICROGRID, terms_for, terms_hash
from energy.trade.ports import Ports
from ibc_core import bank
from ibc_core.host import Context

POOL_ADDRESS = bank.module_address(records.POOL)


def times_of(contract: trade.SellerContract) -> SlotTimes:
    """The contract's clock, from the terms with which it was made."""
    return slot_times(contract.terms, contract.lock.slot)


# LOCK


def recv_lock(ctx: Context, ports: Ports, channel_id: str, lock: pk.Lock) -> pk.LockResult:
    """Reserve what is left of the offer, at least the minimum; collateral moves from the offer to the contract."""
    offer = offers.find(ctx, lock.offer_id)
    terms = terms_for(records.params(ctx), offer.offer.level, channel_id)
    check_terms(channel_id, lock, offer.offer, terms)
    if ctx.app.get(keys.seller(channel_id, lock.contract_id)) is not None:
        raise DuplicateContract(f"contract {lock.contract_id.hex()} exists")
    check_lock_time(ctx, slot_times(terms, lock.slot))
    gates.require_level(ctx, ports, channel_id, offer.offer.level)
    gates.require_running(ctx, ports, (channel_id, lock.slot), offer.offer.level)
    gates.require_sound(ctx, ports, lock.slot)
    gates.require_selling(ctx, channel_id, lock.slot)
    reputation.require(ctx, channel_id, offer.offer.reputation_milli_min)
    gates.require_room(ctx, channel_id, keys.sellers_of_slot(channel_id, lock.slot))
    check_payee(ctx, lock.buyer_payee)
    energy = fill(lock.energy_mwh, offer.remaining_mwh)
    check_energy(lock, energy)
    gates.require_line(gates.selling(ctx, (channel_id, lock.slot)), energy, terms)
    _reserve(ctx, trade.SellerContract(channel_id=channel_id, lock=lock, energy_mwh=energy, terms=terms), offer)
    return pk.LockResult(energy_mwh=energy)


def check_terms(channel_id: str, lock: pk.Lock, offer: pk.Offer, terms: trade.Terms) -> None:
    """What the buyer locked for has to be what was offered, under the same parameters."""
    if offer.only_channel not in {"", channel_id}:
        raise NotAllowed(f"the offer is for {offer.only_channel}, the lock came by {channel_id}")
    if (lock.slot, lock.price_e4, lock.rate) != (offer.slot, offer.price_e4, offer.rate):
        raise TermsDiffer(f"offered slot {offer.slot} at {offer.price_e4}, locked slot {lock.slot} at {lock.price_e4}")
    if lock.arbiter != terms.arbiter or lock.terms_hash != terms_hash(terms):
        raise TermsDiffer(f"the two chains' parameters differ, arbiter here {terms.arbiter!r}, there {lock.arbiter!r}")
    cost = buyer_cost(packets.price_of(lock), lock.energy_mwh)
    if int(lock.locked) != cost:
        raise WrongAmount(f"the energy costs {cost}, locked {lock.locked}")


def check_lock_time(ctx: Context, times: SlotTimes) -> None:
    """A late LOCK is refused; B refunds by its clock."""
    gates.require_before(ctx, times.lock_ms, "LOCK")


def check_payee(ctx: Context, account: str) -> None:
    """The buyer's account on this chain has to be one that can be paid."""
    try:
        bank.require_recipient(ctx, from_bech32(account))
    except InvalidAddress as error:
        raise Malformed(f"buyer_payee: {error}") from error
    except Unauthorized as error:
        raise NotAllowed(f"buyer_payee: {error}") from error


def check_energy(lock: pk.Lock, energy_mwh: int) -> None:
    """Something has to be left, and at least the buyer's minimum."""
    if energy_mwh == 0:
        raise NothingLeft("the offer is used up")
    if energy_mwh < lock.energy_min_mwh:
        raise BelowMinimum(f"{energy_mwh} mWh are left, the lock wants at least {lock.energy_min_mwh}")


def _reserve(ctx: Context, contract: trade.SellerContract, offer: trade.OfferRecord) -> None:
    lock = contract.lock
    deposit = collateral_for(contract.terms.penalty_ppm, lock.price_e4, contract.energy_mwh)
    offer.remaining_mwh -= contract.energy_mwh
    offer.collateral = str(int(offer.collateral) - deposit)
    records.save(ctx, keys.offer(lock.offer_id), offer)
    contract.state = trade.SellerState.ValueType(life.require_seller(Seller.NONE, SellerEvent.LOCK))
    contract.collateral, contract.claim = str(deposit), "0"
    contract.seller, contract.level = offer.seller, offer.offer.level
    records.save_seller(ctx, contract)
    ctx.app.set(keys.sellers_of_slot(contract.channel_id, lock.slot) + lock.contract_id, records.PRESENT)
    records.add_to(ctx, keys.unfinished_count(contract.channel_id), 1)
    times = times_of(contract)
    _schedule(ctx, contract, keys.DueKind.SELLER_GATE, times.gate_ms)
    _schedule(ctx, contract, keys.DueKind.SELLER_ACT, times.act_ms)
    _emit(ctx, "trade_reserved", contract, energy_mwh=contract.energy_mwh, collateral=deposit)


# EQUIVALENCE


def recv_equivalence(ctx: Context, ports: Ports, channel_id: str, equivalence: pk.Equivalence) -> pk.EquivalenceResult:
    """Activate a reserved contract before T_act and mint its claim."""
    contract = records.find_seller(ctx, channel_id, equivalence.contract_id)
    state = life.require_seller(contract.state, SellerEvent.EQUIVALENCE)
    check_equivalence_time(ctx, times_of(contract))
    gates.require_running(ctx, ports, (channel_id, contract.lock.slot), contract.level)
    gates.require_sound(ctx, ports, contract.lock.slot)
    price = packets.price_of(contract.lock)
    cost = buyer_cost(price, contract.energy_mwh)
    if equivalence.rate != contract.lock.rate:
        raise TermsDiffer("the rate differs from the lock's")
    if int(equivalence.locked) != cost:
        raise WrongAmount(f"the reserved energy costs {cost}, locked {equivalence.locked}")
    contract.state, contract.was_active = trade.SellerState.ValueType(state), True
    mint_claim(ctx, contract, claim_for(cost, price))
    records.save_seller(ctx, contract)
    delivery_book.open_for(ctx, contract)
    _emit(ctx, "trade_active", contract, claim=contract.claim)
    return pk.EquivalenceResult(claim=contract.claim)


def check_equivalence_time(ctx: Context, times: SlotTimes) -> None:
    """A late EQUIVALENCE is refused: S cancels at T_act, and B gets its money by that refusal or by the timeout."""
    gates.require_before(ctx, times.act_ms, "EQUIVALENCE")


def mint_claim(ctx: Context, contract: trade.SellerContract, amount: int) -> None:
    """Give the contract its claim; it can't be transferred."""
    contract.claim = str(int(contract.claim) + amount)
    ctx.app.set(keys.claim(contract.channel_id, contract.lock.contract_id), contract.claim.encode())


def burn_claim(ctx: Context, contract: trade.SellerContract) -> None:
    """Burn before SETTLEMENT is sent, so that the escrow is never released while the claim stands."""
    contract.claim = "0"
    ctx.app.delete(keys.claim(contract.channel_id, contract.lock.contract_id))


# Ends


def gate_due(ctx: Context, ports: Ports, due: keys.Due) -> None:
    """T_gate: a halted slot cancels; without a verdict the question is asked again, until T_act, which halts."""
    contract = records.find_seller(ctx, due.channel_id, due.ident)
    if contract.level != LEVEL_MICROGRID or life.seller_next(contract.state, SellerEvent.HALT) is None:
        return
    verdict = gates.verdict(ctx, ports, due.channel_id, due.slot)
    if verdict is None and not gates.passed(ctx, times_of(contract).act_ms):
        _schedule(ctx, contract, keys.DueKind.SELLER_GATE, ctx.env.time_ms + 1)
        return
    if verdict is None:
        gates.halt(ctx, due.channel_id, due.slot)
    if not verdict:
        cancel(ctx, ports, contract, SellerEvent.HALT)


def act_due(ctx: Context, ports: Ports, due: keys.Due) -> None:
    """T_act: what is only reserved is cancelled."""
    contract = records.find_seller(ctx, due.channel_id, due.ident)
    if life.seller_next(contract.state, SellerEvent.ACT_PASSED) is not None:
        cancel(ctx, ports, contract, SellerEvent.ACT_PASSED)


def slot_voided(ctx: Context, ports: Ports, channel_id: str, slot: int) -> None:
    """The own slot was sealed without a certified schedule: what it sold is removed, as long as delivery is ahead."""
    for contract in records.sellers_of_slot(ctx, channel_id, slot):
        ahead = not gates.passed(ctx, times_of(contract).start_ms)
        if ahead and life.seller_next(contract.state, SellerEvent.REMOVE) is not None:
            remove(ctx, ports, channel_id, contract.lock.contract_id)


def remove(ctx: Context, ports: Ports, channel_id: str, contract_id: bytes) -> None:
    """The security check takes an ACTIVE contract out before delivery starts."""
    contract = records.find_seller(ctx, channel_id, contract_id)
    life.require_seller(contract.state, SellerEvent.REMOVE)
    gates.require_before(ctx, times_of(contract).start_ms, "a removal")
    cancel(ctx, ports, contract, SellerEvent.REMOVE)


def cancel(ctx: Context, ports: Ports, contract: trade.SellerContract, event: SellerEvent) -> None:
    """End a contract without delivery: collateral to the seller, and B is told if it may have committed."""
    state = life.require_seller(contract.state, event)
    active = Seller(contract.state) == Seller.ACTIVE
    _give_back(ctx, contract, int(contract.collateral))
    burn_claim(ctx, contract)
    _finish(ctx, contract, state)
    _emit(ctx, "trade_cancelled", contract, reason=event.value, energy_mwh=contract.energy_mwh)
    if active:
        contract.settlement.CopyFrom(pk.Settlement(contract_id=contract.lock.contract_id, outcome=pk.OUTCOME_CANCELLED))
        tell_cancelled(ctx, ports, contract)
        records.save_seller(ctx, contract)
        delivery_book.close_if_empty(ctx, contract)


def tell_cancelled(ctx: Context, ports: Ports, contract: trade.SellerContract) -> None:
    """Send SETTLEMENT(CANCELLED): B is COMMITTED and must not wait for T_close."""
    try_settlement(ctx, ports, contract)


def settle(ctx: Context, ports: Ports, contract: trade.SellerContract, settlement: pk.Settlement) -> None:
    """The delivery is decided: burn the claim, divide the collateral, send SETTLEMENT."""
    state = life.require_seller(contract.state, SellerEvent.DECIDED)
    verdict = Verdict(lo_mwh=settlement.lo_mwh, hi_mwh=settlement.hi_mwh, basis=delivery_book.Basis(settlement.basis))
    split = split_collateral(penalty_terms(contract), verdict)
    denom = records.params(ctx).denom
    records.move(ctx, offers.COLLATERAL_ADDRESS, from_bech32(contract.lock.buyer_payee), (denom, split.buyer))
    records.move(ctx, offers.COLLATERAL_ADDRESS, POOL_ADDRESS, (denom, split.pool))
    _give_back(ctx, contract, split.seller)
    burn_claim(ctx, contract)
    contract.settlement.CopyFrom(settlement)
    contract.settlement.contract_id = contract.lock.contract_id
    _finish(ctx, contract, state)
    _emit(ctx, "trade_settled", contract, seller=split.seller, buyer=split.buyer, pool=split.pool, fee=0)
    try_settlement(ctx, ports, contract)
    records.save_seller(ctx, contract)
    reputation.rate(ctx, contract.channel_id, contract.lock.contract_id, reputation.of_buyer(settlement))


def penalty_terms(contract: trade.SellerContract) -> PenaltyTerms:
    """What the contract's penalty depends on."""
    return PenaltyTerms(
        price_e4=contract.lock.price_e4,
        energy_mwh=contract.energy_mwh,
        collateral=int(contract.collateral),
        penalty_ppm=contract.terms.penalty_ppm,
        pen_tol_ppm=contract.terms.pen_tol_ppm,
    )


def _give_back(ctx: Context, contract: trade.SellerContract, amount: int) -> None:
    coin = (records.params(ctx).denom, amount)
    records.move(ctx, offers.COLLATERAL_ADDRESS, from_bech32(contract.seller), coin)


def _finish(ctx: Context, contract: trade.SellerContract, state: Seller) -> None:
    contract.state, contract.collateral = trade.SellerState.ValueType(state), "0"
    records.save_seller(ctx, contract)
    records.add_to(ctx, keys.unfinished_count(contract.channel_id), -1)


# SETTLEMENT on its way


def try_settlement(ctx: Context, ports: Ports, contract: trade.SellerContract) -> None:
    """Send SETTLEMENT if the client is active; MsgResend repeats it otherwise."""
    packet, timeout = _settlement_packet(contract)
    if records.try_send(ctx, ports, contract.channel_id, packet, timeout):
        contract.confirmation = trade.CONFIRMATION_SENT


def _settlement_packet(contract: trade.SellerContract) -> tuple[pk.TradePacketData, int]:
    return pk.TradePacketData(settlement=contract.settlement), timeout_ns(times_of(contract).close_ms)


def resend(ctx: Context, ports: Ports, msg: trade_tx.MsgResend) -> None:
    """Send the same SETTLEMENT after a try that an inactive client prevented; anybody may ask for it."""
    contract = records.find_seller(ctx, msg.channel_id, msg.contract_id)
    life.require_seller(contract.state, SellerEvent.RESEND)
    gates.require_before(ctx, times_of(contract).close_ms, "SETTLEMENT")
    if not contract.HasField("settlement") or contract.confirmation != trade.CONFIRMATION_NONE:
        raise WrongState("this contract has no SETTLEMENT that was not sent")
    packet, timeout = _settlement_packet(contract)
    records.send(ctx, ports, contract.channel_id, packet, timeout)
    contract.confirmation = trade.CONFIRMATION_SENT
    records.save_seller(ctx, contract)


def on_settlement_outcome(ctx: Context, channel_id: str, settlement: pk.Settlement, outcome: int) -> None:
    """Record what became of SETTLEMENT (CONFIRMATION_*); no money moves."""
    contract = records.load(ctx, keys.seller(channel_id, settlement.contract_id), trade.SellerContract)
    if contract is None or life.seller_next(contract.state, SellerEvent.OUTCOME) is None:
        return
    contract.confirmation = trade.Confirmation.ValueType(outcome)
    records.save_seller(ctx, contract)


def _schedule(ctx: Context, contract: trade.SellerContract, kind: keys.DueKind, time_ms: int) -> None:
    lock = contract.lock
    due = keys.Due(time_ms=time_ms, kind=kind, channel_id=contract.channel_id, slot=lock.slot, ident=lock.contract_id)
    records.schedule(ctx, due)


def _emit(ctx: Context, kind: str, contract: trade.SellerContract, **more: str | int) -> None:
    where = (contract.channel_id, contract.lock.slot, contract.lock.contract_id)
    records.emit(ctx, kind, where, Seller(contract.state).name, **more)
