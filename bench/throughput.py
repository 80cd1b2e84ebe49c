"""Committed transfers a second of one validator with default configuration.

    python -m bench.throughput --seconds 60 --senders 32 --rate 600

The window lies between two blocks: what counts is code 0 in the results of the blocks after the first one, up to and
with the last one; its length is the difference of their commit times (a block's commit time is the time in the
header above it). Balances are added up before and after; gRPC is asked for a balance ten times a second all the while.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any as Json

from bench.child import Child, child
from bench.measure import NS, cpu_s, machine, node_cpu_s, percentile, spent, summary
from bench.net import alone, note, running
from bench.send_load import GAS, recipient, sender_key
from bsmg.client.comet import CometClient
from bsmg.client.errors import NodeError, QueryRefused
from bsmg.client.keys import key_from_mnemonic
from bsmg.client.lane import FeePolicy
from bsmg.client.testnet_file import ChainInfo
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import auth, auth_query, bank_query, bank_tx, coin

REQUIRED_A_SECOND = 300
STAKE = 10**9  # what each sender gets
WARM_UP_S = 5
GRPC_EVERY_S = 0.1
POLL_S = 0.2
DRAIN_BLOCKS_MAX = 60
LAUNCH = "bench.send_load"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to measure."""

    seconds: int = 60
    senders: int = 32
    rate: int = 600  # transfers offered a second
    mempool_max: int = 2_000  # senders pause above this


@dataclass(slots=True)
class Answers:
    """What gRPC said meanwhile."""

    latency_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Blocks of the window: commit times in ns (one more, the block before), transactions and code-0 ones."""

    first: int
    times_ns: list[int]
    committed: list[int]
    refused: int

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return (self.times_ns[-1] - self.times_ns[0]) / NS


async def measure(options: Options) -> dict[str, Json]:
    """Bring a chain up, load it, count."""
    async with AsyncExitStack() as stack:
        info = (await stack.enter_async_context(running(alone(1)))).chains[0]
        chain = await stack.enter_async_context(CometClient.of(info))
        load = await stack.enter_async_context(child(LAUNCH))
        numbers = await fund(chain, info, options.senders)
        supply = await supply_of(chain, info.denom)
        await load.prepare(load_spec(info, numbers, options))
        found = await loaded(chain, info, load, options)
        result = found.pop("load")
        last = await drained(chain)
        checked = await reconciled(chain, info, result["sent"], (found.pop("start"), last))
        checked["supply_unchanged"] = await supply_of(chain, info.denom) == supply
    broadcast = summary(result["broadcast_ms"])
    mempool = {"least": min(result["mempool"], default=0), **summary(result["mempool"], 0)}
    return {**found, **checked, "broadcast_ms": broadcast, "mempool": mempool, "errors": result["errors"]}


def load_spec(info: ChainInfo, numbers: Sequence[int], options: Options) -> dict[str, Json]:
    """What the load process is told."""
    seconds = options.seconds + WARM_UP_S
    return {
        "rpc": info.nodes[0].rpc,
        "chain_id": info.chain_id,
        "denom": info.denom,
        "accounts": list(numbers),
        "transfers": options.rate * seconds // options.senders + options.rate,
        "rate": options.rate,
        "seconds": seconds,
        "mempool_max": options.mempool_max,
    }


async def fund(chain: CometClient, info: ChainInfo, senders: int) -> list[int]:
    """Give every sender coins from the faucet, one transaction; returns their account numbers."""
    faucet = key_from_mnemonic(info.account("faucet").mnemonic)
    lane = chain.lane(faucet, FeePolicy(fixed_gas=senders * GAS))
    amount = [coin.Coin(denom=info.denom, amount=str(STAKE))]
    source = faucet.address(chain.prefix)
    addresses = [sender_key(number).address(chain.prefix) for number in range(senders)]
    outcome = await lane.submit([bank_tx.MsgSend(from_address=source, to_address=a, amount=amount) for a in addresses])
    if not outcome.ok:
        raise ToolError(f"faucet: expected {senders} transfers to succeed, got {outcome.log}")
    return [(await account(chain, address)).account_number for address in addresses]


async def account(chain: CometClient, address: str) -> auth.BaseAccount:
    """Number and sequence."""
    path = "/cosmos.auth.v1beta1.Query/Account"
    answer = await chain.query(path, auth_query.QueryAccountRequest(address=address), auth_query.QueryAccountResponse)
    return auth.BaseAccount.FromString(answer.account.value)


async def supply_of(chain: CometClient, denom: str) -> int:
    """All there is."""
    path = "/cosmos.bank.v1beta1.Query/SupplyOf"
    request = bank_query.QuerySupplyOfRequest(denom=denom)
    return int((await chain.query(path, request, bank_query.QuerySupplyOfResponse)).amount.amount)


async def loaded(chain: CometClient, info: ChainInfo, load: Child, options: Options) -> dict[str, Json]:
    """Run the load; figures of the window."""
    start = (await chain.rpc.status()).height
    answers = Answers()
    asking = asyncio.create_task(ask_by_grpc(chain, info, answers))
    await load.go()
    await asyncio.sleep(WARM_UP_S)
    note(f"measuring for {options.seconds} s")
    first, before = (await chain.rpc.status()).height, {**node_cpu_s(info.nodes), "load": cpu_s(load.pid)}
    await asyncio.sleep(options.seconds)
    last, after = (await chain.rpc.status()).height, {**node_cpu_s(info.nodes), "load": cpu_s(load.pid)}
    where = machine()
    asking.cancel()
    result = await load.result()
    series = await window(chain, first, last)
    return {**figures(series, spent(before, after), answers), "machine": where, "load": result, "start": start}


async def ask_by_grpc(chain: CometClient, info: ChainInfo, answers: Answers) -> None:
    """A balance every 100 ms, whatever the answer takes."""
    loop, address = asyncio.get_running_loop(), recipient(0)
    while True:
        begun = loop.time()
        try:
            await chain.balance(address, info.denom)
        except (NodeError, QueryRefused) as error:
            answers.errors.append(str(error)[:200])
        answers.latency_ms.append((loop.time() - begun) * 1000)
        await asyncio.sleep(max(0.0, begun + GRPC_EVERY_S - loop.time()))


async def window(chain: CometClient, first: int, last: int) -> Series:
    """Blocks first + 1 .. last: what they committed and when."""
    await chain.feed.wait_above(last)
    times = [(await chain.rpc.header(height + 1)).time.ToNanoseconds() for height in range(first, last + 1)]
    codes = [[tx.code for tx in (await chain.rpc.block_results(h)).txs] for h in range(first + 1, last + 1)]
    return Series(
        first=first + 1,
        times_ns=times,
        committed=[block.count(0) for block in codes],
        refused=sum(len(block) - block.count(0) for block in codes),
    )


def figures(series: Series, cpu: dict[str, float], answers: Answers) -> dict[str, Json]:
    """What is reported of the window."""
    gaps = [(after - before) / NS for before, after in pairwise(series.times_ns)]
    total = sum(series.committed)
    return {
        "committed_per_s": round(total / series.seconds, 1),
        "required_per_s": REQUIRED_A_SECOND,
        "committed": total,
        "refused_in_blocks": series.refused,
        "seconds": round(series.seconds, 2),
        "block_interval_s": {"p50": round(percentile(gaps, 50), 3), "p95": round(percentile(gaps, 95), 3)},
        "blocks": series.committed,
        "cpu_s": cpu,
        "grpc_ms": summary(answers.latency_ms),
        "grpc_errors": answers.errors[:10],
    }


async def drained(chain: CometClient) -> int:
    """Wait until the mempool is empty; returns the height of the last block that matters."""
    for _ in range(DRAIN_BLOCKS_MAX):
        height = (await chain.rpc.status()).height
        if not int((await chain.rpc.call("num_unconfirmed_txs"))["n_txs"]):
            await chain.feed.wait_above(height + 1)
            return height + 1
        await chain.feed.wait_above(height)
    raise ToolError(f"mempool: expected it empty after {DRAIN_BLOCKS_MAX} blocks, got transactions in it")


async def reconciled(
    chain: CometClient, info: ChainInfo, sent: Sequence[int], heights: tuple[int, int]
) -> dict[str, Json]:
    """Every accepted transfer is in a block once, and the balances say the same; raises ToolError otherwise."""
    first, last = heights
    blocks = [await chain.rpc.block_results(height) for height in range(first, last + 1)]
    committed = sum(tx.code == 0 for block in blocks for tx in block.txs)
    paid = [await chain.balance(recipient(number), info.denom) for number in range(len(sent))]
    kept = [await chain.balance(sender_key(n).address(chain.prefix), info.denom) for n in range(len(sent))]
    expected = ([*sent], [STAKE - count for count in sent], sum(sent))
    if (paid, kept, committed) != expected:
        raise ToolError(f"balances: expected {expected}, got {(paid, kept, committed)}")
    return {"accepted": sum(sent), "committed_in_all": committed, "balances_agree": True}


def say(found: dict[str, Json]) -> None:
    """The figures, one line each."""
    hidden = {"blocks", "machine"}
    rows = {**{key: value for key, value in found.items() if key not in hidden}, **found["machine"]}
    for key, value in rows.items():
        sys.stdout.write(f"{key:20} {value}\n")
    sys.stdout.write(f"{'per block':20} {' '.join(map(str, found['blocks']))}\n")


def parse(arguments: Sequence[str] | None = None) -> tuple[Options, Path | None]:
    """Flags."""
    parser = argparse.ArgumentParser(prog="python -m bench.throughput", description=__doc__)
    for name, default in (("seconds", 60), ("senders", 32), ("rate", 600), ("mempool-max", 2_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", type=Path, help="write all figures into this file")
    flags = parser.parse_args(arguments)
    options = Options(seconds=flags.seconds, senders=flags.senders, rate=flags.rate, mempool_max=flags.mempool_max)
    return options, flags.json


def main() -> int:
    """0 when the requirement is met."""
    options, file = parse()
    found = asyncio.run(measure(options))
    if file is not None:
        file.write_text(json.dumps(found, indent=1) + "\n")
    say(found)
    return 0 if found["committed_per_s"] >= REQUIRED_A_SECOND else 1


if __name__ == "__main__":
    sys.exit(main())
