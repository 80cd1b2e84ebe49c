"""Transactions with something changed on the wire."""

from __future__ import annotations

from random import Random

from cosmos_wire.protos import tx

EXTRA = (  # behind a message: unknown critical and non-critical fields, an extension option, an unordered mark
    b"\x9a\x06\x01z",
    b"\x82\x40\x01z",
    b"\x80\x40\x05",
    b"\xfa\x3f\x04\x0a\x02/x",
    b"\x40\x01",
)


def mutated(data: bytes, source: Random) -> bytes:
    """TxRaw with bytes flipped, dropped, added, or fields put behind one of its parts."""
    raw = tx.TxRaw.FromString(data)
    which = source.choice(("whole", "body", "auth", "signature", "body field", "auth field"))
    if which == "whole":
        return flipped(data, source)
    if which == "body":
        raw.body_bytes = flipped(raw.body_bytes, source)
    elif which == "auth":
        raw.auth_info_bytes = flipped(raw.auth_info_bytes, source)
    elif which == "signature":
        raw.signatures.append(b"x")
    elif which == "body field":
        raw.body_bytes += source.choice(EXTRA)
    else:
        raw.auth_info_bytes += source.choice(EXTRA)
    return raw.SerializeToString(deterministic=True)


def flipped(data: bytes, source: Random) -> bytes:
    """One to three bits flipped, bytes dropped or added."""
    made = bytearray(data)
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(made))
        what = source.choice(("flip", "flip", "flip", "drop", "add"))
        if what == "flip":
            made[at] ^= 1 << source.randrange(8)
        elif what == "drop":
            del made[at]
        else:
            made.insert(at, source.randrange(256))
    return bytes(made)
