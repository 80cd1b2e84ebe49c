"""Client library and commands on a microgrid on Fabric: embedded ledger (marker e2e), the real one (marker fabric)."""

import asyncio
import json
import subprocess
import sys

import pytest

from bsmg.client.chain import ChainClient, EventQuery
from bsmg.client.errors import NodeError
from bsmg.client.fabric import FabricClient
from bsmg.client.node import NodeClient
from cosmos_wire.protos import bank_tx, coin, registry_query
from ibc_core import paths
from tests.client.fabric_net import CHAIN, EMBEDDED, REAL, bsmg, client_of, info_of, network, running

KINDS = [pytest.param(EMBEDDED, marks=pytest.mark.e2e), pytest.param(REAL, marks=pytest.mark.fabric)]
VICTIMS = {EMBEDDED: ("ledger", "org1"), REAL: ("orderer", "chaincode", "org2", "org1")}  # an organisation: peer, front


@pytest.fixture(scope="module", params=KINDS)
def home(tmp_path_factory, request):
    with running(tmp_path_factory.mktemp("fabric"), request.param) as made:
        yield made


@pytest.fixture
async def chain(home):
    async with client_of(home) as made:
        yield made


@pytest.fixture
def lane(home, chain):
    return chain.lane_of(info_of(home).account("faucet"))


def payment(home, lane, amount=1, to="relayer"):
    coins = [coin.Coin(denom="bmgf", amount=str(amount))]
    return [bank_tx.MsgSend(from_address=lane.address, to_address=info_of(home).account(to).address, amount=coins)]


async def test_the_kind_chooses_the_client(home):
    made = ChainClient.of(info_of(home))
    assert isinstance(made, FabricClient)
    assert made.kind == info_of(home).kind
    assert made.kind in VICTIMS
    await made.close()


async def test_accounts_are_members_with_the_address_of_the_file(home, chain):
    for account in info_of(home).accounts:
        assert chain.lane_of(account).address == account.address


async def test_a_hundred_payments_at_once_and_each_is_found(home, chain, lane):
    target = info_of(home).account("relayer").address
    before = await chain.balance(target, "bmgf")
    outcomes = await asyncio.gather(*(lane.submit(payment(home, lane), memo=str(n)) for n in range(100)))
    assert all(outcome.ok for outcome in outcomes)
    assert await chain.balance(target, "bmgf") == before + 100
    found = await chain.find_tx(outcomes[0].tx_hash)
    assert (found.height, found.result.events) == (outcomes[0].height, outcomes[0].events)
    events = await chain.find_events(EventQuery(type="transfer", attributes={"recipient": target}))
    assert {it.tx_hash for it in events} >= {outcome.tx_hash for outcome in outcomes}
    assert await chain.find_tx("AB" * 32) is None


async def test_a_refusal_names_code_space_and_code(home, chain, lane):
    outcome = await lane.submit(payment(home, lane, 10**30))
    assert (outcome.height, outcome.codespace, outcome.code) == (0, "sdk", 5)
    assert "is smaller than" in outcome.log
    held = await chain.balance(lane.address, "bmgf")
    one, other = await asyncio.gather(*(lane.submit(payment(home, lane, held)) for _ in range(2)))
    assert sorted([one.ok, other.ok]) == [False, True], "both were endorsed, the Tick has taken one"
    back = chain.lane_of(info_of(home).account("relayer"))
    await back.submit(payment(home, back, held, to="faucet"))


async def test_somebody_else_s_coins_can_t_be_spent(home, lane):
    message = payment(home, lane)
    message[0].from_address = info_of(home).account("relayer").address
    outcome = await lane.submit(message)
    assert not outcome.ok
    assert outcome.codespace == "sdk"


async def test_attestations_and_membership(chain):
    found = await chain.attest([paths.NEXT_CLIENT_SEQUENCE, b"nothing"])
    assert found.values == {paths.NEXT_CLIENT_SEQUENCE: bytes(8), b"nothing": None}
    assert found.tick.height == found.height
    assert (await chain.feed.record(found.height)).time_ns == found.time_ns
    assert [msp.msp_id for msp in (await chain.membership()).msps] == ["Org1MSP", "Org2MSP"]


async def test_both_fronts_tell_the_same_blocks(home, chain):
    head = await chain.head()
    async with client_of(home, 1) as other:
        if other.feed.head.height < head.height:
            await other.feed.wait_above(head.height - 1)
        for height in range(2, head.height + 1):
            assert await other.feed.record(height) == await chain.feed.record(height)


async def test_a_client_that_knows_only_grpc(home):
    node = NodeClient("", info_of(home).nodes[0].grpc)
    async with node:
        assert (await node.status()).chain_id == CHAIN
        request = registry_query.QueryCellsRequest()
        found = await node.query("/bsmg.registry.v1.Query/Cells", request, registry_query.QueryCellsResponse)
        assert len(found.cells) == 2


async def test_killed_in_mid_flight_nothing_is_lost_and_nothing_runs_twice(home, chain, lane):
    for victim in VICTIMS[chain.kind]:
        await paid_once_each(home, chain, lane, f"{CHAIN}-{victim}")


async def paid_once_each(home, chain, lane, victim):
    target = info_of(home).account("relayer-0").address
    before, taken, done = await chain.balance(target, "bmgf"), [], asyncio.Event()

    async def pay():
        while not done.is_set():
            try:
                outcome = await lane.submit(payment(home, lane, to="relayer-0"))
            except NodeError:
                continue  # nothing was ordered
            assert outcome.ok, outcome
            taken.append(outcome.tx_hash)

    async def some_more():
        wanted = len(taken) + 20
        while len(taken) < wanted:
            await chain.feed.wait_above((await chain.head()).height)

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(pay())
        await some_more()
        await asyncio.to_thread(network, home, "kill", victim)
        await asyncio.to_thread(network, home, "restart", victim)
        await some_more()
        done.set()
    assert await chain.balance(target, "bmgf") == before + len(taken) == before + len(set(taken))


def test_commands(home, tmp_path):
    info = info_of(home)
    assert '"amount"' in bsmg(home, "query", "bank", "balance", "faucet", "--chain", CHAIN)
    paid = json.loads(bsmg(home, "tx", "bank", "send", "utility-cell", "7bmgf", "--from", "faucet", "--chain", CHAIN))
    told = json.loads(bsmg(home, "explain", paid["txhash"], "--chain", CHAIN))
    assert (told["result"], told["messages"][0]["amount"]) == ("success", [{"denom": "bmgf", "amount": "7"}])
    by_file = ["--from", next(it.certificate for it in info.accounts if it.name == "faucet"), "--chain", CHAIN]
    assert json.loads(bsmg(home, "tx", "bank", "send", "utility-cell", "7bmgf", *by_file))["code"] == 0
    assert "error: sdk/5" in bsmg(home, "tx", "bank", "send", "relayer", "9" * 30 + "bmgf", "--from", "faucet", code=1)
    assert "utility-cell" not in bsmg(home, "slot")
    assert f"{info.kind}, block" in bsmg(home, "doctor")
    proof = tmp_path / "proof.json"
    bsmg(home, "verify-proof", "--fetch", "nextClientSequence", "--out", str(proof))
    assert "VALID: ibc/0x6e657874" in bsmg(home, "verify-proof", str(proof))
    assert "attests the store ibc" in bsmg(
        home, "verify-proof", "--fetch", "x", "--store", "app", "--out", str(proof), code=1
    )


def test_a_cell_joins_as_a_member(home):
    assert "newbie.crt" in bsmg(home, "cell", "join", "newbie")
    assert "newbie@mgf" in bsmg(home, "cell", "list")
    assert "newbie@mgf" in bsmg(home, "cell", "show", "newbie@mgf")
    again = bsmg(home, "cell", "join", "newbie", code=1)
    assert "error" in again


def test_agents_trade_and_the_bill_and_the_audit_agree(home, tmp_path):
    agents = ["-m", "utility_cell.agents.run", "--testnet", str(home / "testnet.json"), "--quarter", "48"]
    process = subprocess.Popen([sys.executable, *agents], stderr=subprocess.PIPE, text=True)
    try:
        asyncio.run(settled(home, slots=3))
    finally:
        process.terminate()
        log = process.communicate()[1]
    assert "Traceback" not in log
    assert "sum:" in bsmg(home, "bill", "home-01")
    text = bsmg(home, "audit", "--json", str(tmp_path / "audit.json"))
    assert "the audit agrees with every unit" in text
    assert "not checked: whether the orderers left transactions out" in text
    checked = json.loads((tmp_path / "audit.json").read_text())["chains"][0]["checked"]
    assert min(checked[name] for name in ("ledger", "orderers", "ticks", "accounts", "readings", "statements")) > 0


async def settled(home, slots):
    """Wait until so many slots have readings and were settled."""
    async with client_of(home) as chain:
        identity = next(it for it in info_of(home).accounts if it.identity).address
        first = len(await chain.find_events(EventQuery(type="cell_settled", attributes={"cell": identity})))
        while True:
            head = await chain.head()
            found = await chain.find_events(EventQuery(type="cell_settled", attributes={"cell": identity}))
            metered = [it for it in found if dict(it.event.attributes).get("m", "0") != "0"]
            if len(found) >= first + slots and metered:
                return
            await chain.feed.wait_above(head.height)
