"""ICS-02: creating, updating and freezing light clients, and the one place where proofs are checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cosmos_wire.address import from_bech32, to_bech32
from cosmos_wire.errors import TxDecode
from cosmos_wire.protos import Any, client, client_tx, connection
from ibc_core import events, paths
from ibc_core.authority import authority, require_authority
from ibc_core.errors import (
    ClientNotActive,
    IbcNotFound,
    IbcUnauthorized,
    IbcUnpackAny,
    InvalidClientType,
    InvalidHeight,
    InvalidIdentifier,
    InvalidParams,
    InvalidPrefix,
    InvalidProof,
    InvalidRecoveryClient,
    InvalidSubstitute,
    InvalidUpgradeClient,
    RouteNotFound,
)
from ibc_core.host import Context
from ibc_core.light_client import ClientTypes, LightClient, Proof, Status, Upgrade
from ibc_core.state import encode, height_of, load, take_sequence
from ibc_core.tendermint.errors import DelayPeriodNotPassed  # ibc-go's number, whatever the client
from ibc_core.v2 import counterparty

ALLOW_ALL = "*"
ALLOWED_MAX = 200
BLOCK_TIME_MAX_NS = 30_000_000_000  # ibc-go's default `max_expected_time_per_block`


@contextmanager
def _as_torn() -> Iterator[None]:
    """An Any that holds something else than its type says makes the whole transaction unreadable, as in the SDK."""
    try:
        yield
    except IbcUnpackAny as error:
        raise TxDecode(str(error)) from error


@dataclass(frozen=True, slots=True)
class Clients:
    """The light client types of a chain and what ICS-02 does with them."""

    types: ClientTypes

    def route(self, ctx: Context, client_id: str) -> LightClient:
        """Implementation behind a client identifier.

        Raises InvalidIdentifier, InvalidClientType (not an allowed type) or RouteNotFound.
        """
        kind = paths.client_type(client_id)
        if kind is None:
            raise InvalidIdentifier(
                f"invalid client identifier {client_id[:80]} is not in format: `{{client-type}}-{{N}}`"
            )
        require_allowed(ctx, client_id, kind)
        for light_client in self.types.values():
            if light_client.client_type == kind:
                return light_client
        raise RouteNotFound(client_id)

    def exists(self, ctx: Context, client_id: str) -> bool:
        """Whether the client was created."""
        return ctx.ibc.get(paths.client_state(client_id)) is not None

    def status(self, ctx: Context, client_id: str) -> Status:
        """Unauthorized for a client that has no route, unknown for one that does not exist."""
        try:
            light_client = self.route(ctx, client_id)
        except (InvalidIdentifier, InvalidClientType, RouteNotFound):
            return Status.UNAUTHORIZED
        return self._status(ctx, light_client, client_id)

    def _status(self, ctx: Context, light_client: LightClient, client_id: str) -> Status:
        return light_client.status(ctx, client_id) if self.exists(ctx, client_id) else Status.UNKNOWN

    def require_active(self, ctx: Context, client_id: str) -> LightClient:
        """The client's implementation; raises unless the client can be used now."""
        status = self.status(ctx, client_id)
        if status is not Status.ACTIVE:
            raise ClientNotActive(f"client ({client_id}) status is {status.value}")
        return self.route(ctx, client_id)

    def active_for(self, ctx: Context, client_id: str, what: str) -> LightClient:
        """The same for what is done to the client itself: `what` is said in the refusal, as ibc-go does."""
        light_client = self.route(ctx, client_id)
        status = self._status(ctx, light_client, client_id)
        if status is not Status.ACTIVE:
            raise ClientNotActive(f"cannot {what} ({client_id}) with status {status.value}")
        return light_client

    def create(self, ctx: Context, msg: client_tx.MsgCreateClient) -> client_tx.MsgCreateClientResponse:
        """MsgCreateClient."""
        light_client = self._type_of(ctx, msg.client_state)
        client_id = f"{light_client.client_type}-{take_sequence(ctx.ibc, paths.NEXT_CLIENT_SEQUENCE)}"
        light_client.initialise(ctx, client_id, msg.client_state, msg.consensus_state)
        self.active_for(ctx, client_id, "create client")
        ctx.ibc.set(paths.client_creator(client_id), from_bech32(msg.signer))
        height = light_client.latest_height(ctx, client_id)
        events.client_event(ctx, "create_client", client_id, light_client.client_type, height)
        return client_tx.MsgCreateClientResponse(client_id=client_id)

    def _type_of(self, ctx: Context, state: Any) -> LightClient:
        light_client = self.types.get(state.type_url)
        if light_client is None:
            raise InvalidClientType(f"client state {state.type_url!r}, expected one of {sorted(self.types)}")
        require_allowed(ctx, light_client.client_type, light_client.client_type)
        return light_client

    def update(self, ctx: Context, msg: client_tx.MsgUpdateClient) -> client_tx.MsgUpdateClientResponse:
        """MsgUpdateClient, with a header or a misbehaviour; the client's creator may have said who may send it."""
        paths.require_client_id(msg.client_id)
        counterparty.require_relayer(ctx, msg.client_id, msg.signer)
        self._take(ctx, msg.client_id, msg.client_message)
        return client_tx.MsgUpdateClientResponse()

    def submit_misbehaviour(
        self, ctx: Context, msg: client_tx.MsgSubmitMisbehaviour
    ) -> client_tx.MsgSubmitMisbehaviourResponse:
        """MsgSubmitMisbehaviour: the older name of an update with a misbehaviour."""
        self._take(ctx, msg.client_id, msg.misbehaviour)
        return client_tx.MsgSubmitMisbehaviourResponse()

    def check_create(self, msg: client_tx.MsgCreateClient) -> None:
        """`MsgCreateClient.ValidateBasic`."""
        light_client = self.types.get(msg.client_state.type_url)
        if light_client is None:
            raise TxDecode(f"unable to resolve type URL {msg.client_state.type_url[:100]}")
        with _as_torn():
            light_client.check_states(msg.client_state, msg.consensus_state)

    def check_update(self, msg: client_tx.MsgUpdateClient) -> None:
        """`MsgUpdateClient.ValidateBasic`."""
        self._check_message(msg.client_id, msg.client_message)

    def check_misbehaviour(self, msg: client_tx.MsgSubmitMisbehaviour) -> None:
        """`MsgSubmitMisbehaviour.ValidateBasic`."""
        self._check_message(msg.client_id, msg.misbehaviour)

    def _check_message(self, client_id: str, message: Any) -> None:
        for light_client in self.types.values():
            if message.type_url in light_client.message_urls:
                with _as_torn():
                    light_client.check_message(message)
                paths.require_client_id(client_id)
                return
        raise TxDecode(f"unable to resolve type URL {message.type_url[:100]}")

    def rehearse_update(self, ctx: Context, msg: client_tx.MsgUpdateClient, *, again: bool) -> None:
        """What the mempool does with an update: no misbehaviour is looked for; `again`: it was verified before."""
        status = self.status(ctx, msg.client_id)
        if status is not Status.ACTIVE:
            raise ClientNotActive(f"cannot update client ({msg.client_id}) with status {status.value}")
        light_client = self.route(ctx, msg.client_id)
        if not again:
            light_client.verify_client_message(ctx, msg.client_id, msg.client_message)
        light_client.update_state(ctx, msg.client_id, msg.client_message)

    def _take(self, ctx: Context, client_id: str, message: Any) -> None:
        light_client = self.active_for(ctx, client_id, "update client")
        light_client.verify_client_message(ctx, client_id, message)
        if light_client.check_for_misbehaviour(ctx, client_id, message):
            light_client.freeze(ctx, client_id)
            height = light_client.latest_height(ctx, client_id)
            events.misbehaviour(ctx, client_id, light_client.client_type, height)
            return
        heights = light_client.update_state(ctx, client_id, message)
        header = message.SerializeToString(deterministic=True)
        events.update_client(ctx, (client_id, light_client.client_type), heights, header)

    def upgrade(self, ctx: Context, msg: client_tx.MsgUpgradeClient) -> client_tx.MsgUpgradeClientResponse:
        """MsgUpgradeClient: the states that the counterparty committed to before it halted for an upgrade."""
        light_client = self.active_for(ctx, msg.client_id, "upgrade client")
        upgrade = Upgrade(
            client_state=msg.client_state,
            consensus_state=msg.consensus_state,
            proof_client=msg.proof_upgrade_client,
            proof_consensus_state=msg.proof_upgrade_consensus_state,
        )
        light_client.upgrade(ctx, msg.client_id, upgrade)
        height = light_client.latest_height(ctx, msg.client_id)
        events.client_event(ctx, "upgrade_client", msg.client_id, light_client.client_type, height)
        return client_tx.MsgUpgradeClientResponse()

    def recover(self, ctx: Context, msg: client_tx.MsgRecoverClient) -> client_tx.MsgRecoverClientResponse:
        """MsgRecoverClient: a frozen or expired client takes over the state of an active one; the authority's right."""
        require_authority(ctx, msg.signer)
        light_client = self.route(ctx, msg.subject_client_id)
        self._require_recoverable(ctx, light_client, msg)
        light_client.recover(ctx, msg.subject_client_id, msg.substitute_client_id)
        events.recover_client(ctx, msg.subject_client_id, light_client.client_type)
        return client_tx.MsgRecoverClientResponse()

    def _require_recoverable(self, ctx: Context, light_client: LightClient, msg: client_tx.MsgRecoverClient) -> None:
        """The subject is stuck; the substitute is active, and ahead of it. Both are read as the subject's type."""
        subject, substitute = msg.subject_client_id, msg.substitute_client_id
        status = self._status(ctx, light_client, subject)
        if status is Status.ACTIVE:
            raise InvalidRecoveryClient(f"cannot recover subject client ({subject}) with status {status.value}")
        status = self._status(ctx, light_client, substitute)
        if status is not Status.ACTIVE:
            raise ClientNotActive(
                f"cannot recover client using substitute client ({substitute}) with status {status.value}"
            )
        own, other = light_client.latest_height(ctx, subject), light_client.latest_height(ctx, substitute)
        if own >= other:
            raise InvalidHeight(
                "subject client state latest height is greater or equal to substitute client state latest height "
                f"({own} >= {other})"
            )

    def update_params(self, ctx: Context, msg: client_tx.MsgUpdateParams) -> client_tx.MsgUpdateParamsResponse:
        """MsgUpdateParams of ICS-02: which client types may be used; the authority's right."""
        require_authority(ctx, msg.signer)
        ctx.ibc.set(paths.CLIENT_PARAMS, encode(msg.params))
        return client_tx.MsgUpdateParamsResponse()

    def delete_creator(
        self, ctx: Context, msg: client_tx.MsgDeleteClientCreator
    ) -> client_tx.MsgDeleteClientCreatorResponse:
        """MsgDeleteClientCreator: the creator, or the authority, ends what ibc-go v10 lets the creator do."""
        paths.require_client_id(msg.client_id)
        creator = ctx.ibc.get(paths.client_creator(msg.client_id))
        if creator is None:
            raise IbcNotFound(f"creator for client {msg.client_id[:80]} not found")
        if msg.signer != authority(ctx) and creator != from_bech32(msg.signer):
            raise IbcUnauthorized(
                f"authority {authority(ctx)} or client creator {to_bech32(creator)} is authorized to delete creator "
                f"for {msg.client_id}, got {msg.signer}"
            )
        ctx.ibc.delete(paths.client_creator(msg.client_id))
        return client_tx.MsgDeleteClientCreatorResponse()


@dataclass(frozen=True, slots=True)
class Verifier:
    """Checks proofs of what the counterparty of one connection stores.

    `delay` is true for packets: they wait for the connection's delay period, handshakes do not.
    """

    clients: Clients
    end: connection.ConnectionEnd
    proof: Proof
    delay: bool = False

    def member(self, ctx: Context, path: bytes, value: bytes) -> None:
        """The counterparty holds `value` at `path`."""
        self._checked(ctx, "call verify membership on client").verify_membership(
            ctx, self.end.client_id, self._prefixed(), path, value
        )

    def absent(self, ctx: Context, path: bytes) -> None:
        """The counterparty holds nothing at `path`."""
        self._checked(ctx, "call verify non membership on client").verify_non_membership(
            ctx, self.end.client_id, self._prefixed(), path
        )

    def _prefixed(self) -> Proof:
        prefix = self.end.counterparty.prefix.key_prefix
        if not prefix:
            raise InvalidPrefix(f"connection of client {self.end.client_id} has an empty counterparty prefix")
        return Proof(height=self.proof.height, data=self.proof.data, prefix=prefix)

    def _checked(self, ctx: Context, what: str) -> LightClient:
        light_client = self.clients.active_for(ctx, self.end.client_id, what)
        if self.delay and self.end.delay_period:
            self._require_delay(ctx, light_client)
        return light_client

    def _require_delay(self, ctx: Context, light_client: LightClient) -> None:
        time_ns, height = light_client.processed(ctx, self.end.client_id, self.proof.height)
        for what, now, valid in (
            ("time", ctx.env.time_ns, time_ns + self.end.delay_period),
            ("height", ctx.env.height, height + block_delay(ctx, self.end.delay_period)),
        ):
            if now < valid:
                raise DelayPeriodNotPassed(f"current {what} {now}, delay period over at {valid}")


def proof_of(height: client.Height, data: bytes) -> Proof:
    """A message's proof; raises InvalidProof when it is empty."""
    if not data:
        raise InvalidProof("cannot submit an empty proof")
    return Proof(height=height_of(height), data=data)


def delayed(clients: Clients, end: connection.ConnectionEnd, proof: Proof) -> Verifier:
    """Verifier of packet proofs."""
    return Verifier(clients, end, proof, delay=True)


def block_delay(ctx: Context, delay_ns: int) -> int:
    """Blocks that a time delay stands for: rounded up, by the longest block time that is expected."""
    per_block_ns = connection_params(ctx).max_expected_time_per_block
    return -(-delay_ns // per_block_ns) if per_block_ns else 0


def require_allowed(ctx: Context, client_id: str, kind: str) -> None:
    """Refuse a client of a type that the parameters do not list."""
    allowed = client_params(ctx).allowed_clients
    if list(allowed) != [ALLOW_ALL] and kind not in allowed:
        raise InvalidClientType(f"client ({client_id}) type {kind[:80]} is not in the allowed client list")


def check_upgrade(msg: client_tx.MsgUpgradeClient) -> None:
    """`MsgUpgradeClient.ValidateBasic`."""
    if not msg.proof_upgrade_client:
        raise InvalidUpgradeClient("proof of upgrade client cannot be empty")
    if not msg.proof_upgrade_consensus_state:
        raise InvalidUpgradeClient("proof of upgrade consensus state cannot be empty")
    paths.require_client_id(msg.client_id)


def check_recovery(msg: client_tx.MsgRecoverClient) -> None:
    """`MsgRecoverClient.ValidateBasic`."""
    paths.require_client_id(msg.subject_client_id)
    paths.require_client_id(msg.substitute_client_id)
    if msg.subject_client_id == msg.substitute_client_id:
        raise InvalidSubstitute("subject and substitute clients must be different")


def check_delete_creator(msg: client_tx.MsgDeleteClientCreator) -> None:
    """`MsgDeleteClientCreator.ValidateBasic`."""
    paths.require_client_id(msg.client_id)
    if paths.client_type(msg.client_id) is None:
        raise InvalidIdentifier(f"client ID {msg.client_id} must be in valid format: {{string}}-{{number}}")


def check_client_params(msg: client_tx.MsgUpdateParams) -> None:
    """`Params.Validate`, and no empty list: it would stop every client."""
    allowed = list(msg.params.allowed_clients)
    if not 0 < len(allowed) <= ALLOWED_MAX:
        raise InvalidParams(f"allowed clients length must be 1 to {ALLOWED_MAX} items, got {len(allowed)}")
    if ALLOW_ALL in allowed and len(allowed) > 1:
        raise InvalidParams(
            f"allow list must have only one element because the allow all clients wildcard ({ALLOW_ALL}) is present"
        )
    for index, kind in enumerate(allowed):
        if not kind.strip():
            raise InvalidParams(f"client type {index} cannot be blank")
        if kind in allowed[:index]:
            raise InvalidParams(f"duplicate client type: {kind[:80]}")


def client_params(ctx: Context) -> client.Params:
    """Allowed client types."""
    return load(ctx.ibc, paths.CLIENT_PARAMS, client.Params) or client.Params(allowed_clients=[ALLOW_ALL])


def connection_params(ctx: Context) -> connection.Params:
    """Longest expected block time, ns."""
    found = load(ctx.ibc, paths.CONNECTION_PARAMS, connection.Params)
    return found or connection.Params(max_expected_time_per_block=BLOCK_TIME_MAX_NS)
