"""The IBC harness with this microgrid as one of its chains, and a whole CometBFT application as the other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path as FilePath
from typing import Any as Whatever

from cosmos_wire.protos import Any, Message, abci, base_abci
from ibc_core.fabric import build
from ibc_core.fabric.membership import write_members
from ibc_core.fabric.wire import pack
from ibc_core.host import Context, Event, EventLog, FreeGas, MemoryStore
from ibc_core.light_client import Height, LightClient
from tests.app.chain import START_S
from tests.app.pair import ROUTES, AppChain
from tests.fabric_chaincode.test_ticks import FakeStub
from tests.fabric_chaincode.world import CHAIN, SCOPE, SECOND_NS, Cast, Grid, Member
from tests.fabric_client.fabric_chain import BOTH, TERMS
from tests.ibc.harness import AppFactory, Chain, Coordinator

COMET = "mga-1"
PAUSE_NS = SECOND_NS // 5  # from a tick to whatever comes next


class CometChain(AppChain):
    """The application takes clients of both kinds; so does the harness's view of it."""

    def client_types(self) -> Mapping[str, LightClient]:
        return BOTH

    def pass_to(self, time_ns: int) -> list[Event]:
        """An empty block at a time; what its hooks emit."""
        found: list[abci.ResponseFinalizeBlock] = []
        plain = self.node.finalize_block

        def noted(request: abci.RequestFinalizeBlock) -> abci.ResponseFinalizeBlock:
            found.append(plain(request))
            return found[-1]

        self.net.time_ns = max(self.net.time_ns, time_ns)
        self.node.finalize_block = noted  # type: ignore[method-assign]  # only for this block
        self.block()
        self.node.finalize_block = plain  # type: ignore[method-assign]  # as it was
        self.events = [event_of(item) for item in found[0].events]
        return self.events


def event_of(item: abci.Event) -> Event:
    return Event(item.type, tuple((part.key, part.value) for part in item.attributes))


class GridChain(Chain):
    """Every block is a Tick; the relayer is a member without coins."""

    def __init__(self, grid: Grid, chain_id: str, net: Coordinator, apps: Mapping[str, AppFactory]) -> None:
        self.grid = grid
        super().__init__(chain_id, net, apps)

    def client_types(self) -> Mapping[str, LightClient]:
        return BOTH

    def genesis(self, docs: Mapping[str, Mapping[str, object]]) -> None:  # noqa: ARG002  (the grid's own)
        self.grid.found()
        self._look()

    def _look(self) -> None:
        """What the harness reads of a chain."""
        self.height = self.grid.record.height
        self.ibc = MemoryStore()
        for key, value in self.grid.pairs("ibc/", "ibc0").items():
            self.ibc.set(bytes.fromhex(key[4:]), value)

    def context(self, events: EventLog | None = None) -> Context:
        state = next(iter(self.grid.programs.values()))._current(FakeStub(self.grid))
        app, ibc = state.stores["app"], state.stores["ibc"]
        return Context(env=state.env, app=app, ibc=ibc, events=events or EventLog(), gas=FreeGas())

    view = context

    def deliver(self, *messages: Message) -> list[Whatever]:
        for message in messages:
            setattr(message, ROUTES["/" + message.DESCRIPTOR.full_name].signer, self.grid.cast.relayer.text)
        return self.send(self.grid.cast.relayer, *messages)

    def pass_to(self, time_ns: int) -> list[Event]:
        """An empty tick at a time."""
        self.net.time_ns = max(self.net.time_ns, time_ns)
        self.deliver()
        return self.events

    def send(self, who: Member, *messages: Message) -> list[Whatever]:
        """One tick with one transaction, or none."""
        grid = self.grid
        grid.now_ns = max(self.net.time_ns, grid.record.time_ns + 1)
        sent = [grid.submit(who, *messages)] if messages else []
        event = grid.tick(*sent, step_ns=0)
        self.net.time_ns = grid.now_ns + PAUSE_NS
        self._look()
        found = list(event.results.events)
        responses: list[Whatever] = []
        for result in event.results.tx_results:
            assert result.code == 0, result.log
            found += result.events
            answers = base_abci.TxMsgData.FromString(result.data).msg_responses
            kinds = [ROUTES["/" + message.DESCRIPTOR.full_name].response for message in messages]
            responses += [kind.FromString(item.value) for kind, item in zip(kinds, answers, strict=True)]
        self.events = [event_of(item) for item in found]
        return responses

    def client_states(self) -> tuple[Any, Any]:
        membership = write_members(self.grid.cast.members)
        state = build.client_state(SCOPE, self.height, membership, TERMS)
        return pack(state), pack(build.consensus_state(self.grid.record.time_ns, membership.version))

    def header(self, trusted: Height) -> Any:  # noqa: ARG002  (any tick follows any other)
        return pack(build.header(self.grid.attest(tick=True)))

    def prove(self, key: bytes) -> bytes:
        return build.proof(self.grid.attest(key))


def pair(cast: Cast, folder: FilePath) -> Coordinator:
    """Both chains after their first block; `a` of a path is the Fabric one."""
    net = Coordinator(make=partial(CometChain, folder))
    net.time_ns = START_S * SECOND_NS
    grid = Grid(cast, folder / "ledger")
    net.chains[CHAIN] = GridChain(grid, CHAIN, net, {})
    net.chains[COMET] = CometChain(folder, COMET, net, {})
    for chain in net.chains.values():
        chain.genesis({})
    return net


def close(net: Coordinator) -> None:
    """End threads and databases."""
    grid, comet = net.chains[CHAIN], net.chains[COMET]
    assert isinstance(grid, GridChain)
    assert isinstance(comet, AppChain)
    grid.grid.close()
    comet.server.close()
    comet.db.close()
