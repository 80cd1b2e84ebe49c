"""Events as the SDK and ibc-go lay them out, in ABCI's messages; every attribute is indexed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from cosmos_wire.protos import Message, abci
from ibc_core.host import Event, event

if TYPE_CHECKING:  # the class exists in the stubs alone: at run time the lists are the C library's
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer as Repeated


def write(events: Iterable[Event], into: Repeated[abci.Event]) -> None:
    """Append to a message's list of ABCI events, in the same order.

    Made in place: messages built apart and copied into the list take twice as long, and a transaction has nine.
    """
    for item in events:
        add = into.add(type=item.type).attributes.add
        for key, value in item.attributes:
            add(key=key, value=value, index=True)


def marked(events: Iterable[Event], key: str, value: str) -> list[Event]:
    """The same events with one more attribute each: `msg_index` of a message, `mode` of a block hook."""
    mark = ((key, value),)
    return [Event(item.type, item.attributes + mark) for item in events]


def message_event(type_url: str, message: Message, sender: str) -> Event:
    """What the SDK emits before a message's own events."""
    return event("message", action=type_url, sender=sender, module=module_of(message))


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
