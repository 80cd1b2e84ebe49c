"""Certificates: our strict reader beside the `cryptography` package, and bytes that are no certificate."""

import datetime
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError
from fabric_wire import der
from fabric_wire.errors import InvalidCertificate, InvalidKey, MalformedDer, MalformedMessage, UnsupportedCertificate
from fabric_wire.protos import identities
from fabric_wire.x509 import Certificate, address, from_pem, read_certificate, read_identity, to_pem
from tests.fabric_wire.authority import CA_USAGE, START_S, Plan, build, ca_of, peer_of, secret

PEER = peer_of("Org1MSP").certificate
PEM = to_pem(PEER.raw)
PLANS = (
    Plan(name="plain"),
    Plan(name="ca", is_ca=True, usage=CA_USAGE),
    Plan(name="short ca", is_ca=True, path_length=0, usage=CA_USAGE),
    Plan(name="long ca", is_ca=True, path_length=3, usage=CA_USAGE),
    Plan(name="no usage", usage=None),
    Plan(name="encipher", usage={"key_agreement": True, "decipher_only": True}),
    Plan(name="units", units=("peer", "Abteilung Süd", "org.1")),
    Plan(name="1950", first_s=-631152000, last_s=0),
    Plan(name="2049", first_s=START_S, last_s=2524607999),
    Plan(name="2050", first_s=START_S, last_s=2524608000),
    Plan(name="leap", first_s=951782400, last_s=1709251199),
    Plan(name="9999", first_s=START_S, last_s=253402300799),
    Plan(name="small serial", serial=1),
    Plan(name="large serial", serial=2**159 - 1),
    Plan(name="server", extra=((x509.ExtendedKeyUsage([x509.OID_SERVER_AUTH]), True),)),
    Plan(name="host", extra=((x509.SubjectAlternativeName([x509.DNSName("peer0")]), False),)),
    Plan(
        name="fabric-ca",
        extra=((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5.6.7.8.1"), b"{}"), False),),
    ),
)


def seconds(moment: datetime.datetime) -> int:
    return int(moment.timestamp())


def bits_of(usage: x509.KeyUsage) -> tuple[int, ...]:
    agrees = usage.key_agreement
    flags = (
        usage.digital_signature, usage.content_commitment, usage.key_encipherment, usage.data_encipherment, agrees,
        usage.key_cert_sign, usage.crl_sign, agrees and usage.encipher_only, agrees and usage.decipher_only,
    )  # fmt: skip
    return tuple(i for i, flag in enumerate(flags) if flag)


def check_alike(mine: Certificate, theirs: x509.Certificate) -> None:
    units = theirs.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
    assert mine.organisational_units == tuple(unit.value for unit in units)
    assert mine.common_name == theirs.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    assert (mine.issuer, mine.subject) == (theirs.issuer.public_bytes(), theirs.subject.public_bytes())
    assert mine.serial == theirs.serial_number
    assert mine.not_before_ns == seconds(theirs.not_valid_before_utc) * 10**9
    assert mine.not_after_ns == seconds(theirs.not_valid_after_utc) * 10**9
    assert mine.key == theirs.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert mine.tbs == theirs.tbs_certificate_bytes
    constraints = theirs.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (mine.is_ca, mine.extensions.path_length) == (constraints.ca, constraints.path_length)
    names = theirs.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert mine.extensions.subject_key_id == names.digest
    above = theirs.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert mine.extensions.authority_key_id == above.key_identifier


@pytest.mark.parametrize("plan", PLANS, ids=[plan.name for plan in PLANS])
def test_certificates_read_alike(plan: Plan):
    raw, _ = build(plan, ca_of("Org1MSP"))
    mine, theirs = read_certificate(raw), x509.load_der_x509_certificate(raw)
    check_alike(mine, theirs)
    usage = None
    if plan.usage is not None:
        usage = bits_of(theirs.extensions.get_extension_for_class(x509.KeyUsage).value)
    assert mine.extensions.key_usage == usage


def foreign(key: object, hashing: object = None) -> bytes:
    """A certificate of `cryptography` with other keys or hashes."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    first = datetime.datetime.fromtimestamp(START_S, datetime.UTC)
    made = made.serial_number(7).not_valid_before(first).not_valid_after(first)
    return made.sign(key, hashing or SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (foreign(ec.generate_private_key(ec.SECP384R1())), "expected one on P-256"),
        (foreign(ec.generate_private_key(ec.SECP256K1())), "expected one on P-256"),
        (foreign(secret("x"), SHA384()), "expected ecdsa-with-SHA256"),
        (foreign(secret("x"), SHA512()), "expected ecdsa-with-SHA256"),
        (
            build(
                Plan(name="c", extra=((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b""), True),)), None
            )[0],
            "expected one that is understood",
        ),
        (
            build(Plan(name="n", extra=((x509.NameConstraints([x509.DNSName("a")], None), False),)), None)[0],
            "expected one that is understood",
        ),
    ],
)
def test_what_is_not_supported_is_refused(raw: bytes, text: str):
    with pytest.raises(UnsupportedCertificate, match=text):
        read_certificate(raw)


def test_a_certificate_without_extensions():
    read = read_certificate(foreign(secret("x")))
    assert read.extensions.key_usage is None
    assert not read.is_ca


@pytest.mark.parametrize(
    "spoilt",
    [b"", PEER.raw[:-1], PEER.raw + b"\x00", b"\x30\x80" + PEER.raw[4:] + b"\x00\x00", b"\x30\x83\x00" + PEER.raw[2:]],
)
def test_bytes_that_are_no_certificate(spoilt: bytes):
    with pytest.raises(MalformedDer):
        read_certificate(spoilt)


def test_a_certificate_that_is_too_long():
    with pytest.raises(InvalidCertificate, match="expected at most 16384 bytes, got 16385"):
        read_certificate(bytes(16385))


CONSTRUCTED = 0x20


def values(data: bytes) -> list[der.Value] | None:
    """All values of DER bytes, None when they are no DER."""
    reader, found = der.Reader(data, "x"), []
    try:
        while not reader.is_done:
            found.append(reader.any())
    except MalformedDer:
        return None
    return found


def with_one_more(value: der.Value) -> Iterator[bytes]:
    """The value with a NULL at the end of each value inside, one at a time."""
    head, body = (b"\x00", value.body[1:]) if value.tag == der.BIT_STRING else (b"", value.body)
    inner = values(body)
    if not inner or (not value.tag & CONSTRUCTED and value.tag not in {der.OCTET_STRING, der.BIT_STRING}):
        return
    yield der.encode(value.tag, head, body, b"\x05\x00")
    for index, part in enumerate(inner):
        for spoilt in with_one_more(part):
            yield der.encode(value.tag, head, *(spoilt if i == index else p.raw for i, p in enumerate(inner)))


@pytest.mark.parametrize("raw", [PEER.raw, ca_of("Org1MSP").certificate.raw], ids=["peer", "authority"])
def test_nothing_may_be_appended_anywhere(raw: bytes):
    (whole,) = values(raw) or []
    spoilt = list(with_one_more(whole))
    assert len(spoilt) > 30
    assert [each.hex() for each in spoilt if certificate_or_none(each) is not None] == []


def replaced(old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    assert PEER.raw.count(old) == 1
    return PEER.raw.replace(old, new)


SERIAL = der.encode_integer(PEER.serial)
TIMES = next(v.body for v in values(values(values(PEER.raw)[0].body)[0].body) if v.body[:1] == bytes([der.UTC_TIME]))


@pytest.mark.parametrize(
    ("raw", "refusal", "text"),
    [
        (replaced(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01"), UnsupportedCertificate, "version 3, got 2"),
        (replaced(SERIAL, b"\x02\x08" + b"\x80" + bytes(7)), InvalidCertificate, "expected a positive one, got -"),
        (replaced(TIMES, TIMES[15:] + TIMES[:15]), InvalidCertificate, "expected not before <= not after"),
        (replaced(PEER.key, PEER.key[:-1] + bytes([PEER.key[-1] ^ 1])), InvalidKey, "expected a point of P-256"),
        (replaced(PEER.key, b"\x05" + PEER.key[1:]), InvalidKey, "begin with 04"),
    ],
)
def test_fields_that_make_no_certificate(raw: bytes, refusal: type[ChainError], text: str):
    with pytest.raises(refusal, match=text):
        read_certificate(raw)


def extension(kind: str, body: bytes, *critical: bytes) -> bytes:
    return der.encode(
        der.SEQUENCE, der.encode(der.OID, bytes.fromhex(kind)), *critical, der.encode(der.OCTET_STRING, body)
    )


def extended(*extensions: bytes) -> bytes:
    """The peer's certificate with other extensions."""
    (whole,) = values(PEER.raw) or []
    tbs, *rest = values(whole.body) or []
    fields = [field.raw for field in (values(tbs.body) or [])[:-1]]
    fields.append(der.encode(0xA3, der.encode(der.SEQUENCE, *extensions)))
    return der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, *fields), *(part.raw for part in rest))


TRUE, FALSE = b"\x01\x01\xff", b"\x01\x01\x00"
CONSTRAINTS, USAGE = "551d13", "551d0f"


def sequence(*parts: bytes) -> bytes:
    return der.encode(der.SEQUENCE, *parts)


@pytest.mark.parametrize(
    ("extensions", "refusal", "text"),
    [
        ((extension(USAGE, b"\x03\x02\x07\x80"),) * 2, InvalidCertificate, "expected each once, got 551d0f again"),
        ((extension(CONSTRAINTS, sequence(b"\x02\x01\x00")),), InvalidCertificate, "only for an authority, got 0"),
        ((extension(CONSTRAINTS, sequence(TRUE, b"\x02\x01\xff")),), InvalidCertificate, "expected >= 0 .*, got -1"),
        ((extension("2a03", b"", TRUE),), UnsupportedCertificate, "extension 2a03: expected one that is understood"),
        ((extension("2a03", b"", b"\x01\x01\x01"),), MalformedDer, "expected a boolean"),
    ],
)
def test_extensions_that_are_refused(extensions: tuple[bytes, ...], refusal: type[ChainError], text: str):
    with pytest.raises(refusal, match=text):
        read_certificate(extended(*extensions))


def test_extensions_that_are_taken():
    assert not read_certificate(extended(extension("2a03", b"", FALSE))).is_ca
    assert not read_certificate(extended(extension(CONSTRAINTS, sequence(FALSE)))).is_ca
    found = read_certificate(extended(extension(CONSTRAINTS, sequence(TRUE, b"\x02\x01\x02")))).extensions
    assert (found.is_ca, found.path_length) == (True, 2)


@pytest.mark.parametrize(
    ("name", "refusal", "text"),
    [
        (b"\x0c\x0epeer0.Org1MS\xff\xff", InvalidCertificate, "name: expected text"),
        (b"\x13\x0epeer0.Org1MS\xc3\xbc", InvalidCertificate, "name: expected text"),
        (b"\x1e\x0epeer0.Org1MSPx", UnsupportedCertificate, "expected UTF-8 or printable text, got tag 0x1e"),
    ],
)
def test_names_that_are_no_text(name: bytes, refusal: type[ChainError], text: str):
    subject = b"\x0c\x0d" + b"peer0.Org1MSP"
    assert PEER.raw.count(subject) == 1
    with pytest.raises(refusal, match=text):
        read_certificate(replaced(subject, name[:1] + b"\x0d" + name[2:14] + name[-1:]))


def certificate_or_none(raw: bytes) -> Certificate | None:
    """What reads as a certificate; whatever else than a typed refusal is raised fails the test."""
    try:
        return read_certificate(raw)
    except ChainError:
        return None


@given(st.integers(0, len(PEER.raw) - 1), st.integers(1, 255))
def test_a_changed_byte_is_another_certificate_or_none(at: int, mask: int):
    spoilt = bytearray(PEER.raw)
    spoilt[at] ^= mask
    read = certificate_or_none(bytes(spoilt))
    assert read is None or (read.tbs, read.signature) != (PEER.tbs, PEER.signature)


@given(st.binary(max_size=400))
def test_any_bytes_give_a_value_or_a_typed_refusal(data: bytes):
    for reader in (read_certificate, from_pem, read_identity):
        with pytest.raises(ChainError):
            reader(data)


@given(st.integers(0, len(PEER.raw)), st.integers(0, 8), st.binary(max_size=8))
def test_spliced_bytes_give_a_value_or_a_typed_refusal(at: int, cut: int, put: bytes):
    read = certificate_or_none(PEER.raw[:at] + put + PEER.raw[at + cut :])
    assert read is None or read.raw != PEER.raw or read == PEER


@given(st.integers(0, 4_102_444_799))
def test_times_read_as_the_calendar_has_them(at_s: int):
    moment = datetime.datetime.fromtimestamp(at_s, datetime.UTC)
    long = der.encode(der.GENERALIZED_TIME, moment.strftime("%Y%m%d%H%M%SZ").encode())
    assert der.time_ns(der.Reader(long, "t").any(), "t") == at_s * 10**9
    if moment.year < 2050:
        short = der.encode(der.UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())
        assert der.time_ns(der.Reader(short, "t").any(), "t") == at_s * 10**9


@pytest.mark.parametrize(
    "text", [b"230229000000Z", b"231301000000Z", b"230100000000Z", b"2301010000Z", b"230101000060Z"]
)
def test_times_that_are_none(text: bytes):
    with pytest.raises(MalformedDer):
        der.time_ns(der.Reader(der.encode(der.UTC_TIME, text), "t").any(), "t")


@given(st.integers(-(2**255), 2**255))
def test_integers_go_round(number: int):
    assert der.integer(der.Reader(der.encode_integer(number), "n").any(), "n") == number


@pytest.mark.parametrize("body", ["", "0001", "ff80", "00" * 65])
def test_integers_have_one_form(body: str):
    with pytest.raises(MalformedDer):
        der.integer(der.Reader(der.encode(der.INTEGER, bytes.fromhex(body)), "n").any(), "n")


def test_pem_goes_round():
    assert from_pem(PEM) == PEER.raw
    assert x509.load_der_x509_certificate(PEER.raw).public_bytes(Encoding.PEM) == PEM
    assert from_pem(PEM.replace(b"\n", b"\r\n")) == PEER.raw


@pytest.mark.parametrize(
    "text",
    [b"", b"x" + PEM, PEM + b"x", PEM + PEM, PEM.replace(b"CERTIFICATE", b"PRIVATE KEY"), PEM.replace(b"M", b"*", 1),
     PEM.replace(b"C\n-----END", b"\n-----END"), PEM[:-30]],
)  # fmt: skip
def test_text_that_is_no_pem(text: bytes):
    with pytest.raises(InvalidCertificate):
        from_pem(text)


def test_an_identity_that_is_too_long():
    """A name of megabytes beside a good certificate must not fill memory."""
    raw = peer_of("Org1MSP").serialized("x" * 32_768)
    with pytest.raises(MalformedMessage, match="identity: expected at most 32768 bytes"):
        read_identity(raw)


def test_an_identity_has_one_form():
    raw = peer_of("Org1MSP").serialized("Org1MSP")
    assert read_identity(raw).msp_id == "Org1MSP"
    assert address(raw) == address(identities.SerializedIdentity(mspid="other", id_bytes=PEM).SerializeToString())
    for spoilt in (raw + raw, raw + b"\x1a\x01x", b"\x12\x00" + raw):
        with pytest.raises(MalformedMessage, match="expected"):
            read_identity(spoilt)
