"""Full queries: what is pending on a channel by the chains' own word, and the data of packets found that way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import channel, channel_query, pagination
from ibc_relayer.book import Flow, Snapshot
from ibc_relayer.chain import Chain
from ibc_relayer.events import Acked, Sent, facts
from ibc_relayer.plan import End
from ibc_relayer.v2 import queries as v2

CHANNEL = "/ibc.core.channel.v1.Query/"
PAGE_LIMIT = 1_000
PAGES_MAX = 1_000  # a million commitments on one channel
SEQUENCES_PER_QUERY = 500
SEARCH_SPAN = 100  # sequences in one search of the index
SEARCHES_AT_ONCE = 4
SEARCHES_IN_VAIN_MAX = 6


async def channel_end(chain: Chain, end: End, height: int | None = None) -> channel.Channel:
    """Channel end; raises QueryNotFound."""
    if end.v2:
        return await v2.channel_end(chain, end.channel)
    request = channel_query.QueryChannelRequest(port_id=end.port, channel_id=end.channel)
    answer = await chain.query(CHANNEL + "Channel", request, channel_query.QueryChannelResponse, height)
    return answer.channel


async def commitments(chain: Chain, end: End, height: int) -> list[int]:
    """Sequences of packets that this end has committed, ascending."""
    found: list[int] = []
    key = b""
    for _ in range(PAGES_MAX):
        page, key = await _commitments_page(chain, end, key, height)
        found += page
        if not key:
            return sorted(found)
    raise ToolError(f"commitments of {end} on {chain.chain_id}: expected at most {PAGES_MAX} pages, got more")


async def _commitments_page(chain: Chain, end: End, key: bytes, height: int) -> tuple[list[int], bytes]:
    if end.v2:
        return await v2.commitments(chain, end.channel, key, height)
    request = channel_query.QueryPacketCommitmentsRequest(
        port_id=end.port, channel_id=end.channel, pagination=pagination.PageRequest(key=key, limit=PAGE_LIMIT)
    )
    path = CHANNEL + "PacketCommitments"
    answer = await chain.query(path, request, channel_query.QueryPacketCommitmentsResponse, height)
    return [item.sequence for item in answer.commitments], answer.pagination.next_key


async def unreceived(chain: Chain, end: End, sequences: Sequence[int], height: int) -> frozenset[int]:
    """Which of the counterparty's sequences this end has not received."""
    found: list[int] = []
    for part in _parts(sequences):
        if end.v2:
            found += await v2.unreceived(chain, end.channel, part, height)
            continue
        request = channel_query.QueryUnreceivedPacketsRequest(
            port_id=end.port, channel_id=end.channel, packet_commitment_sequences=part
        )
        path = CHANNEL + "UnreceivedPackets"
        answer = await chain.query(path, request, channel_query.QueryUnreceivedPacketsResponse, height)
        found += answer.sequences
    return frozenset(found)


async def acknowledged(chain: Chain, end: End, sequences: Sequence[int], height: int) -> frozenset[int]:
    """Which of the counterparty's sequences this end has written an acknowledgement for."""
    found: list[int] = []
    for part in _parts(sequences):
        if end.v2:
            found += await v2.acknowledged(chain, end.channel, part, height)
            continue
        request = channel_query.QueryPacketAcknowledgementsRequest(
            port_id=end.port, channel_id=end.channel, packet_commitment_sequences=part
        )
        path = CHANNEL + "PacketAcknowledgements"
        answer = await chain.query(path, request, channel_query.QueryPacketAcknowledgementsResponse, height)
        found += [item.sequence for item in answer.acknowledgements]
    return frozenset(found) & frozenset(sequences)


async def next_receive(chain: Chain, end: End, height: int) -> int:
    """Next sequence that an ordered end receives."""
    request = channel_query.QueryNextSequenceReceiveRequest(port_id=end.port, channel_id=end.channel)
    path = CHANNEL + "NextSequenceReceive"
    answer = await chain.query(path, request, channel_query.QueryNextSequenceReceiveResponse, height)
    return answer.next_sequence_receive


async def snapshot(chains: tuple[Chain, Chain], flow: Flow, heights: tuple[int, int], *, ordered: bool) -> Snapshot:
    """What is pending from `chains[0]` to `chains[1]`, as of a height of each."""
    sent = await commitments(chains[0], flow.source, heights[0])
    missing = await unreceived(chains[1], flow.destination, sent, heights[1])
    received = [sequence for sequence in sent if sequence not in missing]
    acked = await acknowledged(chains[1], flow.destination, received, heights[1])
    due = await next_receive(chains[1], flow.destination, heights[1]) if ordered else 1
    return Snapshot(committed=frozenset(sent), received=frozenset(received), acked=acked, next_recv=due)


async def recover(chains: tuple[Chain, Chain], flow: Flow, limit: int) -> int:
    """Find the data of up to `limit` pending packets and acknowledgements; returns how many were found.

    An index lags behind its blocks, so that it is asked some turns in a row; then what it doesn't give is given up
    until the next full query.
    """
    gate = asyncio.Semaphore(SEARCHES_AT_ONCE)
    missing_packets = sorted(flow.missing_packets)[:limit]
    missing_acks = sorted(flow.missing_acks)[:limit]

    async def packets(span: tuple[int, int]) -> int:
        async with gate:
            return _take_packets(flow, await _search(chains[0], "send_packet", flow.source, span))

    async def acks(span: tuple[int, int]) -> int:
        async with gate:
            return _take_acks(flow, await _search(chains[1], "write_acknowledgement", flow.destination, span))

    jobs = [*(packets(span) for span in spans(missing_packets)), *(acks(span) for span in spans(missing_acks))]
    found = sum(await asyncio.gather(*jobs))
    flow.searches += 0 if found else 1
    if flow.searches >= SEARCHES_IN_VAIN_MAX:
        flow.searches = 0
        flow.missing_packets.difference_update(missing_packets)
        flow.missing_acks.difference_update(missing_acks)
    return found


async def _search(chain: Chain, kind: str, end: End, span: tuple[int, int]) -> list[Sent | Acked]:
    found = await chain.search(kind, end, span)
    return [fact for fact in facts(found) if isinstance(fact, Sent | Acked)]


def _take_packets(flow: Flow, found: Iterable[Sent | Acked]) -> int:
    count = 0
    for fact in found:
        if isinstance(fact, Sent) and fact.packet.sequence in flow.missing_packets:
            flow.sent_one(fact.packet)
            count += 1
    return count


def _take_acks(flow: Flow, found: Iterable[Sent | Acked]) -> int:
    count = 0
    for fact in found:
        if isinstance(fact, Acked) and fact.packet.sequence in flow.missing_acks:
            flow.acked_one(fact.packet.sequence, fact.ack)
            count += 1
    return count


def spans(sequences: Sequence[int]) -> list[tuple[int, int]]:
    """Ranges of at most SEARCH_SPAN sequences that cover an ascending list."""
    made: list[tuple[int, int]] = []
    for sequence in sequences:
        if made and sequence - made[-1][0] < SEARCH_SPAN:
            made[-1] = (made[-1][0], sequence)
        else:
            made.append((sequence, sequence))
    return made


def _parts(sequences: Sequence[int]) -> Iterator[Sequence[int]]:
    for at in range(0, len(sequences), SEQUENCES_PER_QUERY):
        yield sequences[at : at + SEQUENCES_PER_QUERY]
