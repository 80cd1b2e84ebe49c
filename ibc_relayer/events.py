"""IBC events, as ibc-go names them, to typed facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cosmos_wire.errors import BsmgError, ToolError
from ibc_core.host import Event
from ibc_core.light_client import Height
from ibc_core.paths import parse_height
from ibc_relayer.plan import End, Packet
from ibc_relayer.v2 import packet as v2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """send_packet."""

    packet: Packet


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """recv_packet."""

    packet: Packet


@dataclass(frozen=True, slots=True, kw_only=True)
class Acked:
    """write_acknowledgement: this chain received the packet and answered."""

    packet: Packet
    ack: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """acknowledge_packet or timeout_packet: the sender's commitment is gone."""

    source: End
    destination: End
    sequence: int
    timed_out: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """channel_open_ack or channel_open_confirm."""

    end: End


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """channel_close_init, channel_close_confirm, or the closing of an ordered channel by a timeout."""

    end: End


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientUpdated:
    """update_client with the header that was given (empty when the chain does not say)."""

    client_id: str
    height: Height
    header: bytes


Fact = Sent | Received | Acked | Finished | Opened | Closed | ClientUpdated
PACKET_EVENTS = ("send_packet", "recv_packet", "write_acknowledgement", "acknowledge_packet", "timeout_packet")


def facts(events: Iterable[Event]) -> Iterator[Fact]:
    """Facts in the order of the events; an IBC event without its attributes is an error that names it."""
    for item in events:
        known = dict(item.attributes)
        try:
            fact = _fact(item.type, known)
        except (KeyError, ValueError, BsmgError) as error:
            raise ToolError(
                f"event {item.type}: expected ibc-go's attributes, {type(error).__name__}: {error}"
            ) from error
        if fact is not None:
            yield fact


def _fact(kind: str, known: dict[str, str]) -> Fact | None:
    if kind in PACKET_EVENTS:
        return _packet_fact(kind, known)
    if kind == "update_client":
        if not known.get("consensus_height"):
            return None  # a kind of client without consensus states
        header = bytes.fromhex(known.get("header", ""))
        return ClientUpdated(
            client_id=known["client_id"], height=parse_height(known["consensus_height"]), header=header
        )
    if kind in ("channel_open_ack", "channel_open_confirm"):
        return Opened(end=End(known["port_id"], known["channel_id"]))
    if kind in ("channel_close_init", "channel_close_confirm", "channel_close"):
        return Closed(end=End(known["port_id"], known["channel_id"]))
    return None


def _packet_fact(kind: str, known: dict[str, str]) -> Fact:
    if v2.is_v2(known):
        return _fact_of(kind, v2.packet(known), known.get(v2.ACK_HEX, ""))
    source = End(known["packet_src_port"], known["packet_src_channel"])
    destination = End(known["packet_dst_port"], known["packet_dst_channel"])
    sequence = int(known["packet_sequence"])
    if kind in ("acknowledge_packet", "timeout_packet"):
        timed_out = kind == "timeout_packet"
        return Finished(source=source, destination=destination, sequence=sequence, timed_out=timed_out)
    packet = Packet(
        sequence=sequence,
        source=source,
        destination=destination,
        data=packet_data(known),
        timeout_height=parse_height(known["packet_timeout_height"]),
        timeout_ns=int(known["packet_timeout_timestamp"]),
    )
    return _fact_of(kind, packet, known.get("packet_ack_hex", ""))


def _fact_of(kind: str, packet: Packet, ack_hex: str) -> Fact:
    if kind == "send_packet":
        return Sent(packet=packet)
    if kind == "recv_packet":
        return Received(packet=packet)
    if kind == "write_acknowledgement":
        if not ack_hex:
            raise ToolError(f"acknowledgement of #{packet.sequence}: expected its bytes in hex, got none")
        return Acked(packet=packet, ack=bytes.fromhex(ack_hex))
    timed_out = kind == "timeout_packet"
    return Finished(source=packet.source, destination=packet.destination, sequence=packet.sequence, timed_out=timed_out)


def packet_data(known: dict[str, str]) -> bytes:
    """Packet data: `packet_data_hex`, or the text form that older chains give alone."""
    if "packet_data_hex" in known:
        return bytes.fromhex(known["packet_data_hex"])
    return known["packet_data"].encode()
