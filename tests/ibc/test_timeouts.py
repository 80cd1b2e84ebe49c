"""ICS-04 timeouts: ibc-go's case names (04-channel/keeper/timeout_test.go), our own cases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import channel
from ibc_core import errors
from ibc_core.packet import NOOP, SUCCESS
from tests.ibc.harness import HOUR_NS, ORDERED, UNORDERED
from tests.ibc.spoil import (
    LATE,
    Case,
    World,
    change,
    connection_state,
    freeze,
    params,
    world,
)

# timeout


@pytest.mark.parametrize("ordering", [UNORDERED, ORDERED])
def test_timeout_success(ordering: int) -> None:
    w = world(ordering)
    w.net.pass_time(2 * HOUR_NS)
    assert w.path.a.timeout(w.packet) == SUCCESS
    assert not w.path.a.sent(w.packet)
    closed = w.path.a.end.state == channel.STATE_CLOSED
    assert closed == (ordering == ORDERED)
    assert len(w.path.a.chain.attributes("channel_close")) == int(closed)
    assert w.path.a.timeout(w.packet) == NOOP
    assert w.app("a").calls.count("timed out 1") == 1


def test_timeout_by_height() -> None:
    w = world(timeout_ns=0, timeout_height=60)
    with pytest.raises(errors.TimeoutNotReached):
        w.path.a.timeout(w.packet)
    while w.path.b.chain.height < 60:
        w.path.b.chain.deliver()
    assert w.path.a.timeout(w.packet) == SUCCESS


def test_timeout_out_of_order() -> None:
    w = world()
    second = w.path.a.send()
    w.net.pass_time(2 * HOUR_NS)
    assert w.path.a.timeout(second) == SUCCESS
    assert w.path.a.timeout(w.packet) == SUCCESS


TIMEOUT_CASES: list[Case] = [
    ("channel not found", change(source_channel="channel-9"), errors.ChannelNotFound),
    ("packet destination port != counterparty port", change(destination_port="other"), errors.InvalidPacket),
    (
        "packet destination channel ID != counterparty channel ID",
        change(destination_channel="channel-9"),
        errors.InvalidPacket,
    ),
    ("connection not found", connection_state("a", None), errors.ConnectionNotFound),
    ("packet commitment bytes do not match", change(data=b"other"), errors.InvalidPacket),
    ("client is frozen", freeze("a"), errors.ClientNotActive),
]


@pytest.mark.parametrize(("malleate", "error"), params(TIMEOUT_CASES))
@pytest.mark.parametrize("ordering", [UNORDERED, ORDERED], ids=["UNORDERED", "ORDERED"])
def test_timeout_is_refused(ordering: int, malleate: Callable[[World], None], error: type[ChainError]) -> None:
    w = world(ordering)
    w.net.pass_time(LATE)
    message = w.path.a.msg_timeout(w.packet)
    malleate(w)
    message.packet.CopyFrom(w.packet)
    with pytest.raises(error):
        w.path.a.chain.deliver(message)


def test_timeout_not_reached() -> None:
    w = world()
    with pytest.raises(errors.TimeoutNotReached):
        w.path.a.timeout(w.packet)


@pytest.mark.parametrize(
    ("ordering", "error"), [(UNORDERED, errors.FailedNonMembershipVerification), (ORDERED, errors.PacketReceived)]
)
def test_timeout_of_a_packet_that_was_received(ordering: int, error: type[ChainError]) -> None:
    w = world(ordering)
    w.path.b.receive(w.packet)
    w.net.pass_time(LATE)
    with pytest.raises(error):
        w.path.a.timeout(w.packet)


def test_next_seq_receive_verification_failed() -> None:
    w = world(ORDERED)
    w.path.b.receive(w.packet)
    second = w.path.a.send()
    w.net.pass_time(LATE)
    message = w.path.a.msg_timeout(second)
    message.next_sequence_recv = 1  # the counterparty holds 2
    with pytest.raises(errors.FailedMembershipVerification):
        w.path.a.chain.deliver(message)
    message.next_sequence_recv = 0
    with pytest.raises(errors.IbcInvalidSequence):
        w.path.a.chain.deliver(message)


def test_timeout_of_a_packet_that_was_not_sent_is_a_no_op() -> None:
    w = world()
    w.packet.sequence = 9
    w.net.pass_time(LATE)
    assert w.path.a.timeout(w.packet) == NOOP


def test_an_application_that_refuses_keeps_the_packet() -> None:
    w = world()
    w.net.pass_time(LATE)
    w.app("a").refuse = True
    with pytest.raises(ChainError):
        w.path.a.timeout(w.packet)
    assert w.path.a.sent(w.packet)


# timeout on close


@pytest.mark.parametrize("ordering", [UNORDERED, ORDERED])
def test_timeout_on_close_success(ordering: int) -> None:
    w = world(ordering)
    w.path.b.close_init()
    assert w.path.a.timeout_on_close(w.packet) == SUCCESS
    assert w.path.a.timeout_on_close(w.packet) == NOOP
    assert (w.path.a.end.state == channel.STATE_CLOSED) == (ordering == ORDERED)


@pytest.mark.parametrize("ordering", [UNORDERED, ORDERED])
def test_timeout_on_close_of_an_open_channel(ordering: int) -> None:
    w = world(ordering)
    with pytest.raises(errors.FailedMembershipVerification):
        w.path.a.timeout_on_close(w.packet)


@pytest.mark.parametrize(
    ("ordering", "error"), [(UNORDERED, errors.FailedNonMembershipVerification), (ORDERED, errors.PacketReceived)]
)
def test_timeout_on_close_of_a_received_packet(ordering: int, error: type[ChainError]) -> None:
    w = world(ordering)
    w.path.b.receive(w.packet)
    w.path.b.close_init()
    with pytest.raises(error):
        w.path.a.timeout_on_close(w.packet)


@pytest.mark.parametrize(("malleate", "error"), params(TIMEOUT_CASES))
def test_timeout_on_close_is_refused(malleate: Callable[[World], None], error: type[ChainError]) -> None:
    w = world()
    w.path.b.close_init()
    message = w.path.a.msg_timeout_on_close(w.packet)
    malleate(w)
    message.packet.CopyFrom(w.packet)
    with pytest.raises(error):
        w.path.a.chain.deliver(message)
