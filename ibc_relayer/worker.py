"""One path at work: fold events of both chains, plan, deliver; and keep the clients alive.

A turn is short and never waits for a transaction: deliveries run beside it and hold their packets until the events of
the block that took them have been read. All state can be rebuilt from the chains.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial

from bsmg.client.errors import NodeError, QueryNotFound
from bsmg.client.feed import Head
from cosmos_wire.errors import ToolError
from ibc_relayer.batch import Limits, choose
from ibc_relayer.book import Book, new_book
from ibc_relayer.chain import Party
from ibc_relayer.client_types import NS
from ibc_relayer.clients import client_info, client_status, ground, refresh_due
from ibc_relayer.delivery import Delivery, Result
from ibc_relayer.events import ClientUpdated, Fact, facts
from ibc_relayer.filter import PacketFilter
from ibc_relayer.metrics import Metrics
from ibc_relayer.plan import ChannelState, End, SideView, Step, Views, plan
from ibc_relayer.snapshot import channel_end, recover, snapshot
from ibc_relayer.watch import Watch

log = logging.getLogger("ibc_relayer")

GAP_BLOCKS_MAX = 200  # further behind than this, full queries are cheaper than reading every block
RECOVER_PER_TURN = 400  # packets whose data is searched for in one turn, so that new ones flow meanwhile
CHECK_BLOCKS = 5  # between looks at a client's status and age
BACKOFF_BLOCKS_MAX = 64
PASSING_BLOCKS = 2  # until a node that was away is asked again
NEVER = 1 << 62
ORDERED = 2  # ORDER_ORDERED of ICS-04
ERROR_WAIT_S = 1.0
ERROR_WAIT_S_MAX = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSpec:
    """A path between two chains: clients by the chain that hosts them, channels as pairs of ends."""

    name: str
    clients: tuple[str, str]
    channels: tuple[tuple[End, End], ...]
    packets: PacketFilter = field(default_factory=PacketFilter)
    limits: tuple[Limits, Limits] = (Limits(), Limits())  # of transactions on each side
    clear_interval_s: int = 60


@dataclass(slots=True, kw_only=True)
class _Hold:
    """A step that is not to be planned again before its side's events up to `height` have been read."""

    side: int
    height: int


class PathWorker:
    """Relays between two parties until cancelled."""

    def __init__(self, parties: tuple[Party, Party], spec: PathSpec, metrics: Metrics) -> None:
        self.parties, self.spec, self.metrics = parties, spec, metrics
        self.books: list[Book] = []
        self.synced = [0, 0]
        self.usable = [True, True]
        self.watch = Watch(parties, spec.clients, metrics)
        self._backlog: dict[End, int] = {}
        self._holds: dict[object, _Hold] = {}
        self._failures: dict[object, int] = {}
        self._running: tuple[set[asyncio.Task[None]], set[asyncio.Task[None]]] = (set(), set())
        self._chores: dict[str, asyncio.Task[None]] = {}
        self._checked = [-CHECK_BLOCKS, -CHECK_BLOCKS]
        self._cleared_ns = 0

    # Life

    async def run(self) -> None:
        """Turn after turn, each as soon as one of the chains has a new block; errors are logged and retried."""
        wait_s = ERROR_WAIT_S
        try:
            while True:
                try:
                    await self.turn()
                    wait_s = ERROR_WAIT_S
                    await self._news()
                except ToolError as error:
                    self.metrics.errors.labels(self.spec.name).inc()
                    log.warning("path %s: %s; again in %.0f s", self.spec.name, error, wait_s)
                    await self._calm(wait_s, error)
                    wait_s = min(2 * wait_s, ERROR_WAIT_S_MAX)
        finally:
            await self.stop()

    async def _calm(self, wait_s: float, error: ToolError) -> None:
        """Wait after an error; where a node was away, only until both chains move again."""
        if not isinstance(error, NodeError):
            await asyncio.sleep(wait_s)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await asyncio.gather(*(self._next_block(party) for party in self.parties))

    @staticmethod
    async def _next_block(party: Party) -> None:
        try:
            await party.chain.wait_above((await party.chain.head()).height)
        except ToolError:
            await asyncio.sleep(ERROR_WAIT_S_MAX)  # nothing to wait by

    async def stop(self) -> None:
        """Cancel what is being delivered."""
        tasks = [*self._running[0], *self._running[1], *self._chores.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _news(self) -> None:
        waits = [
            asyncio.create_task(party.chain.wait_above(self.synced[side] + party.prover.lag))
            for side, party in enumerate(self.parties)
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def settled(self) -> None:
        """Wait until nothing is being delivered."""
        while tasks := [*self._running[0], *self._running[1], *self._chores.values()]:
            await asyncio.gather(*tasks, return_exceptions=True)

    def busy(self) -> bool:
        """Whether something is being delivered, searched for, or waits for its events."""
        holds = any(hold.height < NEVER and self.synced[hold.side] < hold.height for hold in self._holds.values())
        missing = any(flow.missing_packets or flow.missing_acks for book in self.books for flow in book.flows)
        return bool(self._running[0] or self._running[1]) or holds or missing

    async def caught_up(self) -> None:
        """Wait until one of the chains has a block that was not read yet."""
        await self._news()

    # One turn

    async def turn(self) -> int:
        """Read what is new, start what is due; returns how many steps were started."""
        heads = (await self.parties[0].chain.head(), await self.parties[1].chain.head())
        if min(self._provable(heads)) < 1:
            return 0  # a proof needs a block, and the header above it where that one proves it
        if not self.books or self._stale(heads):
            await self.clear(heads)
        else:
            await self._fold(heads)
        await self._recover()
        await self._check_clients(heads)
        self._chore("watch", lambda: self.watch.turn(heads))
        return self._start(heads)

    def _provable(self, heads: tuple[Head, Head]) -> tuple[int, int]:
        """The newest block of each chain whose state can be proven."""
        return heads[0].height - self.parties[0].prover.lag, heads[1].height - self.parties[1].prover.lag

    def _chore(self, name: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run something beside the turns that waits for transactions of its own, one of a name at a time."""
        if name in self._chores:
            return
        task = self._chores[name] = asyncio.create_task(work())
        task.add_done_callback(lambda done: self._chore_ended(name, done))

    def _chore_ended(self, name: str, task: asyncio.Task[None]) -> None:
        del self._chores[name]
        if task.cancelled() or (error := task.exception()) is None:
            return
        self.metrics.errors.labels(self.spec.name).inc()
        if isinstance(error, ToolError):
            log.warning("path %s: %s: %s", self.spec.name, name, error)
        else:
            log.error("path %s: %s ended with a defect", self.spec.name, name, exc_info=error)

    def _stale(self, heads: tuple[Head, Head]) -> bool:
        behind = any(newest - self.synced[side] > GAP_BLOCKS_MAX for side, newest in enumerate(self._provable(heads)))
        return behind or heads[0].time_ns - self._cleared_ns >= self.spec.clear_interval_s * NS

    async def clear(self, heads: tuple[Head, Head]) -> None:
        """Full queries of every channel: what is pending by the chains' own word."""
        if self.books:
            await self._fold(heads)
        heights = self._provable(heads)
        if not self.books:
            self.books = [await self._open_book(ends) for ends in self.spec.channels]
        for book in self.books:
            await self._clear_book(book, heights)
        self._chore("audit", lambda: self.watch.audit((heads[0].height, heads[1].height)))
        self.synced = list(heights)
        self._cleared_ns = heads[0].time_ns

    async def _open_book(self, ends: tuple[End, End]) -> Book:
        found = await channel_end(self.parties[0].chain, ends[0])
        named = End(found.counterparty.port_id, found.counterparty.channel_id)
        if named != ends[1]:
            where = f"channel {ends[0]} on {self.parties[0].chain.chain_id}"
            raise ToolError(f"{where}: expected counterparty {ends[1]}, got {named}")
        return new_book(ends, (ChannelState.NONE, ChannelState.NONE), ordered=found.ordering == ORDERED)

    async def _clear_book(self, book: Book, heights: tuple[int, int]) -> None:
        for side in (0, 1):
            end = await channel_end(self.parties[side].chain, book.ends[side], heights[side])
            book.states[side] = ChannelState(end.state) if end.state <= ChannelState.CLOSED else ChannelState.OPEN
        for side, flow in enumerate(book.flows):
            chains = (self.parties[side].chain, self.parties[1 - side].chain)
            at = (heights[side], heights[1 - side])
            found = await snapshot(chains, flow, at, ordered=book.ordered)
            flow.reset(found)
            newest = max(found.committed, default=0)
            self._backlog.setdefault(flow.source, newest)
            labels = (chains[0].chain_id, flow.source.port, flow.source.channel)
            self.metrics.pending.labels(*labels).set(len(found.committed))

    async def _fold(self, heads: tuple[Head, Head]) -> None:
        for side, party in enumerate(self.parties):
            for height in range(self.synced[side] + 1, self._provable(heads)[side] + 1):
                for fact in facts(await party.chain.events(height)):
                    self._take(side, fact)
                self.synced[side] = height
                self.metrics.height.labels(party.chain.chain_id).set(height)

    def _take(self, side: int, fact: Fact) -> None:
        if any(book.apply(side, fact) for book in self.books):  # other paths count their own packets
            self.metrics.fact(self.parties[side].chain.chain_id, fact)
        if isinstance(fact, ClientUpdated) and fact.client_id == self.spec.clients[side]:
            self.watch.suspect(side, fact)

    async def _recover(self) -> None:
        for book in self.books:
            for side, flow in enumerate(book.flows):
                if flow.missing_packets or flow.missing_acks:
                    asked = min(RECOVER_PER_TURN, len(flow.missing_packets)) + len(flow.missing_acks)
                    chains = (self.parties[side].chain, self.parties[1 - side].chain)
                    found = await recover(chains, flow, RECOVER_PER_TURN)
                    log.info("path %s: data of %d of %d pending packets found", self.spec.name, found, asked)

    def views(self, heads: tuple[Head, Head]) -> Views:
        """Both sides as the planner sees them."""
        return (self._view(0, heads[0]), self._view(1, heads[1]))

    def _view(self, side: int, head: Head) -> SideView:
        prover = self.parties[side].prover
        return SideView(
            chain_id=prover.chain_id,
            height=prover.height(head.height - prover.lag),
            proof_height=prover.height(head.height),
            proof_time_ns=head.time_ns,
            client_usable=self.usable[side],
            ends={book.ends[side]: book.view(side) for book in self.books},
        )

    # Starting deliveries

    def _start(self, heads: tuple[Head, Head]) -> int:
        for ident, hold in list(self._holds.items()):
            if self.synced[hold.side] >= hold.height:
                del self._holds[ident]
        steps = plan(self.views(heads))
        due = {step.ident for step in steps}
        self._failures = {ident: count for ident, count in self._failures.items() if ident in due}
        free = [step for step in steps if step.ident not in self._holds and self.spec.packets.admits(step)]
        return sum(self._start_side(side, [step for step in free if step.side == side], heads) for side in (0, 1))

    def _start_side(self, side: int, steps: Sequence[Step], heads: tuple[Head, Head]) -> int:
        party = self.parties[side]
        self.metrics.queue.labels(party.chain.chain_id).set(party.chain.queued())
        limits = self.spec.limits[side]
        places = limits.batches_per_turn - len(self._running[side])
        steps = [step for step in steps if not (step.ordered and self._ordered_busy(step))]
        if not steps or places <= 0:
            return 0
        fresh = {at for at, step in enumerate(steps) if self._is_fresh(step)}
        here = Limits(max_msgs=limits.max_msgs, max_tx_bytes=limits.max_tx_bytes, batches_per_turn=places)
        batches = choose(steps, fresh, here)
        subject = self.parties[1 - side]
        delivery = Delivery(
            host=party,
            subject=subject,
            client_id=self.spec.clients[side],
            limits=limits,
            least=heads[1 - side].height,
            metrics=self.metrics,
        )
        for batch in batches:
            self._launch(side, delivery, batch)
        return sum(len(batch) for batch in batches)

    def _ordered_busy(self, step: Step) -> bool:
        """One batch at a time on an ordered channel: proofs are fetched at once and could overtake each other."""
        kind = step.ident[:3]
        return any(isinstance(ident, tuple) and ident[:3] == kind for ident in self._holds)

    def _is_fresh(self, step: Step) -> bool:
        if step.packet is None:
            return True
        return step.packet.sequence > self._backlog.get(step.packet.source, 0)

    def _launch(self, side: int, delivery: Delivery, batch: tuple[Step, ...]) -> None:
        for step in batch:
            self._holds[step.ident] = _Hold(side=side, height=NEVER)
        task = asyncio.create_task(self._deliver(side, delivery, batch))
        self._running[side].add(task)
        task.add_done_callback(lambda done: self._ended(side, done))

    def _ended(self, side: int, task: asyncio.Task[None]) -> None:
        self._running[side].discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("path %s: delivery ended with a defect", self.spec.name, exc_info=error)

    async def _deliver(self, side: int, delivery: Delivery, batch: tuple[Step, ...]) -> None:
        results: dict[object, Result] = {}
        try:
            results = await delivery.run(batch)
        finally:
            head = await self.parties[side].chain.head()
            self._log_passing(side, list(results.values()))
            for step in batch:
                self._settle(side, step, results.get(step.ident), head)

    def _log_passing(self, side: int, results: Sequence[Result]) -> None:
        waiting = [result for result in results if result.passing]
        if waiting:
            chain_id = self.parties[side].chain.chain_id
            log.warning(
                "path %s: %d messages for %s wait: %s", self.spec.name, len(waiting), chain_id, waiting[0].detail
            )

    def _settle(self, side: int, step: Step, result: Result | None, head: Head) -> None:
        if result is not None and result.done:
            self._failures.pop(step.ident, None)
            self._holds[step.ident] = _Hold(side=side, height=result.height)
            return
        if result is not None and result.passing:
            self._holds[step.ident] = _Hold(side=side, height=head.height + PASSING_BLOCKS)
            return
        count = self._failures[step.ident] = self._failures.get(step.ident, 0) + 1
        pause = min(2 ** min(count, 16), BACKOFF_BLOCKS_MAX)
        self._holds[step.ident] = _Hold(side=side, height=head.height + pause)
        detail = result.detail if result is not None else "interrupted"
        sequence = step.packet.sequence if step.packet is not None else 0
        log.warning(
            "path %s: %s %s #%d on %s failed %d times, again in %d blocks: %s",
            *(self.spec.name, step.action.name, step.end, sequence, self.parties[side].chain.chain_id),
            *(count, pause, detail),
        )

    # Clients

    async def _check_clients(self, heads: tuple[Head, Head]) -> None:
        for side in (0, 1):
            if self._checked[side] < 0:
                await self._check_client(side)
            elif heads[side].height - self._checked[side] >= CHECK_BLOCKS:  # beside the turn: packets don't wait for it
                self._chore(
                    f"check of clients on {self.parties[side].chain.chain_id}", partial(self._check_client, side)
                )
            else:
                continue
            self._checked[side] = heads[side].height

    async def _check_client(self, side: int) -> None:
        host, subject, client_id = self.parties[side], self.parties[1 - side], self.spec.clients[side]
        try:
            status = await client_status(host.chain, client_id)
        except QueryNotFound as error:
            raise ToolError(f"client {client_id} on {host.chain.chain_id}: expected to exist: {error}") from error
        if self.usable[side] and status != "Active":
            log.error("client %s on %s is %s: nothing can be proven there", client_id, host.chain.chain_id, status)
        self.usable[side] = status == "Active"
        if not self.usable[side]:
            return
        due, age_ns = await refresh_due(host.chain, client_id)
        self.metrics.client_age.labels(host.chain.chain_id, client_id).set(age_ns / NS)
        self.metrics.balance.labels(host.chain.chain_id).set(await host.chain.spendable())
        if due or subject.prover.is_behind(await client_info(host.chain, client_id)):
            self._chore(
                f"refresh of {client_id} on {host.chain.chain_id}", lambda: self._refresh(host, subject, client_id)
            )

    async def _refresh(self, host: Party, subject: Party, client_id: str) -> None:
        base = await ground(host, subject, client_id)
        if base.updates:
            outcome = await host.chain.submit(base.updates)
            word = "refreshed" if outcome.ok else f"not refreshed: {outcome.codespace}/{outcome.code} {outcome.log}"
            log.info("client %s on %s %s at %s", client_id, host.chain.chain_id, word, base.proof_height)
