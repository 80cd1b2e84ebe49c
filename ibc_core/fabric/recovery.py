"""MsgRecoverClient: a Fabric client that froze or expired goes on from the state of an active one.

Its membership comes from the substitute as well: when the organisations themselves betrayed their trust, no record that
they endorse can put it right, and the authority's decision does.
"""

from __future__ import annotations

from ibc_core import errors, paths
from ibc_core.fabric.states import ClientStates
from ibc_core.fabric.wire import ClientState
from ibc_core.host import Context
from ibc_core.state import height_of
from ibc_core.tendermint.times import duration_ns

CLIENT_TYPE = "fabric-endorsement-1"


def recover_client(ctx: Context, subject_id: str, substitute_id: str) -> None:
    """Newest state, membership, chain id and trusting period are the substitute's; all else has to be equal already."""
    kind = paths.client_type(substitute_id)
    if kind != CLIENT_TYPE:
        raise errors.InvalidClientType(f"expected: {CLIENT_TYPE}, got: {kind or substitute_id[:80]}")
    subject, substitute = ClientStates(ctx.ibc, subject_id), ClientStates(ctx.ibc, substitute_id)
    client, other = subject.client(), substitute.client()
    if _terms(client) != _terms(other):
        raise errors.InvalidSubstitute(f"expected the terms {_text(client)}, got {_text(other)}")
    subject.heights.copy_consensus(substitute.heights, height_of(other.latest_height))
    subject.set_client(other)  # active, so not frozen


def _terms(state: ClientState) -> ClientState:
    """What a client keeps for good."""
    return ClientState(channel_id=state.channel_id, namespace=state.namespace, max_clock_drift=state.max_clock_drift)


def _text(state: ClientState) -> str:
    terms = (state.channel_id, state.namespace, f"drift {duration_ns(state.max_clock_drift)} ns")
    return " ".join(terms)
