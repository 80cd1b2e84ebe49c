"""ibc.core.client.v2.Query and ibc.core.channel.v2.Query."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cosmos_wire.errors import InvalidRequest, NotFound
from cosmos_wire.protos import channel_v2_genesis, channel_v2_query, client_v2_query
from ibc_core.errors import AcknowledgementNotFoundV2, PacketCommitmentNotFoundV2, SequenceSendNotFoundV2
from ibc_core.host import Context, QueryRoute
from ibc_core.paginate import paginate
from ibc_core.paths import require_client_id
from ibc_core.queries.channel import SEQUENCES_MAX
from ibc_core.queries.routes import routes
from ibc_core.state import height_message, read_sequence, self_height
from ibc_core.v2 import counterparty, paths

query = channel_v2_query
Handlers = dict[str, Callable[..., object]]


def v2_queries() -> dict[str, QueryRoute]:
    """By method path."""
    client: Handlers = {"CounterpartyInfo": counterparty_info, "Config": config}
    channel: Handlers = {
        "NextSequenceSend": next_sequence_send,
        "PacketCommitment": packet_commitment,
        "PacketCommitments": packet_commitments,
        "PacketAcknowledgement": packet_acknowledgement,
        "PacketAcknowledgements": packet_acknowledgements,
        "PacketReceipt": packet_receipt,
        "UnreceivedPackets": unreceived_packets,
        "UnreceivedAcks": unreceived_acks,
    }
    return {
        **routes("ibc.core.client.v2.Query", client_v2_query, client),
        **routes("ibc.core.channel.v2.Query", channel_v2_query, channel),
    }


def counterparty_info(
    ctx: Context, request: client_v2_query.QueryCounterpartyInfoRequest
) -> client_v2_query.QueryCounterpartyInfoResponse:
    """The other end of a client."""
    require_client_id(request.client_id)
    found = counterparty.find(ctx, request.client_id)
    if found is None:
        raise NotFound(f"client {request.client_id} counterparty not found")
    return client_v2_query.QueryCounterpartyInfoResponse(counterparty_info=found)


def config(ctx: Context, request: client_v2_query.QueryConfigRequest) -> client_v2_query.QueryConfigResponse:
    """Who may relay; an empty one for a client that has none."""
    require_client_id(request.client_id)
    return client_v2_query.QueryConfigResponse(config=counterparty.config(ctx, request.client_id))


def next_sequence_send(
    ctx: Context, request: query.QueryNextSequenceSendRequest
) -> query.QueryNextSequenceSendResponse:
    """Sequence of the next packet to be sent."""
    require_client_id(request.client_id)
    value = read_sequence(ctx.ibc, paths.next_sequence_send(request.client_id))
    if value is None:
        raise SequenceSendNotFoundV2(f"client-id {request.client_id}")
    return query.QueryNextSequenceSendResponse(next_sequence_send=value, proof_height=height_message(self_height(ctx)))


def packet_commitment(ctx: Context, request: query.QueryPacketCommitmentRequest) -> query.QueryPacketCommitmentResponse:
    """Commitment of one packet."""
    _require_packet(request.client_id, request.sequence)
    stored = ctx.ibc.get(paths.commitment(request.client_id, request.sequence))
    if stored is None:
        raise PacketCommitmentNotFoundV2(f"packet commitment hash of sequence {request.sequence}")
    return query.QueryPacketCommitmentResponse(commitment=stored, proof_height=height_message(self_height(ctx)))


def packet_commitments(
    ctx: Context, request: query.QueryPacketCommitmentsRequest
) -> query.QueryPacketCommitmentsResponse:
    """Packets that this end waits for."""
    require_client_id(request.client_id)
    items, page = paginate(ctx.ibc, paths.commitments(request.client_id), request.pagination)
    return query.QueryPacketCommitmentsResponse(
        commitments=[_state(request.client_id, key, raw) for key, raw in items],
        pagination=page,
        height=height_message(self_height(ctx)),
    )


def packet_acknowledgement(
    ctx: Context, request: query.QueryPacketAcknowledgementRequest
) -> query.QueryPacketAcknowledgementResponse:
    """Commitment of one acknowledgement."""
    _require_packet(request.client_id, request.sequence)
    stored = ctx.ibc.get(paths.acknowledgement(request.client_id, request.sequence))
    if stored is None:
        raise AcknowledgementNotFoundV2(f"packet acknowledgement hash of sequence {request.sequence}")
    return query.QueryPacketAcknowledgementResponse(
        acknowledgement=stored, proof_height=height_message(self_height(ctx))
    )


def packet_acknowledgements(
    ctx: Context, request: query.QueryPacketAcknowledgementsRequest
) -> query.QueryPacketAcknowledgementsResponse:
    """Acknowledgements that this end wrote: of the sequences that the request names, else all by page."""
    require_client_id(request.client_id)
    response = query.QueryPacketAcknowledgementsResponse(height=height_message(self_height(ctx)))
    prefix = paths.acknowledgements(request.client_id)
    if request.packet_commitment_sequences:
        for sequence in _bounded(request.packet_commitment_sequences):
            key = sequence.to_bytes(8, "big")
            raw = ctx.ibc.get(prefix + key)
            if raw is not None:
                response.acknowledgements.append(_state(request.client_id, key, raw))
        return response
    items, page = paginate(ctx.ibc, prefix, request.pagination)
    response.acknowledgements.extend(_state(request.client_id, key, raw) for key, raw in items)
    response.pagination.CopyFrom(page)
    return response


def packet_receipt(ctx: Context, request: query.QueryPacketReceiptRequest) -> query.QueryPacketReceiptResponse:
    """Whether a packet was received."""
    _require_packet(request.client_id, request.sequence)
    received = ctx.ibc.get(paths.receipt(request.client_id, request.sequence)) is not None
    return query.QueryPacketReceiptResponse(received=received, proof_height=height_message(self_height(ctx)))


def unreceived_packets(
    ctx: Context, request: query.QueryUnreceivedPacketsRequest
) -> query.QueryUnreceivedPacketsResponse:
    """Which of the counterparty's packets did not arrive here."""
    require_client_id(request.client_id)
    asked = _nonzero(request.sequences)
    missing = [sequence for sequence in asked if ctx.ibc.get(paths.receipt(request.client_id, sequence)) is None]
    return query.QueryUnreceivedPacketsResponse(sequences=missing, height=height_message(self_height(ctx)))


def unreceived_acks(ctx: Context, request: query.QueryUnreceivedAcksRequest) -> query.QueryUnreceivedAcksResponse:
    """Which of the counterparty's acknowledgements did not arrive here."""
    require_client_id(request.client_id)
    asked = _nonzero(request.packet_ack_sequences)
    missing = [n for n in asked if ctx.ibc.get(paths.commitment(request.client_id, n)) is not None]
    return query.QueryUnreceivedAcksResponse(sequences=missing, height=height_message(self_height(ctx)))


def _state(client_id: str, key: bytes, data: bytes) -> channel_v2_genesis.PacketState:
    return channel_v2_genesis.PacketState(client_id=client_id, sequence=int.from_bytes(key, "big"), data=data)


def _require_packet(client_id: str, sequence: int) -> None:
    require_client_id(client_id)
    if sequence == 0:
        raise InvalidRequest("packet sequence cannot be 0")


def _bounded(asked: Iterable[int]) -> list[int]:
    found = list(asked)
    if len(found) > SEQUENCES_MAX:
        raise InvalidRequest(f"at most {SEQUENCES_MAX} sequences, got {len(found)}")
    return found


def _nonzero(asked: Iterable[int]) -> list[int]:
    found = _bounded(asked)
    if 0 in found:
        raise InvalidRequest(f"packet sequence {found.index(0)} cannot be 0")
    return found
