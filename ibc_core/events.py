"""Events of ICS-02, 03 and 04 with ibc-go's names, attribute keys and order; relayers read nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cosmos_wire.protos import channel, connection
from ibc_core.host import Context, Event, event
from ibc_core.light_client import Height

ERROR_PREFIX = "ibccallbackerror-"  # of the events that a failed receive leaves behind (Huckleberry)
CLIENT, CONNECTION, CHANNEL = "ibc_client", "ibc_connection", "ibc_channel"


def emit(ctx: Context, category: str, item: Event) -> None:
    """The event and, beside it, the `message` event that relayers subscribe to."""
    ctx.events.emit(item)
    ctx.events.emit(event("message", module=category))


def client_event(ctx: Context, kind: str, client_id: str, client_type: str, height: Height) -> None:
    """`create_client` and its like."""
    emit(
        ctx,
        CLIENT,
        event(kind, client_id=client_id, client_type=client_type, consensus_height=str(height)),
    )


def update_client(ctx: Context, client: tuple[str, str], heights: tuple[Height, ...], header: bytes) -> None:
    """`client` is (id, type), `header` the bytes of the Any: without them Hermes watches no misbehaviour."""
    client_id, client_type = client
    emit(
        ctx,
        CLIENT,
        event(
            "update_client",
            client_id=client_id,
            client_type=client_type,
            consensus_height=str(heights[0]) if heights else "",
            consensus_heights=",".join(str(height) for height in heights),
            header=header.hex(),
        ),
    )


def misbehaviour(ctx: Context, client_id: str, client_type: str, height: Height) -> None:
    """A client was frozen."""
    client_event(ctx, "client_misbehaviour", client_id, client_type, height)


def recover_client(ctx: Context, client_id: str, client_type: str) -> None:
    """A client goes on from another one's state."""
    emit(ctx, CLIENT, event("recover_client", subject_client_id=client_id, client_type=client_type))


def connection_event(ctx: Context, step: str, connection_id: str, end: connection.ConnectionEnd) -> None:
    """`connection_open_init` and the other steps."""
    emit(
        ctx,
        CONNECTION,
        event(
            f"connection_open_{step}",
            connection_id=connection_id,
            client_id=end.client_id,
            counterparty_client_id=end.counterparty.client_id,
            counterparty_connection_id=end.counterparty.connection_id,
        ),
    )


def channel_event(ctx: Context, kind: str, place: tuple[str, str], end: channel.Channel) -> None:
    """`channel_open_*`, `channel_close_*` and `channel_close`; `place` is (port, channel)."""
    port_id, channel_id = place
    attributes = {
        "port_id": port_id,
        "channel_id": channel_id,
        "counterparty_port_id": end.counterparty.port_id,
        "counterparty_channel_id": end.counterparty.channel_id,
        "connection_id": end.connection_hops[0],
    }
    if kind in {"channel_open_init", "channel_open_try"}:
        attributes["version"] = end.version
    if kind == "channel_close":
        attributes["channel_ordering"] = order_name(end.ordering)
    emit(ctx, CHANNEL, event(kind, **attributes))


def order_name(ordering: int) -> str:
    """`ORDER_UNORDERED`."""
    return channel.Order.Name(channel.Order.ValueType(ordering))


def packet_event(
    ctx: Context, kind: str, packet: channel.Packet, end: channel.Channel, ack: bytes | None = None
) -> None:
    """`send_packet`, `recv_packet`, `write_acknowledgement`, `acknowledge_packet`, `timeout_packet`."""
    attributes = dict(_packet_attributes(packet))
    if kind in {"acknowledge_packet", "timeout_packet"}:
        del attributes["packet_data_hex"]
    if ack is not None:
        attributes["packet_ack_hex"] = ack.hex()
    ordering, connection_id = order_name(end.ordering), end.connection_hops[0]
    if kind == "timeout_packet":  # ibc-go writes these two the other way round here
        attributes.update(connection_id=connection_id, packet_channel_ordering=ordering)
    else:
        attributes.update(
            packet_channel_ordering=ordering, packet_connection=connection_id, connection_id=connection_id
        )
    emit(ctx, CHANNEL, event(kind, **attributes))


def _packet_attributes(packet: channel.Packet) -> Mapping[str, str]:
    timeout = packet.timeout_height
    return {
        "packet_data_hex": packet.data.hex(),
        "packet_timeout_height": f"{timeout.revision_number}-{timeout.revision_height}",
        "packet_timeout_timestamp": str(packet.timeout_timestamp),
        "packet_sequence": str(packet.sequence),
        "packet_src_port": packet.source_port,
        "packet_src_channel": packet.source_channel,
        "packet_dst_port": packet.destination_port,
        "packet_dst_channel": packet.destination_channel,
    }


def as_errors(events: Iterable[Event]) -> Iterable[Event]:
    """Events of work that was rolled back, renamed so that nobody takes them for state."""
    for item in events:
        attributes = tuple((ERROR_PREFIX + key, value) for key, value in item.attributes)
        yield Event(ERROR_PREFIX + item.type, attributes)
