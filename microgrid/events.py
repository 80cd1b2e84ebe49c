"""Events as the SDK and ibc-go lay them out, in ABCI's messages; every attribute is indexed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from cosmos_wire.canonical import delimited
from cosmos_wire.protos import Message, abci
from ibc_core.host import Event

if TYPE_CHECKING:  # the class exists in the stubs alone: at run time the lists are the C library's
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer as Repeated

ATTRIBUTE, KEY, VALUE, INDEXED = b"\x12", b"\x0a", b"\x12", b"\x18\x01"  # tags of abci.Event and EventAttribute
SHORT = 64  # characters of a value that is remembered


def write(events: Iterable[Event], into: Repeated[abci.Event]) -> None:
    """Append to a message's list of ABCI events, in the same order.

    An event is one parse of its attributes' bytes, most of which were written before (types, cells, slots, prices): the
    attributes made one by one take twice as long, and a transaction has a dozen.
    """
    for item in events:
        made = into.add()
        made.type = item.type
        made.MergeFromString(b"".join([_attribute(pair) for pair in item.attributes]))


def _attribute(pair: tuple[str, str]) -> bytes:
    return _short_attribute(pair) if len(pair[1]) <= SHORT else _attribute_bytes(pair)


def _attribute_bytes(pair: tuple[str, str]) -> bytes:
    """An EventAttribute as an element of `attributes`; proto3 leaves empty text away."""
    key, value = pair[0].encode(), pair[1].encode()
    made = (KEY + delimited(key) if key else b"") + (VALUE + delimited(value) if value else b"") + INDEXED
    return ATTRIBUTE + delimited(made)


_short_attribute = lru_cache(maxsize=16_384)(_attribute_bytes)


def marked(events: Iterable[Event], key: str, value: str) -> list[Event]:
    """The same events with one more attribute each: `msg_index` of a message, `mode` of a block hook."""
    mark = ((key, value),)
    return [Event(item.type, item.attributes + mark) for item in events]


def message_event(type_url: str, message: Message, sender: str) -> Event:
    """What the SDK emits before a message's own events."""
    return Event("message", (("action", type_url), ("sender", sender), ("module", module_of(message))))


def module_of(message: Message) -> str:
    """Module name in the SDK's way: the second part of the package, but ibc-go's own names for its modules."""
    return _module_of(message.DESCRIPTOR.full_name)


@cache
def _module_of(full_name: str) -> str:
    parts = full_name.split(".")
    if parts[0] == "ibc" and parts[1] == "core":
        return f"ibc_{parts[2]}"
    if parts[0] == "ibc":
        return parts[2]
    return parts[1]
