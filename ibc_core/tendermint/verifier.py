"""Header verification: pure checks of one fact each, and three answers.

A trusted header and a newer one are compared (`light.Verify` of CometBFT v0.38, ICS-07). One step apart, the newer one
has to carry exactly the validators that the trusted one announced; further apart, more than the trust level of the
trusted validators' power has to have signed it. In both cases more than two thirds of its own validators' power signed.
`now` is an argument: the block time of the chain that hosts the client, or a relayer's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cosmos_wire import canonical
from cosmos_wire.errors import ChainError
from cosmos_wire.protos import cmt_types, cmt_validator
from ibc_core.errors import InvalidHeader as InvalidClientHeader
from ibc_core.tendermint.errors import InvalidValidatorSet, TrustingPeriodExpired
from ibc_core.tendermint.times import INT64_MAX, is_time, time_ns
from ibc_core.tendermint.validators import Validator, ValidatorSet

BLOCK_PROTOCOL = 11
CHAIN_ID_BYTES_MAX = 50
SIGNATURES_MAX = 200  # bounds the work that one header can ask for
SIGNATURE_BYTES_MAX = 3_309  # CometBFT's largest (ML-DSA-65), for entries that are not looked at
SIGNATURE_BYTES = 64  # ed25519 and secp256k1
COMMIT, NIL = cmt_validator.BLOCK_ID_FLAG_COMMIT, cmt_validator.BLOCK_ID_FLAG_NIL
ABSENT = cmt_validator.BLOCK_ID_FLAG_ABSENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """What is known of a header that was verified before; its next validators are checked against their hash."""

    chain_id: str
    height: int
    time_ns: int
    next_validators_hash: bytes
    next_validators: ValidatorSet


@dataclass(frozen=True, slots=True, kw_only=True)
class LightBlock:
    """A header with the commit that is to prove it and the validators that are to have signed it."""

    header: cmt_types.Header
    commit: cmt_types.Commit
    validators: ValidatorSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Trust level as a fraction in [1/3, 1], trusting period and clock drift in ns."""

    trust_numerator: int
    trust_denominator: int
    trusting_period_ns: int
    max_clock_drift_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Everything a check may look at."""

    trusted: Trusted
    block: LightBlock
    options: Options
    now_ns: int


@dataclass(frozen=True, slots=True)
class Valid:
    """The header may be trusted."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """It never will be; `error` is the refusal that fits."""

    detail: str
    error: type[ChainError] = InvalidClientHeader


@dataclass(frozen=True, slots=True)
class NotEnoughTrust:
    """It may be fine, but too few of the trusted validators signed: verify a header in between first."""

    power: int
    needed: int  # has to be exceeded

    def __str__(self) -> str:
        return f"invalid commit -- insufficient voting power: got {self.power}, needed more than {self.needed}"


Verdict = Valid | Invalid | NotEnoughTrust
Fault = Invalid | None
Check = Callable[[Step], Fault]


def verify(step: Step) -> Verdict:
    """The verdict on `step.block` as of `step.now_ns`."""
    adjacent = step.block.header.height == step.trusted.height + 1
    for check in (*COMMON_CHECKS, validators_were_announced) if adjacent else COMMON_CHECKS:
        if (fault := check(step)) is not None:
            return fault
    if not adjacent:
        overlap = verify_trusting(step.trusted.chain_id, step.trusted.next_validators, step.block.commit, step.options)
        if not isinstance(overlap, Valid):
            return overlap
    return verify_own_set(step.trusted.chain_id, step.block.validators, step.block.commit)


# --- one fact each ---------------------------------------------------------------------------------------------------


def trusted_is_fresh(step: Step) -> Fault:
    """The trusting period of the trusted header is not over."""
    ends_ns = step.trusted.time_ns + step.options.trusting_period_ns
    if ends_ns > step.now_ns:
        return None
    return Invalid(f"trusted header expired at {ends_ns} ns, now is {step.now_ns} ns", TrustingPeriodExpired)


def announced_set_is_genuine(step: Step) -> Fault:
    """The trusted validators that came along are those that the trusted header announced."""
    expected, got = step.trusted.next_validators_hash, step.trusted.next_validators.hash
    if expected == got:
        return None
    return Invalid(
        f"trusted validators do not hash to latest trusted validators. Expected: {_hex(expected)}, got: {_hex(got)}",
        InvalidValidatorSet,
    )


def header_is_well_formed(step: Step) -> Fault:
    """Sizes and ranges of the header's fields."""
    return _wrap("invalid header", header_fault(step.block.header))


def commit_is_well_formed(step: Step) -> Fault:
    """Sizes and ranges of the commit's fields, and how many signatures."""
    return _wrap("invalid commit", commit_fault(step.block.commit))


def chain_is_the_same(step: Step) -> Fault:
    """Both headers belong to one chain, revision included."""
    expected, got = step.trusted.chain_id, step.block.header.chain_id
    return None if expected == got else Invalid(f"header belongs to another chain {got!r}, not {expected!r}")


def commit_is_for_header(step: Step) -> Fault:
    """The commit names this header's height and hash."""
    return _wrap("invalid commit", link_fault(step.block.header, step.block.commit))


def height_grows(step: Step) -> Fault:
    """The header is newer."""
    old, new = step.trusted.height, step.block.header.height
    return None if new > old else Invalid(f"header height ≤ consensus state height ({new} ≤ {old})")


def time_grows(step: Step) -> Fault:
    """Its time is later."""
    old_ns, new_ns = step.trusted.time_ns, time_ns(step.block.header.time)
    return None if new_ns > old_ns else Invalid(f"header time {new_ns} ns is not after the trusted {old_ns} ns")


def time_is_not_ahead(step: Step) -> Fault:
    """Its time is less than the drift ahead of now."""
    new_ns, limit_ns = time_ns(step.block.header.time), step.now_ns + step.options.max_clock_drift_ns
    if new_ns < limit_ns:
        return None
    return Invalid(f"new header has a time from the future: {new_ns} ns, expected before {limit_ns} ns")


def validators_match_header(step: Step) -> Fault:
    """The validators that came along are those that the header names."""
    expected, got = step.block.header.validators_hash, step.block.validators.hash
    return None if expected == got else Invalid(f"validator set hash: expected {_hex(expected)}, got {_hex(got)}")


def validators_were_announced(step: Step) -> Fault:
    """Of the next header: its validators are those that the trusted header announced."""
    expected, got = step.trusted.next_validators_hash, step.block.header.validators_hash
    return None if expected == got else Invalid(f"next validators: expected {_hex(expected)}, got {_hex(got)}")


COMMON_CHECKS: tuple[Check, ...] = (
    trusted_is_fresh,
    announced_set_is_genuine,
    header_is_well_formed,
    commit_is_well_formed,
    chain_is_the_same,
    commit_is_for_header,
    height_grows,
    time_grows,
    time_is_not_ahead,
    validators_match_header,
)


# --- form ------------------------------------------------------------------------------------------------------------


def header_fault(header: cmt_types.Header) -> str | None:
    """What is wrong with a header by itself (`Header.ValidateBasic`)."""
    if header.version.block != BLOCK_PROTOCOL:
        return f"block protocol is incorrect: expected {BLOCK_PROTOCOL}, got {header.version.block}"
    if len(header.chain_id.encode()) > CHAIN_ID_BYTES_MAX:
        return f"chain id has {len(header.chain_id.encode())} bytes, expected at most {CHAIN_ID_BYTES_MAX}"
    if header.height <= 0:
        return f"height: expected above 0, got {header.height}"
    if not header.HasField("time") or not is_time(header.time):
        return "time is missing or outside of the years 1 to 9999"
    if len(header.proposer_address) != canonical.ADDRESS_BYTES:
        return f"proposer address: expected {canonical.ADDRESS_BYTES} bytes, got {len(header.proposer_address)}"
    return _first(_hash_faults(header)) or block_id_fault(header.last_block_id)


def _hash_faults(header: cmt_types.Header) -> Iterable[str | None]:
    """Hashes are empty or 32 bytes; the app hash is the application's."""
    for name in (
        "last_commit_hash",
        "data_hash",
        "validators_hash",
        "next_validators_hash",
        "consensus_hash",
        "last_results_hash",
        "evidence_hash",
    ):
        yield _hash_fault(name, getattr(header, name))


def _hash_fault(name: str, value: bytes) -> str | None:
    if len(value) in {0, canonical.HASH_BYTES}:
        return None
    return f"{name}: expected {canonical.HASH_BYTES} bytes or none, got {len(value)}"


def block_id_fault(block_id: cmt_types.BlockID) -> str | None:
    """What is wrong with a block identifier."""
    return _hash_fault("block hash", block_id.hash) or _hash_fault("parts hash", block_id.part_set_header.hash)


def commit_fault(commit: cmt_types.Commit) -> str | None:
    """What is wrong with a commit by itself (`Commit.ValidateBasic`), and more signatures than we check."""
    if commit.height <= 0 or commit.round < 0:
        return f"expected height above 0 and round not negative, got {commit.height} and {commit.round}"
    if canonical.is_nil_block(commit.block_id):
        return "commit cannot be for nil block"
    if not 0 < len(commit.signatures) <= SIGNATURES_MAX:
        return f"expected 1 to {SIGNATURES_MAX} signatures, got {len(commit.signatures)}"
    return block_id_fault(commit.block_id) or _first(
        f"signature #{index}: {fault}"
        for index, signature in enumerate(commit.signatures)
        if (fault := signature_fault(signature)) is not None
    )


def signature_fault(signature: cmt_types.CommitSig) -> str | None:
    """What is wrong with one entry of a commit by itself (`CommitSig.ValidateBasic`)."""
    if signature.block_id_flag == ABSENT:
        return _absent_fault(signature)
    if signature.block_id_flag not in {COMMIT, NIL}:
        return f"unknown block id flag {signature.block_id_flag}"
    if not is_time(signature.timestamp):
        return "time is outside of the years 1 to 9999"
    if len(signature.validator_address) != canonical.ADDRESS_BYTES:
        return f"address: expected {canonical.ADDRESS_BYTES} bytes, got {len(signature.validator_address)}"
    if not 0 < len(signature.signature) <= SIGNATURE_BYTES_MAX:
        return f"expected 1 to {SIGNATURE_BYTES_MAX} bytes, got {len(signature.signature)}"
    return None


def _absent_fault(signature: cmt_types.CommitSig) -> str | None:
    time = canonical.time_of(signature.timestamp, present=signature.HasField("timestamp"))
    if signature.validator_address or signature.signature or time != (canonical.YEAR_ONE_S, 0):
        return "an absent vote has no address, time or signature"
    return None


def link_fault(header: cmt_types.Header, commit: cmt_types.Commit) -> str | None:
    """Whether a commit is for a header."""
    if header.height != commit.height:
        return f"header and commit height mismatch: {header.height} vs {commit.height}"
    expected = canonical.header_hash(header)
    if expected != commit.block_id.hash:
        return f"commit signs block {_hex(commit.block_id.hash)}, header is block {_hex(expected)}"
    return None


# --- signatures ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signer:
    """A commit's entry for the block and who it belongs to."""

    index: int
    validator: Validator


def verify_own_set(chain_id: str, validators: ValidatorSet, commit: cmt_types.Commit) -> Verdict:
    """More than 2/3 of the set's power signed; entry i belongs to validator i (`VerifyCommitLight`)."""
    if len(validators.validators) != len(commit.signatures):
        return Invalid(f"expected {len(validators.validators)} signatures, got {len(commit.signatures)}")
    verdict = _judge(chain_id, commit, _own_signers(validators, commit), validators.total_power * 2 // 3)
    return Invalid(str(verdict)) if isinstance(verdict, NotEnoughTrust) else verdict


def verify_trusting(chain_id: str, trusted: ValidatorSet, commit: cmt_types.Commit, options: Options) -> Verdict:
    """More than the trust level of the trusted set's power signed (`VerifyCommitLightTrusting`)."""
    product = trusted.total_power * options.trust_numerator
    if product > INT64_MAX:
        return Invalid(f"trust level {options.trust_numerator} times power {trusted.total_power} exceeds 64 bits")
    return _judge(chain_id, commit, _trusted_signers(trusted, commit), product // options.trust_denominator)


def _own_signers(validators: ValidatorSet, commit: cmt_types.Commit) -> Iterator[Signer | Invalid]:
    for index, (validator, entry) in enumerate(zip(validators.validators, commit.signatures, strict=True)):
        if entry.block_id_flag != COMMIT:
            continue
        if entry.validator_address != validator.address:
            yield Invalid(f"validator address mismatch at index {index}: expected {_hex(validator.address)}")
        yield Signer(index, validator)


def _trusted_signers(trusted: ValidatorSet, commit: cmt_types.Commit) -> Iterator[Signer | Invalid]:
    """Entries of strangers are passed over; a trusted validator who appears twice makes the commit invalid."""
    seen: dict[bytes, int] = {}
    for index, entry in enumerate(commit.signatures):
        validator = trusted.by_address.get(entry.validator_address) if entry.block_id_flag == COMMIT else None
        if validator is None:
            continue
        first = seen.setdefault(validator.address, index)
        if first != index:
            yield Invalid(f"double vote from {_hex(validator.address)} ({first} and {index})")
        yield Signer(index, validator)


def _judge(chain_id: str, commit: cmt_types.Commit, signers: Iterable[Signer | Invalid], needed: int) -> Verdict:
    """Entries are taken in order until their power exceeds `needed`; those, and only those, have to verify.

    Power is counted before any signature is looked at, so that a commit without enough of it costs nothing.
    """
    power, taken = 0, []
    for signer in signers:
        if isinstance(signer, Invalid):
            return signer
        size = len(commit.signatures[signer.index].signature)
        if size != SIGNATURE_BYTES:
            return Invalid(f"signature #{signer.index}: expected {SIGNATURE_BYTES} bytes, got {size}")
        power += signer.validator.voting_power
        taken.append(signer)
        if power > needed:
            return _genuine(chain_id, commit, taken)
    return NotEnoughTrust(power, needed)


def _genuine(chain_id: str, commit: cmt_types.Commit, signers: Iterable[Signer]) -> Verdict:
    for signer in signers:
        message = canonical.precommit_sign_bytes(chain_id, commit, signer.index)
        if not signer.validator.verifies(message, commit.signatures[signer.index].signature):
            return Invalid(f"wrong signature (#{signer.index}) of {_hex(signer.validator.address)}")
    return Valid()


def _first(faults: Iterable[str | None]) -> str | None:
    return next((fault for fault in faults if fault is not None), None)


def _wrap(what: str, fault: str | None) -> Fault:
    return None if fault is None else Invalid(f"{what}: {fault}")


def _hex(value: bytes) -> str:
    return value.hex().upper()
