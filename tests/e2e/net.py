"""The testnet that the end-to-end tests share, and what they do with it: clients, transfers, waiting by blocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from bsmg.client.chain import ChainClient, EventQuery
from bsmg.client.errors import NodeError
from bsmg.client.lane import FeePolicy, Lane, TxOutcome
from bsmg.client.testnet_file import ChainInfo, LinkEnd, TestnetFile, load_testnet
from cosmos_wire.address import to_bech32
from cosmos_wire.protos import bank_query, channel_query, coin, transfer_tx
from ibc_core.host import Event
from processes import control
from processes.watch import POLL_S
from testnet import lifecycle
from testnet.files import Home

A, B = "mga-1", "mgb-1"
C, F = "mgc-1", "mgf-1"
RELAYERS = ("relayer-0", "relayer-1")
TRANSFER, TRADE = "transfer", "trade"
WINDOW_MS = 80_000  # T_act - T_gate = 130 permille of it has to hold five blocks
MIXED_WINDOW_MS = 60_000
# A minute of patience for a tie line's readings and disputes, less what no test disputes.
PATIENCE = "meter_ms = 20_000, disp_ms = 22_000, close_ms = 42_000"
VERSIONS_KEPT = 60  # on the second chain, so that tests see heights pruned
TOPOLOGY = f"""
[[chain]]
id = "{A}"
kind = "cometbft"
cells = 2
gates = {{ window_min_ms = {WINDOW_MS}, {PATIENCE} }}
[[chain]]
id = "{B}"
kind = "cometbft"
cells = 2
versions_kept = {VERSIONS_KEPT}
gates = {{ window_min_ms = {WINDOW_MS}, {PATIENCE} }}
[[link]]
a = "{A}"
b = "{B}"
[relayer]
count = {len(RELAYERS)}
clear_interval_s = 5
"""
GAS = 5_000_000
BLOCKS = 40  # how long a test waits for what should take a few blocks
HANG_S = 240  # a chain that has stopped has no block time
NS_PER_MS = 1_000_000
LONG_MS = 600_000
HASH_HEX = 64

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """The testnet by its folder."""

    home: Home
    ends: tuple[str, str] = (A, B)

    @property
    def file(self) -> TestnetFile:
        """testnet.json as it is now."""
        return load_testnet(self.home.testnet)

    async def kill(self, *names: str) -> None:
        """SIGKILL nodes, relayers or single processes."""
        for name in names:
            await asyncio.to_thread(control.kill, self.home, name)

    async def freeze(self, name: str) -> None:
        """SIGSTOP a process."""
        await asyncio.to_thread(control.freeze, self.home, name)

    async def restart(self, *names: str) -> None:
        """Thaw or start them again."""
        for name in names:
            await asyncio.to_thread(lifecycle.restart, self.home, name)

    @asynccontextmanager
    async def without_relayers(self) -> AsyncIterator[None]:
        """All are killed at the start and come back at the end, whatever happens."""
        names = [relayer["name"] for relayer in self.file.doc["relayers"]]
        await self.kill(*names)
        try:
            yield
        finally:
            await self.restart(*names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One chain with a client and the faucet's lane."""

    info: ChainInfo
    end: LinkEnd
    client: ChainClient
    faucet: Lane

    @property
    def denom(self) -> str:
        """The chain's own token."""
        return self.info.denom

    def channel(self, port: str = TRANSFER) -> str:
        """Channel id of a port of the shared link."""
        return self.end.channels[port].channel_id

    def address(self, name: str) -> str:
        """Address of an account of testnet.json."""
        return self.info.account(name).address

    def lane(self, name: str) -> Lane:
        """Lane of an account of testnet.json."""
        return self.client.lane_of(self.info.account(name), FeePolicy(fixed_gas=GAS))

    async def time_ms(self) -> int:
        """Time of the newest block."""
        return (await self.client.head()).time_ns // NS_PER_MS

    async def balance(self, address: str, denom: str = "") -> int:
        """Base units, by default of the chain's own token."""
        return await self.client.balance(address, denom or self.denom)

    async def supply(self, denom: str) -> int:
        """All there is of a denomination."""
        path, kind = "/cosmos.bank.v1beta1.Query/SupplyOf", bank_query.QuerySupplyOfResponse
        answer = await self.client.query(path, bank_query.QuerySupplyOfRequest(denom=denom), kind)
        return int(answer.amount.amount or 0)

    async def pending(self, port: str = TRANSFER, channel: str = "") -> list[int]:
        """Sequences of packets that were sent and are not finished."""
        request = channel_query.QueryPacketCommitmentsRequest(port_id=port, channel_id=channel or self.channel(port))
        path = "/ibc.core.channel.v1.Query/PacketCommitments"
        answer = await self.client.query(path, request, channel_query.QueryPacketCommitmentsResponse)
        return sorted(item.sequence for item in answer.commitments)

    async def events(self, kind: str, **attributes: str | int) -> list[Event]:
        """Indexed events that have these attributes, of successful transactions and of hooks."""
        wanted = EventQuery(type=kind, attributes={name: str(value) for name, value in attributes.items()})
        return [found.event for found in await self.client.find_events(wanted)]


@asynccontextmanager
async def opened(net: Net, node: int = 0) -> AsyncIterator[tuple[Side, Side]]:
    """Both chains through one of their nodes, the last where there are not so many."""
    file = net.file
    link = file.link(*net.ends)
    infos = [file.chain(chain_id) for chain_id in net.ends]
    clients = [ChainClient.of(info, min(node, len(info.nodes) - 1)) for info in infos]
    try:
        for client in clients:
            await connected(client)
        yield tuple(_side(file, end, client) for end, client in zip((link.a, link.b), clients, strict=True))
    finally:
        for client in clients:
            await client.close()


async def connected(client: ChainClient) -> ChainClient:
    """Connect to a node, which may have been restarted a moment ago."""
    async with asyncio.timeout(HANG_S):
        while True:
            try:
                return await client.connect()
            except NodeError:
                await asyncio.sleep(POLL_S)


def _side(file: TestnetFile, end: LinkEnd, client: ChainClient) -> Side:
    info = file.chain(end.chain_id)
    faucet = client.lane_of(info.account("faucet"), FeePolicy(fixed_gas=GAS))
    return Side(info=info, end=end, client=client, faucet=faucet)


async def until(client: ChainClient, check: Callable[[], Awaitable[T]], what: str, blocks: int = BLOCKS) -> T:
    """The first true answer, asked once a block; fails after `blocks` blocks of that chain."""
    async with asyncio.timeout(HANG_S):
        head = await client.head()
        last = head.height + blocks
        while True:
            answer = await _asked(check)
            if answer:
                return answer
            assert head.height < last, f"{what}: not within {blocks} blocks of {client.chain_id}, got {answer!r}"
            head = await client.feed.wait_above(head.height)


async def _asked(check: Callable[[], Awaitable[T]]) -> T | None:
    """A node that is being restarted has no answer yet."""
    try:
        return await check()
    except NodeError:
        return None


async def until_time(side: Side, time_ms: int) -> None:
    """Wait for a block of that time."""
    async with asyncio.timeout(HANG_S):
        head = await side.client.head()
        while head.time_ns // NS_PER_MS < time_ms:
            head = await side.client.feed.wait_above(head.height)


async def transfer(
    source: Side, target: Side, amount: tuple[str, int], *, timeout_ms: int = 0, channel: str = ""
) -> TxOutcome:
    """ICS-20 from faucet to faucet; `timeout_ms` is block time of the target, ten minutes ahead by default."""
    message = transfer_tx.MsgTransfer(
        source_port=TRANSFER,
        source_channel=channel or source.channel(),
        token=coin.Coin(denom=amount[0], amount=str(amount[1])),
        sender=source.faucet.address,
        receiver=target.faucet.address,
        timeout_timestamp=(timeout_ms or await target.time_ms() + LONG_MS) * NS_PER_MS,
    )
    return await source.faucet.submit([message])


async def nothing_pending(*sides: Side, port: str = TRANSFER) -> bool:
    """Whether no packet of these ends is in flight."""
    return not any([await side.pending(port) for side in sides])


async def quiet(*sides: Side, port: str = TRANSFER) -> None:
    """Wait until every packet is finished."""

    async def done() -> bool:
        return await nothing_pending(*sides, port=port)

    await until(sides[0].client, done, f"packets of {port} finished")


def attributes_of(outcome: TxOutcome, kind: str) -> Mapping[str, str]:
    """Attributes of the first event of a type in a transaction."""
    assert outcome.ok, f"code {outcome.code} of {outcome.codespace}: {outcome.log}"
    return dict(next(event.attributes for event in outcome.events if event.type == kind))


def voucher(end: Side, denom: str) -> str:
    """ICS-20: `ibc/` and SHA-256 of `port/channel/denom` at the receiving end, upper-case hex."""
    return "ibc/" + sha256(f"{TRANSFER}/{end.channel()}/{denom}".encode()).hexdigest().upper()


def escrow_address(channel: str) -> str:
    """ibc-go's GetEscrowAddress: the first 20 bytes of SHA-256(version, 0, port/channel)."""
    return to_bech32(sha256(b"ics20-1\x00" + f"{TRANSFER}/{channel}".encode()).digest()[:20])


async def conserved(source: Side, target: Side) -> bool:
    """With nothing in flight: what is escrowed on one chain is the supply of its voucher on the other."""
    escrowed = await source.balance(escrow_address(source.channel()))
    return escrowed == await target.supply(voucher(target, source.denom))


def topology_file(folder: Path, text: str) -> Path:
    """The topology as `bsmg testnet up` reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "e2e.toml"
    path.write_text(text, encoding="utf-8")
    return path


def mixed_topology(kind: str) -> str:
    """One chain on CometBFT, of four validators beside a real Fabric network, and one on Fabric."""
    validators = {"fabric": 4}.get(kind, 1)
    return f"""
[[chain]]
id = "{C}"
kind = "cometbft"
validators = {validators}
cells = 2
gates = {{ window_min_ms = {MIXED_WINDOW_MS}, {PATIENCE} }}
[[chain]]
id = "{F}"
kind = "{kind}"
cells = 2
gates = {{ window_min_ms = {MIXED_WINDOW_MS}, {PATIENCE} }}
[[link]]
a = "{C}"
b = "{F}"
[relayer]
clear_interval_s = 5
"""
