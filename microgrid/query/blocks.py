"""What the state does not hold: blocks with their results, and how to learn of a new one; on any ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cosmos_wire.protos import abci, node_service


class Bell:
    """Rings when a new block may be there. Whoever waits looks at `rung` before he looks for the block."""

    def __init__(self) -> None:
        self.rung = 0
        self._next = asyncio.Event()

    def ring(self) -> None:
        """Wake all who wait; on the event loop's thread."""
        self.rung += 1
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self, seen: int, timeout_s: float) -> None:
        """Return when it has rung since `rung` was `seen`, or after so long."""
        if self.rung != seen:
            return
        try:
            await asyncio.wait_for(self._next.wait(), timeout_s)
        except TimeoutError:
            return


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """Events of one successful transaction, or of a block's hooks (no hash, after all transactions)."""

    height: int
    index: int
    tx_hash: str
    events: Sequence[abci.Event]


class Blocks(Protocol):
    """The blocks of one chain by one node."""

    @property
    def kind(self) -> str:
        """Of the ledger: cometbft, fabric, fabric-embedded."""

    @property
    def bell(self) -> Bell:
        """Rings after the state of a new block is durable."""

    async def earliest(self, head: int) -> int:
        """Lowest height that `record` knows while `head` is the newest."""

    async def record(self, height: int) -> node_service.BlockResponse:
        """A block and what came of it; raises QueryError NOT_FOUND."""

    async def emitted(self, wanted: node_service.EventsRequest) -> Sequence[Emitted]:
        """By the index: all that may have such an event, and perhaps others; raises QueryError."""
