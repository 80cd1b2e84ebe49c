"""Membership records as values: organisations and the policy over them."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import fabric_client
from fabric_wire import policy, strict
from fabric_wire.msp import Msp, check_msps
from fabric_wire.policy import Policy
from fabric_wire.x509 import read_certificate
from ibc_core.fabric.errors import InvalidMembership
from ibc_core.fabric.records import Membership

SERIAL_BYTES_MAX = 32
POLICY_BYTES_MAX = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Who may endorse."""

    version: int
    msps: tuple[Msp, ...]
    policy: Policy


def read_members(message: Membership) -> Members:
    """Value of a membership record; raises InvalidMembership and what certificates and policies raise."""
    if len(message.policy) > POLICY_BYTES_MAX:
        raise InvalidMembership(f"policy: expected at most {POLICY_BYTES_MAX} bytes, got {len(message.policy)}")
    return Members(
        version=message.version,
        msps=tuple(_read_msp(msp) for msp in message.msps),
        policy=policy.read_policy(message.policy),
    )


def _read_msp(message: fabric_client.Msp) -> Msp:
    return Msp(
        msp_id=message.msp_id,
        roots=tuple(read_certificate(raw) for raw in message.root_certificates),
        intermediates=tuple(read_certificate(raw) for raw in message.intermediate_certificates),
        revoked=tuple(_read_serial(raw) for raw in message.revoked_serials),
        node_ous=message.node_ous,
    )


def _read_serial(raw: bytes) -> int:
    if not 0 < len(raw) <= SERIAL_BYTES_MAX or raw[0] == 0:
        raise InvalidMembership(f"revoked serial: expected 1..{SERIAL_BYTES_MAX} bytes, minimal, got {raw[:40].hex()}")
    return int.from_bytes(raw, "big")


def check_membership(message: Membership) -> Members:
    """A membership that a client can live by; raises InvalidMembership with what is wrong."""
    if message.version == 0:
        raise InvalidMembership("expected a version from 1 on, got 0")
    try:
        members = read_members(message)
        check_msps(members.msps)
        policy.check_policy(members.policy, members.msps)
    except InvalidMembership:
        raise
    except ChainError as error:
        raise InvalidMembership(f"version {message.version}: {error}") from error
    return members


def write_members(members: Members) -> Membership:
    """Membership record."""
    return Membership(
        version=members.version,
        msps=[_write_msp(msp) for msp in sorted(members.msps, key=lambda each: each.msp_id)],
        policy=policy.write_policy(members.policy),
    )


def _write_msp(msp: Msp) -> fabric_client.Msp:
    return fabric_client.Msp(
        msp_id=msp.msp_id,
        root_certificates=[root.raw for root in msp.roots],
        intermediate_certificates=[authority.raw for authority in msp.intermediates],
        revoked_serials=[serial.to_bytes((serial.bit_length() + 7) // 8, "big") for serial in sorted(msp.revoked)],
        node_ous=msp.node_ous,
    )


def record(members: Members) -> bytes:
    """Bytes of a membership record, as the ledger keeps them."""
    return strict.write(write_members(members))
