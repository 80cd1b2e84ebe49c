"""Which chain a command talks to: one of a testnet, or any node by its addresses."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any as Json
from typing import TypeVar

import click

from bsmg.cli.output import note
from bsmg.client.chain import ChainClient
from bsmg.client.comet import CometClient, Endpoints
from bsmg.client.credential import Credential, credential_of
from bsmg.client.keys import read_key_file
from bsmg.client.lane import FeePolicy, parse_gas_price
from bsmg.client.node import NodeClient
from bsmg.client.rpc import Rpc
from bsmg.client.testnet_file import FILE_NAME, ChainInfo, load_testnet
from cosmos_wire.address import PREFIX
from cosmos_wire.errors import ToolError
from fabric_adapter.identity import load_identity
from testnet.files import DEFAULT_HOME

T = TypeVar("T")
PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The flags that name a chain."""

    home: Path
    chain_id: str
    node: int
    rpc: str
    grpc: str
    prefix: str

    def info(self) -> ChainInfo | None:
        """The chain in testnet.json, None when it is named by addresses."""
        if self.rpc or self.grpc:
            return None
        found = load_testnet(self.home / FILE_NAME)
        return found.chain(self.chain_id) if self.chain_id else found.chains[0]

    @property
    def denom(self) -> str:
        """The chain's own token, empty when unknown."""
        info = self.info()
        return info.denom if info else ""

    @asynccontextmanager
    async def client(self) -> AsyncIterator[ChainClient]:
        """A connected client."""
        client = await self._client()
        try:
            yield await client.connect()
        finally:
            await client.close()

    async def _client(self) -> ChainClient:
        info = self.info()
        if info is None and not self.rpc:
            return await self._by_grpc()
        if info is None:
            async with Rpc(self.rpc) as rpc:
                chain_id = self.chain_id or (await rpc.status()).chain_id
            return CometClient(chain_id, Endpoints(rpc=self.rpc, grpc=self.grpc, prefix=self.prefix))
        return ChainClient.of(info, self._number(info))

    def _number(self, info: ChainInfo) -> int:
        """The node's number, refused when the chain has fewer."""
        if self.node >= len(info.nodes):
            raise ToolError(f"--node: expected 0 to {len(info.nodes) - 1}, got {self.node}")
        return self.node

    async def _by_grpc(self) -> NodeClient:
        """Any microgrid by `bsmg.node.v1`: to look, not to send."""
        client = NodeClient(self.chain_id, self.grpc, self.prefix)
        if self.chain_id:
            return client
        try:
            found = await client.status()
        finally:
            await client.close()
        return NodeClient(found.chain_id, self.grpc, self.prefix)

    def credential(self, who: str) -> Credential:
        """What an account of testnet.json signs with, by its name, or the key of a key file.

        On Fabric a file is a member's certificate, NAME.crt of the organisation of `--node`, with NAME.key beside it.
        """
        info = self.info()
        names = [account.name for account in info.accounts] if info else []
        if info and who in names:
            return credential_of(info.account(who))
        if info and Path(who).suffix == ".crt":
            return load_identity(info.nodes[self._number(info)].msp_id, Path(who), Path(who).with_suffix(".key"))
        if Path(who).is_file():
            return read_key_file(Path(who))
        raise ToolError(f"--from: expected a key file or one of {', '.join(names) or 'none'}, got {who!r}")

    def address(self, text: str) -> str:
        """An account's name or a cell's identity becomes its address; anything else stays."""
        info = self.info()
        for account in info.accounts if info else ():
            if text in (account.name, account.identity):
                return account.address
        return text

    def fees(self, gas_price: str) -> FeePolicy:
        """How fees are paid."""
        price, denom = parse_gas_price(gas_price)
        return FeePolicy(price=price, denom=denom or self.denom)


OPTIONS = (
    click.option(
        "--home", "target_home", type=click.Path(path_type=Path), help="The testnet's folder; default $BSMG_TESTNET."
    ),
    click.option("--chain", "chain_id", default="", help="Chain id; default the testnet's first."),
    click.option("--node", default=0, type=click.IntRange(0), help="Which of the chain's nodes is asked."),
    click.option("--rpc", default="", help="A node's RPC, instead of a testnet."),
    click.option("--grpc", default="", help="The same node's gRPC; alone: to look, not to send."),
    click.option("--prefix", default=PREFIX, show_default=True, help="Bech32 prefix of a chain given by --rpc."),
)


def with_target(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags that name a chain; it gets them as its first argument, a Target."""

    @functools.wraps(function)
    def wrapped(**flags: Json) -> None:
        chosen = flags.pop("target_home") or Path(os.environ.get("BSMG_TESTNET", DEFAULT_HOME))
        own = {name: flags.pop(name) for name in ("chain_id", "node", "rpc", "grpc", "prefix")}
        function(Target(home=chosen, **own), **flags)

    for option in reversed(OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def run(target: Target, work: Callable[[ChainClient], Awaitable[T]]) -> T:
    """Run a coroutine with a connected client."""

    async def connected() -> T:
        async with target.client() as client:
            return await patiently(client, work(client))

    return asyncio.run(connected())


async def patiently(client: ChainClient, work: Awaitable[T], patience_s: float = PATIENCE_S) -> T:
    """What the work returns; says that it still waits whenever the chain has made no block for a while."""
    task = asyncio.ensure_future(work)
    try:
        seen = _height(client)
        while not (await asyncio.wait({task}, timeout=patience_s))[0]:
            if (height := _height(client)) == seen:
                note(
                    f"{client.chain_id}: no block after {height} for {patience_s:g} s, waiting on; "
                    "Ctrl-C ends the wait, not a transaction that was sent"
                )
            seen = height
        return task.result()
    finally:
        task.cancel()


def _height(client: ChainClient) -> int:
    return client.feed.head.height if client.feed.head else 0
