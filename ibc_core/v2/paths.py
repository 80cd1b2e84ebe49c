"""Where IBC v2 keeps its state in the `ibc` store (ICS-24 v2).

Packet keys begin with a client identifier that this chain generated, `07-tendermint-0`, and go on with a byte below
0x20 or a letter; every key of v1 goes on with text that has a slash or is one of a few words. So the two never meet.
"""

from __future__ import annotations

from ibc_core import paths

COMMITMENT, RECEIPT, ACKNOWLEDGEMENT = b"\x01", b"\x02", b"\x03"
ASYNC = b"async_packet"


def counterparty(client_id: str) -> bytes:
    """CounterpartyInfo."""
    return paths.client(client_id) + b"counterparty"


def config(client_id: str) -> bytes:
    """Config: who may relay."""
    return paths.client(client_id) + b"config"


def next_sequence_send(client_id: str) -> bytes:
    """8 bytes, big-endian."""
    return b"nextSequenceSend/" + client_id.encode()


def commitments(client_id: str) -> bytes:
    """Prefix of the commitments of packets that left through a client."""
    return client_id.encode() + COMMITMENT


def acknowledgements(client_id: str) -> bytes:
    """Prefix of the acknowledgements of packets that came in through a client."""
    return client_id.encode() + ACKNOWLEDGEMENT


def commitment(client_id: str, sequence: int) -> bytes:
    """32 bytes while the packet is neither acknowledged nor timed out."""
    return commitments(client_id) + sequence.to_bytes(8, "big")


def receipt(client_id: str, sequence: int) -> bytes:
    """One byte 0x02 when the packet was received."""
    return client_id.encode() + RECEIPT + sequence.to_bytes(8, "big")


def acknowledgement(client_id: str, sequence: int) -> bytes:
    """32 bytes: the commitment of the acknowledgement."""
    return acknowledgements(client_id) + sequence.to_bytes(8, "big")


def async_packet(client_id: str, sequence: int) -> bytes:
    """The packet itself while the application has not answered yet."""
    return client_id.encode() + ASYNC + sequence.to_bytes(8, "big")
