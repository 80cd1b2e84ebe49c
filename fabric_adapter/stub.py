"""What a chaincode sees of the ledger that runs it: the same on a real peer and on the embedded ledger.

A read shows committed state alone: a transaction does not see its own writes (Fabric's simulation semantics).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from cosmos_wire.errors import ToolError

FIRST_KEY = "\x01"  # below it are Fabric's composite keys, which a range of ours never shows
OK = 200
REFUSED = 400  # the chaincode said no; nothing is endorsed
FAILED = 500


class Stub(Protocol):
    """One transaction that is being simulated."""

    @property
    def channel_id(self) -> str:
        """Of the proposal."""

    @property
    def tx_id(self) -> str:
        """Lower-case hex of sha256(nonce + creator)."""

    @property
    def timestamp_ns(self) -> int:
        """Of the proposal's channel header: the client's word, the same for every endorser."""

    @property
    def creator(self) -> bytes:
        """SerializedIdentity of the proposal's signer; the ledger has checked the signature and the certificate."""

    @property
    def args(self) -> tuple[bytes, ...]:
        """Function name first."""

    def get_state(self, key: str) -> bytes | None:
        """Committed value, None when absent."""

    def get_states(self, keys: Sequence[str]) -> list[bytes | None]:
        """The same for several keys, each read alone; a peer is asked for all without a pause."""

    def put_state(self, key: str, value: bytes) -> None:
        """Write; the value must not be empty."""

    def del_state(self, key: str) -> None:
        """Remove."""

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Committed pairs with start <= key < end, ascending; validation repeats the query (phantom protection)."""

    def set_event(self, name: str, payload: bytes) -> None:
        """The transaction's one chaincode event; a later call replaces it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoked:
    """What a proposal says to the chaincode; the properties of `Stub`."""

    channel_id: str
    tx_id: str
    timestamp_ns: int
    creator: bytes
    args: tuple[bytes, ...]


class InvokedStub:
    """The half of a stub that comes from the proposal."""

    def __init__(self, call: Invoked) -> None:
        self._call = call

    @property
    def channel_id(self) -> str:
        """Of the proposal."""
        return self._call.channel_id

    @property
    def tx_id(self) -> str:
        """Transaction id."""
        return self._call.tx_id

    @property
    def timestamp_ns(self) -> int:
        """The client's word."""
        return self._call.timestamp_ns

    @property
    def creator(self) -> bytes:
        """SerializedIdentity of the creator."""
        return self._call.creator

    @property
    def args(self) -> tuple[bytes, ...]:
        """Function name first."""
        return self._call.args


def checked_key(key: str) -> str:
    """A key that Fabric takes: not empty, and not in the space of composite keys. Raises ToolError."""
    if not key or key[0] == "\x00":
        raise ToolError(f"key: expected text that does not begin with U+0000, got {key!r}")
    return key


def checked_value(key: str, value: bytes) -> bytes:
    """A value that Fabric does not take for a deletion; raises ToolError."""
    if not value:
        raise ToolError(f"put_state {key!r}: expected at least one byte, got none: that is a deletion")
    return value


def checked_event(name: str) -> str:
    """An event's name; raises ToolError."""
    if not name:
        raise ToolError("event: expected a name, got none")
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A chaincode's answer; at `REFUSED` and above nothing is endorsed."""

    status: int = OK
    message: str = ""
    payload: bytes = b""


class Chaincode(Protocol):
    """A program that ledgers run. It may be called for several transactions at once."""

    def invoke(self, stub: Stub) -> Response:
        """Run one transaction: deterministic in the stub's answers."""


@runtime_checkable
class PerPeer(Chaincode, Protocol):
    """A chaincode that remembers what it saw of one peer's ledger: every peer's stream gets an object of its own."""

    def for_stream(self) -> Chaincode:
        """A new one that has seen nothing."""
