"""Which chain and prover belong to a kind of chain, and how they are connected. The only list of kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bsmg.client.chain import ChainClient
from bsmg.client.comet import CometClient, Endpoints
from bsmg.client.credential import member
from bsmg.client.fabric import FabricClient, FabricEndpoints
from bsmg.client.feed import BlockRecord, Head
from bsmg.client.lane import Lane
from cosmos_wire.errors import ToolError
from ibc_core.fabric.wire import EndorsedPayload
from ibc_relayer.batch import Limits
from ibc_relayer.chain import Party
from ibc_relayer.client_chain import ClientChain
from ibc_relayer.client_types import NS
from ibc_relayer.cometbft import CometProver, block_limits
from ibc_relayer.config import COMETBFT, FABRIC_KINDS, TRUSTING_PERIOD_S, ChainConfig
from ibc_relayer.fabric import FabricProver, Wish


class Connection(Protocol):
    """One chain of a configuration."""

    @property
    def client(self) -> ChainClient:
        """Connected by whoever asks for the party."""

    def __init__(self, config: ChainConfig) -> None:
        """Nothing is connected yet."""

    async def party(self) -> tuple[Party, Limits]:
        """What workers get, once the client is connected; raises NodeError."""


class CometConnection:
    """A CometBFT chain, with what its blocks allow."""

    def __init__(self, config: ChainConfig) -> None:
        self.config = config
        self.client = CometClient(config.id, Endpoints(rpc=config.rpc, grpc=config.grpc, prefix=config.bech32_prefix))

    async def party(self) -> tuple[Party, Limits]:
        """Chain, prover, limits."""
        block = await block_limits(self.client.rpc, (await self.client.head()).height)
        lane = self.client.lane(self.config.signing_key(), self.config.fees_within(block.max_gas))
        return party_of(self.client, lane), self.config.limits.within(block.max_bytes)


class FabricConnection:
    """A Fabric microgrid through one organisation's front and peer."""

    def __init__(self, config: ChainConfig) -> None:
        self.config, place = config, config.fabric
        self.identity = member(place.msp_id, place.certificate, config.key)
        endpoints = FabricEndpoints(
            grpc=config.grpc,
            peer=place.peer,
            msp_id=place.msp_id,
            tls_ca=place.tls_ca,
            channel=place.channel,
            chaincode=place.chaincode,
            prefix=config.bech32_prefix,
        )
        self.client = FabricClient(config.id, endpoints, self.identity)

    async def party(self) -> tuple[Party, Limits]:
        """Chain, prover, limits."""
        lane = self.client.lane(self.identity)
        return party_of(self.client, lane, self.config.fabric.trusting_period_s), self.config.limits


class ClientLedger:
    """What the prover needs, by the client library."""

    def __init__(self, client: FabricClient) -> None:
        self.client = client
        self.chain_id, self.scope = client.chain_id, client.scope

    async def head(self) -> Head:
        """The newest tick that the front knows."""
        return await self.client.head()

    async def record(self, height: int) -> BlockRecord:
        """A tick with its time."""
        return await self.client.feed.record(height)

    async def attest(self, wish: Wish) -> EndorsedPayload:
        """Through the gateway."""
        made = await self.client.attest(
            wish.paths, tick=wish.tick, membership_version=wish.membership_version, msp_ids=wish.msp_ids
        )
        return made.endorsed


def party_of(client: ChainClient, lane: Lane, trusting_period_s: int = TRUSTING_PERIOD_S) -> Party:
    """A side of a path, of a client and a lane of it; `trusting_period_s` of a new client of a Fabric microgrid."""
    chain = ClientChain(client, lane)
    if isinstance(client, CometClient):
        return Party(chain=chain, prover=CometProver(client))
    if isinstance(client, FabricClient):
        return Party(chain=chain, prover=FabricProver(ClientLedger(client), trusting_period_s * NS))
    raise ToolError(f"{client.chain_id}: expected a chain of kind {', '.join(CONNECTIONS)}, got {client.kind}")


CONNECTIONS: Mapping[str, type[Connection]] = {
    COMETBFT: CometConnection,
    **dict.fromkeys(FABRIC_KINDS, FabricConnection),
}
