"""Client messages out of what a CometBFT node gives: for relayers, tools and tests. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cosmos_wire.protos import client, cmt_types, cmt_validator, ics23
from ibc_core.light_client import Height
from ibc_core.state import height_message, revision_of
from ibc_core.tendermint.times import duration
from ibc_core.tendermint.wire import (
    ClientState,
    ConsensusState,
    Header,
    Misbehaviour,
    complete_client_state,
    consensus_of,
)

UPGRADE_PATH = ("upgrade", "upgradedIBCState")  # where the SDK's upgrade module commits to the next client


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What whoever creates a client chooses; periods in ns, trust level a fraction in [1/3, 1]."""

    trusting_period_ns: int
    unbonding_period_ns: int
    max_clock_drift_ns: int
    trust_level: tuple[int, int] = (1, 3)
    upgrade_path: tuple[str, ...] = UPGRADE_PATH


def height_in(chain_id: str, height: int) -> Height:
    """A block's height with the revision of its chain."""
    return Height(revision_of(chain_id), height)


def client_state(chain_id: str, height: int, terms: Terms, specs: Sequence[ics23.ProofSpec]) -> ClientState:
    """First state of a client that begins at `height`."""
    state = ClientState(
        chain_id=chain_id,
        trusting_period=duration(terms.trusting_period_ns),
        unbonding_period=duration(terms.unbonding_period_ns),
        max_clock_drift=duration(terms.max_clock_drift_ns),
        latest_height=height_message(height_in(chain_id, height)),
        frozen_height=client.Height(),
        proof_specs=specs,
        upgrade_path=terms.upgrade_path,
    )
    state.trust_level.numerator, state.trust_level.denominator = terms.trust_level
    return complete_client_state(state)


def consensus_state(header: cmt_types.Header) -> ConsensusState:
    """What a client keeps of a header: time, app hash, next validators."""
    return consensus_of(Header(signed_header=cmt_types.SignedHeader(header=header)))


def validator_set(validators: Sequence[cmt_validator.Validator], proposer: bytes = b"") -> cmt_validator.ValidatorSet:
    """Set in its own order (power descending, address ascending: how `/validators` answers).

    `proposer` is an address; a set that doesn't hold it (or none is given) gets its first member: any member will do,
    no hash covers the choice. An empty set gets none, and no client accepts it.
    """
    chosen = next((each for each in validators if each.address == proposer), validators[0] if validators else None)
    total = sum(each.voting_power for each in validators)
    return cmt_validator.ValidatorSet(validators=validators, proposer=chosen, total_voting_power=total)


def header(
    signed: cmt_types.SignedHeader,
    validators: cmt_validator.ValidatorSet,
    trusted_height: Height,
    trusted_validators: cmt_validator.ValidatorSet,
) -> Header:
    """Update message: a block, its validators, and the validators that the block at `trusted_height` announced.

    `trusted_validators` are the set of height `trusted_height + 1`.
    """
    return Header(
        signed_header=signed,
        validator_set=validators,
        trusted_height=height_message(trusted_height),
        trusted_validators=trusted_validators,
    )


def misbehaviour(client_id: str, one: Header, other: Header) -> Misbehaviour:
    """Evidence, the higher header first."""
    first, second = sorted((one, other), key=lambda each: -each.signed_header.header.height)
    return Misbehaviour(client_id=client_id, header_1=first, header_2=second)
