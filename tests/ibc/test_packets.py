"""ICS-04 packets: ibc-go's case names (04-channel/keeper/packet_test.go), our own cases."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError, OutOfGas
from cosmos_wire.protos import Message, channel, channel_tx, client, client_tx, connection
from ibc_core import acknowledgement, errors, paths
from ibc_core.host import Context
from ibc_core.packet import DATA_BYTES_MAX, NOOP, SUCCESS, commitment
from ibc_core.tendermint.errors import DelayPeriodNotPassed
from tests.ibc.harness import HOUR_NS, ORDERED, UNORDERED, Coordinator
from tests.ibc.mock_app import MockApp
from tests.ibc.spoil import (
    LATE,
    OPEN_ACK,
    Case,
    World,
    change,
    channel_state,
    connection_state,
    drop,
    freeze,
    params,
    world,
)

# send


@pytest.mark.parametrize("ordering", [UNORDERED, ORDERED])
def test_send_success(ordering: int) -> None:
    w = world(ordering)
    stored = w.path.a.chain.ibc.get(paths.commitment("mock", w.path.a.channel_id, 1))
    assert stored == commitment(w.packet)
    assert w.path.a.send().sequence == 2


def test_commitment_is_the_hash_that_ibc_go_takes() -> None:
    packet = channel.Packet(data=b"data", timeout_timestamp=7)
    packet.timeout_height.CopyFrom(client.Height(revision_number=1, revision_height=2))
    preimage = bytes.fromhex("000000000000000700000000000000010000000000000002") + sha256(b"data").digest()
    assert commitment(packet) == sha256(preimage).digest()


SEND_CASES: list[Case] = [
    ("channel not found", lambda w: setattr(w.path.a, "channel_id", "channel-9"), errors.ChannelNotFound),
    ("channel is in CLOSED state", channel_state("a", channel.STATE_CLOSED), errors.InvalidChannelState),
    ("channel is in INIT state", channel_state("a", channel.STATE_INIT), errors.InvalidChannelState),
    ("channel is in TRYOPEN state", channel_state("a", channel.STATE_TRYOPEN), errors.InvalidChannelState),
    ("connection not found", connection_state("a", None), errors.ConnectionNotFound),
    (
        "client state not found",
        lambda w: w.path.a.chain.ibc.delete(paths.client_state(w.path.a.client_id)),
        errors.ClientNotActive,
    ),
    ("client state is frozen", freeze("a"), errors.ClientNotActive),
    ("client is expired", lambda w: setattr(w.path.a.chain.light_client, "expired", True), errors.ClientNotActive),
    ("next sequence send not found", drop("a", paths.next_sequence_send), errors.SequenceSendNotFound),
    (
        "client state zero height",
        lambda w: w.path.a.chain.ibc.set(paths.client(w.path.a.client_id) + b"latest", b"0"),
        errors.ConsensusStateNotFound,
    ),
]


@pytest.mark.parametrize(("malleate", "error"), params(SEND_CASES))
def test_send_is_refused(malleate: Callable[[World], None], error: type[ChainError]) -> None:
    w = world()
    malleate(w)
    with pytest.raises(error):
        w.path.a.send()


@pytest.mark.parametrize(
    ("send", "error"),
    [
        pytest.param({"data": b""}, errors.InvalidPacket, id="packet basic validation failed, empty packet data"),
        pytest.param({"data": bytes(DATA_BYTES_MAX + 1)}, errors.InvalidPacket, id="packet data too large"),
        pytest.param({"timeout_ns": 0}, errors.InvalidPacket, id="no timeout at all"),
        pytest.param({"timeout_ns": -HOUR_NS}, errors.TimeoutElapsed, id="timeout timestamp passed"),
        pytest.param({"timeout_ns": 0, "timeout_height": 1}, errors.TimeoutElapsed, id="timeout height passed"),
    ],
)
def test_send_of_a_bad_packet(send: dict[str, int], error: type[ChainError]) -> None:
    w = world()
    with pytest.raises(error):
        w.path.a.send(**send)  # type: ignore[arg-type]  # a table of keyword arguments


# receive


@pytest.mark.parametrize("ordering", [UNORDERED, ORDERED])
def test_receive_success(ordering: int) -> None:
    w = world(ordering)
    assert w.path.b.receive(w.packet) == OPEN_ACK
    stored = w.path.b.chain.ibc.get(paths.acknowledgement("mock", w.path.b.channel_id, 1))
    assert stored == sha256(OPEN_ACK).digest()
    receipt = w.path.b.chain.ibc.get(paths.receipt("mock", w.path.b.channel_id, 1))
    assert receipt == (b"\x01" if ordering == UNORDERED else None)
    assert w.path.b.next_sequence_recv() == (1 if ordering == UNORDERED else 2)


def test_receive_out_of_order_on_an_unordered_channel() -> None:
    w = world()
    second = w.path.a.send()
    assert w.path.b.receive(second) == OPEN_ACK
    assert w.path.b.receive(w.packet) == OPEN_ACK


@pytest.mark.parametrize("ordering", [UNORDERED, ORDERED])
def test_a_packet_that_was_received_is_a_no_op(ordering: int) -> None:
    w = world(ordering)
    w.path.b.receive(w.packet)
    before = dict(w.path.b.chain.ibc.data), dict(w.path.b.chain.app.data)
    message = w.path.b.msg_receive(w.packet)
    assert w.path.b.chain.deliver(message)[0].result == NOOP
    assert w.path.b.chain.events == []
    assert w.app("b").calls.count("recv") == 1
    assert (before[1], before[0].keys()) == (w.path.b.chain.app.data, before[0].keys())


RECEIVE_CASES: list[Case] = [
    ("channel not found", change(destination_channel="channel-9"), errors.ChannelNotFound),
    ("no application on the port", change(destination_port="nobody"), errors.InvalidRoute),
    ("channel not open", channel_state("b", channel.STATE_CLOSED), errors.InvalidChannelState),
    ("packet source port != channel counterparty port", change(source_port="other"), errors.InvalidPacket),
    ("packet source channel ID != counterparty channel ID", change(source_channel="channel-9"), errors.InvalidPacket),
    ("connection not found", connection_state("b", None), errors.ConnectionNotFound),
    ("connection not OPEN", connection_state("b", connection.STATE_INIT), errors.InvalidConnectionState),
    ("timeout timestamp passed", lambda w: w.net.pass_time(2 * HOUR_NS), errors.TimeoutElapsed),
    ("validation failed: never sent", change(sequence=7), errors.FailedMembershipVerification),
    ("validation failed: other data", change(data=b"forged"), errors.FailedMembershipVerification),
    ("validation failed: other timeout", change(timeout_timestamp=2**63), errors.FailedMembershipVerification),
    ("sequence zero", change(sequence=0), errors.InvalidPacket),
    ("bad identifier", change(source_channel="c!"), errors.InvalidIdentifier),
    ("client is frozen", freeze("b"), errors.ClientNotActive),
]


@pytest.mark.parametrize(("malleate", "error"), params(RECEIVE_CASES))
@pytest.mark.parametrize("ordering", [UNORDERED, ORDERED], ids=["UNORDERED", "ORDERED"])
def test_receive_is_refused(ordering: int, malleate: Callable[[World], None], error: type[ChainError]) -> None:
    w = world(ordering)
    message = w.path.b.msg_receive(w.packet)
    malleate(w)
    message.packet.CopyFrom(w.packet)
    with pytest.raises(error):
        w.path.b.chain.deliver(message)
    assert "recv" not in w.app("b").calls


def test_receive_after_the_timeout_height() -> None:
    w = world(timeout_ns=0, timeout_height=50)
    while w.path.b.chain.height < 50:
        w.path.b.chain.deliver()
    with pytest.raises(errors.TimeoutElapsed):
        w.path.b.receive(w.packet)


def test_out_of_order_on_an_ordered_channel() -> None:
    w = world(ORDERED)
    second = w.path.a.send()
    with pytest.raises(errors.PacketSequenceOutOfOrder, match="packet sequence is out of order"):
        w.path.b.receive(second)


def test_next_receive_sequence_is_not_found() -> None:
    w = world(ORDERED)
    drop("b", paths.next_sequence_recv)(w)
    with pytest.raises(errors.SequenceReceiveNotFound):
        w.path.b.receive(w.packet)


def test_empty_proof() -> None:
    w = world()
    message = w.path.b.msg_receive(w.packet)
    message.proof_commitment = b""
    with pytest.raises(errors.InvalidProof):
        w.path.b.chain.deliver(message)


def test_forged_proof() -> None:
    w = world()
    message = w.path.b.msg_receive(w.packet)
    message.proof_commitment = b"forged"
    with pytest.raises(errors.FailedMembershipVerification):
        w.path.b.chain.deliver(message)


def test_empty_acknowledgement() -> None:
    w = world()
    w.app("b").ack = b""
    with pytest.raises(errors.InvalidAcknowledgement):
        w.path.b.receive(w.packet)


def test_a_refused_packet_leaves_prefixed_events_and_an_error_acknowledgement() -> None:
    """Huckleberry: whoever reads events must not take those of rolled-back work for real."""
    w = world()
    w.app("b").refuse = True
    chain = w.path.b.chain
    ack = w.path.b.receive(w.packet)
    assert ack == b'{"error":"ABCI code: 4: error handling packet: see events for details"}'
    assert chain.app.get(b"mock/received") is None
    assert chain.attributes("mock_recv") == []
    assert chain.attributes("ibccallbackerror-mock_recv") == [{"ibccallbackerror-sequence": "1"}]
    assert w.path.a.acknowledge(w.packet, ack) == SUCCESS


def test_running_out_of_gas_is_no_answer() -> None:
    """A relayer with a small gas limit must not be able to turn a packet into a failed one."""
    w = world()

    def exhausted(_ctx: Context, _packet: channel.Packet) -> None:
        raise OutOfGas("limit 5")

    w.app("b").on_recv = exhausted
    with pytest.raises(OutOfGas):
        w.path.b.receive(w.packet)
    w.app("b").on_recv = lambda _ctx, _packet: None
    assert w.path.b.receive(w.packet) == OPEN_ACK


# acknowledge


@pytest.mark.parametrize("ordering", [UNORDERED, ORDERED])
def test_acknowledge_success_and_no_op(ordering: int) -> None:
    w = world(ordering)
    ack = w.path.b.receive(w.packet)
    assert w.path.a.acknowledge(w.packet, ack) == SUCCESS
    assert not w.path.a.sent(w.packet)
    assert w.path.a.acknowledge(w.packet, ack) == NOOP
    assert w.app("a").calls.count('acknowledged 1 {"result":"AQ=="}') == 1


def test_acknowledge_out_of_order() -> None:
    for ordering in (UNORDERED, ORDERED):
        w = world(ordering)
        second = w.path.a.send()
        w.path.b.receive(w.packet)
        ack = w.path.b.receive(second)
        if ordering == ORDERED:
            with pytest.raises(errors.PacketSequenceOutOfOrder):
                w.path.a.acknowledge(second, ack)
        else:
            assert w.path.a.acknowledge(second, ack) == SUCCESS


ACK_CASES: list[Case] = [
    ("channel not found", change(source_channel="channel-9"), errors.ChannelNotFound),
    ("channel not open", channel_state("a", channel.STATE_CLOSED), errors.InvalidChannelState),
    ("packet destination port != counterparty port", change(destination_port="other"), errors.InvalidPacket),
    (
        "packet destination channel ID != counterparty channel ID",
        change(destination_channel="channel-9"),
        errors.InvalidPacket,
    ),
    ("connection not found", connection_state("a", None), errors.ConnectionNotFound),
    ("connection not OPEN", connection_state("a", connection.STATE_INIT), errors.InvalidConnectionState),
    ("packet commitment bytes do not match", change(data=b"other"), errors.InvalidPacket),
    ("client is frozen", freeze("a"), errors.ClientNotActive),
]


@pytest.mark.parametrize(("malleate", "error"), params(ACK_CASES))
def test_acknowledge_is_refused(malleate: Callable[[World], None], error: type[ChainError]) -> None:
    w = world()
    message = w.path.a.msg_acknowledge(w.packet, w.path.b.receive(w.packet))
    malleate(w)
    message.packet.CopyFrom(w.packet)
    with pytest.raises(error):
        w.path.a.chain.deliver(message)


@pytest.mark.parametrize(
    ("ack", "error"),
    [
        pytest.param(b'{"result":"Ag=="}', errors.FailedMembershipVerification, id="fake acknowledgement"),
        pytest.param(b"raw", errors.FailedMembershipVerification, id="non-standard acknowledgement"),
        pytest.param(b"", errors.InvalidAcknowledgement, id="empty acknowledgement"),
        pytest.param(b'{"result": "AQ=="}', errors.InvalidAcknowledgement, id="re-serialises differently"),
    ],
)
def test_another_acknowledgement_than_was_written(ack: bytes, error: type[ChainError]) -> None:
    w = world()
    w.path.b.receive(w.packet)
    with pytest.raises(error):
        w.path.a.acknowledge(w.packet, ack)


def test_acknowledgement_of_a_packet_that_was_not_received() -> None:
    w = world()
    with pytest.raises(errors.FailedMembershipVerification):
        w.path.a.acknowledge(w.packet, OPEN_ACK)


def test_acknowledgement_of_a_packet_that_was_not_sent_is_a_no_op() -> None:
    w = world()
    w.packet.sequence = 9
    assert w.path.a.acknowledge(w.packet, OPEN_ACK) == NOOP


def test_next_ack_sequence_not_found() -> None:
    w = world(ORDERED)
    ack = w.path.b.receive(w.packet)
    drop("a", paths.next_sequence_ack)(w)
    with pytest.raises(errors.SequenceAckNotFound):
        w.path.a.acknowledge(w.packet, ack)


def test_an_acknowledgement_that_two_texts_could_mean_is_refused_even_with_a_good_proof() -> None:
    """ASA-2025-004: the counterparty may have written such bytes; nobody acts on them."""
    w = world()
    w.app("b").ack = b'{"result":"AQ==","result":"AQ=="} '
    ack = w.path.b.receive(w.packet)
    assert w.path.a.acknowledge(w.packet, ack) == SUCCESS  # no such acknowledgement: the application's own format
    w = world()
    w.app("b").ack = b' {"error":"no"}'
    with pytest.raises(errors.InvalidAcknowledgement):
        w.path.a.acknowledge(w.packet, w.path.b.receive(w.packet))


# delay period, re-entrancy, redundant transactions


def test_a_delay_period_holds_packets_back_but_no_handshake() -> None:
    net = Coordinator("mga-1", "mgb-1", apps={"mock": MockApp})
    path = net.unopened("mock", "mock-1")
    path.a.delay_ns = HOUR_NS // 2
    path.open_connection()
    path.open_channel()
    packet = path.a.send()
    message = path.b.msg_receive(packet)
    with pytest.raises(DelayPeriodNotPassed, match="current time"):
        path.b.chain.deliver(message)
    net.pass_time(HOUR_NS // 2)  # the time is over, 60 blocks of 30 s are not
    with pytest.raises(DelayPeriodNotPassed, match="current height"):
        path.b.chain.deliver(message)
    for _ in range(60):
        path.b.chain.deliver()
    assert path.b.chain.deliver(message)[0].result == SUCCESS


@pytest.mark.parametrize("kind", ["timeout", "acknowledge"])
def test_the_commitment_is_gone_before_the_callback(kind: str) -> None:
    """ASA-2024-007: an application that is called back can't bring the same message again."""
    w = world()
    seen: list[int] = []

    def again(ctx: Context, packet: channel.Packet) -> None:
        seen.append(int(w.path.a.chain.handle(ctx, message).result))

    app = w.app("a")
    app.on_ack = app.on_timeout = again
    if kind == "acknowledge":
        message: Message = w.path.a.msg_acknowledge(w.packet, w.path.b.receive(w.packet))
    else:
        w.net.pass_time(LATE)
        message = w.path.a.msg_timeout(w.packet)
    w.path.a.chain.deliver(message)
    assert seen == [NOOP]
    assert len([call for call in app.calls if call.startswith(("acknowledged", "timed out"))]) == 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_callbacks_that_call_again_settle_no_packet_twice(order: list[int]) -> None:
    """ASA-2024-007, fuzzed: whoever is called back brings other messages, which call back in their turn."""
    w = world()
    second, third = w.path.a.send(), w.path.a.send()
    acks = [(packet, w.path.b.receive(packet)) for packet in (w.packet, second)]
    w.net.pass_time(LATE)
    messages: list[Message] = [w.path.a.msg_acknowledge(packet, ack) for packet, ack in acks]
    messages += [w.path.a.msg_timeout(packet) for packet in (w.packet, second, third)]
    messages.append(w.path.a.msg_timeout_on_close(third))
    chain, app, waiting = w.path.a.chain, w.app("a"), list(order[1:])

    def again(ctx: Context, _packet: channel.Packet) -> None:
        while waiting:
            with suppress(ChainError), ctx.branch() as inner:
                chain.handle(inner, messages[waiting.pop()])

    app.on_ack = app.on_timeout = again
    with suppress(ChainError):
        chain.deliver(messages[order[0]])
    settled = [call for call in app.calls if call.startswith(("acknowledged", "timed out"))]
    assert len(settled) == len(set(settled)) <= 3
    assert not any("3" in call for call in settled if call.startswith("acknowledged"))


def test_redundant_transactions() -> None:
    w = world()
    core, receive = w.path.b.chain.core, w.path.b.msg_receive(w.packet)
    update = w.path.b.header()
    core.refuse_redundant(w.path.b.chain.view(), [update, receive])
    w.path.b.chain.deliver(receive)
    with pytest.raises(errors.RedundantTx, match="packet messages are redundant"):
        core.refuse_redundant(w.path.b.chain.view(), [update, receive])
    fresh = w.path.b.msg_receive(w.path.a.send())
    core.refuse_redundant(w.path.b.chain.view(), [update, receive, fresh])
    core.refuse_redundant(w.path.b.chain.view(), [update])
    core.refuse_redundant(w.path.b.chain.view(), [receive, w.path.b.msg_chan_init()])
    ack = w.path.a.msg_acknowledge(w.packet, OPEN_ACK)
    w.path.a.chain.core.refuse_redundant(w.path.a.chain.view(), [ack])
    w.path.a.acknowledge(w.packet, OPEN_ACK)
    early = w.path.a.msg_timeout(w.packet)
    with pytest.raises(errors.TimeoutNotReached):
        w.path.a.chain.core.refuse_redundant(w.path.a.chain.view(), [early])
    w.net.pass_time(LATE)
    for message in (ack, w.path.a.msg_timeout(w.packet), w.path.a.msg_timeout_on_close(w.packet)):
        with pytest.raises(errors.RedundantTx):
            w.path.a.chain.core.refuse_redundant(w.path.a.chain.view(), [message])


def test_the_mempool_refuses_what_is_not_proven_and_remembers_what_it_took() -> None:
    w = world()
    chain, good = w.path.b.chain, w.path.b.msg_receive(w.packet)
    forged = channel_tx.MsgRecvPacket.FromString(good.SerializeToString())
    forged.proof_commitment = b"forged"
    view = chain.view()
    with pytest.raises(errors.FailedMembershipVerification):
        chain.core.refuse_redundant(view, [forged])
    chain.core.refuse_redundant(view, [good])
    with pytest.raises(errors.RedundantTx):
        chain.core.refuse_redundant(view, [good])  # a second relayer's copy, while the first is pending
    assert chain.router["mock"].calls == ["try", "confirm"]  # the application heard nothing
    chain.core.refuse_redundant(chain.view(), [forged], True)  # after a block proofs are not looked at again
    assert chain.deliver(good)[0].result == SUCCESS


def test_the_mempool_lets_a_proof_stand_on_a_pending_update() -> None:
    w = world()
    chain, update = w.path.b.chain, w.path.b.header()
    receive = w.path.b.msg_receive(w.packet)  # its proof height is known to the chain by now
    view = chain.view()
    chain.core.refuse_redundant(view, [update, receive])
    absent = client_tx.MsgUpdateClient(client_id="00-mock-9", client_message=update.client_message)
    with pytest.raises(errors.ClientNotActive, match=r"cannot update client \(00-mock-9\) with status Unknown"):
        chain.core.refuse_redundant(chain.view(), [absent])


def test_acknowledgement_helpers() -> None:
    assert acknowledgement.parse(OPEN_ACK).result == b"\x01"
    failed = acknowledgement.failure(errors.InvalidAmount("x"))
    assert failed == b'{"error":"ABCI code: 5: error handling packet: see events for details"}'
    assert acknowledgement.parse(failed).success is False
