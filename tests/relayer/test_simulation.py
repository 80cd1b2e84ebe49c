"""Invariants of a pair of chains with a relayer between them: every packet ends, nothing is lost or made."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import channel_tx, client_tx
from cosmos_wire.tx import pack
from ibc_core.tendermint import build
from ibc_core.transfer.denom import Denom
from ibc_relayer.clients import client_info, create_client
from ibc_relayer.discover import find_path, unused_client
from ibc_relayer.filter import PacketFilter
from ibc_relayer.handshake import ChannelSpec, PathIds, create_path
from ibc_relayer.metrics import Metrics
from ibc_relayer.worker import PathSpec, PathWorker
from tests.relayer.sim import HOUR_NS, NS, Faults, SimParty, let_run, send_echo
from tests.tendermint.testgen import seal

TRANSFER = ChannelSpec(ports=("transfer", "transfer"), version="ics20-1")
ECHO = ChannelSpec(ports=("echo", "echo"), version="echo-1")
ORDERED_ECHO = ChannelSpec(ports=("echo", "echo"), version="echo-1", ordered=True)
SUPPLY = 10**9
VOUCHER = Denom("bmga", (("transfer", "channel-0"),)).ledger_name


class World:
    kinds: tuple[type[SimParty], type[SimParty]] = (SimParty, SimParty)

    def __init__(self, home, seed=1, unbonding_ns=21 * 86_400 * NS):
        self.rng = random.Random(seed)
        self.faults = Faults(rng=self.rng)
        self.a, self.b = (
            kind.chain_type(name, home, unbonding_ns) for kind, name in zip(self.kinds, ("mga-1", "mgb-1"), strict=True)
        )
        self.a.fund("alice", "bmga", SUPPLY)
        self.b.fund("alice", "bmgb", SUPPLY)
        self.pair = (self.kinds[0](self.a, self.faults), self.kinds[1](self.b, self.faults))
        self.parties = (self.pair[0].party(), self.pair[1].party())
        self.ids: PathIds | None = None

    async def blocks(self, count=1, *, shuffle=False):
        for _ in range(count):
            await self.a.make_block(self.rng if shuffle else None)
            await self.b.make_block(self.rng if shuffle else None)
            await let_run(60)

    async def drive(self, job):
        """Blocks until a job is done."""
        task = asyncio.ensure_future(job)
        for _ in range(300):
            if task.done():
                return task.result()
            await self.blocks()
        task.cancel()
        raise AssertionError("the job did not end within 300 blocks")

    async def open(self, *specs):
        self.ids = await self.drive(create_path(*self.parties, specs))
        return self.ids

    def worker(self, **options):
        spec = PathSpec(name="test", clients=self.ids.clients, channels=self.ids.channels, **options)
        return PathWorker(self.parties, spec, Metrics(clock=lambda: 0.0))

    async def turns(self, worker, count, *, shuffle=False):
        for _ in range(count):
            with contextlib.suppress(ToolError):  # as run() does: the next turn tries again
                await worker.turn()
            await let_run(120)
            await self.blocks(shuffle=shuffle)

    def commitments(self):
        return [
            (chain.chain_id, key)
            for chain in (self.a, self.b)
            for key, _ in chain.context().ibc.iterate(b"commitments/")
        ]

    def conserved(self):
        assert self.a.supply("bmga") == SUPPLY
        assert self.b.supply("bmgb") == SUPPLY
        outside = SUPPLY - self.a.balance("alice", "bmga")
        pending = sum(1 for chain, _ in self.commitments() if chain == "mga-1")
        assert pending == 0
        assert self.b.supply(VOUCHER) == outside


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


async def test_path_is_made_and_carries_both_ways(world):
    ids = await world.open(TRANSFER, ECHO)
    assert [str(one) for one, _ in ids.channels] == ["transfer/channel-0", "echo/channel-1"]
    worker = world.worker()
    world.a.transfer_soon("channel-0", ("bmga", 70), HOUR_NS)
    world.b.transfer_soon("channel-0", ("bmgb", 30), HOUR_NS)
    await world.turns(worker, 10)
    assert world.commitments() == []
    assert world.b.balance("alice", VOUCHER) == 70
    world.b.transfer_soon("channel-0", (VOUCHER, 25), HOUR_NS)
    await world.turns(worker, 10)
    assert world.a.balance("alice", "bmga") == SUPPLY - 45
    world.conserved()


async def test_handshake_goes_on_from_any_partial_state(world):
    """Whatever number of messages got through before, the rest is made, and nothing twice."""
    await world.open(TRANSFER)
    clients = world.ids.clients
    again = await world.drive(create_path(*world.parties, [TRANSFER], clients))
    assert again == world.ids
    txs = (world.a.txs, world.b.txs)
    await world.drive(create_path(*world.parties, [TRANSFER], clients))
    assert (world.a.txs, world.b.txs) == txs


@pytest.mark.parametrize("cut", range(1, 9))
async def test_handshake_cut_after_any_message(world, cut):
    task = asyncio.ensure_future(create_path(*world.parties, [TRANSFER, ECHO]))
    while len(world.pair[0].submitted) + len(world.pair[1].submitted) < cut + 1:
        await world.blocks()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await world.blocks(2)
    clients = ("07-tendermint-0", "07-tendermint-0")
    ids = await world.drive(create_path(*world.parties, [TRANSFER, ECHO], clients))
    assert [str(one) for one, _ in ids.channels] == ["transfer/channel-0", "echo/channel-1"]
    assert ids.connections == ("connection-0", "connection-0")


async def test_expired_packets_are_timed_out_and_refunded(world):
    await world.open(TRANSFER)
    for _ in range(5):
        world.a.transfer_soon("channel-0", ("bmga", 10), 3 * NS)
    await world.blocks(6)
    worker = world.worker()
    await world.turns(worker, 8)
    assert world.commitments() == []
    assert world.a.balance("alice", "bmga") == SUPPLY
    world.conserved()


async def test_ordered_channel_keeps_order_and_closes_on_timeout(world):
    ids = await world.open(ORDERED_ECHO)
    name = ids.channels[0][0].channel
    for number in range(120):
        send_echo(world.a, name, b"%d" % number, HOUR_NS)
    worker = world.worker()
    await world.turns(worker, 25)
    assert world.b.echo.received == list(range(1, 121))
    assert world.a.echo.acked == list(range(1, 121))
    for _ in range(3):
        send_echo(world.a, name, b"late", 2 * NS)
    await world.blocks(4)
    await world.turns(worker, 20)
    assert world.a.echo.timed_out == [121, 122, 123]
    assert world.commitments() == []
    states = [(await party.chain.head(), book.states) for party, book in zip(world.parties, worker.books, strict=False)]
    assert [int(state) for state in states[0][1]] == [4, 4]


async def test_backlog_clears_while_new_packets_flow(world):
    await world.open(TRANSFER)
    for _ in range(20):
        for _ in range(60):
            world.a.transfer_soon("channel-0", ("bmga", 1), HOUR_NS)
        await world.blocks()
    worker = world.worker()
    late: list[int] = []
    for tick in range(60):
        world.a.transfer_soon("channel-0", ("bmga", 1), HOUR_NS)
        await world.turns(worker, 1)
        if tick == 12:
            late = [int(key.rpartition(b"/")[2]) for _, key in world.commitments()]
    assert any(number > 1200 for number in range(1201, 1210) if number not in late), "new ones went first too"
    await world.turns(worker, 12)
    assert world.commitments() == []
    assert world.b.balance("alice", VOUCHER) == 1260
    world.conserved()


async def test_poison_does_not_block_the_others(world):
    ids = await world.open(ECHO)
    name = ids.channels[0][0].channel
    for number in range(20):
        send_echo(world.a, name, b"poison" if number in (3, 11) else b"fine", HOUR_NS)
    worker = world.worker()
    await world.turns(worker, 30)
    assert sorted(set(world.a.echo.acked)) == [n for n in range(1, 21) if n not in (4, 12)]
    assert [key.rpartition(b"/")[2] for _, key in world.commitments()] == [b"12", b"4"]


async def test_two_relayers_do_no_harm(world):
    await world.open(TRANSFER)
    workers = [world.worker(), world.worker()]
    for _ in range(40):
        world.a.transfer_soon("channel-0", ("bmga", 2), HOUR_NS)
        world.b.transfer_soon("channel-0", ("bmgb", 3), HOUR_NS)
        await world.blocks()
        await asyncio.gather(*(worker.turn() for worker in workers))
        await let_run()
    for _ in range(10):
        await asyncio.gather(*(worker.turn() for worker in workers))
        await world.blocks()
    assert world.commitments() == []
    assert world.b.balance("alice", VOUCHER) == 80
    world.conserved()


async def test_client_is_refreshed_before_it_expires(tmp_path):
    world = World(tmp_path, unbonding_ns=60 * NS)  # trusting 40 s
    await world.open(TRANSFER)
    worker = world.worker()
    await world.turns(worker, 120)
    assert worker.usable == [True, True]
    world.a.transfer_soon("channel-0", ("bmga", 1), HOUR_NS)
    await world.turns(worker, 8)
    assert world.b.balance("alice", VOUCHER) == 1


@pytest.mark.parametrize("watching", [True, False])
async def test_forged_header_freezes_the_client(world, watching):
    """Validators of a sign a second header; a host took it; the watch submits both, even if it began later."""
    await world.open(TRANSFER)
    worker = world.worker()
    await world.turns(worker, 2)
    if not watching:
        worker = world.worker()
    await take_forged_header(world)
    await world.blocks(0 if watching else 3)
    await world.turns(worker, 10)
    assert worker.usable == [True, False]
    assert worker.metrics.misbehaviour.labels("mgb-1", world.ids.clients[1])._value.get() == 1


async def take_forged_header(world):
    """The client on b takes a second header for a's newest block, signed by a's validators."""
    trusted = (await client_info(world.pair[1], world.ids.clients[1])).latest.height
    real = world.a.light.at(world.a.height)
    forged = type(real.header)()
    forged.CopyFrom(real.header)
    forged.app_hash = b"\x99" * 32
    signed = seal(forged, real.members)
    header = build.header(
        signed, real.members.message, world.a.light.ibc_height(trusted), world.a.light.at(trusted).next_members.message
    )
    message = client_tx.MsgUpdateClient(
        client_id=world.ids.clients[1], client_message=pack(header), signer=world.pair[0].signer
    )
    done = world.b.submit_soon(message)
    await world.blocks()
    assert done.result().code == 0, done.result().log


@pytest.mark.parametrize("seed", range(6))
async def test_drop_duplicate_reorder_crash(tmp_path, seed):
    """Seeded: `World(seed)` decides everything. All packets end and supplies are conserved."""
    world = World(tmp_path, seed=seed)
    await world.open(TRANSFER)
    rng = world.rng
    world.faults.lost_call = world.faults.lost_answer = 0.1
    world.faults.lost_query, world.faults.duplicate = 0.02, 0.1
    worker = world.worker(clear_interval_s=20)
    for _ in range(60):
        if rng.random() < 0.6:
            timeout = rng.choice([4 * NS, 15 * NS, HOUR_NS])
            world.a.transfer_soon("channel-0", ("bmga", rng.randrange(1, 50)), timeout)
        if rng.random() < 0.4:
            held = world.b.balance("alice", VOUCHER)
            if held:
                world.b.transfer_soon("channel-0", (VOUCHER, rng.randrange(1, held + 1)), rng.choice([5 * NS, HOUR_NS]))
        if rng.random() < 0.08:
            await worker.stop()
            worker = world.worker(clear_interval_s=20)
        await world.turns(worker, 1, shuffle=True)
    world.faults.lost_call = world.faults.lost_answer = world.faults.lost_query = world.faults.duplicate = 0
    await world.turns(worker, 90)
    assert world.commitments() == [], f"seed {seed}"
    world.conserved()


async def test_an_existing_path_is_found_again(world, tmp_path):
    assert await find_path(world.parties) is None
    ids = await world.open(TRANSFER)
    found = await find_path(world.parties)
    assert (found.clients, found.connections) == (ids.clients, ids.connections)
    await world.drive(create_client(*world.parties))  # so that the names of the next path differ by side
    await world.open(TRANSFER)
    assert await find_path(world.parties) == found, "the oldest"
    turned = await find_path((world.parties[1], world.parties[0]))
    assert turned.clients == found.clients[::-1]
    (tmp_path / "other").mkdir()
    twin = World(tmp_path / "other")  # chains of the same names that are others
    await twin.blocks(30)
    twin.a.light.next_block(b"\x07" * 32)
    assert await find_path((twin.parties[0], world.parties[1])) is None


async def test_a_client_that_was_left_behind_is_used(world):
    host, subject = world.parties
    assert await unused_client(host, subject) == ""
    left = await world.drive(create_client(host, subject))
    assert await unused_client(host, subject) == left
    assert await unused_client(subject, host) == ""
    ids = await world.drive(create_path(*world.parties, [TRANSFER], (left, "")))
    assert ids.clients[0] == left
    assert await unused_client(host, subject) == "", "it carries a connection"
    assert (await find_path(world.parties, (left, ""))).clients == ids.clients
    assert await find_path(world.parties, ("07-tendermint-77", "")) is None


async def test_backlog_of_acknowledgements_is_found_after_a_restart(world):
    """Received while one relayer lived, acknowledged by the next one, which knows nothing."""
    await world.open(TRANSFER)
    for _ in range(150):
        world.a.transfer_soon("channel-0", ("bmga", 1), HOUR_NS)
    await world.blocks()
    worker = world.worker()
    while world.b.balance("alice", VOUCHER) < 150:
        await world.turns(worker, 1)
    await worker.stop()
    assert len(world.commitments()) > 0
    await world.turns(world.worker(), 8)
    assert world.commitments() == []
    world.conserved()


async def test_an_index_that_lags_is_asked_again(world, monkeypatch):
    await world.open(TRANSFER)
    world.a.transfer_soon("channel-0", ("bmga", 1), HOUR_NS)
    await world.blocks(3)
    chain, asked = world.parties[0].chain, []
    real = chain.search

    async def late(*question):
        asked.append(question)
        return () if len(asked) < 4 else await real(*question)

    monkeypatch.setattr(chain, "search", late)
    await world.turns(world.worker(clear_interval_s=10**6), 12)
    assert len(asked) == 4
    assert world.commitments() == []


async def test_filtered_packets_stay(world):
    await world.open(TRANSFER)
    world.a.transfer_soon("channel-0", ("bmga", 1), HOUR_NS)
    world.a.transfer_soon("channel-0", ("bmga", 1), HOUR_NS, memo="x" * 200)
    world.a.transfer_soon("channel-0", ("bmga", 1), HOUR_NS)
    worker = world.worker(packets=PacketFilter(memo_bytes_max=100))
    await world.turns(worker, 10)
    assert [key.rpartition(b"/")[2] for _, key in world.commitments()] == [b"2"]


async def test_closed_channel_times_out_and_closes_the_other_end(world):
    ids = await world.open(ECHO)
    (near, far) = ids.channels[0]
    worker = world.worker()
    await world.turns(worker, 2)
    send_echo(world.a, near.channel, b"late", HOUR_NS)
    close = channel_tx.MsgChannelCloseInit(port_id="echo", channel_id=far.channel, signer=world.pair[1].signer)
    world.b.submit_soon(close)
    await world.turns(worker, 12)
    assert world.a.echo.timed_out == [1]
    assert world.commitments() == []
    assert [int(state) for state in worker.books[0].states] == [4, 4]
