"""ABCI frames however the stream was cut, and rubbish."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.wire import FRAME_BYTES_MAX, FrameReader, WireError, frame, parse, varint, varint_bytes
from cosmos_wire.protos import abci

REQUESTS = [
    abci.Request(info=abci.RequestInfo(version="0.38.26")),
    abci.Request(flush=abci.RequestFlush()),
    abci.Request(check_tx=abci.RequestCheckTx(tx=bytes(300))),
    abci.Request(query=abci.RequestQuery(path="/store/ibc/key", data=b"k")),
]
STREAM = b"".join(frame(request) for request in REQUESTS)


def _read(chunks: list[bytes]) -> list[abci.Request]:
    reader = FrameReader()
    return [parse(abci.Request, raw) for chunk in chunks for raw in reader.feed(chunk)]


def test_whole() -> None:
    assert _read([STREAM]) == REQUESTS


def test_byte_by_byte() -> None:
    assert _read([STREAM[i : i + 1] for i in range(len(STREAM))]) == REQUESTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_any_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert _read([STREAM[a:b] for a, b in pairwise(edges)]) == REQUESTS


def test_an_incomplete_frame_waits() -> None:
    reader = FrameReader()
    assert list(reader.feed(STREAM[:-1])) == [request.SerializeToString() for request in REQUESTS[:-1]]
    assert list(reader.feed(STREAM[-1:])) == [REQUESTS[-1].SerializeToString()]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xff\xff\xff\xff", "at least 2"),
        (b"\x80\x80\x80\x80\x80", "a longer one"),
        (varint(FRAME_BYTES_MAX + 1), "at most 104857600 bytes"),
    ],
)
def test_bad_length(data: bytes, said: str) -> None:
    with pytest.raises(WireError, match=said):
        list(FrameReader().feed(data))


def test_a_frame_that_is_no_request() -> None:
    with pytest.raises(WireError, match=r"expected a tendermint\.abci\.Request, got 3 other bytes"):
        parse(abci.Request, b"\xff\xff\xff")


@given(st.binary(max_size=200))
def test_rubbish_is_frames_or_a_typed_error(data: bytes) -> None:
    reader = FrameReader(frame_bytes_max=64)
    try:
        frames = list(reader.feed(data))
    except WireError:
        return
    assert sum(varint_bytes(len(raw)) + len(raw) for raw in frames) <= len(data)


@given(st.integers(0, 2**40))
def test_varint_length(number: int) -> None:
    assert varint_bytes(number) == len(varint(number))
