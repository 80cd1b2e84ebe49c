"""A microgrid on the embedded ledger with fronts in the same process, each on sockets of its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any as Json
from typing import TypeVar

from bsmg.client.grpc import GrpcQueries
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Message, bank_query, node_service
from cosmos_wire.tx import body_of
from fabric_adapter.chaincodes import MICROGRID
from fabric_adapter.embedded.serve import MakeChaincode, load_network, serve
from fabric_adapter.gateway import Gateway
from fabric_adapter.identity import Tls, load_identity
from fabric_adapter.microgrid.chaincode import MicrogridChaincode
from fabric_adapter.network import document, members
from fabric_adapter.network.crypto import read_pair
from fabric_adapter.network.plan import EMBEDDED, Batch, Home, Plan, Wish, make_plan, ports_needed
from fabric_adapter.node.front import Options, run
from fabric_adapter.node.writer import Pace
from ibc_core.fabric.membership import Members, record
from microgrid.operator import Operator
from processes import ports
from processes.files import write_json
from processes.watch import accepts
from tests.fabric_chaincode.world import CHAIN, DENOM, Member, app_state, send
from tests.fabric_embedded.world import Node

T = TypeVar("T")
NODE = "/bsmg.node.v1.Service/"
HANG_S = 60
PEOPLE = ("alice", "bob", "utility")
FRONT_PORTS = 2


@dataclass(slots=True)
class Front:
    """A running front and a client of it."""

    org: str
    home: Path
    grpc: str
    rest: str
    client: GrpcQueries
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    async def ask(self, path: str, request: Message, kind: type[T]) -> T:
        return await self.client.query(path, request, kind)  # type: ignore[type-var]  # a Message

    async def status(self, above: int = 0) -> node_service.StatusResponse:
        return await self.ask(f"{NODE}Status", node_service.StatusRequest(above=above), node_service.StatusResponse)

    async def block(self, height: int) -> node_service.BlockResponse:
        return await self.ask(f"{NODE}Block", node_service.BlockRequest(height=height), node_service.BlockResponse)

    async def height_above(self, height: int) -> int:
        """As soon as there is one; the front or its ledger may be away meanwhile."""
        async with asyncio.timeout(HANG_S):
            while True:
                with suppress(ToolError):
                    found = (await self.status(above=height)).height
                    if found > height:
                        return int(found)

    async def balance(self, who: Member, height: int | None = None) -> int:
        request = bank_query.QueryBalanceRequest(address=who.text, denom=DENOM)
        path = "/cosmos.bank.v1beta1.Query/Balance"
        found = await self.client.query(path, request, bank_query.QueryBalanceResponse, height)
        return int(found.balance.amount)


class World:
    """The network of a home; `start` and `end` the ledger, `front` a node."""

    def __init__(self, path: Path, batch_ms: int = 10) -> None:
        self.home = Home(path / "net")
        self.home.path.mkdir(parents=True)
        wish = Wish(kind=EMBEDDED, factory=MICROGRID, batch=Batch(timeout_ms=batch_ms))
        leased = ports.lease(self.home.path, ports_needed(wish) + 2 * FRONT_PORTS)
        self.plan: Plan = make_plan(wish, leased[2 * FRONT_PORTS :])
        self._front_ports = leased[: 2 * FRONT_PORTS]
        members.make_all(self.home, self.plan)
        for name in PEOPLE:
            members.add_member(self.home, "org1", name)
        write_json(self.home.document, document.made(self.home, self.plan, "embedded"))
        self._serving: asyncio.Task[None] | None = None
        self.people = {name: self._member(name) for name in PEOPLE}

    @property
    def alice(self) -> Member:
        return self.people["alice"]

    @property
    def bob(self) -> Member:
        return self.people["bob"]

    def _member(self, name: str) -> Member:
        folder = self.home.crypto("org1") / "members"
        identity = load_identity("Org1MSP", folder / f"{name}.crt", folder / f"{name}.key")
        node = Node(msp_id="Org1MSP", name=name, identity=identity.serialized, secret=read_pair(folder, name).key)
        return Member(node)

    def gateway(self, name: str = "admin", org: int = 1) -> Gateway:
        return document.connect(self.home.document, org, name)

    async def start(self, make: MakeChaincode = MicrogridChaincode) -> None:
        self._serving = asyncio.create_task(serve(self.home, self.plan, make))
        await asyncio.gather(*(accepts(f"tcp://{peer.address}") for peer in self.plan.peers))

    async def end(self) -> None:
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
            self._serving = None

    def genesis(self) -> bytes:
        network = load_network(self.home, self.plan)
        first = Members(version=1, msps=network.msps, policy=network.policies[self.plan.wish.chaincode])
        cast: Json = SimpleNamespace(**self.people)
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        doc = {
            "chain_id": CHAIN,
            "genesis_time": began,
            "app_state": app_state(cast),
            "membership": record(first).hex(),
        }
        return json.dumps(doc).encode()

    async def found(self) -> None:
        """The tick of height 1."""
        async with self.gateway() as gateway:
            await gateway.transact("microgrid", [b"Genesis", self.genesis()])

    async def pay(self, amount: int = 1, *, sender: str = "alice", recipient: str = "bob") -> str:
        """Submit a transfer; returns the transaction id."""
        message = send(self.people[sender], self.people[recipient], amount)
        async with self.gateway(sender) as gateway:
            return (await gateway.transact("microgrid", [b"Submit", body_of([message])])).tx_id

    def options(self, number: int = 1, *, tick_s: float = 0.2, delay_s: float = 0.0) -> Options:
        grpc_port, rest_port = self._front_ports[FRONT_PORTS * (number - 1) : FRONT_PORTS * number]
        return Options(
            fabric=self.home.document,
            org=f"org{number}",
            home=self.home.path / f"front{number}",
            grpc=f"127.0.0.1:{grpc_port}",
            rest=f"127.0.0.1:{rest_port}",
            pace=Pace(interval_s=tick_s, delay_s=delay_s),
            operator=Operator(map_bytes=1 << 30),
        )

    @asynccontextmanager
    async def front(self, number: int = 1, *, tick_s: float = 0.2, delay_s: float = 0.0) -> AsyncIterator[Front]:
        options = self.options(number, tick_s=tick_s, delay_s=delay_s)
        made = Front(options.org, options.home, options.grpc, options.rest, GrpcQueries(options.grpc))
        made.task = asyncio.create_task(run(options, made.stop))
        try:
            yield made
        finally:
            await made.client.close()
            made.stop.set()
            await asyncio.wait_for(made.task, HANG_S)

    def tls(self) -> Tls:
        return Tls(roots=(self.home.crypto("org1") / "tlsca.crt").read_bytes())


@asynccontextmanager
async def world(path: Path, batch_ms: int = 10) -> AsyncIterator[World]:
    """A ledger that runs, without genesis."""
    made = World(path, batch_ms)
    try:
        await made.start()
        yield made
    finally:
        await made.end()
        ports.release(made.home.path)


async def until(condition: Callable[[], Awaitable[bool]], moved: Callable[[], Awaitable[object]]) -> None:
    """Wait for a condition, looked at again after each move."""
    async with asyncio.timeout(HANG_S):
        while not await condition():
            await moved()
