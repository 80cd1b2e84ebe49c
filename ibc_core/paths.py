"""ICS-24: where things lie in the `ibc` store, and what an identifier looks like."""

from __future__ import annotations

import re

from ibc_core.errors import InvalidIdentifier, InvalidPath
from ibc_core.light_client import Height

NEXT_CLIENT_SEQUENCE = b"nextClientSequence"
NEXT_CONNECTION_SEQUENCE = b"nextConnectionSequence"
NEXT_CHANNEL_SEQUENCE = b"nextChannelSequence"
CLIENT_PARAMS = b"clientParams"
CONNECTION_PARAMS = b"connectionParams"
CLIENTS = b"clients/"
CONNECTIONS = b"connections/"
CHANNEL_ENDS = b"channelEnds/"

SEQUENCE_MAX = 2**64 - 1
_IDENTIFIER = re.compile(r"[a-zA-Z0-9._+\-#\[\]<>]+")
_CLIENT_ID = re.compile(r"([0-9a-zA-Z_]+(?:[0-9a-zA-Z_-]+[0-9a-zA-Z_])?)-([0-9]{1,20})")
_NUMBERED = re.compile(r"(channel|connection)-([0-9]{1,20})")


def client(client_id: str) -> bytes:
    """Everything of one client lies below this."""
    return CLIENTS + client_id.encode() + b"/"


def client_state(client_id: str) -> bytes:
    """Client state, as Any."""
    return client(client_id) + b"clientState"


def consensus_states(client_id: str) -> bytes:
    """Prefix of a client's consensus states; a light client may keep metadata below them."""
    return client(client_id) + b"consensusStates/"


def consensus_state(client_id: str, height: Height) -> bytes:
    """Consensus state, as Any."""
    return consensus_states(client_id) + str(height).encode()


def client_connections(client_id: str) -> bytes:
    """Connections of a client, as ClientPaths."""
    return client(client_id) + b"connections"


def client_creator(client_id: str) -> bytes:
    """Address bytes of who created the client (ibc-go v10)."""
    return client(client_id) + b"creator"


def connection(connection_id: str) -> bytes:
    """ConnectionEnd."""
    return CONNECTIONS + connection_id.encode()


def _channel_path(port_id: str, channel_id: str) -> bytes:
    return f"ports/{port_id}/channels/{channel_id}".encode()


def channel(port_id: str, channel_id: str) -> bytes:
    """Channel."""
    return CHANNEL_ENDS + _channel_path(port_id, channel_id)


def next_sequence_send(port_id: str, channel_id: str) -> bytes:
    """8 bytes, big-endian."""
    return b"nextSequenceSend/" + _channel_path(port_id, channel_id)


def next_sequence_recv(port_id: str, channel_id: str) -> bytes:
    """8 bytes, big-endian."""
    return b"nextSequenceRecv/" + _channel_path(port_id, channel_id)


def next_sequence_ack(port_id: str, channel_id: str) -> bytes:
    """8 bytes, big-endian."""
    return b"nextSequenceAck/" + _channel_path(port_id, channel_id)


def commitments(port_id: str, channel_id: str) -> bytes:
    """Prefix of the commitments of packets that this end sent."""
    return b"commitments/" + _channel_path(port_id, channel_id) + b"/sequences/"


def commitment(port_id: str, channel_id: str, sequence: int) -> bytes:
    """32 bytes while the packet is neither acknowledged nor timed out."""
    return commitments(port_id, channel_id) + str(sequence).encode()


def acknowledgements(port_id: str, channel_id: str) -> bytes:
    """Prefix of the acknowledgements of packets that this end received."""
    return b"acks/" + _channel_path(port_id, channel_id) + b"/sequences/"


def acknowledgement(port_id: str, channel_id: str, sequence: int) -> bytes:
    """SHA-256 of the acknowledgement."""
    return acknowledgements(port_id, channel_id) + str(sequence).encode()


def receipt(port_id: str, channel_id: str, sequence: int) -> bytes:
    """One byte 0x01 when an unordered packet was received."""
    return b"receipts/" + _channel_path(port_id, channel_id) + f"/sequences/{sequence}".encode()


def parse_channel(key: bytes) -> tuple[str, str]:
    """(port, channel) of a key below `channelEnds/`, which may be cut off already."""
    parts = key.removeprefix(CHANNEL_ENDS).decode().split("/")
    if len(parts) != 4 or parts[0] != "ports" or parts[2] != "channels":
        raise InvalidPath(f"expected ports/P/channels/C, got {key!r}")
    return parts[1], parts[3]


def parse_height(text: str) -> Height:
    """`R-H`."""
    revision, dash, height = text.partition("-")
    if not (dash and revision.isascii() and revision.isdecimal() and height.isascii() and height.isdecimal()):
        raise InvalidPath(f"expected a height R-H, got {text!r}")
    return Height(int(revision), int(height))


def require_client_id(text: str, what: str = "client ID") -> None:
    """4..64 characters."""
    _require(text, what, (4, 64))


def require_connection_id(text: str, what: str = "connection ID") -> None:
    """10..64 characters."""
    _require(text, what, (10, 64))


def require_channel_id(text: str, what: str = "channel ID") -> None:
    """8..64 characters."""
    _require(text, what, (8, 64))


def require_port_id(text: str, what: str = "port ID") -> None:
    """2..128 characters."""
    _require(text, what, (2, 128))


def _require(text: str, what: str, length: tuple[int, int]) -> None:
    low, high = length
    if not low <= len(text) <= high:
        raise InvalidIdentifier(f"invalid {what}: {text[:200]!r} has {len(text)} characters, expected {low}-{high}")
    if not _IDENTIFIER.fullmatch(text):
        raise InvalidIdentifier(f"invalid {what}: {text!r} may hold alphanumeric characters and . _ + - # [ ] < > only")


def client_type(client_id: str) -> str | None:
    """Type of a generated client identifier, `07-tendermint` of `07-tendermint-3`; None when it is no such."""
    found = _CLIENT_ID.fullmatch(client_id)
    return found[1] if found and int(found[2]) <= SEQUENCE_MAX else None


def number(identifier: str, kind: str) -> int | None:
    """N of `channel-N` or `connection-N`; None when it has another form."""
    found = _NUMBERED.fullmatch(identifier)
    if found is None or found[1] != kind or int(found[2]) > SEQUENCE_MAX:
        return None
    return int(found[2])
