"""What the relayer needs of a chain: `Chain` to read and submit, `Prover` to make others believe. One pair a kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bsmg.client.chain import Proven
from bsmg.client.feed import Head
from bsmg.client.grpc import R
from bsmg.client.lane import TxOutcome
from cosmos_wire.protos import Any, Message
from ibc_core.host import Event
from ibc_core.light_client import Height
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


class Prover(Protocol):
    """Making one chain's statements checkable by a light client elsewhere."""

    chain_id: str

    def height(self, number: int) -> Height:
        """IBC height of a block."""

    async def header(self, height: int, trusted: Height) -> Any:
        """Client message that brings a client from `trusted` to `height`."""

    async def header_time_ns(self, height: int) -> int:
        """Time of the header at a height."""

    async def proof(self, path: bytes, height: int) -> Proven:
        """Value at an ICS-24 path after block `height`, proven by the header one above."""

    async def first_states(self, height: int) -> tuple[Message, Message]:
        """Client state and consensus state of a new client at a height."""

    async def conflict(self, client_id: str, header: bytes) -> Any | None:
        """Misbehaviour for a client that the chain's real header proves against a submitted one, if they differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One side of a path."""

    chain: Chain
    prover: Prover
