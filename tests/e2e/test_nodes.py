"""Validators that are killed and frozen: the chain goes on, and who comes back has the same state."""

from __future__ import annotations

import asyncio
import base64
import random
from dataclasses import dataclass

import pytest

from bsmg.client.errors import NodeError
from bsmg.client.rpc import Rpc
from processes import control
from tests.e2e.load import PAYMENT, under_load
from tests.e2e.net import Net, Side, opened, until

pytestmark = pytest.mark.e2e
ASIDE = 4  # blocks that the others make meanwhile
COMPARED = 12  # heights at which the two nodes are compared
SEED = 20_261_121


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One validator of the first chain by its RPC."""

    moniker: str
    rpc: Rpc

    async def height(self) -> int:
        """Its newest block, 0 while it doesn't answer."""
        try:
            return (await self.rpc.status()).height
        except NodeError:
            return 0

    async def app(self) -> tuple[int, str]:
        """What its application says of itself: last height and app hash."""
        response = (await self.rpc.call("abci_info"))["response"]
        return int(response["last_block_height"]), str(response["last_block_app_hash"])


def node_of(side: Side, number: int) -> Node:
    info = side.info.nodes[number]
    return Node(moniker=info.moniker, rpc=Rpc(info.rpc))


async def blocks(side: Side, count: int) -> int:
    """Wait until the chain, seen from another node, has made so many more."""
    head = await side.client.head()
    return (await side.client.feed.wait_above(head.height + count - 1)).height


async def caught_up(side: Side, node: Node) -> int:
    """At the head with the others, and with the same app hash at the same heights; returns its height."""

    async def there() -> bool:
        return await node.height() >= (await side.client.head()).height - 1 > 0

    await until(side.client, there, f"{node.moniker} at the head")
    return await same_state(side, node)


async def same_state(side: Side, node: Node) -> int:
    """Headers of the last blocks, and the application's own word for its last one."""
    top = min(await node.height(), (await side.client.head()).height)
    for height in range(max(1, top - COMPARED), top + 1):
        mine, theirs = await node.rpc.header(height), await side.client.rpc.header(height)
        assert mine == theirs, f"{node.moniker} at {height}"
    height, app_hash = await node.app()
    await side.client.feed.wait_above(height)
    committed = (await side.client.rpc.header(height + 1)).app_hash
    assert committed == base64.b64decode(app_hash), f"application of {node.moniker} at {height}"
    return height


async def test_a_killed_validator_is_missed_by_nobody_and_catches_up(net: Net) -> None:
    async with opened(net) as (a, _):
        node = node_of(a, 3)
        await net.kill(node.moniker)
        try:
            stopped = await blocks(a, 1)
            passed = await blocks(a, ASIDE)
            assert passed >= stopped + ASIDE
            assert await node.height() == 0
        finally:
            await net.restart(node.moniker)
        assert await caught_up(a, node) >= passed
        await node.rpc.close()


async def test_a_frozen_validator_thaws_and_goes_on(net: Net) -> None:
    async with opened(net) as (a, _):
        node = node_of(a, 2)
        await asyncio.to_thread(control.freeze, net.home, node.moniker)
        try:
            passed = await blocks(a, ASIDE)
        finally:
            await net.restart(node.moniker)
        assert await caught_up(a, node) >= passed
        await node.rpc.close()


async def test_app_killed_at_random_moments_under_load(net: Net) -> None:
    """CometBFT ends with its application; both come back, replay, and agree."""
    rng = random.Random(SEED)
    async with opened(net) as (a, _):
        node = node_of(a, 1)
        recipient = a.address("relayer")
        start = await a.balance(recipient)
        async with under_load(a, recipient) as load:
            for _ in range(3):
                await blocks(a, rng.randint(1, 2))
                await asyncio.sleep(rng.random())  # anywhere within a block
                await net.kill(f"{node.moniker}/app")
                await comet_ended(net, a, node)
                await net.restart(node.moniker)
                await caught_up(a, node)
        assert all(outcome.ok for outcome in load.outcomes), [one.log for one in load.outcomes if not one.ok][:3]
        assert await a.balance(recipient) == start + PAYMENT * len(load.outcomes)
        assert len(load.outcomes) > 3
        await node.rpc.close()


async def comet_ended(net: Net, side: Side, node: Node) -> None:
    name = f"{node.moniker}/cometbft"

    async def ended() -> bool:
        table = (await asyncio.to_thread(control.ask, net.home, "status"))["processes"]
        return not table[name]["alive"]

    await until(side.client, ended, f"{name} ended with its application")


async def test_without_its_query_process_a_node_says_so_and_goes_on(net: Net) -> None:
    async with opened(net) as (a, _):
        node = node_of(a, 1)
        await net.kill(f"{node.moniker}/query")
        try:
            answer = await node.rpc.abci_query("store/ibc/key", b"clients/07-tendermint-0/clientState", prove=True)
            assert (answer.codespace, answer.code) == ("sdk", 35)
            assert "query process of this node" in answer.log
            before = await node.height()
            await blocks(a, ASIDE)
            assert await node.height() >= before + ASIDE - 1
        finally:
            await net.restart(f"{node.moniker}/query")

        async def answers() -> bool:
            return (await node.rpc.abci_query("store/ibc/key", b"clients/07-tendermint-0/clientState")).value != b""

        await until(a.client, answers, "queries")
        await node.rpc.close()


async def test_all_validators_killed_at_once_come_back_with_every_payment(net: Net) -> None:
    """A power cut: twelve processes end in the middle of a block under load; nothing that was committed is lost."""
    async with opened(net) as (a, _):
        recipient, everyone = a.address("relayer-0"), [info.moniker for info in a.info.nodes]
        start = await a.balance(recipient)
        async with under_load(a, recipient) as load:
            await blocks(a, 2)
            await net.kill(*[f"{name}/{role}" for role in ("app", "cometbft", "query") for name in everyone])
            await net.restart(*everyone)
            await blocks(a, 2)
        assert all(outcome.ok for outcome in load.outcomes), [one.log for one in load.outcomes if not one.ok][:3]
        assert await a.balance(recipient) == start + PAYMENT * len(load.outcomes)
        for number in range(1, len(everyone)):
            node = node_of(a, number)
            assert await caught_up(a, node) > 0
            await node.rpc.close()
