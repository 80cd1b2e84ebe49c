"""Protobuf fields written by hand, for the few messages of which a ledger writes and reads thousands a second.

The bytes are those that the protobuf library's deterministic form has: ascending fields, shortest lengths, and of a
field that is a plain value nothing when it is the default.
"""

from __future__ import annotations

VARINT, BYTES = 0, 2  # wire types
_SMALL = [bytes([n]) for n in range(128)]
_WORD = (1 << 64) - 1


def varint(number: int) -> bytes:
    """A number as it stands in a field; negative ones as 64 bits, as int32 and int64 have them."""
    number &= _WORD
    if number < 128:
        return _SMALL[number]
    if number < 16_384:
        return bytes((number & 127 | 128, number >> 7))
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    made.append(number)
    return bytes(made)


def number(field: int, value: int) -> bytes:
    """A field with a number (field numbers below 16, as all here)."""
    return _SMALL[field << 3 | VARINT] + varint(value) if value else b""


def data(field: int, value: bytes) -> bytes:
    """A field of bytes or UTF-8."""
    return _SMALL[field << 3 | BYTES] + varint(len(value)) + value if value else b""


def message(field: int, value: bytes) -> bytes:
    """A field that is there, also with nothing in it: a message, or one of a repeated field."""
    return _SMALL[field << 3 | BYTES] + varint(len(value)) + value
