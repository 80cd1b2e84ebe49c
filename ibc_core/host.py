"""What the handlers see of the chain that hosts them: two stores, a block environment, events, gas.

The same handlers run on the Merkle store of a CometBFT application and on a Fabric chaincode stub: a host gives them
objects of these shapes and nothing else. No handler knows a clock, a file or a socket.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol


class Store(Protocol):
    """An ordered map from bytes to bytes. Keys and values are never empty (ICS-23 can't prove empty ones)."""

    def get(self, key: bytes) -> bytes | None:
        """Value of the key, None when absent."""

    def set(self, key: bytes, value: bytes) -> None:
        """Write; both must be non-empty."""

    def delete(self, key: bytes) -> None:
        """Remove; removing an absent key changes nothing."""

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key begins with `prefix` and is >= `start`, ascending by key bytes.

        The store may be written while an iteration is under way only at keys that it has passed already.
        """


class GasMeter(Protocol):
    """Counts what a transaction costs; `consume` raises `OutOfGas` beyond the limit."""

    def consume(self, amount: int, what: str) -> None:
        """Add `amount`; `what` names the cost in the error."""


class FreeGas:
    """A meter without limit: block hooks, queries, tests."""

    def consume(self, amount: int, what: str) -> None:
        """Count nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEnv:
    """The block that is being executed: all that a handler may know of time and place."""

    chain_id: str
    height: int
    time_ns: int

    @property
    def time_ms(self) -> int:
        """Block time in whole milliseconds, as every gate uses it."""
        return self.time_ns // 1_000_000


class Event(NamedTuple):
    """An ABCI event; attribute order is kept."""

    type: str
    attributes: tuple[tuple[str, str], ...]


def event(kind: str, **attributes: str | int) -> Event:
    """Build an event; integers become decimal strings."""
    return Event(kind, tuple([(key, str(value)) for key, value in attributes.items()]))


class EventLog:
    """Events in the order of emission."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, item: Event) -> None:
        """Append an event."""
        self.events.append(item)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything a handler gets beside its message.

    `app` holds the chain's own state (accounts, bank, market, trade), `ibc` what counterparties ask proofs of.
    """

    env: BlockEnv
    app: Store
    ibc: Store
    events: EventLog
    gas: GasMeter

    @contextmanager
    def branch(self) -> Iterator[Context]:
        """A child context whose writes and events reach this one only if the block ends without an exception."""
        app, ibc, events = Overlay(self.app), Overlay(self.ibc), EventLog()
        yield replace(self, app=app, ibc=ibc, events=events)
        app.flush()
        ibc.flush()
        self.events.events.extend(events.events)


UNCHANGED = b""  # what no store keeps


class Overlay:
    """Writes kept in memory above a store that is only read, until `flush`."""

    __slots__ = ("_read", "below", "changes", "order")

    def __init__(self, below: Store) -> None:
        self.below, self._read = below, reader(below)
        self.changes: dict[bytes, bytes | None] = {}
        self.order: list[bytes] = []  # sorted keys of `changes`, for iteration

    def get(self, key: bytes) -> bytes | None:
        """Own write if there is one, else what lies below."""
        value = self.changes.get(key, UNCHANGED)
        return self._read(key) if value is UNCHANGED else value

    def set(self, key: bytes, value: bytes) -> None:
        """Keep the write."""
        if not key or not value:
            raise ValueError(f"a store keeps no empty key or value: {key!r} -> {value!r}")
        if key not in self.changes:
            insort(self.order, key)
        self.changes[key] = value

    def delete(self, key: bytes) -> None:
        """Keep the removal."""
        if key not in self.changes:
            insort(self.order, key)
        self.changes[key] = None

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Merge of own writes and what lies below, ascending."""
        first = max(prefix, start)
        below = self.below.iterate(prefix, first)
        at = bisect_left(self.order, first)
        if at < len(self.order) and self.order[at].startswith(prefix):
            yield from self._merged(below, self._own_keys(prefix, at))
        else:
            yield from below

    def _merged(self, below: Iterator[tuple[bytes, bytes]], mine: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
        left = next(below, None)
        for key in mine:
            while left is not None and left[0] < key:
                yield left
                left = next(below, None)
            if left is not None and left[0] == key:
                left = next(below, None)
            value = self.changes[key]
            if value is not None:
                yield key, value
        if left is not None:
            yield left
            yield from below

    def _own_keys(self, prefix: bytes, at: int) -> Iterator[bytes]:
        while at < len(self.order) and self.order[at].startswith(prefix):
            key = self.order[at]
            yield key
            if at < len(self.order) and self.order[at] is key:
                at += 1
            else:  # keys came before this one
                at = bisect_left(self.order, key, lo=at) + 1

    def flush(self) -> None:
        """Write everything into the store below, in key order."""
        for key in self.order:
            value = self.changes[key]
            if value is None:
                self.below.delete(key)
            else:
                self.below.set(key, value)
        self.changes.clear()
        self.order.clear()


class MemoryStore:
    """A store that is a sorted dict: the model of the tests and the bottom of simulations."""

    def __init__(self, data: dict[bytes, bytes] | None = None, keys: list[bytes] | None = None) -> None:
        """With pairs and their keys in order, which are its own from now on; or empty."""
        self.data: Final = {} if data is None else data
        self.keys: Final = sorted(self.data) if keys is None else keys

    def get(self, key: bytes) -> bytes | None:
        """Value or None."""
        return self.data.get(key)

    def set(self, key: bytes, value: bytes) -> None:
        """Write."""
        if not key or not value:
            raise ValueError(f"a store keeps no empty key or value: {key!r} -> {value!r}")
        if key not in self.data:
            insort(self.keys, key)
        self.data[key] = value

    def delete(self, key: bytes) -> None:
        """Remove if present."""
        if self.data.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key)]

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Ascending pairs; keys removed on the way are passed over."""
        at = bisect_left(self.keys, max(prefix, start))
        while at < len(self.keys) and self.keys[at].startswith(prefix):
            key = self.keys[at]
            yield key, self.data[key]
            if at < len(self.keys) and self.keys[at] is key:
                at += 1
                continue
            at = bisect_left(self.keys, key)  # keys came or went before this one, or it went
            if at < len(self.keys) and self.keys[at] == key:
                at += 1


def reader(store: Store) -> Callable[[bytes], bytes | None]:
    """Its `get`, without a detour for a store that is a dict: each layer above passes the most of its reads on."""
    return store.data.get if type(store) is MemoryStore else store.get


@dataclass(frozen=True, slots=True)
class MessageRoute:
    """How the host runs one message type. `signer` names the field that holds the signer's address.

    `basic` refuses what the message alone shows to be wrong (the SDK's ValidateBasic): the host calls it before it
    looks at state, fee or signatures, so that the mempool refuses such a message at no cost.
    """

    handle: Callable[..., object]  # (Context, message) -> response message
    request: type
    response: type
    signer: str
    basic: Callable[..., None] | None = None  # (message); raises a ChainError


@dataclass(frozen=True, slots=True)
class QueryRoute:
    """How the host answers one query method; `handle` takes (Context, request) and only reads."""

    handle: Callable[..., object]
    request: type
    response: type


class Module(Protocol):
    """A part of the application that a host plugs in: it knows stores and messages, never the host."""

    name: str  # key of its part of genesis

    def messages(self) -> Mapping[str, MessageRoute]:
        """By type URL, `/bsmg.market.v1.MsgPlaceOrder`."""

    def queries(self) -> Mapping[str, QueryRoute]:
        """By method path, `/bsmg.market.v1.Query/Slot`."""

    def init_genesis(self, ctx: Context, doc: Mapping[str, object]) -> None:
        """Write the first state from the module's part of genesis (JSON)."""

    def begin_block(self, ctx: Context) -> None:
        """Run before the block's transactions: gates that are due."""

    def end_block(self, ctx: Context) -> None:
        """Run after them: bounded background work."""
