"""Protobuf bytes with one reading: what parses has to be the only way to write the message.

Two programs that read the same signed bytes differently could be shown different facts by one signature. So unknown
fields, fields out of order and values written longer than needed are refused: a message is taken only when writing it
again gives the same bytes. Fabric's Go code writes its messages in exactly this form.
"""

from __future__ import annotations

from typing import TypeVar

from cosmos_wire.errors import ChainError
from fabric_wire.errors import MalformedMessage
from fabric_wire.protos import DecodeError, Message

__all__ = ["DecodeError", "read", "write"]

M = TypeVar("M", bound=Message)
MESSAGE_BYTES_MAX = 10 << 20  # what an orderer puts into a block


def read(kind: type[M], data: bytes, refusal: type[ChainError] = MalformedMessage) -> M:
    """The message; raises `refusal` for bytes that are broken, too many, or not the one form of what they say."""
    if len(data) > MESSAGE_BYTES_MAX:
        name = kind.DESCRIPTOR.full_name
        raise refusal(f"{name}: expected at most {MESSAGE_BYTES_MAX} bytes, got {len(data)}")
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        name = kind.DESCRIPTOR.full_name
        raise refusal(f"{name}: expected a protobuf message, got {len(data)} bytes: {error}") from error
    message.DiscardUnknownFields()  # type: ignore[attr-defined]  # the stubs lack it
    again = message.SerializeToString(deterministic=True)
    if again != data:
        name = kind.DESCRIPTOR.full_name
        raise refusal(f"{name}: expected the canonical {len(again)} bytes, got {len(data)} others or unknown fields")
    return message


def write(message: Message) -> bytes:
    """Deterministic bytes."""
    return message.SerializeToString(deterministic=True)
