"""A load process of `bench.query_load`: clients that ask one question after another, each as soon as it has its answer.

A third of the questions each: proof of a key that is there, proof of one that is absent (both by `abci_query`), and a
balance by gRPC.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any as Json

import uvloop

from bench.child import READY, stdin_lines, tell, tell_result
from bsmg.client.comet import CometClient, Endpoints
from bsmg.client.errors import NodeError, QueryRefused
from ibc_core import paths

KINDS = ("existence", "absence", "balance")
PROOF_OPERATIONS = 2  # of the store's tree, and of the simple tree above
PRESENT = (paths.NEXT_CLIENT_SEQUENCE, paths.NEXT_CONNECTION_SEQUENCE, paths.NEXT_CHANNEL_SEQUENCE)  # since genesis
ERROR_CHARACTERS = 160
LATENCIES_KEPT = 200_000


@dataclass(slots=True, kw_only=True)
class Load:
    """What is shared by the clients of a process."""

    chain: CometClient
    denom: str
    addresses: list[str]
    stop: bool = False
    answered: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    latency_ms: list[float] = field(default_factory=list)


async def ask_on(load: Load, client: int) -> None:
    """One client, until told to stop."""
    loop, turn = asyncio.get_running_loop(), client
    while not load.stop:
        kind, begun = KINDS[turn % len(KINDS)], loop.time()
        try:
            fault = await ask(load, kind, turn)
        except (NodeError, QueryRefused) as error:
            fault = str(error)
        if fault:
            load.errors[f"{kind}: {fault[:ERROR_CHARACTERS]}"] += 1
        load.answered[kind] += not fault
        if len(load.latency_ms) < LATENCIES_KEPT:
            load.latency_ms.append((loop.time() - begun) * 1000)
        turn += 1


async def ask(load: Load, kind: str, turn: int) -> str:
    """One question; what is wrong with the answer, empty when nothing is."""
    address = load.addresses[turn % len(load.addresses)]
    if kind == "balance":
        return "" if await load.chain.balance(address, load.denom) else f"expected a balance of {address}, got 0"
    absent = kind == "absence"
    key = paths.commitment("transfer", "channel-0", turn + 1) if absent else PRESENT[turn % 3]
    answer = await load.chain.rpc.abci_query("store/ibc/key", key, prove=True)
    if answer.code or len(answer.proof_ops.ops) != PROOF_OPERATIONS or bool(answer.value) == absent:
        return f"expected a proof of {kind}, got code {answer.code}, {answer.log or 'no log'}"
    return ""


async def run() -> None:
    """As `bench.child` describes it."""
    lines = await stdin_lines()
    spec: dict[str, Json] = json.loads(await lines.readline())
    chain = CometClient(spec["chain_id"], Endpoints(rpc=spec["rpc"], grpc=spec["grpc"]))
    load = Load(chain=chain, denom=spec["denom"], addresses=spec["addresses"])
    tell(READY)
    await lines.readline()
    asking = [asyncio.create_task(ask_on(load, client)) for client in range(spec["clients"])]
    await asyncio.sleep(spec["seconds"])
    load.stop = True
    await asyncio.gather(*asking)
    await chain.close()
    tell_result({"answered": dict(load.answered), "errors": dict(load.errors), "latency_ms": load.latency_ms})


if __name__ == "__main__":
    uvloop.run(run())
