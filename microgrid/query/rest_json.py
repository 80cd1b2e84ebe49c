"""Messages as the SDK's gateway writes them (gogoproto's jsonpb with original names and defaults).

What differs from protobuf's own JSON: empty bytes and absent messages are `null`; a message that gogoproto holds by
value is always there; decimals have their point; times that nobody set are the year 1, as Go prints them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any as Json

from google.protobuf import json_format, symbol_database
from google.protobuf.descriptor import FieldDescriptor

from cosmos_wire.protos import Any, DecodeError, Message

F = FieldDescriptor
TEXT_INTEGERS = frozenset({F.CPPTYPE_INT64, F.CPPTYPE_UINT64})
DECIMALS = 18
ZERO_TIME = "0001-01-01T00:00:00Z"
DECIMAL, BY_VALUE = ("cosmos_proto.scalar", "cosmos.Dec"), ("gogoproto.nullable", False)


def document(message: Message) -> dict[str, Json]:
    """A message's fields as JSON values."""
    fields = message.DESCRIPTOR.fields
    return {field.name: _field(message, field) for field in fields if not _unset_choice(message, field)}


def _unset_choice(message: Message, field: FieldDescriptor) -> bool:
    """Whether it is a member of a oneof that is not the chosen one."""
    choice = field.containing_oneof
    return choice is not None and message.WhichOneof(choice.name) != field.name


def _field(message: Message, field: FieldDescriptor) -> Json:
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name["value"]
        return {str(key): _value(entry, value[key]) for key in sorted(value)}
    if field.label == F.LABEL_REPEATED:
        return [_value(field, item) for item in value]
    if field.type == F.TYPE_MESSAGE and not message.HasField(field.name):
        return _absent(field, value)
    return _value(field, value)


def _absent(field: FieldDescriptor, empty: Message) -> Json:
    if not _has(field, *BY_VALUE):
        return None
    if field.message_type.full_name == "google.protobuf.Timestamp":
        return ZERO_TIME
    return _value(field, empty)


def _value(field: FieldDescriptor, value: Json) -> Json:
    if field.type == F.TYPE_MESSAGE:
        return _message(value)
    if field.type == F.TYPE_BYTES:
        return b64encode(value).decode() if value else None
    if field.type == F.TYPE_ENUM:
        found = field.enum_type.values_by_number.get(value)
        return found.name if found is not None else value
    if field.cpp_type in TEXT_INTEGERS:
        return str(value)
    if field.type == F.TYPE_STRING and _has(field, *DECIMAL):
        return _decimal(value)
    return value


def _decimal(text: str) -> str:
    """`100000000000000000` is 0.1: protobuf carries a decimal of 18 places without its point."""
    digits = text.removeprefix("-")
    if not digits.isdecimal():
        return text or "0." + "0" * DECIMALS
    padded = digits.rjust(DECIMALS + 1, "0")
    return f"{'-' if text.startswith('-') else ''}{padded[:-DECIMALS]}.{padded[-DECIMALS:]}"


def _any(value: Any) -> Json:
    try:
        kind = symbol_database.Default().GetSymbol(value.type_url.rpartition("/")[2])
        inner: Message = kind.FromString(value.value)
    except (KeyError, DecodeError):  # of a type that this node doesn't know: its bytes as they are
        return {"@type": value.type_url, "value": b64encode(value.value).decode()}
    shown = _message(inner)
    return {"@type": value.type_url, **(shown if isinstance(shown, dict) else {"value": shown})}


def _well_known(value: Message) -> Json:
    return json_format.MessageToDict(value)


SPECIAL: Mapping[str, Callable[[Json], Json]] = {
    "google.protobuf.Any": _any,
    "google.protobuf.Timestamp": _well_known,
    "google.protobuf.Duration": _well_known,
}


def _message(value: Message) -> Json:
    special = SPECIAL.get(value.DESCRIPTOR.full_name)
    return special(value) if special is not None else document(value)


def _has(field: FieldDescriptor, option: str, wanted: object) -> bool:
    return any(found.full_name == option and value == wanted for found, value in field.GetOptions().ListFields())
