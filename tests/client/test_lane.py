"""A lane against a node that loses, refuses, forgets and restarts: every message runs exactly once, in order."""

import asyncio
from decimal import Decimal

import pytest

from bsmg.client.comet import CometClient, Endpoints
from bsmg.client.errors import NodeUnreachable
from bsmg.client.keys import key_from_name
from bsmg.client.lane import FeePolicy, SigningLane, parse_gas_price
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import bank_tx
from tests.client.fake_node import FakeNode, parse

TURNS_PER_BLOCK = 16
MESSAGE = [bank_tx.MsgSend(from_address="a", to_address="b")]


@pytest.fixture
async def node():
    made = await FakeNode().start()
    yield made
    await made.stop()


@pytest.fixture
async def chain(node):
    async with CometClient("fake-1", Endpoints(rpc=node.url)) as made:
        yield made


@pytest.fixture
def lane(chain):
    return chain.lane(key_from_name("alice"), FeePolicy(fixed_gas=100))


def memos(node):
    return [parse(raw).body.memo for block in node.blocks for raw in block]


async def settle(node, *jobs, blocks=60):
    """Blocks until all jobs are done."""
    task = asyncio.gather(*jobs, return_exceptions=True)
    for _ in range(blocks * 20):
        if task.done():
            return task.result()
        for _ in range(TURNS_PER_BLOCK):  # turns of the loop, not time: a busy machine must not outrun the lane
            await asyncio.sleep(0.0005)
        if node.runner is not None:
            await node.make_block()
    task.cancel()
    raise AssertionError("not done")


async def test_many_callers_share_one_sequence(node, lane):
    outcomes = await settle(node, *(lane.submit(MESSAGE, memo=str(n)) for n in range(40)))
    assert all(outcome.ok for outcome in outcomes)
    assert sorted(memos(node), key=int) == [str(n) for n in range(40)]
    assert node.sequence == 40


async def test_code_of_the_block_is_the_outcome(node, lane):
    node.codes["bad"] = 5
    bad, good = await settle(node, lane.submit(MESSAGE, memo="bad"), lane.submit(MESSAGE, memo="good"))
    assert (bad.code, bad.ok, bad.height > 0) == (5, False, True)
    assert good.ok


async def test_sequence_mismatch_is_resynced(node, chain, lane):
    await settle(node, lane.submit(MESSAGE, memo="1"))
    node.sequence = node.check_sequence = 9  # somebody else used the key
    (outcome,) = await settle(node, lane.submit(MESSAGE, memo="2"))
    assert outcome.ok
    assert node.sequence == 10


async def test_check_refusal_uses_no_sequence(node, lane):
    node.fail_next = ["refuse"]
    refused, fine = await settle(node, lane.submit(MESSAGE, memo="1"), lane.submit(MESSAGE, memo="2"))
    assert (refused.height, refused.code, refused.codespace) == (0, 13, "sdk")
    assert fine.ok
    assert memos(node) == ["2"]


async def test_full_mempool_waits_for_a_block(node, lane):
    node.fail_next = ["full", "full"]
    (outcome,) = await settle(node, lane.submit(MESSAGE, memo="1"))
    assert outcome.ok


@pytest.mark.parametrize("failures", [["lost"], ["answer lost"], ["lost", "answer lost", "lost"], ["answer lost"] * 9])
async def test_lost_calls_and_answers_run_once(node, lane, failures):
    node.fail_next = list(failures)
    outcomes = await settle(node, *(lane.submit(MESSAGE, memo=str(n)) for n in range(5)))
    assert all(outcome.ok for outcome in outcomes), outcomes
    assert sorted(memos(node)) == ["0", "1", "2", "3", "4"]


async def test_node_restart_with_transactions_in_flight(node, lane):
    jobs = [asyncio.ensure_future(lane.submit(MESSAGE, memo=str(n))) for n in range(6)]
    await node.holds(6)
    await node.stop()
    node.lose_memory()
    await node.start()
    outcomes = await settle(node, *jobs, lane.submit(MESSAGE, memo="6"))
    assert all(outcome.ok for outcome in outcomes), outcomes
    assert sorted(memos(node)) == [str(n) for n in range(7)]


async def test_simulation_sets_gas_and_fee(node, chain):
    policy = FeePolicy(price=Decimal("0.25"), denom="bmga", multiplier=Decimal("1.5"))
    lane = SigningLane(chain, key_from_name("bob"), policy)
    outcomes = await settle(node, *(lane.submit(MESSAGE, memo=str(n)) for n in range(4)))
    assert all(outcome.ok for outcome in outcomes), outcomes
    fees = [parse(raw).fee for block in node.blocks for raw in block]
    assert {(fee.gas_limit, fee.amount[0].denom, fee.amount[0].amount) for fee in fees} == {(1_500, "bmga", "375")}


async def test_too_little_gas_is_doubled_and_sent_again(node, chain):
    policy = FeePolicy(price=Decimal("0.25"), denom="bmga", multiplier=Decimal("1.5"))
    lane = SigningLane(chain, key_from_name("bob"), policy)
    node.gas_needed = 2_900
    (outcome,) = await settle(node, lane.submit(MESSAGE))
    assert outcome.ok, outcome
    assert [parse(raw).fee.gas_limit for raw in node.broadcasts] == [1_500, 3_000]
    node.gas_needed = 10**9
    (outcome,) = await settle(node, lane.submit(MESSAGE))
    assert (outcome.codespace, outcome.code) == ("sdk", 11), "no end of doubling"
    assert len(node.broadcasts) == 5


async def test_dead_node_before_anything_is_sent(node, chain, lane):
    await node.stop()
    with pytest.raises(NodeUnreachable, match=r"abci_query at http"):
        await lane.submit(MESSAGE)


async def test_another_chain_at_the_address_is_refused(node):
    with pytest.raises(ToolError, match="expected chain other-1, got fake-1"):
        async with CometClient("other-1", Endpoints(rpc=node.url)):
            pass


@pytest.mark.parametrize("text", ["", "x", "-1bmga", "1", "1 bmga x", "0.1.2bmga"])
def test_bad_gas_prices(text):
    with pytest.raises(ToolError, match="gas price"):
        parse_gas_price(text)


def test_gas_prices():
    assert parse_gas_price("0.025bmga") == (Decimal("0.025"), "bmga")
    assert parse_gas_price("0") == (Decimal(0), "")
    assert FeePolicy(price=Decimal("0.025"), denom="bmga").fee(101) == (("bmga", 3),)
