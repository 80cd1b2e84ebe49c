"""How many transactions a second a Fabric network or an embedded ledger takes, 200 at a time: a bare put, or others.

    python -m bench.fabric_rate [--seconds 20] [--concurrent 200] [--home DIR | --embedded] [--json FILE]

A caller sends its next transaction when the last one is in a block and valid (endorsed by both organisations, ordered,
committed). Its first proposals were made and signed beforehand, so that more of the machine is the network's. Half of
the callers use each organisation's gateway. Counted are those that end between the warm-up and the end. Afterwards
every key has to be there with its value on both peers; else there is no figure.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any as Json
from typing import NamedTuple

import uvloop

from bench.measure import cpu_s, machine, spent, summary
from bench.net import note
from cosmos_wire.errors import ToolError
from fabric_adapter.errors import EndorseError
from fabric_adapter.gateway import Gateway, text_args
from fabric_adapter.network import lifecycle
from fabric_adapter.network.document import connect
from fabric_adapter.network.plan import EMBEDDED, REAL, Home, Wish
from fabric_adapter.proposal import Call, Proposed, propose
from fabric_adapter.proposal import Options as CallOptions
from processes.files import read_json

MakeArgs = Callable[[int, int], Sequence[bytes]]  # number of the transaction, number of the caller
SECONDS, CONCURRENT = 20.0, 200
WARM_UP_S = 3.0
AHEAD = 80  # proposals of each caller that are made beforehand
VALUE = "v" * 100
PREFIX = "rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is offered: `home` None brings a network up and takes it away again."""

    seconds: float = SECONDS
    concurrent: int = CONCURRENT
    members: int = 0  # who call, each with a certificate of its own; 0: one a caller
    home: Path | None = None
    kind: str = REAL


@dataclass(slots=True)
class Tally:
    """What was sent, since when, and what ended."""

    begun_s: float
    sent: int = 0
    ended_s: list[tuple[float, float]] = field(default_factory=list)  # (end, duration)


class Ready(NamedTuple):
    """A proposal and what it asks."""

    args: Sequence[bytes]
    made: Proposed


def bare_put(run: str) -> MakeArgs:
    """One key of its own, 100 bytes: nothing is read, nothing conflicts."""
    return lambda number, _: text_args("put", f"{PREFIX}/{run}/{number:08}", VALUE)


class Callers:
    """So many at a time, each on its client; `prepare` makes their first proposals."""

    def __init__(self, clients: Sequence[Gateway], chaincode: str, make: MakeArgs, concurrent: int) -> None:
        self._clients, self._chaincode, self._make = clients, chaincode, make
        self._numbers = count()
        self._prepared: list[list[Ready]] = [[] for _ in range(concurrent)]

    def prepare(self, ahead: int = AHEAD) -> None:
        """So many proposals of each caller."""
        for _ in range(ahead):
            for caller, prepared in enumerate(self._prepared):
                prepared.append(self._proposal(caller))
        for prepared in self._prepared:
            prepared.reverse()  # taken from the end

    async def send(self, caller: int) -> None:
        """A caller's next transaction until it is in a block; endorsed anew when the moment was wrong, as usual."""
        client, prepared = self._client(caller), self._prepared[caller]
        ready = prepared.pop() if prepared else self._proposal(caller)
        try:
            endorsed = await client.endorse_proposal(ready.made)
        except EndorseError as error:
            if not error.is_passing:
                raise
            endorsed = await client.endorse(self._chaincode, ready.args)
        await client.settle(endorsed)

    def _client(self, caller: int) -> Gateway:
        return self._clients[caller % len(self._clients)]

    def _proposal(self, caller: int) -> Ready:
        client, args = self._client(caller), self._make(next(self._numbers), caller)
        return Ready(args, propose(client.identity, Call(channel=client.channel, chaincode=self._chaincode, args=args)))


async def closed_loop(callers: Callers, options: Options) -> Tally:
    """Keep `concurrent` transactions under way for the warm-up and the measured time."""
    tally = Tally(begun_s=time.monotonic())
    until = tally.begun_s + WARM_UP_S + options.seconds

    async def call(caller: int) -> None:
        while time.monotonic() < until:
            begun = time.monotonic()
            tally.sent += 1
            await callers.send(caller)
            tally.ended_s.append((time.monotonic(), time.monotonic() - begun))

    await asyncio.gather(*map(call, range(options.concurrent)))
    return tally


def figures(tally: Tally, options: Options) -> dict[str, Json]:
    """Rate and waiting times of the measured window."""
    first = tally.begun_s + WARM_UP_S
    last = first + options.seconds
    inside = [duration for end, duration in tally.ended_s if first <= end < last]
    return {
        "committed_per_s": round(len(inside) / options.seconds, 1),
        "seconds_to_commit": summary(inside, 3),
        "sent": tally.sent,
    }


async def check(clients: Sequence[Gateway], doc: dict[str, Json], run: str, sent: int) -> None:
    """Every key is there, on every peer; raises ToolError with how many there are."""
    last = [await client.transact(doc["chaincode"], text_args("put", "last", "1")) for client in clients]
    await asyncio.gather(*(client.commit_status(item.tx_id) for client in clients for item in last))
    args = text_args("range", f"{PREFIX}/{run}/", f"{PREFIX}/{run}0")
    for client, org in zip(clients, doc["orgs"], strict=True):
        own = CallOptions(organizations=[org["msp_id"]])
        rows = json.loads(await client.evaluate(doc["chaincode"], args, own))
        good = sum(1 for _, value in rows if bytes.fromhex(value).decode() == VALUE)
        if good != sent:
            raise ToolError(f"{org['peer']}: expected {sent} keys with their value, got {good}")


def cpu(doc: dict[str, Json]) -> dict[str, float]:
    """CPU seconds so far by process; `load` is this one."""
    return {**{name: cpu_s(pid) for name, pid in doc["processes"].items()}, "load": time.process_time()}


async def measure(options: Options) -> dict[str, Json]:
    """The bare put's figures."""
    async with running(options) as home:
        doc = dict(read_json(home.document))
        clients = [connect(home.document, number) for number in range(1, len(doc["orgs"]) + 1)]
        try:
            return await _measured(clients, doc, options)
        finally:
            await asyncio.gather(*(client.close() for client in clients))


async def _measured(clients: Sequence[Gateway], doc: dict[str, Json], options: Options) -> dict[str, Json]:
    run = f"{time.time_ns()}"
    callers = Callers(clients, doc["chaincode"], bare_put(run), options.concurrent)
    callers.prepare()
    before = cpu(doc)
    tally = await closed_loop(callers, options)
    used = spent(before, cpu(doc))
    await check(clients, doc, run, tally.sent)
    per_call = {role: round(1000 * seconds / tally.sent, 2) for role, seconds in used.items()}
    found = figures(tally, options)
    return {**found, "concurrent": options.concurrent, "cpu_ms_a_transaction": per_call, "machine": machine()}


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Home]:
    """A network of defaults; the given one stays as it is."""
    if options.home is not None:
        yield Home(options.home)
        return
    made = Home(Path(tempfile.mkdtemp(prefix="bsmg-bench-")))
    try:
        await lifecycle.up(lifecycle.Request(home=made, wish=Wish(kind=options.kind), say=note))
        yield made
    finally:
        if made.specs.exists():
            lifecycle.down(made, purge=True)
        shutil.rmtree(made.path, ignore_errors=True)


def main() -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.fabric_rate", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--concurrent", type=int, default=CONCURRENT)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--embedded", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    options = Options(
        seconds=given.seconds,
        concurrent=given.concurrent,
        home=given.home.resolve() if given.home else None,
        kind=EMBEDDED if given.embedded else REAL,
    )
    gc.freeze()  # as servers do; what the imports made stays for good
    text = json.dumps(uvloop.run(measure(options)), indent=1)
    if given.json:
        given.json.write_text(text + "\n")
    sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
