"""MsgRecoverClient: a client that froze or expired goes on from the state of an active one of the same terms."""

from __future__ import annotations

from cosmos_wire.protos import client as client_proto
from ibc_core import errors, paths
from ibc_core.host import Context
from ibc_core.state import height_of
from ibc_core.tendermint.states import ClientStates
from ibc_core.tendermint.wire import ClientState, complete_client_state

CLIENT_TYPE = "07-tendermint"


def recover_client(ctx: Context, subject_id: str, substitute_id: str) -> None:
    """`CheckSubstituteAndUpdateState`: chain id, trusting period and newest state come from the substitute."""
    kind = paths.client_type(substitute_id)
    if kind is None:
        raise errors.InvalidIdentifier(f"invalid client identifier {substitute_id[:80]}")
    if kind != CLIENT_TYPE:
        raise errors.InvalidClientType(f"expected: {CLIENT_TYPE}, got: {kind}")
    subject, substitute = ClientStates(ctx.ibc, subject_id), ClientStates(ctx.ibc, substitute_id)
    client, other = subject.client(), substitute.client()
    if not is_match(client, other):
        raise errors.InvalidSubstitute("subject client state does not match substitute client state")
    height = height_of(other.latest_height)
    consensus = substitute.find_consensus(height)
    if consensus is None:
        raise errors.ConsensusStateNotFound("unable to retrieve latest consensus state for substitute client")
    subject.copy_consensus(substitute, height)
    client.frozen_height.CopyFrom(client_proto.Height())
    client.latest_height.CopyFrom(other.latest_height)
    client.trusting_period.CopyFrom(other.trusting_period)
    client.chain_id = other.chain_id
    subject.set_client(client)


def is_match(subject: ClientState, substitute: ClientState) -> bool:
    """Whether all terms are equal, apart from heights, trusting period and chain id (`IsMatchingClientState`)."""
    return bool(_terms(subject) == _terms(substitute))


def _terms(state: ClientState) -> ClientState:
    terms = ClientState()
    terms.CopyFrom(state)
    for name in ("latest_height", "frozen_height", "trusting_period", "chain_id"):
        terms.ClearField(name)
    terms.allow_update_after_expiry = terms.allow_update_after_misbehaviour = True  # deprecated: they count no more
    return complete_client_state(terms)
