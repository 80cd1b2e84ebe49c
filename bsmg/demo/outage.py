"""An outage on purpose: the relayer is killed, a transfer times out, the relayer comes back and has it refunded."""

from __future__ import annotations

import asyncio

from bsmg.demo.collect import ChainLog
from bsmg.demo.day import Outage
from bsmg.demo.scene import TRANSFER_PORT, Scene
from processes import control
from testnet import lifecycle
from testnet.files import Home

RELAYER = "relayer-0"
TIMEOUT_MS = 10_000  # block time of the receiving chain
MARGIN_MS = 3_000  # past the timeout, before the relayer comes back
AMOUNT = 7 * 10**10  # seven tokens


async def suffer(scene: Scene, home: Home) -> Outage:
    """Kill the relayer, let a transfer on every link time out, start the relayer again; doesn't wait for refunds."""
    ways = [scene.way(link.a.chain_id, link.b.chain_id) for link in scene.net.links]
    from_ms = await scene.time_ms(ways[0].far.chain_id)
    await asyncio.to_thread(control.kill, home, RELAYER)
    times_ms = [await scene.time_ms(way.far.chain_id) + TIMEOUT_MS for way in ways]
    await asyncio.gather(*(scene.send(way, AMOUNT, at) for way, at in zip(ways, times_ms, strict=True)))
    for way, at in zip(ways, times_ms, strict=True):
        await scene.until(way.far.chain_id, at + MARGIN_MS)
    await asyncio.to_thread(lifecycle.restart, home, RELAYER)
    to_ms = await scene.time_ms(ways[0].far.chain_id)
    return Outage(from_ms=from_ms, to_ms=to_ms, transfers_sent=len(ways), timeouts_refunded=0, refunded=0)


def with_refunds(scene: Scene, outage: Outage | None) -> Outage | None:
    """The same, with the refunds that the sending chains have recorded since."""
    if outage is None:
        return None
    senders = dict.fromkeys(link.a.chain_id for link in scene.net.links)
    refunds = [amount for sender in senders for amount in _refunds(scene.logs[sender], outage.from_ms)]
    return Outage(
        from_ms=outage.from_ms,
        to_ms=outage.to_ms,
        transfers_sent=outage.transfers_sent,
        timeouts_refunded=len(refunds),
        refunded=sum(refunds),
    )


def _refunds(log: ChainLog, from_ms: int) -> list[int]:
    heights = {
        seen.height
        for seen in log.of("timeout_packet")
        if seen.attributes["packet_src_port"] == TRANSFER_PORT and seen.time_ms >= from_ms
    }
    return [int(seen.attributes["refund_amount"]) for seen in log.of("timeout") if seen.height in heights]
