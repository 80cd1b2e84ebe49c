"""What the relayer needs of a chain: `Chain` to read and submit, `Prover` to make others believe. One pair a kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bsmg.client.feed import Head
from bsmg.client.grpc import R
from bsmg.client.lane import TxOutcome
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Any, Message
from ibc_core.host import Event
from ibc_core.light_client import Height
from ibc_relayer.client_types import ClientInfo
from ibc_relayer.plan import End


class Chain(Protocol):
    """Reading one chain, and one signing lane on it."""

    chain_id: str
    signer: str  # address of the lane's key

    async def head(self) -> Head:
        """The newest block."""

    async def wait_above(self, height: int) -> Head:
        """The head, as soon as it is above `height`."""

    async def events(self, height: int) -> tuple[Event, ...]:
        """All events of a block: those of successful transactions and of the block's hooks."""

    async def query(self, path: str, request: Message, response: type[R], height: int | None = None) -> R:
        """Typed query of any service; raises QueryNotFound, QueryRefused, NodeError."""

    async def search(self, kind: str, end: End, sequences: tuple[int, int]) -> tuple[Event, ...]:
        """Past `send_packet` events of an end, or `write_acknowledgement` events of it as receiver, first to last."""

    async def updates(self, client_id: str, height: Height) -> tuple[Event, ...]:
        """Past `update_client` events that brought a client to a height."""

    async def submit(self, messages: Sequence[Message]) -> TxOutcome:
        """One transaction, all or nothing; returns when its fate is known."""

    def queued(self) -> int:
        """Transactions that wait for a place or an outcome."""

    async def spendable(self) -> int:
        """The signer's balance in the fee denomination, 0 when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What is at an ICS-24 path (empty: nothing) and the bytes that convince a light client of it."""

    value: bytes
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What is to be proven to a client, as of block `least` or a later one of the prover's chain."""

    client: ClientInfo
    paths: tuple[bytes, ...] = ()
    least: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Proofs of one state, all checked at `height`, after `headers` (none: the client is there already).

    `time_ns`: of the newest of the headers.
    """

    height: Height
    time_ns: int
    headers: tuple[Any, ...]
    proofs: Mapping[bytes, Proof]


class NotNowError(ToolError):
    """Nothing can be proven at this moment; nothing is wrong with what was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStates:
    """What a new client begins with, and the time in it."""

    client: Any
    consensus: Any
    time_ns: int


class Prover(Protocol):
    """Making one chain's statements checkable by a light client elsewhere."""

    chain_id: str
    lag: int  # blocks from a state to the header that proves it

    def height(self, number: int) -> Height:
        """IBC height of a block."""

    async def prove(self, need: Need) -> Evidence:
        """Headers and proofs that belong together, of the newest state that can be proven."""

    async def first_states(self) -> FirstStates:
        """Client state and consensus state of a new client, as of now."""

    async def is_genuine(self, client: ClientInfo, consensus: Any) -> bool:
        """Whether a client, with the consensus state at its newest height, follows this very chain."""

    async def is_own_form(self, client: ClientInfo) -> bool:
        """Whether a client has the terms that we would give it."""

    def is_behind(self, client: ClientInfo) -> bool:
        """Whether a client has to be updated soon, whatever its age, because later it could not be any more."""

    async def witness(self, head: Head) -> None:
        """Keep of the newest block what could not be had later to convict a forger."""

    async def conflict(self, client: ClientInfo, header: bytes) -> Any | None:
        """Misbehaviour, where a header that a client took is not the chain's own; None where it is.

        Raises ToolError where it can't be told, or can't be proven.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One side of a path."""

    chain: Chain
    prover: Prover
