"""A front on the embedded ledger: it writes ticks, follows them, and answers as any node does."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ClassVar

import aiohttp
import pytest

from abci_app.comet_blocks import CometBlocks
from abci_app.comet_rpc import CometRpc
from bsmg.client.errors import QueryNotFound, QueryRefused
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import (
    auth_query,
    cmt_query,
    fabric_microgrid,
    node_query,
    node_service,
    secp256r1_keys,
    tx,
    tx_service,
)
from fabric_adapter.deliver import WrongBlockError
from fabric_adapter.microgrid.chaincode import MicrogridChaincode
from fabric_adapter.microgrid.layout import tx_id_of
from fabric_adapter.node import writer
from fabric_adapter.node.front import run
from fabric_adapter.stub import FAILED, Response, Stub
from microgrid.operator import Operator
from microgrid.query.query_server import QueryServer
from microgrid.query.rest_routes import rest_routes
from microgrid.store import StateDb, StoreOptions
from tests.fabric_node.world import CHAIN, HANG_S, NODE, RICH, Front, World, until, world

TickArgs = fabric_microgrid.TickArgs
TX = "/cosmos.tx.v1beta1.Service/"
COMET = "/cosmos.base.tendermint.v1beta1.Service/"
BASE = "/cosmos.base.node.v1beta1.Service/"


@asynccontextmanager
async def running(tmp_path, **more):
    async with world(tmp_path) as net:
        await net.found()
        async with net.front(**more) as front:
            await front.height_above(1)
            yield net, front


async def block_of(front: Front, tx_id: str, above: int = 0) -> node_service.BlockResponse:
    """The block that executed a transaction."""
    async with asyncio.timeout(HANG_S):
        while True:
            above = await front.height_above(above)
            try:
                found = await front.ask(f"{TX}GetTx", tx_service.GetTxRequest(hash=tx_id), tx_service.GetTxResponse)
            except QueryNotFound:
                continue
            return await front.block(found.tx_response.height)


async def paid(net: World, front: Front, amount: int = 1, **who: str) -> node_service.BlockResponse:
    return await block_of(front, await net.pay(amount, **who))


async def test_ticks_come_and_payments_show(tmp_path):
    async with running(tmp_path) as (net, front):
        status = await front.status()
        assert (status.chain_id, status.kind, status.earliest_height) == (CHAIN, "fabric-embedded", 1)
        block = await paid(net, front, 5)
        assert [(tx.result.code, len(tx.hash)) for tx in block.txs] == [(0, 64)]
        assert await front.balance(net.bob) == RICH + 5
        assert await front.balance(net.bob, block.height - 1) == RICH
        first = await front.block(1)
        assert (first.height, list(first.txs)) == (1, [])
        heights = [(await front.block(height)).time_ns for height in range(1, block.height + 1)]
        assert heights == sorted(set(heights))


async def test_a_transaction_by_every_door(tmp_path):
    async with running(tmp_path) as (net, front):
        block = await paid(net, front, 7)
        tx_hash = block.txs[0].hash
        found = await front.ask(f"{TX}GetTx", tx_service.GetTxRequest(hash=tx_hash.lower()), tx_service.GetTxResponse)
        shown = found.tx_response
        assert (shown.txhash, shown.height, shown.code) == (tx_hash, block.height, 0)
        assert shown.timestamp.endswith("Z")
        assert found.tx.body.messages[0].type_url == "/cosmos.bank.v1beta1.MsgSend"
        assert list(found.tx.signatures) == []
        key = found.tx.auth_info.signer_infos[0].public_key
        account = await front.ask(
            "/cosmos.auth.v1beta1.Query/AccountInfo",
            auth_query.QueryAccountInfoRequest(address=net.alice.text),
            auth_query.QueryAccountInfoResponse,
        )
        assert account.info.pub_key == key
        assert key.Is(secp256r1_keys.PubKey.DESCRIPTOR)
        for query in (
            f"tx.hash='{tx_hash}'",
            f"tx.height={block.height}",
            f"transfer.recipient='{net.bob.text}'",
            f"transfer.recipient='{net.bob.text}' AND tx.height>1 AND transfer.amount EXISTS",
            "transfer.recipient CONTAINS 'bsmg'",
        ):
            request = tx_service.GetTxsEventRequest(query=query)
            search = await front.ask(f"{TX}GetTxsEvent", request, tx_service.GetTxsEventResponse)
            assert [(search.total, each.txhash) for each in search.tx_responses] == [(1, tx_hash)], query
        request = tx_service.GetBlockWithTxsRequest(height=block.height)
        whole = await front.ask(f"{TX}GetBlockWithTxs", request, tx_service.GetBlockWithTxsResponse)
        assert list(whole.txs) == [found.tx]
        url = f"http://{front.rest}/cosmos/tx/v1beta1/txs/{tx_hash}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert (await answer.json())["tx_response"]["height"] == str(block.height)


async def test_searches_page_and_order(tmp_path):
    async with running(tmp_path) as (net, front):
        ids = [(await paid(net, front, amount)).txs[0].hash for amount in (1, 2, 3)]
        await paid(net, front, 9, sender="bob", recipient="alice")

        async def search(**fields):
            request = tx_service.GetTxsEventRequest(query=f"transfer.recipient='{net.bob.text}'", **fields)
            found = await front.ask(f"{TX}GetTxsEvent", request, tx_service.GetTxsEventResponse)
            assert found.total == 3
            return [each.txhash for each in found.tx_responses]

        assert await search() == ids
        assert await search(order_by=tx_service.ORDER_BY_DESC) == ids[::-1]
        assert await search(limit=2, page=2) == ids[2:]
        with pytest.raises(QueryRefused, match=r"page should be within \[1, 2\] range, given 3"):
            await search(limit=2, page=3)
        request = tx_service.GetTxsEventRequest(query="transfer.recipient")
        nothing = tx_service.GetTxsEventRequest(query=f"tx.hash='{'AB' * 400}'")
        assert (await front.ask(f"{TX}GetTxsEvent", nothing, tx_service.GetTxsEventResponse)).total == 0
        with pytest.raises(QueryRefused, match="failed to parse query"):
            await front.ask(f"{TX}GetTxsEvent", request, tx_service.GetTxsEventResponse)


async def test_events_of_the_past(tmp_path):
    async with running(tmp_path) as (net, front):
        blocks = [await paid(net, front, amount) for amount in (10, 20)]
        recipient = [node_service.Attribute(key="recipient", value=net.bob.text)]
        request = node_service.EventsRequest(type="transfer", attributes=recipient)
        found = (await front.ask(f"{NODE}Events", request, node_service.EventsResponse)).found
        assert [(item.height, item.tx_hash) for item in found] == [(b.height, b.txs[0].hash) for b in blocks]
        hooks = node_service.EventsRequest(type="slot_opened", range_key="slot", first=0, last=2**63)
        for item in (await front.ask(f"{NODE}Events", hooks, node_service.EventsResponse)).found:
            assert (item.tx_hash, item.event.type) == ("", "slot_opened")


async def test_a_transaction_that_fails_in_its_tick(tmp_path):
    """Two that each spend all: both pass the dry run, one is executed with a code."""
    async with running(tmp_path, tick_s=1.0) as (net, front):
        ids = [await net.pay(RICH - 1), await net.pay(RICH - 1)]
        blocks = [await block_of(front, tx_id) for tx_id in ids]
        results = [tx.result.code for block in blocks for tx in block.txs if tx.hash.lower() in ids]
        assert sorted(set(results))[0] == 0
        assert sorted(set(results))[-1] > 0
        request = node_service.EventsRequest(
            type="transfer", attributes=[node_service.Attribute(key="recipient", value=net.bob.text)]
        )
        found = (await front.ask(f"{NODE}Events", request, node_service.EventsResponse)).found
        assert len({item.tx_hash for item in found}) == 1
        assert await front.balance(net.bob) == 2 * RICH - 1


async def test_blocks_and_node_in_cosmos_form(tmp_path):
    async with running(tmp_path) as (net, front):
        block = await paid(net, front)
        request = cmt_query.GetBlockByHeightRequest(height=block.height)
        found = await front.ask(f"{COMET}GetBlockByHeight", request, cmt_query.GetBlockByHeightResponse)
        header = found.block.header
        assert (header.chain_id, header.height, header.time.ToNanoseconds()) == (CHAIN, block.height, block.time_ns)
        assert list(found.block.data.txs) == [tx.tx for tx in block.txs]
        assert (len(header.app_hash), found.sdk_block.header.proposer_address) == (32, "")
        request = cmt_query.GetBlockByHeightRequest(height=block.height + 1)
        await front.height_above(block.height)
        following = await front.ask(f"{COMET}GetBlockByHeight", request, cmt_query.GetBlockByHeightResponse)
        assert following.block.header.last_block_id.hash == found.block_id.hash != b""
        latest = await front.ask(
            f"{COMET}GetLatestBlock", cmt_query.GetLatestBlockRequest(), cmt_query.GetLatestBlockResponse
        )
        assert latest.block.header.height > block.height
        request = cmt_query.GetBlockByHeightRequest(height=10**9)
        with pytest.raises(QueryRefused, match="bigger then the chain length"):
            await front.ask(f"{COMET}GetBlockByHeight", request, cmt_query.GetBlockByHeightResponse)
        info = await front.ask(f"{COMET}GetNodeInfo", cmt_query.GetNodeInfoRequest(), cmt_query.GetNodeInfoResponse)
        assert (info.default_node_info.network, info.default_node_info.moniker) == (CHAIN, "org1")
        syncing = await front.ask(f"{COMET}GetSyncing", cmt_query.GetSyncingRequest(), cmt_query.GetSyncingResponse)
        assert not syncing.syncing
        status = await front.ask(f"{BASE}Status", node_query.StatusRequest(), node_query.StatusResponse)
        assert (status.height > block.height, status.earliest_store_height) == (True, 1)


async def test_what_a_fabric_chain_has_not_says_so(tmp_path):
    async with running(tmp_path) as (_, front):
        sent = tx_service.BroadcastTxRequest(tx_bytes=b"x", mode=tx_service.BROADCAST_MODE_SYNC)
        with pytest.raises(QueryRefused, match="submits transactions by a peer's Gateway") as refused:
            await front.ask(f"{TX}BroadcastTx", sent, tx_service.BroadcastTxResponse)
        assert "12" in str(refused.value)  # UNIMPLEMENTED
        wanted = cmt_query.GetLatestValidatorSetRequest()
        with pytest.raises(QueryRefused, match="it has no validators"):
            await front.ask(f"{COMET}GetLatestValidatorSet", wanted, cmt_query.GetLatestValidatorSetResponse)
        asked = cmt_query.ABCIQueryRequest(path="/store/ibc/key", data=b"nextClientSequence", prove=True)
        found = await front.ask(f"{COMET}ABCIQuery", asked, cmt_query.ABCIQueryResponse)
        assert (found.code > 0, "signs no root" in found.log) == (True, True)
        asked.prove = False
        found = await front.ask(f"{COMET}ABCIQuery", asked, cmt_query.ABCIQueryResponse)
        assert (found.code, found.value) == (0, bytes(8))
        for height, said in ((0, "above 0"), (10**6, "not found")):
            with pytest.raises(ToolError, match=said):
                await front.block(height)


async def test_simulate_on_the_state(tmp_path):
    async with running(tmp_path) as (net, front):
        data = (await paid(net, front)).txs[0].tx
        request = tx_service.SimulateRequest(tx_bytes=with_signature(data))
        found = await front.ask(f"{TX}Simulate", request, tx_service.SimulateResponse)
        assert found.gas_info.gas_used > 0


def with_signature(data: bytes) -> bytes:
    """Simulate wants as many signatures as signers, empty ones too."""
    raw = tx.TxRaw.FromString(data)
    raw.signatures.append(b"")
    return raw.SerializeToString()


async def test_the_services_are_those_of_a_comet_node(tmp_path):
    db = StateDb.open(tmp_path / "comet", StoreOptions(map_size=64 << 20))
    server = QueryServer(db, CometBlocks(CometRpc("")), Operator())
    expected = {route.path.strip("/").replace("/", ".") for route in rest_routes(server.methods)}
    async with (
        running(tmp_path / "fabric") as (_, front),
        aiohttp.ClientSession() as session,
        session.get(f"http://{front.rest}/openapi.json") as answer,
    ):
        paths = (await answer.json())["paths"].values()
    assert {each[verb]["operationId"] for each in paths for verb in each} == expected
    assert "bsmg.node.v1.Service.Status" in expected
    server.close()
    db.close()


# --- what comes and goes ---------------------------------------------------------------------------------------------


async def test_the_ledger_goes_away_and_comes_back(tmp_path, caplog):
    """Nothing is lost and nothing twice; one line for the problem, however often it was tried."""
    caplog.set_level(logging.INFO)
    async with running(tmp_path) as (net, front):
        block = await paid(net, front, 5)
        await net.end()
        before = (await front.status()).height
        assert await front.balance(net.bob) == RICH + 5  # it serves what it has
        await until(lambda: said(caplog, "writing"), front.status)
        await net.start()
        assert await front.height_above(before) > before
        again = await paid(net, front, 6)
        assert await front.balance(net.bob) == RICH + 11
        assert (await front.block(block.height)) == block
        times = [(await front.block(height)).time_ns for height in range(1, again.height + 1)]
        assert times == sorted(set(times))
    problems = [line for line in caplog.messages if line.startswith("event=trouble")]
    assert 1 <= len(problems) <= 6, problems
    assert any(line.startswith("event=recovered") for line in caplog.messages)


async def said(caplog, what):
    return any(line.startswith(f"event=trouble with={what}") for line in caplog.messages)


async def test_a_front_that_comes_back_goes_on(tmp_path):
    async with world(tmp_path) as net:
        await net.found()
        async with net.front() as front:
            block = await paid(net, front, 5)
        waiting = await net.pay(6)  # nobody writes ticks now
        async with net.front() as front:
            assert (await block_of(front, waiting)).height > block.height
            assert await front.balance(net.bob) == RICH + 11
            assert await front.block(block.height) == block


async def test_a_new_front_of_an_old_ledger_shows_all_of_it(tmp_path):
    async with running(tmp_path) as (net, front):
        await paid(net, front, 5)
        async with net.front(2, delay_s=60) as other:
            last = await other.height_above(1)
            assert last >= (await front.status()).height - 2  # SERVING after it has caught up
            for height in range(1, last + 1):
                assert await other.block(height) == await front.block(height)
            assert await other.balance(net.bob) == RICH + 5


async def test_a_standby_front_takes_over_and_steps_back(tmp_path):
    async with world(tmp_path) as net:
        await net.found()
        async with net.front(2, delay_s=1.0) as standby:
            async with net.front(1) as first:
                height = await standby.height_above(3)
                assert (await first.status()).height >= height - 1
            stopped = (await standby.status()).height
            waiting = await net.pay(5)
            block = await block_of(standby, waiting)
            assert block.height > stopped
            async with net.front(1) as first:
                while (await net.writers())[-3:] != ["Org1MSP"] * 3:
                    await first.height_above((await standby.status()).height)
            assert "Org2MSP" in await net.writers()
            assert await standby.balance(net.bob) == RICH + 5


async def test_two_fronts_that_both_write(tmp_path):
    """One of them wins each tick; every height is there once, on both."""
    async with world(tmp_path) as net:
        await net.found()
        async with net.front(1) as one, net.front(2) as two:
            await asyncio.gather(one.height_above(1), two.height_above(1))
            ids = [await net.pay(1) for _ in range(5)]
            blocks = [await block_of(one, tx_id) for tx_id in ids]
            last = max(block.height for block in blocks)
            await two.height_above(last)
            executed = [it.hash.lower() for height in range(1, last + 1) for it in (await two.block(height)).txs]
            assert sorted(executed) == sorted(ids)
            assert executed == ids


class Brittle(MicrogridChaincode):
    """Breaks over a transaction."""

    broken: ClassVar[set[str]] = set()

    def invoke(self, stub: Stub) -> Response:
        if stub.args[0] == b"Tick" and self.broken & set(map(tx_id_of, TickArgs.FromString(stub.args[1]).tickets)):
            return Response(status=FAILED, message="the chaincode broke")
        return super().invoke(stub)


async def test_a_transaction_that_breaks_the_chaincode_is_put_aside(tmp_path, monkeypatch):
    """The others and the clock go on; it is tried again later."""
    monkeypatch.setattr(writer, "ASIDE_S", 3.0)
    async with world(tmp_path, make=Brittle) as net:
        await net.found()
        ids = [await net.pay() for _ in range(6)]
        monkeypatch.setattr(Brittle, "broken", {ids[2]})
        async with net.front() as front:
            blocks = [await block_of(front, tx_id) for tx_id in (*ids[:2], *ids[3:])]
            await front.height_above(max(block.height for block in blocks))
            with pytest.raises(QueryNotFound):
                await front.ask(f"{TX}GetTx", tx_service.GetTxRequest(hash=ids[2]), tx_service.GetTxResponse)
            monkeypatch.setattr(Brittle, "broken", set())
            assert (await block_of(front, ids[2])).height > max(block.height for block in blocks)
            assert await front.balance(net.bob) == RICH + 6


async def test_another_ledger_is_not_followed(tmp_path):
    """A front whose peer was set up anew says so and ends: what it shows would be of two chains."""
    async with running(tmp_path) as (_, front):
        await front.height_above(3)
    async with world(tmp_path / "other") as other:
        await other.found()
        for _ in range(8):
            await other.pay()
        options = replace(other.options(), home=front.home)
        with pytest.raises(WrongBlockError, match="another ledger than the one followed so far"):
            await asyncio.wait_for(run(options, asyncio.Event()), HANG_S)


async def test_genesis_may_come_later(tmp_path):
    async with world(tmp_path) as net, net.front() as front:
        await until(front.serves, front.is_asked)
        status = await front.status()
        assert (status.height, status.chain_id) == (0, "")
        await net.found()
        assert await front.height_above(2) > 2


class Looking(MicrogridChaincode):
    """Notes who called what; `spoils` looks: refuses them, or forgets what it saw."""

    calls: ClassVar[list[tuple[bytes, bool, int]]] = []  # function, whether its transactions were seen, status
    spoils: ClassVar[str] = ""

    def invoke(self, stub: Stub) -> Response:
        name = stub.args[0]
        if name == b"Look" and self.spoils == "refuses":
            return Response(status=FAILED, message="no range today")
        answer = super().invoke(stub)
        if name == b"Look" and self.spoils == "forgets":
            self._seen.keep(b"another", {})
        if name in (b"Look", b"Tick"):
            args = TickArgs.FromString(stub.args[1])
            if args.tickets:
                self.calls.append((name, args.seen, answer.status))
        return answer


@pytest.mark.parametrize(
    ("spoils", "expected"),
    [
        ("", [(b"Look", False, 200), (b"Look", False, 200), (b"Tick", True, 200), (b"Tick", True, 200)]),
        ("refuses", [(b"Tick", False, 200), (b"Tick", False, 200)]),
        ("forgets", [*[(b"Look", False, 200)] * 2, (b"Tick", True, 400), *[(b"Tick", False, 200)] * 2]),
    ],
)
async def test_every_organisation_looks_before_a_tick_of_many(tmp_path, monkeypatch, spoils, expected):
    """One that can't stops nothing: the Tick reads its transactions then."""
    monkeypatch.setattr(Looking, "spoils", spoils)
    monkeypatch.setattr(Looking, "calls", [])
    async with world(tmp_path, make=Looking) as net:
        await net.found()
        ids = [await net.pay() for _ in range(writer.LOOKED_MIN)]
        async with net.front() as front:
            blocks = [await block_of(front, tx_id) for tx_id in ids]
            assert len({block.height for block in blocks}) == 1
            assert await front.balance(net.bob) == RICH + len(ids)
    assert sorted(Looking.calls) == sorted(expected)
