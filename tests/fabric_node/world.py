"""A microgrid on the embedded ledger with fronts in the same process, each on sockets of its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any as Json
from typing import TypeVar

from google.protobuf.json_format import MessageToDict

from bsmg.client.grpc import GrpcQueries
from cosmos_wire.address import to_bech32
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Message, bank_query, bank_tx, coin, node_service
from cosmos_wire.tx import body_of
from energy.market.defaults import default_params, params_document
from energy.trade import params as trade_params
from fabric_adapter.chaincodes import MICROGRID
from fabric_adapter.deliver import Deliver, Link
from fabric_adapter.embedded.serve import MakeChaincode, load_network, serve
from fabric_adapter.errors import EndorseError
from fabric_adapter.gateway import Gateway
from fabric_adapter.identity import Tls, load_identity
from fabric_adapter.microgrid.chaincode import MicrogridChaincode
from fabric_adapter.network import document, members
from fabric_adapter.network.crypto import read_pair
from fabric_adapter.network.plan import EMBEDDED, Batch, Home, Plan, Wish, make_plan, ports_needed
from fabric_adapter.node.front import Options, run
from fabric_adapter.node.ledger_block import read_block
from fabric_adapter.node.writer import Pace
from fabric_adapter.proposal import Options as Asking
from fabric_wire.x509 import address, read_identity
from ibc_core.fabric.membership import Members, record
from microgrid.operator import Operator
from processes import ports
from processes.files import read_json, write_json
from processes.watch import accepts
from tests.fabric_embedded.world import Node

T = TypeVar("T")
CHAIN, DENOM, RICH = "mgf-1", "bmgf", 10**18
SLOT_MS = 4_000
NODE = "/bsmg.node.v1.Service/"
HANG_S = 60
PEOPLE = ("alice", "bob", "utility")
FRONT_PORTS = 2


class Member:
    """Somebody with a certificate, and the account of its key."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.raw = address(node.identity)
        self.text = to_bech32(self.raw)


def send(sender: Member, recipient: Member, amount: int = 1) -> bank_tx.MsgSend:
    coins = [coin.Coin(denom=DENOM, amount=str(amount))]
    return bank_tx.MsgSend(from_address=sender.text, to_address=recipient.text, amount=coins)


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

    async def serves(self) -> bool:
        """Whether it answers."""
        try:
            await self.status()
        except ToolError:
            return False
        return True

    async def is_asked(self) -> None:
        """A pause between two questions."""
        await asyncio.sleep(0.02)

    async def height_above(self, height: int) -> int:
        """As soon as there is one; the front or its ledger may be away meanwhile."""
        async with asyncio.timeout(HANG_S):
            while True:
                with suppress(ToolError):
                    found = (await self.status(above=height)).height
                    if found > height:
                        return int(found)
                    continue
                await self.is_asked()

    async def balance(self, who: Member, height: int | None = None) -> int:
        request = bank_query.QueryBalanceRequest(address=who.text, denom=DENOM)
        path = "/cosmos.bank.v1beta1.Query/Balance"
        found = await self.client.query(path, request, bank_query.QueryBalanceResponse, height)
        return int(found.balance.amount)


class World:
    """A network by its home: people, genesis, payments, fronts in this process; an embedded ledger starts and ends."""

    def __init__(self, home: Home, plan: Plan) -> None:
        self.home, self.plan = home, plan
        self._front_ports = ports.lease(home.path, len(plan.peers) * FRONT_PORTS)
        for name in PEOPLE:
            members.add_member(home, "org1", name)
        doc = read_json(home.document)
        doc["orgs"][0]["members"] = document.members(home, plan.peers[0])
        document.write(home, doc)
        self._serving: asyncio.Task[None] | None = None
        self.people = {name: self._member(name) for name in PEOPLE}

    @classmethod
    def embedded(cls, path: Path, batch_ms: int, orgs: int = 2, endorsement: str = "") -> World:
        """With files of its own; nothing runs yet."""
        home = Home(path / "net")
        home.path.mkdir(parents=True)
        batch = Batch(timeout_ms=batch_ms)
        wish = Wish(kind=EMBEDDED, factory=MICROGRID, batch=batch, orgs=orgs, endorsement=endorsement)
        plan = make_plan(wish, ports.lease(home.path, ports_needed(wish)))
        members.make_all(home, plan)
        write_json(home.document, document.made(home, plan, "embedded"))
        return cls(home, plan)

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
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        doc = {
            "chain_id": CHAIN,
            "genesis_time": began,
            "app_state": self.app_state(),
            "membership": record(first).hex(),
        }
        return json.dumps(doc).encode()

    def app_state(self) -> dict[str, Json]:
        """The people are rich; nobody trades."""
        utility = self.people["utility"].text
        market = default_params(SLOT_MS, 12_000, DENOM, utility, int(time.time()) * 1000 // SLOT_MS + 4)
        trade = trade_params.default_params(utility, DENOM, "utility@mgf")
        trade.slot_ms, trade.window_ms = market.slot_ms, market.window_min_ms
        rich = [{"denom": DENOM, "amount": str(RICH)}]
        return {
            "state_version": 1,
            "auth": {"accounts": [{"address": each.text, "kind": "base"} for each in self.people.values()]},
            "bank": {"balances": [{"address": each.text, "coins": rich} for each in self.people.values()]},
            "staking": {"unbonding_s": 1_814_400},
            "registry": {"params": {"utility": utility, "microgrid": "mgf"}},
            "market": {"params": params_document(market)},
            "trade": {"params": MessageToDict(trade, preserving_proto_field_name=True)},
        }

    async def found(self) -> None:
        """The tick of height 1."""
        async with self.gateway() as gateway:
            await gateway.transact("microgrid", [b"Genesis", self.genesis()])

    def payment(self) -> Message:
        """One unit from Alice to Bob."""
        return send(self.alice, self.bob)

    async def pay(self, amount: int = 1, *, sender: str = "alice", recipient: str = "bob") -> str:
        """Submit a transfer; returns the transaction id."""
        message = send(self.people[sender], self.people[recipient], amount)
        async with self.gateway(sender) as gateway, asyncio.timeout(HANG_S):
            while True:
                try:
                    return (await gateway.transact("microgrid", [b"Submit", body_of([message])])).tx_id
                except EndorseError as error:
                    if "image not loaded" not in str(error):
                        raise
                    for peer in self.plan.peers:
                        await gateway.evaluate("microgrid", [b"Load"], Asking(organizations=(peer.msp_id,)))

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

    async def writers(self) -> list[str]:
        """MSP ids of those who wrote the ledger's ticks."""
        folder, link, found = self.home.crypto("org1"), Link(), []
        member = load_identity("Org1MSP", folder / "members" / "user.crt", folder / "members" / "user.key")
        async with self.gateway() as gateway:
            height = await gateway.height()
        tls = Tls(roots=(folder / "tlsca.crt").read_bytes())
        deliver = Deliver(self.plan.peers[0].address, tls, member, "energy")
        async with aclosing(deliver.blocks(0)) as blocks:
            while link.number < height:
                block = read_block(await anext(blocks), link, "microgrid")
                found += [read_identity(tick.creator).msp_id for tick in block.ticks()]
                link = block.link
        await deliver.close()
        return found


@asynccontextmanager
async def world(
    path: Path,
    batch_ms: int = 10,
    make: MakeChaincode = MicrogridChaincode,
    *,
    orgs: int = 2,
    endorsement: str = "",
) -> AsyncIterator[World]:
    """A ledger that runs, without genesis."""
    made = World.embedded(path, batch_ms, orgs, endorsement)
    try:
        await made.start(make)
        yield made
    finally:
        await made.end()
        ports.release(made.home.path)


async def until(condition: Callable[[], Awaitable[bool]], moved: Callable[[], Awaitable[object]]) -> None:
    """Wait for a condition, looked at again after each move."""
    async with asyncio.timeout(HANG_S):
        while not await condition():
            await moved()
