"""What a chain did with packets, and which chain lies behind each of its channels."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bsmg.audit.record import EventLike, of_kind, values_of
from cosmos_wire.protos import Any, channel, client_tx, fabric_client, tendermint_client

End = tuple[str, str]  # port, channel
PacketKey = tuple[str, str, int]  # port, channel, sequence of the sender
CLIENT_STATES: Mapping[str, type[tendermint_client.ClientState | fabric_client.ClientState]] = {
    f"/{kind.DESCRIPTOR.full_name}": kind for kind in (tendermint_client.ClientState, fabric_client.ClientState)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A packet that was received, with the acknowledgement that was written."""

    packet: channel.Packet
    ack: bytes
    time_ns: int  # of the block


@dataclass(frozen=True, slots=True, kw_only=True)
class Rests:
    """What an accepted message rests on: `value` at `path` of the other chain, None for absence, and its proof."""

    end: End  # own
    path: bytes
    value: bytes | None
    height: int
    proof: bytes


@dataclass(slots=True, kw_only=True)
class PacketBook:
    """One chain's packets and channels."""

    sent: dict[PacketKey, channel.Packet] = field(default_factory=dict)
    received: dict[tuple[End, PacketKey], Arrival] = field(default_factory=dict)  # by own end
    acknowledged: dict[PacketKey, bytes] = field(default_factory=dict)
    answered_ns: dict[PacketKey, int] = field(default_factory=dict)  # block time of the acknowledgement
    timed_out: dict[PacketKey, None] = field(default_factory=dict)
    clients: dict[str, str] = field(default_factory=dict)  # client -> chain id
    headers: list[tuple[str, str, Any]] = field(default_factory=list)  # client, place, message: those that it took
    rests: list[tuple[str, Rests]] = field(default_factory=list)  # place, proof: of messages that it accepted
    connections: dict[str, str] = field(default_factory=dict)  # connection -> client
    channels: dict[End, tuple[str, End]] = field(default_factory=dict)  # -> connection, end over there

    def chain_behind(self, end: End) -> str:
        """Chain id at the other end of a channel, empty when unknown."""
        connection = self.channels.get(end, ("", ("", "")))[0]
        return self.clients.get(self.connections.get(connection, ""), "")

    def handshake(self, events: Iterable[EventLike]) -> None:
        """Learn connections and channels from the events of their steps."""
        for event in events:
            values = values_of(event)
            if event.type.startswith("connection_open_"):
                self.connections[values["connection_id"]] = values["client_id"]
            elif event.type.startswith("channel_open_"):
                there = values["counterparty_port_id"], values["counterparty_channel_id"]
                self.channels[values["port_id"], values["channel_id"]] = values["connection_id"], there

    def new_client(self, msg: client_tx.MsgCreateClient, events: Iterable[EventLike]) -> None:
        """Learn which chain a client follows."""
        kind = CLIENT_STATES.get(msg.client_state.type_url)
        if kind is None:
            return
        state = kind.FromString(msg.client_state.value)
        for values in of_kind(events, "create_client"):
            self.clients[values["client_id"]] = state.chain_id


def key_of(packet: channel.Packet) -> PacketKey:
    """How a packet is named by its sender."""
    return packet.source_port, packet.source_channel, packet.sequence


def packet_of(values: Mapping[str, str]) -> channel.Packet:
    """The packet of a `send_packet` or `write_acknowledgement` event."""
    revision, _, height = values["packet_timeout_height"].partition("-")
    made = channel.Packet(
        sequence=int(values["packet_sequence"]),
        source_port=values["packet_src_port"],
        source_channel=values["packet_src_channel"],
        destination_port=values["packet_dst_port"],
        destination_channel=values["packet_dst_channel"],
        data=bytes.fromhex(values["packet_data_hex"]),
        timeout_timestamp=int(values["packet_timeout_timestamp"]),
    )
    made.timeout_height.revision_number, made.timeout_height.revision_height = int(revision), int(height)
    return made


def written_ack(events: Iterable[EventLike], packet: channel.Packet) -> bytes:
    """The acknowledgement that a message's events say was written for a packet; empty when none."""
    for values in of_kind(events, "write_acknowledgement"):
        if key_of(packet_of(values)) == key_of(packet):
            return bytes.fromhex(values["packet_ack_hex"])
    return b""


def result_of(ack: bytes) -> bytes | None:
    """Result bytes of an acknowledgement, None for an error or for what is no acknowledgement."""
    try:
        doc = json.loads(ack)
        return b64decode(doc["result"], validate=True) if isinstance(doc, dict) and "result" in doc else None
    except (ValueError, TypeError):
        return None
