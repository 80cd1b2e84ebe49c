"""New blocks of one chain: a websocket is the wake-up, blocks are read by height, many waiters share one reading.

A transaction's fate is read from the blocks themselves (hash in `block`, result in `block_results`), not from the
transaction index: the index lags behind and may be off.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256

import aiohttp

from bsmg.client import comet_json
from bsmg.client.errors import NodeError, RpcRefused, TxExpired
from bsmg.client.rpc import BlockResults, Rpc, TxResult
from cosmos_wire.errors import ToolError

SILENCE_S = 3.0  # without a wake-up for so long, ask for the status: the subscription may be dead
RETRY_S = 0.5  # between attempts to reach a node that is down
RETRY_S_MAX = 5.0
RECORDS_KEPT = 64
RESULTS_TRIES = 20  # the block is stored before it is executed: its results may need a moment
RESULTS_WAIT_S = 0.1
SUBSCRIBE = {"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"query": "tm.event='NewBlockHeader'"}}
WS_MESSAGE_BYTES_MAX = 1 << 24


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


class BlockFeed:
    """Follows one chain through one node; reconnects for ever until closed."""

    def __init__(self, rpc: Rpc, chain_id: str = "") -> None:
        self.rpc, self.chain_id = rpc, chain_id
        self.head: Head | None = None
        self.reconnects = 0
        self._moved = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._records: OrderedDict[int, BlockRecord] = OrderedDict()
        self._reading: dict[int, asyncio.Task[BlockRecord]] = {}
        self._tickets: dict[str, Ticket] = {}
        self._scanned = 0

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

    async def _advance(self, height: int, time_ns: int) -> None:
        if self.head is not None and height <= self.head.height:
            return
        async with self._moved:
            self.head = Head(height=height, time_ns=time_ns)
            self._moved.notify_all()

    async def _poll(self) -> None:
        status = await self.rpc.status()
        if self.chain_id and status.chain_id != self.chain_id:
            raise ToolError(f"node {self.rpc.url}: expected chain {self.chain_id}, got {status.chain_id}")
        await self._advance(status.height, status.time_ns)

    async def _follow(self) -> None:
        wait_s = RETRY_S
        while True:
            try:
                await self._listen()
                wait_s = RETRY_S
            except (aiohttp.ClientError, OSError, ToolError):
                wait_s = min(2 * wait_s, RETRY_S_MAX)
            self.reconnects += 1
            await asyncio.sleep(wait_s)
            with contextlib.suppress(ToolError):
                await self._poll()

    async def _listen(self) -> None:
        url = self.rpc.url.replace("http", "ws", 1) + "/websocket"
        async with self.rpc.session().ws_connect(url, max_msg_size=WS_MESSAGE_BYTES_MAX) as socket:
            await socket.send_json(SUBSCRIBE)
            await self._poll()
            while True:
                try:
                    message = await socket.receive(timeout=SILENCE_S)
                except TimeoutError:
                    await self._poll()
                    continue
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                await self._hear(message.data)

    async def _hear(self, text: str) -> None:
        try:
            doc = json.loads(text)
            header = (doc.get("result") or {}).get("data", {}).get("value", {}).get("header")
            if header is not None:
                await self._advance(int(header["height"]), comet_json.time_ns(header["time"]))
        except (ValueError, KeyError, AttributeError) as error:
            raise ToolError(f"websocket of {self.rpc.url}: expected a NewBlockHeader, got {text[:100]!r}") from error

    async def record(self, height: int) -> BlockRecord:
        """A block with its results; concurrent callers share one reading."""
        known = self._records.get(height)
        if known is not None:
            return known
        task = self._reading.get(height)
        if task is None:
            task = asyncio.create_task(self._read(height))
            self._reading[height] = task
            task.add_done_callback(lambda _: self._reading.pop(height, None))
        return await asyncio.shield(task)

    async def _read(self, height: int) -> BlockRecord:
        block = await self.rpc.block(height)
        made = BlockRecord(
            height=height,
            time_ns=block.time_ns,
            txs=block.txs,
            tx_hashes=tuple(tx_hash_of(tx) for tx in block.txs),
            results=await self._results(height),
        )
        self._records[height] = made
        while len(self._records) > RECORDS_KEPT:
            self._records.popitem(last=False)
        return made

    async def _results(self, height: int) -> BlockResults:
        for _ in range(RESULTS_TRIES):
            try:
                return await self.rpc.block_results(height)
            except RpcRefused as error:
                refused = error
                await asyncio.sleep(RESULTS_WAIT_S)
        raise refused

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


def tx_hash_of(tx: bytes) -> str:
    """CometBFT's hash of a transaction: SHA-256 in upper-case hex."""
    return sha256(tx).hexdigest().upper()
