"""ICS-03: the four steps of a connection.

Since ibc-go v8 the proofs of the counterparty's client and of its view of this chain are taken and not checked; the
proof of the counterparty's connection end is what counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_wire.protos import connection, connection_tx
from ibc_core import events, paths, versions
from ibc_core.client import Clients, Verifier, proof_of
from ibc_core.errors import (
    IbcInvalidVersion,
    InvalidConnectionCounterparty,
    InvalidConnectionIdentifier,
    InvalidConnectionState,
    InvalidConnectionVersion,
)
from ibc_core.host import Context
from ibc_core.light_client import Proof
from ibc_core.state import (
    connection_counterparty,
    connection_end,
    encode,
    get_connection,
    load,
    set_connection,
    take_sequence,
)

PREFIX = b"ibc"  # this chain's commitment prefix: the name of the store
INIT, TRYOPEN, OPEN = connection.STATE_INIT, connection.STATE_TRYOPEN, connection.STATE_OPEN

End = connection.ConnectionEnd


@dataclass(frozen=True, slots=True)
class Connections:
    """Handlers of ibc.core.connection.v1.Msg."""

    clients: Clients

    def open_init(
        self, ctx: Context, msg: connection_tx.MsgConnectionOpenInit
    ) -> connection_tx.MsgConnectionOpenInitResponse:
        """A: propose a connection over an own client."""
        offers = _offers(msg)
        self.clients.require_active(ctx, msg.client_id)
        end = connection_end(INIT, msg.client_id, msg.counterparty, (offers, msg.delay_period))
        self._add(ctx, "init", end)
        return connection_tx.MsgConnectionOpenInitResponse()

    def open_try(
        self, ctx: Context, msg: connection_tx.MsgConnectionOpenTry
    ) -> connection_tx.MsgConnectionOpenTryResponse:
        """B: accept what A proposed, with proof of A's end."""
        version = versions.pick(versions.supported(), msg.counterparty_versions)
        end = connection_end(TRYOPEN, msg.client_id, msg.counterparty, ([version], msg.delay_period))
        expected = connection_end(
            INIT,
            msg.counterparty.client_id,
            connection_counterparty(msg.client_id, "", PREFIX),
            (list(msg.counterparty_versions), msg.delay_period),
        )
        self._verify(ctx, end, proof_of(msg.proof_height, msg.proof_init), expected)
        self._add(ctx, "try", end)
        return connection_tx.MsgConnectionOpenTryResponse()

    def open_ack(
        self, ctx: Context, msg: connection_tx.MsgConnectionOpenAck
    ) -> connection_tx.MsgConnectionOpenAckResponse:
        """A: take the version that B chose, with proof of B's end."""
        proof = proof_of(msg.proof_height, msg.proof_try)
        end = get_connection(ctx, msg.connection_id)
        _require_state(end, INIT)
        if not versions.is_supported(end.versions, msg.version):
            chosen, offered = versions.text([msg.version]), versions.text(end.versions)
            raise InvalidConnectionState(f"counterparty selected version {chosen}, INIT offered {offered}")
        end.counterparty.connection_id = msg.counterparty_connection_id
        del end.versions[:]
        end.versions.append(msg.version)
        self._verify(ctx, end, proof, _mirror(end, msg.connection_id, TRYOPEN))
        _open(ctx, msg.connection_id, end, "ack")
        return connection_tx.MsgConnectionOpenAckResponse()

    def open_confirm(
        self, ctx: Context, msg: connection_tx.MsgConnectionOpenConfirm
    ) -> connection_tx.MsgConnectionOpenConfirmResponse:
        """B: open, with proof that A did."""
        proof = proof_of(msg.proof_height, msg.proof_ack)
        end = get_connection(ctx, msg.connection_id)
        _require_state(end, TRYOPEN)
        self._verify(ctx, end, proof, _mirror(end, msg.connection_id, OPEN))
        _open(ctx, msg.connection_id, end, "confirm")
        return connection_tx.MsgConnectionOpenConfirmResponse()

    def _verify(self, ctx: Context, end: End, proof: Proof, expected: End) -> None:
        path = paths.connection(end.counterparty.connection_id)
        Verifier(self.clients, end, proof).member(ctx, path, encode(expected))

    def _add(self, ctx: Context, step: str, end: End) -> None:
        connection_id = f"connection-{take_sequence(ctx.ibc, paths.NEXT_CONNECTION_SEQUENCE)}"
        key = paths.client_connections(end.client_id)
        of_client = load(ctx.ibc, key, connection.ClientPaths) or connection.ClientPaths()
        of_client.paths.append(connection_id)
        ctx.ibc.set(key, encode(of_client))
        set_connection(ctx, connection_id, end)
        events.connection_event(ctx, step, connection_id, end)


def _mirror(end: End, connection_id: str, state: int) -> End:
    """What the counterparty has to hold when this end is `end`."""
    counterparty = connection_counterparty(end.client_id, connection_id, PREFIX)
    return connection_end(state, end.counterparty.client_id, counterparty, (list(end.versions), end.delay_period))


def _open(ctx: Context, connection_id: str, end: End, step: str) -> None:
    end.state = OPEN
    set_connection(ctx, connection_id, end)
    events.connection_event(ctx, step, connection_id, end)


def _offers(msg: connection_tx.MsgConnectionOpenInit) -> list[connection.Version]:
    if not msg.HasField("version"):
        return versions.supported()
    if not versions.is_supported(versions.supported(), msg.version):
        raise InvalidConnectionVersion(f"version is not supported: {versions.text([msg.version])}")
    return [msg.version]


def check_init(msg: connection_tx.MsgConnectionOpenInit) -> None:
    """`MsgConnectionOpenInit.ValidateBasic`."""
    paths.require_client_id(msg.client_id)
    if msg.counterparty.connection_id:
        raise InvalidConnectionCounterparty("counterparty connection identifier must be empty")
    if msg.HasField("version"):
        versions.require_valid(msg.version)
    _require_counterparty(msg.counterparty)


def check_ack(msg: connection_tx.MsgConnectionOpenAck) -> None:
    """`MsgConnectionOpenAck.ValidateBasic`."""
    _require_own_id(msg.connection_id)
    paths.require_connection_id(msg.counterparty_connection_id, "counterparty connection ID")
    versions.require_valid(msg.version)
    proof_of(msg.proof_height, msg.proof_try)


def check_confirm(msg: connection_tx.MsgConnectionOpenConfirm) -> None:
    """`MsgConnectionOpenConfirm.ValidateBasic`."""
    _require_own_id(msg.connection_id)
    proof_of(msg.proof_height, msg.proof_ack)


def check_try(msg: connection_tx.MsgConnectionOpenTry) -> None:
    """`MsgConnectionOpenTry.ValidateBasic`."""
    paths.require_client_id(msg.client_id)
    paths.require_connection_id(msg.counterparty.connection_id, "counterparty connection ID")
    if not 0 < len(msg.counterparty_versions) <= versions.VERSIONS_MAX:
        raise IbcInvalidVersion(
            f"expected 1..{versions.VERSIONS_MAX} counterparty versions, got {len(msg.counterparty_versions)}"
        )
    for version in msg.counterparty_versions:
        versions.require_valid(version)
    proof_of(msg.proof_height, msg.proof_init)
    _require_counterparty(msg.counterparty)


def _require_counterparty(counterparty: connection.Counterparty) -> None:
    if counterparty.connection_id:
        paths.require_connection_id(counterparty.connection_id, "counterparty connection ID")
    paths.require_client_id(counterparty.client_id, "counterparty client ID")
    if not counterparty.prefix.key_prefix:
        raise InvalidConnectionCounterparty("counterparty prefix cannot be empty")


def _require_own_id(connection_id: str) -> None:
    if paths.number(connection_id, "connection") is None:
        raise InvalidConnectionIdentifier(f"expected connection-N, got {connection_id[:80]!r}")


def _require_state(end: End, state: connection.State.ValueType) -> None:
    if end.state != state:
        name = connection.State.Name
        raise InvalidConnectionState(f"connection state is not {name(state)} (got {name(end.state)})")
