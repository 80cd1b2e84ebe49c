"""ICS-04 v2: what a packet and an acknowledgement have to be, and the hashes that chains keep of them."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from cosmos_wire.protos import channel_v2
from ibc_core import paths
from ibc_core.errors import InvalidAcknowledgementV2, InvalidPacketV2, InvalidPayload

ERROR_ACK = sha256(b"UNIVERSAL_ERROR_ACKNOWLEDGEMENT").digest()  # state: never changes
RECEIPT = b"\x02"
DOMAIN = b"\x02"  # first byte of every preimage of v2
PAYLOADS = 1  # ibc-go v10 takes no other number yet
PAYLOAD_BYTES_MAX = 262_144  # ibc-go's MaximumPayloadsSize, over all payloads of a packet

Packet = channel_v2.Packet
Payload = channel_v2.Payload


def _hashes(parts: Iterable[bytes]) -> bytes:
    """All parts have a fixed length, so that no two packets share a preimage."""
    return b"".join(sha256(part).digest() for part in parts)


def payload_hash(payload: Payload) -> bytes:
    """SHA-256 over the hashes of its five fields."""
    names = (payload.source_port, payload.destination_port, payload.version, payload.encoding)
    return sha256(_hashes((*(name.encode() for name in names), payload.value))).digest()


def commitment(packet: Packet) -> bytes:
    """What the sender stores."""
    payloads = b"".join(payload_hash(payload) for payload in packet.payloads)
    timeout = packet.timeout_timestamp.to_bytes(8, "big")
    return sha256(DOMAIN + _hashes((packet.destination_client.encode(), timeout, payloads))).digest()


def ack_commitment(ack: channel_v2.Acknowledgement) -> bytes:
    """What the receiver stores of an acknowledgement."""
    return sha256(DOMAIN + _hashes(ack.app_acknowledgements)).digest()


def require_valid(packet: Packet) -> None:
    """What every packet has to be, whatever it carries; ibc-go's order."""
    if len(packet.payloads) != PAYLOADS:
        raise InvalidPacketV2(f"payloads must contain exactly one payload, got {len(packet.payloads)}")
    for payload in packet.payloads:
        require_valid_payload(payload)
    size = sum(len(payload.value) for payload in packet.payloads)
    if size > PAYLOAD_BYTES_MAX:
        raise InvalidPacketV2(f"packet data bytes cannot exceed {PAYLOAD_BYTES_MAX} bytes, got {size}")
    paths.require_channel_id(packet.source_client, "source ID")
    paths.require_channel_id(packet.destination_client, "destination ID")
    if packet.sequence == 0:
        raise InvalidPacketV2("packet sequence cannot be 0")
    if packet.timeout_timestamp == 0:
        raise InvalidPacketV2("packet timeout timestamp cannot be 0")


def require_valid_payload(payload: Payload) -> None:
    """Ports are identifiers; version, encoding and value are there."""
    paths.require_port_id(payload.source_port, "source port ID")
    paths.require_port_id(payload.destination_port, "destination port ID")
    for what, text in (("version", payload.version), ("encoding", payload.encoding)):
        if not text.strip():
            raise InvalidPayload(f"payload {what} cannot be empty")
    if not payload.value:
        raise InvalidPayload("payload value cannot be empty")


def require_valid_ack(ack: channel_v2.Acknowledgement) -> None:
    """One acknowledgement that is not empty."""
    if len(ack.app_acknowledgements) != PAYLOADS:
        raise InvalidAcknowledgementV2(
            f"app acknowledgements must be of length one, got {len(ack.app_acknowledgements)}"
        )
    if not all(ack.app_acknowledgements):
        raise InvalidAcknowledgementV2("app acknowledgement cannot be empty")
