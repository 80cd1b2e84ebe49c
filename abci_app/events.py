"""Events as the SDK and ibc-go lay them out, in ABCI's messages; every attribute is indexed."""

from __future__ import annotations

from collections.abc import Iterable

from cosmos_wire.protos import Message, abci
from ibc_core.host import Event, event


def to_abci(events: Iterable[Event]) -> list[abci.Event]:
    """ABCI events in the same order."""
    return [
        abci.Event(
            type=item.type,
            attributes=[abci.EventAttribute(key=key, value=value, index=True) for key, value in item.attributes],
        )
        for item in events
    ]


def marked(events: Iterable[Event], key: str, value: str) -> list[Event]:
    """The same events with one more attribute each: `msg_index` of a message, `mode` of a block hook."""
    return [Event(item.type, (*item.attributes, (key, value))) for item in events]


def message_event(type_url: str, message: Message, sender: str) -> Event:
    """What the SDK emits before a message's own events."""
    return event("message", action=type_url, sender=sender, module=module_of(message))


def module_of(message: Message) -> str:
    """Module name in the SDK's way: the second part of the package, but ibc-go's own names for its modules."""
    parts = str(message.DESCRIPTOR.full_name).split(".")
    if parts[0] == "ibc" and parts[1] == "core":
        return f"ibc_{parts[2]}"
    if parts[0] == "ibc":
        return parts[2]
    return parts[1]
