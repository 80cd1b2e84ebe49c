"""Orders transactions into batches: cut when full, or a short while after the first one came.

Fabric calls these limits BatchSize and BatchTimeout.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cosmos_wire.errors import ToolError

Deliver = Callable[[Sequence[bytes]], Awaitable[None]]


class OrdererFullError(ToolError):
    """Too many transactions wait; the client tries again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRules:
    """When a batch is cut: after `wait_s`, or `busy_wait_s` where that is longer and the last batch was of many.

    A block costs its ledger and all who follow it some milliseconds, however few transactions it has.
    """

    count_max: int = 500
    bytes_max: int = 10 << 20
    wait_s: float = 0.05
    busy_wait_s: float = 0.0
    busy_count: int = 16
    waiting_max: int = 20_000


class Orderer:
    """One queue, one consumer: the order in which `submit` was called is the order of the chain."""

    def __init__(self, deliver: Deliver, rules: BatchRules) -> None:
        self._deliver = deliver
        self._rules = rules
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._first_s = 0.0  # when the queue began to fill
        self._wait_s = rules.wait_s
        self._some, self._full = asyncio.Event(), asyncio.Event()

    def submit(self, envelope: bytes) -> None:
        """Take an envelope; raises OrdererFullError."""
        if len(envelope) > self._rules.bytes_max:
            raise OrdererFullError(f"an envelope has at most {self._rules.bytes_max} bytes, got {len(envelope)}")
        if len(self._queue) >= self._rules.waiting_max:
            raise OrdererFullError(f"at most {self._rules.waiting_max} transactions may wait, one more came")
        if not self._queue:
            self._first_s = asyncio.get_running_loop().time()
        self._queue.append(envelope)
        self._bytes += len(envelope)
        self._tell()

    async def run(self) -> None:
        """Cut and deliver batches until cancelled."""
        while True:
            await self._some.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._first_s + self._wait_s):
                    await self._full.wait()
            await self._deliver(self._cut())

    def _cut(self) -> list[bytes]:
        """The next batch: as many as fit."""
        batch, size = [self._queue.popleft()], 0
        size += len(batch[0])
        while self._queue and len(batch) < self._rules.count_max:
            size += len(self._queue[0])
            if size > self._rules.bytes_max:
                break
            batch.append(self._queue.popleft())
        self._bytes -= sum(map(len, batch))
        is_busy = len(batch) >= self._rules.busy_count
        self._wait_s = max(self._rules.wait_s, self._rules.busy_wait_s if is_busy else 0.0)
        self._first_s = asyncio.get_running_loop().time()
        self._tell()
        return batch

    def _tell(self) -> None:
        full = len(self._queue) >= self._rules.count_max or self._bytes >= self._rules.bytes_max
        for event, holds in ((self._some, bool(self._queue)), (self._full, full)):
            if holds is event.is_set():
                continue
            if holds:
                event.set()
            else:
                event.clear()
