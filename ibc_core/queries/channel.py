"""ibc.core.channel.v1.Query."""

from __future__ import annotations

from collections.abc import Iterable

from cosmos_wire.errors import InvalidRequest, NotFound
from cosmos_wire.protos import channel, channel_query
from ibc_core import paths
from ibc_core.host import Context
from ibc_core.light_client import Height
from ibc_core.paginate import paginate
from ibc_core.queries.client import consensus, identified
from ibc_core.queries.connection import find as find_connection
from ibc_core.state import find_channel, height_message, read_sequence, self_height

SEQUENCES_MAX = 100_000  # a request that names more is answered for nobody


def find(ctx: Context, port_id: str, channel_id: str) -> channel.Channel:
    """A channel end; raises NotFound."""
    paths.require_port_id(port_id)
    paths.require_channel_id(channel_id)
    found = find_channel(ctx, port_id, channel_id)
    if found is None:
        raise NotFound(f"port ID ({port_id}) channel ID ({channel_id}): channel")
    return found


def one(ctx: Context, request: channel_query.QueryChannelRequest) -> channel_query.QueryChannelResponse:
    """One channel."""
    return channel_query.QueryChannelResponse(
        channel=find(ctx, request.port_id, request.channel_id), proof_height=height_message(self_height(ctx))
    )


def all_of_them(ctx: Context, request: channel_query.QueryChannelsRequest) -> channel_query.QueryChannelsResponse:
    """All channels."""
    items, page = paginate(ctx.ibc, paths.CHANNEL_ENDS, request.pagination)
    return channel_query.QueryChannelsResponse(
        channels=[_identified(key, raw) for key, raw in items],
        pagination=page,
        height=height_message(self_height(ctx)),
    )


def of_connection(
    ctx: Context, request: channel_query.QueryConnectionChannelsRequest
) -> channel_query.QueryConnectionChannelsResponse:
    """Channels over one connection."""
    paths.require_connection_id(request.connection)

    def over_it(_key: bytes, raw: bytes) -> bool:
        return request.connection in channel.Channel.FromString(raw).connection_hops

    items, page = paginate(ctx.ibc, paths.CHANNEL_ENDS, request.pagination, over_it)
    return channel_query.QueryConnectionChannelsResponse(
        channels=[_identified(key, raw) for key, raw in items],
        pagination=page,
        height=height_message(self_height(ctx)),
    )


def _identified(key: bytes, raw: bytes) -> channel.IdentifiedChannel:
    port_id, channel_id = paths.parse_channel(key)
    end = channel.Channel.FromString(raw)
    return channel.IdentifiedChannel(
        state=end.state,
        ordering=end.ordering,
        counterparty=end.counterparty,
        connection_hops=end.connection_hops,
        version=end.version,
        port_id=port_id,
        channel_id=channel_id,
    )


def client_state(
    ctx: Context, request: channel_query.QueryChannelClientStateRequest
) -> channel_query.QueryChannelClientStateResponse:
    """The client below a channel."""
    client_id = _client_id(ctx, request.port_id, request.channel_id)
    return channel_query.QueryChannelClientStateResponse(
        identified_client_state=identified(ctx, client_id), proof_height=height_message(self_height(ctx))
    )


def consensus_state(
    ctx: Context, request: channel_query.QueryChannelConsensusStateRequest
) -> channel_query.QueryChannelConsensusStateResponse:
    """A consensus state of the client below a channel."""
    client_id = _client_id(ctx, request.port_id, request.channel_id)
    height = Height(request.revision_number, request.revision_height)
    return channel_query.QueryChannelConsensusStateResponse(
        consensus_state=consensus(ctx, client_id, height),
        client_id=client_id,
        proof_height=height_message(self_height(ctx)),
    )


def _client_id(ctx: Context, port_id: str, channel_id: str) -> str:
    end = find(ctx, port_id, channel_id)
    return find_connection(ctx, end.connection_hops[0]).client_id


def packet_commitment(
    ctx: Context, request: channel_query.QueryPacketCommitmentRequest
) -> channel_query.QueryPacketCommitmentResponse:
    """Commitment of one packet."""
    _require_packet(ctx, request.port_id, request.channel_id, request.sequence)
    stored = ctx.ibc.get(paths.commitment(request.port_id, request.channel_id, request.sequence))
    if stored is None:
        raise NotFound(f"packet commitment hash of sequence {request.sequence}")
    return channel_query.QueryPacketCommitmentResponse(commitment=stored, proof_height=height_message(self_height(ctx)))


def packet_commitments(
    ctx: Context, request: channel_query.QueryPacketCommitmentsRequest
) -> channel_query.QueryPacketCommitmentsResponse:
    """Packets that this end waits for."""
    find(ctx, request.port_id, request.channel_id)
    items, page = paginate(ctx.ibc, paths.commitments(request.port_id, request.channel_id), request.pagination)
    return channel_query.QueryPacketCommitmentsResponse(
        commitments=[_state(request.port_id, request.channel_id, int(key), raw) for key, raw in items],
        pagination=page,
        height=height_message(self_height(ctx)),
    )


def packet_receipt(
    ctx: Context, request: channel_query.QueryPacketReceiptRequest
) -> channel_query.QueryPacketReceiptResponse:
    """Whether an unordered packet was received."""
    _require_packet(ctx, request.port_id, request.channel_id, request.sequence)
    key = paths.receipt(request.port_id, request.channel_id, request.sequence)
    return channel_query.QueryPacketReceiptResponse(
        received=ctx.ibc.get(key) is not None, proof_height=height_message(self_height(ctx))
    )


def packet_acknowledgement(
    ctx: Context, request: channel_query.QueryPacketAcknowledgementRequest
) -> channel_query.QueryPacketAcknowledgementResponse:
    """Commitment of one acknowledgement."""
    _require_packet(ctx, request.port_id, request.channel_id, request.sequence)
    stored = ctx.ibc.get(paths.acknowledgement(request.port_id, request.channel_id, request.sequence))
    if stored is None:
        raise NotFound(f"packet acknowledgement hash of sequence {request.sequence}")
    return channel_query.QueryPacketAcknowledgementResponse(
        acknowledgement=stored, proof_height=height_message(self_height(ctx))
    )


def packet_acknowledgements(
    ctx: Context, request: channel_query.QueryPacketAcknowledgementsRequest
) -> channel_query.QueryPacketAcknowledgementsResponse:
    """Acknowledgements that this end wrote: of the sequences that the request names, else all by page."""
    find(ctx, request.port_id, request.channel_id)
    response = channel_query.QueryPacketAcknowledgementsResponse(height=height_message(self_height(ctx)))
    if request.packet_commitment_sequences:
        for sequence in _sequences(request.packet_commitment_sequences):
            raw = ctx.ibc.get(paths.acknowledgement(request.port_id, request.channel_id, sequence))
            if raw is not None:
                response.acknowledgements.append(_state(request.port_id, request.channel_id, sequence, raw))
        return response
    prefix = paths.acknowledgements(request.port_id, request.channel_id)
    items, page = paginate(ctx.ibc, prefix, request.pagination)
    response.acknowledgements.extend(_state(request.port_id, request.channel_id, int(key), raw) for key, raw in items)
    response.pagination.CopyFrom(page)
    return response


def unreceived_packets(
    ctx: Context, request: channel_query.QueryUnreceivedPacketsRequest
) -> channel_query.QueryUnreceivedPacketsResponse:
    """Which of the counterparty's packets did not arrive here."""
    end = find(ctx, request.port_id, request.channel_id)
    asked = _sequences(request.packet_commitment_sequences)
    if end.ordering == channel.ORDER_ORDERED:
        following = _sequence(ctx, paths.next_sequence_recv(request.port_id, request.channel_id))
        missing = [sequence for sequence in asked if sequence >= following]
    else:
        missing = [
            sequence
            for sequence in asked
            if ctx.ibc.get(paths.receipt(request.port_id, request.channel_id, sequence)) is None
        ]
    return channel_query.QueryUnreceivedPacketsResponse(sequences=missing, height=height_message(self_height(ctx)))


def unreceived_acks(
    ctx: Context, request: channel_query.QueryUnreceivedAcksRequest
) -> channel_query.QueryUnreceivedAcksResponse:
    """Which of the counterparty's acknowledgements did not arrive here."""
    find(ctx, request.port_id, request.channel_id)
    missing = [
        sequence
        for sequence in _sequences(request.packet_ack_sequences)
        if ctx.ibc.get(paths.commitment(request.port_id, request.channel_id, sequence)) is not None
    ]
    return channel_query.QueryUnreceivedAcksResponse(sequences=missing, height=height_message(self_height(ctx)))


def next_sequence_receive(
    ctx: Context, request: channel_query.QueryNextSequenceReceiveRequest
) -> channel_query.QueryNextSequenceReceiveResponse:
    """Sequence of the next packet to arrive on an ordered channel."""
    find(ctx, request.port_id, request.channel_id)
    value = _sequence(ctx, paths.next_sequence_recv(request.port_id, request.channel_id))
    return channel_query.QueryNextSequenceReceiveResponse(
        next_sequence_receive=value, proof_height=height_message(self_height(ctx))
    )


def next_sequence_send(
    ctx: Context, request: channel_query.QueryNextSequenceSendRequest
) -> channel_query.QueryNextSequenceSendResponse:
    """Sequence of the next packet to be sent."""
    find(ctx, request.port_id, request.channel_id)
    value = _sequence(ctx, paths.next_sequence_send(request.port_id, request.channel_id))
    return channel_query.QueryNextSequenceSendResponse(
        next_sequence_send=value, proof_height=height_message(self_height(ctx))
    )


def _state(port_id: str, channel_id: str, sequence: int, data: bytes) -> channel.PacketState:
    return channel.PacketState(port_id=port_id, channel_id=channel_id, sequence=sequence, data=data)


def _require_packet(ctx: Context, port_id: str, channel_id: str, sequence: int) -> None:
    if sequence == 0:
        raise InvalidRequest("packet sequence cannot be 0")
    find(ctx, port_id, channel_id)


def _sequences(asked: Iterable[int]) -> list[int]:
    found = list(asked)
    if len(found) > SEQUENCES_MAX:
        raise InvalidRequest(f"at most {SEQUENCES_MAX} sequences, got {len(found)}")
    if 0 in found:
        raise InvalidRequest(f"packet sequence {found.index(0)} cannot be 0")
    return found


def _sequence(ctx: Context, key: bytes) -> int:
    value = read_sequence(ctx.ibc, key)
    if value is None:
        raise NotFound(f"sequence at {key.decode()}")
    return value
