"""Typed reading and writing of the `ibc` store: messages byte for byte as gogoproto encodes them, and sequences."""

from __future__ import annotations

from typing import TypeVar

from cosmos_wire.protos import Message, channel, client, commitment, connection
from ibc_core import paths
from ibc_core.errors import ChannelNotFound, ConnectionNotFound
from ibc_core.host import Context, Store
from ibc_core.light_client import Height

M = TypeVar("M", bound=Message)


def load(store: Store, key: bytes, kind: type[M]) -> M | None:
    """Decoded value, None when absent."""
    raw = store.get(key)
    if raw is None:
        return None
    message = kind()
    message.ParseFromString(raw)
    return message


def encode(message: Message) -> bytes:
    """Bytes of a message whose non-nullable parts are present."""
    return message.SerializeToString(deterministic=True)


def height_of(message: client.Height) -> Height:
    """From protobuf."""
    return Height(message.revision_number, message.revision_height)


def height_message(height: Height) -> client.Height:
    """To protobuf."""
    return client.Height(revision_number=height.revision, revision_height=height.height)


def revision_of(chain_id: str) -> int:
    """Revision number of a chain id: N of `name-N`, else 0 (ibc-go's ParseChainID)."""
    name, dash, number = chain_id.rpartition("-")
    if not (name and dash and not name.endswith("-") and number.isascii() and number.isdecimal()):
        return 0
    return 0 if number.startswith("0") or int(number) > paths.SEQUENCE_MAX else int(number)


def self_height(ctx: Context) -> Height:
    """Height of this chain as counterparties count it."""
    return Height(revision_of(ctx.env.chain_id), ctx.env.height)


def read_sequence(store: Store, key: bytes) -> int | None:
    """Eight bytes, big-endian."""
    raw = store.get(key)
    return None if raw is None else int.from_bytes(raw, "big")


def write_sequence(store: Store, key: bytes, value: int) -> None:
    """Eight bytes, big-endian."""
    store.set(key, value.to_bytes(8, "big"))


def take_sequence(store: Store, key: bytes) -> int:
    """The next number of a counter that began at zero; the counter moves on."""
    value = read_sequence(store, key) or 0
    write_sequence(store, key, value + 1)
    return value


def connection_end(
    state: int, client_id: str, counterparty: connection.Counterparty, terms: tuple[list[connection.Version], int]
) -> connection.ConnectionEnd:
    """A connection end; `terms` are versions and delay period (ns)."""
    versions, delay_ns = terms
    end = connection.ConnectionEnd(
        client_id=client_id, versions=versions, state=connection.State.ValueType(state), delay_period=delay_ns
    )
    end.counterparty.CopyFrom(counterparty)
    end.counterparty.SetInParent()
    return end


def connection_counterparty(client_id: str, connection_id: str, prefix: bytes) -> connection.Counterparty:
    """The other side of a connection end."""
    return connection.Counterparty(
        client_id=client_id, connection_id=connection_id, prefix=commitment.MerklePrefix(key_prefix=prefix)
    )


def channel_end(
    state: int, ordering: int, counterparty: tuple[str, str], terms: tuple[list[str], str]
) -> channel.Channel:
    """A channel end; `counterparty` is (port, channel), `terms` connection hops and version."""
    hops, version = terms
    end = channel.Channel(
        state=channel.State.ValueType(state),
        ordering=channel.Order.ValueType(ordering),
        connection_hops=hops,
        version=version,
    )
    end.counterparty.port_id, end.counterparty.channel_id = counterparty
    end.counterparty.SetInParent()  # not nullable in gogoproto: written even when empty
    return end


def get_connection(ctx: Context, connection_id: str) -> connection.ConnectionEnd:
    """Raises ConnectionNotFound."""
    found = load(ctx.ibc, paths.connection(connection_id), connection.ConnectionEnd)
    if found is None:
        raise ConnectionNotFound(connection_id or "empty connection ID")
    return found


def set_connection(ctx: Context, connection_id: str, end: connection.ConnectionEnd) -> None:
    """Write."""
    ctx.ibc.set(paths.connection(connection_id), encode(end))


def find_channel(ctx: Context, port_id: str, channel_id: str) -> channel.Channel | None:
    """None when absent."""
    return load(ctx.ibc, paths.channel(port_id, channel_id), channel.Channel)


def get_channel(ctx: Context, port_id: str, channel_id: str) -> channel.Channel:
    """Raises ChannelNotFound."""
    found = find_channel(ctx, port_id, channel_id)
    if found is None:
        raise ChannelNotFound(f"port ID ({port_id}) channel ID ({channel_id})")
    return found


def set_channel(ctx: Context, port_id: str, channel_id: str, end: channel.Channel) -> None:
    """Write."""
    end.counterparty.SetInParent()
    ctx.ibc.set(paths.channel(port_id, channel_id), encode(end))
