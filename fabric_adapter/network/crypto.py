"""Certificate authorities of the organisations and what they issue: P-256, one CA for signing and one for TLS each.

Certificates are signed low-S, because Fabric rewrites those that aren't, and then names the member differently.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cosmos_wire.errors import ToolError
from fabric_wire.p256 import HALF_ORDER

YEARS = datetime.timedelta(days=3650)
EARLIER = datetime.timedelta(minutes=5)  # another machine's clock may be a little behind
ROLES = ("client", "peer", "admin", "orderer")
USAGE_NAMES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """PKCS #8 PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom a certificate is for. `role` is one of ROLES; `for_tls`: server and client of TLS on this machine."""

    name: str
    role: str
    for_tls: bool = False
    lifetime: datetime.timedelta = YEARS


def _usage(*wanted: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in wanted for name in USAGE_NAMES})


def _name(common: str, unit: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if unit:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    return x509.Name(parts)


def _builder(subject: x509.Name, key: ec.EllipticCurvePublicKey, life: datetime.timedelta) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _sign_low(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Sign until S is low: every second time it is."""
    while True:
        made = builder.sign(key, hashes.SHA256())
        if decode_dss_signature(made.signature)[1] <= HALF_ORDER:
            return made


def make_authority(name: str) -> Pair:
    """A self-signed root."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(name), key.public_key(), YEARS).issuer_name(_name(name))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_usage("digital_signature", "key_cert_sign", "crl_sign"), critical=True)
    return Pair(certificate=_sign_low(builder, key), key=key)


def issue(authority: Pair, subject: Subject) -> Pair:
    """A certificate of a new key."""
    if subject.role not in ROLES:
        raise ToolError(f"role: expected one of {', '.join(ROLES)}, got {subject.role!r}")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(subject.name, subject.role), key.public_key(), subject.lifetime)
    builder = builder.issuer_name(authority.certificate.subject)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
    )
    uses = ("digital_signature", "key_encipherment") if subject.for_tls else ("digital_signature",)
    builder = builder.add_extension(_usage(*uses), critical=True)
    if subject.for_tls:
        builder = _for_tls(builder)
    return Pair(certificate=_sign_low(builder, authority.key), key=key)


def _for_tls(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False)


def revocation_list(authority: Pair, certificate: x509.Certificate, before: bytes) -> bytes:
    """PEM of a list with one certificate more than `before` (PEM, empty for none)."""
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.certificate.subject)
    builder = builder.last_update(now - EARLIER).next_update(now + YEARS)
    old = x509.load_pem_x509_crl(before) if before else ()
    serials = {entry.serial_number for entry in old} | {certificate.serial_number}
    for serial in sorted(serials):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - EARLIER).build()
        builder = builder.add_revoked_certificate(entry)
    key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = builder.add_extension(key_id, critical=False)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def read_revocation_list(text: bytes) -> bytes:
    """DER of a list in PEM; raises ToolError."""
    try:
        return x509.load_pem_x509_crl(text).public_bytes(Encoding.DER)
    except ValueError as error:
        raise ToolError(f"revocation list: expected one in PEM, got {error}") from error


def write_pair(folder: Path, pair: Pair, name: str) -> None:
    """`name.crt` and `name.key`; the key is for this user only."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.crt").write_bytes(pair.certificate_pem)
    write_secret(folder / f"{name}.key", pair.key_pem)


def write_secret(path: Path, text: bytes) -> None:
    """A file that only this user reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(text)


def read_pair(folder: Path, name: str) -> Pair:
    """What `write_pair` wrote; raises ToolError when it is not there."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())
        key = load_pem_private_key((folder / f"{name}.key").read_bytes(), None)
    except (OSError, ValueError) as error:
        raise ToolError(f"{folder / name}: expected a certificate and its key, got {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ToolError(f"{folder / name}.key: expected a P-256 key, got {type(key).__name__}")
    return Pair(certificate=certificate, key=key)
