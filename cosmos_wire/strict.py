"""Protobuf parsing that refuses what a transaction may not carry: unknown fields (ADR-020), at any depth."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.unknown_fields import UnknownFieldSet  # type: ignore[import-not-found]  # no stubs

from cosmos_wire.errors import TxDecode
from cosmos_wire.protos import DecodeError, Message

NON_CRITICAL_BIT = 1 << 10  # ADR-020: unknown fields with this bit in their number may be ignored, in the body only
WIRE_TYPES = ("varint", "fixed64", "bytes", "start_group", "end_group", "fixed32")

M = TypeVar("M", bound=Message)


def parse(kind: type[M], data: bytes, what: str) -> M:
    """The message; raises TxDecode for bytes that are none and for any unknown field."""
    return parse_lax(kind, data, what, lax=False)[0]


def parse_lax(kind: type[M], data: bytes, what: str, *, lax: bool = True) -> tuple[M, bool]:
    """The message without its unknown fields, and whether it had any; `lax` lets non-critical ones pass."""
    try:
        made = kind.FromString(data)
    except DecodeError as error:
        raise TxDecode(f"{what} of {len(data)} bytes is not that message") from error
    size = made.ByteSize()
    made.DiscardUnknownFields()  # type: ignore[attr-defined]  # a method of every message that the stubs lack
    if made.ByteSize() == size:  # always for honest transactions: the usual case stays in C
        return made, False
    _judge(kind.FromString(data), lax=lax)
    return made, True


def _judge(message: Message, *, lax: bool) -> None:
    for item in UnknownFieldSet(message):
        if not (lax and item.field_number & NON_CRITICAL_BIT):
            wire = WIRE_TYPES[item.wire_type]
            raise TxDecode(
                f'errUnknownField "{go_name(message.DESCRIPTOR)}": {{TagNum: {item.field_number}, WireType:"{wire}"}}'
            )
    for field, value in message.ListFields():
        if field.type != FieldDescriptor.TYPE_MESSAGE or field.message_type.GetOptions().map_entry:
            continue
        for part in value if field.label == FieldDescriptor.LABEL_REPEATED else (value,):
            _judge(part, lax=lax)


def go_name(descriptor: Descriptor) -> str:
    """`*types.MsgSend`, as the SDK's messages name Go types."""
    names = [descriptor.name]
    while descriptor.containing_type is not None:
        descriptor = descriptor.containing_type
        names.append(descriptor.name)
    package = descriptor.file.GetOptions().go_package.split(";")[-1].rsplit("/", 1)[-1]
    return f"*{package or 'types'}.{'_'.join(reversed(names))}"
