"""Orders transactions into batches: cut when full, or a short while after the first one came.

Fabric calls these limits BatchSize and BatchTimeout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from cosmos_wire.errors import ToolError

Deliver = Callable[[Sequence[bytes]], Awaitable[None]]


class OrdererFullError(ToolError):
    """Too many transactions wait; the client tries again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRules:
    """When a batch is cut."""

    count_max: int = 500
    bytes_max: int = 10 << 20
    wait_s: float = 0.05
    waiting_max: int = 20_000


class Orderer:
    """One queue, one consumer: the order in which `submit` was called is the order of the chain."""

    def __init__(self, deliver: Deliver, rules: BatchRules) -> None:
        self._deliver = deliver
        self._rules = rules
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(rules.waiting_max)

    def submit(self, envelope: bytes) -> None:
        """Take an envelope; raises OrdererFullError."""
        if len(envelope) > self._rules.bytes_max:
            raise OrdererFullError(f"an envelope has at most {self._rules.bytes_max} bytes, got {len(envelope)}")
        try:
            self._queue.put_nowait(envelope)
        except asyncio.QueueFull as error:
            raise OrdererFullError(f"at most {self._rules.waiting_max} transactions may wait, one more came") from error

    async def run(self) -> None:
        """Cut and deliver batches until cancelled."""
        held: bytes | None = None
        while True:
            batch = [held if held is not None else await self._queue.get()]
            held = await self._fill(batch)
            await self._deliver(batch)

    async def _fill(self, batch: list[bytes]) -> bytes | None:
        """Add what comes in time and fits; returns the one that did not fit."""
        loop = asyncio.get_running_loop()
        end, size = loop.time() + self._rules.wait_s, len(batch[0])
        while len(batch) < self._rules.count_max:
            try:
                async with asyncio.timeout_at(end):
                    following = await self._queue.get()
            except TimeoutError:
                return None
            size += len(following)
            if size > self._rules.bytes_max:
                return following
            batch.append(following)
        return None
