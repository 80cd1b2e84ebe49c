"""The client's messages: unpacking from Any, the form that ibc-go stores, and what each has to satisfy by itself."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

from cosmos_wire.canonical import HASH_BYTES
from cosmos_wire.errors import ChainError
from cosmos_wire.protos import Any, DecodeError, Message, tendermint_client
from ibc_core import errors
from ibc_core.light_client import Height
from ibc_core.state import encode, height_of, revision_of
from ibc_core.tendermint import verifier
from ibc_core.tendermint.errors import (
    InvalidChainID,
    InvalidHeaderHeight,
    InvalidMaxClockDrift,
    InvalidProofSpecs,
    InvalidTrustingPeriod,
    InvalidTrustLevel,
    InvalidUnbondingPeriod,
)
from ibc_core.tendermint.times import SECOND_NS, duration_ns, is_duration, is_time, time_ns
from ibc_core.tendermint.validators import read_validator_set

M = TypeVar("M", bound=Message)
ClientState: TypeAlias = tendermint_client.ClientState
ConsensusState: TypeAlias = tendermint_client.ConsensusState
Header: TypeAlias = tendermint_client.Header
Misbehaviour: TypeAlias = tendermint_client.Misbehaviour


def type_url(kind: type[Message]) -> str:
    """`/ibc.lightclients.tendermint.v1.Header`."""
    return f"/{kind.DESCRIPTOR.full_name}"


def pack(message: Message) -> Any:
    """In an Any, as ibc-go's codec does it."""
    return Any(type_url=type_url(type(message)), value=encode(message))


def unpack(packed: Any, kind: type[M], refusal: type[ChainError]) -> M:
    """Message of an Any; raises `refusal` for another type, IbcUnpackAny for bytes that are broken or carry more."""
    if packed.type_url != type_url(kind):
        raise refusal(f"expected {type_url(kind)}, got {packed.type_url!r}")
    message = kind()
    try:
        message.ParseFromString(packed.value)
    except DecodeError as error:
        raise errors.IbcUnpackAny(f"{type_url(kind)} of {len(packed.value)} bytes: {error}") from error
    size = message.ByteSize()
    message.DiscardUnknownFields()  # type: ignore[attr-defined]  # the stubs lack it
    if message.ByteSize() != size:
        raise errors.IbcUnpackAny(f"{type_url(kind)} carries {size - message.ByteSize()} bytes of unknown fields")
    return message


def complete_client_state(state: ClientState) -> ClientState:
    """With every part present that gogoproto can't leave out."""
    for part in (
        state.trust_level,
        state.trusting_period,
        state.unbonding_period,
        state.max_clock_drift,
        state.frozen_height,
        state.latest_height,
    ):
        part.SetInParent()
    return state


def complete_consensus_state(state: ConsensusState) -> ConsensusState:
    """With time and root present."""
    state.timestamp.SetInParent()
    state.root.SetInParent()
    return state


def check_client_state(state: ClientState) -> None:
    """`ClientState.Validate`."""
    _check_chain(state)
    level = state.trust_level
    if not level.denominator <= level.numerator * 3 <= level.denominator * 3 or not level.denominator:
        raise InvalidTrustLevel(f"expected within [1/3, 1], got {level.numerator}/{level.denominator}")
    _check_periods(state)
    if not state.proof_specs:
        raise InvalidProofSpecs("proof specs cannot be nil for tm client")
    for index, key in enumerate(state.upgrade_path):
        if not key.strip():
            raise errors.InvalidClient(f"key in upgrade path at index {index} cannot be empty")


def _check_chain(state: ClientState) -> None:
    size, latest = len(state.chain_id.encode()), height_of(state.latest_height)
    if not state.chain_id.strip():
        raise InvalidChainID("chain id cannot be empty string")
    if size > verifier.CHAIN_ID_BYTES_MAX:
        raise InvalidChainID(f"chainID is too long; got: {size}, max: {verifier.CHAIN_ID_BYTES_MAX}")
    if latest.revision != revision_of(state.chain_id):
        raise InvalidHeaderHeight(
            "latest height revision number must match chain id revision number "
            f"({latest.revision} != {revision_of(state.chain_id)})"
        )
    if latest.height == 0:
        raise InvalidHeaderHeight("tendermint client's latest height revision height cannot be zero")


def _check_periods(state: ClientState) -> None:
    for span, name, refusal in (
        (state.trusting_period, "trusting period", InvalidTrustingPeriod),
        (state.unbonding_period, "unbonding period", InvalidUnbondingPeriod),
        (state.max_clock_drift, "max clock drift", InvalidMaxClockDrift),
    ):
        if not is_duration(span) or duration_ns(span) <= 0:
            raise refusal(f"{name} must be greater than zero, got {span.seconds} s {span.nanos} ns")
    trusting_ns, unbonding_ns = duration_ns(state.trusting_period), duration_ns(state.unbonding_period)
    if trusting_ns >= unbonding_ns:
        raise InvalidTrustingPeriod(
            f"trusting period ({trusting_ns} ns) should be < unbonding period ({unbonding_ns} ns)"
        )


def check_consensus_state(state: ConsensusState) -> None:
    """`ConsensusState.ValidateBasic`."""
    if not state.root.hash:
        raise errors.InvalidConsensus("root cannot be empty")
    if len(state.next_validators_hash) not in {0, HASH_BYTES}:
        raise errors.InvalidConsensus(
            f"next validators hash: expected {HASH_BYTES} bytes, got {len(state.next_validators_hash)}"
        )
    if not is_time(state.timestamp) or time_ns(state.timestamp) < SECOND_NS:
        raise errors.InvalidConsensus(f"timestamp must be a positive Unix time, got {state.timestamp.seconds} s")


def header_height(header: Header) -> Height:
    """Height with the revision of the chain id that the header itself names."""
    inner = header.signed_header.header
    return Height(revision_of(inner.chain_id), inner.height)


def consensus_of(header: Header) -> ConsensusState:
    """What the client keeps of a header."""
    inner = header.signed_header.header
    state = ConsensusState(timestamp=inner.time, next_validators_hash=inner.next_validators_hash)
    state.root.hash = inner.app_hash
    return complete_consensus_state(state)


def check_header(header: Header) -> None:
    """`Header.ValidateBasic`: form, commit and validators that belong to it, a trusted height below its own."""
    signed, trusted = header.signed_header, height_of(header.trusted_height)
    for name in ("header", "commit"):
        if not signed.HasField(name):
            raise errors.InvalidHeader(f"tendermint {name} cannot be nil")
    fault = (
        verifier.header_fault(signed.header)
        or verifier.commit_fault(signed.commit)
        or verifier.link_fault(signed.header, signed.commit)
    )
    if fault is not None:
        raise errors.InvalidHeader(f"header failed basic validation: {fault}")
    if trusted >= header_height(header):
        raise InvalidHeaderHeight(f"TrustedHeight {trusted} must be less than header height {header_height(header)}")
    _check_validators(header)


def _check_validators(header: Header) -> None:
    if not header.HasField("validator_set"):
        raise errors.InvalidHeader("validator set is nil")
    got, expected = read_validator_set(header.validator_set).hash, header.signed_header.header.validators_hash
    if got != expected:
        raise errors.InvalidHeader(f"validator set does not match hash: expected {expected.hex()}, got {got.hex()}")
