"""ABCI 2.0 over a socket, without I/O: bytes in, requests out; responses in, bytes out.

CometBFT 0.38 sends each `tendermint.abci.Request` behind its length as an unsigned varint and reads responses of the
same form (`abci/types/messages.go`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import DecodeError, Message

FRAME_BYTES_MAX = 104_857_600  # CometBFT's own limit for one ABCI message
LENGTH_BYTES_MAX = 5  # a varint of 5 bytes reaches beyond FRAME_BYTES_MAX

M = TypeVar("M", bound=Message)


class WireError(ToolError):
    """The other end of an ABCI socket sent what is no ABCI message."""


class FrameReader:
    """Cuts a stream into frames, however it was split; holds at most one incomplete frame."""

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._limit = frame_bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Frames that are complete now, in order; raises WireError for a bad or too great length, after those before.

        The iterator has to be used up before the next call.
        """
        self._buffer += data
        at = 0
        try:
            while (found := self._length_at(at)) is not None:
                length, start = found
                if len(self._buffer) < start + length:
                    break
                at = start + length
                yield bytes(self._buffer[start:at])
        finally:
            del self._buffer[:at]

    def _length_at(self, at: int) -> tuple[int, int] | None:
        """(frame length, where the frame starts), None when the length is not complete yet."""
        length = 0
        for i, byte in enumerate(self._buffer[at : at + LENGTH_BYTES_MAX]):
            length |= (byte & 0x7F) << (7 * i)
            if length > self._limit:
                raise WireError(f"frame length: expected at most {self._limit} bytes, got at least {length}")
            if byte < 0x80:
                return length, at + i + 1
        if len(self._buffer) - at >= LENGTH_BYTES_MAX:
            raise WireError(f"frame length: expected a varint of at most {LENGTH_BYTES_MAX} bytes, got a longer one")
        return None


def frame(message: Message) -> bytes:
    """A message behind its length."""
    data = message.SerializeToString()
    return varint(len(data)) + data


def parse(kind: type[M], data: bytes) -> M:
    """A frame's message; raises WireError when it is none."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise WireError(f"expected a {kind.DESCRIPTOR.full_name}, got {len(data)} other bytes") from error


def varint(number: int) -> bytes:
    """Unsigned varint of a number >= 0."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def varint_bytes(number: int) -> int:
    """Length of the varint of a number >= 0."""
    return max(1, (number.bit_length() + 6) // 7)
