"""Processes under kills, on both kinds of ledgers: what was taken is executed once, on every front alike."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from bsmg.client.grpc import GrpcQueries
from cosmos_wire.tx import body_of
from fabric_adapter.chaincodes import MICROGRID
from fabric_adapter.errors import FabricError
from fabric_adapter.gateway import Endorsed, Gateway
from fabric_adapter.network import lifecycle
from fabric_adapter.network.plan import EMBEDDED, REAL, Home, Wish, read_plan
from tests.fabric_node.world import HANG_S, RICH, Front, World, until

ROOT = Path(__file__).parents[2]
TICK_S = 0.5
BLOCKS = 3  # that have to come after each kill
FRONT_KILLS = 4
SEED = 20_261_121
PAYMENTS = 4
TWO_OF_THREE = "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')"


class Fronts:
    """Two fronts as processes; the second one stands by."""

    def __init__(self, net: World) -> None:
        self.net = net
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self.clients: dict[int, Front] = {}

    def start(self, number: int) -> None:
        options = self.net.options(number)
        words = ["--fabric", str(options.fabric), "--org", options.org, "--home", str(options.home)]
        words += ["--grpc", options.grpc, "--tick-s", str(TICK_S), "--writer-delay", str(2 * TICK_S * (number - 1))]
        options.home.mkdir(exist_ok=True)
        with (options.home / "log").open("ab") as log:
            command = [sys.executable, "-m", "fabric_adapter.node", *words]
            self.running[number] = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        if number not in self.clients:
            client = GrpcQueries(options.grpc)
            self.clients[number] = Front(options.org, options.home, options.grpc, "", client)

    def kill(self, number: int) -> None:
        self.running[number].kill()
        self.running.pop(number).wait()

    async def stop(self) -> None:
        for number in (1, 2):
            await self.clients[number].client.close()
            process = self.running[number]
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, HANG_S) == 0

    async def blocks_come(self) -> None:
        """Some more than the newest that either has, on both."""
        for front in self.clients.values():
            await until(front.serves, front.is_asked)
        height = max([(await front.status()).height for front in self.clients.values()])
        await asyncio.gather(*(front.height_above(height + BLOCKS) for front in self.clients.values()))


class Payer:
    """Pays without end; `taken` has what the ledger has taken."""

    def __init__(self, net: World) -> None:
        self.net = net
        self.taken: list[str] = []
        self.paid = asyncio.Event()

    async def run(self) -> None:
        async with self.net.gateway("alice") as gateway:
            while True:
                with suppress(FabricError):  # nothing was ordered
                    ready = await gateway.endorse("microgrid", [b"Submit", body_of([self.net.payment()])])
                    await self._settle(gateway, ready)

    async def _settle(self, gateway: Gateway, ready: Endorsed) -> None:
        while True:
            with suppress(FabricError):
                await gateway.settle(ready)
                self.taken.append(ready.tx_id)
                self.paid.set()
                return


@asynccontextmanager
async def network(path: Path, wish: Wish) -> AsyncIterator[tuple[World, Fronts]]:
    home = Home(path / "net")
    try:
        await lifecycle.up(lifecycle.Request(home=home, wish=wish, say=print))
        net = World(home, read_plan(home))
        await net.found()
        fronts = Fronts(net)
        try:
            fronts.start(1)
            fronts.start(2)
            yield net, fronts
        finally:
            for process in fronts.running.values():
                process.kill()
                process.wait()
    finally:
        if home.specs.exists():
            await asyncio.to_thread(lambda: lifecycle.down(home, purge=True))


async def story(path: Path, kind: str, killed: Sequence[str]) -> int:
    """Number of payments that were executed, each once."""
    chance = random.Random(SEED)
    async with network(path, Wish(kind=kind, factory=MICROGRID)) as (net, fronts):
        await fronts.blocks_come()
        payer = Payer(net)
        paying = [asyncio.create_task(payer.run()) for _ in range(2)]
        await asyncio.wait_for(payer.paid.wait(), HANG_S)
        for number in chance.choices((1, 2), k=FRONT_KILLS):
            await asyncio.sleep(chance.random() * TICK_S)  # any instant will do
            fronts.kill(number)
            fronts.start(number)
            await fronts.blocks_come()
        for name in killed:
            await asyncio.to_thread(lifecycle.kill, net.home, name)
            await lifecycle.restart(net.home, name)
            await fronts.blocks_come()
        for task in paying:
            task.cancel()
        await asyncio.gather(*paying, return_exceptions=True)
        await fronts.blocks_come()
        executed = await same(fronts, payer.taken, net)
        await fronts.stop()
        return executed


async def same(fronts: Fronts, taken: Sequence[str], net: World) -> int:
    """Both fronts have the same blocks, which hold everything once; how much that is."""
    one, two = fronts.clients[1], fronts.clients[2]
    last = min((await one.status()).height, (await two.status()).height)
    executed, times = [], []
    for height in range(1, last + 1):
        block = await one.block(height)
        assert block == await two.block(height)
        times.append(block.time_ns)
        executed += [tx.hash.lower() for tx in block.txs]
    assert times == sorted(set(times))
    assert len(executed) == len(set(executed))
    assert set(taken) <= set(executed)
    assert await one.balance(net.bob, last) == RICH + len(executed)
    return len(executed)


@pytest.mark.e2e
async def test_the_embedded_ledger(tmp_path: Path) -> None:
    assert await story(tmp_path, EMBEDDED, ["ledger"]) > FRONT_KILLS


@pytest.mark.fabric
async def test_real_fabric(tmp_path: Path) -> None:
    assert await story(tmp_path, REAL, ["chaincode", "orderer", "peer2", "peer1"]) > FRONT_KILLS


@pytest.mark.fabric
async def test_two_of_three_organisations_go_on_without_the_third(tmp_path: Path) -> None:
    """Without a peer that only endorses; then without the writer's, when the one that came back has to endorse."""
    wish = Wish(kind=REAL, orgs=3, factory=MICROGRID, endorsement=TWO_OF_THREE)
    async with network(tmp_path, wish) as (net, fronts):
        await fronts.blocks_come()
        await asyncio.to_thread(lifecycle.kill, net.home, "peer3")
        paid = [await net.pay() for _ in range(PAYMENTS)]
        await fronts.blocks_come()
        await lifecycle.restart(net.home, "peer3")
        await asyncio.to_thread(lifecycle.kill, net.home, "peer1")
        two = fronts.clients[2]
        for _ in range(BLOCKS):
            await two.height_above((await two.status()).height)
        await lifecycle.restart(net.home, "peer1")
        paid += [await net.pay() for _ in range(PAYMENTS)]
        await fronts.blocks_come()
        assert await same(fronts, paid, net) == len(paid)
        await fronts.stop()
