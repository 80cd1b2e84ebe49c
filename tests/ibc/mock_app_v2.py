"""An application of IBC v2 that does what a test tells it to."""

# ruff: noqa: ARG002  (the shape of IbcModuleV2)
from __future__ import annotations

from collections.abc import Callable

from cosmos_wire.errors import Unauthorized
from cosmos_wire.protos import channel_v2
from ibc_core import acknowledgement
from ibc_core.host import Context, event
from ibc_core.v2.router import Envelope

Hook = Callable[[Context, Envelope], None]


def nothing(_ctx: Context, _envelope: Envelope) -> None:
    """Default of the hooks."""


class MockAppV2:
    """Writes what it received under `mock/received` in the `app` store, and runs hooks."""

    def __init__(self) -> None:
        self.refuse = False  # every callback does
        self.ack: bytes | None = acknowledgement.success()
        self.hook: Hook = nothing  # of whatever is called
        self.calls: list[str] = []
        self.envelopes: list[Envelope] = []

    def _judge(self, ctx: Context, what: str, envelope: Envelope) -> None:
        self.calls.append(f"{what} {envelope.sequence}")
        self.envelopes.append(envelope)
        self.hook(ctx, envelope)
        if self.refuse:
            raise Unauthorized(what)

    def on_send_packet(self, ctx: Context, envelope: Envelope, payload: channel_v2.Payload) -> None:
        ctx.app.set(b"mock/sent", payload.value)
        self._judge(ctx, "send", envelope)

    def on_recv_packet(self, ctx: Context, envelope: Envelope, payload: channel_v2.Payload) -> bytes | None:
        ctx.app.set(b"mock/received", payload.value)
        ctx.events.emit(event("mock_recv", sequence=envelope.sequence))
        payload.value = b"changed by the application"
        self._judge(ctx, "recv", envelope)
        return self.ack

    def on_acknowledge_packet(self, ctx: Context, envelope: Envelope, payload: channel_v2.Payload, ack: bytes) -> None:
        self._judge(ctx, f"acknowledged {ack.hex()}", envelope)

    def on_timeout_packet(self, ctx: Context, envelope: Envelope, payload: channel_v2.Payload) -> None:
        self._judge(ctx, "timed out", envelope)
