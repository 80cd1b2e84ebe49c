"""How events are found again: terms of an index, and the query language of CometBFT's transaction search.

A term is an attribute with its value; each transaction, and a block's hooks, have the terms of their events once. An
entry is a term in a block, with the first place that has it, and as its value the other places of that block:

    SHA-256(type.key)[:16]  0  number, 8 bytes                        height 8  place 4       place 4 ...
    SHA-256(type.key)[:16]  1  length  text                           height 8  place 4       place 4 ...

of a text longer than 64 bytes the first 64 and 8 of its SHA-256 (the length is 65 then).

So that equality, ranges of numbers and the mere presence of an attribute are prefixes or ranges of keys. What an index
finds is looked at again: all conditions have to hold for one event, as in CometBFT, so that those of two event types
find nothing.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from cosmos_wire.protos import abci, node_service
from microgrid.query.query_core import QueryError, Status

HOOKS = (1 << 32) - 1  # place of a block's hooks, behind its transactions
NUMBER, TEXT = b"\0", b"\1"
NAME_BYTES, START_BYTES, REST_BYTES = 16, 64, 8
NUMBER_MAX = (1 << 64) - 1
NUMBER_DIGITS_MAX = 32
SIZES = [bytes([size]) for size in range(START_BYTES + 2)]
WHERE, PLACE = struct.Struct(">QI"), struct.Struct(">I")
CONDITION = re.compile(
    r"\s*(?P<key>[\w.\-/]+)\s*(?P<op><=|>=|=|<|>|\bCONTAINS\b|\bEXISTS\b)\s*(?P<value>'[^']*'|\d+)?\s*"
)
AND = re.compile(r"\s+AND\s+(?=(?:[^']*'[^']*')*[^']*$)")  # not within quotation marks
HEIGHT, HASH = "tx.height", "tx.hash"

Where = tuple[int, int]  # height, place of the transaction in the block or HOOKS
Bounds = tuple[bytes, bytes]  # keys: first, and first behind


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`key` is type.attribute; `op` one of = < <= > >= CONTAINS EXISTS; the value as it is written."""

    key: str
    op: str
    value: str = ""

    def holds(self, value: str) -> bool:
        """For an attribute's value."""
        if self.op == "EXISTS":
            return True
        if self.op == "CONTAINS":
            return self.value in value
        if self.op == "=":
            return value == self.value
        return number_of(value) is not None and self._compares(int(value), int(self.value))

    def _compares(self, left: int, right: int) -> bool:
        return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[self.op]

    def bounds(self) -> Bounds:
        """Keys of the index between which everything lies for which it holds."""
        name = name_part(self.key)
        if self.op == "=":
            start = name + value_part(self.value)
            return start, _behind(start)
        if self.op in ("CONTAINS", "EXISTS"):
            return name, _behind(name)
        limit = min(int(self.value), NUMBER_MAX)
        if self.op in ("<", "<="):
            return name + NUMBER, _behind(name + NUMBER + limit.to_bytes(8, "big"))
        return name + NUMBER + limit.to_bytes(8, "big"), _behind(name + NUMBER)


@lru_cache(maxsize=4_096)
def name_part(key: str) -> bytes:
    """Of type.attribute."""
    return sha256(key.encode()).digest()[:NAME_BYTES]


def number_of(value: str) -> int | None:
    """Of a value that is a whole number below 2^64."""
    if not value.isdigit() or not value.isascii() or len(value) > NUMBER_DIGITS_MAX:
        return None
    number = int(value)
    return number if number <= NUMBER_MAX else None


def value_part(value: str) -> bytes:
    """Of an attribute's value."""
    number = number_of(value)
    if number is not None:
        return NUMBER + number.to_bytes(8, "big")
    data = value.encode()
    size = len(data)
    if size <= START_BYTES:
        return TEXT + SIZES[size] + data
    return TEXT + SIZES[START_BYTES + 1] + data[:START_BYTES] + sha256(data).digest()[:REST_BYTES]


def _behind(prefix: bytes) -> bytes:
    """The first key behind all that begin with a prefix."""
    number = int.from_bytes(prefix, "big") + 1
    return number.to_bytes(len(prefix) + 1, "big").lstrip(b"\0").rjust(len(prefix), b"\0")


def terms(events: Iterable[abci.Event]) -> set[bytes]:
    """Keys without their place."""
    found = set()
    for event in events:
        kind = event.type
        for item in event.attributes:
            found.add(name_part(f"{kind}.{item.key}") + value_part(item.value))
    return found


def conditions_of(wanted: node_service.EventsRequest) -> list[Condition]:
    """Of a search for events."""
    found = [Condition(key=f"{wanted.type}.{item.key}", op="=", value=item.value) for item in wanted.attributes]
    if wanted.range_key:
        key = f"{wanted.type}.{wanted.range_key}"
        found += [
            Condition(key=key, op=">=", value=str(wanted.first)),
            Condition(key=key, op="<=", value=str(wanted.last)),
        ]
    return found


def parse(query: str) -> list[Condition]:
    """Of a search for transactions; raises QueryError for what is no query."""
    return [_condition(part) for part in AND.split(query.strip())]


def _condition(text: str) -> Condition:
    found = CONDITION.fullmatch(text)
    if found is None:
        raise QueryError(Status.INVALID_ARGUMENT, f"failed to parse query: expected KEY OP VALUE, got {text[:100]!r}")
    key, op, value = found["key"], found["op"], found["value"] or ""
    is_text = value.startswith("'")
    if (op == "EXISTS") is bool(value) or (op == "CONTAINS" and not is_text):
        raise QueryError(Status.INVALID_ARGUMENT, f"failed to parse query: {op} with the value {value[:100]!r}")
    plain = value.strip("'")
    if op in ("<", "<=", ">", ">=") and number_of(plain) is None:
        raise QueryError(Status.INVALID_ARGUMENT, f"failed to parse query: {op} takes a number, got {value[:100]!r}")
    return Condition(key=key, op=op, value=plain)


def match(events: Sequence[abci.Event], conditions: Sequence[Condition]) -> bool:
    """Whether there is an event for which all conditions hold."""
    return any(_holds(event, conditions) for event in events)


def _holds(event: abci.Event, conditions: Sequence[Condition]) -> bool:
    values: Mapping[str, list[str]] = _values(event)
    return all(any(map(condition.holds, values.get(condition.key, ()))) for condition in conditions)


def _values(event: abci.Event) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in event.attributes:
        found.setdefault(f"{event.type}.{item.key}", []).append(item.value)
    return found
