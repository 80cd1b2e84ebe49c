"""ICS-04: the four steps that open a channel and the two that close it."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_wire.protos import channel, channel_tx, connection
from ibc_core import events, paths, versions
from ibc_core.client import Clients, Verifier, proof_of
from ibc_core.errors import (
    InvalidChannelCounterparty,
    InvalidChannelIdentifier,
    InvalidChannelOrdering,
    InvalidChannelState,
    InvalidConnectionState,
    InvalidConnectionVersion,
    InvalidRoute,
    TooManyConnectionHops,
)
from ibc_core.host import Context
from ibc_core.light_client import Proof
from ibc_core.router import Handshake, IbcModule, Router
from ibc_core.state import (
    channel_end,
    encode,
    get_channel,
    get_connection,
    set_channel,
    take_sequence,
    write_sequence,
)

INIT, TRYOPEN, OPEN, CLOSED = channel.STATE_INIT, channel.STATE_TRYOPEN, channel.STATE_OPEN, channel.STATE_CLOSED
UNORDERED, ORDERED = channel.ORDER_UNORDERED, channel.ORDER_ORDERED

End = channel.Channel


@dataclass(frozen=True, slots=True)
class Channels:
    """Handlers of the channel handshake in ibc.core.channel.v1.Msg."""

    clients: Clients
    router: Router

    def app(self, port_id: str) -> IbcModule:
        """Application on a port; raises InvalidRoute."""
        found = self.router.get(port_id)
        if found is None:
            raise InvalidRoute(f"route not found to portID: {port_id[:128]!r}")
        return found

    def open_init(self, ctx: Context, msg: channel_tx.MsgChannelOpenInit) -> channel_tx.MsgChannelOpenInitResponse:
        """A: propose a channel."""
        app = self.app(msg.port_id)
        hop = get_connection(ctx, msg.channel.connection_hops[0])
        _require_order(hop, msg.channel.ordering)
        self.clients.require_active(ctx, hop.client_id)
        channel_id = _new_id(ctx)
        version = app.on_chan_open_init(ctx, _handshake(msg.port_id, channel_id, msg.channel))
        _write_new(ctx, (msg.port_id, channel_id), msg.channel, version)
        return channel_tx.MsgChannelOpenInitResponse(channel_id=channel_id, version=version)

    def open_try(self, ctx: Context, msg: channel_tx.MsgChannelOpenTry) -> channel_tx.MsgChannelOpenTryResponse:
        """B: accept what A proposed, with proof of A's end."""
        app = self.app(msg.port_id)
        hop = _open_connection(ctx, msg.channel)
        _require_order(hop, msg.channel.ordering)
        theirs = channel_end(
            INIT,
            msg.channel.ordering,
            (msg.port_id, ""),
            ([hop.counterparty.connection_id], msg.counterparty_version),
        )
        other = msg.channel.counterparty
        self._verify(ctx, hop, proof_of(msg.proof_height, msg.proof_init), (other, theirs))
        channel_id = _new_id(ctx)
        handshake = _handshake(msg.port_id, channel_id, msg.channel, msg.counterparty_version)
        version = app.on_chan_open_try(ctx, handshake)
        _write_new(ctx, (msg.port_id, channel_id), msg.channel, version)
        return channel_tx.MsgChannelOpenTryResponse(version=version, channel_id=channel_id)

    def open_ack(self, ctx: Context, msg: channel_tx.MsgChannelOpenAck) -> channel_tx.MsgChannelOpenAckResponse:
        """A: open, with proof of B's end."""
        proof = proof_of(msg.proof_height, msg.proof_try)
        app = self.app(msg.port_id)
        end = get_channel(ctx, msg.port_id, msg.channel_id)
        _require_state(end, INIT)
        end.version = msg.counterparty_version
        end.counterparty.channel_id = msg.counterparty_channel_id
        self._verify_mirror(ctx, proof, (msg.port_id, msg.channel_id, end), TRYOPEN)
        end.state = OPEN
        set_channel(ctx, msg.port_id, msg.channel_id, end)
        events.channel_event(ctx, "channel_open_ack", (msg.port_id, msg.channel_id), end)
        app.on_chan_open_ack(ctx, _handshake(msg.port_id, msg.channel_id, end))
        return channel_tx.MsgChannelOpenAckResponse()

    def open_confirm(
        self, ctx: Context, msg: channel_tx.MsgChannelOpenConfirm
    ) -> channel_tx.MsgChannelOpenConfirmResponse:
        """B: open, with proof that A did."""
        proof = proof_of(msg.proof_height, msg.proof_ack)
        app = self.app(msg.port_id)
        end = get_channel(ctx, msg.port_id, msg.channel_id)
        _require_state(end, TRYOPEN)
        self._verify_mirror(ctx, proof, (msg.port_id, msg.channel_id, end), OPEN)
        end.state = OPEN
        set_channel(ctx, msg.port_id, msg.channel_id, end)
        events.channel_event(ctx, "channel_open_confirm", (msg.port_id, msg.channel_id), end)
        app.on_chan_open_confirm(ctx, msg.port_id, msg.channel_id)
        return channel_tx.MsgChannelOpenConfirmResponse()

    def close_init(self, ctx: Context, msg: channel_tx.MsgChannelCloseInit) -> channel_tx.MsgChannelCloseInitResponse:
        """Close this end; the application may refuse."""
        app = self.app(msg.port_id)
        end = get_channel(ctx, msg.port_id, msg.channel_id)
        _require_not_closed(end)
        hop = _open_connection(ctx, end)
        self.clients.require_active(ctx, hop.client_id)
        app.on_chan_close_init(ctx, msg.port_id, msg.channel_id)
        _close(ctx, "channel_close_init", (msg.port_id, msg.channel_id), end)
        return channel_tx.MsgChannelCloseInitResponse()

    def close_confirm(
        self, ctx: Context, msg: channel_tx.MsgChannelCloseConfirm
    ) -> channel_tx.MsgChannelCloseConfirmResponse:
        """Close this end, with proof that the other is closed."""
        proof = proof_of(msg.proof_height, msg.proof_init)
        app = self.app(msg.port_id)
        end = get_channel(ctx, msg.port_id, msg.channel_id)
        _require_not_closed(end)
        self._verify_mirror(ctx, proof, (msg.port_id, msg.channel_id, end), CLOSED)
        app.on_chan_close_confirm(ctx, msg.port_id, msg.channel_id)
        _close(ctx, "channel_close_confirm", (msg.port_id, msg.channel_id), end)
        return channel_tx.MsgChannelCloseConfirmResponse()

    def _verify_mirror(self, ctx: Context, proof: Proof, own: tuple[str, str, End], state: int) -> None:
        """Check that the counterparty's end is the mirror image of this one, in `state`."""
        port_id, channel_id, end = own
        hop = _open_connection(ctx, end)
        self._verify(ctx, hop, proof, (end.counterparty, mirror(hop, (port_id, channel_id), end, state)))

    def _verify(
        self,
        ctx: Context,
        hop: connection.ConnectionEnd,
        proof: Proof,
        theirs: tuple[channel.Counterparty, End],
    ) -> None:
        place, end = theirs
        path = paths.channel(place.port_id, place.channel_id)
        Verifier(self.clients, hop, proof).member(ctx, path, encode(end))


def mirror(hop: connection.ConnectionEnd, place: tuple[str, str], end: End, state: int) -> End:
    """What the counterparty has to hold when the end at `place` = (port, channel) is `end`."""
    return channel_end(state, end.ordering, place, ([hop.counterparty.connection_id], end.version))


def _new_id(ctx: Context) -> str:
    return f"channel-{take_sequence(ctx.ibc, paths.NEXT_CHANNEL_SEQUENCE)}"


def _write_new(ctx: Context, place: tuple[str, str], asked: End, version: str) -> None:
    port_id, channel_id = place
    other = (asked.counterparty.port_id, asked.counterparty.channel_id)
    end = channel_end(asked.state, asked.ordering, other, (list(asked.connection_hops), version))
    set_channel(ctx, port_id, channel_id, end)
    for key in (paths.next_sequence_send, paths.next_sequence_recv, paths.next_sequence_ack):
        write_sequence(ctx.ibc, key(port_id, channel_id), 1)
    step = "channel_open_init" if asked.state == INIT else "channel_open_try"
    events.channel_event(ctx, step, place, end)


def _close(ctx: Context, kind: str, place: tuple[str, str], end: End) -> None:
    end.state = CLOSED
    set_channel(ctx, *place, end)
    events.channel_event(ctx, kind, place, end)


def _handshake(port_id: str, channel_id: str, end: End, version: str | None = None) -> Handshake:
    return Handshake(
        port_id=port_id,
        channel_id=channel_id,
        ordering=end.ordering,
        connection_hops=tuple(end.connection_hops),
        counterparty_port_id=end.counterparty.port_id,
        counterparty_channel_id=end.counterparty.channel_id,
        version=end.version if version is None else version,
    )


def _open_connection(ctx: Context, end: End) -> connection.ConnectionEnd:
    hop = get_connection(ctx, end.connection_hops[0])
    if hop.state != connection.STATE_OPEN:
        raise InvalidConnectionState(f"connection state is not OPEN (got {connection.State.Name(hop.state)})")
    return hop


def _require_order(hop: connection.ConnectionEnd, ordering: int) -> None:
    if len(hop.versions) != 1:
        raise InvalidConnectionVersion(
            f"single version must be negotiated on connection before opening channel, got {len(hop.versions)}"
        )
    order = events.order_name(ordering)
    if not versions.supports_order(hop.versions[0], order):
        raise InvalidConnectionVersion(f"connection version does not support channel ordering {order}")


def check_init(msg: channel_tx.MsgChannelOpenInit) -> None:
    """`MsgChannelOpenInit.ValidateBasic`."""
    paths.require_port_id(msg.port_id)
    if msg.channel.state == INIT and msg.channel.counterparty.channel_id:
        raise InvalidChannelCounterparty("counterparty channel identifier must be empty")
    _require_channel(msg.port_id, msg.channel, INIT)


def check_ack(msg: channel_tx.MsgChannelOpenAck) -> None:
    """`MsgChannelOpenAck.ValidateBasic`."""
    _require_own(msg.port_id, msg.channel_id)
    paths.require_channel_id(msg.counterparty_channel_id, "counterparty channel ID")
    proof_of(msg.proof_height, msg.proof_try)


def check_confirm(msg: channel_tx.MsgChannelOpenConfirm) -> None:
    """`MsgChannelOpenConfirm.ValidateBasic`."""
    _require_own(msg.port_id, msg.channel_id)
    proof_of(msg.proof_height, msg.proof_ack)


def check_close_init(msg: channel_tx.MsgChannelCloseInit) -> None:
    """`MsgChannelCloseInit.ValidateBasic`."""
    _require_own(msg.port_id, msg.channel_id)


def check_close_confirm(msg: channel_tx.MsgChannelCloseConfirm) -> None:
    """`MsgChannelCloseConfirm.ValidateBasic`."""
    _require_own(msg.port_id, msg.channel_id)
    proof_of(msg.proof_height, msg.proof_init)


def check_try(msg: channel_tx.MsgChannelOpenTry) -> None:
    """`MsgChannelOpenTry.ValidateBasic`."""
    if msg.previous_channel_id:
        raise InvalidChannelIdentifier("previous channel identifier must be empty: crossing hellos are not supported")
    _require_channel(msg.port_id, msg.channel, TRYOPEN)
    paths.require_channel_id(msg.channel.counterparty.channel_id, "counterparty channel ID")
    proof_of(msg.proof_height, msg.proof_init)


def _require_channel(port_id: str, end: End, state: int) -> None:
    paths.require_port_id(port_id)
    if end.state != state:
        raise InvalidChannelState(f"channel state must be {state}, got {end.state}")
    if end.ordering not in {UNORDERED, ORDERED}:
        raise InvalidChannelOrdering(f"expected ORDER_UNORDERED or ORDER_ORDERED, got {end.ordering}")
    if len(end.connection_hops) != 1:
        raise TooManyConnectionHops(f"expected one connection hop, got {len(end.connection_hops)}")
    paths.require_connection_id(end.connection_hops[0], "connection hop ID")
    paths.require_port_id(end.counterparty.port_id, "counterparty port ID")


def _require_own(port_id: str, channel_id: str) -> None:
    paths.require_port_id(port_id)
    if paths.number(channel_id, "channel") is None:
        raise InvalidChannelIdentifier(f"expected channel-N, got {channel_id[:80]!r}")


def _require_state(end: End, state: channel.State.ValueType) -> None:
    if end.state != state:
        name = channel.State.Name
        raise InvalidChannelState(f"channel state should be {name(state)} (got {name(end.state)})")


def _require_not_closed(end: End) -> None:
    if end.state == CLOSED:
        raise InvalidChannelState("channel is already CLOSED")
