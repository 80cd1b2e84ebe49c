"""ICS-04 v2: send, receive, acknowledge, time out. Timeouts are whole seconds of Unix time.

The order of the checks is ibc-go's: a packet that is late is refused even if it was received before, and a timeout that
is too early even if the packet is settled. What was relayed already is a no-op and not a failure. The state changes
before the application is called. Handlers look at the message by itself too, for whoever calls them without a host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cosmos_wire.errors import ChainError, OutOfGas
from cosmos_wire.protos import channel_v2, channel_v2_tx, client_v2
from ibc_core.client import Clients, proof_of
from ibc_core.errors import (
    AcknowledgementExistsV2,
    InvalidAcknowledgementV2,
    InvalidHeight,
    InvalidPacketV2,
    InvalidProof,
    InvalidRoute,
    InvalidTimeoutV2,
    SequenceSendNotFoundV2,
    TimeoutElapsedV2,
    TimeoutNotReachedV2,
)
from ibc_core.events import as_errors
from ibc_core.host import Context, EventLog
from ibc_core.light_client import Proof
from ibc_core.state import encode, load, read_sequence, write_sequence
from ibc_core.v2 import counterparty, events, paths
from ibc_core.v2.basic import check_acknowledge, check_receive, check_send, check_timeout
from ibc_core.v2.packet import (
    ERROR_ACK,
    RECEIPT,
    Packet,
    Payload,
    ack_commitment,
    commitment,
    require_valid,
    require_valid_ack,
)
from ibc_core.v2.router import Envelope, IbcModuleV2, RouterV2

TIMEOUT_DELTA_MAX_S = 24 * 3600  # ibc-go's MaxTimeoutDelta
SECOND_NS = 1_000_000_000
SECONDS_END = 2**63 - 62_135_596_800  # Go counts from the year 1 in an int64: from here on, time is in the past
NOOP, SUCCESS = channel_v2_tx.RESPONSE_RESULT_TYPE_NOOP, channel_v2_tx.RESPONSE_RESULT_TYPE_SUCCESS

PacketMessageV2 = channel_v2_tx.MsgRecvPacket | channel_v2_tx.MsgAcknowledgement | channel_v2_tx.MsgTimeout


@dataclass(frozen=True, slots=True)
class PacketsV2:
    """Handlers of ibc.core.channel.v2.Msg, and the applications' way to send and to answer late."""

    clients: Clients
    router: RouterV2

    def send(self, ctx: Context, msg: channel_v2_tx.MsgSendPacket) -> channel_v2_tx.MsgSendPacketResponse:
        """MsgSendPacket."""
        check_send(msg)
        packet = self._prepare(ctx, msg)
        write_sequence(ctx.ibc, paths.next_sequence_send(msg.source_client), packet.sequence + 1)
        ctx.ibc.set(paths.commitment(msg.source_client, packet.sequence), commitment(packet))
        events.packet_event(ctx, "send_packet", packet)
        for payload in packet.payloads:
            self._app(payload.source_port).on_send_packet(ctx, _envelope(packet, msg.signer), payload)
        return channel_v2_tx.MsgSendPacketResponse(sequence=packet.sequence)

    def _prepare(self, ctx: Context, msg: channel_v2_tx.MsgSendPacket) -> Packet:
        """The packet that a message asks for; raises when it can't be sent now."""
        other = counterparty.get(ctx, msg.source_client)
        _require_near(ctx, msg.timeout_timestamp)
        sequence = read_sequence(ctx.ibc, paths.next_sequence_send(msg.source_client))
        if sequence is None:
            raise SequenceSendNotFoundV2(f"source client: {msg.source_client}")
        packet = Packet(
            sequence=sequence,
            source_client=msg.source_client,
            destination_client=other.client_id,
            timeout_timestamp=msg.timeout_timestamp,
            payloads=msg.payloads,
        )
        try:
            require_valid(packet)
        except ChainError as error:
            raise InvalidPacketV2(f"constructed packet failed basic validation: {error}") from error
        self._require_time_left(ctx, packet)
        return packet

    def _require_time_left(self, ctx: Context, packet: Packet) -> None:
        """Refuse a packet that is late already, as far as the client knows the counterparty."""
        light_client = self.clients.require_active(ctx, packet.source_client)
        latest = light_client.latest_height(ctx, packet.source_client)
        if latest.is_zero:
            raise InvalidHeight(f"cannot send packet using client ({packet.source_client}) with zero height")
        time_s = light_client.timestamp_ns(ctx, packet.source_client, latest) // SECOND_NS
        if time_s >= packet.timeout_timestamp:
            raise TimeoutElapsedV2(f"latest timestamp: {time_s}, timeout timestamp: {packet.timeout_timestamp}")

    def receive(self, ctx: Context, msg: channel_v2_tx.MsgRecvPacket) -> channel_v2_tx.MsgRecvPacketResponse:
        """MsgRecvPacket."""
        check_receive(msg)
        packet, proof = msg.packet, proof_of(msg.proof_height, msg.proof_commitment)
        counterparty.require_relayer(ctx, packet.destination_client, msg.signer)
        other = _receivable(ctx, packet)
        if _received(ctx, packet):
            return channel_v2_tx.MsgRecvPacketResponse(result=NOOP)
        app = self._app(packet.payloads[0].destination_port)
        path = paths.commitment(packet.source_client, packet.sequence)
        self._verify(ctx, packet.destination_client, _at(other, proof, path), commitment(packet))
        ctx.ibc.set(paths.receipt(packet.destination_client, packet.sequence), RECEIPT)
        events.packet_event(ctx, "recv_packet", packet)
        ack = _call(ctx, app, packet, msg.signer)
        if ack is None:
            ctx.ibc.set(paths.async_packet(packet.destination_client, packet.sequence), encode(packet))
        else:
            _write_ack(ctx, packet, [ack])
        return channel_v2_tx.MsgRecvPacketResponse(result=SUCCESS)

    def acknowledge(
        self, ctx: Context, msg: channel_v2_tx.MsgAcknowledgement
    ) -> channel_v2_tx.MsgAcknowledgementResponse:
        """MsgAcknowledgement."""
        check_acknowledge(msg)
        packet, proof = msg.packet, proof_of(msg.proof_height, msg.proof_acked)
        counterparty.require_relayer(ctx, packet.source_client, msg.signer)
        other = counterparty.facing(ctx, packet.source_client, packet.destination_client, "destination")
        if not _pending(ctx, packet):
            return channel_v2_tx.MsgAcknowledgementResponse(result=NOOP)
        path = paths.acknowledgement(packet.destination_client, packet.sequence)
        self._verify(ctx, packet.source_client, _at(other, proof, path), ack_commitment(msg.acknowledgement))
        ctx.ibc.delete(paths.commitment(packet.source_client, packet.sequence))
        events.packet_event(ctx, "acknowledge_packet", packet)
        envelope = _envelope(packet, msg.signer)
        for payload, ack in zip(packet.payloads, msg.acknowledgement.app_acknowledgements, strict=True):
            self._app(payload.source_port).on_acknowledge_packet(ctx, envelope, payload, ack)
        return channel_v2_tx.MsgAcknowledgementResponse(result=SUCCESS)

    def timeout(self, ctx: Context, msg: channel_v2_tx.MsgTimeout) -> channel_v2_tx.MsgTimeoutResponse:
        """MsgTimeout."""
        check_timeout(msg)
        packet, proof = msg.packet, proof_of(msg.proof_height, msg.proof_unreceived)
        counterparty.require_relayer(ctx, packet.source_client, msg.signer)
        other = counterparty.facing(ctx, packet.source_client, packet.destination_client, "destination")
        self._require_late(ctx, packet, proof)
        if not _pending(ctx, packet):
            return channel_v2_tx.MsgTimeoutResponse(result=NOOP)
        path = paths.receipt(packet.destination_client, packet.sequence)
        self._verify(ctx, packet.source_client, _at(other, proof, path), None)
        ctx.ibc.delete(paths.commitment(packet.source_client, packet.sequence))
        events.packet_event(ctx, "timeout_packet", packet)
        for payload in packet.payloads:
            self._app(payload.source_port).on_timeout_packet(ctx, _envelope(packet, msg.signer), payload)
        return channel_v2_tx.MsgTimeoutResponse(result=SUCCESS)

    def _require_late(self, ctx: Context, packet: Packet, proof: Proof) -> None:
        light_client = self.clients.route(ctx, packet.source_client)
        time_s = light_client.timestamp_ns(ctx, packet.source_client, proof.height) // SECOND_NS
        if time_s < packet.timeout_timestamp:
            raise TimeoutNotReachedV2(f"proof timestamp: {time_s}, timeout timestamp: {packet.timeout_timestamp}")

    def _verify(self, ctx: Context, client_id: str, claim: tuple[Proof, bytes], value: bytes | None) -> None:
        """Check that the counterparty holds `value` at the claim's key, or nothing when it is None."""
        light_client = self.clients.require_active(ctx, client_id)
        proof, key = claim
        if value is None:
            light_client.verify_non_membership(ctx, client_id, proof, key)
        else:
            light_client.verify_membership(ctx, client_id, proof, key, value)

    def write_acknowledgement(self, ctx: Context, client_id: str, sequence: int, acks: Sequence[bytes]) -> None:
        """For applications that answered None to a packet: the answer, now."""
        require_valid_ack(channel_v2.Acknowledgement(app_acknowledgements=acks))
        key = paths.async_packet(client_id, sequence)
        packet = load(ctx.ibc, key, Packet)
        if packet is None:
            raise InvalidAcknowledgementV2(
                f"packet with clientID ({client_id}) and sequence ({sequence}) not found for async acknowledgement"
            )
        _write_ack(ctx, packet, acks)
        ctx.ibc.delete(key)

    def redundant(self, ctx: Context, msg: PacketMessageV2) -> bool:
        """Whether a packet message would be a no-op now. Reads only, checks no proof."""
        packet = msg.packet
        require_valid(packet)
        if isinstance(msg, channel_v2_tx.MsgRecvPacket):
            _receivable(ctx, packet)
            return _received(ctx, packet)
        counterparty.facing(ctx, packet.source_client, packet.destination_client, "destination")
        return not _pending(ctx, packet)

    def _app(self, port_id: str) -> IbcModuleV2:
        found = self.router.get(port_id)
        if found is None:
            raise InvalidRoute(f"no route for {port_id[:128]}")
        return found


def _require_near(ctx: Context, timeout_s: int) -> None:
    """A timeout is after the block's time, at most a day."""
    timeout_ns = timeout_s * SECOND_NS
    if timeout_ns <= ctx.env.time_ns or timeout_s >= SECONDS_END:
        raise TimeoutElapsedV2(
            "timeout is less than or equal the current block timestamp, "
            f"{timeout_s} <= {ctx.env.time_ns // SECOND_NS} (seconds)"
        )
    if timeout_ns > ctx.env.time_ns + TIMEOUT_DELTA_MAX_S * SECOND_NS:
        raise InvalidTimeoutV2(
            f"timeout exceeds the maximum expected value: got {timeout_s} (seconds), block time "
            f"{ctx.env.time_ns // SECOND_NS}, at most {TIMEOUT_DELTA_MAX_S} later"
        )


def _receivable(ctx: Context, packet: Packet) -> client_v2.CounterpartyInfo:
    """The sender's end; raises unless the packet comes from there and in time."""
    other = counterparty.facing(ctx, packet.destination_client, packet.source_client, "source")
    now_s = ctx.env.time_ns // SECOND_NS
    if now_s >= packet.timeout_timestamp:
        raise TimeoutElapsedV2(f"current timestamp: {now_s}, timeout timestamp: {packet.timeout_timestamp}")
    return other


def _received(ctx: Context, packet: Packet) -> bool:
    return ctx.ibc.get(paths.receipt(packet.destination_client, packet.sequence)) is not None


def _pending(ctx: Context, packet: Packet) -> bool:
    """Whether this chain still waits for the packet's end; raises when it sent another one under this sequence."""
    stored = ctx.ibc.get(paths.commitment(packet.source_client, packet.sequence))
    if stored is None:
        return False
    if stored != commitment(packet):
        raise InvalidPacketV2(f"commitment bytes are not equal: got {commitment(packet).hex()}, stored {stored.hex()}")
    return True


def _at(other: client_v2.CounterpartyInfo, proof: Proof, path: bytes) -> tuple[Proof, bytes]:
    """Where the counterparty keeps `path`: below its prefix, whose last element the path continues.

    Light clients know trees in one level (no prefix beside the continued one) and in two.
    """
    *above, last = other.merkle_prefix
    if len(above) > 1 or not all(above):
        raise InvalidProof(
            f"expected a merkle prefix of one or two keys, got {len(other.merkle_prefix)}, or empty ones"
        )
    return Proof(height=proof.height, data=proof.data, prefix=b"".join(above)), last + path


def _envelope(packet: Packet, signer: str) -> Envelope:
    return Envelope(
        source_client=packet.source_client,
        destination_client=packet.destination_client,
        sequence=packet.sequence,
        signer=signer,
    )


def _call(ctx: Context, app: IbcModuleV2, packet: Packet, relayer: str) -> bytes | None:
    """The application's answer, or the sentinel when it refuses; None when it answers later."""
    (payload,) = packet.payloads
    kept = EventLog()
    try:
        with ctx.branch() as inner:
            kept = inner.events
            ack = app.on_recv_packet(inner, _envelope(packet, relayer), _copy(payload))
    except OutOfGas:
        raise  # the relayer's fault: a small gas limit must not turn a packet into a failed one
    except ChainError:
        for item in as_errors(kept.events):
            ctx.events.emit(item)
        return ERROR_ACK
    if ack == ERROR_ACK:
        raise InvalidAcknowledgementV2("application acknowledgement cannot be sentinel error acknowledgement")
    return ack


def _copy(payload: Payload) -> Payload:
    """An application can't change the packet that events and state show afterwards."""
    made = Payload()
    made.CopyFrom(payload)
    return made


def _write_ack(ctx: Context, packet: Packet, acks: Sequence[bytes]) -> None:
    ack = channel_v2.Acknowledgement(app_acknowledgements=acks)
    require_valid_ack(ack)
    counterparty.facing(ctx, packet.destination_client, packet.source_client, "source")
    key = paths.acknowledgement(packet.destination_client, packet.sequence)
    if ctx.ibc.get(key) is not None:
        raise AcknowledgementExistsV2(
            f"acknowledgement for id {packet.destination_client}, sequence {packet.sequence} already exists"
        )
    if not _received(ctx, packet):
        raise InvalidPacketV2("receipt not found for packet")
    ctx.ibc.set(key, ack_commitment(ack))
    events.packet_event(ctx, "write_acknowledgement", packet, ack)
