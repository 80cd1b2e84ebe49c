"""v2's packet events to the planner's packets, and the payloads inside a packet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import DecodeError, channel_v2, transfer_packet
from ibc_core.errors import AbiDecoding
from ibc_core.light_client import Height
from ibc_core.transfer import abi
from ibc_core.transfer.encoding import ABI, PROTOBUF
from ibc_core.transfer.ledger import PORT as TRANSFER_PORT
from ibc_relayer.plan import End, Packet

SOURCE_CLIENT, DESTINATION_CLIENT = "packet_source_client", "packet_dest_client"
PACKET_HEX, ACK_HEX = "encoded_packet_hex", "encoded_acknowledgement_hex"
NS = 1_000_000_000


def is_v2(known: Mapping[str, str]) -> bool:
    """Whether the attributes of a packet event are those of v2; v1's name ports and channels."""
    return SOURCE_CLIENT in known


def client_end(client_id: str) -> End:
    """The end of v2 that a client is."""
    return End("", client_id)


def packet(known: Mapping[str, str]) -> Packet:
    """The packet of an event; raises KeyError, ValueError, ToolError."""
    return planned(bytes.fromhex(known[PACKET_HEX]))


def planned(data: bytes) -> Packet:
    """An encoded packet as the planner knows packets; its limit is in whole seconds (ibc-go compares seconds)."""
    found = decoded(data)
    return Packet(
        sequence=found.sequence,
        source=client_end(found.source_client),
        destination=client_end(found.destination_client),
        data=data,
        timeout_height=Height(0, 0),
        timeout_ns=found.timeout_timestamp * NS,
    )


def decoded(data: bytes) -> channel_v2.Packet:
    """The protobuf message; raises ToolError."""
    try:
        return channel_v2.Packet.FromString(data)
    except DecodeError as error:
        raise ToolError(f"packet: expected an ibc.core.channel.v2.Packet, got {len(data)} other bytes") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a filter asks of one payload: where it comes from and goes to, how long an ICS-20 text field is."""

    ends: tuple[End, End]
    lengths: tuple[int, int] = (0, 0)  # bytes of memo and receiver
    json: bytes = b""  # ICS-20 data in JSON: to be measured as v1's


def parts(item: Packet) -> tuple[Part, ...]:
    """Every payload of a packet."""
    return tuple(_part(item, payload) for payload in decoded(item.data).payloads)


def _part(item: Packet, payload: channel_v2.Payload) -> Part:
    ends = (End(payload.source_port, item.source.channel), End(payload.destination_port, item.destination.channel))
    if TRANSFER_PORT not in (payload.source_port, payload.destination_port):
        return Part(ends=ends)
    if payload.encoding == PROTOBUF:
        return _of_protobuf(ends, payload.value)
    if payload.encoding == ABI:
        return Part(ends=ends, lengths=_abi_lengths(payload.value))
    return Part(ends=ends, json=payload.value)


def _of_protobuf(ends: tuple[End, End], data: bytes) -> Part:
    try:
        found = transfer_packet.FungibleTokenPacketData.FromString(data)
    except DecodeError:
        return Part(ends=ends)  # the chain will judge
    return Part(ends=ends, lengths=(len(found.memo.encode()), len(found.receiver.encode())))


def _abi_lengths(data: bytes) -> tuple[int, int]:
    try:
        found = abi.decode(data)
    except AbiDecoding:
        return 0, 0  # the chain will judge
    return len(found["memo"].encode()), len(found["receiver"].encode())
