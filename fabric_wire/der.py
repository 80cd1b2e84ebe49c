"""A strict reader and a small writer of DER (X.690): definite minimal lengths, single-byte tags, nothing left over.

Certificates decide what a light client believes, and every validator has to decide alike, whatever version of a
library it runs: so the few structures that matter are read here, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass

from fabric_wire.errors import MalformedDer

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
UTF8_STRING, PRINTABLE_STRING, IA5_STRING, UTC_TIME, GENERALIZED_TIME = 0x0C, 0x13, 0x16, 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31
BYTES_MAX = 1 << 18  # of one value; a certificate has about 700
SHORT_LENGTH = 0x80  # a first length byte below this is the length itself
MULTI_BYTE_TAG = 0x1F
INTEGER_BYTES_MAX = 64
SECOND_NS = 1_000_000_000
UTC_TIME_DIGITS, GENERALIZED_DIGITS, UTC_PIVOT = 12, 14, 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One tag-length-value: `raw` is all of it, `body` the content."""

    tag: int
    body: bytes
    raw: bytes


class Reader:
    """Values one after another; every method raises MalformedDer and names what was expected."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data = data
        self.what = what
        self.at = 0

    @property
    def is_done(self) -> bool:
        """Whether nothing is left."""
        return self.at == len(self.data)

    def peek(self) -> int | None:
        """Tag of the next value, None at the end."""
        return None if self.is_done else self.data[self.at]

    def take(self, tag: int) -> Value:
        """The next value, which must have this tag."""
        found = self.peek()
        if found != tag:
            got = "the end" if found is None else f"tag {found:#04x}"
            raise MalformedDer(f"{self.what}: expected tag {tag:#04x} at byte {self.at}, got {got}")
        return self.any()

    def optional(self, tag: int) -> Value | None:
        """The next value if it has this tag."""
        return self.any() if self.peek() == tag else None

    def any(self) -> Value:
        """The next value, whatever it is."""
        start = self.at
        tag = self._byte()
        if tag & MULTI_BYTE_TAG == MULTI_BYTE_TAG:
            raise MalformedDer(f"{self.what}: expected a tag of one byte at {start}, got {tag:#04x}")
        length = self._length()
        end = self.at + length
        if end > len(self.data):
            raise MalformedDer(f"{self.what}: expected {length} bytes at {self.at}, got {len(self.data) - self.at}")
        body = self.data[self.at : end]
        self.at = end
        return Value(tag=tag, body=body, raw=self.data[start:end])

    def done(self) -> None:
        """Require the end."""
        if not self.is_done:
            raise MalformedDer(f"{self.what}: expected the end at byte {self.at}, got {len(self.data) - self.at} more")

    def _byte(self) -> int:
        if self.is_done:
            raise MalformedDer(f"{self.what}: expected more at byte {self.at}, got the end")
        self.at += 1
        return self.data[self.at - 1]

    def _length(self) -> int:
        first = self._byte()
        if first < SHORT_LENGTH:
            return first
        count = first - SHORT_LENGTH
        raw = self.data[self.at : self.at + count]
        self.at += len(raw)
        length = int.from_bytes(raw, "big")
        if not 0 < count <= 3 or len(raw) < count or encode_length(length) != bytes([first]) + raw:
            raise MalformedDer(f"{self.what}: expected a minimal definite length, got {first:02x}{raw.hex()}")
        if length > BYTES_MAX:
            raise MalformedDer(f"{self.what}: expected at most {BYTES_MAX} bytes, got {length}")
        return length


def only(data: bytes, tag: int, what: str) -> Reader:
    """Reader of the content of the one value that `data` is."""
    reader = Reader(data, what)
    value = reader.take(tag)
    reader.done()
    return Reader(value.body, what)


def inside(value: Value, what: str) -> Reader:
    """Reader of a value's content."""
    return Reader(value.body, what)


def integer(value: Value, what: str) -> int:
    """Two's complement, minimal."""
    body = value.body
    number = int.from_bytes(body, "big", signed=True)
    if not body or len(body) > INTEGER_BYTES_MAX or encode_integer(number) != value.raw:
        raise MalformedDer(f"{what}: expected a minimal integer, got {body[:INTEGER_BYTES_MAX].hex()}")
    return number


def boolean(value: Value, what: str) -> bool:
    """DER has one true (0xff) and one false (0x00)."""
    if value.body not in {b"\x00", b"\xff"}:
        raise MalformedDer(f"{what}: expected a boolean, got {value.body[:8].hex()}")
    return value.body == b"\xff"


def bits(value: Value, what: str) -> tuple[bytes, int]:
    """Bytes of a bit string and how many bits at the end are padding (zero, as DER asks)."""
    if not value.body or value.body[0] > 7 or (value.body[0] and len(value.body) == 1):
        raise MalformedDer(f"{what}: expected a bit string, got {value.body[:8].hex()}")
    unused, data = value.body[0], value.body[1:]
    if unused and data[-1] & ((1 << unused) - 1):
        raise MalformedDer(f"{what}: expected {unused} zero bits at the end, got {data[-1]:#04x}")
    return data, unused


def octets_of_bits(value: Value, what: str) -> bytes:
    """A bit string that holds whole bytes."""
    data, unused = bits(value, what)
    if unused:
        raise MalformedDer(f"{what}: expected whole bytes, got {unused} unused bits")
    return data


def time_ns(value: Value, what: str) -> int:
    """UTCTime or GeneralizedTime as RFC 5280 4.1.2.5 has them (seconds, Z), in ns since 1970."""
    text = value.body[:-1]
    digits = {UTC_TIME: UTC_TIME_DIGITS, GENERALIZED_TIME: GENERALIZED_DIGITS}.get(value.tag)
    if digits is None or value.body[-1:] != b"Z" or len(text) != digits or not text.isdigit():
        raise MalformedDer(f"{what}: expected a time that ends in Z, got {value.body[:20]!r}")
    year, rest = (int(text[:2]), text[2:]) if value.tag == UTC_TIME else (int(text[:4]), text[4:])
    if value.tag == UTC_TIME:
        year += 1900 if year >= UTC_PIVOT else 2000
    month, day, hour, minute, second = (int(rest[i : i + 2]) for i in range(0, 10, 2))
    if not (1 <= month <= 12 and 1 <= day <= _days_in(year, month) and hour < 24 and minute < 60 and second < 60):
        raise MalformedDer(f"{what}: expected a date, got {value.body!r}")
    days = _days_before(year, month) + day - 1
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * SECOND_NS


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days_in(year: int, month: int) -> int:
    return 29 if month == 2 and _is_leap(year) else (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def _days_before(year: int, month: int) -> int:
    """Days from 1970-01-01 to the first of a month (proleptic Gregorian)."""
    before = year - 1
    years = year * 365 + before // 4 - before // 100 + before // 400
    epoch = 1970 * 365 + 1969 // 4 - 1969 // 100 + 1969 // 400
    return years - epoch + sum(_days_in(year, m) for m in range(1, month))


def encode_length(length: int) -> bytes:
    """Minimal definite length."""
    if length < SHORT_LENGTH:
        return bytes([length])
    raw = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([SHORT_LENGTH | len(raw)]) + raw


def encode(tag: int, *parts: bytes) -> bytes:
    """A value out of its content."""
    body = b"".join(parts)
    return bytes([tag]) + encode_length(len(body)) + body


def encode_integer(number: int) -> bytes:
    """INTEGER, two's complement, minimal."""
    size = (number if number >= 0 else ~number).bit_length() // 8 + 1
    return encode(INTEGER, number.to_bytes(size, "big", signed=True))
