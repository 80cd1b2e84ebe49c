"""Certificate authorities and organisations for tests, with whatever is wrong about a certificate on demand."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fabric_wire import p256
from fabric_wire.msp import Msp
from fabric_wire.responses import Endorsement, endorse
from fabric_wire.x509 import Certificate, read_certificate, serialized_identity

START_S = 1_700_000_000
SECOND_NS = 10**9
YEAR_S = 365 * 24 * 3600
SIGNING = {"digital_signature": True}
CA_USAGE = {"key_cert_sign": True, "crl_sign": True, "digital_signature": True}
USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


@cache
def secret(name: str) -> ec.EllipticCurvePrivateKey:
    """The same key for the same name, every time."""
    number = int.from_bytes(sha256(name.encode()).digest(), "big") % (p256.ORDER - 1) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a certificate is to say; seconds since 1970."""

    name: str
    units: tuple[str, ...] = ()
    first_s: int = START_S - 300
    last_s: int = START_S + YEAR_S
    serial: int | None = None
    is_ca: bool = False
    path_length: int | None = None
    usage: dict[str, bool] | None = field(default_factory=lambda: SIGNING)
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    key: ec.EllipticCurvePrivateKey | None = None
    hash: HashAlgorithm = field(default_factory=SHA256)
    has_names: bool = True  # key identifiers


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A certificate and its private key."""

    certificate: Certificate
    key: ec.EllipticCurvePrivateKey

    def issue(self, plan: Plan) -> Holder:
        """A certificate that this one signs."""
        return issue(plan, self)

    def serialized(self, msp_id: str) -> bytes:
        return serialized_identity(msp_id, self.certificate.raw)

    def endorse(self, msp_id: str, payload: bytes) -> Endorsement:
        return endorse(self.key, self.serialized(msp_id), payload)


def _name(plan: Plan) -> x509.Name:
    units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in plan.units]
    country = x509.NameAttribute(NameOID.COUNTRY_NAME, "AT")
    return x509.Name([country, *units, x509.NameAttribute(NameOID.COMMON_NAME, plan.name)])


def _time(at_s: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at_s, datetime.UTC)


def build(plan: Plan, parent: Holder | None) -> tuple[bytes, ec.EllipticCurvePrivateKey]:
    """DER bytes of a certificate."""
    key = plan.key or secret(plan.name)
    signer = key if parent is None else parent.key
    issuer = _name(plan) if parent is None else x509.load_der_x509_certificate(parent.certificate.raw).subject
    number = plan.serial or int.from_bytes(sha256(b"serial" + plan.name.encode()).digest()[:8], "big") >> 1 or 1
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(plan))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(number)
        .not_valid_before(_time(plan.first_s))
        .not_valid_after(_time(plan.last_s))
        .add_extension(x509.BasicConstraints(ca=plan.is_ca, path_length=plan.path_length), critical=True)
    )
    if plan.has_names:
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(own, critical=False).add_extension(above, critical=False)
    if plan.usage is not None:
        flags = {usage: plan.usage.get(usage, False) for usage in USAGES}
        builder = builder.add_extension(x509.KeyUsage(**flags), critical=True)
    for extension, critical in plan.extra:
        builder = builder.add_extension(extension, critical=critical)
    made = builder.sign(signer, plan.hash, ecdsa_deterministic=True)
    return made.public_bytes(Encoding.DER), key


def issue(plan: Plan, parent: Holder | None) -> Holder:
    """A certificate under `parent`, or a self-signed one."""
    raw, key = build(plan, parent)
    return Holder(certificate=read_certificate(raw), key=key)


def root(name: str, **changes: object) -> Holder:
    """A self-signed certificate authority."""
    return issue(replace(Plan(name=name, is_ca=True, usage=CA_USAGE), **changes), None)


def authority(name: str, parent: Holder, **changes: object) -> Holder:
    """A certificate authority below another."""
    return parent.issue(replace(Plan(name=name, is_ca=True, usage=CA_USAGE), **changes))


def peer(name: str, parent: Holder, **changes: object) -> Holder:
    """A peer's certificate."""
    return parent.issue(replace(Plan(name=name, units=("peer",)), **changes))


@cache
def ca_of(msp_id: str) -> Holder:
    return root(f"ca.{msp_id}")


@cache
def peer_of(msp_id: str, number: int = 0) -> Holder:
    return peer(f"peer{number}.{msp_id}", ca_of(msp_id))


@cache
def msp_of(msp_id: str) -> Msp:
    return Msp(msp_id=msp_id, roots=(ca_of(msp_id).certificate,))


def crl(
    parent: Holder, serials: tuple[int, ...], signer: Holder | None = None, hashing: HashAlgorithm | None = None
) -> bytes:
    """A revocation list, DER."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.load_der_x509_certificate(parent.certificate.raw).subject)
        .last_update(_time(START_S))
        .next_update(_time(START_S + YEAR_S))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(parent.key.public_key()), critical=False)
    )
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_time(START_S)).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign((signer or parent).key, hashing or SHA256(), ecdsa_deterministic=True).public_bytes(
        Encoding.DER
    )
