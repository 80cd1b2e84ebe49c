"""ICS-20 between a chain on CometBFT and one on Fabric: there and back, in bursts, past a timeout."""

from __future__ import annotations

import asyncio

from bsmg.demo.check import audited
from cosmos_wire.protos import bank_tx, coin
from tests.e2e import carrying
from tests.e2e.net import Net, Side, conserved, opened, quiet, transfer, until, until_time, voucher
from tests.e2e.reflect import Reflected

TOKENS = 12_345_678_901
SHORT_MS = 8_000  # block time of the target from the send to the timeout
BURST = 25


async def there_and_back(here: Side, there: Side) -> None:
    """A token becomes a voucher and comes home; every balance agrees at every stop."""
    foreign = voucher(there, here.denom)
    start = await here.balance(here.faucet.address), await there.balance(there.faucet.address, foreign)
    assert (await transfer(here, there, (here.denom, TOKENS))).ok
    await quiet(here, there)
    assert await here.balance(here.faucet.address) == start[0] - TOKENS
    assert await there.balance(there.faucet.address, foreign) == start[1] + TOKENS
    assert await conserved(here, there)
    assert (await transfer(there, here, (foreign, TOKENS))).ok
    await quiet(here, there)
    assert await here.balance(here.faucet.address) == start[0]
    assert await there.balance(there.faucet.address, foreign) == start[1]
    assert await conserved(here, there)


async def test_tokens_of_each_chain_go_there_and_come_back(mixed: Net) -> None:
    async with opened(mixed) as (comet, fabric):
        await there_and_back(comet, fabric)
        await there_and_back(fabric, comet)


async def test_a_burst_each_way_arrives_once(mixed: Net) -> None:
    async with opened(mixed) as (comet, fabric):
        await quiet(comet, fabric)
        ours, theirs = voucher(fabric, comet.denom), voucher(comet, fabric.denom)
        start = await fabric.balance(fabric.faucet.address, ours), await comet.balance(comet.faucet.address, theirs)
        ways = [transfer(comet, fabric, (comet.denom, 1)) for _ in range(BURST)]
        ways += [transfer(fabric, comet, (fabric.denom, 1)) for _ in range(BURST)]
        sent = await asyncio.gather(*ways)
        assert all(one.ok for one in sent), [one.log for one in sent if not one.ok][:3]
        await quiet(comet, fabric)
        assert await fabric.balance(fabric.faucet.address, ours) == start[0] + BURST
        assert await comet.balance(comet.faucet.address, theirs) == start[1] + BURST
        assert await conserved(comet, fabric)
        assert await conserved(fabric, comet)


async def test_what_no_relayer_carried_in_time_is_refunded_on_both_sides(mixed: Net) -> None:
    async with opened(mixed) as (comet, fabric):
        await quiet(comet, fabric)
        pairs = ((comet, fabric), (fabric, comet))
        start = [await source.balance(source.faucet.address) for source, _ in pairs]
        async with mixed.without_relayers():
            packets, times_ms = [], []
            for source, target in pairs:
                times_ms.append(await target.time_ms() + SHORT_MS)
                outcome = await transfer(source, target, (source.denom, TOKENS), timeout_ms=times_ms[-1])
                packets.append(carrying.packet_of(outcome))
            for (_, target), time_ms in zip(pairs, times_ms, strict=True):
                await until_time(target, time_ms + 1)
        await quiet(comet, fabric)
        assert [await source.balance(source.faucet.address) for source, _ in pairs] == start
        for (source, target), packet in zip(pairs, packets, strict=True):
            assert not await carrying.has_receipt(target, packet)
            assert await conserved(source, target)

            async def refunded(side: Side = source, sequence: int = packet.sequence) -> bool:
                found = await side.events("timeout_packet", packet_sequence=sequence, packet_src_port="transfer")
                return len(found) == 1

            await until(source.client, refunded, "the refund in the index")


async def test_a_client_by_reflection_cannot_tell_the_ledgers_apart(mixed: Net) -> None:
    async with opened(mixed) as (comet, fabric):
        with Reflected(comet.info.nodes[0].grpc) as one, Reflected(fabric.info.nodes[0].grpc) as other:
            assert one.services() == other.services()
            assert {"bsmg.market.v1.Query", "ibc.core.channel.v1.Query", "bsmg.node.v1.Service"} <= set(
                other.services()
            )
            kinds = [seen.call("bsmg.node.v1.Service/Status")["kind"] for seen in (one, other)]
            assert kinds == ["cometbft", fabric.info.kind]
            for seen, side in ((one, comet), (other, fabric)):
                assert seen.balance(side.faucet.address, side.denom) == await side.balance(side.faucet.address)
                latest = seen.call("cosmos.base.tendermint.v1beta1.Service/GetLatestBlock")
                assert latest["block"]["header"]["chain_id"] == side.info.chain_id


async def test_both_organisations_fronts_answer_alike(mixed: Net) -> None:
    async with opened(mixed) as (_, first), opened(mixed, node=1) as (_, second):
        outcome = await first.faucet.submit([_payment(first)])
        assert outcome.ok, outcome.log
        await second.client.feed.wait_above(outcome.height - 1)
        for height in (outcome.height - 1, outcome.height):
            held = [
                await side.client.balance(first.address("relayer"), first.denom, height) for side in (first, second)
            ]
            assert held[0] == held[1]
        here, there = [await side.client.feed.record(outcome.height) for side in (first, second)]
        assert here == there


def _payment(side: Side) -> bank_tx.MsgSend:
    amount = [coin.Coin(denom=side.denom, amount="5")]
    return bank_tx.MsgSend(from_address=side.faucet.address, to_address=side.address("relayer"), amount=amount)


async def test_the_audit_agrees_with_both_ledgers(mixed: Net) -> None:
    """Endorsements of every packet's proof, orderers' signatures of every block, and both end states."""
    async with opened(mixed) as (comet, fabric):
        await quiet(comet, fabric)
    found = await audited(mixed.file)
    shared = f" {comet.end.client_id} "
    lies = [said for said in found.differences if " clients: " in said and shared not in said]
    assert list(found.differences) == lies, "more than the liars of test_fabric_fork.py told a client of their own"
    assert len(lies) <= 1
    assert found.checked["attestations"] > 0
    assert found.checked["orderers"] > 0
    assert found.checked["proofs"] > 0
