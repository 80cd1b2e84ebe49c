"""Orders of a microgrid on Fabric, with all their checks, beside bare puts in the same run, 200 at a time.

    python -m bench.fabric_orders [--kind fabric|fabric-embedded] [--seconds 10] [--rounds 2] [--members N]

Two networks of the same kind: one whose chaincode only puts, and a testnet's, whose fronts write a Tick a second. They
take turns. Every caller is a member of its own with its own certificate, at its organisation's gateway, in both: peers
and orderer keep a hundred certificates each, and judge every other one anew at each of its eight checks. An order ends
when it is in a block and valid. Afterwards every order has to be executed with code 0 and every put has to be there;
else there is no figure.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import gc
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any as Json

import uvloop

from bench import fabric_rate, net
from bench.fabric_rate import CONCURRENT, Callers, Options, Tally
from bench.measure import cpu_s, machine, spent
from bsmg.client.chain import ChainClient
from bsmg.client.testnet_file import ChainInfo, NodeInfo
from cosmos_wire import tx as wire
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import market, market_tx
from fabric_adapter.gateway import Gateway
from fabric_adapter.identity import Identity, Tls, load_identity
from fabric_adapter.network import members
from fabric_adapter.network.document import connect
from fabric_adapter.network.plan import REAL, Home
from processes.files import read_json
from testnet.topology import parse_topology

CHAIN = "mgf-1"
SLOT_S, WINDOW_MS = 6, 600_000  # orders of a slot are taken for two minutes: twenty slots at once
ORDERS_A_CELL = 8  # in a slot
MARGIN_MS = 30_000  # before a slot is cleared
QUANTITY_MWH, PRICE_E4 = 1_000, 50_000
COLLATERAL = 10**15  # base units, a tenth of what a cell has
LEAST_RATIO = 0.6
EXECUTION_S = 120.0


def topology(kind: str, cells: int) -> str:
    """One chain on Fabric, no relayer."""
    return f"""
[[chain]]
id = "{CHAIN}"
kind = "{kind}"
slot_s = {SLOT_S}
cells = {cells}
gates = {{ window_min_ms = {WINDOW_MS} }}
[relayer]
count = 0
"""


class Cells:
    """The cells as callers: each knows how many orders it has placed in which slot."""

    def __init__(self, info: ChainInfo, callers: int) -> None:
        self.info = info
        self.cells = [account for account in info.accounts if account.identity][:callers]
        self.placed = [count() for _ in self.cells]
        self.slots: tuple[int, ...] = ()
        self.used: set[int] = set()  # by the rounds before

    def gateways(self) -> list[Gateway]:
        """One a cell; those of an organisation share a connection to its peer, as the puts do."""
        nodes: dict[str, NodeInfo] = {node.msp_id: node for node in self.info.nodes}
        first: dict[str, Gateway] = {}
        made = []
        for cell in self.cells:
            identity, node = load_identity(cell.msp_id, Path(cell.certificate), Path(cell.key)), nodes[cell.msp_id]
            if cell.msp_id not in first:
                tls = Tls(roots=Path(node.tls_ca).read_bytes())
                first[cell.msp_id] = Gateway(node.peer, tls, identity, self.info.channel)
            made.append(_speaking(first[cell.msp_id], identity))
        return made

    def open(self, now_ms: int) -> None:
        """Take the slots whose orders are taken now and for the whole of a round; counts begin anew."""
        slot_ms, gates = SLOT_S * 1000, self.info.gates_ms
        first = max(self.info.first_slot, (now_ms + MARGIN_MS - gates["CLEAR"]) // slot_ms + 1)
        last = (now_ms - gates["BID"]) // slot_ms
        fresh = tuple(slot for slot in range(first, last + 1) if slot not in self.used)
        self.slots, self.placed = fresh, [count() for _ in self.cells]

    @property
    def room(self) -> int:
        """Orders that all may place in the open slots."""
        return len(self.cells) * ORDERS_A_CELL * len(self.slots)

    def order(self, _: int, caller: int) -> Sequence[bytes]:
        """The caller's next order; raises ToolError when it has used all its places."""
        caller %= len(self.cells)
        number = next(self.placed[caller])
        if number >= ORDERS_A_CELL * len(self.slots):
            raise ToolError(f"orders: expected at most {ORDERS_A_CELL} in {len(self.slots)} slots a cell, got more")
        message = market_tx.MsgPlaceOrder(
            cell=self.cells[caller].address,
            slot=self.slots[number // ORDERS_A_CELL],
            side=market.SIDE_BID,
            price_e4=PRICE_E4,
            quantity_mWh=QUANTITY_MWH,
        )
        return b"Submit", wire.body_of([message])


async def executed(client: ChainClient, above: int, wanted: int) -> int:
    """Wait until the Ticks after a height have executed so many orders; raises ToolError for one that was refused."""
    height, done = above, 0
    async with asyncio.timeout(EXECUTION_S):
        while done < wanted:
            head = await client.feed.wait_above(height)
            for number in range(height + 1, head.height + 1):
                results = (await client.feed.record(number)).results.txs
                refused = [item for item in results if item.code]
                if refused:
                    raise ToolError(f"orders: expected code 0, got {refused[0].codespace}/{refused[0].code}")
                done += len(results)
            height = head.height
    return height - above


def network_cpu(info: ChainInfo) -> dict[str, float]:
    """CPU seconds so far by role; `load` is this process."""
    found: dict[str, float] = {"load": time.process_time()}
    pids = [*info.doc["pids"].items(), *(item for node in info.nodes for item in node.pids.items())]
    for role, pid in pids:
        found[role] = found.get(role, 0.0) + cpu_s(pid)
    return found


class Orders:
    """The microgrid's part of the run."""

    def __init__(self, info: ChainInfo, client: ChainClient, options: Options) -> None:
        self.info, self.client, self.options = info, client, options
        self.cells = Cells(info, options.members or options.concurrent)
        self.gateways = self.cells.gateways()

    async def prepare(self) -> None:
        """Every cell's collateral, executed."""
        head, name = await self.client.head(), self.info.chaincode
        bodies = [
            wire.body_of([market_tx.MsgDeposit(cell=c.address, amount=str(COLLATERAL))]) for c in self.cells.cells
        ]
        sent = zip(self.gateways, bodies, strict=True)
        await asyncio.gather(*(gateway.transact(name, (b"Submit", body)) for gateway, body in sent))
        await executed(self.client, head.height, len(bodies))

    async def round(self) -> dict[str, Json]:
        """One measurement; back when every order is executed."""
        await self._wait_for_slots()
        callers = Callers(self.gateways, self.info.chaincode, self.cells.order, self.options.concurrent)
        callers.prepare(min(fabric_rate.AHEAD, self.cells.room // self.options.concurrent))
        head, before = await self.client.head(), network_cpu(self.info)
        tally = await fabric_rate.closed_loop(callers, self.options)
        used = spent(before, network_cpu(self.info))
        self.cells.used.update(self.cells.slots)
        ticks = await executed(self.client, head.height, tally.sent)
        return {**_figures(tally, self.options, used), "ticks": ticks}

    async def _wait_for_slots(self) -> None:
        """Until the slots that take orders are new ones, and enough of them."""
        head = await self.client.head()
        while True:
            self.cells.open(head.time_ns // 1_000_000)
            if len(self.cells.slots) * SLOT_S * 1000 >= WINDOW_MS // 5 - MARGIN_MS - 2 * SLOT_S * 1000:
                return
            head = await self.client.feed.wait_above(head.height)


def _figures(tally: Tally, options: Options, used: dict[str, float]) -> dict[str, Json]:
    per_call = {role: round(1000 * seconds / tally.sent, 2) for role, seconds in used.items()}
    load = machine()["load_average"][0]
    return {**fabric_rate.figures(tally, options), "cpu_ms_a_transaction": per_call, "load_average": load}


async def put_round(doc: dict[str, Json], identities: Sequence[Identity], options: Options) -> dict[str, Json]:
    """One measurement of bare puts, checked on both peers; callers as the orders have them."""
    home = Path(doc["home"]) / "fabric.json"
    clients = [connect(home, number) for number in range(1, len(doc["orgs"]) + 1)]
    callers = [_speaking(clients[place % len(clients)], identity) for place, identity in enumerate(identities)]
    try:
        run = f"{time.time_ns()}"
        put = Callers(callers, doc["chaincode"], fabric_rate.bare_put(run), options.concurrent)
        put.prepare()
        before = fabric_rate.cpu(doc)
        tally = await fabric_rate.closed_loop(put, options)
        used = spent(before, fabric_rate.cpu(doc))
        await fabric_rate.check(clients, doc, run, tally.sent)
        return _figures(tally, options, used)
    finally:
        await asyncio.gather(*(client.close() for client in clients))


def _speaking(shared: Gateway, identity: Identity) -> Gateway:
    """Another member on the same connection."""
    made = copy.copy(shared)
    made.identity = identity
    return made


def enrolled(home: Home, doc: dict[str, Json], count: int) -> list[Identity]:
    """New members, of the organisations in turn."""
    orgs = doc["orgs"]
    files = [(orgs[at % len(orgs)], at) for at in range(count)]
    made = [(org["msp_id"], members.add_member(home, org["name"], f"caller{at}")) for org, at in files]
    return [load_identity(msp_id, file, file.with_suffix(".key")) for msp_id, file in made]


async def measure(kind: str, rounds: int, options: Options) -> dict[str, Json]:
    """Puts and orders in turn."""
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(fabric_rate.running(Options(kind=kind)))
        text = topology(kind, options.members or options.concurrent)
        file = await stack.enter_async_context(net.running(parse_topology(text, "bench")))
        info = file.chain(CHAIN)
        client = await stack.enter_async_context(ChainClient.of(info))
        orders, doc = Orders(info, client, options), dict(read_json(home.document))
        callers = enrolled(home, doc, options.members or options.concurrent)
        found = []
        try:
            await orders.prepare()
            for _ in range(rounds):
                found.append({"puts": await put_round(doc, callers, options), "orders": await orders.round()})
        finally:
            await asyncio.gather(*(gateway.close() for gateway in orders.gateways))
    return {
        "kind": kind,
        "concurrent": options.concurrent,
        "members": len(callers),
        "rounds": found,
        **_together(found),
        "machine": machine(),
    }


def _together(rounds: Sequence[dict[str, Json]]) -> dict[str, Json]:
    puts, orders = ([item[what]["committed_per_s"] for item in rounds] for what in ("puts", "orders"))
    return {
        "puts_per_s": round(sum(puts) / len(puts), 1),
        "orders_per_s": round(sum(orders) / len(orders), 1),
        "ratio": round(sum(orders) / sum(puts), 3) if sum(puts) else 0,
    }


def main() -> int:
    """Print the figures as JSON; 0 when the ratio is reached."""
    parser = argparse.ArgumentParser(prog="python -m bench.fabric_orders", description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=("fabric", "fabric-embedded"), default=REAL)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--concurrent", type=int, default=CONCURRENT)
    parser.add_argument("--members", type=int, default=0, help="so many certificates for all callers; 0: one each")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    options = Options(seconds=given.seconds, concurrent=given.concurrent, members=given.members)
    gc.freeze()  # as servers do; what the imports made stays for good
    found = uvloop.run(measure(given.kind, given.rounds, options))
    text = json.dumps(found, indent=1)
    if given.json:
        given.json.write_text(text + "\n")
    sys.stdout.write(text + "\n")
    return 0 if found["ratio"] >= LEAST_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
