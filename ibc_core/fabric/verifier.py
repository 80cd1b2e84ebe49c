"""Judges an endorsed payload: what its endorsers attest, or which of the checks failed. Pure; time is an argument.

The order is the cheap first: the proposal (whose hash binds channel, chaincode, function and arguments), the response,
the read-write set, the attestations in it; then who signed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import fabric_client
from fabric_wire import p256, strict
from fabric_wire.msp import Member, require_member
from fabric_wire.proposals import Parts, read_parts
from fabric_wire.responses import LIFECYCLE, OK, Action, NamespaceSet, Write, read_action
from fabric_wire.x509 import read_identity
from ibc_core.fabric import records
from ibc_core.fabric.errors import (
    DuplicateEndorser,
    ForeignWrite,
    InvalidAttestation,
    InvalidEndorsements,
    InvalidResponse,
    ProposalHashMismatch,
    UncommittedRead,
    WrongChain,
    WrongChannel,
    WrongFunction,
    WrongHeight,
    WrongNamespace,
    WrongTime,
)
from ibc_core.fabric.membership import Members
from ibc_core.fabric.records import Asked, AttestArgs, Attestation, Membership, Scope, TickRecord

ENDORSEMENTS_MAX = 32
EndorsedPayload = fabric_client.EndorsedPayload
Endorsement = fabric_client.Endorsement


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What the verifier goes by: who is to speak, who may endorse, and its own time (ns)."""

    scope: Scope
    members: Members
    now_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """Facts of one tick. `values` by ICS-24 path; None is absence."""

    height: int
    time_ns: int
    values: Mapping[bytes, bytes | None]
    tick: TickRecord | None = None
    membership: Membership | None = None


def verify(trust: Trust, endorsed: EndorsedPayload) -> Attested:
    """The attested facts; raises a typed error at the first check that fails."""
    attested = read(trust.scope, endorsed)
    check_endorsements(trust, endorsed, attested.time_ns)
    return attested


def read(scope: Scope, endorsed: EndorsedPayload) -> Attested:
    """The same without a look at who signed: for whoever has the payload from a peer that it trusts."""
    parts = Parts(
        channel_header=endorsed.channel_header,
        signature_header=endorsed.signature_header,
        payload=endorsed.proposal_payload,
    )
    args = _check_proposal(scope, parts)
    action = read_action(endorsed.response_payload)
    _check_response(scope, parts, action)
    own = _own_set(scope, action.sets)
    attestations = _check_writes(scope, args, own)
    _check_reads(args, own, attestations)
    return _facts(args, attestations)


def _differs(refusal: type[ChainError], what: str, expected: object, got: object) -> None:
    if expected != got:
        raise refusal(f"{what}: expected {expected!r}, got {got!r}")


def _check_proposal(scope: Scope, parts: Parts) -> AttestArgs:
    asked = read_parts(parts)
    _differs(WrongChannel, "channel of the proposal", scope.channel_id, asked.channel_id)
    _differs(WrongNamespace, "chaincode of the proposal", scope.namespace, asked.chaincode)
    function = asked.args[0] if asked.args else b""
    _differs(WrongFunction, "function", records.FUNCTION, function[:64])
    _differs(WrongFunction, "number of arguments", 2, len(asked.args))
    return records.read_args(asked.args[1])


def _check_response(scope: Scope, parts: Parts, action: Action) -> None:
    _differs(ProposalHashMismatch, "proposal hash", parts.hash.hex(), action.proposal_hash.hex())
    _differs(InvalidResponse, "status", OK, action.status)
    _differs(WrongNamespace, "chaincode of the response", scope.namespace, action.chaincode)
    _differs(InvalidResponse, "bytes of chaincode events", 0, len(action.events))


def _own_set(scope: Scope, sets: Sequence[NamespaceSet]) -> NamespaceSet:
    """The chaincode's own reads and writes; others may only be the reads that peers add of their life cycle."""
    own = [item for item in sets if item.namespace == scope.namespace]
    if len(own) != 1:
        raise WrongNamespace(f"expected a set of {scope.namespace!r}, got {[item.namespace for item in sets]}")
    for item in sets:
        if item.has_private or item.has_ranges:
            raise ForeignWrite(f"{item.namespace}: expected plain reads and writes, got private data or range reads")
        if item is not own[0] and (item.namespace != LIFECYCLE or item.writes):
            raise ForeignWrite(
                f"expected no namespace but {scope.namespace!r} and reads of {LIFECYCLE!r}, got {item.namespace!r} "
                f"with {len(item.writes)} writes"
            )
    return own[0]


def _check_writes(scope: Scope, args: AttestArgs, own: NamespaceSet) -> Mapping[str, Attestation]:
    """Attestations by reserved key: exactly those that were asked for, each of this scope, height and one time."""
    wanted = {item.reserved_key: item for item in records.asked(args)}
    written = [write.key for write in own.writes]
    if sorted(wanted) != written:
        raise ForeignWrite(f"expected the writes {_short(sorted(wanted))}, got {_short(written)}")
    found = {write.key: _read_attestation(scope, args, wanted[write.key], write) for write in own.writes}
    times = sorted({attestation.time_ns for attestation in found.values()})
    if len(times) != 1 or times[0] == 0:
        raise WrongTime(f"expected one time of all attestations, got {times[:4]}")
    return found


def _short(keys: Sequence[str]) -> str:
    return f"{len(keys)} {[key[:80] for key in keys[:4]]}"


def _read_attestation(scope: Scope, args: AttestArgs, item: Asked, write: Write) -> Attestation:
    if write.is_delete:
        raise InvalidAttestation(f"{write.key[:80]}: expected a value, got a deletion")
    found = strict.read(Attestation, write.value, InvalidAttestation)
    _differs(WrongChain, "chain id", scope.chain_id, found.chain_id)
    _differs(WrongChannel, "channel of the attestation", scope.channel_id, found.channel_id)
    _differs(WrongNamespace, "chaincode of the attestation", scope.namespace, found.namespace)
    _differs(WrongHeight, "height of the attestation", args.height, found.height)
    _differs(InvalidAttestation, "path", item.path.hex(), found.path.hex())
    if found.present != bool(found.value):
        raise InvalidAttestation(f"{write.key[:80]}: expected a value when present, none when absent, got otherwise")
    return found


def _check_reads(args: AttestArgs, own: NamespaceSet, attestations: Mapping[str, Attestation]) -> None:
    """The read set is the peers' word, not the chaincode's: what is attested is what they had committed."""
    versions = {read.key: read.version for read in own.reads}
    for key in (records.TICK, *(item.state_key for item in records.asked(args))):
        if key not in versions:
            raise UncommittedRead(f"expected a read of {key[:80]!r}, got {_short(sorted(versions))}")
    if versions[records.TICK] is None:
        raise UncommittedRead("expected a committed tick record, got none")
    for item in records.asked(args):
        is_committed = versions[item.state_key] is not None
        _differs(
            UncommittedRead, f"presence of {item.state_key[:80]}", is_committed, attestations[item.reserved_key].present
        )


def _facts(args: AttestArgs, attestations: Mapping[str, Attestation]) -> Attested:
    values: dict[bytes, bytes | None] = {}
    for item in records.asked(args):
        found = attestations[item.reserved_key]
        if item.path:
            values[item.path] = found.value if found.present else None
    first = next(iter(attestations.values()))
    return Attested(
        height=first.height,
        time_ns=first.time_ns,
        values=values,
        tick=_tick(attestations) if args.tick else None,
        membership=_membership(args, attestations) if args.membership_version else None,
    )


def _tick(attestations: Mapping[str, Attestation]) -> TickRecord:
    found = attestations[records.RESERVED + records.TICK]
    tick = strict.read(TickRecord, found.value, InvalidAttestation)
    _differs(WrongHeight, "height of the tick record", found.height, tick.height)
    _differs(WrongTime, "time of the tick record", found.time_ns, tick.time_ns)
    return tick


def _membership(args: AttestArgs, attestations: Mapping[str, Attestation]) -> Membership:
    found = attestations[records.RESERVED + records.MEMBERSHIP]
    membership = strict.read(Membership, found.value, InvalidAttestation)
    _differs(InvalidAttestation, "membership version", args.membership_version, membership.version)
    return membership


def check_endorsements(trust: Trust, endorsed: EndorsedPayload, attested_ns: int) -> None:
    """Distinct valid members signed, and they satisfy the policy; raises the first thing that is not so."""
    count = len(endorsed.endorsements)
    if not 0 < count <= ENDORSEMENTS_MAX:
        raise InvalidEndorsements(f"expected 1..{ENDORSEMENTS_MAX} endorsements, got {count}")
    signers: list[Member] = []
    for endorsement in endorsed.endorsements:
        signer = _check_endorsement(trust, endorsement, attested_ns, endorsed.response_payload)
        if any(signer.certificate.key == other.certificate.key for other in signers):
            raise DuplicateEndorser(f"expected each endorser once, got {signer.certificate.name} again")
        signers.append(signer)
    trust.members.policy.require(signers)


def of_members(trust: Trust, endorsed: EndorsedPayload, attested_ns: int) -> EndorsedPayload:
    """The payload with those endorsements alone that are valid members': others would have it refused. For relayers."""
    kept = [item for item in endorsed.endorsements if _is_members(trust, item, attested_ns, endorsed.response_payload)]
    made = EndorsedPayload()
    made.CopyFrom(endorsed)
    del made.endorsements[:]
    made.endorsements.extend(kept)
    return made


def _is_members(trust: Trust, endorsement: Endorsement, attested_ns: int, payload: bytes) -> bool:
    try:
        _check_endorsement(trust, endorsement, attested_ns, payload)
    except ChainError:
        return False
    return True


def _check_endorsement(trust: Trust, endorsement: Endorsement, attested_ns: int, payload: bytes) -> Member:
    """The member who signed. Valid when it attested, and still so now: keys of old certificates attest nothing."""
    identity = read_identity(endorsement.endorser)
    require_member(trust.members.msps, identity, attested_ns)
    member = require_member(trust.members.msps, identity, trust.now_ns)
    p256.verify(identity.certificate.key, payload + endorsement.endorser, endorsement.signature)
    return member
