"""Ballots: validators vote on schedules that have no certificate (slot protocol 3.3): meshed feeders, contingencies.

CLEAR opens a slot's ballot on four candidates: the cleared schedule, then the same cut to 750, 500 and 250 permille;
caps of the utility cell append more. A candidate never changes, and each hash covers all before it:

    h_0 = sha256("bsmg/ballot/1" | chain id | slot u64)        h_(i+1) = sha256(h_i | canonical schedule of candidate i)

The canonical schedule is, for every bus ascending: bus u16, p i64 (mWh), q i64 (mvarh), big-endian. A vote names (slot,
n, h_n) and two masks: it stays good when candidates are added. A validator's latest vote counts, with the power it has
in the last commit of the block that tallies; absent power counts in the total. Approved: 3 yes > 2 total.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_ballot as ballot_pb
from cosmos_wire.protos import market_tx as tx
from cosmos_wire.protos import registry as registry_pb
from energy.market import inverters, keys, security, state
from energy.market import schedule as physical
from energy.market.clearing import Caps
from energy.market.life import BALLOT, SECURED, Step, require_step
from energy.market.mechanism import Proposal, adopt, propose
from energy.records import load, load_or_new, save, u16, u64
from energy.registry import state as registered
from energy.units import PERMILLE, stored
from ibc_core.host import Context, event

DOMAIN = b"bsmg/ballot/1"
FACTORS = (PERMILLE, 750, 500, 250)
CANDIDATES_MAX = 16  # bits of a mask
NONE_CHOSEN = "none"
SIGNED_BYTES = 8

Bus = tuple[int, int, int]  # its number, p in mWh, q in mvarh


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What a validator says of the first `n` candidates of a slot, whose hash is `hash`; bit i is candidate i."""

    slot: int
    n: int
    hash: bytes
    yes: int
    no: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """A validator of the last commit: its address, its power, and what it says there, None when nothing."""

    validator: bytes
    power: int
    vote: Vote | None


# --- pure: hashes, masks, tallies ---------------------------------------------------------------------------------


def first_hash(chain_id: str, slot: int) -> bytes:
    """Where a slot's chain of hashes starts."""
    return sha256(DOMAIN + chain_id.encode() + u64(slot)).digest()


def next_hash(before: bytes, schedule: Sequence[Bus]) -> bytes:
    """Covers everything before and one more schedule; buses ascend."""
    return sha256(before + b"".join(_row(bus) for bus in schedule)).digest()


def _row(bus: Bus) -> bytes:
    number, *energies = bus
    return u16(number) + b"".join(value.to_bytes(SIGNED_BYTES, "big", signed=True) for value in energies)


def masks_of(vote: Vote) -> tuple[int, int]:
    """Yes and no without bits beyond the first n candidates and without those that are set in both."""
    known = (1 << vote.n) - 1
    both = vote.yes & vote.no
    return vote.yes & known & ~both, vote.no & known & ~both


def tally(candidates: int, votes: Iterable[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """The power for and against each candidate, of (power, yes mask, no mask)."""
    sums = [[0, 0] for _ in range(candidates)]
    for power, *masks in votes:
        for number, row in enumerate(sums):
            for side, mask in enumerate(masks):
                row[side] += power * (mask >> number & 1)
    return [(yes, no) for yes, no in sums]


def is_approved(yes: int, total: int) -> bool:
    """More than two thirds of all power."""
    return 3 * yes > 2 * total


# --- opening and appending ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A schedule before it is a candidate: a clearing under a factor, with set-points of inverters in mvarh by bus."""

    proposal: Proposal
    factor_permille: int = PERMILLE
    set_points: Mapping[int, int] = field(default_factory=dict)


def open_ballot(ctx: Context, record: pb.Slot, proposal: Proposal, feeder: registry_pb.Feeder) -> None:
    """At CLEAR: the cleared schedule and three cuts of it are what validators vote on."""
    record.ballot.opened_height = ctx.env.height
    record.ballot.hash = first_hash(ctx.env.chain_id, record.slot)
    for factor in FACTORS:
        _append(ctx, record, _candidate(ctx, record, feeder, Draft(proposal=proposal, factor_permille=factor)))
    ctx.events.emit(event("ballot_opened", slot=record.slot, n=record.ballot.n, hash=record.ballot.hash.hex()))


def add_caps(ctx: Context, record: pb.Slot, caps: Caps, set_points: Mapping[int, int]) -> ballot_pb.Candidate:
    """Append what the market clears to under caps of the utility cell; the caller has counted the attempt."""
    feeder = registered.feeder(ctx) or registry_pb.Feeder()
    draft = Draft(proposal=propose(ctx, record, caps), set_points=set_points)
    made = _candidate(ctx, record, feeder, draft)
    for (bus, side), cap_mWh in sorted(caps.items()):
        cap = tx.BusCap(bus=bus, cap_mWh=cap_mWh)
        cap.side = pb.SIDE_BID if side == keys.BID else pb.SIDE_ASK
        made.caps.append(cap)
    made.q.extend(tx.BusQ(bus=bus, q_mvarh=q_mvarh) for bus, q_mvarh in sorted(set_points.items()))
    _append(ctx, record, made)
    ctx.events.emit(event("ballot_grown", slot=record.slot, n=record.ballot.n, hash=record.ballot.hash.hex()))
    return made


def _candidate(ctx: Context, record: pb.Slot, feeder: registry_pb.Feeder, draft: Draft) -> ballot_pb.Candidate:
    factor = draft.factor_permille
    made = ballot_pb.Candidate(
        factor_permille=factor, welfare=str(stored(draft.proposal.clearing.welfare) * factor // PERMILLE)
    )
    for bus, p_mWh, q_mvarh in schedule_of(ctx, record.slot, feeder, draft):
        made.buses.add(bus=bus, p_mWh=p_mWh, q_mvarh=q_mvarh)
    return made


def _append(ctx: Context, record: pb.Slot, made: ballot_pb.Candidate) -> None:
    entry = record.ballot
    assert entry.n < CANDIDATES_MAX  # four and the utility cell's tries, which genesis bounds
    made.number = entry.n
    made.hash = next_hash(entry.hash, [(row.bus, row.p_mWh, row.q_mvarh) for row in made.buses])
    entry.n, entry.hash = entry.n + 1, made.hash
    entry.tallies.add()
    save(ctx, keys.candidate_key(record.slot, made.number), made)


def candidates(ctx: Context, slot: int) -> Iterator[ballot_pb.Candidate]:
    """The slot's candidates by number; none after SECURE."""
    for _, raw in ctx.app.iterate(keys.candidates_prefix(slot)):
        yield ballot_pb.Candidate.FromString(raw)


def hashes(ctx: Context, slot: int) -> tuple[bytes, ...]:
    """The hash up to each candidate."""
    return tuple(made.hash for made in candidates(ctx, slot))


# --- votes --------------------------------------------------------------------------------------------------------


def open_slots(ctx: Context) -> list[pb.LiveSlot]:
    """Live slots whose ballot is open, ascending."""
    return [entry for entry in state.live(ctx).slots if entry.ballot_height]


def cast(ctx: Context, ballots: Sequence[Ballot]) -> list[pb.Slot]:
    """Keep the votes of a bundle and tally every open ballot; returns records that are SECURED by it, saved.

    A vote that names no open ballot, or candidates that are not this one's, changes nothing.
    """
    secured = []
    for entry in open_slots(ctx):
        record = state.slot_record(ctx, entry.slot)
        _keep(ctx, record, ballots)
        _tally(ctx, record, ballots)
        if is_approved(record.ballot.tallies[0].yes, record.ballot.total):
            require_step(record, Step.VOTES)
            record.state = SECURED
            _choose(ctx, record, 0)
            secured.append(record)
        state.save_slot(ctx, record)
    return secured


def _keep(ctx: Context, record: pb.Slot, ballots: Sequence[Ballot]) -> None:
    known = hashes(ctx, record.slot)
    for ballot in ballots:
        vote = ballot.vote
        if vote is None or vote.slot != record.slot or not 1 <= vote.n <= len(known):
            continue
        if known[vote.n - 1] == vote.hash:
            yes, no = masks_of(vote)
            save(ctx, keys.vote_key(record.slot, ballot.validator), ballot_pb.BallotVote(n=vote.n, yes=yes, no=no))


def _tally(ctx: Context, record: pb.Slot, ballots: Sequence[Ballot]) -> None:
    rows = []
    for ballot in ballots:
        kept = load_or_new(ctx, keys.vote_key(record.slot, ballot.validator), ballot_pb.BallotVote)
        rows.append((ballot.power, kept.yes, kept.no))
    entry = record.ballot
    entry.height, entry.total = ctx.env.height, sum(ballot.power for ballot in ballots)
    for number, (yes, no) in enumerate(tally(entry.n, rows)):
        entry.tallies[number].yes, entry.tallies[number].no = yes, no
        ctx.events.emit(event("vote_tallied", slot=record.slot, candidate=number, yes=yes, no=no, total=entry.total))


# --- the end ------------------------------------------------------------------------------------------------------


def decide(ctx: Context, record: pb.Slot) -> None:
    """At SECURE: the approved candidate of most welfare, of equals the first; without any a factor of 0."""
    approved = [
        made for made in candidates(ctx, record.slot)
        if is_approved(record.ballot.tallies[made.number].yes, record.ballot.total)
    ]  # fmt: skip
    if not approved:
        record.factor_permille = 0
        announce(ctx, record)
    else:
        _choose(ctx, record, max(approved, key=lambda made: (stored(made.welfare), -made.number)).number)


def _choose(ctx: Context, record: pb.Slot, number: int) -> None:
    made = load(ctx, keys.candidate_key(record.slot, number), ballot_pb.Candidate)
    assert made is not None  # candidates stay as long as the ballot
    if made.caps:
        adopt(ctx, record, propose(ctx, record, {(cap.bus, cap.side): cap.cap_mWh for cap in made.caps}))
    inverters.adopt(ctx, record.slot, {point.bus: point.q_mvarh for point in made.q})
    record.factor_permille = made.factor_permille
    record.ballot.chosen = number
    announce(ctx, record)


def announce(ctx: Context, record: pb.Slot) -> None:
    """Say what was chosen, with the tally's own words for nothing."""
    chosen = record.ballot.chosen if record.ballot.HasField("chosen") else NONE_CHOSEN
    ctx.events.emit(event("slot_secured", slot=record.slot, candidate=chosen, factor_permille=record.factor_permille))


def close(ctx: Context, slot: int) -> None:
    """Take candidates and votes away; the record keeps the tally."""
    for prefix in (keys.candidates_prefix(slot), keys.votes_prefix(slot)):
        for key in [key for key, _ in ctx.app.iterate(prefix)]:
            ctx.app.delete(key)


# --- schedules ------------------------------------------------------------------------------------------------------


def schedule_of(ctx: Context, slot: int, feeder: registry_pb.Feeder, draft: Draft) -> list[Bus]:
    """What every bus of the feeder withdraws, ascending; a bus that it lacks is there if it trades.

    Nothing is let out to the main grid beyond what trades: no certificate says how much more the feeder would bear.
    """
    rows = {bus: [0, 0] for bus in buses_of(feeder)}
    energies = [
        (said.bus, said.base_p_mWh, said.base_q_mvarh) for said in security.baselines(ctx, slot, draft.set_points)
    ]
    clearing, awarded = draft.proposal.clearing, physical.awarded_by(draft.proposal.outcome)
    fills = physical.whole_fills(ctx.app, slot, clearing, awarded)
    for bus, total in physical.summed(ctx, fills, draft.factor_permille).items():
        energies.append((bus, total.p_mWh, total.q_permille // PERMILLE))
    for bus, p_mWh, q_mvarh in energies:
        row = rows.setdefault(bus, [0, 0])
        row[0] += p_mWh
        row[1] += q_mvarh
    return [(bus, p_mWh, q_mvarh) for bus, (p_mWh, q_mvarh) in sorted(rows.items())]


def buses_of(feeder: registry_pb.Feeder) -> list[int]:
    """Numbers of a feeder's buses, ascending."""
    ends = (bus for branch in feeder.branches for bus in (branch.from_bus, branch.to_bus))
    return sorted(dict.fromkeys((feeder.root_bus, *ends)))


def is_open(record: pb.Slot) -> bool:
    """Whether votes on a slot still count."""
    return record.state == BALLOT


def judge_requests(ctx: Context) -> list[ballot_pb.JudgeRequest]:
    """What a node's judge has to look at now: every candidate of every open ballot, under the feeder in force."""
    slots = open_slots(ctx)
    feeder = registered.feeder(ctx) if slots else None
    if feeder is None:
        return []
    made = []
    for entry in slots:
        margin = state.slot_record(ctx, entry.slot).params.margin_permille
        digest = judge_digest(feeder, margin)
        for candidate in candidates(ctx, entry.slot):
            request = ballot_pb.JudgeRequest(digest=digest, margin_permille=margin)
            request.feeder.CopyFrom(feeder)
            request.candidate.CopyFrom(candidate)
            made.append(request)
    return made


def judge_digest(feeder: registry_pb.Feeder, margin_permille: int) -> bytes:
    """What a verdict depends on beside the candidate."""
    return sha256(feeder.SerializeToString(deterministic=True) + u16(margin_permille)).digest()
