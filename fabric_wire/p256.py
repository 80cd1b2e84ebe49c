"""ECDSA on P-256 (secp256r1) with SHA-256, as Fabric's members sign: DER signatures, s at most n/2.

Of the two signatures (r, s) and (r, n - s) Fabric's software takes the lower one; here the other is refused by name, so
that a signature has one form. Keys are points of 65 bytes, 0x04 | x | y. The arithmetic is the `cryptography`
package's.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidSignature as LibraryRefused
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from fabric_wire import der
from fabric_wire.errors import HighS, InvalidKey, InvalidSignature

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
HALF_ORDER = ORDER >> 1
KEY_BYTES = 65
KEY_TYPE = b"cosmos.crypto.secp256r1.PubKey"
_VERIFY = ec.ECDSA(Prehashed(SHA256()))
_SIGN = ec.ECDSA(Prehashed(SHA256()), deterministic_signing=True)  # RFC 6979: no randomness

PrivateKey = ec.EllipticCurvePrivateKey


def public_key(secret: PrivateKey) -> bytes:
    """The 65-byte point of a private key."""
    numbers = secret.public_key().public_numbers()
    return b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def sign(secret: PrivateKey, message: bytes) -> bytes:
    """DER signature over SHA-256 of the message: nonce by RFC 6979, low s."""
    made = secret.sign(sha256(message).digest(), _SIGN)
    r, s = decode_dss_signature(made)
    return made if s <= HALF_ORDER else encode_dss_signature(r, low(s))


def verify(key: bytes, message: bytes, signature: bytes) -> None:
    """Check a signature over SHA-256 of the message; raises HighS, InvalidSignature, InvalidKey, MalformedDer."""
    _, s = read_signature(signature)
    if s > HALF_ORDER:
        raise HighS(f"expected s <= n/2, got s = {s:064x}")
    _require(key, message, signature)


def verify_pair(key: bytes, message: bytes, pair: tuple[int, int]) -> None:
    """Check (r, s) with any s: what certificate authorities write. Raises InvalidSignature, InvalidKey."""
    _require(key, message, write_signature(*pair))


def _require(key: bytes, message: bytes, signature: bytes) -> None:
    if not _holds(key, sha256(message).digest(), signature):
        raise InvalidSignature(f"expected a signature of the key {key.hex()[:16]}..., got one that does not verify")


def read_signature(signature: bytes) -> tuple[int, int]:
    """(r, s), both in 1..n-1, of a strict DER signature; raises MalformedDer, InvalidSignature."""
    if (quick := _read_quickly(signature)) is not None:
        return quick
    reader = der.only(signature, der.SEQUENCE, "signature")
    r, s = (der.integer(reader.take(der.INTEGER), "signature") for _ in range(2))
    reader.done()
    for name, value in (("r", r), ("s", s)):
        if not 0 < value < ORDER:
            raise InvalidSignature(f"expected {name} within 1..n-1, got {value:x}")
    return r, s


def _read_quickly(signature: bytes) -> tuple[int, int] | None:
    """The same by the library, five times faster; None for what `read_signature` has to find the fault of."""
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        return None
    if not 0 < r < ORDER or not 0 < s < ORDER or encode_dss_signature(r, s) != signature:
        return None
    return r, s


def write_signature(r: int, s: int) -> bytes:
    """DER."""
    return der.encode(der.SEQUENCE, der.encode_integer(r), der.encode_integer(s))


def low(s: int) -> int:
    """The lower of s and n - s."""
    return min(s, ORDER - s)


def require_key(key: bytes) -> None:
    """Raise InvalidKey unless the bytes are an uncompressed point of the curve."""
    _parsed(key)


def compress(key: bytes) -> bytes:
    """33 bytes: the parity of y, then x."""
    require_key(key)
    return bytes([2 + (key[-1] & 1)]) + key[1:33]


def address(key: bytes) -> bytes:
    """Account address (32 bytes) of a key by ADR-028: the SDK's rule for `cosmos.crypto.secp256r1.PubKey`."""
    return sha256(sha256(KEY_TYPE).digest() + compress(key)).digest()


@lru_cache(maxsize=4096)
def _parsed(key: bytes) -> ec.EllipticCurvePublicKey:
    if len(key) != KEY_BYTES or key[0] != 4:
        raise InvalidKey(f"expected {KEY_BYTES} bytes that begin with 04, got {len(key)} bytes {key[:4].hex()}")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key)
    except ValueError as error:
        raise InvalidKey(f"expected a point of P-256, got {key.hex()}") from error


@lru_cache(maxsize=16_384)  # the same certificates come again with every proof; the answer never changes
def _holds(key: bytes, digest: bytes, signature: bytes) -> bool:
    try:
        _parsed(key).verify(signature, digest, _VERIFY)
    except LibraryRefused:
        return False
    return True
