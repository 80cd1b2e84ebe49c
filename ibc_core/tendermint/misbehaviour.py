"""Proof that a counterparty's validators broke the rules: two headers that can't both be right."""

from __future__ import annotations

from ibc_core import errors, paths
from ibc_core.state import height_of, revision_of
from ibc_core.tendermint import verifier
from ibc_core.tendermint.errors import InvalidHeader, InvalidHeaderHeight, InvalidValidatorSet, TrustingPeriodExpired
from ibc_core.tendermint.states import ClientStates
from ibc_core.tendermint.times import duration_ns, time_ns
from ibc_core.tendermint.validators import read_validator_set
from ibc_core.tendermint.wire import ClientState, ConsensusState, Header, Misbehaviour, check_header, header_height


def check_misbehaviour(message: Misbehaviour) -> None:
    """`Misbehaviour.ValidateBasic`: of the right form, and each header committed by its own set."""
    check_form(message)
    for header in (message.header_1, message.header_2):
        _check_own_commit(header)


def check_form(message: Misbehaviour) -> None:
    """Two headers of one chain, the higher first."""
    for field in ("header_1", "header_2"):
        if not message.HasField(field):
            raise InvalidHeader(f"misbehaviour {field} cannot be nil")
    for name, header in (("Header1", message.header_1), ("Header2", message.header_2)):
        _check_trusted_parts(name, header)
    first, second = message.header_1, message.header_2
    if first.signed_header.header.chain_id != second.signed_header.header.chain_id:
        raise errors.InvalidMisbehaviour("headers must have identical chainIDs")
    paths.require_client_id(message.client_id, "misbehaviour client ID")
    for name, header in (("header 1", first), ("header 2", second)):
        _check_header(name, header)
    if header_height(first) < header_height(second):
        raise errors.InvalidMisbehaviour(
            f"Header1 height is less than Header2 height ({header_height(first)} < {header_height(second)})"
        )


def _check_trusted_parts(name: str, header: Header) -> None:
    if header.trusted_height.revision_height == 0:
        raise InvalidHeaderHeight(f"misbehaviour {name} cannot have zero revision height")
    if not header.HasField("trusted_validators"):
        raise InvalidValidatorSet(f"trusted validator set in {name} cannot be empty")


def _check_header(name: str, header: Header) -> None:
    try:
        check_header(header)
    except (errors.InvalidHeader, InvalidHeaderHeight, InvalidValidatorSet) as error:
        raise errors.InvalidMisbehaviour(f"{name} failed validation: {error}") from error


def _check_own_commit(header: Header) -> None:
    signed = header.signed_header
    verdict = verifier.verify_own_set(signed.header.chain_id, read_validator_set(header.validator_set), signed.commit)
    if isinstance(verdict, verifier.Invalid):
        raise errors.InvalidMisbehaviour(f"validator set did not commit to header: {verdict.detail}")


def verify_misbehaviour(states: ClientStates, message: Misbehaviour, now_ns: int) -> None:
    """Whether the client would have had to believe both headers; raises when not."""
    check_misbehaviour(message)
    client = states.client()
    for header in (message.header_1, message.header_2):
        _verify_one(client, states.consensus(height_of(header.trusted_height)), header, now_ns)


def _verify_one(client: ClientState, trusted: ConsensusState, header: Header, now_ns: int) -> None:
    """The stored state announced the trusted validators, is fresh, and enough of them signed."""
    validators = read_validator_set(header.trusted_validators)
    if validators.hash != trusted.next_validators_hash:
        raise InvalidValidatorSet(
            "trusted validators do not hash to latest trusted validators. "
            f"Expected: {trusted.next_validators_hash.hex()}, got: {validators.hash.hex()}"
        )
    age_ns, period_ns = now_ns - time_ns(trusted.timestamp), duration_ns(client.trusting_period)
    if age_ns >= period_ns:
        raise TrustingPeriodExpired(f"age of the consensus state: {age_ns} ns, trusting period: {period_ns} ns")
    chain_id, got = (
        _with_revision(client.chain_id, header_height(header).revision),
        header.signed_header.header.chain_id,
    )
    if got != chain_id:
        raise errors.InvalidMisbehaviour(f"header belongs to another chain {got!r}, not {chain_id!r}")
    verdict = verifier.verify_trusting(chain_id, validators, header.signed_header.commit, options_of(client))
    if not isinstance(verdict, verifier.Valid):
        detail = verdict.detail if isinstance(verdict, verifier.Invalid) else str(verdict)
        raise errors.InvalidMisbehaviour(f"too much change from trusted validator set: {detail}")


def _with_revision(chain_id: str, revision: int) -> str:
    """The chain's name under another revision; a name without one stays."""
    if not revision_of(chain_id):
        return chain_id
    return f"{chain_id.rpartition('-')[0]}-{revision}"


def options_of(client: ClientState) -> verifier.Options:
    """What the client's creator chose."""
    return verifier.Options(
        trust_numerator=client.trust_level.numerator,
        trust_denominator=client.trust_level.denominator,
        trusting_period_ns=duration_ns(client.trusting_period),
        max_clock_drift_ns=duration_ns(client.max_clock_drift),
    )


def headers_conflict(message: Misbehaviour) -> bool:
    """Two blocks at one height, or a higher block that is not later."""
    first, second = message.header_1, message.header_2
    if header_height(first) == header_height(second):
        return first.signed_header.commit.block_id.hash != second.signed_header.commit.block_id.hash
    return time_ns(first.signed_header.header.time) <= time_ns(second.signed_header.header.time)


def contradicts(states: ClientStates, header: Header, state: ConsensusState) -> bool:
    """Whether a verified header's state differs from the one at its height, or breaks the order of time."""
    height = header_height(header)
    stored = states.find_consensus(height)
    if stored is not None:
        return bool(stored != state)
    at_ns = time_ns(state.timestamp)
    before, after = states.preceding(height), states.following(height)
    if before is not None and time_ns(states.consensus(before).timestamp) >= at_ns:
        return True
    return after is not None and time_ns(states.consensus(after).timestamp) <= at_ns
