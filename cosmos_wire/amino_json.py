"""Amino JSON: the text that hardware wallets and multisig members sign (SIGN_MODE_LEGACY_AMINO_JSON).

Built from descriptors and their options alone, as `cosmossdk.io/x/tx/signing/aminojson` builds it (x/tx 0.14):

    amino.name                  {"type": name, "value": {...}}; without one the type URL stands there
    amino.field_name            another key
    amino.dont_omitempty        an empty field stays, else it is left out
    amino.encoding              `legacy_coins`: no coins are [], not null
    amino.message_encoding      `key_field`, `threshold_string`: public keys
    amino.oneof_name            {"Oneof": {"type": name, "value": {"field": ...}}}
    cosmos_proto.scalar         `cosmos.Int`, `cosmos.Dec` as decimal text

64-bit integers are text, bytes base64, Timestamp RFC 3339, Duration nanoseconds as text, keys ascending, no spaces, and
`<`, `>`, `&`, U+2028 and U+2029 escaped as Go's `encoding/json` does it. What the SDK can't encode (maps, floats,
`oneof` fields without a name, unknown types within Any) is refused with `AminoJsonError`.

A message counts as gogoproto would write it again, because the SDK signs it so: fields that are `nullable = false` are
always there. The few Any that its decoder leaves alone (`AS_SENT`) count as they came.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any as Value

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from cosmos_wire.errors import BsmgError, ChainError
from cosmos_wire.known import ANY_DEPTH_MAX, WITHIN_ANY
from cosmos_wire.protos import Any, Duration, Message, Timestamp, amino, cosmos_proto, gogo, multisig_keys
from cosmos_wire.strict import parse

DECIMALS = 18  # of cosmos.Dec
DURATION_S_MAX = (2**63 - 1) // 10**9 - 1
TIMESTAMP_S_MIN, TIMESTAMP_S_MAX = -62_135_596_800, 253_402_300_799  # years 1 to 9999, as protobuf bounds them
HTML = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}
LEGACY_DEC = "cosmossdk.io/math.LegacyDec"
AS_SENT = frozenset(  # fields of deprecated Any: their messages don't unpack them
    (
        "cosmos.upgrade.v1beta1.Plan.upgraded_client_state",
        "ibc.core.connection.v1.MsgConnectionOpenTry.client_state",
        "ibc.core.connection.v1.MsgConnectionOpenAck.client_state",
    )
)
NAMES = {"ibc.core.client.v1.MsgRecoverClient": "cosmos-sdk/MsgRecoverClient"}  # missing from the compiled descriptor
F = FieldDescriptor
TEXT_INTEGERS = frozenset((F.TYPE_INT64, F.TYPE_UINT64, F.TYPE_SINT64, F.TYPE_FIXED64, F.TYPE_SFIXED64))
INTEGERS = frozenset((F.TYPE_INT32, F.TYPE_UINT32, F.TYPE_SINT32, F.TYPE_FIXED32, F.TYPE_SFIXED32, F.TYPE_ENUM))


class AminoJsonError(BsmgError):
    """The message has no amino JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nest:
    """Where a message stands."""

    any_left: int = ANY_DEPTH_MAX  # so many Any may still be in each other
    as_sent: bool = False  # within an Any that the SDK's decoder does not write again


TOP = Nest()
Write = Callable[[Value, FieldDescriptor, Nest], str]  # a field's value, the field, where it stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one field is written."""

    field: FieldDescriptor
    name: str
    order: str  # what it is sorted by: its name, or its oneof's
    kept: bool  # written when empty
    present: bool  # gogoproto writes it whatever its value
    oneof: tuple[str, str] | None  # key and type name around the field
    write: Write | None  # instead of the type's own form


def encode(message: Message, nest: Nest = TOP) -> str:
    """A message of a transaction: {"type": ..., "value": ...}. Raises AminoJsonError."""
    return f'{{"type":"{amino_name(message.DESCRIPTOR)}","value":{encode_value(message, nest)}}}'


def amino_name(descriptor: Descriptor) -> str:
    """Its `amino.name`, else its type URL."""
    named = str(descriptor.GetOptions().Extensions[amino.name])
    return named or NAMES.get(descriptor.full_name) or f"/{descriptor.full_name}"


def encode_value(message: Message, nest: Nest = TOP) -> str:
    """The value alone."""
    special = WELL_KNOWN.get(message.DESCRIPTOR.full_name) or _message_encoding(message.DESCRIPTOR)
    if special is not None:
        return special(message, nest)
    parts: list[str] = []
    empty_oneofs: list[str] = []
    for rule in rules(message.DESCRIPTOR):
        part = _member(message, rule, empty_oneofs, nest)
        if part:
            parts.append(part)
    return "{" + ",".join(parts) + "}"


def _member(message: Message, rule: Rule, empty_oneofs: list[str], nest: Nest) -> str:
    value = getattr(message, rule.field.name)
    present = rule.present and not nest.as_sent
    if not (present or _has(message, rule.field, value)):
        return _empty_member(message, value, rule, (empty_oneofs, nest))
    written = _forced(message, value, rule) or _field(value, rule, nest)
    member = f"{json_text(rule.name)}:{written}"
    return member if rule.oneof is None else f'"{rule.oneof[0]}":{{"type":"{rule.oneof[1]}","value":{{{member}}}}}'


def _empty_member(message: Message, value: Value, rule: Rule, more: tuple[list[str], Nest]) -> str:
    empty_oneofs, nest = more
    if rule.oneof is not None and rule.oneof[0] not in empty_oneofs:
        assert rule.field.containing_oneof is not None
        if message.WhichOneof(rule.field.containing_oneof.name) is None:
            empty_oneofs.append(rule.oneof[0])  # one null for all its fields
            return f"{json_text(rule.oneof[0])}:null"
    if not rule.kept:
        return ""
    if rule.write is None and _is_list(rule.field):
        return f"{json_text(rule.name)}:null"
    if rule.write is None and rule.field.type == F.TYPE_BYTES:
        return f"{json_text(rule.name)}:null"
    if rule.field.type == F.TYPE_MESSAGE and not _is_list(rule.field):
        raise AminoJsonError(f"not supported: dont_omit_empty=true on invalid (nil?) message field: {rule.name}")
    return f"{json_text(rule.name)}:{_field(value, rule, nest)}"


def _forced(message: Message, value: Value, rule: Rule) -> str:
    """Go's zero time, which gogoproto writes for a time that is absent and may not be."""
    if not (rule.present and isinstance(value, Timestamp)) or message.HasField(rule.field.name):
        return ""
    return '"0001-01-01T00:00:00Z"' if rule.field.GetOptions().Extensions[gogo.stdtime] else ""


def _has(message: Message, field: FieldDescriptor, value: Value) -> bool:
    return message.HasField(field.name) if field.has_presence else bool(value)


def _is_list(field: FieldDescriptor) -> bool:
    return bool(field.label == F.LABEL_REPEATED)


def _field(value: Value, rule: Rule, nest: Nest) -> str:
    if rule.write is not None:
        return rule.write(value, rule.field, nest)
    return _list(value, rule.field, nest) if _is_list(rule.field) else _single(value, rule.field, nest)


def _list(values: Value, field: FieldDescriptor, nest: Nest) -> str:
    if field.type == F.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
        raise AminoJsonError("maps are not supported")
    return "[" + ",".join([_single(item, field, nest) for item in values]) + "]"


def _single(value: Value, field: FieldDescriptor, nest: Nest) -> str:
    if field.type == F.TYPE_MESSAGE:
        return encode_value(value, replace(nest, as_sent=True) if field.full_name in AS_SENT else nest)
    if field.type == F.TYPE_STRING:
        return json_text(value)
    if field.type in TEXT_INTEGERS:
        return f'"{value}"'
    if field.type in INTEGERS:
        return str(value)
    if field.type == F.TYPE_BYTES:
        return _base64(value)
    if field.type == F.TYPE_BOOL:
        return "true" if value else "false"
    raise AminoJsonError(f"unknown type of {field.full_name}: floats are not supported")


def json_text(text: str) -> str:
    """A JSON string as Go's `encoding/json` (1.22 and later) writes it."""
    return json.dumps(text, ensure_ascii=False).translate(HTML)


def _base64(data: bytes) -> str:
    return f'"{b64encode(data).decode()}"'


@lru_cache(maxsize=1_024)
def rules(descriptor: Descriptor) -> tuple[Rule, ...]:
    """Of all fields, in the order of writing. Raises AminoJsonError for a oneof field without a name."""
    return tuple(sorted((_rule(field) for field in descriptor.fields), key=lambda rule: rule.order))


def _rule(field: FieldDescriptor) -> Rule:
    options = field.GetOptions()
    name = str(options.Extensions[amino.field_name]) or field.name
    oneof = _oneof_names(field)
    return Rule(
        field=field,
        name=name,
        order=name if oneof is None else oneof[0],
        kept=bool(options.Extensions[amino.dont_omitempty]),
        present=_always_written(field),
        oneof=oneof,
        write=_field_encoding(field),
    )


def _always_written(field: FieldDescriptor) -> bool:
    options = field.GetOptions()
    if _is_list(field) or not options.HasExtension(gogo.nullable) or options.Extensions[gogo.nullable]:
        return False
    return field.type == F.TYPE_MESSAGE or options.HasExtension(gogo.customtype)


def _oneof_names(field: FieldDescriptor) -> tuple[str, str] | None:
    if field.containing_oneof is None:
        return None
    type_name = str(field.GetOptions().Extensions[amino.oneof_name])
    if not type_name:
        raise AminoJsonError(f"field {field.name} within a oneof must have the amino.oneof_type_name option set")
    return camel(field.containing_oneof.name), type_name


def camel(name: str) -> str:
    """`public_key` -> `PublicKey`; a letter behind a digit is a capital too."""
    made, capital = "", True
    for sign in name:
        if sign.isalnum():
            made += sign.upper() if capital else sign
        capital = not sign.isalpha()
    return made


def _field_encoding(field: FieldDescriptor) -> Write | None:
    options = field.GetOptions()
    found = FIELD_ENCODINGS.get(str(options.Extensions[amino.encoding]))
    if found is not None:
        return found
    scalar = str(options.Extensions[cosmos_proto.scalar])
    if scalar == "cosmos.Dec" and options.Extensions[gogo.customtype] != LEGACY_DEC:
        return None  # text with a point already
    return SCALARS.get(scalar)


def _integer(value: Value, field: FieldDescriptor, _nest: Nest) -> str:
    return json_text(_scalar_text(value, field) or "0")


def _decimal(value: Value, field: FieldDescriptor, _nest: Nest) -> str:
    text = _scalar_text(value, field)
    if not text:
        return '"0"'
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise AminoJsonError(f"failed to unmarshal for Amino JSON encoding; string {text!r} into Dec")
    whole, part = divmod(int(digits), 10**DECIMALS)
    sign = "-" if text.startswith("-") and (whole or part) else ""
    return f'"{sign}{whole}.{part:0{DECIMALS}d}"'


def _scalar_text(value: Value, field: FieldDescriptor) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes) and value.isascii():
        return value.decode()
    raise AminoJsonError(f"unsupported type of {field.full_name}")


def _coins(value: Value, field: FieldDescriptor, nest: Nest) -> str:
    if not _is_list(field):
        raise AminoJsonError(f"unsupported type of {field.full_name}")
    return _list(value, field, nest)


def _refuse_field(_value: Value, field: FieldDescriptor, _nest: Nest) -> str:
    raise AminoJsonError(f"JSON within {field.full_name} is not supported")


FIELD_ENCODINGS: Mapping[str, Write] = {"legacy_coins": _coins, "inline_json": _refuse_field}
SCALARS: Mapping[str, Write] = {"cosmos.Int": _integer, "cosmos.Dec": _decimal}


def _timestamp(message: Timestamp, _nest: Nest) -> str:
    if not (0 <= message.nanos < 10**9 and TIMESTAMP_S_MIN <= message.seconds <= TIMESTAMP_S_MAX):
        raise AminoJsonError(f"timestamp is out of the years 1 to 9999: {message.seconds} s, {message.nanos} ns")
    date, time = utc_texts(message.seconds * 10**9 + message.nanos)
    return f'"{date}T{time}Z"'


def utc_texts(time_ns: int) -> tuple[str, str]:
    """Date and time of day of a Unix time: `2026-11-21`, `15:04:05.25`; years 1 to 9999."""
    seconds, nanos = divmod(time_ns, 10**9)
    days, second = divmod(seconds, 86_400)
    # Years begin in March, so that the leap day is the last one; 146,097 days are 400 years; 719,468 days to 1970.
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    year = era * 400 + year_of_era + (1 if month >= 10 else 0)
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    time = f"{second // 3_600:02d}:{second // 60 % 60:02d}:{second % 60:02d}{fraction}"
    return f"{year:04d}-{month + 3 if month < 10 else month - 9:02d}-{day:02d}", time


def _duration(message: Duration, _nest: Nest) -> str:
    if abs(message.seconds) > DURATION_S_MAX or abs(message.nanos) >= 10**9:
        raise AminoJsonError(f"{message.seconds} seconds would overflow an int64 when represented as nanoseconds")
    return f'"{message.seconds * 10**9 + message.nanos}"'


def _any(message: Any, nest: Nest) -> str:
    kind = WITHIN_ANY.get(message.type_url)
    if kind is None:
        raise AminoJsonError(f"can't resolve type URL {message.type_url[:200]}")
    if nest.any_left <= 0:
        raise AminoJsonError(f"max depth exceeded: expected at most {ANY_DEPTH_MAX} Any in each other")
    try:
        inner = parse(kind, message.value, message.type_url)
    except ChainError as error:
        raise AminoJsonError(str(error)) from error
    return encode(inner, replace(nest, any_left=nest.any_left - 1))


Encode = Callable[[Value, Nest], str]  # a message, where it stands
WELL_KNOWN: Mapping[str, Encode] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.Any": _any,
}


def _message_encoding(descriptor: Descriptor) -> Encode | None:
    return MESSAGE_ENCODINGS.get(str(descriptor.GetOptions().Extensions[amino.message_encoding]))


def _key(message: Value, _nest: Nest) -> str:
    return _base64(message.key) if message.key else "null"


def _multisig_key(message: multisig_keys.LegacyAminoPubKey, nest: Nest) -> str:
    members = ",".join([_any(item, nest) for item in message.public_keys])
    return f'{{"pubkeys":[{members}],"threshold":"{message.threshold}"}}'


def _refuse_message(message: Value, _nest: Nest) -> str:
    raise AminoJsonError(f"{message.DESCRIPTOR.full_name} is not signed by anybody")


MESSAGE_ENCODINGS: Mapping[str, Encode] = {
    "key_field": _key,
    "threshold_string": _multisig_key,
    "module_account": _refuse_message,
}
