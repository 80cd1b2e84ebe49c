"""Ballots on a real chain of four validators: honest, lying, dead, cheating, overfilling, replayed from nothing."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from bsmg.audit.fetch import read_chain
from bsmg.audit.run import audit
from bsmg.client.comet import CometClient
from bsmg.client.rpc import Rpc
from bsmg.client.testnet_file import load_testnet
from cosmos_wire.protos import market, market_query
from microgrid.votes import PREFIX
from tests.ballot.net import CHAIN, LARGE, QUERY, SMALL, BallotNet, ballot_after, until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BallotNet]:
    with BallotNet.running(tmp_path_factory.mktemp("ballot") / "net") as made:
        yield made


@pytest.fixture(autouse=True)
def honest(net: BallotNet) -> Iterator[None]:
    yield
    net.behave()


def outcome(slot: market.Slot) -> tuple[int | None, int, bool]:
    return (slot.ballot.chosen if slot.ballot.HasField("chosen") else None, slot.factor_permille, slot.voided)


async def everybody_votes(client: CometClient) -> market.Slot:
    """The first slot on which all four say yes; whoever was away catches up first, and nobody waits for it."""
    slot = await ballot_after(client, SMALL)
    while slot.ballot.tallies[0].yes != 40:
        assert outcome(slot) == (0, 1000, False)
        slot = await ballot_after(client, SMALL, slot.ballot.opened_height)
    return slot


async def test_four_judges_secure_what_the_feeder_bears_and_cut_what_it_does_not(net: BallotNet) -> None:
    async with net.trading(SMALL) as client:
        slot = await ballot_after(client, SMALL, 1)
        assert outcome(slot) == (0, 1000, False)
        assert (slot.ballot.tallies[0].yes, slot.ballot.total) == (40, 40)
        request, kind = market_query.QueryBallotRequest(slot=slot.slot), market_query.QueryBallotResponse
        kept = await client.query(QUERY + "Ballot", request, kind)
        assert (kept.ballot, list(kept.candidates)) == (slot.ballot, [])
    async with net.trading(LARGE) as client:
        slot = await ballot_after(client, LARGE)
        assert outcome(slot) == (2, 500, False)
        assert [(tally.yes, tally.no) for tally in slot.ballot.tallies] == [(0, 40), (0, 40), (40, 0), (40, 0)]
    assert "after the loss of 3-4" in net.log(0, "app")


async def test_a_liar_changes_nothing_nor_does_a_dead_one_and_both_leave_the_fallback(net: BallotNet) -> None:
    async with net.trading(SMALL) as client:
        net.behave("lie")
        slot = await ballot_after(client, SMALL)
        assert outcome(slot) == (0, 1000, False)
        assert slot.ballot.tallies[0].yes == 30
        net.behave()
        await net.kill(2)
        slot = await ballot_after(client, SMALL)
        assert outcome(slot) == (0, 1000, False)
        assert slot.ballot.tallies[0].yes == 30
        net.behave("lie")
        slot = await ballot_after(client, SMALL)
        assert outcome(slot) == (None, 0, False)
        assert (slot.ballot.tallies[0].yes, slot.ballot.tallies[0].no, slot.ballot.total) == (20, 10, 40)
        sealed = market.SLOT_STATE_SEALED
        number = slot.slot

        async def goes_on() -> bool:
            request, kind = market_query.QuerySlotRequest(slot=number), market_query.QuerySlotResponse
            return (await client.query(QUERY + "Slot", request, kind)).slot.state >= sealed

        await until(client, goes_on)
        net.behave()
        await net.restart(2)
        await everybody_votes(client)


async def test_a_proposer_that_flips_votes_is_passed_over_and_rubbish_costs_its_own_vote(net: BallotNet) -> None:
    async with net.trading(LARGE) as client:
        net.behave("flip", "long")

        async def flipped() -> list[int]:
            return net.deeds("flip")

        height = (await until(client, flipped))[0]
        await until(client, lambda: decided(net, height))
        commit = net.rpc(0, f"block?height={height + 1}")["result"]["block"]["last_commit"]
        assert commit["round"] > 0  # the others refused it
        slot = await ballot_after(client, LARGE, height)
        assert outcome(slot)[1:] == (500, False)
        assert slot.ballot.tallies[3].yes == 30
        net.behave("huge")
        slot = await ballot_after(client, LARGE)
        assert outcome(slot)[1:] == (500, False)
        assert (slot.ballot.tallies[3].yes, slot.ballot.total) == (30, 40)
        assert net.deeds("huge")


async def decided(net: BallotNet, height: int, node: int = 0) -> bool:
    return int(net.rpc(node, "status")["result"]["sync_info"]["latest_block_height"]) > height


async def test_a_proposer_that_overfills_harms_itself_alone(net: BallotNet) -> None:
    async with net.trading(SMALL) as client:
        net.behave("overfill")

        async def overfilled() -> list[int]:
            return net.deeds("overfill")

        height = (await until(client, overfilled))[0]
        slot = await ballot_after(client, SMALL, height)
        assert outcome(slot) == (0, 1000, False)
        assert slot.ballot.tallies[0].yes == 30
        assert "CONSENSUS FAILURE" in net.log(3, "cometbft")
        net.behave()
        await net.kill(3)
        await net.restart(3)
        await everybody_votes(client)


async def test_an_empty_application_replays_the_chain_and_votes_again(net: BallotNet) -> None:
    async with net.trading(SMALL) as client:
        await net.kill(1)
        net.forget(1)
        await net.restart(1)
        height = (await everybody_votes(client)).ballot.height
        await until(client, lambda: decided(net, height + 1, node=1))
        headers = [net.rpc(node, f"header?height={height + 1}")["result"]["header"] for node in (0, 1)]
        assert headers[0] == headers[1]
        started = [line for line in net.log(1, "app").splitlines() if "event=ready" in line]
        assert [" height=0 " in line for line in started] == [True, True]


def test_a_bundle_by_broadcast_is_refused_by_code(net: BallotNet) -> None:
    answer = net.rpc(0, f"broadcast_tx_sync?tx=0x{quote((PREFIX + bytes(4)).hex())}")["result"]
    assert (answer["codespace"], answer["code"]) == ("market", 16)


async def test_the_audit_counts_every_ballot_again(net: BallotNet) -> None:
    """All that the tests above left in the chain: cuts, fallbacks, lost votes, odd extensions."""
    async with Rpc(load_testnet(net.home.testnet).chain(CHAIN).nodes[0].rpc) as rpc:
        record = await read_chain(rpc, lambda _done, _all: None, light=True)
    (findings,) = audit([record])
    assert [str(item) for item in findings.differences] == []
    tallied = [event for block in record.blocks for item in block.txs for event in item.events]
    assert any(event.type == "vote_tallied" for event in tallied)
    assert findings.checked["ballots"] > 0
    assert findings.checked["proofs"] > 0
    assert not [note for note in findings.notes if "end state" in note]
