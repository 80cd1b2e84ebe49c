"""ibc.core.client.v1.Query."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_wire.address import to_bech32
from cosmos_wire.errors import ChainError, InvalidRequest, NotFound
from cosmos_wire.protos import Any, client, client_query
from ibc_core import paths
from ibc_core.client import Clients, client_params
from ibc_core.errors import InvalidPath
from ibc_core.host import Context
from ibc_core.light_client import Height, Proof
from ibc_core.paginate import paginate
from ibc_core.state import height_message, height_of, load, self_height

_STATE = b"/clientState"


def _is_height(key: bytes, _value: bytes) -> bool:
    """Whether a key below `consensusStates/` is a consensus state and no metadata of the light client."""
    try:
        paths.parse_height(key.decode())
    except (InvalidPath, UnicodeDecodeError):
        return False
    return True


def identified(ctx: Context, client_id: str) -> client.IdentifiedClientState:
    """A client's state with its name; raises NotFound."""
    state = load(ctx.ibc, paths.client_state(client_id), Any)
    if state is None:
        raise NotFound(f"{client_id}: light client")
    return client.IdentifiedClientState(client_id=client_id, client_state=state)


def consensus(ctx: Context, client_id: str, height: Height) -> Any:
    """A consensus state; raises NotFound."""
    state = load(ctx.ibc, paths.consensus_state(client_id, height), Any)
    if state is None:
        raise NotFound(f"client-id: {client_id}, height: {height}: consensus state")
    return state


@dataclass(frozen=True, slots=True)
class ClientQueries:
    """Handlers by method name."""

    clients: Clients

    def client_state(
        self, ctx: Context, request: client_query.QueryClientStateRequest
    ) -> client_query.QueryClientStateResponse:
        """One client."""
        paths.require_client_id(request.client_id)
        found = identified(ctx, request.client_id)
        return client_query.QueryClientStateResponse(
            client_state=found.client_state, proof_height=height_message(self_height(ctx))
        )

    def client_states(
        self, ctx: Context, request: client_query.QueryClientStatesRequest
    ) -> client_query.QueryClientStatesResponse:
        """All clients."""
        items, page = paginate(ctx.ibc, paths.CLIENTS, request.pagination, lambda key, _: key.endswith(_STATE))
        states = [
            client.IdentifiedClientState(client_id=key.removesuffix(_STATE).decode(), client_state=Any.FromString(raw))
            for key, raw in items
        ]
        return client_query.QueryClientStatesResponse(client_states=states, pagination=page)

    def consensus_state(
        self, ctx: Context, request: client_query.QueryConsensusStateRequest
    ) -> client_query.QueryConsensusStateResponse:
        """One consensus state, or the newest."""
        paths.require_client_id(request.client_id)
        height = Height(request.revision_number, request.revision_height)
        if request.latest_height:
            identified(ctx, request.client_id)
            height = self.clients.route(ctx, request.client_id).latest_height(ctx, request.client_id)
        elif height.height == 0:
            raise InvalidRequest("consensus state height cannot be 0")
        return client_query.QueryConsensusStateResponse(
            consensus_state=consensus(ctx, request.client_id, height),
            proof_height=height_message(self_height(ctx)),
        )

    def consensus_states(
        self, ctx: Context, request: client_query.QueryConsensusStatesRequest
    ) -> client_query.QueryConsensusStatesResponse:
        """All consensus states of a client."""
        paths.require_client_id(request.client_id)
        prefix = paths.consensus_states(request.client_id)
        items, page = paginate(ctx.ibc, prefix, request.pagination, _is_height)
        states = [
            client.ConsensusStateWithHeight(
                height=height_message(paths.parse_height(key.decode())), consensus_state=Any.FromString(raw)
            )
            for key, raw in items
        ]
        return client_query.QueryConsensusStatesResponse(consensus_states=states, pagination=page)

    def consensus_state_heights(
        self, ctx: Context, request: client_query.QueryConsensusStateHeightsRequest
    ) -> client_query.QueryConsensusStateHeightsResponse:
        """The heights of a client's consensus states."""
        paths.require_client_id(request.client_id)
        prefix = paths.consensus_states(request.client_id)
        items, page = paginate(ctx.ibc, prefix, request.pagination, _is_height)
        heights = [height_message(paths.parse_height(key.decode())) for key, _ in items]
        return client_query.QueryConsensusStateHeightsResponse(consensus_state_heights=heights, pagination=page)

    def client_status(
        self, ctx: Context, request: client_query.QueryClientStatusRequest
    ) -> client_query.QueryClientStatusResponse:
        """Active, Frozen, Expired, Unknown (there is no such client), Unauthorized (its type is not allowed)."""
        paths.require_client_id(request.client_id)
        return client_query.QueryClientStatusResponse(status=self.clients.status(ctx, request.client_id).value)

    def client_params(
        self, ctx: Context, _request: client_query.QueryClientParamsRequest
    ) -> client_query.QueryClientParamsResponse:
        """Allowed client types."""
        return client_query.QueryClientParamsResponse(params=client_params(ctx))

    def client_creator(
        self, ctx: Context, request: client_query.QueryClientCreatorRequest
    ) -> client_query.QueryClientCreatorResponse:
        """Who created a client."""
        paths.require_client_id(request.client_id)
        creator = ctx.ibc.get(paths.client_creator(request.client_id))
        if creator is None:
            raise NotFound(f"{request.client_id}: creator of client")
        return client_query.QueryClientCreatorResponse(creator=to_bech32(creator))

    def upgraded_client_state(
        self, _ctx: Context, _request: client_query.QueryUpgradedClientStateRequest
    ) -> client_query.QueryUpgradedClientStateResponse:
        """No upgrade is ever planned here."""
        raise NotFound("upgraded client state")

    def upgraded_consensus_state(
        self, _ctx: Context, _request: client_query.QueryUpgradedConsensusStateRequest
    ) -> client_query.QueryUpgradedConsensusStateResponse:
        """No upgrade is ever planned here."""
        raise NotFound("upgraded consensus state")

    def verify_membership(
        self, ctx: Context, request: client_query.QueryVerifyMembershipRequest
    ) -> client_query.QueryVerifyMembershipResponse:
        """Whether a proof holds under a client: `merkle_path` is the counterparty's prefix and key."""
        paths.require_client_id(request.client_id)
        identified(ctx, request.client_id)
        if len(request.merkle_path.key_path) != 2 or not (request.proof and request.value):
            raise InvalidRequest("expected a proof, a value and a merkle path of two keys")
        prefix, key = request.merkle_path.key_path
        light_client = self.clients.require_active(ctx, request.client_id)
        proof = Proof(height=height_of(request.proof_height), data=request.proof, prefix=prefix)
        try:
            light_client.verify_membership(ctx, request.client_id, proof, key, request.value)
        except ChainError:
            return client_query.QueryVerifyMembershipResponse(success=False)
        return client_query.QueryVerifyMembershipResponse(success=True)
