"""What is known of the packets of one channel: events of both chains folded in, whatever order the chains come in.

The two chains are read independently, so that a receipt may be seen before the sending: every fact is kept by sequence
until the sender's commitment is known to be gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ibc_relayer.events import Acked, Closed, Fact, Finished, Opened, Received, Sent
from ibc_relayer.plan import ChannelState, End, EndView, Packet


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Full queries of one direction, as of one height of each chain."""

    committed: frozenset[int]  # at the sender
    received: frozenset[int]  # of those, at the receiver
    acked: frozenset[int]  # of those, with an acknowledgement written at the receiver
    next_recv: int


@dataclass(slots=True, kw_only=True)
class Flow:
    """Packets of one direction. `missing_*`: known by full queries, without their data yet."""

    source: End
    destination: End
    sent: dict[int, Packet] = field(default_factory=dict)
    received: set[int] = field(default_factory=set)
    acks: dict[int, bytes] = field(default_factory=dict)
    next_recv: int = 1
    missing_packets: set[int] = field(default_factory=set)
    missing_acks: set[int] = field(default_factory=set)
    searches: int = 0  # for what is missing, since the last full query

    def sent_one(self, packet: Packet) -> None:
        """A packet that the sender committed."""
        self.sent[packet.sequence] = packet
        self.missing_packets.discard(packet.sequence)

    def received_one(self, sequence: int) -> None:
        """A packet that the receiver took."""
        self.received.add(sequence)
        self.next_recv = max(self.next_recv, sequence + 1)

    def acked_one(self, sequence: int, ack: bytes) -> None:
        """An acknowledgement that the receiver wrote."""
        self.received_one(sequence)
        self.acks[sequence] = ack
        self.missing_acks.discard(sequence)

    def finished(self, sequence: int) -> None:
        """The commitment is gone."""
        self.sent.pop(sequence, None)
        self.received.discard(sequence)
        self.acks.pop(sequence, None)
        self.missing_packets.discard(sequence)
        self.missing_acks.discard(sequence)

    def reset(self, found: Snapshot) -> None:
        """Take the chains' own word for what is pending; data that is known already is kept."""
        self.sent = {sequence: self.sent[sequence] for sequence in sorted(found.committed) if sequence in self.sent}
        self.received = set(found.received)
        self.acks = {sequence: self.acks[sequence] for sequence in sorted(found.acked) if sequence in self.acks}
        self.next_recv = found.next_recv
        self.searches = 0
        self.missing_packets = set(found.committed) - set(self.sent)
        self.missing_acks = set(found.acked) - set(self.acks)


@dataclass(slots=True, kw_only=True)
class Book:
    """One channel: ends and states by side, flows by the side that sends."""

    ends: tuple[End, End]
    ordered: bool
    states: list[ChannelState]
    flows: tuple[Flow, Flow]

    def apply(self, side: int, fact: Fact) -> bool:
        """Fold in what a chain said; returns whether it is about this channel."""
        if end_of(fact) != self.ends[side]:
            return False
        if isinstance(fact, Opened | Closed):
            self.states[side] = ChannelState.OPEN if isinstance(fact, Opened) else ChannelState.CLOSED
        elif isinstance(fact, Sent):
            self.flows[side].sent_one(fact.packet)
        elif isinstance(fact, Received):
            self.flows[1 - side].received_one(fact.packet.sequence)
        elif isinstance(fact, Acked):
            self.flows[1 - side].acked_one(fact.packet.sequence, fact.ack)
        elif isinstance(fact, Finished):
            self.flows[side].finished(fact.sequence)
        return True

    def view(self, side: int) -> EndView:
        """What the planner sees of one end."""
        mine, theirs = self.flows[side], self.flows[1 - side]
        return EndView(
            end=self.ends[side],
            counterparty=self.ends[1 - side],
            ordered=self.ordered,
            state=self.states[side],
            sent=dict(mine.sent),
            received=frozenset(theirs.received),
            acks={sequence: ack for sequence, ack in theirs.acks.items() if sequence in theirs.sent},
            next_recv=theirs.next_recv,
        )


def end_of(fact: Fact) -> End | None:
    """The end, on the chain that said it, that a fact is about; None for facts of clients."""
    if isinstance(fact, Opened | Closed):
        return fact.end
    if isinstance(fact, Sent):
        return fact.packet.source
    if isinstance(fact, Received | Acked):
        return fact.packet.destination
    return fact.source if isinstance(fact, Finished) else None


def new_book(ends: tuple[End, End], states: Iterable[ChannelState], *, ordered: bool) -> Book:
    """A book that knows nothing of packets yet."""
    flows = (Flow(source=ends[0], destination=ends[1]), Flow(source=ends[1], destination=ends[0]))
    return Book(ends=ends, ordered=ordered, states=list(states), flows=flows)
