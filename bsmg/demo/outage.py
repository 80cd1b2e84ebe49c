"""An outage on purpose: the relayer is killed, a transfer times out, the relayer comes back and has it refunded."""

from __future__ import annotations

import asyncio

from bsmg.demo.day import Outage
from bsmg.demo.scene import TRANSFER_PORT, Scene
from cosmos_wire.errors import ToolError
from processes import control
from testnet import lifecycle
from testnet.files import Home

RELAYER = "relayer-0"
TIMEOUT_MS = 10_000  # block time of the receiving chain
MARGIN_MS = 3_000  # past the timeout, before the relayer comes back
AMOUNT = 7 * 10**10  # seven tokens


async def suffer(scene: Scene, home: Home) -> Outage:
    """Kill the relayer, let a transfer time out, start the relayer again; returns without waiting for the refund."""
    source, far = scene.link.a.chain_id, scene.link.b.chain_id
    from_ms = await scene.time_ms(far)
    await asyncio.to_thread(control.kill, home, RELAYER)
    timeout_ms = await scene.time_ms(far) + TIMEOUT_MS
    outcome = await scene.send(source, (scene.net.chain(source).denom, AMOUNT), timeout_ms)
    if not outcome.ok:
        raise ToolError(f"transfer during the outage: expected code 0, got {outcome.code}: {outcome.log}")
    await scene.until(far, timeout_ms + MARGIN_MS)
    await asyncio.to_thread(lifecycle.restart, home, RELAYER)
    to_ms = await scene.time_ms(far)
    return Outage(from_ms=from_ms, to_ms=to_ms, transfers_sent=1, timeouts_refunded=0, refunded=0)


def with_refunds(scene: Scene, outage: Outage) -> Outage:
    """The same, with the refunds that the sending chain has recorded since."""
    log = scene.logs[scene.link.a.chain_id]
    heights = {
        seen.height
        for seen in log.of("timeout_packet")
        if seen.attributes["packet_src_port"] == TRANSFER_PORT and seen.time_ms >= outage.from_ms
    }
    refunds = [int(seen.attributes["refund_amount"]) for seen in log.of("timeout") if seen.height in heights]
    return Outage(
        from_ms=outage.from_ms,
        to_ms=outage.to_ms,
        transfers_sent=outage.transfers_sent,
        timeouts_refunded=len(refunds),
        refunded=sum(refunds),
    )
