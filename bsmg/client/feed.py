"""New blocks of one chain: something wakes up, blocks are read by height, many waiters share one reading.

A transaction's fate is read from the blocks themselves, not from a transaction index: the index lags behind and may
be off. What wakes up and how a block is read is the ledger's: `bsmg.client.comet_feed`, `bsmg.client.node_feed`.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from bsmg.client.blocks import BlockResults, TxResult
from bsmg.client.errors import NodeError, TxExpired
from cosmos_wire.errors import ToolError

RETRY_S = 0.5  # between attempts to reach a node that is down
RETRY_S_MAX = 5.0
RECORDS_KEPT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest block that is known."""

    height: int
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRecord:
    """A block's time, its transactions, their hashes (upper-case hex) and their results."""

    height: int
    time_ns: int
    txs: tuple[bytes, ...]
    tx_hashes: tuple[str, ...]
    results: BlockResults


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """A transaction's place in a block and its result."""

    height: int
    time_ns: int
    result: TxResult


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """A waiter for one transaction."""

    tx_hash: str
    timeout_height: int
    found: asyncio.Future[Inclusion]


class Feed(Protocol):
    """What programs use of a chain's blocks."""

    head: Head | None

    async def start(self) -> Head:
        """Read the first head and begin to follow; raises NodeError when the node does not answer."""

    async def wait_above(self, height: int) -> Head:
        """The head, as soon as it is above `height`."""

    async def record(self, height: int) -> BlockRecord:
        """A block with its results."""

    def expect(self, tx_hash: str, timeout_height: int) -> Ticket:
        """Wait for a transaction that is about to be sent; it expires after `timeout_height`."""

    def forget(self, ticket: Ticket) -> None:
        """Stop waiting."""

    async def close(self) -> None:
        """Stop following; waiters are cancelled."""


class BlockFeed(ABC):
    """Follows one chain through one node; reconnects for ever until closed."""

    def __init__(self, chain_id: str, node: str) -> None:
        self.chain_id, self.node = chain_id, node
        self.head: Head | None = None
        self.reconnects = 0
        self._moved = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._records: OrderedDict[int, BlockRecord] = OrderedDict()
        self._reading: dict[int, asyncio.Task[BlockRecord]] = {}
        self._tickets: dict[str, Ticket] = {}
        self._scanned = 0

    @abstractmethod
    async def _newest(self) -> tuple[str, Head]:
        """Chain id and newest block, asked of the node now."""

    @abstractmethod
    async def _listen(self) -> None:
        """Call `_advance` for new blocks until the connection breaks."""

    @abstractmethod
    async def _read(self, height: int) -> BlockRecord:
        """A block that is there, from the node."""

    async def start(self) -> Head:
        """Read the first head and begin to follow; raises NodeError when the node does not answer."""
        await self._poll()
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._scan())]
        assert self.head is not None
        return self.head

    async def close(self) -> None:
        """Stop following; waiters are cancelled."""
        for task in (*self._tasks, *self._reading.values()):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._reading.values(), return_exceptions=True)
        self._tasks = []
        for ticket in self._tickets.values():
            ticket.found.cancel()
        self._tickets.clear()

    async def wait_above(self, height: int) -> Head:
        """The head, as soon as it is above `height`."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.head is not None and self.head.height > height)
        assert self.head is not None
        return self.head

    async def _advance(self, head: Head) -> None:
        if self.head is not None and head.height <= self.head.height:
            return
        async with self._moved:
            self.head = head
            self._moved.notify_all()

    async def _poll(self) -> None:
        chain_id, head = await self._newest()
        if self.chain_id and chain_id != self.chain_id:
            raise ToolError(f"node {self.node}: expected chain {self.chain_id}, got {chain_id}")
        await self._advance(head)

    async def _follow(self) -> None:
        wait_s = RETRY_S
        while True:
            try:
                await self._listen()
                wait_s = RETRY_S
            except (OSError, ToolError):
                wait_s = min(2 * wait_s, RETRY_S_MAX)
            self.reconnects += 1
            await asyncio.sleep(wait_s)
            with contextlib.suppress(ToolError):
                await self._poll()

    async def record(self, height: int) -> BlockRecord:
        """A block with its results; concurrent callers share one reading."""
        known = self._records.get(height)
        if known is not None:
            return known
        task = self._reading.get(height)
        if task is None:
            task = asyncio.create_task(self._read_and_keep(height))
            self._reading[height] = task
            task.add_done_callback(lambda _: self._reading.pop(height, None))
        return await asyncio.shield(task)

    async def _read_and_keep(self, height: int) -> BlockRecord:
        made = self._records[height] = await self._read(height)
        while len(self._records) > RECORDS_KEPT:
            self._records.popitem(last=False)
        return made

    def expect(self, tx_hash: str, timeout_height: int) -> Ticket:
        """Wait for a transaction that is about to be broadcast; it expires after `timeout_height`."""
        assert self.head is not None
        if not self._tickets:
            self._scanned = max(self._scanned, self.head.height - 1)
        found: asyncio.Future[Inclusion] = asyncio.get_running_loop().create_future()
        ticket = Ticket(tx_hash=tx_hash, timeout_height=timeout_height, found=found)
        self._tickets[tx_hash] = ticket
        return ticket

    def forget(self, ticket: Ticket) -> None:
        """Stop waiting."""
        if self._tickets.get(ticket.tx_hash) is ticket:
            del self._tickets[ticket.tx_hash]
        ticket.found.cancel()

    async def _scan(self) -> None:
        while True:
            head = await self.wait_above(self._scanned)
            if not self._tickets:
                self._scanned = head.height
                continue
            try:
                record = await self.record(self._scanned + 1)
            except NodeError:
                await asyncio.sleep(RETRY_S)
                continue
            self._settle(record)
            self._scanned = record.height

    def _settle(self, record: BlockRecord) -> None:
        for tx_hash, result in zip(record.tx_hashes, record.results.txs, strict=False):
            ticket = self._tickets.pop(tx_hash, None)
            if ticket is not None and not ticket.found.done():
                inclusion = Inclusion(height=record.height, time_ns=record.time_ns, result=result)
                ticket.found.set_result(inclusion)
        late = [item for item in self._tickets.values() if item.timeout_height <= record.height]
        for ticket in late:
            del self._tickets[ticket.tx_hash]
            if not ticket.found.done():
                ticket.found.set_exception(TxExpired(self.chain_id, ticket.tx_hash, ticket.timeout_height))
