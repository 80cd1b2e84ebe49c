"""ICS-04 packets: send, receive, acknowledge, time out.

Each handler looks whether the packet was relayed already (then it is a no-op and not a failure), checks, changes the
state, and calls the application last: a commitment is gone before anybody can call again (ASA-2024-007).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from cosmos_wire.errors import ChainError, OutOfGas
from cosmos_wire.protos import channel, channel_tx, connection
from ibc_core import acknowledgement, events, paths
from ibc_core.channel import CLOSED, OPEN, ORDERED, Channels, mirror
from ibc_core.client import Clients, Verifier, delayed, proof_of
from ibc_core.errors import (
    AcknowledgementExists,
    IbcInvalidSequence,
    InvalidAcknowledgement,
    InvalidChannelState,
    InvalidConnectionState,
    InvalidHeight,
    InvalidPacket,
    PacketReceived,
    PacketSequenceOutOfOrder,
    SequenceAckNotFound,
    SequenceReceiveNotFound,
    SequenceSendNotFound,
    TimeoutElapsed,
    TimeoutNotReached,
)
from ibc_core.host import Context, EventLog
from ibc_core.light_client import Height, Proof
from ibc_core.router import IbcModule, Outgoing
from ibc_core.state import (
    encode,
    get_channel,
    get_connection,
    height_of,
    read_sequence,
    self_height,
    set_channel,
    write_sequence,
)

DATA_BYTES_MAX = 262_144  # ibc-go's MaximumPayloadsSize
RECEIPT = b"\x01"
NOOP, SUCCESS = channel_tx.RESPONSE_RESULT_TYPE_NOOP, channel_tx.RESPONSE_RESULT_TYPE_SUCCESS

Packet = channel.Packet
PacketMessage = (
    channel_tx.MsgRecvPacket | channel_tx.MsgAcknowledgement | channel_tx.MsgTimeout | channel_tx.MsgTimeoutOnClose
)


def commitment(packet: Packet) -> bytes:
    """What the sender stores. All parts have a fixed length, so that no two packets share a preimage."""
    timeout = packet.timeout_height
    numbers = (packet.timeout_timestamp, timeout.revision_number, timeout.revision_height)
    return sha256(b"".join(n.to_bytes(8, "big") for n in numbers) + sha256(packet.data).digest()).digest()


def ack_commitment(ack: bytes) -> bytes:
    """What the receiver stores of an acknowledgement."""
    return sha256(ack).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end, on this chain, of the channel that a packet went through."""

    port_id: str
    channel_id: str
    channel: channel.Channel
    hop: connection.ConnectionEnd

    @property
    def ordered(self) -> bool:
        """Whether packets must arrive in order."""
        return self.channel.ordering == ORDERED

    def require_open(self) -> None:
        """Refuse packets on a channel or connection that is not open."""
        if self.channel.state != OPEN:
            raise InvalidChannelState(f"channel is not OPEN (got {channel.State.Name(self.channel.state)})")
        if self.hop.state != connection.STATE_OPEN:
            raise InvalidConnectionState(f"connection state is not OPEN (got {connection.State.Name(self.hop.state)})")


@dataclass(frozen=True, slots=True)
class Packets:
    """Handlers of the packet messages in ibc.core.channel.v1.Msg, and the applications' way to send."""

    clients: Clients
    channels: Channels

    def send(self, ctx: Context, outgoing: Outgoing) -> int:
        """Commit a packet and return its sequence."""
        end = _end(ctx, outgoing.port_id, outgoing.channel_id)
        if end.channel.state != OPEN:
            raise InvalidChannelState(f"channel is not OPEN (got {channel.State.Name(end.channel.state)})")
        key = paths.next_sequence_send(end.port_id, end.channel_id)
        sequence = read_sequence(ctx.ibc, key)
        if sequence is None:
            raise SequenceSendNotFound(f"source port: {end.port_id}, source channel: {end.channel_id}")
        packet = _packet(end, outgoing, sequence)
        require_valid(packet)
        self._require_time_left(ctx, end, packet)
        write_sequence(ctx.ibc, key, sequence + 1)
        ctx.ibc.set(paths.commitment(end.port_id, end.channel_id, sequence), commitment(packet))
        events.packet_event(ctx, "send_packet", packet, end.channel)
        return sequence

    def _require_time_left(self, ctx: Context, end: End, packet: Packet) -> None:
        """Refuse a packet that is late already, as far as the client knows the counterparty."""
        client_id = end.hop.client_id
        light_client = self.clients.require_active(ctx, client_id)
        latest = light_client.latest_height(ctx, client_id)
        if latest.is_zero:
            raise InvalidHeight(f"cannot send packet using client ({client_id}) with zero height")
        _require_not_elapsed(packet, latest, light_client.timestamp_ns(ctx, client_id, latest))

    def receive(self, ctx: Context, msg: channel_tx.MsgRecvPacket) -> channel_tx.MsgRecvPacketResponse:
        """MsgRecvPacket."""
        app = self.channels.app(msg.packet.destination_port)
        end = self._arrived(ctx, msg)
        if end is None:
            return channel_tx.MsgRecvPacketResponse(result=NOOP)
        _write_ack(ctx, end, msg.packet, _call(ctx, app, msg.packet, msg.signer))
        return channel_tx.MsgRecvPacketResponse(result=SUCCESS)

    def rehearse_receive(self, ctx: Context, msg: channel_tx.MsgRecvPacket) -> bool:
        """For the mempool: all but the application; true for a packet that came before."""
        return self._arrived(ctx, msg) is None

    def _arrived(self, ctx: Context, msg: channel_tx.MsgRecvPacket) -> End | None:
        """Check the packet and mark it as received; None when it was already."""
        packet = msg.packet
        end = _receiver(ctx, packet)
        if _received(ctx, end, packet.sequence):
            return None
        end.require_open()
        _require_not_elapsed(packet, self_height(ctx), ctx.env.time_ns)
        path = paths.commitment(packet.source_port, packet.source_channel, packet.sequence)
        proof = proof_of(msg.proof_height, msg.proof_commitment)
        delayed(self.clients, end.hop, proof).member(ctx, path, commitment(packet))
        _mark_received(ctx, end, packet.sequence)
        events.packet_event(ctx, "recv_packet", packet, end.channel)
        return end

    def acknowledge(self, ctx: Context, msg: channel_tx.MsgAcknowledgement) -> channel_tx.MsgAcknowledgementResponse:
        """MsgAcknowledgement."""
        app = self.channels.app(msg.packet.source_port)
        if not self.settle_acknowledged(ctx, msg):
            return channel_tx.MsgAcknowledgementResponse(result=NOOP)
        app.on_acknowledge_packet(ctx, msg.packet, msg.acknowledgement)
        return channel_tx.MsgAcknowledgementResponse(result=SUCCESS)

    def settle_acknowledged(self, ctx: Context, msg: channel_tx.MsgAcknowledgement) -> bool:
        """All but the application; false for a packet that was settled before."""
        packet = msg.packet
        end = _sender(ctx, packet)
        if not _pending(ctx, end, packet):
            return False
        end.require_open()
        acknowledgement.require_unambiguous(msg.acknowledgement)
        path = paths.acknowledgement(packet.destination_port, packet.destination_channel, packet.sequence)
        proof = proof_of(msg.proof_height, msg.proof_acked)
        delayed(self.clients, end.hop, proof).member(ctx, path, ack_commitment(msg.acknowledgement))
        _settle_acknowledged(ctx, end, packet)
        events.packet_event(ctx, "acknowledge_packet", packet, end.channel)
        return True

    def timeout(self, ctx: Context, msg: channel_tx.MsgTimeout) -> channel_tx.MsgTimeoutResponse:
        """MsgTimeout."""
        app = self.channels.app(msg.packet.source_port)
        if not self.settle_timed_out(ctx, msg):
            return channel_tx.MsgTimeoutResponse(result=NOOP)
        app.on_timeout_packet(ctx, msg.packet)
        return channel_tx.MsgTimeoutResponse(result=SUCCESS)

    def settle_timed_out(self, ctx: Context, msg: channel_tx.MsgTimeout) -> bool:
        """All but the application; false for a packet that was settled before."""
        proof = proof_of(msg.proof_height, msg.proof_unreceived)
        end = _sender(ctx, msg.packet)
        self._require_late(ctx, end, msg.packet, proof.height)
        if not _pending(ctx, end, msg.packet):
            return False
        self._verify_unreceived(ctx, end, msg, proof)
        _settle_timed_out(ctx, end, msg.packet)
        return True

    def timeout_on_close(self, ctx: Context, msg: channel_tx.MsgTimeoutOnClose) -> channel_tx.MsgTimeoutOnCloseResponse:
        """MsgTimeoutOnClose: the counterparty's end is closed, so that the packet can't arrive any more."""
        app = self.channels.app(msg.packet.source_port)
        if not self.settle_closed(ctx, msg):
            return channel_tx.MsgTimeoutOnCloseResponse(result=NOOP)
        app.on_timeout_packet(ctx, msg.packet)
        return channel_tx.MsgTimeoutOnCloseResponse(result=SUCCESS)

    def settle_closed(self, ctx: Context, msg: channel_tx.MsgTimeoutOnClose) -> bool:
        """All but the application; false for a packet that was settled before."""
        proof, closed = proof_of(msg.proof_height, msg.proof_unreceived), proof_of(msg.proof_height, msg.proof_close)
        end = _sender(ctx, msg.packet)
        if not _pending(ctx, end, msg.packet):
            return False
        theirs = mirror(end.hop, (end.port_id, end.channel_id), end.channel, CLOSED)
        path = paths.channel(end.channel.counterparty.port_id, end.channel.counterparty.channel_id)
        Verifier(self.clients, end.hop, closed).member(ctx, path, encode(theirs))
        self._verify_unreceived(ctx, end, msg, proof)
        _settle_timed_out(ctx, end, msg.packet)
        return True

    def _require_late(self, ctx: Context, end: End, packet: Packet, height: Height) -> None:
        light_client = self.clients.route(ctx, end.hop.client_id)
        time_ns = light_client.timestamp_ns(ctx, end.hop.client_id, height)
        if not elapsed(packet, height, time_ns):
            raise TimeoutNotReached(f"counterparty at {height}, {time_ns} ns; {_deadline(packet)}")

    def _verify_unreceived(
        self, ctx: Context, end: End, msg: channel_tx.MsgTimeout | channel_tx.MsgTimeoutOnClose, proof: Proof
    ) -> None:
        packet = msg.packet
        verifier = delayed(self.clients, end.hop, proof)
        there = (packet.destination_port, packet.destination_channel)
        if not end.ordered:
            verifier.absent(ctx, paths.receipt(*there, packet.sequence))
            return
        if msg.next_sequence_recv > packet.sequence:
            raise PacketReceived(
                f"next sequence receive {msg.next_sequence_recv} is above packet sequence {packet.sequence}"
            )
        verifier.member(ctx, paths.next_sequence_recv(*there), msg.next_sequence_recv.to_bytes(8, "big"))

    def redundant(self, ctx: Context, msg: PacketMessage) -> bool:
        """Whether a packet message would be a no-op now. Reads only, checks no proof."""
        packet = msg.packet
        if isinstance(msg, channel_tx.MsgRecvPacket):
            return _received(ctx, _receiver(ctx, packet), packet.sequence)
        end = _sender(ctx, packet)
        return ctx.ibc.get(paths.commitment(end.port_id, end.channel_id, packet.sequence)) is None


@dataclass(slots=True)
class _Attempt:
    """Events of a callback, kept by hand because a failed branch drops them."""

    events: EventLog = field(default_factory=EventLog)


def _call(ctx: Context, app: IbcModule, packet: Packet, relayer: str) -> bytes:
    """The application's answer, or the error acknowledgement when it refuses."""
    attempt = _Attempt()
    try:
        with ctx.branch() as inner:
            attempt.events = inner.events
            return app.on_recv_packet(inner, packet, relayer)
    except OutOfGas:
        raise  # the relayer's fault: a small gas limit must not turn a packet into a failed one
    except ChainError as error:
        for item in events.as_errors(attempt.events.events):
            ctx.events.emit(item)
        return acknowledgement.failure(error)


def _write_ack(ctx: Context, end: End, packet: Packet, ack: bytes) -> None:
    if not ack:
        raise InvalidAcknowledgement(f"application on port {end.port_id} gave an empty acknowledgement")
    key = paths.acknowledgement(end.port_id, end.channel_id, packet.sequence)
    if ctx.ibc.get(key) is not None:
        raise AcknowledgementExists(f"packet {packet.sequence} on {end.port_id}/{end.channel_id}")
    ctx.ibc.set(key, ack_commitment(ack))
    events.packet_event(ctx, "write_acknowledgement", packet, end.channel, ack)


def _end(ctx: Context, port_id: str, channel_id: str) -> End:
    found = get_channel(ctx, port_id, channel_id)
    hop = get_connection(ctx, found.connection_hops[0])
    return End(port_id=port_id, channel_id=channel_id, channel=found, hop=hop)


def _receiver(ctx: Context, packet: Packet) -> End:
    end = _end(ctx, packet.destination_port, packet.destination_channel)
    _require_counterparty(end, packet.source_port, packet.source_channel)
    return end


def _sender(ctx: Context, packet: Packet) -> End:
    end = _end(ctx, packet.source_port, packet.source_channel)
    _require_counterparty(end, packet.destination_port, packet.destination_channel)
    return end


def _require_counterparty(end: End, port_id: str, channel_id: str) -> None:
    other = end.channel.counterparty
    if (other.port_id, other.channel_id) != (port_id, channel_id):
        raise InvalidPacket(
            f"packet names {port_id}/{channel_id}, the counterparty of {end.port_id}/{end.channel_id} "
            f"is {other.port_id}/{other.channel_id}"
        )


def _received(ctx: Context, end: End, sequence: int) -> bool:
    if not end.ordered:
        return ctx.ibc.get(paths.receipt(end.port_id, end.channel_id, sequence)) is not None
    return sequence < _next_recv(ctx, end)


def _next_recv(ctx: Context, end: End) -> int:
    value = read_sequence(ctx.ibc, paths.next_sequence_recv(end.port_id, end.channel_id))
    if value is None:
        raise SequenceReceiveNotFound(f"destination port: {end.port_id}, destination channel: {end.channel_id}")
    return value


def _mark_received(ctx: Context, end: End, sequence: int) -> None:
    if not end.ordered:
        ctx.ibc.set(paths.receipt(end.port_id, end.channel_id, sequence), RECEIPT)
        return
    expected = _next_recv(ctx, end)
    if sequence != expected:
        raise PacketSequenceOutOfOrder(f"packet sequence {sequence}, next receive sequence {expected}")
    write_sequence(ctx.ibc, paths.next_sequence_recv(end.port_id, end.channel_id), expected + 1)


def _pending(ctx: Context, end: End, packet: Packet) -> bool:
    """Whether this chain still waits for the packet's end; raises when it sent another one under this sequence."""
    stored = ctx.ibc.get(paths.commitment(end.port_id, end.channel_id, packet.sequence))
    if stored is None:
        return False
    if stored != commitment(packet):
        raise InvalidPacket(f"commitment bytes are not equal: got {commitment(packet).hex()}, stored {stored.hex()}")
    return True


def _settle_acknowledged(ctx: Context, end: End, packet: Packet) -> None:
    if end.ordered:
        key = paths.next_sequence_ack(end.port_id, end.channel_id)
        expected = read_sequence(ctx.ibc, key)
        if expected is None:
            raise SequenceAckNotFound(f"source port: {end.port_id}, source channel: {end.channel_id}")
        if packet.sequence != expected:
            raise PacketSequenceOutOfOrder(f"packet sequence {packet.sequence}, next ack sequence {expected}")
        write_sequence(ctx.ibc, key, expected + 1)
    ctx.ibc.delete(paths.commitment(end.port_id, end.channel_id, packet.sequence))


def _settle_timed_out(ctx: Context, end: End, packet: Packet) -> None:
    ctx.ibc.delete(paths.commitment(end.port_id, end.channel_id, packet.sequence))
    if end.ordered:  # nothing can follow a gap
        end.channel.state = CLOSED
        set_channel(ctx, end.port_id, end.channel_id, end.channel)
        events.channel_event(ctx, "channel_close", (end.port_id, end.channel_id), end.channel)
    events.packet_event(ctx, "timeout_packet", packet, end.channel)


def _packet(end: End, outgoing: Outgoing, sequence: int) -> Packet:
    packet = Packet(
        sequence=sequence,
        source_port=end.port_id,
        source_channel=end.channel_id,
        destination_port=end.channel.counterparty.port_id,
        destination_channel=end.channel.counterparty.channel_id,
        data=outgoing.data,
        timeout_timestamp=outgoing.timeout_ns,
    )
    packet.timeout_height.revision_number = outgoing.timeout_revision
    packet.timeout_height.revision_height = outgoing.timeout_height
    packet.timeout_height.SetInParent()
    return packet


def require_valid(packet: Packet) -> None:
    """What every packet has to be, whatever it carries."""
    paths.require_port_id(packet.source_port, "source port ID")
    paths.require_port_id(packet.destination_port, "destination port ID")
    paths.require_channel_id(packet.source_channel, "source channel ID")
    paths.require_channel_id(packet.destination_channel, "destination channel ID")
    if packet.sequence == 0:
        raise InvalidPacket("packet sequence cannot be 0")
    if height_of(packet.timeout_height).is_zero and packet.timeout_timestamp == 0:
        raise InvalidPacket("packet timeout height and packet timeout timestamp cannot both be 0")
    if not 0 < len(packet.data) <= DATA_BYTES_MAX:
        raise InvalidPacket(f"packet data has to be 1..{DATA_BYTES_MAX} bytes, got {len(packet.data)}")


def elapsed(packet: Packet, height: Height, time_ns: int) -> bool:
    """Whether a chain at this height and block time (ns) must not receive the packet any more."""
    limit = height_of(packet.timeout_height)
    if not limit.is_zero and height >= limit:
        return True
    return packet.timeout_timestamp != 0 and time_ns >= packet.timeout_timestamp


def _require_not_elapsed(packet: Packet, height: Height, time_ns: int) -> None:
    if elapsed(packet, height, time_ns):
        raise TimeoutElapsed(f"receiving chain at {height}, {time_ns} ns; {_deadline(packet)}")


def _deadline(packet: Packet) -> str:
    return f"packet timeout height {height_of(packet.timeout_height)}, timestamp {packet.timeout_timestamp} ns"


def check_receive(msg: channel_tx.MsgRecvPacket) -> None:
    """`MsgRecvPacket.ValidateBasic`."""
    proof_of(msg.proof_height, msg.proof_commitment)
    require_valid(msg.packet)


def check_acknowledge(msg: channel_tx.MsgAcknowledgement) -> None:
    """`MsgAcknowledgement.ValidateBasic`."""
    proof_of(msg.proof_height, msg.proof_acked)
    if not msg.acknowledgement:
        raise InvalidAcknowledgement("acknowledgement cannot be empty")
    require_valid(msg.packet)


def check_timeout(msg: channel_tx.MsgTimeout | channel_tx.MsgTimeoutOnClose) -> None:
    """`MsgTimeout.ValidateBasic`."""
    proof_of(msg.proof_height, msg.proof_unreceived)
    if msg.next_sequence_recv == 0:
        raise IbcInvalidSequence("next sequence receive cannot be 0")
    require_valid(msg.packet)


def check_timeout_on_close(msg: channel_tx.MsgTimeoutOnClose) -> None:
    """`MsgTimeoutOnClose.ValidateBasic`."""
    proof_of(msg.proof_height, msg.proof_close)
    check_timeout(msg)
