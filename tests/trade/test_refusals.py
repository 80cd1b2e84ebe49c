"""Every code of the code space `trade`, reached through messages, packets and handshakes; a refusal writes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cosmos_wire.errors import REGISTRY, ChainError
from cosmos_wire.protos import channel, trade_tx
from cosmos_wire.protos import trade_packet as pk
from energy.trade import packets
from energy.trade.module import VERSION
from ibc_core.host import Context
from ibc_core.router import Handshake

from .pair import SLOT, Chain, Pair, account, lock_msg, new_pair, offer_msg, packet_of, reading_msg

HANDSHAKE = Handshake(
    port_id="trade",
    channel_id="channel-7",
    ordering=channel.ORDER_UNORDERED,
    connection_hops=("connection-0",),
    counterparty_port_id="trade",
    counterparty_channel_id="channel-3",
    version=VERSION,
)


def code_of(chain: Chain, work: object) -> int:
    """The code of a refusal that leaves the stores as they were."""
    before = dict(chain.app.data), dict(chain.ibc.data)
    with pytest.raises(ChainError) as caught:
        work()
    assert caught.value.codespace == "trade"
    assert (dict(chain.app.data), dict(chain.ibc.data)) == before
    return caught.value.code


def refused(chain: Chain, msg: object) -> int:
    return code_of(chain, lambda: chain.deliver(msg))


def receive(chain: Chain, data: pk.TradePacketData) -> int:
    """Code of a hand-made packet that arrives."""
    packet = channel.Packet(sequence=99, destination_channel="channel-1", data=packets.encode(data))

    def work() -> None:
        chain.run(lambda ctx: chain.trade.on_recv_packet(ctx, packet, ""))

    return code_of(chain, work)


def ack_code(pair: Pair, sender: Chain, receiver: Chain, kind: str) -> int:
    """Code of the error acknowledgement that the last packet of a kind gets."""
    ack = pair.net.receive(sender, receiver, sender.last(kind))
    answer = packets.decode_ack(ack or b"")
    assert answer is not None
    return answer.error_code


def early() -> Pair:
    pair = new_pair()
    pair.time(pair.t0 - 100_000)
    return pair


def test_2_malformed():
    pair = early()
    for bad in ({"channels": []}, {"channels": ["channel-1", "channel-1"]}, {"level": 4}, {"seller_payee": ""}):
        assert refused(pair.s, offer_msg(pair.s, **bad)) == 2
    offer = pair.offer()
    for bad in ({"energy_mwh": 0}, {"energy_min_mwh": 0}, {"energy_min_mwh": 2_000_000}, {"energy_mwh": 2**63}):
        assert refused(pair.b, lock_msg(pair.b, offer, **bad)) == 2
    assert refused(pair.b, lock_msg(pair.b, pair.offer(nonce=1, seller_payee="nonsense"))) == 2


def test_3_unknown_offer():
    pair = early()
    assert refused(pair.b, lock_msg(pair.b, bytes(32))) == 3
    assert refused(pair.s, trade_tx.MsgCloseOffer(seller=pair.s.utility, offer_id=bytes(32))) == 3
    offer = pair.offer()
    pair.s.deliver(trade_tx.MsgCloseOffer(seller=pair.s.utility, offer_id=offer))
    pair.lock(offer)
    assert ack_code(pair, pair.b, pair.s, "lock") == 3


def test_4_terms_differ():
    pair = early()
    other = Chain("mgb-1", "bmgb")
    from .pair import FUNDS, small_params

    other.start(small_params(other.utility, other.denom, tol_ppm=30_000), {other.utility: FUNDS})
    other.block(pair.t0 - 100_000)
    pair.b = other
    pair.lock(pair.offer())
    assert ack_code(pair, pair.b, pair.s, "lock") == 4


def test_5_nothing_left_and_6_below_minimum():
    pair = early()
    offer = pair.offer()
    pair.lock(offer, energy_mwh=600_000)
    pair.relay()
    pair.lock(offer, energy_mwh=600_000, energy_min_mwh=400_001, nonce=1)
    assert ack_code(pair, pair.b, pair.s, "lock") == 6
    pair.lock(offer, energy_mwh=600_000, energy_min_mwh=400_000, nonce=2)
    pair.relay()
    pair.lock(offer, nonce=3)
    assert ack_code(pair, pair.b, pair.s, "lock") == 5


def test_7_slot_closed():
    pair = early()
    offer = pair.offer()
    pair.lock(offer)
    pair.time(pair.t0 - 30_000)
    assert refused(pair.s, offer_msg(pair.s, nonce=5)) == 7
    assert refused(pair.b, lock_msg(pair.b, offer, nonce=5)) == 7
    assert receive(pair.s, pair.b.last("lock").body) == 7
    assert receive(pair.b, pk.TradePacketData(offer=changed_offer(pair))) == 7


def changed_offer(pair: Pair) -> pk.Offer:
    offer = pk.Offer()
    offer.CopyFrom(pair.s.last("offer").body.offer)
    offer.offer_id = bytes(32)
    return offer


def test_8_slot_halted():
    pair = early()
    offer = pair.offer()
    pair.b.gate.verdict = False
    assert refused(pair.b, lock_msg(pair.b, offer)) == 8
    pair.b.gate.verdict = True
    pair.s.gate.verdict = False
    pair.lock(offer)
    assert ack_code(pair, pair.b, pair.s, "lock") == 8


def test_9_opposite_direction_on_both_sides():
    pair = early()
    here, there = pair.offer(), None
    there = pair.b.deliver(offer_msg(pair.b)).offer_id
    pair.net.receive(pair.b, pair.s, pair.b.last("offer"))
    pair.lock(here)
    pair.s.deliver(lock_msg(pair.s, there))  # both lock before either arrives
    assert ack_code(pair, pair.b, pair.s, "lock") == 9
    assert ack_code(pair, pair.s, pair.b, "lock") == 9
    pair.relay()
    assert pair.b.escrow() == pair.s.escrow() == 0
    pair.lock(here, nonce=1)  # the refunded ones don't count
    pair.relay()
    assert refused(pair.s, lock_msg(pair.s, there, nonce=1)) == 9


def test_10_duplicate_contract():
    pair = early()
    offer = pair.offer()
    pair.lock(offer)
    assert refused(pair.b, lock_msg(pair.b, offer)) == 10
    assert refused(pair.s, offer_msg(pair.s)) == 10
    assert receive(pair.b, pair.s.last("offer").body) == 10
    pair.relay()
    assert receive(pair.s, pair.b.last("lock").body) == 10


def test_11_unknown_contract():
    pair = early()
    assert refused(pair.s, trade_tx.MsgResend(sender="x", channel_id="channel-1", contract_id=bytes(32))) == 11
    assert refused(pair.s, reading_msg(pair.s, 1)) == 11
    meter = pk.Meter(slot=SLOT, import_mwh=1, meters_root=bytes(32))
    assert receive(pair.s, pk.TradePacketData(meter=meter)) == 11
    reputation = pk.Reputation(contract_id=bytes(32), subject="s", evidence_hash=bytes(32))
    assert receive(pair.s, pk.TradePacketData(reputation=reputation)) == 11
    assert receive(pair.b, pk.TradePacketData(settlement=pk.Settlement(contract_id=bytes(32), outcome=2))) == 11


def test_12_wrong_state():
    pair = new_pair()
    ident = pair.reach_metering()
    assert receive(pair.s, pair.b.last("equivalence").body) == 12
    assert refused(pair.s, trade_tx.MsgResend(sender="x", channel_id="channel-1", contract_id=ident)) == 12
    assert refused(pair.b, trade_tx.MsgResend(sender="x", channel_id="channel-1", slot=SLOT)) == 12
    reputation = pk.Reputation(contract_id=ident, subject="s", evidence_hash=bytes(32))
    assert receive(pair.s, pk.TradePacketData(reputation=reputation)) == 12


def test_13_wrong_amount():
    pair = new_pair()
    ident = pair.reach_metering()
    over = pk.Settlement(contract_id=ident, outcome=1, basis=4, lo_mwh=0, hi_mwh=1_000_001)
    assert receive(pair.b, pk.TradePacketData(settlement=over)) == 13
    second = new_pair()
    second.time(second.t0 - 100_000)
    second.lock(second.offer())
    lock = second.b.last("lock").body
    lock.lock.locked = str(int(lock.lock.locked) - 1)
    assert receive(second.s, lock) == 13


def test_14_and_15_readings():
    pair = new_pair()
    pair.reach_metering()
    assert refused(pair.s, reading_msg(pair.s, 10**9 + 1)) == 14
    assert refused(pair.b, reading_msg(pair.b, 10**9 + 1)) == 14
    pair.s.deliver(reading_msg(pair.s, 5))
    pair.b.deliver(reading_msg(pair.b, 5))
    assert refused(pair.s, reading_msg(pair.s, 6)) == 15
    assert refused(pair.b, reading_msg(pair.b, 6)) == 15


def test_16_not_allowed():
    pair = early()
    stranger = account("stranger")
    assert refused(pair.s, offer_msg(pair.s, seller=stranger)) == 16
    offer = pair.offer()
    assert refused(pair.b, lock_msg(pair.b, offer, buyer=stranger)) == 16
    assert refused(pair.s, trade_tx.MsgCloseOffer(seller=stranger, offer_id=offer)) == 16
    assert refused(pair.s, reading_msg(pair.s, 1, utility=stranger)) == 16
    assert refused(pair.s, offer_msg(pair.s, channels=["channel-9"])) == 16
    pool = next(p.address for p in pair.b.query(query_pools()).pools if p.name == "trade/pool")
    assert refused(pair.b, lock_msg(pair.b, pair.offer(nonce=2, seller_payee=pool))) == 16
    pair.lock(offer, buyer_payee=pool)
    assert ack_code(pair, pair.b, pair.s, "lock") == 16


def query_pools() -> object:
    from cosmos_wire.protos import trade_query

    return trade_query.QueryPoolsRequest()


def test_16_only_the_arbiter():
    pair = new_pair()
    pair.reach_metering()
    msg = trade_tx.MsgPostArbiterReading(arbiter=account("x"), channel_id="channel-1", slot=SLOT, total_mwh=1)
    assert refused(pair.s, msg) == 16


def test_16_an_offer_to_one_channel_is_not_for_another():
    pair = early()
    pair.s.open_channel("channel-2")
    offer = pair.offer(channels=["channel-2", "channel-1"], only_first_channel=True)
    pair.lock(offer)
    assert ack_code(pair, pair.b, pair.s, "lock") == 16


def test_17_too_many_offers_and_contracts():
    pair = early()
    for nonce in range(16):
        pair.offer(nonce=nonce, energy_mwh=64, price_e4=2_000)
    assert refused(pair.s, offer_msg(pair.s, nonce=16)) == 17
    offer = pair.s.logged()[0].body.offer.offer_id
    for nonce in range(64):
        pair.lock(offer, nonce=nonce, energy_mwh=1)
    assert refused(pair.b, lock_msg(pair.b, offer, nonce=64)) == 17


@pytest.mark.parametrize(("price", "inside"), [(333, False), (334, True), (2_666, True), (2_667, False)])
def test_18_price_band_in_the_buyers_token(price, inside):
    pair = early()  # band 500..4000 in B's token, one B unit is 2/3 S units
    offer = pair.offer(price_e4=price)
    if inside:
        pair.lock(offer)
    else:
        assert refused(pair.b, lock_msg(pair.b, offer)) == 18


def test_19_reading_mismatch():
    pair = new_pair()
    ident = pair.reach_metering()
    own = pk.Settlement(contract_id=ident, outcome=1, basis=5, lo_mwh=5, hi_mwh=5, import_mwh=5)
    assert receive(pair.b, pk.TradePacketData(settlement=own)) == 19
    pair.b.deliver(reading_msg(pair.b, 6))
    assert receive(pair.b, pk.TradePacketData(settlement=own)) == 19
    without = pk.Settlement(contract_id=ident, outcome=1, basis=4, lo_mwh=5, hi_mwh=5, export_mwh=5)
    pair.relay()
    assert receive(pair.b, pk.TradePacketData(settlement=without)) == 19


def test_20_channels_are_not_closed_by_us():
    pair = early()
    close = pair.s.trade.on_chan_close_init
    assert code_of(pair.s, lambda: pair.s.run(lambda ctx: close(ctx, "trade", "channel-1"))) == 20


def open_with(chain: Chain, step: str, **changes: object) -> None:
    shake = replace(HANDSHAKE, **changes)

    def work(ctx: Context) -> None:
        getattr(chain.trade, step)(ctx, shake)

    chain.run(work)


@pytest.mark.parametrize("step", ["on_chan_open_init", "on_chan_open_try"])
def test_21_22_handshake(step):
    chain = early().s
    assert code_of(chain, lambda: open_with(chain, step, version="bsmg-trade-2")) == 21
    assert code_of(chain, lambda: open_with(chain, step, ordering=channel.ORDER_ORDERED)) == 22
    open_with(chain, step)


def test_21_at_the_last_step_and_an_empty_proposal():
    chain = early().s
    assert code_of(chain, lambda: open_with(chain, "on_chan_open_ack", version="")) == 21
    assert code_of(chain, lambda: open_with(chain, "on_chan_open_try", version="")) == 21
    empty = replace(HANDSHAKE, version="")
    assert chain.run(lambda ctx: chain.trade.on_chan_open_init(ctx, empty)) == VERSION


def test_the_numbers_are_those_of_the_design():
    names = (
        "malformed unknown_offer terms_differ nothing_left below_minimum slot_closed slot_halted opposite_direction "
        "duplicate_contract unknown_contract wrong_state wrong_amount reading_out_of_range reading_known "
        "not_allowed too_many outside_price_band reading_mismatch channel_not_closable wrong_version wrong_ordering "
        "line_full reputation_too_low"
    )
    found = {code: made.reason for (space, code), made in REGISTRY.items() if space == "trade"}
    assert found == dict(enumerate(names.split(), 2))


def test_rubbish_in_a_packet_is_an_error_acknowledgement():
    pair = early()
    packet = packet_of(pair.s, replace(pair_sent(pair), data=b"\xff"))
    assert code_of(pair.b, lambda: pair.b.run(lambda ctx: pair.b.trade.on_recv_packet(ctx, packet, ""))) == 2


def pair_sent(pair: Pair) -> object:
    pair.offer()
    return pair.s.last("offer")
