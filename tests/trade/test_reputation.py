"""Scores from settlements, told to the other chain and asked for by offers."""

from __future__ import annotations

from hashlib import sha256

import pytest

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import trade, trade_query, trade_tx
from cosmos_wire.protos import trade_packet as pk
from energy.trade import packets, reputation
from energy.trade.arithmetic import Basis, Verdict

from .pair import SLOT, lock_msg, new_pair, packet_of, reading_msg

SCORES = trade_query.QueryScoresRequest()


def settled(export_mwh, import_mwh):
    pair = new_pair()
    ident = pair.reach_metering()
    for side, total in ((pair.s, export_mwh), (pair.b, import_mwh)):
        side.deliver(reading_msg(side, total))
    pair.relay()
    pair.time(pair.t0 + 140_000)
    pair.relay()
    assert pair.b.bought(ident).state == trade.BUYER_STATE_SETTLED
    return pair, ident


def tell(chain, ident, **changes):
    fields = {"utility": chain.utility, "channel_id": chain.channel_id, "contract_id": ident, **changes}
    return chain.deliver(trade_tx.MsgPostReputation(**fields))


def test_before_a_contract_there_is_no_score():
    assert new_pair().s.query(SCORES).scores == []


@pytest.mark.parametrize(
    ("readings", "of_seller", "of_buyer"),
    [((1_000_000, 1_000_000), 600, 600), ((500_000, 500_000), 500, 600), ((1_000_000, 0), 400, 400)],
)
def test_both_sides_rate_by_what_was_delivered_and_what_was_read(readings, of_seller, of_buyer):
    """0.5 moves a fifth of the way: full delivery 600, half of it 500; readings that contradict cost both."""
    pair, ident = settled(*readings)
    (here,), (there,) = pair.b.query(SCORES).scores, pair.s.query(SCORES).scores
    assert (here.score_milli, there.score_milli) == (of_seller, of_buyer)
    assert {(score.contracts, score.contract_id) for score in (here, there)} == {(1, ident)}


def test_quality_is_a_part_of_1000_whatever_the_readings():
    for basis, expected in (
        (pk.BASIS_EXPORT, 0),
        (pk.BASIS_NONE, None),
        (pk.BASIS_AGREED, 1000),
        (pk.BASIS_IMPORT, 1000),
    ):
        assert reputation.of_buyer(pk.Settlement(basis=basis)) == expected
    judged = pk.Settlement(basis=pk.BASIS_ARBITER, import_mwh=300, arbiter_mwh=400)
    assert reputation.of_buyer(judged) == 750
    assert reputation.of_seller(Verdict(lo_mwh=0, hi_mwh=0, basis=Basis.NONE), 5) is None


def test_a_score_is_told_once_a_contract_and_rests_on_the_settlement():
    pair, ident = settled(800_000, 800_000)
    answer = tell(pair.b, ident)
    with pytest.raises(ChainError, match="duplicate_contract"):
        tell(pair.b, ident)
    body = pair.b.last("reputation").body.reputation
    settlement = pair.s.sold(ident).settlement.SerializeToString(deterministic=True)
    assert body.evidence_hash == sha256(settlement).digest()
    pair.relay()
    (score,) = pair.s.query(trade_query.QueryScoresRequest(channel_id="channel-1")).scores
    assert score.heard.score_milli == body.score_milli == answer.score_milli == 560
    tell(pair.s, ident)
    pair.relay()
    (score,) = pair.b.query(SCORES).scores
    assert (score.heard.score_milli, score.heard.subject) == (600, pair.s.sold(ident).lock.buyer)
    assert pair.s.query(trade_query.QueryScoresRequest(channel_id="channel-9")).scores == []


def test_a_reputation_of_another_settlement_is_refused():
    pair, ident = settled(800_000, 800_000)
    tell(pair.b, ident)
    packet = packet_of(pair.b, pair.b.last("reputation"))
    body = pk.TradePacketData.FromString(packet.data)
    body.reputation.evidence_hash = bytes(32)
    packet.data = packets.encode(body)
    with pytest.raises(ChainError, match="terms_differ"):
        pair.s.run(lambda ctx: pair.s.trade.on_recv_packet(ctx, packet, ""))


def test_who_may_tell_and_about_what():
    pair = new_pair()
    ident = pair.reach_active()
    with pytest.raises(ChainError, match="wrong_state"):
        tell(pair.b, ident)
    with pytest.raises(ChainError, match="unknown_contract"):
        tell(pair.b, bytes(32))
    with pytest.raises(ChainError, match="not_allowed"):
        tell(pair.b, ident, utility=pair.s.utility)
    refunded = new_pair()
    ident = refunded.reach_committed()
    refunded.s.gate.verdict = False
    refunded.s.block(refunded.t0 - 15_000)
    refunded.b.block(refunded.t0 - 15_000)
    refunded.relay()
    assert refunded.b.bought(ident).state == trade.BUYER_STATE_REFUNDED
    with pytest.raises(ChainError, match="wrong_state"):
        tell(refunded.b, ident)


def test_an_offer_asks_for_a_reputation():
    pair = new_pair()
    pair.time(pair.t0 - 100_000)
    stranger = pair.lock(pair.offer(reputation_milli_min=501))
    pair.relay()
    assert pair.s.sold(stranger) is None
    assert pair.b.bought(stranger).reason == "error"
    offer = pair.offer(reputation_milli_min=500, nonce=7)
    welcome = pair.b.deliver(lock_msg(pair.b, offer, energy_mwh=5)).contract_id
    pair.relay()
    assert pair.s.sold(welcome).state == trade.SELLER_STATE_RESERVED
    assert pair.s.sold(welcome).lock.slot == SLOT
