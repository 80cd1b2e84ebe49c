"""A simulated Fabric microgrid: the simulated chain's blocks are ticks, test organisations attest the last one.

The relayer's own prover runs over it; the chaincode's part is `ibc_core.fabric.records.attest` over the chain's state.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bsmg.client.blocks import BlockResults
from bsmg.client.errors import NodeUnreachable
from bsmg.client.feed import BlockRecord, Head
from cosmos_wire.errors import ChainError, ToolError
from ibc_core.fabric import records
from ibc_core.fabric.records import Scope
from ibc_core.fabric.wire import EndorsedPayload
from ibc_core.host import Context
from ibc_relayer.chain import Prover
from ibc_relayer.client_types import NS
from ibc_relayer.fabric import FabricProver, Wish
from tests.fabric_client.network import Network, Signer
from tests.relayer.sim import DAY_NS, SimChain, SimParty


class SimFabric(SimChain):
    """Tick n attests the state after block n."""

    def __init__(self, chain_id: str, home: Path, unbonding_ns: int = 21 * DAY_NS) -> None:
        self.fabric = Network(scope=Scope(chain_id=chain_id, channel_id="energy", namespace="microgrid"))
        self.is_down = False
        self.asked: int | None = None  # how many the chaincode's policy is content with; None: all
        super().__init__(chain_id, home, unbonding_ns)

    def _commit(self, ctx: Context) -> None:
        super()._commit(ctx)
        for path, value in ctx.ibc.changes.items():
            self.fabric.put(path, value)
        self.fabric.height, self.fabric.time_ns = ctx.env.height, ctx.env.time_ns
        self.fabric.write_tick()

    def signers_of(self, msp_ids: tuple[str, ...]) -> tuple[Signer, ...]:
        """Who endorses: as the chaincode's policy says, or one of each organisation that is named."""
        found = {one.msp_id: one for one in self.fabric.signers}
        missing = [msp_id for msp_id in msp_ids if msp_id not in found]
        if missing:
            raise NodeUnreachable("attest", self.chain_id, f"failed to find any endorsing peers for org(s): {missing}")
        return tuple(found[msp_id] for msp_id in msp_ids) if msp_ids else self.fabric.signers[: self.asked]


@dataclass
class SimLedger:
    """What the prover sees of it, behind a transport with faults."""

    party: SimFabricParty

    @property
    def chain_id(self) -> str:
        return self.party.sim.chain_id

    @property
    def scope(self) -> Scope:
        return self.party.fabric.fabric.scope

    async def head(self) -> Head:
        return await self.party.head()

    async def record(self, height: int) -> BlockRecord:
        if height > self.party.sim.height:
            raise ToolError(f"block {height}: expected one up to {self.party.sim.height}")
        time = self.party.sim.light.at(height).header.time
        results = BlockResults(height=height, txs=(), hook_events=())
        return BlockRecord(height=height, time_ns=time.seconds * NS + time.nanos, txs=(), tx_hashes=(), results=results)

    async def attest(self, wish: Wish) -> EndorsedPayload:
        chain = self.party.fabric
        await self.party.lose(self.party.faults.lost_query)
        if chain.is_down:
            raise NodeUnreachable("attest", chain.chain_id, "down in the simulation")
        net, everyone = chain.fabric, chain.fabric.signers
        args = records.attest_args(net.height, wish.paths, tick=wish.tick, membership_version=wish.membership_version)
        net.signers = chain.signers_of(wish.msp_ids)
        try:
            return net.attest(args)
        except ChainError as error:
            raise ToolError(f"attest: {error}") from error
        finally:
            net.signers = everyone


@dataclass
class SimFabricParty(SimParty):
    """`Chain` of the simulation, and the real prover."""

    chain_type: ClassVar[type[SimChain]] = SimFabric

    @property
    def fabric(self) -> SimFabric:
        assert isinstance(self.sim, SimFabric)
        return self.sim

    def _prover(self) -> Prover:
        return FabricProver(SimLedger(self), self.sim.unbonding_ns * 2 // 3)
