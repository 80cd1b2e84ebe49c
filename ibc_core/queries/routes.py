"""Which method path each query handler answers."""

from __future__ import annotations

from collections.abc import Callable

from cosmos_wire.protos import channel_query, client_query, connection_query
from ibc_core.client import Clients
from ibc_core.host import QueryRoute
from ibc_core.queries import channel, connection
from ibc_core.queries.client import ClientQueries
from ibc_core.queries.upgrade import upgrade_queries


def routes(service: str, module: object, handlers: dict[str, Callable[..., object]]) -> dict[str, QueryRoute]:
    """Routes of a service whose messages are `Query{Method}Request` and `Query{Method}Response` of a module."""
    return {
        f"/{service}/{method}": QueryRoute(
            handle, getattr(module, f"Query{method}Request"), getattr(module, f"Query{method}Response")
        )
        for method, handle in handlers.items()
    }


def core_queries(clients: Clients) -> dict[str, QueryRoute]:
    """Client, connection and channel queries."""
    return {
        **routes("ibc.core.client.v1.Query", client_query, _client(ClientQueries(clients))),
        **routes("ibc.core.connection.v1.Query", connection_query, _connection()),
        **routes("ibc.core.channel.v1.Query", channel_query, _channel()),
        **upgrade_queries(),
    }


def _client(queries: ClientQueries) -> dict[str, Callable[..., object]]:
    return {
        "ClientState": queries.client_state,
        "ClientStates": queries.client_states,
        "ConsensusState": queries.consensus_state,
        "ConsensusStates": queries.consensus_states,
        "ConsensusStateHeights": queries.consensus_state_heights,
        "ClientStatus": queries.client_status,
        "ClientParams": queries.client_params,
        "ClientCreator": queries.client_creator,
        "UpgradedClientState": queries.upgraded_client_state,
        "UpgradedConsensusState": queries.upgraded_consensus_state,
        "VerifyMembership": queries.verify_membership,
    }


def _connection() -> dict[str, Callable[..., object]]:
    return {
        "Connection": connection.one,
        "Connections": connection.all_of_them,
        "ClientConnections": connection.of_client,
        "ConnectionClientState": connection.client_state,
        "ConnectionConsensusState": connection.consensus_state,
        "ConnectionParams": connection.params,
    }


def _channel() -> dict[str, Callable[..., object]]:
    return {
        "Channel": channel.one,
        "Channels": channel.all_of_them,
        "ConnectionChannels": channel.of_connection,
        "ChannelClientState": channel.client_state,
        "ChannelConsensusState": channel.consensus_state,
        "PacketCommitment": channel.packet_commitment,
        "PacketCommitments": channel.packet_commitments,
        "PacketReceipt": channel.packet_receipt,
        "PacketAcknowledgement": channel.packet_acknowledgement,
        "PacketAcknowledgements": channel.packet_acknowledgements,
        "UnreceivedPackets": channel.unreceived_packets,
        "UnreceivedAcks": channel.unreceived_acks,
        "NextSequenceReceive": channel.next_sequence_receive,
        "NextSequenceSend": channel.next_sequence_send,
    }
