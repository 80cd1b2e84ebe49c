# ruff: noqa: ARG002  (the interfaces fix the arguments)
"""The invariants of v1's simulation on IBC v2: every packet ends, nothing is lost or made, paths are made once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from cosmos_wire.errors import NotFound, ToolError
from cosmos_wire.protos import channel_v2, channel_v2_tx, client_v2, client_v2_tx, transfer_tx
from ibc_core import bank
from ibc_core.transfer.denom import Denom
from ibc_core.transfer.ledger import escrow_address
from ibc_core.v2 import paths
from ibc_relayer.clients import create_client
from ibc_relayer.discover import clients_of
from ibc_relayer.filter import PacketFilter
from ibc_relayer.handshake import ChannelSpec, create_path
from ibc_relayer.v2.path import client_path, find, resolve
from tests.relayer.sim import DAY_NS, HOUR_NS, NS, address
from tests.relayer.test_simulation import SUPPLY, World, take_forged_header

CLIENT = "07-tendermint-0"
CLIENTS = (CLIENT, CLIENT)
VOUCHER = Denom("bmga", (("transfer", CLIENT),)).ledger_name
ENCODINGS = ("", "application/x-protobuf", "application/x-solidity-abi")


class WorldV2(World):
    async def open_v2(self, clients=("", "")):
        self.ids = await self.drive(resolve(self.parties, clients, create=True))
        return self.ids

    def transfer(self, side, coin, timeout_ns=HOUR_NS, **fields):
        chain = (self.a, self.b)[side]
        message = transfer_tx.MsgTransfer(
            source_port="transfer",
            source_channel=self.ids.clients[side],
            sender=address("alice"),
            receiver=fields.pop("receiver", address("alice")),
            timeout_timestamp=(chain.light.time_ns + timeout_ns) // NS,
            **fields,
        )
        message.token.denom, message.token.amount = coin[0], str(coin[1])
        return chain.submit_soon(message)

    def pending(self):
        found = []
        for side, chain in enumerate((self.a, self.b)):
            prefix = paths.commitments(self.ids.clients[side])
            found += [(side, int.from_bytes(key[len(prefix) :], "big")) for key, _ in self.keys(chain, prefix)]
        return found

    @staticmethod
    def keys(chain, prefix):
        return list(chain.context().ibc.iterate(prefix))

    def settled_and_conserved(self):
        assert self.pending() == []
        assert self.a.supply("bmga") == SUPPLY
        escrow = escrow_address("transfer", self.ids.clients[0])
        held = bank.balance(self.a.context(), escrow, "bmga")
        assert held == SUPPLY - self.a.balance("alice", "bmga") == self.b.supply(VOUCHER)


@pytest.fixture
def world(tmp_path):
    return WorldV2(tmp_path)


# Paths


async def test_a_path_is_made_once(world):
    assert await find(world.parties) is None
    ids = await world.open_v2()
    assert (ids.clients, [str(end) for end in ids.channels[0]]) == (CLIENTS, list(CLIENTS))
    txs = (world.a.txs, world.b.txs)
    assert txs == (2, 2)
    assert await world.drive(resolve(world.parties, ("", ""), create=True)) == ids
    assert await world.drive(resolve(world.parties, CLIENTS, create=True)) == ids
    assert await world.drive(resolve(world.parties, CLIENTS, create=False)) == ids
    assert (world.a.txs, world.b.txs) == txs
    assert ids.doc()["a"] == {"chain_id": "mga-1", "client_id": CLIENT, "ibc_version": 2, "channels": {}}


@pytest.mark.parametrize("cut", range(1, 4))
async def test_making_goes_on_from_any_partial_state(world, cut):
    task = asyncio.ensure_future(resolve(world.parties, ("", ""), create=True))
    while len(world.pair[0].submitted) + len(world.pair[1].submitted) < cut:
        await world.a.make_block()
        await world.blocks()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await world.blocks(2)
    assert (await world.open_v2()).clients == CLIENTS
    made = Counter(type(m).__name__ for party in world.pair for messages in party.submitted for m in messages)
    assert made["MsgCreateClient"] == 2


@pytest.mark.parametrize("seed", range(8))
async def test_making_over_a_bad_line_leaves_nothing_behind(tmp_path, seed):
    """Calls and answers are lost and each error begins again, as the supervisor does: one client on each chain."""
    world = WorldV2(tmp_path, seed=seed)
    world.faults.lost_call = world.faults.lost_answer = 0.3
    world.faults.lost_query = 0.1
    for _ in range(200):
        try:
            found = await world.drive(resolve(world.parties, ("", ""), create=True))
            break
        except ToolError:
            await world.blocks()
    assert found.clients == CLIENTS, f"seed {seed}"
    world.faults.lost_query = 0
    assert [await clients_of(p.chain, other.chain.chain_id) for p, other in pairs_of(world)] == [[CLIENT], [CLIENT]]


def pairs_of(world):
    return (world.parties, world.parties[::-1])


async def test_half_a_path_is_finished(world):
    """One side registered, the other not: whoever made the clients finishes it."""
    first = await world.drive(create_client(world.parties[0], world.parties[1]))
    second = await world.drive(create_client(world.parties[1], world.parties[0]))
    await world.drive(register(world, 0, first, second))
    with pytest.raises(ToolError, match=f"mgb-1: expected {first}, got none; create = true registers it"):
        await world.drive(resolve(world.parties, (first, second), create=False))
    assert (await world.open_v2()).clients == (first, second)
    assert world.a.txs + world.b.txs == 4


async def register(world, side, mine, theirs, prefix=(b"ibc", b"")):
    chain = world.parties[side].chain
    return await chain.submit(
        [
            client_v2_tx.MsgRegisterCounterparty(
                client_id=mine, counterparty_merkle_prefix=prefix, counterparty_client_id=theirs, signer=chain.signer
            )
        ]
    )


async def test_clients_of_others_are_left_alone(world):
    """Somebody else's unregistered client can't be registered by us; one with connections serves v1."""
    await world.open(ChannelSpec(ports=("transfer", "transfer"), version="ics20-1"))
    world.pair[0].name = world.pair[1].name = "stranger"
    await world.drive(create_client(world.parties[0], world.parties[1]))
    await world.drive(create_client(world.parties[1], world.parties[0]))
    world.pair[0].name = world.pair[1].name = "relayer"
    assert (await world.open_v2()).clients == ("07-tendermint-2", "07-tendermint-2")


async def test_a_client_that_names_another_is_refused(world):
    await world.open_v2()
    other = await world.drive(create_client(world.parties[1], world.parties[0]))
    with pytest.raises(ToolError, match=f"expected {other}, got {CLIENT}"):
        await world.drive(resolve(world.parties, (CLIENT, other), create=True))
    with pytest.raises(ToolError, match=f"expected {other}, got {CLIENT}"):
        await world.drive(resolve(world.parties, (CLIENT, other), create=False))
    world.ids = client_path(("mga-1", "mgb-1"), (CLIENT, other))
    with pytest.raises(ToolError, match=f"expected counterparty {other}, got {CLIENT}"):
        await world.worker().turn()


async def test_a_given_client_is_completed_or_refused_before_anything_is_made(world):
    mine = await world.drive(create_client(world.parties[0], world.parties[1]))
    world.pair[0].name = "stranger"
    theirs = await world.drive(create_client(world.parties[0], world.parties[1]))
    world.pair[0].name = "relayer"
    txs = (world.a.txs, world.b.txs)
    with pytest.raises(ToolError, match=r"expected a registered client, or one that .* created, got neither"):
        await world.drive(resolve(world.parties, (theirs, ""), create=True))
    assert (world.a.txs, world.b.txs) == txs
    assert (await world.open_v2((mine, ""))).clients == (mine, CLIENT)
    assert (await world.open_v2((mine, ""))).clients == (mine, CLIENT)
    assert (await world.open_v2(("", CLIENT))).clients == (mine, CLIENT)
    worker = world.worker()
    await world.turns(worker, 2)
    await take_forged_header(world)
    await world.turns(worker, 10)
    txs = (world.a.txs, world.b.txs)
    with pytest.raises(ToolError, match=f"expected its counterparty {CLIENT} to be usable"):
        await world.drive(resolve(world.parties, (mine, ""), create=True))
    assert (world.a.txs, world.b.txs) == txs


async def test_a_chain_without_v2_is_left_alone(world):
    world.b.queries = {path: route for path, route in world.b.queries.items() if ".v2." not in path}
    with pytest.raises(ToolError, match="mgb-1: expected a chain with IBC v2"):
        await world.drive(resolve(world.parties, ("", ""), create=True))
    assert world.a.txs + world.b.txs == 0


async def test_both_kinds_of_path_made_at_once(world):
    """One file may ask for both: whichever clients each takes, both paths carry, and stay the same when asked again."""
    spec = ChannelSpec(ports=("transfer", "transfer"), version="ics20-1")

    async def made():
        jobs = create_path(*world.parties, [spec]), resolve(world.parties, ("", ""), create=True)
        return await asyncio.gather(*jobs)

    first, second = await world.drive(made())
    workers = []
    for ids in (first, second):
        world.ids = ids
        workers.append(world.worker())
    world.transfer(0, ("bmga", 4))
    world.a.transfer_soon("channel-0", ("bmga", 3), HOUR_NS)
    for _ in range(10):
        for worker in workers:
            await world.turns(worker, 1)
    assert (world.pending(), world.commitments()) == ([], [])
    assert await world.drive(resolve(world.parties, ("", ""), create=True)) == second


async def test_a_foreign_prefix_is_refused(world):
    first = await world.drive(create_client(world.parties[0], world.parties[1]))
    second = await world.drive(create_client(world.parties[1], world.parties[0]))
    await world.drive(register(world, 0, first, second, prefix=(b"elsewhere", b"")))
    with pytest.raises(ToolError, match="expected the counterparty's prefix"):
        await world.drive(resolve(world.parties, (first, second), create=True))


async def test_a_closed_list_of_relayers_is_named(world):
    await world.open_v2()
    chain = world.parties[1].chain
    config = client_v2_tx.MsgUpdateClientConfig(client_id=CLIENT, signer=chain.signer)
    config.config.allowed_relayers.append(address("stranger"))
    assert (await world.drive(chain.submit([config]))).ok
    with pytest.raises(ToolError, match=f"expected {address('relayer')} among its allowed relayers"):
        await world.drive(resolve(world.parties, CLIENTS, create=False))


# Packets


async def test_both_ways_and_home_again(world):
    await world.open_v2()
    worker = world.worker()
    for encoding in ENCODINGS:
        world.transfer(0, ("bmga", 70), encoding=encoding)
        world.transfer(1, ("bmgb", 30), encoding=encoding)
    await world.turns(worker, 10)
    assert world.b.balance("alice", VOUCHER) == 210
    for encoding in ENCODINGS:
        world.transfer(1, (VOUCHER, 25), encoding=encoding)
    await world.turns(worker, 10)
    assert world.a.balance("alice", "bmga") == SUPPLY - 135
    world.settled_and_conserved()


async def test_a_refused_packet_is_refunded(world):
    await world.open_v2()
    world.transfer(0, ("bmga", 70), receiver="nobody")
    world.transfer(0, ("bmga", 5))
    await world.turns(world.worker(), 10)
    assert world.a.balance("alice", "bmga") == SUPPLY - 5
    world.settled_and_conserved()


async def test_expired_packets_are_refunded(world):
    await world.open_v2()
    for seconds in (2, 3, 4, 5):
        world.transfer(0, ("bmga", 10), seconds * NS)
    await world.blocks(7)
    await world.turns(world.worker(), 8)
    assert world.a.balance("alice", "bmga") == SUPPLY
    world.settled_and_conserved()


async def test_a_packet_at_its_last_second_ends_once(world):
    """Limits around the time at which the relayer gets to it: received or refunded, never stuck."""
    await world.open_v2()
    worker = world.worker()
    await world.turns(worker, 2)
    for half in range(2, 24):
        world.transfer(0, ("bmga", 1), half * NS // 2)
    await world.turns(worker, 25)
    world.settled_and_conserved()
    assert 0 < world.b.balance("alice", VOUCHER) < 22


async def test_backlog_and_acknowledgements_are_found_after_restarts(world):
    await world.open_v2()
    for _ in range(150):
        world.transfer(0, ("bmga", 1))
    await world.blocks()
    worker = world.worker()
    while world.b.balance("alice", VOUCHER) < 150:
        await world.turns(worker, 1)
    await worker.stop()
    assert len(world.pending()) > 0
    await world.turns(world.worker(), 8)
    world.settled_and_conserved()


async def test_filtered_packets_stay(world):
    await world.open_v2()
    for memo in ("", "x" * 200, ""):
        world.transfer(0, ("bmga", 1), memo=memo, encoding="application/x-protobuf")
    await world.turns(world.worker(packets=PacketFilter(memo_bytes_max=100)), 10)
    assert world.pending() == [(0, 2)]


async def test_v1_and_v2_do_not_disturb_each_other(world):
    """Both protocols over the same chains at once, each with its own worker."""
    spec = ChannelSpec(ports=("transfer", "transfer"), version="ics20-1")
    first = await world.drive(create_path(*world.parties, [spec]))
    await world.open_v2()
    second, world.ids = world.ids, first
    old = world.worker()
    world.ids = second
    new = world.worker()
    new.metrics = old.metrics  # as in one process
    for _ in range(20):
        world.transfer(0, ("bmga", 2))
        world.a.transfer_soon("channel-0", ("bmga", 3), HOUR_NS)
        await world.turns(old, 1)
        await world.turns(new, 1)
    await world.turns(old, 10)
    await world.turns(new, 10)
    assert (world.pending(), world.commitments()) == ([], [])
    v1 = Denom("bmga", (("transfer", "channel-0"),)).ledger_name
    v2 = Denom("bmga", (("transfer", second.clients[1]),)).ledger_name
    assert (world.b.balance("alice", v1), world.b.balance("alice", v2)) == (60, 40)
    text = old.metrics.text().decode()
    for channel, port in (("channel-0", "transfer"), (second.clients[0], "")):
        labels = f'chain="mga-1",channel="{channel}",port="{port}"'
        assert f"relayer_packets_acked_total{{{labels}}} 20.0" in text


async def test_clients_of_a_v1_path_may_serve_v2_too(world):
    """Named in the file, they are registered; both workers update the same clients."""
    spec = ChannelSpec(ports=("transfer", "transfer"), version="ics20-1")
    world.ids = first = await world.drive(create_path(*world.parties, [spec]))
    old = world.worker()
    assert (await world.open_v2(first.clients)).clients == first.clients
    new = world.worker()
    world.transfer(0, ("bmga", 4))
    world.a.transfer_soon("channel-0", ("bmga", 3), HOUR_NS)
    for _ in range(10):
        await world.turns(old, 1)
        await world.turns(new, 1)
    assert (world.pending(), world.commitments()) == ([], [])
    assert world.b.balance("alice", VOUCHER) == 4


@pytest.mark.parametrize("watching", [True, False])
async def test_a_forged_header_freezes_the_client(world, watching):
    await world.open_v2()
    worker = world.worker()
    await world.turns(worker, 2)
    if not watching:
        worker = world.worker()
    await take_forged_header(world)
    await world.blocks(0 if watching else 3)
    await world.turns(worker, 10)
    assert worker.usable == [True, False]
    world.transfer(0, ("bmga", 4))
    await world.turns(worker, 5)
    assert world.pending() == [(0, 1)]


async def test_metrics_count_by_client(world):
    await world.open_v2()
    worker = world.worker()
    await world.turns(worker, 2)
    for timeout_ns in (HOUR_NS, HOUR_NS, 2 * NS):
        world.transfer(0, ("bmga", 4), timeout_ns)
    await world.blocks(3)
    await world.turns(worker, 8)
    text = worker.metrics.text().decode()
    labels = f'{{chain="mga-1",channel="{CLIENT}",port=""}}'
    for name, count in (("seen", 3), ("acked", 2), ("timed_out", 1)):
        assert f"relayer_packets_{name}_total{labels} {count}.0" in text
    assert f'relayer_packets_received_total{{chain="mgb-1",channel="{CLIENT}",port=""}} 2.0' in text


class LateApp:
    """An application that answers when it is told to, and can't take the acknowledgement of `poison`."""

    def __init__(self):
        self.acked, self.timed_out = {}, set()  # in memory: the mempool's rehearsal is seen here too

    def on_send_packet(self, ctx, envelope, payload): ...

    def on_recv_packet(self, ctx, envelope, payload):
        return None if payload.value == b"later" else b"at once"

    def on_acknowledge_packet(self, ctx, envelope, payload, ack):
        if payload.value == b"poison":
            raise NotFound("poison")
        self.acked[envelope.sequence] = ack

    def on_timeout_packet(self, ctx, envelope, payload):
        self.timed_out.add(envelope.sequence)


def with_late_app(world):
    made = LateApp()
    for chain in (world.a, world.b):
        chain.core.v2.packets.router["late"] = made
    return made


def send_late(world, value, timeout_ns=HOUR_NS):
    payload = channel_v2.Payload(
        source_port="late", destination_port="late", version="late-1", encoding="bytes", value=value
    )
    message = channel_v2_tx.MsgSendPacket(
        source_client=CLIENT,
        timeout_timestamp=(world.a.light.time_ns + timeout_ns) // NS,
        payloads=[payload],
        signer=address("alice"),
    )
    return world.a.submit_soon(message)


@pytest.mark.parametrize("seen", [True, False])
async def test_an_answer_that_comes_later(world, seen):
    """By a hook, after the packet's limit: it was received in time, so it isn't timed out, only acknowledged."""
    await world.open_v2()
    app = with_late_app(world)
    worker = world.worker()
    await world.turns(worker, 2)
    send_late(world, b"later", 6 * NS)
    send_late(world, b"now", 6 * NS)
    await world.turns(worker, 12)
    assert (app.acked, app.timed_out, world.pending()) == ({2: b"at once"}, set(), [(0, 1)])
    await worker.settled()
    world.b.hooks.append(lambda ctx: world.b.core.v2.packets.write_acknowledgement(ctx, CLIENT, 1, [b"late"]))
    await world.blocks(1 if seen else 3)
    await world.turns(worker if seen else world.worker(), 6)
    assert app.acked == {1: b"late", 2: b"at once"}
    assert world.pending() == []


async def test_poison_does_not_block_the_others(world):
    await world.open_v2()
    app = with_late_app(world)
    for number in range(20):
        send_late(world, b"poison" if number in (3, 11) else b"fine")
    await world.turns(world.worker(), 30)
    assert sorted(app.acked) == [n for n in range(1, 21) if n not in (4, 12)]
    assert world.pending() == [(0, 4), (0, 12)]


async def test_two_relayers_do_no_harm(world):
    await world.open_v2()
    workers = [world.worker(), world.worker()]
    for _ in range(30):
        world.transfer(0, ("bmga", 1))
        world.transfer(1, ("bmgb", 1))
        for worker in workers:
            await worker.turn()
        await world.blocks(shuffle=True)
    for worker in workers:
        await world.turns(worker, 10)
    assert world.b.balance("alice", VOUCHER) == 30
    world.settled_and_conserved()


async def test_a_client_is_kept_alive(tmp_path):
    world = WorldV2(tmp_path, unbonding_ns=3 * DAY_NS)
    await world.open_v2()
    worker = world.worker()
    for _ in range(16):
        await world.a.make_block(step_ns=DAY_NS // 4)
        await world.b.make_block(step_ns=DAY_NS // 4)
        await world.turns(worker, 6)
    world.transfer(0, ("bmga", 9))
    await world.turns(worker, 10)
    assert world.b.balance("alice", VOUCHER) == 9


@pytest.mark.parametrize("seed", range(6))
async def test_random_faults(tmp_path, seed):
    """Calls and answers are lost, transactions doubled and reordered, the relayer dies: in the end all is settled."""
    world = WorldV2(tmp_path, seed=seed)
    await world.open_v2()
    rng = random.Random(seed)
    world.faults.lost_call = world.faults.lost_answer = 0.1
    world.faults.lost_query, world.faults.duplicate = 0.02, 0.1
    worker = world.worker(clear_interval_s=20)
    for _ in range(50):
        random_transfers(world, rng)
        if rng.random() < 0.08:
            await worker.stop()
            worker = world.worker(clear_interval_s=20)
        await world.turns(worker, 1, shuffle=True)
    world.faults.lost_call = world.faults.lost_answer = world.faults.lost_query = world.faults.duplicate = 0
    await world.turns(worker, 60)
    assert world.pending() == [], f"seed {seed}"
    world.settled_and_conserved()


def random_transfers(world, rng):
    if rng.random() < 0.6:
        timeout_ns = rng.choice([4 * NS, 15 * NS, HOUR_NS])
        receiver = rng.choice([address("alice"), address("alice"), "nobody"])
        world.transfer(0, ("bmga", rng.randrange(1, 50)), timeout_ns, receiver=receiver, encoding=rng.choice(ENCODINGS))
    if rng.random() < 0.4 and (held := world.b.balance("alice", VOUCHER)):
        world.transfer(1, (VOUCHER, rng.randrange(1, held + 1)), rng.choice([5 * NS, HOUR_NS]))


def test_the_prefix_is_the_store_and_an_empty_beginning():
    made = client_v2.CounterpartyInfo(merkle_prefix=[b"ibc", b""], client_id=CLIENT)
    assert made.SerializeToString().hex() == "0a036962630a00120f30372d74656e6465726d696e742d30"
