# ruff: noqa: ARG002  (the interfaces fix the arguments)
"""Chains in one process with real IBC handlers, real light clients, real proofs; only transport and time are played.

Everything follows from one seed: which calls are lost, which answers are lost after the fact, the order of tasks.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any as Whatever
from typing import ClassVar

from bsmg.client.errors import NodeUnreachable, QueryNotFound, QueryRefused
from bsmg.client.feed import Head
from bsmg.client.lane import TxOutcome
from cosmos_wire.address import to_bech32
from cosmos_wire.errors import ChainError, NotFound
from cosmos_wire.protos import Any, Message, channel, commitment, ics23, tendermint_client, transfer_tx
from cosmos_wire.tx import pack
from ibc_core import bank
from ibc_core.core import IbcCore
from ibc_core.fabric.client import FabricClient
from ibc_core.host import BlockEnv, Context, Event, EventLog, FreeGas, Overlay
from ibc_core.ics23.specs import IAVL_SPEC, TENDERMINT_SPEC
from ibc_core.light_client import Height
from ibc_core.router import Handshake, Outgoing
from ibc_core.tendermint import build
from ibc_core.tendermint.client import TendermintClient
from ibc_core.transfer import Transfer, TransferV2
from ibc_relayer.chain import Evidence, FirstStates, Need, Party, Proof, Prover
from ibc_relayer.client_types import NS, ClientInfo
from ibc_relayer.events import facts
from ibc_relayer.plan import End
from microgrid.store.db import StateDb
from microgrid.store.disk import StoreOptions
from tests.tendermint.testgen import LightChain

BLOCK_NS = NS
DAY_NS = 86_400 * NS
HOUR_NS = 3_600 * NS
STORE_BYTES = 1 << 30


def account(name: str) -> bytes:
    return sha256(name.encode()).digest()[:20]


def address(name: str) -> str:
    return to_bech32(account(name))


class EchoApp:
    """An application on an ordered or unordered channel that counts, and refuses to send back `poison`."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.acked: list[int] = []
        self.timed_out: list[int] = []

    def on_chan_open_init(self, ctx: Context, handshake: Handshake) -> str:
        return handshake.version or "echo-1"

    def on_chan_open_try(self, ctx: Context, handshake: Handshake) -> str:
        return handshake.version

    def on_chan_open_ack(self, ctx: Context, handshake: Handshake) -> None: ...

    def on_chan_open_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None: ...

    def on_chan_close_init(self, ctx: Context, port_id: str, channel_id: str) -> None: ...

    def on_chan_close_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None: ...

    def on_recv_packet(self, ctx: Context, packet: channel.Packet, relayer: str) -> bytes:
        self.received.append(packet.sequence)
        return b'{"result":"AQ=="}'

    def on_acknowledge_packet(self, ctx: Context, packet: channel.Packet, ack: bytes) -> None:
        if packet.data == b"poison":
            raise NotFound("poison")  # the acknowledgement can never be processed
        self.acked.append(packet.sequence)

    def on_timeout_packet(self, ctx: Context, packet: channel.Packet) -> None:
        self.timed_out.append(packet.sequence)


@dataclass
class Pending:
    messages: tuple[Message, ...]
    done: asyncio.Future[TxOutcome]


class SimChain:
    """A chain with its mempool; `make_block` runs everything that waits, in the order that `shuffle` gives."""

    def __init__(self, chain_id: str, home: Path, unbonding_ns: int = 21 * DAY_NS) -> None:
        self.chain_id, self.unbonding_ns = chain_id, unbonding_ns
        options = StoreOptions(sync=False, map_size=STORE_BYTES, versions_kept=100_000)
        self.db = StateDb.open(home / chain_id, options)
        self.light = LightChain(chain_id, [f"{chain_id} {name}" for name in ("ann", "bob", "cy", "dan")])
        router: dict[str, Whatever] = {}
        clients: dict[str, Whatever] = {kind.type_url: kind for kind in (TendermintClient(), FabricClient())}
        router_v2: dict[str, Whatever] = {"transfer": TransferV2()}
        self.core = IbcCore(clients, router, router_v2)
        self.transfer, self.echo = Transfer(self.core), EchoApp()
        router.update({"transfer": self.transfer, "echo": self.echo})
        self.modules: list[Whatever] = [self.core, self.transfer]
        self.routes = {url: route for module in self.modules for url, route in module.messages().items()}
        self.queries = {path: route for module in self.modules for path, route in module.queries().items()}
        self.mempool: list[Pending] = []
        self.hooks: list[Callable[[Context], Whatever]] = []  # run by the next block, as an application's gates are
        self.events: dict[int, tuple[Event, ...]] = {}
        self.redundant = 0
        self.txs = 0
        self.cond = asyncio.Condition()
        ctx = self.context()
        for module in self.modules:
            module.init_genesis(ctx, {})
        self._commit(ctx)

    @property
    def height(self) -> int:
        return self.light.height

    def context(self) -> Context:
        env = BlockEnv(chain_id=self.chain_id, height=self.db.height + 1, time_ns=self.light.time_ns)
        overlays = Overlay(self.db.store("app")), Overlay(self.db.store("ibc"))
        return Context(env=env, app=overlays[0], ibc=overlays[1], events=EventLog(), gas=FreeGas())

    def _commit(self, ctx: Context) -> None:
        batch = self.db.put({"app": dict(ctx.app.changes), "ibc": dict(ctx.ibc.changes)})
        self.db.commit(batch, ctx.env.height, b"")
        self.events[ctx.env.height] = tuple(ctx.events.events)

    async def make_block(self, rng: random.Random | None = None, step_ns: int = BLOCK_NS) -> None:
        """The next header has the app hash of the state before it, as CometBFT's does."""
        self.light.next_block(self.db.app_hash, self.light.time_ns + step_ns)
        ctx = self.context()
        hooks, self.hooks = self.hooks, []
        for hook in hooks:
            hook(ctx)
        waiting, self.mempool = self.mempool, []
        if rng is not None:
            rng.shuffle(waiting)
        outcomes = [(item, self._run(ctx, item.messages)) for item in waiting]
        self._commit(ctx)
        for item, outcome in outcomes:
            if not item.done.done():
                item.done.set_result(outcome)
        async with self.cond:
            self.cond.notify_all()

    def _run(self, ctx: Context, messages: Sequence[Message]) -> TxOutcome:
        self.txs += 1
        before = len(ctx.events.events)
        height = ctx.env.height
        try:
            with ctx.branch() as tx:
                for at, message in enumerate(messages):
                    self._handle(tx, at, message)
        except ChainError as error:
            log = f"failed to execute message; message index: {self._at}: {error}"
            return TxOutcome(height=height, code=error.code, codespace=error.codespace, log=log, events=(), tx_hash="")
        events = tuple(ctx.events.events[before:])
        return TxOutcome(height=height, code=0, codespace="", log="", events=events, tx_hash="AA")

    _at = 0

    def _handle(self, ctx: Context, at: int, message: Message) -> None:
        self._at = at
        route = self.routes["/" + message.DESCRIPTOR.full_name]
        sent = type(message).FromString(message.SerializeToString())
        if route.basic is not None:
            route.basic(sent)
        route.handle(ctx, sent)

    def check(self, messages: Sequence[Message]) -> None:
        """CheckTx's judgement of transactions that bring nothing new."""
        self.core.refuse_redundant(self.context(), messages)

    def query(self, path: str, request: Message, height: int | None) -> Whatever:
        if path == "/cosmos.staking.v1beta1.Query/Params":
            raise QueryNotFound(path, self.chain_id, 5, "no staking here")
        if path not in self.queries:
            raise QueryRefused(path, self.chain_id, 12, "unknown query path")
        with self.db.snapshot(height or self.db.height) as snap:
            at_ns = self.light.at(snap.height).header.time
            env = BlockEnv(chain_id=self.chain_id, height=snap.height, time_ns=at_ns.seconds * NS + at_ns.nanos)
            ctx = Context(env=env, app=snap.store("app"), ibc=snap.store("ibc"), events=EventLog(), gas=FreeGas())
            try:
                return self.queries[path].handle(ctx, request)
            except ChainError as error:
                missing = "not found" in str(error)
                raise (QueryNotFound if missing else QueryRefused)(
                    path, self.chain_id, error.code, str(error)
                ) from error

    # What tests do to the chain

    def execute(self, work: Callable[[Context], Whatever]) -> Whatever:
        """A block of its own with any work in it."""
        self.light.next_block(self.db.app_hash, self.light.time_ns + BLOCK_NS)
        ctx = self.context()
        result = work(ctx)
        self._commit(ctx)
        return result

    def fund(self, name: str, denom: str, amount: int) -> None:
        self.execute(lambda ctx: bank.mint(ctx, account(name), (denom, amount)))

    def balance(self, name: str, denom: str) -> int:
        return bank.balance(self.context(), account(name), denom)

    def supply(self, denom: str) -> int:
        return bank.supply(self.context(), denom)

    def submit_soon(self, *messages: Message) -> asyncio.Future[TxOutcome]:
        done: asyncio.Future[TxOutcome] = asyncio.get_running_loop().create_future()
        self.mempool.append(Pending(tuple(messages), done))
        return done

    def transfer_soon(
        self, channel_id: str, coin: tuple[str, int], timeout_ns: int, memo: str = ""
    ) -> asyncio.Future[TxOutcome]:
        message = transfer_tx.MsgTransfer(
            source_port="transfer",
            source_channel=channel_id,
            sender=address("alice"),
            receiver=address("alice"),
            timeout_timestamp=self.light.time_ns + timeout_ns,
            memo=memo,
        )
        message.token.denom, message.token.amount = coin[0], str(coin[1])
        return self.submit_soon(message)


@dataclass
class Faults:
    """Chances of a lost call and of a lost answer; the generator that decides."""

    rng: random.Random
    lost_call: float = 0.0
    lost_answer: float = 0.0
    lost_query: float = 0.0
    duplicate: float = 0.0
    calls: int = 0


@dataclass
class SimParty:
    """`Chain` and `Prover` of a simulated chain, behind a transport with faults."""

    chain_type: ClassVar[type[SimChain]] = SimChain

    sim: SimChain
    faults: Faults
    name: str = "relayer"
    submitted: list[tuple[Message, ...]] = field(default_factory=list)

    @property
    def chain_id(self) -> str:
        return self.sim.chain_id

    @property
    def signer(self) -> str:
        return address(self.name)

    def party(self) -> Party:
        return Party(chain=self, prover=self._prover())

    def _prover(self) -> Prover:
        return self

    async def lose(self, chance: float) -> None:
        self.faults.calls += 1
        for _ in range(self.faults.rng.randrange(3)):
            await asyncio.sleep(0)
        if self.faults.rng.random() < chance:
            raise NodeUnreachable("call", self.chain_id, "lost by the simulation")

    async def head(self) -> Head:
        return Head(height=self.sim.height, time_ns=self.sim.light.time_ns)

    async def wait_above(self, height: int) -> Head:
        async with self.sim.cond:
            await self.sim.cond.wait_for(lambda: self.sim.height > height)
        return await self.head()

    async def events(self, height: int) -> tuple[Event, ...]:
        await self.lose(self.faults.lost_query)
        return self.sim.events[height]

    async def query(self, path: str, request: Message, response: type, height: int | None = None) -> Whatever:
        await self.lose(self.faults.lost_query)
        return self.sim.query(path, request, height)

    async def search(self, kind: str, end: End, sequences: tuple[int, int]) -> tuple[Event, ...]:
        await self.lose(self.faults.lost_query)
        found = []
        for height in sorted(self.sim.events):
            found += [item for item in self.sim.events[height] if item.type == kind]
        keep = []
        for item, fact in zip(found, facts(found), strict=True):
            packet = fact.packet
            here = packet.source if kind == "send_packet" else packet.destination
            if here == end and sequences[0] <= packet.sequence <= sequences[1]:
                keep.append(item)
        return tuple(keep)

    async def updates(self, client_id: str, height: Height) -> tuple[Event, ...]:
        wanted = {("client_id", client_id), ("consensus_height", str(height))}
        known = (item for events in self.sim.events.values() for item in events if item.type == "update_client")
        return tuple(item for item in known if wanted <= set(item.attributes))

    async def submit(self, messages: Sequence[Message]) -> TxOutcome:
        await self.lose(self.faults.lost_call)
        try:
            self.sim.check(messages)
        except ChainError as error:
            self.sim.redundant += 1
            return TxOutcome(
                height=0, code=error.code, codespace=error.codespace, log=str(error), events=(), tx_hash=""
            )
        self.submitted.append(tuple(messages))
        done = self.sim.submit_soon(*messages)
        if self.faults.rng.random() < self.faults.duplicate:
            self.sim.submit_soon(*messages)
        outcome = await done
        await self.lose(self.faults.lost_answer)
        return outcome

    def queued(self) -> int:
        return len(self.sim.mempool)

    async def spendable(self) -> int:
        return 0

    # Prover

    lag = 1

    def height(self, number: int) -> Height:
        return self.sim.light.ibc_height(number)

    async def prove(self, need: Need) -> Evidence:
        await self.lose(self.faults.lost_query)
        head, latest = await self.head(), need.client.latest
        height, headers = latest, ()
        if latest.height < head.height:
            height = self.height(head.height)
            headers = (pack(self.sim.light.update(latest.height, head.height)),)
        proofs = {path: self._proof(path, height.height - self.lag) for path in need.paths}
        return Evidence(height=height, time_ns=head.time_ns, headers=headers, proofs=proofs)

    def _proof(self, path: bytes, height: int) -> Proof:
        with self.sim.db.snapshot(height) as snap:
            value, ops = snap.prove("ibc", path)
        proofs = [ics23.CommitmentProof.FromString(data) for _, _, data in ops]
        return Proof(value=value or b"", data=commitment.MerkleProof(proofs=proofs).SerializeToString())

    async def first_states(self) -> FirstStates:
        await self.lose(self.faults.lost_query)
        consensus = self.sim.light.at(self.sim.height).consensus
        return FirstStates(
            client=pack(self._terms(self.sim.height)), consensus=pack(consensus), time_ns=self.sim.light.time_ns
        )

    def _terms(self, height: int) -> tendermint_client.ClientState:
        terms = build.Terms(
            trusting_period_ns=self.sim.unbonding_ns * 2 // 3,
            unbonding_period_ns=self.sim.unbonding_ns,
            max_clock_drift_ns=30 * NS,
        )
        return build.client_state(self.chain_id, height, terms, (IAVL_SPEC, TENDERMINT_SPEC))

    async def is_genuine(self, client: ClientInfo, consensus: Any) -> bool:
        own = self.sim.light.at(client.latest.height).consensus
        return tendermint_client.ConsensusState.FromString(consensus.value) == own

    async def is_own_form(self, client: ClientInfo) -> bool:
        return tendermint_client.ClientState.FromString(client.state.value) == self._terms(client.latest.height)

    def is_behind(self, client: ClientInfo) -> bool:
        return False

    async def witness(self, head: Head) -> None: ...

    async def conflict(self, client: ClientInfo, header: bytes) -> Any | None:
        submitted = tendermint_client.Header.FromString(Any.FromString(header).value)
        number = submitted.signed_header.header.height
        if submitted.signed_header.header == self.sim.light.at(number).header:
            return None
        own = self.sim.light.update(submitted.trusted_height.revision_height, number)
        return pack(build.misbehaviour(client.client_id, submitted, own))


async def let_run(rounds: int = 400) -> None:
    """Give every task a chance to go on."""
    for _ in range(rounds):
        await asyncio.sleep(0)


def send_echo(sim: SimChain, channel_id: str, data: bytes, timeout_ns: int) -> None:
    """A packet of the echo application, sent by a hook of the next block."""
    outgoing = Outgoing(port_id="echo", channel_id=channel_id, data=data, timeout_ns=sim.light.time_ns + timeout_ns)
    sim.hooks.append(lambda ctx: sim.core.send_packet(ctx, outgoing))
