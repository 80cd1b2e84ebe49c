"""The handlers over real proofs: what the mock takes for granted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path as FilePath

import pytest

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import channel, channel_tx
from ibc_core import errors
from ibc_core.packet import NOOP, SUCCESS
from ibc_core.tendermint.errors import DelayPeriodNotPassed
from ibc_core.transfer.denom import Denom
from tests.ibc.harness import HOUR_NS, ORDERED, UNORDERED, Coordinator, Path
from tests.ibc.mock_app import MockApp
from tests.ibc.real_chain import RealChain

VOUCHER = Denom("bmga", (("transfer", "channel-0"),)).ledger_name


@pytest.fixture
def net(tmp_path: FilePath) -> Iterator[Coordinator]:
    made = Coordinator("mga-1", "mgb-1", apps={"mock": MockApp}, make=partial(RealChain, tmp_path))
    yield made
    for chain in made.chains.values():
        assert isinstance(chain, RealChain)
        chain.db.close()


def test_transfers_there_and_back(net: Coordinator) -> None:
    path = net.path()
    a, b = path.a.chain, path.b.chain
    a.fund("alice", "bmga", 100)
    path.relay(path.a.transfer("alice", "bob", ("bmga", 60)))
    path.relay(path.b.transfer("bob", "alice", (VOUCHER, 25)))
    assert (a.balance("alice", "bmga"), b.balance("bob", VOUCHER)) == (65, 35)
    late = path.a.transfer("alice", "bob", ("bmga", 65))
    net.pass_time(2 * HOUR_NS)
    assert path.a.timeout(late) == SUCCESS
    assert a.balance("alice", "bmga") == 65


@pytest.mark.parametrize("ordering", [UNORDERED, ORDERED])
def test_packets_and_closing(net: Coordinator, ordering: int) -> None:
    path = net.mock_path(ordering)
    first, second, third = (path.a.send() for _ in range(3))
    path.relay(first)
    assert path.a.acknowledge(first, b"x") == NOOP
    path.b.receive(second)
    with pytest.raises(ChainError):
        path.a.timeout_on_close(third)
    path.b.close_init()
    assert path.a.timeout_on_close(third) == SUCCESS
    with pytest.raises(ChainError):
        path.a.timeout_on_close(second)  # received: no proof of the contrary
    if ordering == UNORDERED:
        path.a.close_confirm()
    assert path.a.end.state == channel.STATE_CLOSED


def flip(message: channel_tx.MsgRecvPacket, at: int) -> None:
    data = bytearray(message.proof_commitment)
    data[at % len(data)] ^= 1
    message.proof_commitment = bytes(data)


SPOILT: list[tuple[str, Callable[[channel_tx.MsgRecvPacket], None]]] = [
    ("data", lambda m: setattr(m.packet, "data", b"other")),
    ("sequence", lambda m: setattr(m.packet, "sequence", 2)),
    ("timeout", lambda m: setattr(m.packet, "timeout_timestamp", m.packet.timeout_timestamp + 1)),
    ("proof cut", lambda m: setattr(m, "proof_commitment", m.proof_commitment[:-1])),
    ("proof is no proof", lambda m: setattr(m, "proof_commitment", b"proof")),
    ("height the client does not know", lambda m: setattr(m.proof_height, "revision_height", 10**9)),
    ("height of another root", lambda m: setattr(m.proof_height, "revision_height", 1)),
    *[(f"bit in byte {at} of the proof", partial(flip, at=at)) for at in range(5, 400, 37)],
]


@pytest.mark.parametrize("spoil", [pytest.param(act, id=name) for name, act in SPOILT])
def test_a_spoilt_receive_is_refused(net: Coordinator, spoil: Callable[[channel_tx.MsgRecvPacket], None]) -> None:
    path: Path = net.mock_path()
    packet = path.a.send()
    message = path.b.msg_receive(packet)
    good = channel_tx.MsgRecvPacket.FromString(message.SerializeToString())
    spoil(message)
    with pytest.raises(ChainError) as refused:
        path.b.chain.deliver(message)
    assert refused.value.codespace != "ics23"  # to the outside a wrong proof is `commitment/2`, as ibc-go has it
    assert path.b.chain.router["mock"].calls == ["try", "confirm"]
    assert path.b.chain.deliver(good)[0].result == SUCCESS


def test_a_proof_of_absence_of_another_packet_is_no_timeout(net: Coordinator) -> None:
    """The class of Dragonberry: a forged absence would refund a packet that was received."""
    path = net.mock_path()
    received, missing = path.a.send(), path.a.send()
    path.b.receive(received)
    net.pass_time(2 * HOUR_NS)
    message = path.a.msg_timeout(missing)
    message.packet.CopyFrom(received)
    with pytest.raises(ChainError):
        path.a.chain.deliver(message)
    membership = path.a.msg_timeout(missing)
    membership.proof_unreceived = path.b.chain.prove(b"nextClientSequence")
    with pytest.raises(ChainError):
        path.a.chain.deliver(membership)
    assert path.a.timeout(missing) == SUCCESS


def test_an_expired_client_stops_everything(net: Coordinator) -> None:
    path = net.mock_path()
    packet = path.a.send()
    net.pass_time(15 * 24 * HOUR_NS)
    with pytest.raises(errors.ClientNotActive, match="Expired"):
        path.a.send()
    with pytest.raises(errors.ClientNotActive):
        path.a.timeout(packet)


def test_delay_period(net: Coordinator) -> None:
    path = net.unopened("mock", "mock-1")
    path.a.delay_ns = 60 * 10**9
    path.open_connection()
    path.open_channel()
    message = path.b.msg_receive(path.a.send())
    with pytest.raises(DelayPeriodNotPassed, match="current time"):
        path.b.chain.deliver(message)
    net.pass_time(60 * 10**9)
    path.b.chain.deliver()
    assert path.b.chain.deliver(message)[0].result == SUCCESS
