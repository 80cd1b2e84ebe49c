"""A lane on Fabric against gateways that refuse, lose and forget: every message runs exactly once."""

import asyncio
from dataclasses import replace

import pytest

from bsmg.client import fabric_lane
from bsmg.client.errors import GatewayRefused, KeyFault, NodeUnreachable, TxInvalid, TxUnknown
from bsmg.client.keys import key_from_name
from cosmos_wire.address import from_bech32
from cosmos_wire.protos import bank_tx
from fabric_adapter.gateway import Patience
from tests.client.fake_fabric import fake_fabric

MESSAGE = [bank_tx.MsgSend(from_address="a", to_address="b")]


@pytest.fixture
async def net(tmp_path):
    async with fake_fabric(tmp_path) as made:
        yield made


@pytest.fixture
async def chain(net):
    made = net.client()
    made.patience = Patience(total_s=1.0, resubmit_s=0.3)
    async with made:
        yield made


@pytest.fixture
def lane(net, chain):
    return chain.lane(net.identity())


def memos(net):
    return [item.tx.decode() for block in net.front.blocks for item in block.txs]


async def test_hundreds_at_once_each_runs_once(net, chain, lane):
    outcomes = await net.ticking(*(lane.submit(MESSAGE, memo=str(n)) for n in range(300)))
    assert all(outcome.ok for outcome in outcomes), outcomes
    assert sorted(memos(net), key=int) == [str(n) for n in range(300)]
    assert lane.waiting == 0


async def test_outcome_is_what_the_tick_says(net, lane):
    bad, good = await net.ticking(lane.submit(MESSAGE, memo="bad"), lane.submit(MESSAGE, memo="good"))
    assert (bad.code, bad.codespace, bad.ok, bad.height > 1) == (5, "sdk", False, True)
    assert good.ok
    assert dict(good.events[0].attributes) == {"memo": "good"}
    assert good.tx_hash in {item.hash for block in net.front.blocks for item in block.txs}


async def test_the_address_is_the_hash_of_the_certificate_s_key(lane):
    assert len(from_bech32(lane.address)) == 32


async def test_a_refusal_is_an_outcome_without_a_block(net, lane):
    net.programs["Org1MSP"].says = ["bank/5: insufficient funds: 3 < 10\nand more"]
    outcome = await lane.submit(MESSAGE)
    assert (outcome.height, outcome.codespace, outcome.code, outcome.ok) == (0, "bank", 5, False)
    assert outcome.log == "insufficient funds: 3 < 10\nand more"
    assert len(outcome.tx_hash) == 64
    assert outcome.tx_hash.isupper()


async def test_a_refusal_by_a_peer_that_is_behind_is_asked_again(net, lane):
    net.programs["Org2MSP"].says = ["bank/5: insufficient funds"] * 2
    (outcome,) = await net.ticking(lane.submit(MESSAGE, memo="1"))
    assert outcome.ok
    net.programs["Org2MSP"].says = ["bank/5: insufficient funds"] * 20
    assert (await lane.submit(MESSAGE)).code == 5, "there is an end to patience"
    assert memos(net) == ["1"]


async def test_a_chaincode_that_is_still_loading_is_waited_for(net, lane):
    program = net.programs["Org2MSP"]
    program.loaded = False
    job = asyncio.ensure_future(lane.submit(MESSAGE, memo="1"))
    await asyncio.to_thread(program.refused.wait)
    program.loaded = True
    (outcome,) = await net.ticking(job)
    assert outcome.ok
    program.loaded = False
    with pytest.raises(GatewayRefused, match="image not loaded"):
        await lane.submit(MESSAGE)


async def test_a_broken_chaincode_is_not_a_refusal_of_the_message(net, lane):
    net.programs["Org1MSP"].says = ["the chaincode broke: KeyError('x')"]
    with pytest.raises(GatewayRefused, match="the chaincode broke"):
        await lane.submit(MESSAGE)


async def test_conflicts_are_made_anew(net, lane):
    outcomes = await net.ticking(*(lane.submit(MESSAGE, memo="hot") for _ in range(3)))
    assert all(outcome.ok for outcome in outcomes), outcomes
    assert memos(net) == ["hot"] * 3


async def test_conflicts_without_end_are_an_error_that_says_so(net, lane, monkeypatch):
    monkeypatch.setattr(fabric_lane, "RESEND_TRIES", 1)
    outcomes = await net.ticking(*(lane.submit(MESSAGE, memo="hot") for _ in range(8)))
    invalid = [outcome for outcome in outcomes if isinstance(outcome, TxInvalid)]
    assert invalid
    assert invalid[0].verdict == "MVCC_READ_CONFLICT"
    assert len(memos(net)) == 8 - len(invalid), "an invalid one has not run"


@pytest.mark.parametrize(
    "faults", [["lost"], ["answer lost"], ["lost", "answer lost", "lost"], ["forgotten"], ["forgotten", "answer lost"]]
)
async def test_lost_calls_answers_and_orderers_run_once(net, lane, faults):
    net.gateway.faults = list(faults)
    outcomes = await net.ticking(*(lane.submit(MESSAGE, memo=str(n)) for n in range(5)))
    assert all(outcome.ok for outcome in outcomes), outcomes
    assert sorted(memos(net)) == ["0", "1", "2", "3", "4"]


async def test_what_may_have_been_taken_is_never_made_anew(net, lane, monkeypatch):
    """The gateway stays away after it has taken the transaction: the same envelope is handed over until it is back."""
    monkeypatch.setattr(fabric_lane, "SETTLE_PAUSE_S", 0.05)
    net.gateway.faults = ["answer lost"] + ["lost"] * 12  # longer than the gateway client's own patience
    (outcome,) = await net.ticking(lane.submit(MESSAGE, memo="1"))
    assert outcome.ok
    assert memos(net) == ["1"]
    assert net.programs["Org1MSP"].submits == 1
    assert len(set(net.gateway.envelopes)) == 1


async def test_no_end_in_sight_says_that_it_may_still_run(net, lane, monkeypatch):
    monkeypatch.setattr(fabric_lane, "SETTLE_S", 0.0)
    net.gateway.faults = ["lost"] * 99
    with pytest.raises(TxUnknown, match="sent, its end is not known yet"):
        await lane.submit(MESSAGE, memo="1")
    monkeypatch.setattr(fabric_lane, "EXECUTION_S", 0.05)
    net.gateway.faults = []
    with pytest.raises(TxUnknown, match="no Tick has executed it"):
        await lane.submit(MESSAGE, memo="2")
    await net.tick()
    assert memos(net) == ["2"]


async def test_no_peer_before_anything_is_sent(net):
    chain = net.client()
    chain.patience = Patience(total_s=0.2)
    chain.endpoints = replace(chain.endpoints, peer="127.0.0.1:1")
    async with chain:
        with pytest.raises(NodeUnreachable, match="endorse at mgf-1"):
            await chain.lane(net.identity()).submit(MESSAGE)


async def test_a_mnemonic_is_no_member(chain):
    with pytest.raises(KeyFault, match="expected a member's certificate"):
        chain.lane(key_from_name("alice"))
