"""DER has one form of everything; the other forms are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric_wire import der
from fabric_wire.errors import MalformedDer

Reading = Callable[[bytes], object]


def one(data: bytes) -> der.Value:
    return der.Reader(data, "x").any()


READERS: dict[str, Reading] = {
    "value": one,
    "boolean": lambda data: der.boolean(one(data), "x"),
    "integer": lambda data: der.integer(one(data), "x"),
    "bits": lambda data: der.bits(one(data), "x"),
    "octets": lambda data: der.octets_of_bits(one(data), "x"),
    "time": lambda data: der.time_ns(one(data), "x"),
}


def utc(text: str) -> str:
    return der.encode(der.UTC_TIME, text.encode()).hex()


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("value", "", "expected more at byte 0, got the end"),
        ("value", "30", "expected more at byte 1, got the end"),
        ("value", "3002", "expected 2 bytes at 2, got 0"),
        ("value", "1f8101", "expected a tag of one byte at 0, got 0x1f"),
        ("value", "3080" + "0000", "expected a minimal definite length, got 80"),
        ("value", "308105" + "00" * 5, "expected a minimal definite length, got 8105"),
        ("value", "30820080" + "00" * 128, "expected a minimal definite length, got 820080"),
        ("value", "3082", "expected a minimal definite length"),
        ("value", "308201", "expected a minimal definite length"),
        ("value", "308401000000", "expected a minimal definite length"),
        ("value", "3083040001" + "00" * 16, "expected at most 262144 bytes, got 262145"),
        ("boolean", "010101", "expected a boolean, got 01"),
        ("boolean", "0100", "expected a boolean, got "),
        ("boolean", "0102ffff", "expected a boolean, got ffff"),
        ("integer", "0200", "expected a minimal integer"),
        ("integer", "02020001", "expected a minimal integer"),
        ("integer", "0202ff80", "expected a minimal integer"),
        ("integer", "0241" + "01" * 65, "expected a minimal integer"),
        ("bits", "0300", "expected a bit string, got "),
        ("bits", "03020880", "expected a bit string, got 0880"),
        ("bits", "030101", "expected a bit string, got 01"),
        ("bits", "03020181", "expected 1 zero bits at the end, got 0x81"),
        ("octets", "03020180", "expected whole bytes, got 1 unused bits"),
        ("time", "0500", "expected a time that ends in Z"),
        ("time", utc("230101000000"), "expected a time that ends in Z"),
        ("time", utc("2301010000000"), "expected a time that ends in Z"),
        ("time", utc("23010100000000Z"), "expected a time that ends in Z"),
        ("time", utc("2301010000 0Z"), "expected a time that ends in Z"),
        ("time", utc("-30101000000Z"), "expected a time that ends in Z"),
        ("time", utc("230001000000Z"), "expected a date"),
        ("time", utc("231301000000Z"), "expected a date"),
        ("time", utc("230100000000Z"), "expected a date"),
        ("time", utc("230230000000Z"), "expected a date"),
        ("time", utc("230229000000Z"), "expected a date"),
        ("time", utc("230101240000Z"), "expected a date"),
        ("time", utc("230101006000Z"), "expected a date"),
        ("time", utc("230101000060Z"), "expected a date"),
        ("time", der.encode(der.GENERALIZED_TIME, b"21000229000000Z").hex(), "expected a date"),
    ],
)
def test_other_forms_are_refused(kind: str, data: str, text: str):
    with pytest.raises(MalformedDer, match=text):
        READERS[kind](bytes.fromhex(data))


@pytest.mark.parametrize(
    ("kind", "data", "value"),
    [
        ("boolean", "0101ff", True),
        ("boolean", "010100", False),
        ("integer", "020100", 0),
        ("integer", "0201ff", -1),
        ("integer", "02020080", 128),
        ("bits", "030100", (b"", 0)),
        ("bits", "03020780", (b"\x80", 7)),
        ("octets", "030200ff", b"\xff"),
        ("time", utc("700101000000Z"), 0),
        ("time", utc("500101000000Z"), -631_152_000 * 10**9),
        ("time", utc("491231235959Z"), 2_524_607_999 * 10**9),
        ("time", der.encode(der.GENERALIZED_TIME, b"20000229000000Z").hex(), 951_782_400 * 10**9),
    ],
)
def test_the_one_form_is_read(kind: str, data: str, value: object):
    assert READERS[kind](bytes.fromhex(data)) == value


@given(st.sampled_from([0x02, 0x04, 0x30, 0xA0]), st.binary(max_size=400))
def test_values_go_round(tag: int, body: bytes):
    raw = der.encode(tag, body)
    assert one(raw) == der.Value(tag=tag, body=body, raw=raw)
    reader = der.only(raw, tag, "x")
    assert reader.data == body
    with pytest.raises(MalformedDer, match="expected the end"):
        der.only(raw + b"\x00", tag, "x")
    with pytest.raises(MalformedDer, match="expected tag 0x31"):
        der.only(raw, der.SET, "x")


@given(st.sampled_from(sorted(READERS)), st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(kind: str, data: bytes):
    try:
        READERS[kind](data)
    except MalformedDer:
        return
    assert one(data).raw == data[: len(one(data).raw)]
