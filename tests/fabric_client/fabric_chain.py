"""The IBC harness with a Fabric microgrid as one of its chains: every block is a tick, every proof is endorsed."""

from __future__ import annotations

from collections.abc import Mapping

from cosmos_wire.protos import Any
from ibc_core.fabric import build
from ibc_core.fabric.client import FabricClient
from ibc_core.fabric.membership import write_members
from ibc_core.fabric.records import Scope
from ibc_core.fabric.wire import pack
from ibc_core.light_client import Height, LightClient
from ibc_core.tendermint.client import TendermintClient
from tests.fabric_client.network import SECOND_NS, Network
from tests.ibc.harness import HOUR_NS, AppFactory, Chain, Coordinator

TERMS = build.Terms(trusting_period_ns=14 * 24 * HOUR_NS, max_clock_drift_ns=30 * SECOND_NS)

BOTH: Mapping[str, LightClient] = {
    FabricClient.type_url: FabricClient(),
    TendermintClient.type_url: TendermintClient(),
}


class FabricChain(Chain):
    """Tick n attests the state after block n."""

    def __init__(self, chain_id: str, net: Coordinator, apps: Mapping[str, AppFactory]) -> None:
        scope = Scope(chain_id=chain_id, channel_id="energy", namespace="microgrid")
        self.fabric = Network(scope=scope)
        self.fabric.height = 0
        super().__init__(chain_id, net, apps)

    def client_types(self) -> Mapping[str, LightClient]:
        return BOTH

    def commit(self) -> None:
        fabric = self.fabric
        for key in [key for key in fabric.ledger if key.startswith("ibc/")]:
            del fabric.ledger[key]
        for path, value in self.ibc.data.items():
            fabric.put(path, value)
        fabric.height, fabric.time_ns = self.height + 1, self.net.time_ns
        fabric.write_tick()
        super().commit()

    def client_states(self) -> tuple[Any, Any]:
        membership = write_members(self.fabric.members)
        state = build.client_state(self.fabric.scope, self.height, membership, TERMS)
        return pack(state), pack(build.consensus_state(self.fabric.time_ns, membership.version))

    def header(self, trusted: Height) -> Any:  # noqa: ARG002  (any tick follows any other)
        return pack(self.fabric.header())

    def prove(self, key: bytes) -> bytes:
        return build.proof(self.fabric.proof(key))
