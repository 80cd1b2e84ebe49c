"""ICS-26 v2: what an application on a port offers for payloads, and which application has which port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cosmos_wire.protos import channel_v2, channel_v2_tx
from ibc_core.host import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What an application may know of the packet around its payload, and who brought it (bech32)."""

    source_client: str
    destination_client: str
    sequence: int
    signer: str


class IbcModuleV2(Protocol):
    """An application. It refuses by raising a ChainError.

    In `on_recv_packet` a ChainError is ibc-go's PACKET_STATUS_FAILURE: the core rolls the application's writes back,
    prefixes its events (`ibccallbackerror-`) and acknowledges with the sentinel of `ibc_core.v2.packet.ERROR_ACK`.
    """

    def on_send_packet(self, ctx: Context, envelope: Envelope, payload: channel_v2.Payload) -> None:
        """Agree that `envelope.signer` sends this, and take what it costs him; or refuse."""

    def on_recv_packet(self, ctx: Context, envelope: Envelope, payload: channel_v2.Payload) -> bytes | None:
        """Act and return the acknowledgement; None when it comes later, by `CoreV2.write_acknowledgement`."""

    def on_acknowledge_packet(self, ctx: Context, envelope: Envelope, payload: channel_v2.Payload, ack: bytes) -> None:
        """Learn the outcome of what this end sent; `ERROR_ACK` when the other end refused."""

    def on_timeout_packet(self, ctx: Context, envelope: Envelope, payload: channel_v2.Payload) -> None:
        """Learn that what this end sent was never received."""


class PacketSenderV2(Protocol):
    """How an application has a packet sent; `ibc_core.core.IbcCore` is one."""

    def send_packet_v2(self, ctx: Context, msg: channel_v2_tx.MsgSendPacket) -> int:
        """Commit the packet, ask the applications of its payloads (`on_send_packet`), return the sequence."""


RouterV2 = Mapping[str, IbcModuleV2]  # by port id
