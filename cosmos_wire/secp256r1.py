"""NIST P-256 keys (secure elements, WebAuthn) as Cosmos accounts use them: 33-byte keys, 64-byte r||s, low s only."""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from cosmos_wire.errors import InvalidPubKey

PUBLIC_KEY_BYTES, SIGNATURE_BYTES = 33, 64
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature over SHA-256 of the message is this key's; raises InvalidPubKey for a bad key."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if s > ORDER // 2:  # the other form of the same signature
        return False
    try:
        parsed(key).verify(encode_dss_signature(r, s), message, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=4_096)
def parsed(key: bytes) -> EllipticCurvePublicKey:
    """The point of a compressed key; raises InvalidPubKey."""
    if len(key) != PUBLIC_KEY_BYTES:
        raise InvalidPubKey(f"wrong ECDSA PK bytes, expecting {PUBLIC_KEY_BYTES} bytes, got {len(key)}")
    try:
        return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), key)
    except ValueError as error:
        raise InvalidPubKey(f"wrong ECDSA PK bytes, unknown curve type: {key[0]}") from error
