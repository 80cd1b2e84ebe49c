"""Events of ICS-04 v2 with ibc-go's names, attribute keys and order."""

from __future__ import annotations

from cosmos_wire.protos import channel_v2
from ibc_core.events import emit
from ibc_core.host import Context, event
from ibc_core.state import encode

CATEGORY = "ibc_channelv2"


def packet_event(
    ctx: Context, kind: str, packet: channel_v2.Packet, ack: channel_v2.Acknowledgement | None = None
) -> None:
    """`send_packet`, `recv_packet`, `write_acknowledgement`, `acknowledge_packet`, `timeout_packet`."""
    attributes = {
        "packet_source_client": packet.source_client,
        "packet_dest_client": packet.destination_client,
        "packet_sequence": str(packet.sequence),
        "packet_timeout_timestamp": str(packet.timeout_timestamp),
        "encoded_packet_hex": encode(packet).hex(),
    }
    if ack is not None:
        attributes["encoded_acknowledgement_hex"] = encode(ack).hex()
    emit(ctx, CATEGORY, event(kind, **attributes))
