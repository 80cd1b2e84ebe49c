"""Messages with arbitrary contents, built from their descriptors."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any as Value

from google.protobuf.descriptor import FieldDescriptor

from cosmos_wire.amino_json import TIMESTAMP_S_MAX, TIMESTAMP_S_MIN
from cosmos_wire.protos import Any, Duration, Message, Timestamp, cosmos_proto, feegrant, gogo, tendermint_client
from cosmos_wire.tx import pack

TEXTS = ("", "a", "transfer", "<script>&amp;", "é ß 漢 😀", '"\\/\b\f\n\r\t', "\x00\x1f\x7f\u2028\u2029", "x" * 70)
AMOUNTS = ("0", "1", "777", "123456789012345678901234567890", str(2**256 - 1))
DECIMALS = ("", "0", "1", "-1", "1000000000000000000", "-12345678901234567890", "5" * 40)
F = FieldDescriptor
RANGES = {
    F.TYPE_INT32: (-(2**31), 2**31 - 1),
    F.TYPE_SINT32: (-(2**31), 2**31 - 1),
    F.TYPE_SFIXED32: (-(2**31), 2**31 - 1),
    F.TYPE_UINT32: (0, 2**32 - 1),
    F.TYPE_FIXED32: (0, 2**32 - 1),
    F.TYPE_INT64: (-(2**63), 2**63 - 1),
    F.TYPE_SINT64: (-(2**63), 2**63 - 1),
    F.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    F.TYPE_UINT64: (0, 2**64 - 1),
    F.TYPE_FIXED64: (0, 2**64 - 1),
}
WITHIN: Mapping[str, tuple[type[Message], ...]] = {  # what the SDK's decoder takes within an Any, by the field's name
    "client_message": (tendermint_client.Header, tendermint_client.Misbehaviour),
    "misbehaviour": (tendermint_client.Misbehaviour,),
    "consensus_state": (tendermint_client.ConsensusState,),
    "allowance": (feegrant.BasicAllowance, feegrant.PeriodicAllowance),
}
PACKED = {f"/{kind.DESCRIPTOR.full_name}": kind for kinds in WITHIN.values() for kind in kinds}
LISTED_MAX, DEPTH_MAX = 3, 6


def arbitrary(kind: type[Message], source: Random, depth: int = 0) -> Message:
    """A message in which every field is sometimes empty and sometimes odd."""
    made = kind()
    fill(made, source, depth)
    return made


def fill(message: Message, source: Random, depth: int) -> None:
    if isinstance(message, Timestamp):
        message.seconds, message.nanos = source.randint(TIMESTAMP_S_MIN, TIMESTAMP_S_MAX), _nanos(source)
        return
    if isinstance(message, Duration):
        message.seconds, message.nanos = source.choice((0, 1, 1_814_400, 2**33)), _nanos(source)
        return
    for field in message.DESCRIPTOR.fields:
        if source.random() < 0.7 and not _taken(message, field):
            _set(message, field, source, depth)


def _nanos(source: Random) -> int:
    return source.choice((0, 1, 500_000_000, 999_999_999, 120_000))


def _taken(message: Message, field: FieldDescriptor) -> bool:
    group = field.containing_oneof
    return group is not None and message.WhichOneof(group.name) is not None


def _set(message: Message, field: FieldDescriptor, source: Random, depth: int) -> None:
    value: Value = getattr(message, field.name)
    if field.type == F.TYPE_MESSAGE:
        _set_message(value, field, source, depth)
    elif field.label == F.LABEL_REPEATED:
        value.extend([_scalar(field, source) for _ in range(source.randint(0, LISTED_MAX))])
    else:
        setattr(message, field.name, _scalar(field, source))


def _set_message(value: Value, field: FieldDescriptor, source: Random, depth: int) -> None:
    if field.label == F.LABEL_REPEATED:
        for _ in range(source.randint(0, LISTED_MAX if depth < DEPTH_MAX else 0)):
            _fill_one(value.add(), field, source, depth + 1)
    elif depth < DEPTH_MAX or not field.GetOptions().Extensions[gogo.nullable]:
        value.SetInParent()
        _fill_one(value, field, source, depth + 1)


def _fill_one(value: Message, field: FieldDescriptor, source: Random, depth: int) -> None:
    if isinstance(value, Any):
        kinds = WITHIN.get(field.name, (tendermint_client.ClientState,))
        value.CopyFrom(pack(arbitrary(source.choice(kinds), source, depth)))
    else:
        fill(value, source, depth)


def _scalar(field: FieldDescriptor, source: Random) -> Value:
    scalar = field.GetOptions().Extensions[cosmos_proto.scalar]
    if scalar == "cosmos.Int":
        return source.choice(AMOUNTS)
    if field.type == F.TYPE_STRING:
        return source.choice(DECIMALS if scalar == "cosmos.Dec" else TEXTS)
    if field.type == F.TYPE_BYTES:
        return source.randbytes(source.choice((0, 1, 20, 32)))
    if field.type == F.TYPE_BOOL:
        return source.random() < 0.5
    if field.type == F.TYPE_ENUM:
        return source.choice([value.number for value in field.enum_type.values])
    if field.type in (F.TYPE_DOUBLE, F.TYPE_FLOAT):
        return 1.5
    low, high = RANGES[field.type]
    return source.choice((low, high, 0, 1, source.randint(low, high)))


def complete(message: Message) -> None:
    """Write what gogoproto writes always, as the SDK's decoder does with what it got."""
    if isinstance(message, Any) and message.type_url in PACKED:
        inner = PACKED[message.type_url].FromString(message.value)
        complete(inner)
        message.CopyFrom(pack(inner))
        return
    for field in message.DESCRIPTOR.fields:
        if field.type != F.TYPE_MESSAGE:
            continue
        value: Value = getattr(message, field.name)
        if field.label == F.LABEL_REPEATED:
            for item in value:
                complete(item)
        elif message.HasField(field.name) or _never_null(field):
            value.SetInParent()
            complete(value)


def _never_null(field: FieldDescriptor) -> bool:
    options = field.GetOptions()
    return bool(options.HasExtension(gogo.nullable) and not options.Extensions[gogo.nullable])
