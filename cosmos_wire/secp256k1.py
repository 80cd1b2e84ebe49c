"""secp256k1 keys as Cosmos accounts use them: 33-byte public keys, 64-byte r||s signatures, low s only.

Every check is libsecp256k1's (`coincurve`): it refuses s > n/2, so that a signature has one form.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from coincurve import PrivateKey, PublicKey
from coincurve.ecdsa import cdata_to_der, der_to_cdata, deserialize_compact, serialize_compact
from Crypto.Hash import RIPEMD160

from cosmos_wire.errors import InvalidPubKey

PUBLIC_KEY_BYTES, SECRET_BYTES, SIGNATURE_BYTES = 33, 32, 64


def public_key(secret: bytes) -> bytes:
    """Compressed public key (33 bytes) of a 32-byte secret; ValueError when the secret is 0 or >= n."""
    return PrivateKey(secret).public_key.format(compressed=True)


def sign(secret: bytes, message: bytes) -> bytes:
    """64 bytes r||s over SHA-256 of the message, low s, nonce by RFC 6979."""
    return bytes(serialize_compact(der_to_cdata(PrivateKey(secret).sign(message))))


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature over SHA-256 of the message is this key's; raises InvalidPubKey for a bad key."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    parsed = _parsed(key)
    try:
        der = cdata_to_der(deserialize_compact(signature))
    except ValueError:  # r or s >= n
        return False
    return parsed.verify(der, message)


@lru_cache(maxsize=65_536)
def address(key: bytes) -> bytes:
    """Account address: RIPEMD-160 of SHA-256 of the compressed key, 20 bytes."""
    _parsed(key)
    return RIPEMD160.new(sha256(key).digest()).digest()


@lru_cache(maxsize=65_536)
def _parsed(key: bytes) -> PublicKey:
    if len(key) != PUBLIC_KEY_BYTES:
        raise InvalidPubKey(f"a secp256k1 public key has {PUBLIC_KEY_BYTES} bytes, got {len(key)}")
    try:
        return PublicKey(key)
    except ValueError as error:
        raise InvalidPubKey(f"not a point of secp256k1: {key.hex()}") from error
