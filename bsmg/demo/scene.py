"""A running testnet with everything that the day needs at hand: watching clients, the faucets' lanes, logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bsmg.client.chain import ChainClient
from bsmg.client.lane import FeePolicy, Lane, TxOutcome
from bsmg.client.testnet_file import LinkEnd, TestnetFile, load_testnet
from bsmg.demo.collect import ChainLog, follow
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import coin, transfer_tx

GAS_LIMIT = 5_000_000
TRANSFER_PORT = "transfer"
MS, NS_PER_MS = 1_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Way:
    """One direction of a link: the end that sends, and the end that receives."""

    near: LinkEnd
    far: LinkEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Chains by id."""

    net: TestnetFile
    chains: Mapping[str, ChainClient]
    faucets: Mapping[str, Lane]
    logs: dict[str, ChainLog]

    def ways(self) -> list[Way]:
        """Every direction of every link."""
        return [way for link in self.net.links for way in (Way(link.a, link.b), Way(link.b, link.a))]

    def way(self, source: str, target: str) -> Way:
        """From one chain to another that it is linked with."""
        link = self.net.link(source, target)
        return Way(link.a, link.b)

    def channel_ends(self) -> dict[tuple[str, str], str]:
        """(chain, channel) -> the chain behind it, for every channel."""
        ends: dict[tuple[str, str], str] = {}
        for link in self.net.links:
            for near, far in ((link.a, link.b), (link.b, link.a)):
                ends |= {(near.chain_id, info.channel_id): far.chain_id for info in near.channels.values()}
        return ends

    async def read(self) -> None:
        """Bring every log up to its chain's head."""
        await asyncio.gather(*(self._read(chain_id) for chain_id in self.chains))

    async def _read(self, chain_id: str) -> None:
        head = await self.chains[chain_id].head()
        await follow(self.chains[chain_id], self.logs[chain_id], head.height)

    async def send(self, way: Way, tokens: int, timeout_ms: int) -> TxOutcome:
        """ICS-20 of the sender's own token from faucet to faucet; `timeout_ms` is block time of the receiving chain."""
        source, target = way.near.chain_id, way.far.chain_id
        message = transfer_tx.MsgTransfer(
            source_port=TRANSFER_PORT,
            source_channel=way.near.channels[TRANSFER_PORT].channel_id,
            token=coin.Coin(denom=self.net.chain(source).denom, amount=str(tokens)),
            sender=self.faucets[source].address,
            receiver=self.faucets[target].address,
            timeout_timestamp=timeout_ms * NS_PER_MS,
        )
        outcome = await self.faucets[source].submit([message])
        if not outcome.ok:
            raise ToolError(f"transfer on {source}: expected code 0, got {outcome.code}: {outcome.log}")
        return outcome

    async def time_ms(self, chain_id: str) -> int:
        """Time of a chain's newest block."""
        return (await self.chains[chain_id].head()).time_ns // NS_PER_MS

    async def until(self, chain_id: str, time_ms: int) -> None:
        """Wait for a block of that time."""
        feed, head = self.chains[chain_id].feed, await self.chains[chain_id].head()
        while head.time_ns // NS_PER_MS < time_ms:
            head = await feed.wait_above(head.height)


@asynccontextmanager
async def open_scene(testnet: Path) -> AsyncIterator[Scene]:
    """Connect to the first node of every chain; closes all at the end."""
    net = load_testnet(testnet)
    chains = {info.chain_id: ChainClient.of(info) for info in net.chains}
    try:
        for client in chains.values():
            await client.connect()
        faucets = {
            info.chain_id: chains[info.chain_id].lane_of(info.account("faucet"), FeePolicy(fixed_gas=GAS_LIMIT))
            for info in net.chains
        }
        logs = {chain_id: ChainLog(chain_id=chain_id) for chain_id in chains}
        yield Scene(net=net, chains=chains, faucets=faucets, logs=logs)
    finally:
        await asyncio.gather(*(client.close() for client in chains.values()))
