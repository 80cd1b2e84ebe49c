"""Whether queries delay blocks: block intervals of a chain that is idle, and of the same chain under questions.

    python -m bench.query_load --validators 4 --clients 64 --seconds 60

All clients ask the first node in closed loop for proofs and balances (`bench.ask_load`). Intervals are differences of
block times in headers. Required: p95 under load at most 1.25 times the idle one of the same run, and no query error.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any as Json

from bench.child import Child, child
from bench.measure import NS, abci_times, cpu_s, machine, mean_ms, node_cpu_s, percentile, spent, summary
from bench.net import alone, note, running
from bsmg.client.rpc import Rpc
from bsmg.client.testnet_file import ChainInfo
from testnet.topology import load_topology

RATIO_MAX = 1.25
SETTLE_S = 5  # after the start, before anything is measured
LAUNCH = "bench.ask_load"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to measure."""

    validators: int = 4
    linked: bool = False  # the default topology instead: two linked chains and a relayer
    clients: int = 64
    processes: int = 2  # that the clients are spread over
    idle_s: int = 30
    seconds: int = 60


async def measure(options: Options) -> dict[str, Json]:
    """Idle phase, then load, on one chain."""
    async with AsyncExitStack() as stack:
        topology = load_topology(None) if options.linked else alone(options.validators)
        info = (await stack.enter_async_context(running(topology))).chains[0]
        rpc = await stack.enter_async_context(Rpc(info.nodes[-1].rpc))
        loads = [await stack.enter_async_context(child(LAUNCH)) for _ in range(options.processes)]
        for load in loads:
            await load.prepare(load_spec(info, options))
        await asyncio.sleep(SETTLE_S)
        note(f"idle for {options.idle_s} s")
        times = [await abci_times(info.nodes[0].metrics)]
        idle = await intervals(rpc, options.idle_s)
        times.append(await abci_times(info.nodes[0].metrics))
        note(f"{options.clients} clients for {options.seconds} s")
        before = cpu_of(info, loads)
        await asyncio.gather(*(load.go() for load in loads))
        loaded = await intervals(rpc, options.seconds)
        times.append(await abci_times(info.nodes[0].metrics))
        cpu, where = spent(before, cpu_of(info, loads)), machine()
        answers = await asyncio.gather(*(load.result() for load in loads))
    return {
        "validators": options.validators,
        **figures(idle, loaded),
        **asked(answers, options),
        "abci_ms": {"idle": mean_ms(*times[:2]), "loaded": mean_ms(*times[1:])},
        "cpu_s": cpu,
        "machine": where,
    }


def cpu_of(info: ChainInfo, loads: Sequence[Child]) -> dict[str, float]:
    """CPU seconds: of the first node and of the others by role, and of the load."""
    first = {f"{role} asked": value for role, value in node_cpu_s(info.nodes[:1]).items()}
    others = {f"{role} others": value for role, value in node_cpu_s(info.nodes[1:]).items()}
    return {**first, **others, "load": sum(cpu_s(load.pid) for load in loads)}


def load_spec(info: ChainInfo, options: Options) -> dict[str, Json]:
    """What each load process is told."""
    return {
        "rpc": info.nodes[0].rpc,
        "grpc": info.nodes[0].grpc,
        "chain_id": info.chain_id,
        "denom": info.denom,
        "addresses": [account.address for account in info.accounts],
        "clients": options.clients // options.processes,
        "seconds": options.seconds,
    }


async def intervals(rpc: Rpc, seconds: int) -> list[float]:
    """Block intervals in seconds of the blocks of the next while."""
    first = (await rpc.status()).height
    await asyncio.sleep(seconds)
    last = (await rpc.status()).height
    times = [(await rpc.header(height)).time.ToNanoseconds() for height in range(first, last + 1)]
    return [(after - before) / NS for before, after in pairwise(times)]


def figures(idle: Sequence[float], loaded: Sequence[float]) -> dict[str, Json]:
    """Block intervals, and how they compare."""
    return {
        "p95_ratio": round(percentile(loaded, 95) / percentile(idle, 95), 3),
        "ratio_max": RATIO_MAX,
        "idle_interval_s": summary(idle, 3),
        "loaded_interval_s": summary(loaded, 3),
    }


def asked(answers: Sequence[dict[str, Json]], options: Options) -> dict[str, Json]:
    """What the clients got."""
    counts, errors = Counter[str](), Counter[str]()
    for answer in answers:
        counts.update(answer["answered"])
        errors.update(answer["errors"])
    latencies = [value for answer in answers for value in answer["latency_ms"]]
    return {
        "answers": dict(counts),
        "answers_per_s": round(sum(counts.values()) / options.seconds, 1),
        "answer_ms": summary(latencies),
        "query_errors": sum(errors.values()),
        "errors": dict(errors.most_common(5)),
    }


def met(found: dict[str, Json]) -> bool:
    """Whether the requirement holds."""
    return bool(found["p95_ratio"] <= RATIO_MAX and not found["query_errors"])


def parse(arguments: Sequence[str] | None = None) -> tuple[Options, Path | None]:
    """Flags."""
    parser = argparse.ArgumentParser(prog="python -m bench.query_load", description=__doc__)
    for name, default in (("validators", 4), ("clients", 64), ("processes", 2), ("idle-s", 30), ("seconds", 60)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--linked", action="store_true", help="two linked chains of four validators and a relayer")
    parser.add_argument("--json", type=Path, help="write all figures into this file")
    values = vars(parser.parse_args(arguments))
    file = values.pop("json")
    return Options(**values), file


def main() -> int:
    """0 when the requirement is met."""
    options, file = parse()
    found = asyncio.run(measure(options))
    if file is not None:
        file.write_text(json.dumps(found, indent=1) + "\n")
    for key, value in found.items():
        sys.stdout.write(f"{key:20} {value}\n")
    return 0 if met(found) else 1


if __name__ == "__main__":
    sys.exit(main())
