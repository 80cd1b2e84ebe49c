"""The whole way once: clients, connection, channel, transfer there and back, timeout."""

from __future__ import annotations

from cosmos_wire.protos import channel
from ibc_core.packet import NOOP, SUCCESS
from ibc_core.transfer.denom import Denom
from tests.ibc.harness import HOUR_NS, Coordinator

VOUCHER = Denom("bmga", (("transfer", "channel-0"),)).ledger_name


def test_there_and_back() -> None:
    net = Coordinator("mga-1", "mgb-1")
    path = net.path()
    a, b = path.a.chain, path.b.chain
    assert (path.a.end.state, path.b.end.state) == (channel.STATE_OPEN, channel.STATE_OPEN)
    a.fund("alice", "bmga", 100)
    assert path.relay(path.a.transfer("alice", "bob", ("bmga", 60))) == b'{"result":"AQ=="}'
    assert (a.balance("alice", "bmga"), b.balance("bob", VOUCHER)) == (40, 60)
    path.relay(path.b.transfer("bob", "alice", (VOUCHER, 25)))
    assert (a.balance("alice", "bmga"), b.balance("bob", VOUCHER)) == (65, 35)


def test_a_timeout_refunds() -> None:
    net = Coordinator("mga-1", "mgb-1")
    path = net.path()
    path.a.chain.fund("alice", "bmga", 100)
    packet = path.a.transfer("alice", "bob", ("bmga", 60))
    net.pass_time(2 * HOUR_NS)
    assert path.a.timeout(packet) == SUCCESS
    assert path.a.chain.balance("alice", "bmga") == 100
    assert path.a.timeout(packet) == NOOP


def test_redundant_relays_are_no_ops() -> None:
    path = Coordinator("mga-1", "mgb-1").path()
    path.a.chain.fund("alice", "bmga", 100)
    packet = path.a.transfer("alice", "bob", ("bmga", 60))
    ack = path.b.receive(packet)
    assert path.b.chain.deliver(path.b.msg_receive(packet))[0].result == NOOP
    assert path.a.acknowledge(packet, ack) == SUCCESS
    assert path.a.acknowledge(packet, ack) == NOOP
    assert path.b.chain.balance("bob", VOUCHER) == 60
