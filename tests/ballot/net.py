"""A real chain of four validators on a meshed feeder; the last one's app may be told to misbehave."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bsmg.client.comet import CometClient
from bsmg.client.errors import NodeError, TxError
from bsmg.client.lane import FeePolicy
from bsmg.client.testnet_file import ChainInfo, load_testnet
from cosmos_wire.protos import market, market_query, market_tx, registry, registry_tx
from energy.errors import WrongState
from processes import control, watch
from processes.files import ProcessSpec, write_specs
from testnet import chains, document, lifecycle, ready
from testnet.files import Home
from testnet.topology import parse_topology

CHAIN = "vote-1"
LIAR = f"{CHAIN}-3"
TOPOLOGY = f"""
[[chain]]
id = "{CHAIN}"
kind = "cometbft"
cells = 2
slot_s = 6
gates = {{ window_min_ms = 18000, SECURE = -400 }}
"""
LEAD_MS = 12_000
GAS = 1_000_000
HANG_S = 90
SMALL, LARGE = 1_000_000, 2_000_000  # mWh a slot: 4 kW and 8 kW
BUYER, SELLER = "home-02", "home-01"  # at buses 3 and 2
QUERY = "/bsmg.market.v1.Query/"
FOREVER, PLEDGE = 10**6, 4 * 10**12
Params = market_query.QueryParamsResponse


def feeder() -> registry.Feeder:
    """A ring. 8 kW from bus 2 to bus 3 overload the branch between them, 4 kW don't, even after the loss."""
    pairs = ((1, 2, 20_000), (2, 3, 5_000), (3, 4, 20_000), (4, 1, 20_000))
    return registry.Feeder(
        s_base_W=10_000,
        root_bus=1,
        v0_permille=1000,
        vmin_permille=900,
        vmax_permille=1100,
        mode=registry.SECURITY_MODE_BALLOT,
        contingencies=[2],
        branches=[
            registry.Branch(from_bus=a, to_bus=b, r_pu_q30=2**22, x_pu_q30=2**22, s_max_W=most) for a, b, most in pairs
        ],
    )


@dataclass(frozen=True, slots=True)
class BallotNet:
    """The net by its folder."""

    home: Home

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator[BallotNet]:
        """Up with its feeder in force, down whatever happens."""
        home = Home(folder)
        net = cls(home)
        try:
            asyncio.run(net._up())
            yield net
        finally:
            if home.specs.exists():
                lifecycle.down(home, purge=True)

    async def _up(self) -> None:
        home, topology = self.home, parse_topology(TOPOLOGY, "ballots")
        topology = replace(topology, chains=(replace(topology.chains[0], lead_ms=LEAD_MS),))
        home.path.mkdir(parents=True)
        made = chains.make_chains(home, topology, int(time.time() * 1000))
        specs = [byzantine(spec) for spec in (*chains.first_specs(made, print), *chains.later_specs(made))]
        write_specs(home, specs)
        control.launch(home)
        control.ask(home, "start", names=[spec.name for spec in specs if chains.is_first(spec)])
        await watch.unless_one_dies(home, chains.first_listen(made))
        control.ask(home, "start", names=[spec.name for spec in specs])
        doc = document.testnet_doc(home, [document.chain_doc(home, item) for item in made])
        await watch.unless_one_dies(home, ready.chain_works(doc["chains"][0]))
        document.save(home, doc, control.ask(home, "status")["processes"])
        async with self.client() as client:
            await prepare(client, load_testnet(home.testnet).chain(CHAIN))

    @asynccontextmanager
    async def client(self, node: int = 0) -> AsyncIterator[CometClient]:
        """A client of one node; waits until the node answers."""
        client = CometClient.of(load_testnet(self.home.testnet).chain(CHAIN), node)
        async with asyncio.timeout(HANG_S):
            while True:
                with suppress(NodeError):
                    await client.connect()
                    break
                await asyncio.sleep(watch.POLL_S)
        try:
            yield client
        finally:
            await client.close()

    @asynccontextmanager
    async def trading(self, energy_mWh: int) -> AsyncIterator[CometClient]:
        """Orders that cross in every slot that takes them."""
        async with self.client() as client:
            task = asyncio.create_task(self._trade(client, energy_mWh))
            try:
                yield client
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _trade(self, client: CometClient, energy_mWh: int) -> None:
        info = load_testnet(self.home.testnet).chain(CHAIN)
        rows = ((BUYER, market.SIDE_BID, 60_000), (SELLER, market.SIDE_ASK, 40_000))
        done: set[int] = set()
        head = await client.head()
        while True:
            live = (await slots(client, live=True)).slots
            open_ = [
                s.slot for s in live if s.state == market.SLOT_STATE_BIDDING and not s.orders and s.slot not in done
            ]
            for slot in open_:
                done.add(slot)
                orders = [
                    client.lane_of(info.account(name), FeePolicy(fixed_gas=GAS)).submit(
                        [
                            market_tx.MsgPlaceOrder(
                                cell=info.account(name).address,
                                slot=slot,
                                side=side,
                                price_e4=price,
                                quantity_mWh=energy_mWh,
                            )
                        ]
                    )
                    for name, side, price in rows
                ]
                with suppress(NodeError, TxError):
                    for placed in await asyncio.gather(*orders):
                        assert placed.code in (0, WrongState.code), placed.log  # too late: the next slot will do
            head = await client.feed.wait_above(head.height)

    # --- what tests do to it -----------------------------------------------------------------------------------------

    def behave(self, *names: str) -> None:
        """Tell the last validator what to do from now on; nothing: be honest."""
        (self.home.node(LIAR) / "behaviour").write_text(" ".join(names), encoding="utf-8")

    def deeds(self, name: str) -> list[int]:
        """Heights at which it did something."""
        path = self.home.node(LIAR) / "deeds"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [int(line.split()[1]) for line in lines if line.split()[0] == name]

    async def kill(self, node: int) -> None:
        """SIGKILL all of a node."""
        await asyncio.to_thread(control.kill, self.home, f"{CHAIN}-{node}")

    async def restart(self, node: int) -> None:
        """Start what doesn't run of it."""
        await asyncio.to_thread(lifecycle.restart, self.home, f"{CHAIN}-{node}")

    def forget(self, node: int) -> None:
        """Take the application's state away, and leave CometBFT its blocks."""
        shutil.rmtree(self.home.node(f"{CHAIN}-{node}") / "data" / "state")

    def rpc(self, node: int, path: str) -> Any:
        """An answer of a node's RPC."""
        url = load_testnet(self.home.testnet).chain(CHAIN).nodes[node].rpc
        with urllib.request.urlopen(f"{url}/{path}", timeout=10) as answer:  # noqa: S310  (its own node)
            return json.load(answer)

    def log(self, node: int, role: str) -> str:
        """A process's log."""
        return (self.home.node(f"{CHAIN}-{node}") / "logs" / f"{role}.log").read_text(encoding="utf-8")


def byzantine(spec: ProcessSpec) -> ProcessSpec:
    """The last validator's app by the test's own program."""
    if spec.name != f"{LIAR}/app":
        return spec
    return replace(spec, argv=tuple("tests.ballot.byzantine" if arg == "abci_app.node" else arg for arg in spec.argv))


async def prepare(client: CometClient, info: ChainInfo) -> None:
    """The feeder from the next slot on, collateral of the two cells, and no suspension of who sends no readings."""
    params = (await client.query(QUERY + "Params", market_query.QueryParamsRequest(), Params)).params
    params.missed_before_suspension = FOREVER
    utility = info.account("utility-cell").address
    messages = {
        "utility-cell": [
            registry_tx.MsgSetFeeder(utility=utility, feeder=feeder()),
            market_tx.MsgUpdateParams(authority=utility, params=params),
        ],
        **{
            name: [market_tx.MsgDeposit(cell=info.account(name).address, amount=str(PLEDGE))]
            for name in (BUYER, SELLER)
        },
    }
    lanes = {name: client.lane_of(info.account(name), FeePolicy(fixed_gas=GAS)) for name in messages}
    for outcome in await asyncio.gather(*(lanes[name].submit(sent) for name, sent in messages.items())):
        assert outcome.ok, outcome.log


async def slots(client: CometClient, *, live: bool) -> market_query.QuerySlotsResponse:
    """Slots, the live ones or all that are kept."""
    request = market_query.QuerySlotsRequest(live=live)
    return await client.query(QUERY + "Slots", request, market_query.QuerySlotsResponse)


async def ballot_after(client: CometClient, energy_mWh: int, opened_after: int = 0) -> market.Slot:
    """A slot of so much trade whose ballot opened after a height (default: now), once it is decided."""
    opened_after = opened_after or (await client.head()).height

    async def find() -> market.Slot | None:
        found = [
            slot
            for slot in (await slots(client, live=True)).slots
            if slot.ballot.opened_height > opened_after
            and slot.clearing.volume_mWh == energy_mWh
            and slot.state >= market.SLOT_STATE_RESIDUAL
        ]
        return found[0] if found else None

    return await until(client, find)


async def until(client: CometClient, find: Callable[[], Awaitable[Any]]) -> Any:
    """The first true answer, asked once a block."""
    async with asyncio.timeout(HANG_S):
        head = await client.head()
        while True:
            with suppress(NodeError):
                found = await find()
                if found:
                    return found
            head = await client.feed.wait_above(head.height)
