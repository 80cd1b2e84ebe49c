"""Proposes Ticks: the microgrid's blocks. Every front can; the standby ones step in when none comes.

A Tick is due one interval after the time of the last one. Whoever proposes first wins: the record `tick` is read and
written by each, so that the ledger takes one for each height (MVCC). Nothing is lost when a proposal fails at any
stage: the transactions wait on the ledger, and the next Tick begins at the ledger's last one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import grpc

from cosmos_wire.protos import fabric_microgrid
from fabric_adapter.errors import EndorseError, FabricError, code_name
from fabric_adapter.gateway import VALID, Gateway
from fabric_adapter.microgrid import layout
from fabric_adapter.microgrid.errors import NotSeen, WrongTickHeight
from fabric_adapter.microgrid.layout import TICKET_BYTES
from fabric_adapter.microgrid.machine import TICK_TXS_MAX
from fabric_adapter.node.attendance import Attendance
from fabric_adapter.node.follower import Follower
from fabric_adapter.node.replica import TickHead
from fabric_adapter.node.trouble import Trouble
from fabric_adapter.proposal import Options
from fabric_adapter.stub import FAILED
from fabric_wire import strict
from fabric_wire.protos import transaction

TickArgs = fabric_microgrid.TickArgs
LOG = logging.getLogger("fabric_adapter.node")
NO_IMAGE = "image not loaded"
UNSEEN = f"{NotSeen.codespace}/{NotSeen.code}: "
BEHIND = f"{WrongTickHeight.codespace}/{WrongTickHeight.code}: "
TICK, LOOK = b"Tick", b"Look"
LOST_S = 3.0  # a Tick that is in no block after so long is proposed again
PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
LOOKED_MIN = 8  # so many transactions are worth a question to each organisation before the Tick
LOOK_S, BLIND_S = 2.0, 10.0  # how long the answers are waited for, and not asked for again when they didn't come
STEP_BACK = 0.1  # of the interval: how much later than the first writer an acting one proposes
ASIDE_S, SUSPECTED_TIMES = 60.0, 3  # how often a transaction alone breaks an endorser until it is put aside
NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds between Ticks, and how much longer this front waits for another's; 0: it is the first writer."""

    interval_s: float
    delay_s: float


class Writer:
    """`run` it."""

    def __init__(
        self, follower: Follower, gateway: Gateway, chaincode: str, attendance: Attendance, pace: Pace
    ) -> None:
        self._follower, self._gateway = follower, gateway
        self._chaincode, self._attendance, self._pace = chaincode, attendance, pace
        self._trouble = Trouble(LOG, "writing ticks")
        self._head: TickHead | None = None
        self._seen_s = 0.0
        self._limit = TICK_TXS_MAX
        self._suspected: list[bytes] = []
        self._aside: dict[bytes, float] = {}  # transactions that broke a Tick, and when they are tried again
        self._blind_until_s = 0.0
        self._tries = 0
        self._pending = ""
        self._verdict: int = VALID
        follower.verdicts = self._hear

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            rung = self._follower.bell.rung
            head = self._observe()
            if head is None or not self._follower.caught_up.is_set():
                await self._follower.bell.wait(rung, self._pace.interval_s)
                continue
            left = self._left_s(head)
            if left > 0:
                await self._follower.bell.wait(rung, left)
                continue
            await self._write(head)

    def _observe(self) -> TickHead | None:
        """The last tick, and when we saw it first."""
        head = self._follower.replica.head
        if head != self._head:
            self._head, self._seen_s = head, time.monotonic()
            if head is not None:
                self._tries = 0
                self._trouble.over()
        return head

    def _left_s(self, head: TickHead) -> float:
        """Until this front is to propose the next Tick: by the tick's own time, whose clock may be another's."""
        interval, delay = self._pace.interval_s, self._pace.delay_s
        waited = time.monotonic() - self._seen_s
        is_mine = head.creator == self._gateway.identity.serialized
        if delay and not is_mine:
            return interval + delay - waited
        by_clock = (head.time_ns - time.time_ns()) / NS
        return min(by_clock, -waited) + interval * (1 + (STEP_BACK if delay else 0))

    async def _write(self, head: TickHead) -> None:
        """One attempt; whatever came of it shows in the replica's head."""
        listed = await self._looked_at(TickArgs(height=head.height + 1, tickets=self._waiting()))
        args, waiting = strict.write(listed), list(listed.tickets)
        asked = self._attendance.asked
        options = Options(timestamp_ns=max(time.time_ns(), head.time_ns + 1), organizations=asked)
        rung = self._follower.bell.rung
        try:
            ready = await self._gateway.endorse(self._chaincode, [TICK, args], options)
            self._pending, self._verdict = ready.tx_id, VALID
            await self._gateway.submit(ready)
        except FabricError as error:
            if not asked or not self._does_without_some(error):
                await self._failed(error, rung, waiting)
            return
        self._attendance.complete()
        self._limit = min(2 * self._limit, TICK_TXS_MAX)
        await self._settled(head)

    def _does_without_some(self, error: FabricError) -> bool:
        """Whether the next attempt is to ask fewer organisations: not where all of them can get ready."""
        said = str(error)
        if not isinstance(error, EndorseError) or any(words in said for words in (BEHIND, UNSEEN, NO_IMAGE)):
            return False
        self._attendance.lost(error)
        return True

    def _waiting(self) -> list[bytes]:
        """What the next Tick lists: the first of those that wait, but for what is put aside."""
        now = time.monotonic()
        self._aside = {ticket: until for ticket, until in self._aside.items() if until > now}
        found = self._follower.replica.index.waiting(self._limit + len(self._aside))
        return [ticket for ticket in found if ticket not in self._aside][: self._limit]

    async def _looked_at(self, args: TickArgs) -> TickArgs:
        """The Tick's arguments once every organisation has looked at what it lists; as they are when one has not.

        What one of them has not on its ledger yet waits for the next Tick.
        """
        is_blind = time.monotonic() < self._blind_until_s or not self._attendance.all_here
        if len(args.tickets) < LOOKED_MIN or is_blind:
            return args
        data, orgs = strict.write(args), self._attendance.orgs
        asked = (self._gateway.evaluate(self._chaincode, [LOOK, data], Options(organizations=(org,))) for org in orgs)
        try:
            async with asyncio.timeout(LOOK_S):
                answers = await asyncio.gather(*asked)
        except (FabricError, TimeoutError) as error:
            if BEHIND not in str(error):
                self._blind_until_s = time.monotonic() + BLIND_S
                self._trouble.met(f"looking at what waits: {error!r}")
            return args
        missing = {answer[at : at + TICKET_BYTES] for answer in answers for at in range(0, len(answer), TICKET_BYTES)}
        return TickArgs(height=args.height, tickets=[each for each in args.tickets if each not in missing], seen=True)

    async def _settled(self, head: TickHead) -> None:
        """Wait until there is a newer tick, this or another front's, or ours turned out invalid or lost."""
        end = time.monotonic() + LOST_S
        while True:
            rung = self._follower.bell.rung
            if self._follower.replica.head != head:
                return
            left = end - time.monotonic()
            if self._verdict != VALID or left <= 0:
                break
            await self._follower.bell.wait(rung, left)
        said = "in no block" if self._verdict == VALID else code_name(self._verdict)
        if self._verdict != transaction.MVCC_READ_CONFLICT:
            self._trouble.met(f"tick {head.height + 1}: expected it to be valid, got {said}")
        await self._pause(self._follower.bell.rung)

    async def _failed(self, error: FabricError, rung: int, listed: Sequence[bytes]) -> None:
        if NO_IMAGE in str(error):
            await self._load()
            return
        if UNSEEN in str(error):  # by a process that was started in between, or a peer behind the same gateway
            self._blind_until_s = time.monotonic() + BLIND_S
            return
        before = self._follower.replica.head
        await self._pause(rung)
        if self._follower.replica.head != before or BEHIND in str(error):
            return  # another tick came in between, or is there already and on its way to us
        self._trouble.met(error)
        if listed and _is_too_much(error):
            self._narrow(listed, error)

    def _narrow(self, listed: Sequence[bytes], error: FabricError) -> None:
        """What endorsers can't execute must not stop the clock: fewer transactions, and not the one that it is."""
        self._limit = max(1, len(listed) // 2)
        if len(listed) > 1 or error.refusal is None:  # an endorser that is only slow breaks over nothing
            return
        self._suspected = [*self._suspected, listed[0]] if self._suspected[-1:] == [listed[0]] else [listed[0]]
        if len(self._suspected) >= SUSPECTED_TIMES:
            self._aside[listed[0]] = time.monotonic() + ASIDE_S
            LOG.warning("event=aside tx=%s retry_s=%s", layout.tx_id_of(listed[0]), ASIDE_S)

    async def _pause(self, rung: int) -> None:
        pause = PAUSES_S[min(self._tries, len(PAUSES_S) - 1)]
        self._tries += 1
        await self._follower.bell.wait(rung, pause)

    async def _load(self) -> None:
        """Make each organisation's chaincode read the state."""
        LOG.info("event=loading orgs=%s", ",".join(self._attendance.orgs))
        failed = await self._attendance.load()
        for org, error in failed.items():
            self._trouble.met(f"{org}: {error}")
        if failed:
            self._attendance.lost(next(iter(failed.values())))
            await self._pause(self._follower.bell.rung)

    def _hear(self, verdicts: Mapping[str, int]) -> None:
        self._verdict = verdicts.get(self._pending, self._verdict)


def _is_too_much(error: FabricError) -> bool:
    """Whether an endorser broke or ran out of time over the transactions."""
    refusal = error.refusal
    return error.code is grpc.StatusCode.DEADLINE_EXCEEDED or (refusal is not None and refusal.status >= FAILED)
