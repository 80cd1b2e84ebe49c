"""Whole lives of a contract: the sequences of docs/trade.md 7 and what can go wrong (8)."""

from __future__ import annotations

import pytest

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import trade, trade_query, trade_tx
from cosmos_wire.protos import trade_packet as pk
from energy.trade import packets, reputation
from ibc_core import bank

from .pair import FUNDS, SLOT, account, new_pair, packet_of, reading_msg

S, B = trade.SellerState.Name, trade.BuyerState.Name
COST = 2_000 * 1_000_000 * 3 // 2
FEE = 1_500 * 1_000_000


def test_the_happy_path_pays_once_and_returns_the_collateral():
    pair = new_pair()
    ident = pair.reach_active()
    sold, bought = pair.s.sold(ident), pair.b.bought(ident)
    assert S(sold.state) == "SELLER_STATE_ACTIVE"
    assert (B(bought.state), bought.active) == ("BUYER_STATE_COMMITTED", True)
    assert int(sold.claim) * 3 <= COST * 2
    assert pair.b.escrow() == COST + FEE
    pair.time(pair.t0 + 100_000)
    pair.s.deliver(reading_msg(pair.s, 1_000_000))
    pair.b.deliver(reading_msg(pair.b, 1_000_000))
    pair.relay()
    assert S(pair.s.sold(ident).state) == "SELLER_STATE_SETTLED"
    assert B(pair.b.bought(ident).state) == "BUYER_STATE_SETTLED"
    assert pair.s.sold(ident).confirmation == trade.CONFIRMATION_CONFIRMED
    assert pair.b.balance(account("payee on B")) == COST
    assert pair.b.module_balance("trade/fees") == FEE
    assert pair.b.balance(pair.b.utility) == FUNDS - COST - FEE
    assert pair.b.escrow() == 0
    assert pair.s.module_balance("trade/collateral") == 0
    assert pair.s.balance(pair.s.utility) == FUNDS


def deliver_all(pair):
    pair.s.deliver(reading_msg(pair.s, 1_000_000))
    pair.b.deliver(reading_msg(pair.b, 1_000_000))
    pair.relay()


def conserved(pair):
    """No trade changes a supply, and every module account holds what its contracts say."""
    for chain in (pair.s, pair.b):
        assert bank.supply(chain.context(), chain.denom) == FUNDS
        open_offers = chain.query(trade_query.QueryOffersRequest()).offers
        contracts = chain.query(trade_query.QueryContractsRequest())
        held = sum(int(o.collateral) for o in open_offers) + sum(int(c.collateral) for c in contracts.seller)
        assert chain.module_balance("trade/collateral") == held
        assert chain.escrow() == sum(int(c.escrow) for c in contracts.buyer)


def states(pair, ident):
    sold, bought = pair.s.sold(ident), pair.b.bought(ident)
    left = S(sold.state).removeprefix("SELLER_STATE_") if sold else "-"
    return left, B(bought.state).removeprefix("BUYER_STATE_")


def test_fail_1_no_relayer_for_lock():
    pair = new_pair()
    pair.time(pair.t0 - 100_000)
    ident = pair.lock(pair.offer())
    pair.time(pair.t0 - 15_000)
    assert states(pair, ident) == ("-", "REFUNDED")
    assert pair.b.bought(ident).reason == "clock"
    pair.relay()  # the late LOCK times out, without effect
    assert states(pair, ident) == ("-", "REFUNDED")
    assert pair.b.balance(pair.b.utility) == FUNDS
    conserved(pair)


def test_fail_2_the_slot_is_halted_on_b():
    pair = new_pair()
    pair.time(pair.t0 - 100_000)
    ident = pair.lock(pair.offer())
    pair.relay()
    pair.b.gate.verdict = False
    pair.time(pair.t0 - 28_000)
    assert states(pair, ident) == ("RESERVED", "REFUNDED")
    pair.time(pair.t0 - 15_000)
    assert states(pair, ident) == ("CANCELLED", "REFUNDED")
    assert pair.s.balance(pair.s.utility) == FUNDS
    conserved(pair)


def test_fail_3_equivalence_is_never_relayed():
    pair = new_pair()
    ident = pair.reach_committed()
    pair.time(pair.t0 - 15_000)
    assert states(pair, ident) == ("CANCELLED", "COMMITTED")
    pair.relay()
    assert states(pair, ident) == ("CANCELLED", "REFUNDED")
    conserved(pair)


def test_fail_4_the_meter_packet_is_lost():
    pair = new_pair()
    ident = pair.reach_metering()
    pair.s.deliver(reading_msg(pair.s, 900_000))
    pair.time(pair.t0 + 120_000)
    assert states(pair, ident) == ("SETTLED", "COMMITTED")
    pair.relay()
    assert states(pair, ident) == ("SETTLED", "SETTLED")
    assert pair.b.bought(ident).settlement.basis == pk.BASIS_EXPORT
    conserved(pair)


def test_fail_5_a_dispute_without_arbiter():
    pair = new_pair()
    ident = pair.reach_metering()
    pair.s.deliver(reading_msg(pair.s, 1_000_000))
    pair.b.deliver(reading_msg(pair.b, 0))
    pair.relay()
    pair.time(pair.t0 + 140_000)
    pair.relay()
    bought = pair.b.bought(ident)
    assert states(pair, ident) == ("SETTLED", "SETTLED")
    assert (bought.paid_seller, bought.paid_pool, bought.paid_fee) == ("0", str(COST), "0")
    fine = 200_000 * 2_000 * 950_000 // 10**6
    assert pair.s.balance(pair.s.utility) == FUNDS - fine
    assert pair.s.balance(account("payee on S")) == 0
    assert pair.s.module_balance("trade/pool") == fine
    conserved(pair)


def test_fail_6_the_settlement_never_arrives():
    pair = new_pair()
    ident = pair.reach_metering()
    pair.b.deliver(reading_msg(pair.b, 400_000))
    pair.relay()
    pair.b.frozen = True
    pair.s.deliver(reading_msg(pair.s, 400_000))
    pair.time(pair.t0 + 160_000)
    assert states(pair, ident) == ("SETTLED", "LAPSED")
    assert pair.b.balance(account("payee on B")) == COST * 4 // 10
    pair.relay()
    assert pair.s.sold(ident).confirmation == trade.CONFIRMATION_LAPSED
    conserved(pair)


def test_both_silent_pay_nothing_and_fine_nobody():
    pair = new_pair()
    ident = pair.reach_metering()
    pair.time(pair.t0 + 120_000)
    pair.relay()
    assert states(pair, ident) == ("SETTLED", "SETTLED")
    assert pair.s.balance(pair.s.utility) == pair.b.balance(pair.b.utility) == FUNDS


def test_an_arbiter_ends_a_dispute():
    judge = account("dno")
    pair = new_pair(arbiters=[trade.ArbiterEntry(channel_id="channel-1", account=judge)])
    ident = pair.reach_metering()
    pair.s.deliver(reading_msg(pair.s, 1_000_000))
    pair.b.deliver(reading_msg(pair.b, 0))
    pair.relay()
    msg = trade_tx.MsgPostArbiterReading(arbiter=judge, channel_id="channel-1", slot=SLOT, total_mwh=990_000)
    pair.s.deliver(msg)
    pair.relay()
    assert pair.b.bought(ident).settlement.lo_mwh == 990_000
    assert pair.b.bought(ident).settlement.basis == pk.BASIS_ARBITER
    conserved(pair)


def test_the_security_check_removes_an_active_contract():
    pair = new_pair()
    ident = pair.reach_active()
    pair.s.run(lambda ctx: pair.s.trade.remove(ctx, "channel-1", ident))
    assert pair.s.query(trade_query.QueryClaimsRequest()).claims == []
    pair.relay()
    assert states(pair, ident) == ("CANCELLED", "REFUNDED")
    assert pair.b.bought(ident).reason == "cancelled"
    conserved(pair)


def test_a_halt_on_s_after_activation_reaches_b():
    pair = new_pair()
    pair.time(pair.t0 - 100_000)
    ident = pair.lock(pair.offer())
    pair.relay()
    pair.b.block(pair.t0 - 28_000)  # B's clock is ahead, S has not reached its gate
    pair.relay()
    assert states(pair, ident)[0] == "ACTIVE"
    pair.s.gate.verdict = False
    pair.s.block(pair.t0 - 28_000)
    pair.relay()
    assert states(pair, ident) == ("CANCELLED", "REFUNDED")
    conserved(pair)


def test_a_gate_without_verdict_closes_at_t_act():
    pair = new_pair()
    pair.time(pair.t0 - 100_000)
    ident = pair.lock(pair.offer())
    pair.relay()
    pair.s.gate.verdict = pair.b.gate.verdict = None
    for step in range(28_000, 15_000, -1_000):
        pair.time(pair.t0 - step)
        assert states(pair, ident) == ("RESERVED", "CONFIRMED")
    pair.time(pair.t0 - 15_000)
    assert states(pair, ident) == ("CANCELLED", "REFUNDED")
    conserved(pair)


def test_a_frozen_client_delays_equivalence_until_it_recovers():
    pair = new_pair()
    pair.time(pair.t0 - 100_000)
    ident = pair.lock(pair.offer())
    pair.relay()
    pair.b.frozen = True
    pair.time(pair.t0 - 28_000)
    assert states(pair, ident)[1] == "CONFIRMED"
    pair.b.frozen = False
    pair.time(pair.t0 - 27_000)
    assert states(pair, ident)[1] == "COMMITTED"


def test_resend_of_settlement_and_meter_after_recovery():
    pair = new_pair()
    ident = pair.reach_metering()
    pair.s.frozen = pair.b.frozen = True
    pair.b.deliver(reading_msg(pair.b, 1_000_000))
    pair.s.deliver(reading_msg(pair.s, 1_000_000))
    pair.time(pair.t0 + 110_000)
    pair.s.frozen = pair.b.frozen = False
    pair.b.deliver(trade_tx.MsgResend(sender=account("anybody"), channel_id="channel-1", slot=SLOT))
    pair.s.frozen = True  # the decision falls while S can't send
    pair.time(pair.t0 + 120_000)
    assert pair.s.sold(ident).confirmation == trade.CONFIRMATION_NONE
    pair.s.frozen = False
    pair.s.deliver(trade_tx.MsgResend(sender=account("anybody"), channel_id="channel-1", contract_id=ident))
    pair.relay()
    assert states(pair, ident) == ("SETTLED", "SETTLED")
    conserved(pair)


def test_a_halted_chain_decides_and_lapses_in_its_first_block():
    pair = new_pair()
    ident = pair.reach_metering()
    pair.b.deliver(reading_msg(pair.b, 1_000_000))
    pair.time(pair.t0 + 10_000_000)
    assert states(pair, ident) == ("SETTLED", "LAPSED")
    assert pair.b.balance(account("payee on B")) == COST
    conserved(pair)


def test_a_closed_channel_takes_nothing_new_and_the_clocks_end_the_rest():
    pair = new_pair()
    pair.time(pair.t0 - 100_000)
    offer = pair.offer()
    ident = pair.lock(offer)
    pair.relay()
    for chain in (pair.s, pair.b):
        chain.run(lambda ctx, c=chain: c.trade.on_chan_close_confirm(ctx, "trade", "channel-1"))
        chain.frozen = True
    for refused in (lambda: pair.lock(offer, nonce=1), lambda: pair.offer(nonce=1)):
        with pytest.raises(ChainError, match="not_allowed"):
            refused()
    pair.time(pair.t0 - 28_000)
    pair.time(pair.t0 - 15_000)
    assert states(pair, ident) == ("CANCELLED", "REFUNDED")
    conserved(pair)


def test_settlement_overtakes_the_acknowledgement_of_equivalence():
    pair = new_pair()
    ident = pair.reach_committed()
    pair.net.receive(pair.b, pair.s, pair.b.last("equivalence"))
    pair.time(pair.t0 + 100_000)
    pair.b.deliver(reading_msg(pair.b, 1_000_000))
    pair.net.receive(pair.b, pair.s, pair.b.last("meter"))
    pair.s.deliver(reading_msg(pair.s, 1_000_000))
    pair.net.receive(pair.s, pair.b, pair.s.last("settlement"))
    assert states(pair, ident) == ("SETTLED", "SETTLED")
    assert not pair.b.bought(ident).active
    pair.relay()
    assert states(pair, ident) == ("SETTLED", "SETTLED")
    conserved(pair)


def test_partial_fill_gives_the_rest_back():
    pair = new_pair()
    pair.time(pair.t0 - 100_000)
    offer = pair.offer(energy_mwh=700_000)
    ident = pair.lock(offer, energy_mwh=1_000_000)
    pair.relay()
    bought = pair.b.bought(ident)
    assert bought.energy_mwh == 700_000
    assert int(bought.escrow) == 2_100_000_000 + 1_500 * 700_000
    conserved(pair)


def test_acknowledgements_that_make_no_sense_leave_it_to_the_clock():
    pair = new_pair()
    pair.time(pair.t0 - 100_000)
    ident = pair.lock(pair.offer(), energy_min_mwh=10)
    packet = packet_of(pair.b, pair.b.last("lock"))
    answers = [pk.LockResult(energy_mwh=e) for e in (0, 9, 1_000_001)] + [pk.Empty()]
    for raw in [packets.result_ack(a) for a in answers] + [b"", b"{}", b'{"result":"//8="}']:
        pair.b.run(lambda ctx, raw=raw: pair.b.trade.on_acknowledge_packet(ctx, packet, raw))
        assert states(pair, ident)[1] == "LOCKED"
    pair.time(pair.t0 - 15_000)
    assert states(pair, ident)[1] == "REFUNDED"


def test_a_claim_above_the_lock_is_reported():
    pair = new_pair()
    ident = pair.reach_committed()
    packet = packet_of(pair.b, pair.b.last("equivalence"))
    raw = packets.result_ack(pk.EquivalenceResult(claim=str(COST)))
    pair.b.run(lambda ctx: pair.b.trade.on_acknowledge_packet(ctx, packet, raw))
    assert "claim_mismatch" in pair.b.kinds()
    assert pair.b.bought(ident).active


@pytest.mark.parametrize("broken", [False, True])
def test_pay_is_forwarded_from_the_sellers_account(broken):
    pair = new_pair()
    pair.b.forwards.broken = broken
    pair.reach_metering(forward=True)
    deliver_all(pair)
    assert pair.b.balance(account("payee on B")) == COST  # the mock moves nothing; a failed start leaves it there
    assert len(pair.b.forwards.orders) == (0 if broken else 1)
    if not broken:
        order = pair.b.forwards.orders[0]
        assert (order.trade_channel, order.amount, order.denom) == ("channel-1", COST, "bmgb")
    assert "trade_forwarded" in pair.b.kinds()
    conserved(pair)


def test_sweeps_are_bounded_and_what_is_past_its_time_is_refused_meanwhile():
    pair = new_pair(sweeps_per_block=3)
    pair.time(pair.t0 - 100_000)
    offer = pair.offer()
    idents = [pair.lock(offer, nonce=nonce, energy_mwh=1_000) for nonce in range(8)]
    for sent in pair.b.pending():
        pair.net.receive(pair.b, pair.s, sent)  # the acknowledgements wait
    pair.b.block(pair.t0 - 15_000)
    pair.b.block(pair.t0 - 14_999)
    before = [states(pair, ident)[1] for ident in idents]
    assert set(before) == {"LOCKED"}  # the six entries that ran were gates
    pair.relay()
    assert [states(pair, ident)[1] for ident in idents] == before
    for later in range(8):
        pair.b.block(pair.t0 - 14_000 + later)
    assert {states(pair, ident)[1] for ident in idents} == {"REFUNDED"}
    conserved(pair)


def test_lapse_shares_the_own_reading_over_all_committed_contracts():
    pair = new_pair()
    pair.time(pair.t0 - 100_000)
    offer = pair.offer()
    idents = [pair.lock(offer, nonce=nonce, energy_mwh=300_000) for nonce in range(3)]
    pair.relay()
    pair.time(pair.t0 - 28_000)
    pair.relay()
    pair.time(pair.t0 + 100_000)
    pair.b.deliver(reading_msg(pair.b, 500_001))
    pair.b.frozen = True
    pair.time(pair.t0 + 160_000)
    got = sorted(pair.b.bought(ident).settlement.lo_mwh for ident in idents)
    assert sum(got) == 500_001
    assert got == [166_667, 166_667, 166_667]
    conserved(pair)


def test_three_contracts_in_dispute_all_settle():
    """Independent shares of lo and hi would cross here, and B would refuse an outcome with lo above hi."""
    pair = new_pair(tol_mwh=0, tol_ppm=0)
    pair.time(pair.t0 - 100_000)
    offer = pair.offer()
    idents = [pair.lock(offer, nonce=nonce, energy_mwh=3) for nonce in range(3)]
    pair.relay()
    pair.time(pair.t0 - 28_000)
    pair.relay()
    pair.time(pair.t0 + 100_000)
    pair.s.deliver(reading_msg(pair.s, 6))
    pair.b.deliver(reading_msg(pair.b, 5))
    pair.relay()
    pair.time(pair.t0 + 140_000)
    pair.relay()
    assert {states(pair, ident) for ident in idents} == {("SETTLED", "SETTLED")}
    conserved(pair)


def test_level_3_asks_no_gate():
    pair = new_pair(grid="mga-1")
    pair.s.gate.verdict = pair.b.gate.verdict = False
    pair.time(pair.t0 - 100_000)
    ident = pair.lock(pair.offer(level=3))
    pair.relay()
    pair.time(pair.t0 - 6_700)
    pair.relay()
    assert states(pair, ident) == ("ACTIVE", "COMMITTED")


def test_a_sign_of_life_costs_nothing_and_can_not_be_locked():
    pair = new_pair()
    pair.time(pair.t0 - 100_000)
    offer = pair.offer(energy_mwh=0, seller_payee="")
    assert pair.s.query(trade_query.QueryOffersRequest()).offers == []
    assert len(pair.b.query(trade_query.QueryOffersRequest(heard=True)).offers) == 1
    with pytest.raises(ChainError, match="unknown_offer"):
        pair.lock(offer)
    pair.time(pair.t0 - 15_000)
    assert pair.b.query(trade_query.QueryOffersRequest(heard=True)).offers == []


def test_reputation_is_kept_about_ended_contracts():
    pair = new_pair()
    ident = pair.reach_metering()
    deliver_all(pair)
    body = pk.Reputation(contract_id=ident, subject="u@a", score_milli=900)
    body.evidence_hash = reputation.evidence(pair.s.sold(ident).settlement)
    packet = packet_of(pair.s, pair.s.last("settlement"))
    packet.data = packets.encode(pk.TradePacketData(reputation=body))
    assert pair.b.run(lambda ctx: pair.b.trade.on_recv_packet(ctx, packet, "")) == b'{"result":""}'


def test_an_error_acknowledgement_of_lock_refunds_at_once():
    pair = new_pair()
    pair.time(pair.t0 - 100_000)
    offer = pair.offer()
    pair.s.gate.verdict = False
    ident = pair.lock(offer)
    pair.relay()
    assert states(pair, ident) == ("-", "REFUNDED")
    assert pair.b.bought(ident).reason == "error"
    conserved(pair)
