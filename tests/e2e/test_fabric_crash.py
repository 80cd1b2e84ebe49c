"""Processes of a chain on Fabric die in mid-flight and come back: nothing is lost, nothing comes twice."""

from __future__ import annotations

import asyncio

from bsmg.client.chain import ChainClient
from bsmg.client.fabric import FabricClient
from fabric_adapter.gateway import Patience
from tests.e2e.net import HANG_S, F, Net, Side, connected, conserved, opened, quiet, transfer, voucher

LONG = Patience(
    total_s=HANG_S / 2, status_s=HANG_S
)  # a machine that others use takes its time to start a process again
BURST = 12
ASIDE = 4  # blocks that are made while a process is away
VICTIMS = {
    "fabric-embedded": ("ledger", "org1/front"),
    "fabric": ("orderer", "org1/peer", "org2/peer", "chaincode", "org1/front"),
}


async def sent_both_ways(comet: Side, fabric: Side) -> None:
    """A burst that is refused nowhere, whatever dies meanwhile."""
    ways = [transfer(comet, fabric, (comet.denom, 1)) for _ in range(BURST)]
    ways += [transfer(fabric, comet, (fabric.denom, 1)) for _ in range(BURST)]
    outcomes = await asyncio.gather(*ways)
    assert all(one.ok for one in outcomes), [one.log for one in outcomes if not one.ok][:3]


async def test_each_process_is_killed_under_load_and_comes_back(mixed: Net) -> None:
    async with opened(mixed) as (comet, fabric):
        assert isinstance(fabric.client, FabricClient)
        fabric.client.patience = LONG
        await quiet(comet, fabric)
        ours, theirs = voucher(fabric, comet.denom), voucher(comet, fabric.denom)
        start = await fabric.balance(fabric.faucet.address, ours), await comet.balance(comet.faucet.address, theirs)
        victims = VICTIMS[fabric.info.kind]
        for victim in victims:
            async with asyncio.TaskGroup() as group:
                group.create_task(sent_both_ways(comet, fabric))
                head = await fabric.client.head()
                await fabric.client.feed.wait_above(head.height)  # the burst is on its way
                await mixed.kill(f"{F}-{victim}")
                head = await comet.client.head()
                await comet.client.feed.wait_above(head.height)
                await mixed.restart(f"{F}-{victim}")
            await quiet(comet, fabric)
        count = BURST * len(victims)
        assert await fabric.balance(fabric.faucet.address, ours) == start[0] + count
        assert await comet.balance(comet.faucet.address, theirs) == start[1] + count
        assert await conserved(comet, fabric)
        assert await conserved(fabric, comet)


async def test_another_organisation_writes_while_the_writer_is_away(mixed: Net) -> None:
    await mixed.kill(f"{F}-org1/front")
    try:
        async with opened(mixed, node=1) as (comet, fabric):
            head = await fabric.client.head()
            await fabric.client.feed.wait_above(head.height + ASIDE - 1)
            outcome = await transfer(fabric, comet, (fabric.denom, 1))
            assert outcome.ok, outcome.log
    finally:
        await mixed.restart(f"{F}-org1/front")
    await same_blocks(mixed, outcome.height)


async def same_blocks(mixed: Net, height: int) -> None:
    """Who was away has every block that was made meanwhile."""
    info = mixed.file.chain(F)
    records = []
    for node in range(2):
        client = await connected(ChainClient.of(info, node))
        try:
            await client.feed.wait_above(height)
            records.append([await client.feed.record(number) for number in range(height - ASIDE, height + 1)])
        finally:
            await client.close()
    assert records[0] == records[1]


async def test_a_frozen_ledger_goes_on_where_it_stood(mixed: Net) -> None:
    async with opened(mixed) as (comet, fabric):
        name = {"fabric": "orderer"}.get(fabric.info.kind, "ledger")
        before = await comet.client.head()
        await mixed.freeze(f"{F}-{name}")
        try:
            await comet.client.feed.wait_above(before.height + ASIDE)
        finally:
            await mixed.restart(f"{F}-{name}")
        assert (await transfer(fabric, comet, (fabric.denom, 1))).ok
        await quiet(comet, fabric)
        assert await conserved(fabric, comet)
