"""One client on one chain, with a clock that is moved by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from cosmos_wire.protos import Any, Message, client_tx, fabric_client
from ibc_core.client import Clients
from ibc_core.fabric import build
from ibc_core.fabric.client import FabricClient
from ibc_core.fabric.membership import write_members
from ibc_core.fabric.wire import pack
from ibc_core.host import BlockEnv, Context, EventLog, FreeGas, MemoryStore
from ibc_core.light_client import Height, Proof, Status
from tests.fabric_client.network import SECOND_NS, Network
from tests.ibc.harness import RELAYER

TRUSTING_S, DRIFT_S = 3600, 10
TERMS = build.Terms(trusting_period_ns=TRUSTING_S * SECOND_NS, max_clock_drift_ns=DRIFT_S * SECOND_NS)
PATH = b"commitments/ports/transfer/channels/channel-0/sequences/1"
RECEIPT = b"receipts/ports/transfer/channels/channel-0/sequences/1"


def height(number: int) -> Height:
    return Height(1, number)


@dataclass(kw_only=True)
class Host:
    """A CometBFT chain's IBC store with a client of a Fabric network."""

    net: Network = field(default_factory=Network)
    store: MemoryStore = field(default_factory=MemoryStore)
    client: FabricClient = field(default_factory=FabricClient)
    client_id: str = ""
    now_ns: int = 0
    block: int = 10

    def __post_init__(self) -> None:
        self.clients = Clients({FabricClient.type_url: self.client})
        self.now_ns = self.net.time_ns
        self.client_id = self.create()

    def ctx(self) -> Context:
        self.block += 1
        env = BlockEnv(chain_id="mga-1", height=self.block, time_ns=self.now_ns)
        return Context(env=env, app=MemoryStore(), ibc=self.store, events=EventLog(), gas=FreeGas())

    def first_states(self) -> tuple[fabric_client.ClientState, fabric_client.ConsensusState]:
        net = self.net
        state = build.client_state(net.scope, net.height, write_members(net.members), TERMS)
        return state, build.consensus_state(net.time_ns, net.members.version)

    def create(self, state: Message | None = None, consensus: Message | None = None) -> str:
        mine, first = self.first_states()
        msg = client_tx.MsgCreateClient(
            client_state=pack(state or mine), consensus_state=pack(consensus or first), signer=RELAYER
        )
        return self.clients.create(self.ctx(), msg).client_id

    def state(self) -> fabric_client.ClientState:
        packed = Any.FromString(self.store.get(f"clients/{self.client_id}/clientState".encode()))
        return fabric_client.ClientState.FromString(packed.value)

    def status(self) -> Status:
        return self.clients.status(self.ctx(), self.client_id)

    def update(self, message: Message) -> None:
        """MsgUpdateClient; nothing stays of a refused one."""
        msg = client_tx.MsgUpdateClient(client_id=self.client_id, client_message=pack(message), signer=RELAYER)
        with self.ctx().branch() as tx:
            self.clients.update(tx, msg)

    def follow(self, membership_version: int = 0) -> None:
        """Take the client to the network's last tick."""
        self.now_ns = max(self.now_ns, self.net.time_ns)
        self.update(self.net.header(membership_version))

    def check(
        self, endorsed: fabric_client.EndorsedPayload, path: bytes, value: bytes | None, at: int | None = None
    ) -> None:
        """Check a proof of a value, or of absence; raises what the client raises."""
        proof = Proof(height=height(at or self.net.height), data=build.proof(endorsed))
        if value is None:
            self.client.verify_non_membership(self.ctx(), self.client_id, proof, path)
        else:
            self.client.verify_membership(self.ctx(), self.client_id, proof, path, value)
