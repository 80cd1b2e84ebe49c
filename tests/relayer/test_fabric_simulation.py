"""Paths with a Fabric microgrid on one side or on both: the same invariants, the same worker, another prover."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bsmg.client.errors import GatewayRefused, NodeTimeout, NodeUnreachable
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Any, client_tx, fabric_client
from ibc_core.fabric import build, records
from ibc_core.fabric.wire import pack
from ibc_relayer import worker as worker_module
from ibc_relayer.chain import Need
from ibc_relayer.clients import client_info, client_status, create_client, ground
from ibc_relayer.discover import find_path, unused_client
from ibc_relayer.fabric import PATHS_PER_ATTESTATION, FabricProver
from tests.fabric_client.network import BOTH, ORG1, ORG2, ORG3, members_of, peers
from tests.relayer.sim import HOUR_NS, NS, SimParty, let_run, send_echo
from tests.relayer.sim_fabric import SimFabricParty
from tests.relayer.test_simulation import ECHO, ORDERED_ECHO, SUPPLY, TRANSFER, VOUCHER, World
from tests.relayer.test_v2_simulation import WorldV2

MIXED, TURNED, FABRIC = (
    (SimParty, SimFabricParty),
    (SimFabricParty, SimParty),
    (SimFabricParty, SimFabricParty),
)
KINDS = pytest.mark.parametrize("kinds", [MIXED, TURNED, FABRIC], ids=["mixed", "turned", "fabric"])
DAYS_NS = 21 * 86_400 * NS
GUARD_S = 120  # against standing still, not a measurement


def world_of(kinds, home, seed=1, unbonding_ns=DAYS_NS):
    return type("FabricWorld", (World,), {"kinds": kinds})(home, seed, unbonding_ns)


@pytest.fixture
def world(tmp_path):
    """The host of a Fabric client is a, the Fabric microgrid is b."""
    return world_of(MIXED, tmp_path)


@KINDS
async def test_path_is_made_and_carries_both_ways(kinds, tmp_path):
    world = world_of(kinds, tmp_path)
    ids = await world.open(TRANSFER, ECHO)
    assert [str(one) for one, _ in ids.channels] == ["transfer/channel-0", "echo/channel-1"]
    types = [kind.__name__ for kind in kinds]
    follows = ["fabric-endorsement-1-0" if name == "SimFabricParty" else "07-tendermint-0" for name in types]
    assert list(ids.clients) == follows[::-1]
    worker = world.worker()
    world.a.transfer_soon("channel-0", ("bmga", 70), HOUR_NS)
    world.b.transfer_soon("channel-0", ("bmgb", 30), HOUR_NS)
    await world.turns(worker, 10)
    assert world.commitments() == []
    world.b.transfer_soon("channel-0", (VOUCHER, 25), HOUR_NS)
    await world.turns(worker, 10)
    assert world.a.balance("alice", "bmga") == SUPPLY - 45
    world.conserved()


@pytest.mark.parametrize("kinds", [MIXED, FABRIC], ids=["mixed", "fabric"])
async def test_expired_packets_are_timed_out_and_refunded(kinds, tmp_path):
    world = world_of(kinds, tmp_path)
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
    for number in range(70):
        send_echo(world.a, name, b"%d" % number, HOUR_NS)
    worker = world.worker()
    await world.turns(worker, 20)
    assert world.b.echo.received == list(range(1, 71))
    assert world.a.echo.acked == list(range(1, 71))
    for _ in range(3):
        send_echo(world.a, name, b"late", 2 * NS)
    await world.blocks(4)
    await world.turns(worker, 20)
    assert world.a.echo.timed_out == [71, 72, 73]
    assert world.commitments() == []


async def test_a_batch_of_fifty_rides_on_one_update(world):
    """Fabric to CometBFT: 50 acknowledgements and the other way 50 packets, each in one transaction."""
    await world.open(TRANSFER)
    worker = world.worker()
    await world.turns(worker, 2)
    for party in world.pair:
        party.submitted.clear()
    for _ in range(50):
        world.a.transfer_soon("channel-0", ("bmga", 1), HOUR_NS)
    await world.turns(worker, 8)
    assert world.commitments() == []
    for party in world.pair:
        (batch,) = [messages for messages in party.submitted if len(messages) > 1]
        assert len(batch) == 51
        assert sum(message.ByteSize() for message in batch) < 600_000


@KINDS
@pytest.mark.parametrize("seed", range(3))
async def test_drop_duplicate_reorder_crash(kinds, tmp_path, seed):
    """Seeded: `World(seed)` decides everything. All packets end and supplies are conserved."""
    world = world_of(kinds, tmp_path, seed)
    await world.open(TRANSFER)
    rng = world.rng
    world.faults.lost_call = world.faults.lost_answer = 0.1
    world.faults.lost_query, world.faults.duplicate = 0.02, 0.1
    worker = world.worker(clear_interval_s=20)
    for _ in range(40):
        if rng.random() < 0.6:
            world.a.transfer_soon("channel-0", ("bmga", rng.randrange(1, 50)), rng.choice([4 * NS, 15 * NS, HOUR_NS]))
        held = world.b.balance("alice", VOUCHER)
        if held and rng.random() < 0.4:
            world.b.transfer_soon("channel-0", (VOUCHER, rng.randrange(1, held + 1)), rng.choice([5 * NS, HOUR_NS]))
        if rng.random() < 0.08:
            await worker.stop()
            worker = world.worker(clear_interval_s=20)
        await world.turns(worker, 1, shuffle=True)
    world.faults.lost_call = world.faults.lost_answer = world.faults.lost_query = world.faults.duplicate = 0
    await world.turns(worker, 90)
    assert world.commitments() == [], f"seed {seed}"
    world.conserved()


async def test_what_happens_while_the_fabric_side_is_down_is_carried_soon_after(world):
    """No attestation for a long time: nothing is lost, and the wait afterwards does not grow with the outage."""
    await world.open(TRANSFER)
    worker = world.worker(clear_interval_s=10**6)
    await world.turns(worker, 2)
    world.b.transfer_soon("channel-0", ("bmgb", 1), HOUR_NS)
    await world.blocks(1)
    world.b.is_down = True
    world.a.transfer_soon("channel-0", ("bmga", 5), HOUR_NS)
    for _ in range(80):
        await world.turns(worker, 1)
    assert len(world.commitments()) == 2
    world.b.is_down = False
    await world.turns(worker, 9)
    assert world.commitments() == []
    world.conserved()


async def test_an_error_of_a_node_holds_the_path_up_only_until_both_chains_move(world, monkeypatch):
    monkeypatch.setattr(worker_module, "ERROR_WAIT_S", 3600)
    await world.open(TRANSFER)
    running = asyncio.ensure_future(world.worker().run())
    world.a.transfer_soon("channel-0", ("bmga", 5), HOUR_NS)
    world.faults.lost_query = 1.0
    await world.blocks(6)
    world.faults.lost_query = 0.0
    await world.blocks(12)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert world.commitments() == []
    world.conserved()


async def test_an_existing_path_is_found_again(world, tmp_path):
    assert await find_path(world.parties) is None
    ids = await world.open(TRANSFER)
    found = await find_path(world.parties)
    assert (found.clients, found.connections) == (ids.clients, ids.connections)
    (tmp_path / "other").mkdir()
    twin = world_of(MIXED, tmp_path / "other")  # chains of the same names that are others
    await twin.blocks(30)
    twin.b.light.next_block(b"\x07" * 32, twin.b.light.time_ns + 5)
    assert await find_path((world.parties[0], twin.parties[1])) is None


@pytest.mark.parametrize("error", [NodeTimeout, GatewayRefused, NodeUnreachable])
async def test_a_peer_that_is_away_is_no_reason_for_another_path(world, monkeypatch, error):
    await world.open(TRANSFER)

    async def attest(_wish):
        raise error("endorse", "peer", "not now")

    monkeypatch.setattr(world.parties[1].prover.ledger, "attest", attest)
    with pytest.raises(error):
        await find_path(world.parties)


async def test_a_client_that_was_left_behind_is_used(world):
    host, subject = world.parties
    assert await unused_client(host, subject) == ""
    left = await world.drive(create_client(host, subject))
    assert left == "fabric-endorsement-1-0"
    assert await unused_client(host, subject) == left


async def test_client_is_refreshed_before_it_expires(tmp_path):
    world = world_of(MIXED, tmp_path, unbonding_ns=60 * NS)  # trusting 40 s
    await world.open(TRANSFER)
    worker = world.worker()
    await world.turns(worker, 120)
    assert worker.usable == [True, True]
    world.b.transfer_soon("channel-0", ("bmgb", 1), HOUR_NS)
    await world.turns(worker, 8)
    assert world.commitments() == []


@pytest.mark.parametrize("kinds", [MIXED, FABRIC], ids=["mixed", "fabric"])
async def test_ibc_v2_by_the_same_prover(kinds, tmp_path):
    world = type("FabricWorldV2", (WorldV2,), {"kinds": kinds})(tmp_path)
    await world.open_v2()
    worker = world.worker()
    world.transfer(0, ("bmga", 7))
    world.transfer(1, ("bmgb", 8))
    await world.turns(worker, 8)
    world.transfer(0, ("bmga", 7), timeout_ns=2 * NS)
    await world.blocks(4)
    await world.turns(worker, 6)
    assert world.pending() == []
    assert (world.a.balance("alice", "bmga"), world.b.balance("alice", "bmgb")) == (SUPPLY - 7, SUPPLY - 8)


# Memberships


def adopt(world, version, policy, *msp_ids):
    """A new membership on the ledger; from now on peers of these organisations endorse."""
    world.b.fabric.adopt(members_of(version, policy, *msp_ids))
    world.b.fabric.signers = peers(*msp_ids)


def membership_of(world):
    packed = world.a.context().ibc.get(f"clients/{world.ids.clients[0]}/clientState".encode())
    return fabric_client.ClientState.FromString(Any.FromString(packed).value).membership


async def test_memberships_are_carried_one_after_the_other(world):
    """Two steps at once: an organisation joins and the policy wants it, then the first one leaves it."""
    await world.open(TRANSFER)
    worker = world.worker()
    await world.turns(worker, 2)
    three = "AND('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')"
    world.b.fabric.adopt(members_of(2, three, ORG1, ORG2, ORG3))
    world.b.fabric.adopt(members_of(3, three.replace("AND", "OR"), ORG1, ORG2, ORG3))
    world.b.fabric.signers = peers(ORG1, ORG2, ORG3)
    world.b.transfer_soon("channel-0", ("bmgb", 3), HOUR_NS)
    await world.turns(worker, 8)
    assert membership_of(world).version == 3
    assert world.commitments() == []
    assert worker.watch.parties[0].chain.sim.balance("alice", "bmga") == SUPPLY


async def test_memberships_with_an_organisation_that_has_no_peer_are_carried_too(world):
    """Whoever is asked by the chaincode's policy is enough for the client's."""
    await world.open(TRANSFER)
    worker = world.worker()
    await world.turns(worker, 2)
    net, two = world.b.fabric, "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')"
    net.adopt(members_of(2, two, ORG1, ORG2, ORG3))
    await world.turns(worker, 10)
    assert membership_of(world).version == 2
    net.adopt(members_of(3, BOTH, ORG1, ORG2))
    await world.turns(worker, 10)
    assert membership_of(world).version == 3


async def test_endorsers_beyond_the_client_s_members_are_left_out(world):
    """A peer of an organisation that the client does not know yet endorses as well."""
    await world.open(TRANSFER)
    worker = world.worker()
    await world.turns(worker, 2)
    world.b.fabric.signers = peers(ORG1, ORG3, ORG2)
    world.b.transfer_soon("channel-0", ("bmgb", 3), HOUR_NS)
    await world.turns(worker, 8)
    assert world.commitments() == []


async def test_where_the_client_wants_more_than_the_chaincode_all_are_asked(world):
    """The chaincode's policy is content with one of two."""
    await world.open(TRANSFER)
    world.b.asked = 1
    worker = world.worker()
    world.b.transfer_soon("channel-0", ("bmgb", 3), HOUR_NS)
    await world.turns(worker, 8)
    assert world.commitments() == []


async def test_a_membership_reaches_an_idle_client_soon(world):
    """Not when it would expire: by then nobody may be left who can endorse for it."""
    await world.open(TRANSFER)
    worker = world.worker()
    await world.turns(worker, 2)
    adopt(world, 2, BOTH, ORG1, ORG2)
    await world.turns(worker, 10)
    assert membership_of(world).version == 2


async def test_endorsements_that_the_client_does_not_believe_are_not_sent(world):
    await world.open(TRANSFER)
    world.b.fabric.signers = peers(ORG1)
    info = await client_info(world.pair[0], world.ids.clients[0])
    with pytest.raises(NodeUnreachable, match=r"failed to find any endorsing peers for org\(s\): \['Org2MSP'\]"):
        await world.parties[1].prover.prove(Need(client=info))
    world.b.fabric.signers = (*peers(ORG1), replace(peers(ORG3)[0], msp_id=ORG2))
    with pytest.raises(ToolError, match="expected membership 1 to be satisfied"):
        await world.parties[1].prover.prove(Need(client=info))


# Ticks


async def test_a_tick_that_moves_between_attestations_is_asked_again(world, monkeypatch):
    await world.open(TRANSFER)
    prover = world.parties[1].prover
    real, calls = prover.ledger.attest, []

    async def attest(wish):
        made = await real(wish)
        calls.append(wish)
        if len(calls) == 1:
            await world.b.make_block()
        return made

    monkeypatch.setattr(prover.ledger, "attest", attest)
    asked = tuple(b"receipts/ports/transfer/channels/channel-0/sequences/%d" % n for n in range(1, 26))
    info = await client_info(world.pair[0], world.ids.clients[0])
    found = await prover.prove(Need(client=info, paths=asked))
    groups = -(-len(asked) // PATHS_PER_ATTESTATION)
    assert len(calls) == 2 * groups
    assert (set(found.proofs), found.height.height) == (set(asked), world.b.height)


async def test_no_update_where_the_client_is_there_already(world):
    await world.open(TRANSFER)
    base = await ground(*world.parties, world.ids.clients[0])
    done = world.a.submit_soon(*base.updates)
    await world.a.make_block()
    assert done.result().ok, done.result().log
    again = await ground(*world.parties, world.ids.clients[0])
    assert (len(base.updates), again.updates, again.proof_height) == (1, (), base.proof_height)


async def test_a_foreign_client_is_not_proven_to(world):
    await world.open(TRANSFER)
    info = await client_info(world.pair[1], world.ids.clients[1])
    with pytest.raises(ToolError, match=r"expected /bsmg\.fabric\.v1\.ClientState"):
        await world.parties[1].prover.prove(Need(client=info))


# Misbehaviour


async def take(world, endorsed, client_id=None):
    """The host takes a header."""
    message = client_tx.MsgUpdateClient(
        client_id=client_id or world.ids.clients[0],
        client_message=pack(build.header(endorsed)),
        signer=world.pair[1].signer,
    )
    done = world.a.submit_soon(message)
    await world.a.make_block()
    assert done.result().ok, done.result().log


def lie(world, **record):
    """What the organisations attest when they agree to lie about the last tick."""
    net = world.b.fabric
    true = net.ledger[records.TICK]
    tick = records.TickRecord.FromString(true)
    for key, value in record.items():
        setattr(tick, key, value)
    net.ledger[records.TICK] = tick.SerializeToString()
    made = net.attest(records.attest_args(tick.height, tick=True))
    net.ledger[records.TICK] = true
    return made


@pytest.mark.parametrize("change", [{"state_hash": b"other"}, {"time_ns": 1_700_000_000 * NS + 5}])
async def test_another_record_of_a_witnessed_tick_freezes_the_client(world, change):
    await world.open(TRANSFER)
    worker = world.worker()
    await world.blocks(3)
    await world.turns(worker, 1)
    if "time_ns" in change:
        change = {"time_ns": world.b.light.time_ns - 5}
    await world.turns(worker, 1)
    await worker.settled()
    forged = lie(world, **change)
    await let_run()
    await worker.turn()  # the true one is witnessed while it is the last
    await worker.settled()
    await world.b.make_block()
    await take(world, forged)
    await world.turns(worker, 10)
    assert await client_status(world.pair[0], world.ids.clients[0]) == "Frozen"
    assert worker.usable == [False, True]
    assert worker.metrics.misbehaviour.labels("mga-1", world.ids.clients[0])._value.get() == 1


async def test_another_value_of_a_path_of_the_last_tick_freezes_the_client(world):
    await world.open(TRANSFER)
    prover, net = world.parties[1].prover, world.b.fabric
    path = b"commitments/ports/transfer/channels/channel-0/sequences/9"
    net.put(path, b"x" * 32)
    forged = net.attest(records.attest_args(net.height, (path,), tick=True))
    net.put(path, None)
    info = await client_info(world.pair[0], world.ids.clients[0])
    evidence = await prover.conflict(info, pack(build.header(forged)).SerializeToString())
    message = client_tx.MsgUpdateClient(client_id=info.client_id, client_message=evidence, signer=world.pair[0].signer)
    done = world.a.submit_soon(message)
    await world.blocks(1)
    assert done.result().ok, done.result().log
    assert await client_status(world.pair[0], info.client_id) == "Frozen"


async def test_a_header_from_the_future_is_judged_when_its_tick_is_there(world):
    await world.open(TRANSFER)
    worker = world.worker()
    await world.turns(worker, 2)
    await take(world, lie(world, height=world.b.height + 3, time_ns=world.b.light.time_ns + NS // 2))
    await world.turns(worker, 8)
    assert await client_status(world.pair[0], world.ids.clients[0]) == "Frozen"


async def test_headers_of_other_relayers_are_fine(world):
    await world.open(TRANSFER)
    other = FabricProver(world.parties[1].prover.ledger, world.b.unbonding_ns * 2 // 3)
    worker = world.worker()
    for _ in range(4):
        info = await client_info(world.pair[0], world.ids.clients[0])
        (header,) = (await other.prove(Need(client=info))).headers
        await take(world, fabric_client.Header.FromString(header.value).endorsed)
        await world.turns(worker, 3)
    assert worker.usable == [True, True]
    assert worker.metrics.errors.labels("test")._value.get() == 0


async def test_a_rival_membership_of_the_present_version_freezes_the_client(world):
    """Signed by those who may sign, but not the one that the ledger has."""
    await world.open(TRANSFER)
    worker = world.worker()
    await world.turns(worker, 2)
    net = world.b.fabric
    adopt(world, 2, "OR('Org1MSP.peer', 'Org2MSP.peer')", ORG1, ORG2)
    await world.b.make_block()
    forged = net.attest(records.attest_args(net.height, tick=True, membership_version=2))
    adopt(world, 2, "OR('Org2MSP.peer', 'Org1MSP.peer')", ORG1, ORG2)
    await world.b.make_block()
    await take(world, forged)
    await world.turns(worker, 10)
    assert await client_status(world.pair[0], world.ids.clients[0]) == "Frozen"


async def test_a_blind_witness_does_not_stop_the_turns(world):
    await world.open(TRANSFER)
    world.b.is_down = True
    prover = world.parties[1].prover
    await prover.witness(await world.pair[1].head())
    with pytest.raises(NodeUnreachable):
        await prover.first_states()
    assert not await asyncio.wait_for(prover.witness(await world.pair[1].head()), GUARD_S)
