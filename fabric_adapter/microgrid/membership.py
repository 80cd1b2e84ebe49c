"""How the next membership comes into force: organisations approve a record, somebody adopts it, the next Tick names it.

    approval/<version, 16 hex digits>/<MSP id>      SHA-256 of the record, then the SerializedIdentity of who approved

A record of version n + 1 needs administrators of organisations that satisfy the policy of version n with their peers:
whom light clients would believe anyway. Nothing here reads `tick`, so that Ticks don't get in the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256

from cosmos_wire.errors import ChainError
from fabric_adapter.microgrid.errors import InvalidCall, NotApproved, NotFounded, NotWriter
from fabric_adapter.stub import Stub
from fabric_wire import strict
from fabric_wire.msp import Member, Role, require_member
from fabric_wire.x509 import read_identity
from ibc_core.fabric import records
from ibc_core.fabric.membership import Members, check_membership, read_members
from ibc_core.fabric.records import Membership, TickRecord

APPROVAL = "approval"
DIGEST_BYTES = 32


def in_force(stub: Stub, version: int) -> Members:
    """The members of a version; raises NotFounded."""
    found = stub.get_state(records.membership_key(version))
    if found is None:
        raise NotFounded(f"expected membership {version} on the ledger, got none")
    return read_members(Membership.FromString(found))


def newest(stub: Stub, last: TickRecord) -> int:
    """Version that is in force from this tick on: the next one as soon as it is there."""
    following = last.membership_version + 1
    return last.membership_version if stub.get_state(records.membership_key(following)) is None else following


def creator(stub: Stub, members: Members, *roles: Role) -> Member:
    """The member who signed the proposal; raises NotWriter unless it has one of the roles."""
    identity = read_identity(stub.creator)
    try:
        member = require_member(members.msps, identity, stub.timestamp_ns)
    except ChainError as error:
        raise NotWriter(f"{identity.msp_id}: {error}") from error
    if member.role not in roles:
        wanted = " or ".join(role.value for role in roles)
        got = "none" if member.role is None else member.role.value
        raise NotWriter(f"role of {member.certificate.name}: expected {wanted}, got {got}")
    return member


def approve(stub: Stub, data: bytes) -> None:
    """An administrator's yes, in the name of the organisation; a later one replaces it."""
    record = _next_record(stub, data)
    member = creator(stub, in_force(stub, record.version - 1), Role.ADMIN)
    stub.put_state(_key(record.version, member.msp_id), sha256(data).digest() + stub.creator)


def adopt(stub: Stub, data: bytes) -> None:
    """Write the record when enough organisations approved it; raises NotApproved."""
    record = _next_record(stub, data)
    members = in_force(stub, record.version - 1)
    found = list(_approvers(stub, members, record.version, sha256(data).digest()))
    as_peers = [replace(member, role=Role.PEER) for member in found]
    if not members.policy.is_satisfied(as_peers):
        names = [member.msp_id for member in found]
        raise NotApproved(f"version {record.version}: expected organisations as {members.policy} asks, got {names}")
    stub.put_state(records.membership_key(record.version), data)


def _key(version: int, msp_id: str) -> str:
    return f"{APPROVAL}/{version:016x}/{msp_id}"


def _next_record(stub: Stub, data: bytes) -> Membership:
    """A record that may follow; its version is not on the ledger, the one before is (`in_force` sees to it)."""
    record = strict.read(Membership, data, InvalidCall)
    check_membership(record)
    if stub.get_state(records.membership_key(record.version)) is not None:
        raise InvalidCall(f"membership: expected a new version, got {record.version}")
    return record


def _approvers(stub: Stub, members: Members, version: int, digest: bytes) -> Iterator[Member]:
    for msp in members.msps:
        found = stub.get_state(_key(version, msp.msp_id)) or b""
        if found[:DIGEST_BYTES] == digest:
            yield require_member(members.msps, read_identity(found[DIGEST_BYTES:]), stub.timestamp_ns)
