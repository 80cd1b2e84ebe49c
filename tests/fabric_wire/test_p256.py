"""Signatures on P-256: vectors, one form only."""

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError
from fabric_wire import der, p256
from fabric_wire.errors import HighS, InvalidKey, InvalidSignature, MalformedDer
from tests.fabric_wire.authority import secret

KEY = secret("signer")
POINT = p256.public_key(KEY)
MESSAGE = b"one kilowatt hour"
SIGNATURE = p256.sign(KEY, MESSAGE)
R, S = p256.read_signature(SIGNATURE)

# RFC 6979 A.2.5, message "sample", SHA-256; the s there is high, so ours is n - s
RFC_SECRET = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
RFC_R = 0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
RFC_S = 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8

# made by cosmos-sdk v0.53.4: secp256r1.GenPrivKey().PubKey(), Bytes() and Address()
SDK_KEY = "021afe49f52df1b4d42bf1f9a88fbaa00e9f5e63652f81167e7341875b8778b879"
SDK_ADDRESS = "467779bf6bd7d31f293d8478b3ea3c88c4ae08c6b3177556b295763a57485153"


def test_the_rfc_vector():
    made = p256.sign(ec.derive_private_key(RFC_SECRET, ec.SECP256R1()), b"sample")
    assert p256.read_signature(made) == (RFC_R, p256.ORDER - RFC_S)


def test_a_signature_verifies():
    p256.verify(POINT, MESSAGE, SIGNATURE)
    assert S <= p256.HALF_ORDER


def test_high_s_is_refused_by_name():
    with pytest.raises(HighS, match="expected s <= n/2, got s = "):
        p256.verify(POINT, MESSAGE, p256.write_signature(R, p256.ORDER - S))
    p256.verify_pair(POINT, MESSAGE, (R, p256.ORDER - S))


@pytest.mark.parametrize(
    ("signature", "refusal"),
    [
        (b"", MalformedDer),
        (SIGNATURE + b"\x00", MalformedDer),
        (SIGNATURE[:-1], MalformedDer),
        (der.encode(der.SEQUENCE, der.encode_integer(R), der.encode_integer(S), der.encode_integer(1)), MalformedDer),
        (der.encode(der.SEQUENCE, der.encode(der.INTEGER, b"\x00\x00" + R.to_bytes(32, "big"))), MalformedDer),
        (b"\x30\x81" + SIGNATURE[1:], MalformedDer),
        (p256.write_signature(0, S), InvalidSignature),
        (p256.write_signature(R, 0), InvalidSignature),
        (p256.write_signature(-R, S), InvalidSignature),
        (p256.write_signature(p256.ORDER, S), InvalidSignature),
        (p256.write_signature(R, p256.ORDER), InvalidSignature),
        (p256.write_signature(R, 1), InvalidSignature),
    ],
)
def test_other_forms_are_refused(signature: bytes, refusal: type[ChainError]):
    with pytest.raises(refusal):
        p256.verify(POINT, MESSAGE, signature)


@pytest.mark.parametrize(
    "key",
    [
        b"",
        POINT[:-1],
        POINT + b"\x00",
        b"\x02" + POINT[1:33],
        b"\x04" + bytes(64),
        bytes([6 + (POINT[-1] & 1)]) + POINT[1:],
    ],
)
def test_keys_that_are_none(key: bytes):
    with pytest.raises(InvalidKey):
        p256.verify(key, MESSAGE, SIGNATURE)
    for reader in (p256.require_key, p256.compress, p256.address):
        with pytest.raises(InvalidKey):
            reader(key)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_signature_or_a_typed_refusal(data: bytes):
    with pytest.raises(ChainError):
        p256.verify(POINT, MESSAGE, data)


@given(st.integers(1, p256.ORDER - 1), st.binary(max_size=64))
def test_any_key_signs_in_the_low_form(number: int, message: bytes):
    key = ec.derive_private_key(number, ec.SECP256R1())
    made = p256.sign(key, message)
    p256.verify(p256.public_key(key), message, made)
    key.public_key().verify(made, message, ec.ECDSA(SHA256()))
    assert decode_dss_signature(made) == p256.read_signature(made)
    assert p256.read_signature(made)[1] <= p256.HALF_ORDER


def test_compressed_keys():
    assert p256.compress(POINT) == KEY.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def test_address_by_adr_028():
    typed = sha256(b"cosmos.crypto.secp256r1.PubKey").digest()
    assert p256.address(POINT) == sha256(typed + p256.compress(POINT)).digest()


def test_address_of_the_sdk():
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bytes.fromhex(SDK_KEY))
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert p256.address(point).hex() == SDK_ADDRESS
