"""The relayers are killed in mid-flight: timeouts are refunded, the rest arrives, nothing twice."""

from __future__ import annotations

import asyncio
import random

import pytest

from ibc_relayer.plan import Packet
from tests.e2e import carrying
from tests.e2e.net import (
    RELAYERS,
    TRANSFER,
    Net,
    Side,
    conserved,
    opened,
    quiet,
    transfer,
    until,
    until_time,
    voucher,
)

pytestmark = pytest.mark.e2e
SHORT_MS = 6_000  # block time of the target from the send to the timeout
SEED, KILLS, BURST = 5, 3, 10
LOST, LATE, HALFWAY, BACK = 1_000, 200, 30, 4  # amounts: any sum tells which of them moved


async def times(side: Side, kind: str, packet: Packet) -> int:
    """How often successful transactions say this of a packet."""
    where = {"packet_src_port": TRANSFER, "packet_src_channel": packet.source.channel}
    return len(await side.events(kind, **where, packet_sequence=packet.sequence))


async def test_killed_relayers_find_what_is_pending(net: Net) -> None:
    async with opened(net) as (a, b):
        await quiet(a, b)
        ours, theirs = voucher(b, a.denom), voucher(a, b.denom)
        start = (await a.balance(a.faucet.address), await b.balance(b.faucet.address, ours))
        back_start = await a.balance(a.faucet.address, theirs)
        async with net.without_relayers():
            soon = await b.time_ms() + SHORT_MS
            lost = carrying.packet_of(await transfer(a, b, (a.denom, LOST), timeout_ms=soon))
            late = carrying.packet_of(await transfer(a, b, (a.denom, LATE)))
            halfway = carrying.packet_of(await transfer(a, b, (a.denom, HALFWAY)))
            back = carrying.packet_of(await transfer(b, a, (b.denom, BACK)))
            assert (await carrying.receive(halfway, b, a)).ok
            await until_time(b, soon + 1)
            assert await a.pending() == sorted(one.sequence for one in (lost, late, halfway))
        await quiet(a, b)
        assert await a.balance(a.faucet.address) == start[0] - LATE - HALFWAY
        assert await b.balance(b.faucet.address, ours) == start[1] + LATE + HALFWAY
        assert await a.balance(a.faucet.address, theirs) == back_start + BACK
        assert await conserved(a, b)
        assert await conserved(b, a)

        async def indexed() -> bool:
            return await times(a, "timeout_packet", lost) + await times(b, "acknowledge_packet", back) == 2

        await until(a.client, indexed, "the index")
        assert await times(b, "recv_packet", lost) == 0
        for packet in (late, halfway):
            assert await times(b, "recv_packet", packet) == await times(a, "acknowledge_packet", packet) == 1
            assert await times(a, "timeout_packet", packet) == 0
        (refund,) = [
            event
            for event in await a.events("timeout", refund_receiver=a.faucet.address, refund_amount=LOST)
            if dict(event.attributes)["refund_denom"] == a.denom
        ]
        assert refund


async def test_relayers_killed_at_random_moments_lose_and_repeat_nothing(net: Net) -> None:
    """Bursts both ways; each relayer dies anywhere between a header and an acknowledgement and comes back at once."""
    rng = random.Random(SEED)
    async with opened(net) as (a, b):
        await quiet(a, b)
        ours, theirs = voucher(b, a.denom), voucher(a, b.denom)
        start = await b.balance(b.faucet.address, ours), await a.balance(a.faucet.address, theirs)
        sent = []
        for _ in range(KILLS):
            ways = [transfer(a, b, (a.denom, 1)) for _ in range(BURST)] + [
                transfer(b, a, (b.denom, 1)) for _ in range(BURST)
            ]
            sent += await asyncio.gather(*ways)
            for name in RELAYERS:
                await asyncio.sleep(rng.random() * 2)  # anywhere in the work
                await net.kill(name)
                await net.restart(name)
        assert all(one.ok for one in sent), [one.log for one in sent if not one.ok][:3]
        await quiet(a, b)
        assert await b.balance(b.faucet.address, ours) == start[0] + KILLS * BURST
        assert await a.balance(a.faucet.address, theirs) == start[1] + KILLS * BURST
        assert await conserved(a, b)
        assert await conserved(b, a)
