"""Reads what the chains recorded: every block's events, in order, through public RPC."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bsmg.client.chain import ChainClient
from bsmg.client.errors import RpcRefused
from bsmg.demo.day import PacketRow
from ibc_core.host import Event

PACKET_EVENTS = ("send_packet", "recv_packet", "acknowledge_packet", "timeout_packet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An event with the block that holds it; `attributes` keeps the last value of a repeated key."""

    kind: str
    height: int
    time_ms: int
    attributes: dict[str, str]


@dataclass(slots=True, kw_only=True)
class ChainLog:
    """Events of one chain up to `height`."""

    chain_id: str
    height: int = 0
    times_ms: dict[int, int] = field(default_factory=dict)
    events: list[Seen] = field(default_factory=list)

    def of(self, *kinds: str) -> Iterator[Seen]:
        """Events of some kinds, oldest first."""
        return (seen for seen in self.events if seen.kind in kinds)


async def follow(chain: ChainClient, log: ChainLog, to_height: int) -> None:
    """Read the blocks after `log.height` up to `to_height`, or up to the first whose results are not stored yet."""
    for height in range(log.height + 1, to_height + 1):
        try:
            record = await chain.feed.record(height)
        except RpcRefused:
            return
        results, time_ms = record.results, record.time_ns // 1_000_000
        log.times_ms[height] = time_ms
        for event in (*results.hook_events, *(e for tx in results.txs if tx.code == 0 for e in tx.events)):
            log.events.append(_seen(event, height, time_ms))
        log.height = height


def _seen(event: Event, height: int, time_ms: int) -> Seen:
    return Seen(kind=event.type, height=height, time_ms=time_ms, attributes=dict(event.attributes))


PacketKey = tuple[str, str, str, int]  # sending chain, its channel, port, sequence


@dataclass(slots=True, kw_only=True)
class PacketLife:
    """When the packet was seen at each of its stations, ms of block time; None: not yet."""

    source: str
    destination: str
    port: str
    sent_ms: int | None = None
    received_ms: int | None = None
    acknowledged_ms: int | None = None
    timed_out_ms: int | None = None


def packets(logs: dict[str, ChainLog], channel_ends: dict[tuple[str, str], str]) -> dict[PacketKey, PacketLife]:
    """Every packet's life. `channel_ends` maps (chain, channel) to the chain behind it."""
    lives: dict[PacketKey, PacketLife] = {}
    for chain_id, log in sorted(logs.items()):
        for seen in log.of(*PACKET_EVENTS):
            _note(lives, seen, _sender(seen, chain_id, channel_ends), channel_ends)
    return lives


def _sender(seen: Seen, chain_id: str, channel_ends: dict[tuple[str, str], str]) -> str:
    if seen.kind != "recv_packet":
        return chain_id
    return channel_ends[chain_id, seen.attributes["packet_dst_channel"]]


def _note(
    lives: dict[PacketKey, PacketLife], seen: Seen, source: str, channel_ends: dict[tuple[str, str], str]
) -> None:
    channel, port = seen.attributes["packet_src_channel"], seen.attributes["packet_src_port"]
    key = (source, channel, port, int(seen.attributes["packet_sequence"]))
    life = lives.setdefault(key, PacketLife(source=source, destination=channel_ends[source, channel], port=port))
    match seen.kind:
        case "send_packet":
            life.sent_ms = seen.time_ms
        case "recv_packet":
            life.received_ms = seen.time_ms
        case "acknowledge_packet":
            life.acknowledged_ms = seen.time_ms
        case _:
            life.timed_out_ms = seen.time_ms


def packet_rows(lives: dict[PacketKey, PacketLife]) -> tuple[PacketRow, ...]:
    """Counts and latencies by direction and port."""
    groups: dict[tuple[str, str, str], list[PacketLife]] = defaultdict(list)
    for life in lives.values():
        groups[life.source, life.destination, life.port].append(life)
    return tuple(_row(group, groups[group]) for group in sorted(groups))


def _row(group: tuple[str, str, str], lives: list[PacketLife]) -> PacketRow:
    def count(station: Callable[[PacketLife], int | None]) -> int:
        return sum(station(life) is not None for life in lives)

    return PacketRow(
        source=group[0],
        destination=group[1],
        port=group[2],
        sent=count(lambda life: life.sent_ms),
        received=count(lambda life: life.received_ms),
        acknowledged=count(lambda life: life.acknowledged_ms),
        timed_out=count(lambda life: life.timed_out_ms),
        latency_ms=tuple(
            sorted(
                life.acknowledged_ms - life.sent_ms
                for life in lives
                if life.acknowledged_ms is not None and life.sent_ms is not None
            )
        ),
    )
