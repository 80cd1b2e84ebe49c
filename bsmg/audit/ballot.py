"""The audit's own count of ballots, written from docs/slot.md 3.3: candidates, votes, tallies, and what follows.

CLEAR opens a ballot where the feeder in force is of mode BALLOT and anything trades: the cleared schedule, then cuts
of it, then what the utility cell's caps clear to, each hashed onto all before it. A validator's latest vote counts,
with its power in the last commit of the block that tallies. More than two thirds of all power approve. Whether a
schedule keeps the feeder's limits is the validators' word alone: their verdicts are not computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from bsmg.audit.auction import Outcome
from bsmg.audit.votes import Said, Voter

if TYPE_CHECKING:
    from bsmg.audit.market import Market
    from bsmg.audit.slot import Slot

PERMILLE = 1000
CUTS = (PERMILLE, 750, 500, 250)
NONE = "none"
SUBJECT = "ballots"
NOTE = "whether schedules keep the feeder's limits where validators vote on them: more than two thirds said so"

Caps = Mapping[tuple[int, int], int]
Bus = tuple[int, int, int]  # its number, p, q


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A schedule that is voted on."""

    factor: int
    welfare: int
    hash: bytes
    caps: Caps | None = None
    points: Mapping[int, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Poll:
    """A slot's ballot."""

    opened: int  # height
    hash: bytes
    is_open: bool = True
    candidates: list[Candidate] = field(default_factory=list)
    votes: dict[bytes, tuple[int, int]] = field(default_factory=dict)  # by validator: yes, no
    yes: list[int] = field(default_factory=list)  # by candidate, at the last tally
    total: int = 0

    def keep(self, address: bytes, said: Said) -> None:
        """A vote that names the candidates as they are takes the place of an earlier one."""
        if not 1 <= said.n <= len(self.candidates) or self.candidates[said.n - 1].hash != said.hash:
            return
        known, both = (1 << said.n) - 1, said.yes & said.no
        self.votes[address] = said.yes & known & ~both, said.no & known & ~both

    def power(self, voters: Sequence[Voter], number: int, side: int) -> int:
        """Of all who said yes (side 0) or no (side 1) to a candidate."""
        return sum(v.power for v in voters if self.votes.get(v.address, (0, 0))[side] >> number & 1)

    def approved(self, number: int) -> bool:
        """By more than two thirds of all power, absent power counted, at the last tally."""
        return number < len(self.yes) and 3 * self.yes[number] > 2 * self.total


class Ballots:
    """The replay of a chain's ballots."""

    def __init__(self, desk: Market) -> None:
        self.desk = desk

    def due(self, height: int) -> bool:
        """Whether a ballot that was open before this block needs the votes that it brings."""
        return any(slot.poll is not None and slot.poll.opened <= height - 2 for slot in self._open_ones())

    def _open_ones(self) -> list[Slot]:
        live = self.desk.live
        return [live[n] for n in sorted(live) if (poll := live[n].poll) is not None and poll.is_open]

    # --- candidates --------------------------------------------------------------------------------------------------

    def open(self, slot: Slot) -> None:
        """At CLEAR: what was cleared, and its cuts."""
        assert slot.outcome is not None
        findings = self.desk.stage.findings
        findings.notes += [NOTE] if NOTE not in findings.notes else []
        first = sha256(b"bsmg/ballot/1" + self.desk.stage.chain_id.encode() + slot.number.to_bytes(8, "big")).digest()
        slot.poll = Poll(opened=self.desk.stage.height, hash=first)
        for factor in CUTS:
            self._add(slot, slot.outcome, Candidate(factor=factor, welfare=slot.outcome.welfare, hash=b""))
        self._say("ballot_opened", slot.number, slot.poll)

    def grow(self, slot: Slot, caps: Caps, points: Mapping[int, int]) -> None:
        """The utility cell's caps are one more candidate."""
        assert slot.poll is not None
        outcome = self.desk.special.under_caps(slot, caps)
        made = Candidate(factor=PERMILLE, welfare=outcome.welfare, hash=b"", caps=caps, points=points)
        self._add(slot, outcome, made)
        self._say("ballot_grown", slot.number, slot.poll)

    def _add(self, slot: Slot, outcome: Outcome, made: Candidate) -> None:
        assert slot.poll is not None
        schedule = self.desk.physical.schedule(slot, outcome, made.factor, made.points)
        slot.poll.hash = chained(slot.poll.hash, schedule)
        welfare = made.welfare * made.factor // PERMILLE
        known = Candidate(factor=made.factor, welfare=welfare, hash=slot.poll.hash, caps=made.caps, points=made.points)
        slot.poll.candidates.append(known)

    def _say(self, kind: str, number: int, poll: Poll) -> None:
        self.desk.stage.expect.event(kind, (number, len(poll.candidates)), hash=poll.hash.hex())

    # --- votes -------------------------------------------------------------------------------------------------------

    def cast(self, voters: Sequence[Voter]) -> None:
        """Count a bundle for every open ballot; what secures the cleared schedule ends the ballot at once."""
        findings = self.desk.stage.findings
        findings.count(SUBJECT, sum(voter.said is not None for voter in voters))
        for slot in self._open_ones():
            poll = slot.poll
            assert poll is not None
            for voter in voters:
                if voter.said is not None and voter.said.slot == slot.number:
                    poll.keep(voter.address, voter.said)
            self._tally(slot.number, poll, voters)
            if poll.approved(0):
                slot.secured, poll.is_open = True, False
                self._choose(slot, 0)

    def _tally(self, number: int, poll: Poll, voters: Sequence[Voter]) -> None:
        poll.total = sum(voter.power for voter in voters)
        poll.yes = [poll.power(voters, at, 0) for at in range(len(poll.candidates))]
        for at, yes in enumerate(poll.yes):
            no = poll.power(voters, at, 1)
            self.desk.stage.expect.event("vote_tallied", (number, at), yes=yes, no=no, total=poll.total)

    # --- the end -----------------------------------------------------------------------------------------------------

    def decide(self, slot: Slot) -> None:
        """At SECURE: the approved candidate of most welfare, of equals the first; none of them: nothing trades."""
        poll = slot.poll
        assert poll is not None
        poll.is_open = False
        approved = [at for at in range(len(poll.candidates)) if poll.approved(at)]
        if approved:
            self._choose(slot, max(approved, key=lambda at: (poll.candidates[at].welfare, -at)))
            return
        slot.factor = 0
        self._announce(slot, NONE)

    def _choose(self, slot: Slot, number: int) -> None:
        assert slot.poll is not None
        made = slot.poll.candidates[number]
        if made.caps:
            self.desk.adopt(slot, self.desk.special.under_caps(slot, made.caps))
        slot.factor, slot.set_points = made.factor, dict(made.points)
        self._announce(slot, number)

    def _announce(self, slot: Slot, chosen: object) -> None:
        self.desk.stage.expect.event("slot_secured", (slot.number,), candidate=chosen, factor_permille=slot.factor)


def chained(before: bytes, schedule: Sequence[Bus]) -> bytes:
    """Hash of everything before and one more schedule: bus u16, p i64, q i64."""
    text = before
    for bus, p, q in schedule:
        text += bus.to_bytes(2, "big") + p.to_bytes(8, "big", signed=True) + q.to_bytes(8, "big", signed=True)
    return sha256(text).digest()
