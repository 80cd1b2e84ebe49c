"""The load process of `bench.throughput`: accounts that each send one transfer after another by broadcast_tx_sync.

Every transaction is signed before the start, so that signing costs the machine nothing while it is measured. A sender
waits for CheckTx's answer before its next transfer, keeps to its share of the rate, and pauses while the mempool
holds more than the bound.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any as Json

import uvloop

from bench.child import READY, stdin_lines, tell, tell_result
from bsmg.client.errors import NodeError, RpcRefused
from bsmg.client.keys import Key, key_from_name
from bsmg.client.rpc import Rpc
from cosmos_wire import tx as wire
from cosmos_wire.address import to_bech32
from cosmos_wire.protos import bank_tx, coin
from ibc_core.bank import module_address

GAS = 200_000
POLL_S = 0.1
FULL_WAIT_S = 0.2
ERROR_CHARACTERS = 120


def sender_key(number: int) -> Key:
    """The key of a sender."""
    return key_from_name(f"bench sender {number}")


def recipient(number: int) -> str:
    """The account that a sender pays."""
    return to_bech32(module_address(f"bench recipient {number}"))


@dataclass(slots=True, kw_only=True)
class Load:
    """What is shared by the senders."""

    rpc: Rpc
    mempool_max: int
    interval_s: float  # between two transfers of one sender
    until: float = 0.0
    waiting: int = 0  # transactions in the mempool, as last seen
    accepted: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    mempool: list[int] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)


def signed_transfers(number: int, spec: dict[str, Json]) -> list[bytes]:
    """All transfers of one sender, sequence after sequence."""
    key = sender_key(number)
    amount = [coin.Coin(denom=spec["denom"], amount="1")]
    message = bank_tx.MsgSend(from_address=key.address(), to_address=recipient(number), amount=amount)
    body = wire.body_of([message])
    signer = wire.SignerData(chain_id=spec["chain_id"], account_number=spec["accounts"][number], sign=key.sign)
    return [
        wire.signed(body, wire.auth_info_of(key.public, sequence, gas=GAS), signer)
        for sequence in range(spec["transfers"])
    ]


async def send_all(load: Load, transfers: list[bytes], first_due: float) -> int:
    """Send until the time is over; returns how many were accepted."""
    loop, due = asyncio.get_running_loop(), first_due
    for number, raw in enumerate(transfers):
        await asyncio.sleep(max(0.0, due - loop.time()))
        while load.waiting > load.mempool_max:  # noqa: ASYNC110  (it is polled from the node)
            await asyncio.sleep(POLL_S)
        if loop.time() >= load.until or not await accepted(load, raw):
            return number
        due = max(due + load.interval_s, loop.time() - 1)  # what was missed for longer than a second is not caught up
    load.errors["ran out of signed transfers"] += 1
    return len(transfers)


async def accepted(load: Load, raw: bytes) -> bool:
    """Broadcast one; a full mempool is waited for, anything else ends the sender."""
    loop = asyncio.get_running_loop()
    while True:
        begun = loop.time()
        try:
            answer = await load.rpc.broadcast_tx_sync(raw)
        except RpcRefused as error:
            if "mempool is full" not in error.detail:
                load.errors[error.detail[:ERROR_CHARACTERS]] += 1
                return False
            await asyncio.sleep(FULL_WAIT_S)
            continue
        except NodeError as error:
            load.errors[str(error)[:ERROR_CHARACTERS]] += 1
            return False
        load.latency_ms.append((loop.time() - begun) * 1000)
        if answer.code:
            load.errors[f"{answer.codespace}/{answer.code} {answer.log[:ERROR_CHARACTERS]}"] += 1
            return False
        return True


async def watch_mempool(load: Load) -> None:
    """Keep the number of waiting transactions fresh."""
    async with Rpc(load.rpc.url) as rpc:
        while True:
            load.waiting = int((await rpc.call("num_unconfirmed_txs"))["n_txs"])
            load.mempool.append(load.waiting)
            await asyncio.sleep(POLL_S)


async def run() -> None:
    """As `bench.child` describes it."""
    lines = await stdin_lines()
    spec = dict(json.loads(await lines.readline()))
    senders = len(spec["accounts"])
    signed = [signed_transfers(number, spec) for number in range(senders)]
    async with Rpc(spec["rpc"]) as rpc:
        load = Load(rpc=rpc, mempool_max=spec["mempool_max"], interval_s=senders / spec["rate"])
        tell(READY)
        await lines.readline()
        start = asyncio.get_running_loop().time()
        load.until = start + spec["seconds"]
        watch = asyncio.create_task(watch_mempool(load))
        dues = [start + load.interval_s * number / senders for number in range(senders)]
        sent = await asyncio.gather(*(send_all(load, *pair) for pair in zip(signed, dues, strict=True)))
        watch.cancel()
    tell_result(result(load, list(sent)))


def result(load: Load, sent: list[int]) -> dict[str, Json]:
    """What the parent gets."""
    return {"sent": sent, "errors": dict(load.errors), "mempool": load.mempool, "broadcast_ms": load.latency_ms}


if __name__ == "__main__":
    uvloop.run(run())
