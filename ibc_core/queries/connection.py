"""ibc.core.connection.v1.Query."""

from __future__ import annotations

from cosmos_wire.errors import NotFound
from cosmos_wire.protos import connection, connection_query
from ibc_core import paths
from ibc_core.client import connection_params
from ibc_core.errors import ConnectionNotFound
from ibc_core.host import Context
from ibc_core.light_client import Height
from ibc_core.paginate import paginate
from ibc_core.queries.client import consensus, identified
from ibc_core.state import get_connection, height_message, load, self_height


def find(ctx: Context, connection_id: str) -> connection.ConnectionEnd:
    """A connection end; raises NotFound."""
    paths.require_connection_id(connection_id)
    try:
        return get_connection(ctx, connection_id)
    except ConnectionNotFound as error:
        raise NotFound(str(error)) from error


def one(ctx: Context, request: connection_query.QueryConnectionRequest) -> connection_query.QueryConnectionResponse:
    """One connection."""
    return connection_query.QueryConnectionResponse(
        connection=find(ctx, request.connection_id), proof_height=height_message(self_height(ctx))
    )


def all_of_them(
    ctx: Context, request: connection_query.QueryConnectionsRequest
) -> connection_query.QueryConnectionsResponse:
    """All connections."""
    items, page = paginate(ctx.ibc, paths.CONNECTIONS, request.pagination)
    found = [_identified(key.decode(), connection.ConnectionEnd.FromString(raw)) for key, raw in items]
    return connection_query.QueryConnectionsResponse(
        connections=found, pagination=page, height=height_message(self_height(ctx))
    )


def _identified(connection_id: str, end: connection.ConnectionEnd) -> connection.IdentifiedConnection:
    return connection.IdentifiedConnection(
        id=connection_id,
        client_id=end.client_id,
        versions=end.versions,
        state=end.state,
        counterparty=end.counterparty,
        delay_period=end.delay_period,
    )


def of_client(
    ctx: Context, request: connection_query.QueryClientConnectionsRequest
) -> connection_query.QueryClientConnectionsResponse:
    """Connections over one client; NotFound when there are none."""
    paths.require_client_id(request.client_id)
    found = load(ctx.ibc, paths.client_connections(request.client_id), connection.ClientPaths)
    if found is None:
        raise NotFound(f"{request.client_id}: light client connection paths")
    return connection_query.QueryClientConnectionsResponse(
        connection_paths=found.paths, proof_height=height_message(self_height(ctx))
    )


def client_state(
    ctx: Context, request: connection_query.QueryConnectionClientStateRequest
) -> connection_query.QueryConnectionClientStateResponse:
    """The client below a connection."""
    end = find(ctx, request.connection_id)
    return connection_query.QueryConnectionClientStateResponse(
        identified_client_state=identified(ctx, end.client_id), proof_height=height_message(self_height(ctx))
    )


def consensus_state(
    ctx: Context, request: connection_query.QueryConnectionConsensusStateRequest
) -> connection_query.QueryConnectionConsensusStateResponse:
    """A consensus state of the client below a connection."""
    end = find(ctx, request.connection_id)
    height = Height(request.revision_number, request.revision_height)
    return connection_query.QueryConnectionConsensusStateResponse(
        consensus_state=consensus(ctx, end.client_id, height),
        client_id=end.client_id,
        proof_height=height_message(self_height(ctx)),
    )


def params(
    ctx: Context, _request: connection_query.QueryConnectionParamsRequest
) -> connection_query.QueryConnectionParamsResponse:
    """Longest expected block time."""
    return connection_query.QueryConnectionParamsResponse(params=connection_params(ctx))
