"""Small lies in a record, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from bsmg.audit.expected import KINDS
from bsmg.audit.record import BlockRecord, ChainRecord, TxRecord
from ibc_core.host import Event

UNSAID = frozenset({"slot", "msg_index", "seq"})  # which event it is, not what it says


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An event: block, transaction (None: a hook's), position; and the name of an attribute."""

    block: int
    tx: int | None
    event: int
    name: str
    kind: str


def events_of(block: BlockRecord) -> Iterator[tuple[int | None, int, Event]]:
    for at, event in enumerate(block.hook_events):
        yield None, at, event
    for number, item in enumerate(block.txs):
        for at, event in enumerate(item.events):
            yield number, at, event


def number_places(record: ChainRecord) -> list[Place]:
    """Every number that an event of the audited kinds states."""
    return [
        Place(block=at, tx=tx, event=position, name=name, kind=event.type)
        for at, block in enumerate(record.blocks)
        for tx, position, event in events_of(block)
        if event.type in KINDS
        for name, value in event.attributes
        if name not in UNSAID and value.lstrip("-").isdecimal()
    ]


def first_place(record: ChainRecord, kind: str, name: str) -> Place:
    """Where an attribute is first told, of an event that has it."""
    return next(
        Place(block=at, tx=tx, event=position, name=name, kind=kind)
        for at, block in enumerate(record.blocks)
        for tx, position, event in events_of(block)
        if event.type == kind and name in dict(event.attributes)
    )


def one_more(value: str) -> str:
    return str(int(value) + 1)


def with_event(record: ChainRecord, place: Place, change: Callable[[Event], tuple[Event, ...]]) -> ChainRecord:
    """The record with one event replaced by others; headers don't cover events."""
    block = record.blocks[place.block]
    if place.tx is None:
        made = replace(block, hook_events=_replaced(block.hook_events, place.event, change))
    else:
        item = block.txs[place.tx]
        changed = replace(item, events=_replaced(item.events, place.event, change))
        made = replace(block, txs=(*block.txs[: place.tx], changed, *block.txs[place.tx + 1 :]))
    return with_block(record, place.block, made)


def _replaced(events: tuple[Event, ...], at: int, change: Callable[[Event], tuple[Event, ...]]) -> tuple[Event, ...]:
    return (*events[:at], *change(events[at]), *events[at + 1 :])


def with_value(record: ChainRecord, place: Place, change: Callable[[str], str] = one_more) -> ChainRecord:
    """One attribute changed, by one unit unless told."""

    def changed(event: Event) -> tuple[Event, ...]:
        pairs = tuple((name, change(value) if name == place.name else value) for name, value in event.attributes)
        return (Event(event.type, pairs),)

    return with_event(record, place, changed)


def with_block(record: ChainRecord, at: int, block: BlockRecord) -> ChainRecord:
    return replace(record, blocks=(*record.blocks[:at], block, *record.blocks[at + 1 :]))


def with_tx(record: ChainRecord, at: int, change: Callable[[TxRecord], TxRecord]) -> ChainRecord:
    """The first transaction of a block changed; the header stays what it was."""
    block = record.blocks[at]
    return with_block(record, at, replace(block, txs=(change(block.txs[0]), *block.txs[1:])))
