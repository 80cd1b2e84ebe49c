"""How long a packet between a chain on CometBFT and one on Fabric takes until it is acknowledged, in block times.

    python -m bench.packet_latency [--kind fabric-embedded|fabric] [--validators 4] [--packets 60] [--json FILE]

A testnet of the two chains and one relayer. One transfer a time each way, the next when the sender has made two more
blocks, so that no packet waits for another. Counted is from the time of the block with send_packet to that of the block
with acknowledge_packet, both on the sender's chain.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any as Json

from bench import net
from bench.measure import machine, summary
from bsmg.demo.collect import ChainLog, packets
from bsmg.demo.scene import Scene, Way, open_scene
from testnet.topology import parse_topology

COMET, FABRIC = "mga-1", "mgf-1"
TOKENS, LONG_MS = 10**6, 600_000
BLOCKS_BETWEEN = 2
MOST_BLOCK_TIMES = 4.0
READ_EVERY_S = 0.5
PATIENCE_S = 120.0


def topology(kind: str, validators: int) -> str:
    """Two linked chains with few cells and no agents."""
    return f"""
[[chain]]
id = "{COMET}"
kind = "cometbft"
validators = {validators}
cells = 2
[[chain]]
id = "{FABRIC}"
kind = "{kind}"
cells = 2
[[link]]
a = "{COMET}"
b = "{FABRIC}"
channels = ["transfer"]
"""


async def send(scene: Scene, way: Way, count: int) -> None:
    """Transfers one after the other."""
    client = scene.chains[way.near.chain_id]
    for _ in range(count):
        outcome = await scene.send(way, TOKENS, await scene.time_ms(way.far.chain_id) + LONG_MS)
        await client.feed.wait_above(outcome.height + BLOCKS_BETWEEN - 1)


async def finished(scene: Scene, wanted: int) -> None:
    """Until every packet is acknowledged."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await scene.read()
            lives = packets(scene.logs, scene.channel_ends()).values()
            if sum(life.acknowledged_ms is not None for life in lives) >= wanted:
                return
            await asyncio.sleep(READ_EVERY_S)


def interval_ms(log: ChainLog) -> int:
    """Median time between blocks."""
    times = [log.times_ms[height] for height in sorted(log.times_ms)]
    return int(statistics.median(after - before for before, after in pairwise(times)))


def latencies_ms(logs: Mapping[str, ChainLog], ends: Mapping[tuple[str, str], str], source: str) -> Sequence[int]:
    """From send to acknowledgement, by the sender's block times."""
    lives = packets(dict(logs), dict(ends)).values()
    both = [(life.sent_ms, life.acknowledged_ms) for life in lives if life.source == source]
    return [acked - sent for sent, acked in both if sent is not None and acked is not None]


async def measure(kind: str, validators: int, count: int) -> dict[str, Json]:
    """Both directions, one after the other."""
    async with AsyncExitStack() as stack:
        file = await stack.enter_async_context(net.running(parse_topology(topology(kind, validators), "bench")))
        scene = await stack.enter_async_context(open_scene(Path(file.home) / "testnet.json"))
        for ended, way in enumerate(scene.ways(), 1):
            await send(scene, way, count)
            await finished(scene, ended * count)
        intervals = {chain_id: interval_ms(log) for chain_id, log in scene.logs.items()}
        slower_ms = max(intervals.values())
        found = {
            f"{way.near.chain_id} to {way.far.chain_id}": _figures(scene, way.near.chain_id, slower_ms)
            for way in scene.ways()
        }
    return {"kind": kind, "validators": validators, "interval_ms": intervals, "ways": found, "machine": machine()}


def _figures(scene: Scene, source: str, slower_ms: int) -> dict[str, Json]:
    found = summary(latencies_ms(scene.logs, scene.channel_ends(), source), 0)
    return {"latency_ms": found, "p50_block_times": round(found["p50"] / slower_ms, 2)}


def main() -> int:
    """Print the figures as JSON; 0 when CometBFT to Fabric is within its block times."""
    parser = argparse.ArgumentParser(prog="python -m bench.packet_latency", description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=("fabric-embedded", "fabric"), default="fabric-embedded")
    parser.add_argument("--validators", type=int, default=4)
    parser.add_argument("--packets", type=int, default=60)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = asyncio.run(measure(given.kind, given.validators, given.packets))
    text = json.dumps(found, indent=1)
    if given.json:
        given.json.write_text(text + "\n")
    sys.stdout.write(text + "\n")
    return 0 if found["ways"][f"{COMET} to {FABRIC}"]["p50_block_times"] <= MOST_BLOCK_TIMES else 1


if __name__ == "__main__":
    sys.exit(main())
