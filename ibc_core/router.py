"""ICS-26: what an application on a port offers to IBC core, and which application has which port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cosmos_wire.protos import channel
from ibc_core.host import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What an application may judge of a channel that is being opened."""

    port_id: str
    channel_id: str
    ordering: int  # channel.ORDER_*
    connection_hops: tuple[str, ...]
    counterparty_port_id: str
    counterparty_channel_id: str  # empty at init
    version: str  # init: what the opener proposes; try and ack: what the counterparty says


class IbcModule(Protocol):
    """An application. It refuses by raising a ChainError.

    In `on_recv_packet` a ChainError becomes an error acknowledgement: the core rolls its writes back, prefixes its
    events (`ibccallbackerror-`) and writes `{"error":"ABCI code: N: error handling packet: see events for details"}`.
    """

    def on_chan_open_init(self, ctx: Context, handshake: Handshake) -> str:
        """Return the version to propose."""

    def on_chan_open_try(self, ctx: Context, handshake: Handshake) -> str:
        """Return the version of this end."""

    def on_chan_open_ack(self, ctx: Context, handshake: Handshake) -> None:
        """Judge the counterparty's version."""

    def on_chan_open_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None:
        """Learn that the channel is open."""

    def on_chan_close_init(self, ctx: Context, port_id: str, channel_id: str) -> None:
        """Agree to close, or refuse."""

    def on_chan_close_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None:
        """Learn that the counterparty closed."""

    def on_recv_packet(self, ctx: Context, packet: channel.Packet, relayer: str) -> bytes:
        """Act and return the acknowledgement."""

    def on_acknowledge_packet(self, ctx: Context, packet: channel.Packet, ack: bytes) -> None:
        """Learn the outcome of a packet that this end sent."""

    def on_timeout_packet(self, ctx: Context, packet: channel.Packet) -> None:
        """Learn that a packet that this end sent was never received."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A packet that an application wants sent. A zero timeout means none of that kind; one of the two is needed."""

    port_id: str
    channel_id: str
    data: bytes
    timeout_ns: int
    timeout_revision: int = 0
    timeout_height: int = 0


class PacketSender(Protocol):
    """The part of ICS-04 that applications call; `ibc_core.core.IbcCore` is one."""

    def send_packet(self, ctx: Context, packet: Outgoing) -> int:
        """Commit the packet and return its sequence; raises when channel or client is not open and active."""


Router = Mapping[str, IbcModule]  # by port id
