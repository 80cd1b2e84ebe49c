"""Where v2 keeps its packets in the `ibc` store: client identifier, a byte of kind, sequence as 8 bytes big-endian."""

from __future__ import annotations

COMMITMENT, RECEIPT, ACKNOWLEDGEMENT = b"\x01", b"\x02", b"\x03"


def commitment(client_id: str, sequence: int) -> bytes:
    """Commitment of a packet that the client's chain sent."""
    return _path(client_id, COMMITMENT, sequence)


def receipt(client_id: str, sequence: int) -> bytes:
    """Present once the client's chain has received the packet."""
    return _path(client_id, RECEIPT, sequence)


def acknowledgement(client_id: str, sequence: int) -> bytes:
    """Commitment of the acknowledgement that the client's chain wrote."""
    return _path(client_id, ACKNOWLEDGEMENT, sequence)


def _path(client_id: str, kind: bytes, sequence: int) -> bytes:
    return client_id.encode() + kind + sequence.to_bytes(8, "big")
