"""IBC v2 with an application that does what a test tells it to: order of effects, answers, registration, redundancy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from cosmos_wire.errors import ChainError, InvalidRequest, OutOfGas, Unauthorized
from cosmos_wire.protos import channel_v2, channel_v2_tx, client_tx, client_v2_config, client_v2_tx
from ibc_core import errors
from ibc_core.host import Context
from ibc_core.v2 import paths
from ibc_core.v2.channel import NOOP, SUCCESS
from ibc_core.v2.packet import ERROR_ACK, PAYLOAD_BYTES_MAX, ack_commitment, commitment
from ibc_core.v2.router import Envelope
from tests.ibc.harness import HOUR_NS, RELAYER, Chain, Coordinator, address
from tests.ibc.mock_app_v2 import MockAppV2
from tests.ibc.v2_path import HOUR_S, EndV2, PathV2, mock_payload, path_v2, unregistered

GOOD = b'{"result":"AQ=="}'
CLIENT = "00-mock-0"


@dataclass
class World:
    """A path between two mock applications, and one packet that is under way from a to b."""

    net: Coordinator
    path: PathV2
    packet: channel_v2.Packet

    @property
    def a(self) -> EndV2:
        return self.path.a

    @property
    def b(self) -> EndV2:
        return self.path.b


def app(end: EndV2) -> MockAppV2:
    found = end.chain.router_v2["mock"]
    assert isinstance(found, MockAppV2)
    return found


def net_of_two() -> Coordinator:
    net = Coordinator("mga-1", "mgb-1")
    for chain in net.chains.values():
        chain.router_v2["mock"] = MockAppV2()
    return net


def world() -> World:
    net = net_of_two()
    path = path_v2(net)
    return World(net, path, path.a.send())


def acks(*parts: bytes) -> channel_v2.Acknowledgement:
    return channel_v2.Acknowledgement(app_acknowledgements=parts)


# the way of a packet


def test_send_commits_and_asks_the_application() -> None:
    w = world()
    assert w.packet == channel_v2.Packet(
        sequence=1,
        source_client=CLIENT,
        destination_client=CLIENT,
        timeout_timestamp=w.packet.timeout_timestamp,
        payloads=[mock_payload()],
    )
    assert w.a.chain.ibc.get(paths.commitment(CLIENT, 1)) == commitment(w.packet)
    assert w.a.chain.ibc.get(paths.next_sequence_send(CLIENT)) == (2).to_bytes(8, "big")
    assert app(w.a).envelopes == [Envelope(source_client=CLIENT, destination_client=CLIENT, sequence=1, signer=RELAYER)]
    assert w.a.send().sequence == 2


def test_an_application_that_refuses_to_send_leaves_nothing() -> None:
    w = world()
    app(w.a).refuse = True
    before = dict(w.a.chain.ibc.data)
    with pytest.raises(Unauthorized):
        w.a.send()
    assert w.a.chain.ibc.data == before


def test_receive_answer_and_acknowledge() -> None:
    w = world()
    assert w.b.receive(w.packet) == acks(GOOD)
    assert w.b.chain.ibc.get(paths.receipt(CLIENT, 1)) == b"\x02"
    assert w.b.chain.ibc.get(paths.acknowledgement(CLIENT, 1)) == ack_commitment(acks(GOOD))
    assert w.b.chain.app.get(b"mock/received") == b"mock"
    shown = w.b.chain.attributes("write_acknowledgement")[0]["encoded_packet_hex"]
    assert channel_v2.Packet.FromString(bytes.fromhex(shown)) == w.packet
    assert w.a.acknowledge(w.packet, acks(GOOD)) == SUCCESS
    assert app(w.a).calls == ["send 1", f"acknowledged {GOOD.hex()} 1"]
    assert w.a.acknowledge(w.packet, acks(GOOD)) == NOOP
    assert w.b.receive(w.packet) == acks()
    assert app(w.b).calls == ["recv 1"]


def test_packets_come_in_any_order() -> None:
    w = world()
    later = [w.a.send() for _ in range(3)]
    for packet in reversed([w.packet, *later]):
        assert w.path.relay(packet) == acks(GOOD)
    assert app(w.b).calls == ["recv 4", "recv 3", "recv 2", "recv 1"]


def test_a_refusal_is_rolled_back_and_answered_with_the_sentinel() -> None:
    w = world()
    app(w.b).refuse = True
    assert w.b.receive(w.packet) == acks(ERROR_ACK)
    assert w.b.chain.app.get(b"mock/received") is None
    assert w.b.chain.attributes("ibccallbackerror-mock_recv") == [{"ibccallbackerror-sequence": "1"}]
    assert w.b.chain.attributes("mock_recv") == []
    assert w.a.acknowledge(w.packet, acks(ERROR_ACK)) == SUCCESS
    assert app(w.a).calls[-1] == f"acknowledged {ERROR_ACK.hex()} 1"


@pytest.mark.parametrize("answer", [ERROR_ACK, b""])
def test_an_answer_that_can_not_be_is_no_receive(answer: bytes) -> None:
    w = world()
    app(w.b).ack = answer
    with pytest.raises(errors.InvalidAcknowledgementV2):
        w.b.receive(w.packet)
    assert w.b.chain.ibc.get(paths.receipt(CLIENT, 1)) is None
    assert w.b.chain.app.get(b"mock/received") is None
    app(w.b).ack = GOOD
    assert w.b.receive(w.packet) == acks(GOOD)


def test_running_out_of_gas_is_no_answer() -> None:
    w = world()

    def starve(_ctx: Context, _envelope: Envelope) -> None:
        raise OutOfGas("recv")

    app(w.b).hook = starve
    with pytest.raises(OutOfGas):
        w.b.receive(w.packet)
    assert w.b.chain.ibc.get(paths.receipt(CLIENT, 1)) is None


@pytest.mark.parametrize("step", ["acknowledge", "timeout"])
def test_an_application_that_refuses_the_end_keeps_the_packet(step: str) -> None:
    w = world()
    if step == "timeout":
        w.net.pass_time(2 * HOUR_NS)
        message = w.a.msg_timeout(w.packet)
    else:
        w.b.receive(w.packet)
        message = w.a.msg_acknowledge(w.packet, acks(GOOD))
    app(w.a).refuse = True
    with pytest.raises(Unauthorized):
        w.a.chain.deliver(message)
    assert w.a.sent(w.packet)
    app(w.a).refuse = False
    assert w.a.chain.deliver(message)[0].result == SUCCESS


def test_the_commitment_is_gone_before_the_application_is_called() -> None:
    w = world()
    w.net.pass_time(2 * HOUR_NS)
    seen: list[bytes | None] = []
    app(w.a).hook = lambda ctx, _: seen.append(ctx.ibc.get(paths.commitment(CLIENT, 1)))
    assert w.a.timeout(w.packet) == SUCCESS
    assert seen == [None]
    assert w.a.timeout(w.packet) == NOOP


def test_timeouts_are_whole_seconds_of_the_other_chain() -> None:
    w = world()
    limit_ns = w.packet.timeout_timestamp * 10**9
    w.net.time_ns = limit_ns - 1
    for chain in w.net.chains.values():
        chain.deliver()  # blocks at a nanosecond before
        w.net.time_ns = limit_ns - 1
    with pytest.raises(errors.TimeoutNotReachedV2):
        w.a.timeout(w.packet)
    w.net.time_ns = limit_ns - 1
    message = w.b.msg_receive(w.packet)
    w.net.time_ns = limit_ns
    with pytest.raises(errors.TimeoutElapsedV2):
        w.b.chain.deliver(message)
    assert w.a.timeout(w.packet) == SUCCESS


def test_the_last_nanosecond_is_in_time() -> None:
    w = world()
    message = w.b.msg_receive(w.packet)
    w.net.time_ns = w.packet.timeout_timestamp * 10**9 - 1
    assert w.b.chain.deliver(message)[0].result == SUCCESS


# asynchronous acknowledgements


def late_answer(chain: Chain, sequence: int, *parts: bytes) -> None:
    def work(ctx: Context) -> list[object]:
        return [chain.core.v2.packets.write_acknowledgement(ctx, CLIENT, sequence, parts)]

    chain.execute(work)


def test_an_answer_that_comes_later() -> None:
    w = world()
    app(w.b).ack = None
    assert w.b.receive(w.packet) == acks()
    assert w.b.chain.ibc.get(paths.acknowledgement(CLIENT, 1)) is None
    assert w.b.chain.ibc.get(paths.async_packet(CLIENT, 1)) == w.packet.SerializeToString()
    assert w.b.chain.app.get(b"mock/received") == b"mock"
    assert w.b.receive(w.packet) == acks()
    assert app(w.b).calls == ["recv 1"]
    late_answer(w.b.chain, 1, b"late")
    assert w.b.last_ack() == acks(b"late")
    assert w.b.chain.ibc.get(paths.async_packet(CLIENT, 1)) is None
    assert w.a.acknowledge(w.packet, acks(b"late")) == SUCCESS
    with pytest.raises(errors.InvalidAcknowledgementV2):
        late_answer(w.b.chain, 1, b"again")


@pytest.mark.parametrize("parts", [(), (b"",), (b"a", b"b")])
def test_late_answers_that_are_refused(parts: tuple[bytes, ...]) -> None:
    w = world()
    app(w.b).ack = None
    w.b.receive(w.packet)
    with pytest.raises(errors.InvalidAcknowledgementV2):
        late_answer(w.b.chain, 1, *parts)
    late_answer(w.b.chain, 1, ERROR_ACK)
    assert w.b.last_ack() == acks(ERROR_ACK)


def test_a_second_late_answer_is_refused_by_the_first() -> None:
    """Even if the packet were waiting still: state that no message can make."""
    w = world()
    app(w.b).ack = None
    w.b.receive(w.packet)
    late_answer(w.b.chain, 1, b"first")
    w.b.chain.ibc.set(paths.async_packet(CLIENT, 1), w.packet.SerializeToString())
    with pytest.raises(errors.AcknowledgementExistsV2):
        late_answer(w.b.chain, 1, b"second")
    w.b.chain.ibc.set(paths.async_packet(CLIENT, 2), changed(w.packet, 2).SerializeToString())
    with pytest.raises(errors.InvalidPacketV2, match="receipt not found"):
        late_answer(w.b.chain, 2, b"never received")


def changed(packet: channel_v2.Packet, sequence: int) -> channel_v2.Packet:
    made = channel_v2.Packet.FromString(packet.SerializeToString())
    made.sequence = sequence
    return made


# what can't be sent or received


def test_ports_that_nobody_has() -> None:
    w = world()
    with pytest.raises(errors.InvalidRoute):
        w.a.send(mock_payload(port="nobody"))
    del w.b.chain.router_v2["mock"]
    with pytest.raises(errors.InvalidRoute):
        w.b.receive(w.packet)
    assert w.b.chain.ibc.get(paths.receipt(CLIENT, 1)) is None


def test_sizes() -> None:
    w = world()
    assert w.path.relay(w.a.send(mock_payload(bytes(PAYLOAD_BYTES_MAX)))) == acks(GOOD)
    with pytest.raises(errors.InvalidPacketV2, match="cannot exceed 262144"):
        w.a.send(mock_payload(bytes(PAYLOAD_BYTES_MAX + 1)))
    message = w.b.msg_receive(w.packet)
    message.packet.payloads[0].value = bytes(PAYLOAD_BYTES_MAX + 1)
    with pytest.raises(errors.InvalidPacketV2):
        w.b.chain.deliver(message)


def test_one_payload_and_no_other_number() -> None:
    w = world()
    for payloads in ([], [mock_payload(), mock_payload()]):
        message = w.a.msg_send()
        del message.payloads[:]
        message.payloads.extend(payloads)
        with pytest.raises(errors.InvalidPayload):
            w.a.chain.deliver(message)


@pytest.mark.parametrize(
    ("seconds", "error"),
    [(-1, errors.TimeoutElapsedV2), (0, errors.TimeoutElapsedV2), (24 * HOUR_S + 1, errors.InvalidTimeoutV2)],
)
def test_send_timeouts_that_are_refused(seconds: int, error: type[ChainError]) -> None:
    w = world()
    message = w.a.msg_send()
    message.timeout_timestamp = w.a.now_s + seconds
    with pytest.raises(error):
        w.a.chain.deliver(message)


@pytest.mark.parametrize(
    ("timeout_s", "error"),
    [
        (2**64 - 1, errors.TimeoutElapsedV2),
        (2**63, errors.TimeoutElapsedV2),
        (2**63 - 62_135_596_800, errors.TimeoutElapsedV2),
        (2**63 - 62_135_596_801, errors.InvalidTimeoutV2),
    ],
)
def test_timeouts_beyond_the_calendar_are_what_they_are_in_go(timeout_s: int, error: type[ChainError]) -> None:
    w = world()
    message = w.a.msg_send()
    message.timeout_timestamp = timeout_s
    with pytest.raises(error):
        w.a.chain.deliver(message)


@pytest.mark.parametrize("seconds", [1, 24 * HOUR_S])
def test_send_timeouts_at_the_edges(seconds: int) -> None:
    w = world()
    message = w.a.msg_send()
    message.timeout_timestamp = w.a.now_s + seconds
    assert w.a.chain.deliver(message)[0].sequence == 2


def test_a_timeout_that_the_other_chain_passed_already() -> None:
    """The other chain's clock may be ahead: such a packet could only come back."""
    w = world()
    w.net.time_ns += 2 * HOUR_NS
    w.b.chain.deliver()
    w.a.update()
    w.net.time_ns -= 2 * HOUR_NS
    with pytest.raises(errors.TimeoutElapsedV2, match="latest timestamp"):
        w.a.send()


def test_frozen_and_expired_clients() -> None:
    w = world()
    message = w.b.msg_receive(w.packet)
    misbehaviour = w.a.chain.misbehaviour()
    w.b.chain.deliver(client_tx.MsgSubmitMisbehaviour(client_id=CLIENT, misbehaviour=misbehaviour, signer=RELAYER))
    with pytest.raises(errors.ClientNotActive):
        w.b.chain.deliver(message)
    with pytest.raises(errors.ClientNotActive):
        w.b.send()


def test_a_light_client_that_lies_is_all_it_takes() -> None:
    """What the checks are worth: with a gullible client every forged packet arrives, with an honest one none."""
    w = world()
    forged = changed(w.packet, 77)
    with pytest.raises(errors.FailedMembershipVerification):
        w.b.receive(forged)
    w.b.chain.light_client.gullible = True
    assert w.b.receive(forged) == acks(GOOD)


@pytest.mark.parametrize("prefix", [[b"", b""], [b"ib", b"c", b""], [b"ibc", b"", b""]])
def test_prefixes_that_no_light_client_is_asked_about(prefix: list[bytes]) -> None:
    path = unregistered(net_of_two())
    path.a.register()
    path.b.register(prefix)
    path.b.chain.light_client.gullible = True
    with pytest.raises(errors.InvalidProof):
        path.b.receive(path.a.send())


# counterparties and relayers


def test_only_the_creator_registers_and_only_once() -> None:
    path = unregistered(net_of_two())
    with pytest.raises(errors.CounterpartyNotFound):
        path.a.send()
    with pytest.raises(errors.IbcUnauthorized):
        path.a.register(signer=address("thief"))
    path.a.register()
    with pytest.raises(errors.IbcInvalidRequest):
        path.a.register(client_id="00-mock-7")
    packet = path.a.send()
    with pytest.raises(errors.CounterpartyNotFound):
        path.b.receive(packet)
    path.b.register()
    assert path.b.receive(packet) == acks(GOOD)


def test_a_forged_counterparty_gets_nothing_through() -> None:
    """A second client on b that claims to face a's: a never named it, so nothing of a is for it, nor from it."""
    w = world()
    second = EndV2(w.b.chain, other=w.a)
    second.create_client()
    second.register()
    assert second.client_id == "00-mock-1"
    misled = replace_ends(w.packet, destination=second.client_id)
    with pytest.raises(errors.FailedMembershipVerification):
        second.receive(misled)
    packet = second.send()
    with pytest.raises(errors.InvalidCounterparty):
        w.a.receive(packet)
    assert w.b.receive(w.packet) == acks(GOOD)
    with pytest.raises(errors.InvalidCounterparty):
        w.a.acknowledge(misled, acks(GOOD))


def replace_ends(packet: channel_v2.Packet, destination: str) -> channel_v2.Packet:
    made = channel_v2.Packet.FromString(packet.SerializeToString())
    made.destination_client = destination
    return made


def config(*relayers: str, signer: str = RELAYER) -> client_v2_tx.MsgUpdateClientConfig:
    return client_v2_tx.MsgUpdateClientConfig(
        client_id=CLIENT, config=client_v2_config.Config(allowed_relayers=relayers), signer=signer
    )


def test_relayers_may_be_listed() -> None:
    w = world()
    before = w.b.msg_receive(w.packet)
    w.b.chain.deliver(config(address("friend")))
    for message in (before, w.b.header()):
        with pytest.raises(errors.IbcUnauthorized):
            w.b.chain.deliver(message)
    misbehaviour = client_tx.MsgSubmitMisbehaviour(
        client_id=CLIENT, misbehaviour=w.a.chain.misbehaviour(), signer=address("anybody")
    )
    before.signer = address("friend")
    assert w.b.chain.deliver(before)[0].result == SUCCESS
    packet = w.b.send()
    late = channel_v2_tx.MsgTimeout(packet=packet, proof_unreceived=b"x", signer=RELAYER)
    acked = channel_v2_tx.MsgAcknowledgement(
        packet=packet, acknowledgement=acks(b"x"), proof_acked=b"x", signer=RELAYER
    )
    for refused in (late, acked):
        with pytest.raises(errors.IbcUnauthorized):
            w.b.chain.deliver(refused)
    w.b.chain.deliver(config())
    assert w.b.chain.ibc.get(paths.config(CLIENT)) is None
    w.b.chain.deliver(w.b.header())
    w.b.chain.deliver(misbehaviour)  # anybody may say that a chain broke its rules


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (config(signer=address("thief")), errors.IbcUnauthorized),
        (config("nobody"), InvalidRequest),
        (config(*(address(str(n)) for n in range(21))), InvalidRequest),
    ],
)
def test_configurations_that_are_refused(message: client_v2_tx.MsgUpdateClientConfig, error: type[ChainError]) -> None:
    w = world()
    with pytest.raises(error):
        w.b.chain.deliver(message)
    w.b.chain.deliver(config(*(address(str(n)) for n in range(20))))


def test_the_authority_may_do_what_the_creator_may() -> None:
    net = Coordinator("mga-1", "mgb-1", genesis={"ibc": {"authority": address("council")}})
    path = path_v2(net)
    chain = path.a.chain
    chain.deliver(client_tx.MsgDeleteClientCreator(client_id=CLIENT, signer=address("council")))
    with pytest.raises(errors.IbcUnauthorized):
        chain.deliver(config())
    chain.deliver(config(address("friend"), signer=address("council")))
    assert chain.ibc.get(paths.config(CLIENT)) is not None


# redundancy


@pytest.mark.parametrize("step", ["receive", "acknowledge", "timeout"])
def test_what_was_relayed_already_is_kept_out_of_the_mempool(step: str) -> None:
    w = world()
    fresh = w.a.send()
    end, message, other = relayed(w, step, fresh)
    core, update = end.chain.core, end.header()
    core.refuse_redundant(end.chain.view(), [update, message])
    end.chain.deliver(message)
    with pytest.raises(errors.RedundantTx):
        core.refuse_redundant(end.chain.view(), [update, message])
    core.refuse_redundant(end.chain.view(), [update, message, other])
    core.refuse_redundant(end.chain.view(), [update])
    core.refuse_redundant(end.chain.view(), [message, end.msg_send()])


Relayed = channel_v2_tx.MsgRecvPacket | channel_v2_tx.MsgAcknowledgement | channel_v2_tx.MsgTimeout


def relayed(w: World, step: str, fresh: channel_v2.Packet) -> tuple[EndV2, Relayed, Relayed]:
    if step == "receive":
        return w.b, w.b.msg_receive(w.packet), w.b.msg_receive(fresh)
    if step == "timeout":
        w.net.pass_time(2 * HOUR_NS)
        return w.a, w.a.msg_timeout(w.packet), w.a.msg_timeout(fresh)
    for packet in (w.packet, fresh):
        w.b.receive(packet)
    return w.a, w.a.msg_acknowledge(w.packet, acks(GOOD)), w.a.msg_acknowledge(fresh, acks(GOOD))


SPOILT: list[tuple[Callable[[channel_v2.Packet], None], type[ChainError]]] = [
    (lambda p: setattr(p, "source_client", "00-mock-9"), errors.InvalidCounterparty),
    (lambda p: setattr(p, "destination_client", "00-mock-9"), errors.CounterpartyNotFound),
    (lambda p: setattr(p, "destination_client", "x" * 5_000), errors.InvalidIdentifier),
    (lambda p: setattr(p, "timeout_timestamp", 1), errors.TimeoutElapsedV2),
    (lambda p: p.payloads.pop(), errors.InvalidPacketV2),
]


@pytest.mark.parametrize(("spoil", "error"), SPOILT)
def test_the_mempool_refuses_what_no_block_would_take(
    spoil: Callable[[channel_v2.Packet], None], error: type[ChainError]
) -> None:
    w = world()
    message = w.b.msg_receive(w.packet)
    spoil(message.packet)
    with pytest.raises(error):
        w.b.chain.core.refuse_redundant(w.b.chain.view(), [message])
