"""Membership service providers: which certificates speak for an organisation, and in which role.

Rules of Fabric's own MSP (msp/mspimpl*.go, 2.5): one chain only to a root of the organisation; an authority that has
intermediate authorities below it signs no members; a certificate authority is no member; exactly one node role when
roles are on. Stricter than Fabric in two things: every certificate of the chain has to be valid at the time that the
verifier names (Fabric checks chains at the certificate's own beginning), and revoked intermediates count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from fabric_wire import p256
from fabric_wire.errors import (
    CertificateExpired,
    CertificateNotValidYet,
    CertificateRevoked,
    InvalidMsp,
    InvalidRole,
    InvalidSignature,
    UnknownOrganisation,
    UntrustedCertificate,
)
from fabric_wire.x509 import DIGITAL_SIGNATURE, KEY_CERT_SIGN, Certificate, Identity

MSPS_MAX = 64
AUTHORITIES_MAX = 16  # roots and intermediates of one organisation
REVOKED_MAX = 1024
CHAIN_MAX = 5  # certificates from a member to a root


class Role(Enum):
    """Node roles: the organisational units that certificates name."""

    CLIENT = "client"
    PEER = "peer"
    ADMIN = "admin"
    ORDERER = "orderer"


ROLES = {role.value: role for role in Role}


@dataclass(frozen=True, slots=True, kw_only=True)
class Msp:
    """An organisation. `revoked` are serial numbers, of whatever authority of the organisation; ascending.

    `node_ous`: whether certificates carry a node role (`client`, `peer`, `admin`, `orderer`).
    """

    msp_id: str
    roots: tuple[Certificate, ...]
    intermediates: tuple[Certificate, ...] = ()
    revoked: tuple[int, ...] = ()
    node_ous: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An identity that an organisation vouches for; `role` is None where roles are off."""

    msp_id: str
    role: Role | None
    certificate: Certificate


def check_msp(msp: Msp) -> None:
    """Whether the organisation's authorities are well-formed; raises InvalidMsp with what is wrong."""
    if not msp.msp_id:
        raise InvalidMsp("expected an MSP identifier, got none")
    authorities = (*msp.roots, *msp.intermediates)
    if not msp.roots or len(authorities) > AUTHORITIES_MAX or len(msp.revoked) > REVOKED_MAX:
        raise InvalidMsp(
            f"{msp.msp_id}: expected 1 root at least, {AUTHORITIES_MAX} authorities and {REVOKED_MAX} revoked serials "
            f"at most, got {len(msp.roots)}, {len(authorities)}, {len(msp.revoked)}"
        )
    if list(msp.revoked) != sorted(set(msp.revoked)):
        raise InvalidMsp(f"{msp.msp_id}: expected revoked serials in ascending order, each once")
    if len({authority.key for authority in authorities}) != len(authorities):
        raise InvalidMsp(f"{msp.msp_id}: expected each authority's key once")
    for authority in authorities:
        _check_authority(msp, authority)


def _check_authority(msp: Msp, authority: Certificate) -> None:
    if not authority.is_ca or not authority.may(KEY_CERT_SIGN):
        raise InvalidMsp(f"{msp.msp_id}: expected a certificate authority, got {authority.name}")
    if authority.extensions.subject_key_id is None:
        raise InvalidMsp(f"{msp.msp_id}: expected a subject key identifier in authority {authority.name}, got none")
    if authority in msp.roots:
        if not is_signed_by(authority, authority):
            raise InvalidMsp(f"{msp.msp_id}: expected a self-signed root, got {authority.name}")
    elif len(tuple(chains(msp, authority))) != 1:
        raise InvalidMsp(f"{msp.msp_id}: expected one chain from intermediate {authority.name} to a root")


def require_member(msps: Sequence[Msp], identity: Identity, at_ns: int) -> Member:
    """The member that an identity is at a time (ns); raises UnknownOrganisation and what `validate` raises."""
    for msp in msps:
        if msp.msp_id == identity.msp_id:
            return validate(msp, identity.certificate, at_ns)
    raise UnknownOrganisation(f"expected one of {[msp.msp_id for msp in msps]}, got {identity.msp_id!r}")


def validate(msp: Msp, certificate: Certificate, at_ns: int) -> Member:
    """The member that a certificate stands for at a time (ns); raises what is wrong with it."""
    if certificate.is_ca:
        raise UntrustedCertificate(f"{msp.msp_id}: expected a member, got the certificate authority {certificate.name}")
    if not certificate.may(DIGITAL_SIGNATURE):
        raise UntrustedCertificate(f"{msp.msp_id}: expected a key for signatures, got {certificate.name} without")
    chain = _only_chain(msp, certificate)
    for link in chain:
        _require_valid(msp, link, at_ns)
    for link in chain[:-1]:
        if link.serial in msp.revoked:
            raise CertificateRevoked(f"{msp.msp_id}: expected a certificate that is not revoked, got {link.name}")
    return Member(msp_id=msp.msp_id, role=role_of(msp, certificate), certificate=certificate)


def _only_chain(msp: Msp, certificate: Certificate) -> tuple[Certificate, ...]:
    found = tuple(chains(msp, certificate))
    if len(found) != 1:
        raise UntrustedCertificate(
            f"{msp.msp_id}: expected one chain of {certificate.name} to a root of this organisation, got {len(found)}"
        )
    parent = found[0][1]
    if any(parent in next(chains(msp, lower), ())[1:] for lower in msp.intermediates):
        raise UntrustedCertificate(
            f"{msp.msp_id}: expected an authority with none below it to sign {certificate.name}, got {parent.name}"
        )
    return found[0]


def _require_valid(msp: Msp, certificate: Certificate, at_ns: int) -> None:
    if at_ns < certificate.not_before_ns:
        raise CertificateNotValidYet(
            f"{msp.msp_id}: {certificate.name} is valid from {certificate.not_before_ns} ns, expected at {at_ns} ns"
        )
    if at_ns > certificate.not_after_ns:
        raise CertificateExpired(
            f"{msp.msp_id}: {certificate.name} was valid to {certificate.not_after_ns} ns, expected at {at_ns} ns"
        )


def role_of(msp: Msp, certificate: Certificate) -> Role | None:
    """The one node role; None where the organisation has no roles; raises InvalidRole for none or several."""
    if not msp.node_ous:
        return None
    found = [ROLES[unit] for unit in certificate.organisational_units if unit in ROLES]
    if len(found) != 1:
        raise InvalidRole(
            f"{msp.msp_id}: expected one of {sorted(ROLES)} among the units of {certificate.name}, "
            f"got {list(certificate.organisational_units)}"
        )
    return found[0]


def chains(msp: Msp, certificate: Certificate) -> Iterator[tuple[Certificate, ...]]:
    """Every chain from a certificate up to a root of the organisation, itself first."""
    yield from _extend(msp, (certificate,))


def _extend(msp: Msp, chain: tuple[Certificate, ...]) -> Iterator[tuple[Certificate, ...]]:
    if len(chain) == CHAIN_MAX:
        return
    below = len(chain) - 1  # certificate authorities between the next one and the member
    for parent in (*msp.roots, *msp.intermediates):
        limit = parent.extensions.path_length
        allowed = limit is None or below <= limit
        if parent in chain or not allowed or not is_signed_by(chain[-1], parent):
            continue
        if parent in msp.roots:
            yield (*chain, parent)
        else:
            yield from _extend(msp, (*chain, parent))


@lru_cache(maxsize=4096)
def is_signed_by(certificate: Certificate, parent: Certificate) -> bool:
    """Whether `parent`, a certificate authority, issued the certificate: names, key identifiers, signature."""
    wanted = certificate.extensions.authority_key_id
    if certificate.issuer != parent.subject or not parent.is_ca or not parent.may(KEY_CERT_SIGN):
        return False
    if wanted is not None and wanted != parent.extensions.subject_key_id:
        return False
    try:
        p256.verify_pair(parent.key, certificate.tbs, certificate.signature)
    except InvalidSignature:
        return False
    return True


def check_msps(msps: Sequence[Msp]) -> None:
    """Well-formed organisations, ascending by identifier, each once; raises InvalidMsp."""
    names = [msp.msp_id for msp in msps]
    if not 0 < len(names) <= MSPS_MAX or names != sorted(set(names)):
        raise InvalidMsp(f"expected 1..{MSPS_MAX} organisations in ascending order, each once, got {names[:MSPS_MAX]}")
    for msp in msps:
        check_msp(msp)
