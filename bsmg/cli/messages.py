"""Messages from words: services and methods by short names, fields by position or `name=value`, or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor

from cosmos_wire import protos
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Message

PACKAGES: Mapping[str, str] = {
    "auth": "cosmos.auth.v1beta1",
    "bank": "cosmos.bank.v1beta1",
    "staking": "cosmos.staking.v1beta1",
    "upgrade": "cosmos.upgrade.v1beta1",
    "consensus": "cosmos.consensus.v1",
    "client": "ibc.core.client.v1",
    "connection": "ibc.core.connection.v1",
    "channel": "ibc.core.channel.v1",
    "client-v2": "ibc.core.client.v2",
    "channel-v2": "ibc.core.channel.v2",
    "ibc-transfer": "ibc.applications.transfer.v1",
    "market": "bsmg.market.v1",
    "meter": "bsmg.meter.v1",
    "registry": "bsmg.registry.v1",
    "trade": "bsmg.trade.v1",
}
SERVICES: Mapping[str, str] = {
    **{name: f"{package}.Query" for name, package in PACKAGES.items()},
    "transfer": "ibc.applications.transfer.v1.Query",
    "tx": "cosmos.tx.v1beta1.Service",
    "node": "cosmos.base.node.v1beta1.Service",
    "tendermint": "cosmos.base.tendermint.v1beta1.Service",
}
COIN = re.compile(r"([0-9]+)([a-zA-Z][a-zA-Z0-9/:._-]{2,127})")
BYTES_AS_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")

assert protos  # importing it puts every message into the pool


def nearest(word: str, known: Sequence[str], what: str) -> ToolError:
    """The error for a word that isn't known."""
    near = get_close_matches(word, known, n=1, cutoff=0.0)
    hint = f"; nearest is {near[0]!r}" if near else ""
    return ToolError(f"{what}: expected one of {', '.join(known)}, got {word!r}{hint}")


def kebab(name: str) -> str:
    """`PlaceOrder` -> `place-order`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def find_service(word: str) -> ServiceDescriptor:
    """A service by its short name or its full one."""
    full = SERVICES.get(word, word)
    pool = descriptor_pool.Default()  # type: ignore[no-untyped-call]  # protobuf's stubs leave it untyped
    try:
        found: ServiceDescriptor = pool.FindServiceByName(full)
    except KeyError as error:
        raise nearest(word, tuple(SERVICES), "service") from error
    return found


def find_method(service: ServiceDescriptor, word: str) -> MethodDescriptor:
    """A method by name, in any spelling: `DenomTrace`, `denom-trace`, `denom_trace`."""
    wanted = word.replace("-", "").replace("_", "").lower()
    methods: list[MethodDescriptor] = list(service.methods)
    for method in methods:
        if method.name.lower() == wanted:
            return method
        if method.name.lower() == f"all{wanted}":  # `balances` is short for `all-balances`
            return method
    raise nearest(word, [kebab(method.name) for method in methods], f"method of {service.full_name}")


def new(descriptor: Descriptor) -> Message:
    """An empty message of a type."""
    made = message_factory.GetMessageClass(descriptor)()
    assert isinstance(made, Message), "every class of the pool is a message"
    return made


def fill(message: Message, words: Sequence[str], order: Sequence[str]) -> None:
    """Set fields from words: `name=value` by name, others in `order`; `-` leaves a place out."""
    places = list(order)
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in message.DESCRIPTOR.fields_by_name:
            set_field(message, name, value)
            continue
        if not places:
            raise ToolError(
                f"{message.DESCRIPTOR.name}: expected at most {len(order)} values ({signature(order)}), got {word!r}"
            )
        place = places.pop(0)
        if word != "-":
            set_field(message, place, word)


def signature(names: Sequence[str]) -> str:
    """Names of fields for a message to the user."""
    return ", ".join(names) or "none"


def field_order(descriptor: Descriptor, without: Sequence[str] = ()) -> list[str]:
    """Names of fields by number."""
    fields = sorted(descriptor.fields, key=lambda field: field.number)
    return [field.name for field in fields if field.name not in without]


def fill_json(message: Message, text: str) -> None:
    """Set fields from protobuf JSON."""
    try:
        json_format.Parse(text, message)
    except json_format.ParseError as error:
        raise ToolError(f"{message.DESCRIPTOR.name}: expected its protobuf JSON, got: {error}") from error


def set_field(message: Message, name: str, text: str) -> None:
    """Set one field from text; raises ToolError with what was expected."""
    field = message.DESCRIPTOR.fields_by_name[name]
    value = [_value(field, part) for part in text.split(",")] if _is_repeated(field) else _value(field, text)
    try:
        json_format.ParseDict({name: value}, message)
    except json_format.ParseError as error:
        raise ToolError(f"{name}: expected {_kind(field)}, got {text!r} ({error})") from error


def _is_repeated(field: FieldDescriptor) -> bool:
    return bool(field.label == FieldDescriptor.LABEL_REPEATED)


def _value(field: FieldDescriptor, text: str) -> object:
    """JSON value of a word for a field."""
    if field.message_type is not None:
        return _message_value(field, text)
    if field.enum_type is not None:
        return _enum_value(field, text)
    if field.type == FieldDescriptor.TYPE_BOOL:
        if text.lower() not in TRUE + FALSE:
            raise ToolError(f"{field.name}: expected true or false, got {text!r}")
        return text.lower() in TRUE
    if field.type == FieldDescriptor.TYPE_BYTES and BYTES_AS_HEX.fullmatch(text):
        return json_format.MessageToDict(protos.ed25519_keys.PubKey(key=bytes.fromhex(text)))["key"]
    return text


def _message_value(field: FieldDescriptor, text: str) -> object:
    """A coin as `10bmga`, anything else as JSON."""
    coin = COIN.fullmatch(text)
    if field.message_type.full_name == "cosmos.base.v1beta1.Coin" and coin:
        return {"amount": coin[1], "denom": coin[2]}
    try:
        return json.loads(text)
    except ValueError as error:
        raise ToolError(f"{field.name}: expected {_kind(field)}, got {text!r}") from error


def _enum_value(field: FieldDescriptor, text: str) -> object:
    """`bid` for SIDE_BID, or the number."""
    names = [value.name for value in field.enum_type.values]
    for name in names:
        if name == text.upper() or name.endswith("_" + text.upper().replace("-", "_")):
            return name
    if text.isdigit():
        return int(text)
    raise nearest(text, names, field.name)


def _kind(field: FieldDescriptor) -> str:
    if field.message_type is not None and field.message_type.full_name == "cosmos.base.v1beta1.Coin":
        return "an amount with its denom, like 10bmga"
    return field.message_type.full_name + " as JSON" if field.message_type is not None else "a value of its type"
