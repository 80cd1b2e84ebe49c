"""X.509 certificates as Fabric's members carry them (RFC 5280), read into frozen values.

Taken: version 3, keys on P-256, signed with ECDSA and SHA-256: what `cryptogen` and fabric-ca issue. A critical
extension that is not understood, or name constraints, refuse the certificate: to overlook them would be to trust more
than its issuer did.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from fabric_wire import der, p256, strict
from fabric_wire.errors import InvalidCertificate, MalformedMessage, UnsupportedCertificate
from fabric_wire.protos import identities

CERTIFICATE_BYTES_MAX = 16_384
IDENTITY_BYTES_MAX = 32_768  # a certificate in PEM and a name: bounds what the caches below can hold
VERSION_3 = 2
ECDSA_SHA256 = bytes.fromhex("2a8648ce3d040302")
EC_PUBLIC_KEY, PRIME256V1 = bytes.fromhex("2a8648ce3d0201"), bytes.fromhex("2a8648ce3d030107")
COMMON_NAME, ORGANISATIONAL_UNIT = bytes.fromhex("550403"), bytes.fromhex("55040b")
BASIC_CONSTRAINTS, KEY_USAGE = bytes.fromhex("551d13"), bytes.fromhex("551d0f")
SUBJECT_KEY_ID, AUTHORITY_KEY_ID = bytes.fromhex("551d0e"), bytes.fromhex("551d23")
EXTENDED_KEY_USAGE, SUBJECT_ALT_NAME = bytes.fromhex("551d25"), bytes.fromhex("551d11")
NAME_CONSTRAINTS = bytes.fromhex("551d1e")
UNDERSTOOD = (
    BASIC_CONSTRAINTS, KEY_USAGE, SUBJECT_KEY_ID, AUTHORITY_KEY_ID, EXTENDED_KEY_USAGE, SUBJECT_ALT_NAME
)  # fmt: skip
DIGITAL_SIGNATURE, KEY_CERT_SIGN, CRL_SIGN = 0, 5, 6  # bits of the key usage, counted from the first
CONTEXT_0, CONTEXT_2, EXPLICIT_0, EXPLICIT_1, EXPLICIT_3 = 0x80, 0x82, 0xA0, 0xA1, 0xA3
TEXT_TAGS = (der.UTF8_STRING, der.PRINTABLE_STRING, der.IA5_STRING)
PEM_BEGIN, PEM_END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensions:
    """What the extensions of a certificate say; absent ones as RFC 5280 reads their absence."""

    is_ca: bool = False
    path_length: int | None = None  # how many certificate authorities may follow
    key_usage: tuple[int, ...] | None = None  # numbers of the bits that are set
    subject_key_id: bytes | None = None
    authority_key_id: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate. `issuer` and `subject` are DER names; `key` a P-256 point of 65 bytes; times in ns since 1970."""

    raw: bytes
    tbs: bytes
    serial: int
    issuer: bytes
    subject: bytes
    common_name: str
    organisational_units: tuple[str, ...]
    not_before_ns: int
    not_after_ns: int  # the last valid instant
    key: bytes
    signature: tuple[int, int]
    extensions: Extensions

    @property
    def is_ca(self) -> bool:
        """Whether it may sign certificates."""
        return self.extensions.is_ca

    @property
    def name(self) -> str:
        """For messages: common name and serial number."""
        return f"{self.common_name!r} (serial {self.serial:x})"

    def may(self, usage: int) -> bool:
        """Whether the key may be used so: no key usage extension allows everything."""
        return self.extensions.key_usage is None or usage in self.extensions.key_usage

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate with its signature in low-S form, as Fabric identifies it."""
        algorithm = der.encode(der.SEQUENCE, der.encode(der.OID, ECDSA_SHA256))
        r, s = self.signature
        signature = der.encode(der.BIT_STRING, b"\x00", p256.write_signature(r, p256.low(s)))
        return sha256(der.encode(der.SEQUENCE, self.tbs, algorithm, signature)).digest()


@lru_cache(maxsize=1024)
def read_certificate(raw: bytes) -> Certificate:
    """A certificate of DER bytes; raises MalformedDer, InvalidCertificate, UnsupportedCertificate, InvalidKey."""
    if len(raw) > CERTIFICATE_BYTES_MAX:
        raise InvalidCertificate(f"expected at most {CERTIFICATE_BYTES_MAX} bytes, got {len(raw)}")
    outer = der.only(raw, der.SEQUENCE, "certificate")
    tbs = outer.take(der.SEQUENCE)
    algorithm = outer.take(der.SEQUENCE)
    signature = der.octets_of_bits(outer.take(der.BIT_STRING), "certificate signature")
    outer.done()
    _require_ecdsa_sha256(algorithm)
    return _read_tbs(raw, tbs, signature)


def _read_tbs(raw: bytes, tbs: der.Value, signature: bytes) -> Certificate:
    reader = der.inside(tbs, "certificate")
    _require_version_3(reader)
    serial = der.integer(reader.take(der.INTEGER), "serial number")
    _require_ecdsa_sha256(reader.take(der.SEQUENCE))
    issuer = reader.take(der.SEQUENCE)
    _read_name(issuer)
    not_before_ns, not_after_ns = _read_validity(reader.take(der.SEQUENCE))
    subject = reader.take(der.SEQUENCE)
    key = _read_key(reader.take(der.SEQUENCE))
    extensions = reader.optional(EXPLICIT_3)
    reader.done()
    if serial <= 0:
        raise InvalidCertificate(f"serial number: expected a positive one, got {serial}")
    names = _read_name(subject)
    return Certificate(
        raw=raw,
        tbs=tbs.raw,
        serial=serial,
        issuer=issuer.raw,
        subject=subject.raw,
        common_name=next((text for kind, text in names if kind == COMMON_NAME), ""),
        organisational_units=tuple(text for kind, text in names if kind == ORGANISATIONAL_UNIT),
        not_before_ns=not_before_ns,
        not_after_ns=not_after_ns,
        key=key,
        signature=p256.read_signature(signature),
        extensions=_read_extensions(extensions),
    )


def _require_version_3(reader: der.Reader) -> None:
    explicit = der.inside(reader.take(EXPLICIT_0), "version")
    version = der.integer(explicit.take(der.INTEGER), "version")
    explicit.done()
    if version != VERSION_3:
        raise UnsupportedCertificate(f"expected version 3, got {version + 1}")


def _require_ecdsa_sha256(algorithm: der.Value) -> None:
    expected = der.encode(der.SEQUENCE, der.encode(der.OID, ECDSA_SHA256))
    if algorithm.raw != expected:
        raise UnsupportedCertificate(f"signature algorithm: expected ecdsa-with-SHA256, got {algorithm.raw.hex()}")


def _read_validity(value: der.Value) -> tuple[int, int]:
    reader = der.inside(value, "validity")
    first, last = der.time_ns(reader.any(), "not before"), der.time_ns(reader.any(), "not after")
    reader.done()
    if first > last:
        raise InvalidCertificate(f"validity: expected not before <= not after, got {first} > {last} ns")
    return first, last


def _read_key(value: der.Value) -> bytes:
    reader = der.inside(value, "public key")
    algorithm = reader.take(der.SEQUENCE)
    key = der.octets_of_bits(reader.take(der.BIT_STRING), "public key")
    reader.done()
    expected = der.encode(der.SEQUENCE, der.encode(der.OID, EC_PUBLIC_KEY), der.encode(der.OID, PRIME256V1))
    if algorithm.raw != expected:
        raise UnsupportedCertificate(f"key: expected one on P-256, got algorithm {algorithm.raw[:32].hex()}")
    p256.require_key(key)
    return key


def _read_name(value: der.Value) -> tuple[tuple[bytes, str], ...]:
    """(attribute, text) of the attributes that hold text."""
    reader, found = der.inside(value, "name"), []
    while not reader.is_done:
        relative = der.inside(reader.take(der.SET), "name")
        while not relative.is_done:
            pair = der.inside(relative.take(der.SEQUENCE), "name")
            kind, text = pair.take(der.OID).body, pair.any()
            pair.done()
            if text.tag in TEXT_TAGS:
                found.append((kind, _text(text)))
            elif kind in {COMMON_NAME, ORGANISATIONAL_UNIT}:
                raise UnsupportedCertificate(f"name: expected UTF-8 or printable text, got tag {text.tag:#04x}")
    return tuple(found)


def _text(value: der.Value) -> str:
    try:
        return value.body.decode("utf-8" if value.tag == der.UTF8_STRING else "ascii")
    except UnicodeDecodeError as error:
        raise InvalidCertificate(f"name: expected text, got {value.body[:32].hex()}") from error


def _read_extensions(explicit: der.Value | None) -> Extensions:
    if explicit is None:
        return Extensions()
    found: dict[bytes, bytes] = {}
    reader = der.only(explicit.body, der.SEQUENCE, "extensions")
    while not reader.is_done:
        kind, value = _read_extension(reader.take(der.SEQUENCE))
        if kind in found:
            raise InvalidCertificate(f"extensions: expected each once, got {kind.hex()} again")
        found[kind] = value
    is_ca, path_length = _read_constraints(found.get(BASIC_CONSTRAINTS))
    return Extensions(
        is_ca=is_ca,
        path_length=path_length,
        key_usage=_read_usage(found.get(KEY_USAGE)),
        subject_key_id=_read_subject_key_id(found.get(SUBJECT_KEY_ID)),
        authority_key_id=_read_authority_key_id(found.get(AUTHORITY_KEY_ID)),
    )


def _read_extension(value: der.Value) -> tuple[bytes, bytes]:
    reader = der.inside(value, "extension")
    kind = reader.take(der.OID).body
    critical = reader.optional(der.BOOLEAN)
    content = reader.take(der.OCTET_STRING).body
    reader.done()
    is_critical = critical is not None and der.boolean(critical, "critical")
    if kind == NAME_CONSTRAINTS or (is_critical and kind not in UNDERSTOOD):
        raise UnsupportedCertificate(f"extension {kind.hex()}: expected one that is understood, got a binding other")
    return kind, content


def _read_constraints(data: bytes | None) -> tuple[bool, int | None]:
    if data is None:
        return False, None
    reader = der.only(data, der.SEQUENCE, "basic constraints")
    flag, length = reader.optional(der.BOOLEAN), reader.optional(der.INTEGER)
    reader.done()
    is_ca = flag is not None and der.boolean(flag, "basic constraints")
    path_length = None if length is None else der.integer(length, "path length")
    if path_length is not None and (path_length < 0 or not is_ca):
        raise InvalidCertificate(f"path length: expected >= 0 and only for an authority, got {path_length}")
    return is_ca, path_length


def _read_usage(data: bytes | None) -> tuple[int, ...] | None:
    if data is None:
        return None
    reader = der.Reader(data, "key usage")
    flags, _ = der.bits(reader.take(der.BIT_STRING), "key usage")
    reader.done()
    return tuple(i for i in range(len(flags) * 8) if flags[i // 8] >> (7 - i % 8) & 1)


def _read_subject_key_id(data: bytes | None) -> bytes | None:
    if data is None:
        return None
    reader = der.Reader(data, "subject key identifier")
    found = reader.take(der.OCTET_STRING).body
    reader.done()
    return found


def _read_authority_key_id(data: bytes | None) -> bytes | None:
    if data is None:
        return None
    reader = der.only(data, der.SEQUENCE, "authority key identifier")
    found = reader.optional(CONTEXT_0)
    for issuer_or_serial in (EXPLICIT_1, CONTEXT_2):
        reader.optional(issuer_or_serial)
    reader.done()
    return None if found is None else found.body


def from_pem(text: bytes) -> bytes:
    """DER bytes of one PEM certificate and nothing else; raises InvalidCertificate."""
    lines = text.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    lines = [line.removesuffix(b"\r") for line in lines]
    if len(lines) < 3 or lines[0] != PEM_BEGIN or lines[-1] != PEM_END:
        raise InvalidCertificate(f"expected one PEM certificate, got {text[:40]!r} of {len(text)} bytes")
    try:
        return binascii.a2b_base64(b"".join(lines[1:-1]), strict_mode=True)
    except binascii.Error as error:
        raise InvalidCertificate(f"expected base64 in the PEM certificate, got otherwise: {error}") from error


def to_pem(raw: bytes) -> bytes:
    """PEM with lines of 64, as Go writes it."""
    text = binascii.b2a_base64(raw, newline=False)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([PEM_BEGIN, *lines, PEM_END, b""])


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who signs: an organisation's identifier and a certificate; `raw` is the SerializedIdentity."""

    msp_id: str
    certificate: Certificate
    raw: bytes


@lru_cache(maxsize=1024)
def read_identity(raw: bytes) -> Identity:
    """A SerializedIdentity; raises MalformedMessage and what a certificate raises."""
    if len(raw) > IDENTITY_BYTES_MAX:
        raise MalformedMessage(f"identity: expected at most {IDENTITY_BYTES_MAX} bytes, got {len(raw)}")
    message = strict.read(identities.SerializedIdentity, raw)
    certificate = read_certificate(from_pem(message.id_bytes))
    return Identity(msp_id=message.mspid, certificate=certificate, raw=raw)


def serialized_identity(msp_id: str, certificate: bytes) -> bytes:
    """SerializedIdentity of a DER certificate."""
    return strict.write(identities.SerializedIdentity(mspid=msp_id, id_bytes=to_pem(certificate)))


def address(raw: bytes) -> bytes:
    """Account address (32 bytes, ADR-028) of a SerializedIdentity: of its certificate's key."""
    return p256.address(read_identity(raw).certificate.key)
