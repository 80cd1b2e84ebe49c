"""The happy path, a refusal and a timeout over the project's own IBC core: real channels, packets, receipts."""

from __future__ import annotations

import pytest

from cosmos_wire.protos import channel, trade, trade_query
from energy.trade import Trade, packets
from energy.trade.module import VERSION
from ibc_core import bank
from tests.ibc import harness
from tests.ibc.harness import START_NS, Coordinator, Endpoint, Path, address, packet_of

from .pair import account, as_json, lock_msg, offer_msg, raw, reading_msg, small_params

SECOND = 10**9
SLOT = START_NS // (100 * SECOND) + 10
UTILITY = address("utility")


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    """A tenth of a second a block: a window of 13 seconds has room for a relayer's messages."""
    monkeypatch.setattr(harness, "BLOCK_NS", SECOND // 10)


def build() -> tuple[Coordinator, Path]:
    params = as_json(small_params(UTILITY, "unit"))
    net = Coordinator("mga-1", "mgb-1", apps={"trade": Trade}, genesis={"trade": {"params": params}})
    path = net.path("trade", VERSION)
    for chain in net.chains.values():
        chain.fund("utility", "unit", 10**15)
        chain.utility = UTILITY
    return net, path


def until(net: Coordinator, offset_s: int) -> None:
    """Blocks on both chains at a time relative to the slot's start."""
    net.pass_time(SLOT * 100 * SECOND + offset_s * SECOND - net.time_ns)


def sent_packets(end: Endpoint) -> list[channel.Packet]:
    """Packets of the last block of an endpoint's chain."""
    return [packet_of(attributes) for attributes in end.chain.attributes("send_packet")]


def reach_confirmed(net: Coordinator, path: Path) -> bytes:
    s, b = path.a, path.b
    for end in (s, b):
        end.chain.channel_id = end.channel_id
    until(net, -90)
    offer = s.chain.deliver(offer_msg(s.chain, slot=SLOT, channels=[s.channel_id]))[0].offer_id
    path.relay(sent_packets(s)[0])
    ident = b.chain.deliver(lock_msg(b.chain, offer, channel_id=b.channel_id))[0].contract_id
    path.relay(sent_packets(b)[0])
    return ident


def contract(end: object, ident: bytes) -> object:
    return end.chain.query("/bsmg.trade.v1.Query/Contract", trade_query.QueryContractRequest(contract_id=ident))


def test_offer_to_settlement():
    net, path = build()
    ident = reach_confirmed(net, path)
    until(net, -28)
    path.relay(sent_packets(path.b)[0])
    assert contract(path.a, ident).seller.state == trade.SELLER_STATE_ACTIVE
    until(net, 100)
    path.b.chain.deliver(reading_msg(path.b.chain, 1_000_000, slot=SLOT, channel_id=path.b.channel_id))
    meter = sent_packets(path.b)[0]
    path.a.chain.deliver(reading_msg(path.a.chain, 1_000_000, slot=SLOT, channel_id=path.a.channel_id))
    path.a.receive(meter)
    ack = path.relay(sent_packets(path.a)[0])
    assert packets.decode_ack(ack) == packets.Ack()
    assert contract(path.a, ident).seller.state == trade.SELLER_STATE_SETTLED
    assert contract(path.b, ident).buyer.state == trade.BUYER_STATE_SETTLED
    paid = bank.balance(path.b.chain.context(), raw(account("payee on B")), "unit")
    assert paid == 2_000 * 1_000_000 * 3 // 2


def test_a_refused_lock_is_an_error_acknowledgement_with_its_code():
    net, path = build()
    ident = reach_confirmed(net, path)
    offer = contract(path.b, ident).buyer.lock.offer_id
    path.b.chain.deliver(lock_msg(path.b.chain, offer, channel_id=path.b.channel_id, nonce=1))
    ack = path.relay(sent_packets(path.b)[0])
    assert ack == b'{"error":"ABCI code: 5: error handling packet: see events for details"}'
    buyers = path.b.chain.query("/bsmg.trade.v1.Query/Contracts", trade_query.QueryContractsRequest()).buyer
    assert sorted(c.state for c in buyers) == [trade.BUYER_STATE_CONFIRMED, trade.BUYER_STATE_REFUNDED]


def test_a_timeout_of_equivalence_refunds():
    net, path = build()
    ident = reach_confirmed(net, path)
    until(net, -28)
    packet = sent_packets(path.b)[0]
    until(net, -10)
    assert contract(path.b, ident).buyer.state == trade.BUYER_STATE_COMMITTED
    path.b.timeout(packet)
    assert contract(path.b, ident).buyer.state == trade.BUYER_STATE_REFUNDED
    assert contract(path.a, ident).seller.state == trade.SELLER_STATE_CANCELLED
