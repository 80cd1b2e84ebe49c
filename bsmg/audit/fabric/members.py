"""Who may speak for an organisation and under which policy: certificates by the `cryptography` package.

Nothing is shared with the chain's own reader of certificates; where the two differ, the audit has found something.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import fabric_client
from fabric_wire.protos import DecodeError, identities, msp_principal, policies

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
ROLES = ("client", "peer", "admin", "orderer")
ROLE_OF = {
    msp_principal.MSPRole.CLIENT: "client",
    msp_principal.MSPRole.PEER: "peer",
    msp_principal.MSPRole.ADMIN: "admin",
    msp_principal.MSPRole.ORDERER: "orderer",
}
CHAIN_MAX = 5
SECOND_NS = 10**9


class DoubtError(ToolError):
    """Something that a member should have signed, and the audit can't confirm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Whose certificate it is; `key` in SEC 1's compressed form, 33 bytes."""

    msp_id: str
    role: str
    key: bytes


def loaded(der: bytes) -> x509.Certificate:
    """A certificate; raises DoubtError."""
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise DoubtError(f"certificate: expected DER, got {error}") from error


@lru_cache(maxsize=4096)
def identity(raw: bytes) -> tuple[str, x509.Certificate]:
    """MSP id and certificate of a SerializedIdentity; raises DoubtError."""
    try:
        read = identities.SerializedIdentity.FromString(raw)
        return read.mspid, x509.load_pem_x509_certificate(read.id_bytes)
    except (DecodeError, ValueError) as error:
        raise DoubtError(f"identity: expected a certificate in PEM, got {error}") from error


def require_signature(certificate: x509.Certificate, message: bytes, signature: bytes) -> None:
    """ECDSA over SHA-256 by the certificate's P-256 key, low s; raises DoubtError."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise DoubtError("key: expected one on P-256, got another")
    try:
        _, s = decode_dss_signature(signature)
        key.verify(signature, message, ec.ECDSA(SHA256()))
    except (ValueError, InvalidSignature) as error:
        raise DoubtError(f"signature: expected one that verifies, got {signature[:16].hex()}...") from error
    if 2 * s > ORDER:
        raise DoubtError("signature: expected the lower s, got the higher one")


def key_of(certificate: x509.Certificate) -> bytes:
    """The public key, compressed."""
    return certificate.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


class Membership:
    """A membership record that can be asked."""

    def __init__(self, record: fabric_client.Membership) -> None:
        self.version = record.version
        self._roots = {m.msp_id: tuple(loaded(raw) for raw in m.root_certificates) for m in record.msps}
        self._between = {m.msp_id: tuple(loaded(raw) for raw in m.intermediate_certificates) for m in record.msps}
        self._revoked = {m.msp_id: {int.from_bytes(raw, "big") for raw in m.revoked_serials} for m in record.msps}
        self._with_roles = {m.msp_id for m in record.msps if m.node_ous}
        self._policy = policies.SignaturePolicyEnvelope.FromString(record.policy)
        self._known: dict[bytes, tuple[x509.Certificate, ...]] = {}

    def member(self, raw: bytes, at_ns: int) -> Member:
        """A member at a time; raises DoubtError saying what is wrong with the identity."""
        msp_id, certificate = identity(raw)
        for item in self._links(raw):
            self._require_valid(msp_id, item, at_ns)
        return Member(msp_id=msp_id, role=self._role(msp_id, certificate), key=key_of(certificate))

    def since(self, raw: bytes) -> int:
        """When an identity's certificate and all above it were valid first, ns; raises DoubtError."""
        return max(_ns(item.not_valid_before_utc) for item in self._links(raw))

    def _links(self, raw: bytes) -> tuple[x509.Certificate, ...]:
        """A certificate and all above it, looked for once."""
        if raw not in self._known:
            msp_id, certificate = identity(raw)
            self._known[raw] = (certificate, *self._chain(msp_id, certificate))
        return self._known[raw]

    def _chain(self, msp_id: str, certificate: x509.Certificate) -> tuple[x509.Certificate, ...]:
        """Authorities from the one that signed a certificate up to a root of the organisation."""
        chain: list[x509.Certificate] = []
        for _ in range(CHAIN_MAX):
            last = chain[-1] if chain else certificate
            above = next((ca for ca in self._authorities(msp_id) if _issued(last, ca)), None)
            if above is None:
                break
            chain.append(above)
            if above in self._roots.get(msp_id, ()):
                return tuple(chain)
        raise DoubtError(f"{msp_id}: expected a certificate under its roots, got serial {certificate.serial_number:x}")

    def _authorities(self, msp_id: str) -> tuple[x509.Certificate, ...]:
        return (*self._between.get(msp_id, ()), *self._roots.get(msp_id, ()))

    def _require_valid(self, msp_id: str, item: x509.Certificate, at_ns: int) -> None:
        if item.serial_number in self._revoked[msp_id]:
            raise DoubtError(f"{msp_id}: expected a certificate in force, serial {item.serial_number:x} is revoked")
        first, last = (_ns(moment) for moment in (item.not_valid_before_utc, item.not_valid_after_utc))
        if not first <= at_ns < last + SECOND_NS:
            raise DoubtError(f"{msp_id}: expected a certificate in force at {at_ns} ns, got {first} to {last} ns")

    def _role(self, msp_id: str, certificate: x509.Certificate) -> str:
        if msp_id not in self._with_roles:
            return ""
        units = [
            str(item.value) for item in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        ]
        roles = [unit for unit in units if unit in ROLES]
        if len(roles) != 1:
            raise DoubtError(f"{msp_id}: expected one of the roles {', '.join(ROLES)} in a certificate, got {roles}")
        return roles[0]

    def require_endorsed(self, payload: bytes, endorsements: Sequence[tuple[bytes, bytes]], at_ns: int) -> None:
        """Distinct members signed a response payload, enough for the policy; raises DoubtError."""
        signers: list[Member] = []
        for endorser, signature in endorsements:
            member = self.member(endorser, at_ns)
            require_signature(identity(endorser)[1], payload + endorser, signature)
            if member.key in [other.key for other in signers]:
                raise DoubtError(f"endorsements: expected each endorser once, got one of {member.msp_id} again")
            signers.append(member)
        self.require_satisfied(signers)

    def require_satisfied(self, signers: Sequence[Member]) -> None:
        """The policy takes these; raises DoubtError."""
        rule, everybody = self._policy.rule, frozenset(range(len(signers)))
        if next(self._ways(rule, signers, everybody), None) is None:
            names = [f"{signer.msp_id}.{signer.role}" for signer in signers]
            raise DoubtError(f"expected what the policy of membership {self.version} asks, got {names}")

    def _ways(
        self, rule: policies.SignaturePolicy, signers: Sequence[Member], free: frozenset[int]
    ) -> Iterator[frozenset[int]]:
        """Ways to satisfy a rule: who is left over after each."""
        if rule.WhichOneof("Type") == "signed_by":
            for number in sorted(free):
                if self._fits(rule.signed_by, signers[number]):
                    yield free - {number}
            return
        yield from self._choices((rule.n_out_of.n, list(rule.n_out_of.rules)), signers, free)

    def _choices(
        self, wanted: tuple[int, list[policies.SignaturePolicy]], signers: Sequence[Member], free: frozenset[int]
    ) -> Iterator[frozenset[int]]:
        count, rules = wanted
        if count == 0:
            yield free
        elif len(rules) >= count:
            for left in self._ways(rules[0], signers, free):
                yield from self._choices((count - 1, rules[1:]), signers, left)
            yield from self._choices((count, rules[1:]), signers, free)

    def _fits(self, number: int, signer: Member) -> bool:
        role = msp_principal.MSPRole.FromString(self._policy.identities[number].principal)
        if role.msp_identifier != signer.msp_id:
            return False
        return role.role == msp_principal.MSPRole.MEMBER or ROLE_OF.get(role.role) == signer.role


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    if certificate == authority:
        return False
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND_NS
