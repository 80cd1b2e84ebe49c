"""What to relay, decided from two snapshots alone: no clock, no network, no memory.

Sides are numbered 0 and 1. A packet from side s is received on 1 - s; its acknowledgement and timeout run on s.
State of a side is as of `height`; the header at `proof_height` proves it, and its time and number are what timeouts
are measured by (ICS-04: against the consensus state of the proof).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from cosmos_wire.protos import channel, client
from ibc_core.light_client import Height


@dataclass(frozen=True, slots=True, order=True)
class End:
    """One end of a channel; of IBC v2: a client, which has no port."""

    port: str
    channel: str

    @property
    def v2(self) -> bool:
        """Whether it is a client of IBC v2."""
        return not self.port

    def __str__(self) -> str:
        return f"{self.port}/{self.channel}" if self.port else self.channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A packet as its events tell it."""

    sequence: int
    source: End
    destination: End
    data: bytes = field(repr=False)
    timeout_height: Height
    timeout_ns: int

    def message(self) -> channel.Packet:
        """The protobuf message."""
        return channel.Packet(
            sequence=self.sequence,
            source_port=self.source.port,
            source_channel=self.source.channel,
            destination_port=self.destination.port,
            destination_channel=self.destination.channel,
            data=self.data,
            timeout_height=client.Height(
                revision_number=self.timeout_height.revision, revision_height=self.timeout_height.height
            ),
            timeout_timestamp=self.timeout_ns,
        )

    def expired(self, height: Height, time_ns: int) -> bool:
        """Whether a block of the destination at this height and time is too late to receive it (0: no limit)."""
        by_height = not self.timeout_height.is_zero and height >= self.timeout_height
        return by_height or (self.timeout_ns != 0 and time_ns >= self.timeout_ns)


class ChannelState(IntEnum):
    """ICS-04's numbers."""

    NONE = 0
    INIT = 1
    TRYOPEN = 2
    OPEN = 3
    CLOSED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class EndView:
    """One end of a channel as of the side's height."""

    end: End
    counterparty: End
    ordered: bool
    state: ChannelState
    sent: Mapping[int, Packet]  # packets of this end that are committed still
    received: frozenset[int]  # of the counterparty's committed packets: received here
    acks: Mapping[int, bytes]  # of those: the acknowledgement written here
    next_recv: int = 1  # of an ordered channel


@dataclass(frozen=True, slots=True, kw_only=True)
class SideView:
    """One chain on a path. `proof_height` and `proof_time_ns` are those of the header that proves `height`."""

    chain_id: str
    height: Height
    proof_height: Height
    proof_time_ns: int
    client_usable: bool  # the client on this chain is active: messages here can be proven
    ends: Mapping[End, EndView]


class Action(IntEnum):
    """What a message does, in the order in which a batch carries them."""

    RECV = 1
    ACK = 2
    TIMEOUT = 3
    TIMEOUT_ON_CLOSE = 4
    CLOSE_CONFIRM = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One message that is due on a side. `end` is the end on that side; `peer` the one that the proof is about."""

    action: Action
    side: int
    end: End
    peer: End
    ordered: bool
    packet: Packet | None = None
    ack: bytes = b""

    @property
    def ident(self) -> tuple[int, int, End, int]:
        """What makes two steps the same work."""
        sequence = self.packet.sequence if self.packet is not None else 0
        return (self.side, int(self.action), self.end, sequence)


Views = tuple[SideView, SideView]


def plan(views: Views) -> tuple[Step, ...]:
    """Every message that is due now, each packet at most once, ascending by sequence on each channel."""
    return tuple(step for side in (0, 1) for step in _outgoing(views, side))


def _outgoing(views: Views, source: int) -> Iterator[Step]:
    """Steps of the packets that `source` sent."""
    for end in sorted(views[source].ends):
        here = views[source].ends[end]
        there = views[1 - source].ends.get(here.counterparty)
        if there is None:
            continue
        pair = _Pair(source=source, here=here, there=there, views=views)
        steps = tuple(_ordered(pair) if here.ordered else _unordered(pair))
        yield from steps
        yield from _closing(pair, steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A channel seen from the end that sends."""

    source: int
    here: EndView
    there: EndView
    views: Views

    def on_source(self, action: Action, packet: Packet, ack: bytes = b"") -> Iterator[Step]:
        """A step on the sender's chain, if its client lives."""
        if self.views[self.source].client_usable:
            yield Step(
                action=action,
                side=self.source,
                end=self.here.end,
                peer=self.there.end,
                ordered=self.here.ordered,
                packet=packet,
                ack=ack,
            )

    def on_destination(self, packet: Packet) -> Iterator[Step]:
        """Receive, if the client there lives."""
        if self.views[1 - self.source].client_usable:
            yield Step(
                action=Action.RECV,
                side=1 - self.source,
                end=self.there.end,
                peer=self.here.end,
                ordered=self.here.ordered,
                packet=packet,
            )

    def expired(self, packet: Packet) -> bool:
        """Whether the destination's proven time is past the packet's limit."""
        there = self.views[1 - self.source]
        return packet.expired(there.proof_height, there.proof_time_ns)


def _unordered(pair: _Pair) -> Iterator[Step]:
    for sequence in sorted(pair.here.sent):
        packet = pair.here.sent[sequence]
        if sequence in pair.there.acks:
            yield from pair.on_source(Action.ACK, packet, pair.there.acks[sequence])
        elif sequence not in pair.there.received:
            yield from _unreceived(pair, packet)


def _ordered(pair: _Pair) -> Iterator[Step]:
    """In sequence and without a gap; one timeout closes the channel, later ones follow it."""
    due = pair.there.next_recv
    for sequence in sorted(pair.here.sent):
        packet = pair.here.sent[sequence]
        if sequence in pair.there.acks:
            yield from pair.on_source(Action.ACK, packet, pair.there.acks[sequence])
        elif sequence >= pair.there.next_recv:
            closed = pair.there.state is ChannelState.CLOSED
            if pair.expired(packet) or closed:
                yield from _unreceived(pair, packet)
            elif sequence == due:
                yield from _unreceived(pair, packet)
                due += 1


def _unreceived(pair: _Pair, packet: Packet) -> Iterator[Step]:
    if pair.expired(packet):
        yield from pair.on_source(Action.TIMEOUT, packet)
    elif pair.there.state is ChannelState.CLOSED:
        yield from pair.on_source(Action.TIMEOUT_ON_CLOSE, packet)
    elif pair.there.state is ChannelState.OPEN:
        yield from pair.on_destination(packet)


def _closing(pair: _Pair, steps: tuple[Step, ...]) -> Iterator[Step]:
    """The far end follows a closed one, once nothing is left to receive there."""
    waiting = any(step.action is Action.RECV for step in steps)
    closes = pair.here.state is ChannelState.CLOSED and pair.there.state is ChannelState.OPEN
    if closes and not waiting and pair.views[1 - pair.source].client_usable:
        yield Step(
            action=Action.CLOSE_CONFIRM,
            side=1 - pair.source,
            end=pair.there.end,
            peer=pair.here.end,
            ordered=pair.here.ordered,
        )
