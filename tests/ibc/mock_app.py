"""An application that does what a test tells it to."""

# ruff: noqa: ARG002  (the shape of IbcModule)
from __future__ import annotations

from collections.abc import Callable

from cosmos_wire.errors import Unauthorized
from cosmos_wire.protos import channel
from ibc_core import acknowledgement
from ibc_core.core import IbcCore
from ibc_core.host import Context, event
from ibc_core.router import Handshake

Hook = Callable[[Context, channel.Packet], None]


def nothing(_ctx: Context, _packet: channel.Packet) -> None:
    """Default of the hooks."""


class MockApp:
    """Counts what it is called with under `mock/...` in the `app` store, and runs hooks."""

    def __init__(self, core: IbcCore) -> None:
        self.core = core
        self.refuse = False  # every callback that may refuse does
        self.ack = acknowledgement.success()
        self.on_recv: Hook = nothing
        self.on_ack: Hook = nothing
        self.on_timeout: Hook = nothing
        self.handshakes: list[Handshake] = []
        self.calls: list[str] = []

    def _judge(self, what: str, handshake: Handshake | None = None) -> None:
        self.calls.append(what)
        if handshake is not None:
            self.handshakes.append(handshake)
        if self.refuse:
            raise Unauthorized(what)

    def on_chan_open_init(self, ctx: Context, handshake: Handshake) -> str:
        self._judge("init", handshake)
        return handshake.version or "mock-1"

    def on_chan_open_try(self, ctx: Context, handshake: Handshake) -> str:
        self._judge("try", handshake)
        return "mock-1"

    def on_chan_open_ack(self, ctx: Context, handshake: Handshake) -> None:
        self._judge("ack", handshake)

    def on_chan_open_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None:
        self._judge("confirm")

    def on_chan_close_init(self, ctx: Context, port_id: str, channel_id: str) -> None:
        self._judge("close init")

    def on_chan_close_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None:
        self._judge("close confirm")

    def on_recv_packet(self, ctx: Context, packet: channel.Packet, relayer: str) -> bytes:
        ctx.app.set(b"mock/received", packet.data)
        ctx.events.emit(event("mock_recv", sequence=packet.sequence))
        self.on_recv(ctx, packet)
        self._judge("recv")
        return self.ack

    def on_acknowledge_packet(self, ctx: Context, packet: channel.Packet, ack: bytes) -> None:
        self.on_ack(ctx, packet)
        self._judge(f"acknowledged {packet.sequence} {ack.decode()}")

    def on_timeout_packet(self, ctx: Context, packet: channel.Packet) -> None:
        self.on_timeout(ctx, packet)
        self._judge(f"timed out {packet.sequence}")
