"""Amounts of coins inside messages: the SDK reads them as integers while it decodes, and so refuses the transaction."""

from __future__ import annotations

import re
from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from cosmos_wire.errors import TxDecode
from cosmos_wire.protos import Message

COIN = "cosmos.base.v1beta1.Coin"
BITS_MAX = 256
_NUMBER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DIGITS_MAX = 78  # of 2^256


def require_readable(message: Message) -> None:
    """Refuse a message with a coin whose amount is no integer of 256 bits (TxDecode); an absent amount is none."""
    for name, many in _ways(message.DESCRIPTOR):
        found = getattr(message, name)
        for part in found if many else (found,):
            if part.DESCRIPTOR.full_name == COIN:
                _require_number(part.amount)
            else:
                require_readable(part)


def _require_number(text: str) -> None:
    if not text:
        return
    if not _NUMBER.fullmatch(text):
        raise TxDecode(f"cannot read {text[:100]!r} as an integer")
    if len(text.lstrip("+-").lstrip("0")) > _DIGITS_MAX or abs(int(text)).bit_length() > BITS_MAX:
        raise TxDecode(f"integer out of range: expected at most {BITS_MAX} bits, got {text[:100]}")


@cache
def _ways(kind: Descriptor) -> tuple[tuple[str, bool], ...]:
    """(field, repeated) of those fields that lead to a coin; most messages have none."""
    fields = [field for field in kind.fields if field.message_type is not None and _leads(field.message_type)]
    return tuple((field.name, field.label == FieldDescriptor.LABEL_REPEATED) for field in fields)


def _leads(kind: Descriptor, above: tuple[str, ...] = ()) -> bool:
    if kind.full_name == COIN:
        return True
    if kind.full_name in above:
        return False
    below = [field.message_type for field in kind.fields if field.message_type is not None]
    return any(_leads(each, (*above, kind.full_name)) for each in below)
