"""MsgUpgradeClient: a counterparty that halts for an upgrade commits to its next client under the upgrade path.

The committed client state has everything zeroed that a client's creator chooses; those terms stay what they were. The
chain's own (chain id, unbonding period, height, proof specifications, upgrade path) are the committed ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import Message
from ibc_core import errors
from ibc_core.host import Context
from ibc_core.light_client import Height, Upgrade
from ibc_core.state import encode, height_of
from ibc_core.tendermint.proofs import check_member
from ibc_core.tendermint.states import ClientStates
from ibc_core.tendermint.times import duration, duration_ns, is_duration, is_time
from ibc_core.tendermint.wire import (
    ClientState,
    ConsensusState,
    check_client_state,
    complete_client_state,
    complete_consensus_state,
    pack,
    unpack,
)

CLIENT_KEY, CONSENSUS_KEY = "upgradedClient", "upgradedConsState"  # the SDK's upgrade module
SENTINEL_ROOT = b"sentinel_root"  # no app hash: nothing can be proven before the new chain's first header
DECIMAL = 10**18  # of the SDK's LegacyDec, in which ibc-go scales the trusting period


def upgrade_client(ctx: Context, client_id: str, upgrade: Upgrade) -> None:
    """`VerifyUpgradeAndUpdateState`: both are proven at the client's latest height, then put in place."""
    states = ClientStates(ctx.ibc, client_id)
    with _named(client_id):
        new = unpack(upgrade.client_state, ClientState, errors.InvalidClientType)
        consensus = unpack(upgrade.consensus_state, ConsensusState, errors.InvalidConsensus)
        _require_readable(new, consensus)
        client = states.client()
        _check(states, client, new)
        _check_proofs(states, client, upgrade, (new, consensus))
        renewed = _renewed(client, new)
        check_client_state(renewed)
    consensus.root.hash = SENTINEL_ROOT
    states.set_client(renewed)
    states.add_consensus(ctx, height_of(renewed.latest_height), consensus)


@contextmanager
def _named(client_id: str) -> Iterator[None]:
    try:
        yield
    except ChainError as error:
        reason = f": {error.reason}"
        raise type(error)(f"cannot upgrade client with ID {client_id}: {str(error).removesuffix(reason)}") from error


def _require_readable(new: ClientState, consensus: ConsensusState) -> None:
    """What Go's types could not hold would have failed to decode."""
    for span in (new.trusting_period, new.unbonding_period, new.max_clock_drift):
        if not is_duration(span):
            raise errors.InvalidClient(f"expected a duration of 64 bits, got {span.seconds} s {span.nanos} ns")
    if not is_time(consensus.timestamp):
        raise errors.InvalidConsensus(f"expected a time of the years 1 to 9999, got {consensus.timestamp.seconds} s")


def _check(states: ClientStates, client: ClientState, new: ClientState) -> None:
    ours, theirs = height_of(client.latest_height), height_of(new.latest_height)
    if theirs <= ours:
        raise errors.IbcInvalidHeight(
            f"upgraded client height {theirs} must be at greater than current client height {ours}"
        )
    if not client.upgrade_path:
        raise errors.InvalidUpgradeClient("cannot upgrade client, no upgrade path set")
    if states.find_consensus(ours) is None:
        raise errors.ConsensusStateNotFound("could not retrieve consensus state for lastHeight")


def _check_proofs(
    states: ClientStates, client: ClientState, upgrade: Upgrade, new: tuple[ClientState, ConsensusState]
) -> None:
    last = height_of(client.latest_height)
    root = states.consensus(last).root.hash
    committed: tuple[tuple[str, Message, bytes], ...] = (
        (CLIENT_KEY, zeroed(new[0]), upgrade.proof_client),
        (CONSENSUS_KEY, complete_consensus_state(new[1]), upgrade.proof_consensus_state),
    )
    for key, message, proof in committed:
        path = upgrade_path(client.upgrade_path, last, key)
        check_member((client.proof_specs, root), path, proof, encode(pack(message)))


def upgrade_path(upgrade_keys: Sequence[str], last: Height, key: str) -> tuple[bytes, ...]:
    """Keys, root tree first: `("upgrade", "upgradedIBCState/{last height}/{key}")`."""
    *trees, lowest = upgrade_keys
    return tuple(text.encode() for text in (*trees, f"{lowest}/{last.height}/{key}"))


def zeroed(state: ClientState) -> ClientState:
    """What the counterparty's chain decides about its clients; the rest empty (`ZeroCustomFields`)."""
    return complete_client_state(
        ClientState(
            chain_id=state.chain_id,
            unbonding_period=state.unbonding_period,
            latest_height=state.latest_height,
            proof_specs=state.proof_specs,
            upgrade_path=state.upgrade_path,
        )
    )


def _renewed(old: ClientState, new: ClientState) -> ClientState:
    made = zeroed(new)
    trusting_ns, before_ns, after_ns = (
        duration_ns(span) for span in (old.trusting_period, old.unbonding_period, new.unbonding_period)
    )
    if after_ns < before_ns:
        trusting_ns = scaled_period_ns(trusting_ns, before_ns, after_ns)
    made.trusting_period.CopyFrom(duration(trusting_ns))
    made.trust_level.CopyFrom(old.trust_level)
    made.max_clock_drift.CopyFrom(old.max_clock_drift)
    return made


def scaled_period_ns(trusting_ns: int, before_ns: int, after_ns: int) -> int:
    """Trusting period times new over old unbonding period, rounded to 18 decimals and then cut, as ibc-go does it."""
    if after_ns <= 0:
        return 0
    quotient, rest = divmod(trusting_ns * after_ns * DECIMAL**2 // before_ns, DECIMAL)
    half = DECIMAL // 2
    quotient += rest > half or (rest == half and quotient % 2)
    return quotient // DECIMAL
