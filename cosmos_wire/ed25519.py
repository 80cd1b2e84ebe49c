"""Ed25519 as CometBFT judges it: ZIP-215, the same answer in every implementation and every batch.

Libraries disagree on odd signatures (small-order points, encodings that are not reduced): of ZIP-215's 196 must-accept
vectors OpenSSL accepts 12. A light client or a ballot that follows a library would split from the validators, so the
library only says yes quickly (whatever it accepts, ZIP-215 accepts) and its no is judged again here:

    S < L,  A and R on the curve in any encoding,  8 S B = 8 R + 8 k A  with k = SHA-512(R | A | message) mod L

Source: https://zips.z.cash/zip-0215, RFC 8032 section 5.1. Nothing here is secret, so nothing has to run in constant
time; signing goes through the library.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
SEED_BYTES = 32

P = 2**255 - 19  # the field
L = 2**252 + 27742317777372353535851937790883648493  # order of the base point
D = -121665 * pow(121666, -1, P) % P  # -x^2 + y^2 = 1 + D x^2 y^2
D2 = 2 * D % P
SQRT_MINUS_1 = pow(2, (P - 1) // 4, P)
WINDOW_BITS = 4  # scalars are read in digits of so many bits: 64 digits, tables of 16 points
DIGITS = 64

Point = tuple[int, int, int, int]  # extended coordinates X, Y, Z, T with x = X/Z, y = Y/Z, x*y = T/Z
IDENTITY: Point = (0, 1, 1, 0)


def verify(pubkey: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) over `message` is good under `pubkey` (32 bytes) by ZIP-215."""
    if len(pubkey) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(pubkey).verify(signature, message)
    except (InvalidSignature, ValueError):  # ValueError: a library that checks the key's encoding first
        return verify_cofactored(pubkey, message, signature)
    return True


def verify_cofactored(pubkey: bytes, message: bytes, signature: bytes) -> bool:
    """The ZIP-215 check alone, about two milliseconds; lengths have been checked."""
    scalar = int.from_bytes(signature[32:], "little")
    key, nonce = decode_point(pubkey), decode_point(signature[:32])
    if scalar >= L or key is None or nonce is None:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + pubkey + message).digest(), "little") % L
    difference = add(_combine(scalar, challenge, negate(key)), negate(nonce))
    return _is_identity(double(double(double(difference))))


def sign(seed: bytes, message: bytes) -> bytes:
    """Signature (64 bytes) of RFC 8032 under the private key that grows from a 32-byte seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def public_key(seed: bytes) -> bytes:
    """Public key (32 bytes) of a 32-byte seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def decode_point(data: bytes) -> Point | None:
    """Point of 32 bytes, None when no point has that y; unlike RFC 8032, y may be >= P and -0 is 0."""
    packed = int.from_bytes(data, "little")
    y, sign_bit = (packed & (2**255 - 1)) % P, packed >> 255
    x = _square_root_of_ratio((y * y - 1) % P, (D * y * y + 1) % P)
    if x is None:
        return None
    if x & 1 != sign_bit:
        x = -x % P
    return x, y, 1, x * y % P


def _square_root_of_ratio(numerator: int, denominator: int) -> int | None:
    """RFC 8032 5.1.3 step 2: a root of numerator/denominator with one exponentiation."""
    cube = denominator * denominator * denominator % P
    root = numerator * cube * pow(numerator * cube * cube * denominator, (P - 5) // 8, P) % P
    square = denominator * root * root % P
    if square == numerator:
        return root
    if square == -numerator % P:
        return root * SQRT_MINUS_1 % P
    return None


def add(left: Point, right: Point) -> Point:
    """Complete addition on a = -1 twisted Edwards curves (Hisil et al. 2008, section 3.1)."""
    x1, y1, z1, t1 = left
    x2, y2, z2, t2 = right
    a = (y1 - x1) * (y2 - x2) % P
    b = (y1 + x1) * (y2 + x2) % P
    c = t1 * D2 * t2 % P
    d = 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def double(point: Point) -> Point:
    """Doubling of the same paper, section 3.3."""
    x, y, z, _ = point
    a, b, c = x * x % P, y * y % P, 2 * z * z % P
    h = a + b
    e = h - (x + y) * (x + y) % P
    g = a - b
    f = c + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def negate(point: Point) -> Point:
    """The point with the opposite x."""
    x, y, z, t = point
    return -x % P, y, z, -t % P


def _is_identity(point: Point) -> bool:
    x, y, z, _ = point
    return x % P == 0 and (y - z) % P == 0


def _multiples(point: Point) -> tuple[Point, ...]:
    """0, 1, ... 15 times the point."""
    table = [IDENTITY]
    while len(table) < 1 << WINDOW_BITS:
        table.append(add(table[-1], point))
    return tuple(table)


def _base_point() -> Point:
    point = decode_point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    assert point is not None  # y = 4/5 is on the curve: RFC 8032 says so
    return point


BASE_MULTIPLES = _multiples(_base_point())


def _combine(base_scalar: int, scalar: int, point: Point) -> Point:
    """base_scalar B + scalar point, digit by digit from the top so that both share the doublings (Straus)."""
    multiples, result = _multiples(point), IDENTITY
    for shift in range((DIGITS - 1) * WINDOW_BITS, -1, -WINDOW_BITS):
        result = double(double(double(double(result))))
        digit, base_digit = scalar >> shift & 15, base_scalar >> shift & 15
        if digit:
            result = add(result, multiples[digit])
        if base_digit:
            result = add(result, BASE_MULTIPLES[base_digit])
    return result
