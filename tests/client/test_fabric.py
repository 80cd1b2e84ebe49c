"""Attestations, membership and blocks of a Fabric microgrid through the client library."""

import asyncio
import time

import pytest

from bsmg.client.errors import NodeError
from cosmos_wire.errors import ToolError
from ibc_core.fabric.membership import read_members
from ibc_core.fabric.verifier import Trust, verify
from tests.client.fake_fabric import SCOPE, fake_fabric, time_ns


@pytest.fixture
async def net(tmp_path):
    async with fake_fabric(tmp_path) as made:
        yield made


@pytest.fixture
async def chain(net):
    async with net.client() as made:
        yield made


async def test_attestations_convince_the_light_client(net, chain):
    await net.tick()
    await chain.feed.wait_above(1)
    membership = await chain.membership()
    found = await chain.attest([b"path", b"nothing"], membership_version=1)
    assert (found.height, found.time_ns) == (2, time_ns(2))
    assert found.values == {b"path": b"2", b"nothing": None}
    assert found.tick.membership_version == 1
    trust = Trust(scope=SCOPE, members=read_members(membership), now_ns=time.time_ns())
    assert verify(trust, found.endorsed).values == found.values


async def test_a_tick_that_moves_on_is_asked_again(net, chain):
    """The front is behind its peers: the last height is what the peers say."""
    for _ in range(3):
        await net.writer.transact("microgrid", [b"Tick", b"[]"])
    assert (await chain.head()).height == 1
    found = await chain.attest([b"path"])
    assert (found.height, found.values) == (4, {b"path": b"4"})


async def test_many_attestations_while_ticks_go_on(net, chain):
    jobs = [chain.attest([b"path"]) for _ in range(30)]
    for found in await net.ticking(*jobs):
        assert found.values == {b"path": str(found.height).encode()}


async def test_a_membership_that_is_absent_is_named(chain):
    with pytest.raises(NodeError, match="expected membership 9"):
        await chain.membership(9)


async def test_too_many_paths(chain):
    with pytest.raises(ToolError, match="at most 128 paths, got 129"):
        await chain.attest([str(n).encode() for n in range(129)])


async def test_the_feed_waits_in_one_question(net, chain):
    asked = net.front.asked
    for height in range(2, 6):
        waiting = asyncio.ensure_future(chain.feed.wait_above(height - 1))
        await net.tick()
        assert (await waiting).height == height
    assert net.front.asked <= asked + 6
    record = await chain.feed.record(3)
    assert (record.height, record.time_ns, record.txs) == (3, time_ns(3), ())


async def test_another_chain_at_the_address_is_refused(net):
    made = net.client()
    made.feed.chain_id = "other-1"
    with pytest.raises(ToolError, match="expected chain other-1, got mgf-1"):
        await made.connect()
    await made.close()
