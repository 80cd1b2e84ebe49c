"""Queries through real gRPC and HTTP channels, ABCI Query, reflection, simulation and gas."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import pytest_asyncio
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from abci_app.comet_blocks import CometBlocks
from abci_app.comet_rpc import CometRpc
from cosmos_wire.protos import (
    abci,
    auth,
    auth_query,
    bank_query,
    base_abci,
    connection_query,
    ics23,
    secp256k1_keys,
    signing,
    staking_query,
    tx,
    tx_service,
)
from cosmos_wire.tx import pack, unsigned
from microgrid.operator import Operator
from microgrid.query.abci_query import AbciQueries
from microgrid.query.grpc_edge import HEIGHT_KEY, GrpcEdge
from microgrid.query.query_server import SIMULATE, QueryServer
from microgrid.query.rest_edge import RestEdge
from microgrid.query.simulation import grown
from microgrid.store import StateDb, StoreOptions
from tests.app.chain import ALICE, BOB, DENOM, GAS, RICH, STRANGER, Draft, Node, send_message, send_tx

BALANCE = "/cosmos.bank.v1beta1.Query/Balance"
OPTIONS = StoreOptions(map_size=64 << 20, sync=False, versions_kept=3)


@pytest.fixture
def node(tmp_path: Path) -> Any:
    """Five blocks, three of them kept; Alice pays 1 to Bob in blocks 2 and 4."""
    db = StateDb.open(tmp_path, OPTIONS)
    started = Node(db)
    for txs in ([], [send_tx(0)], [], [send_tx(1)], []):
        assert all(not result.code for result in started.block(*txs))
    yield started
    db.close()


@pytest.fixture
def server(node: Node) -> Any:
    made = QueryServer(node.state, CometBlocks(CometRpc("")), Operator())  # type: ignore[arg-type]  # a StateDb is a History too
    yield made
    made.close()


@pytest.fixture
def abci_queries(server: QueryServer) -> AbciQueries:
    return server._abci


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest_asyncio.fixture
async def channel(server: QueryServer) -> AsyncIterator[grpc.aio.Channel]:
    address = f"127.0.0.1:{_free_port()}"
    edge = GrpcEdge(address, server.ask, server.services)
    await edge.start()
    async with grpc.aio.insecure_channel(address) as opened:
        yield opened
    await edge.stop()


@pytest_asyncio.fixture
async def rest(server: QueryServer) -> AsyncIterator[aiohttp.ClientSession]:
    address = f"127.0.0.1:{_free_port()}"
    edge = RestEdge(address, server.ask, server.methods)
    await edge.start()
    async with aiohttp.ClientSession(f"http://{address}") as session:
        yield session
    await edge.stop()


def _bob() -> bytes:
    return bank_query.QueryBalanceRequest(address=BOB.text, denom=DENOM).SerializeToString()


def _amount(data: bytes) -> int:
    return int(bank_query.QueryBalanceResponse.FromString(data).balance.amount)


# --- gRPC ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "amount"), [("0", RICH + 2), ("3", RICH + 1), ("4", RICH + 2), ("5", RICH + 2)])
async def test_height_by_metadata(channel: grpc.aio.Channel, height: str, amount: int) -> None:
    call = channel.unary_unary(BALANCE)(_bob(), metadata=((HEIGHT_KEY, height),))
    assert _amount(await call) == amount
    headers = dict(await call.initial_metadata())
    assert headers[HEIGHT_KEY] == ("5" if height == "0" else height)


@pytest.mark.parametrize(
    ("path", "request_bytes", "height", "code", "said"),
    [
        (BALANCE, _bob(), "2", "INVALID_ARGUMENT", "from 3 on (the lowest kept), got 2"),
        (BALANCE, _bob(), "6", "INVALID_ARGUMENT", "from 3 to 5, got 6"),
        (BALANCE, _bob(), "-1", "INVALID_ARGUMENT", "height < 0"),
        (BALANCE, _bob(), str(1 << 70), "INVALID_ARGUMENT", "height > 9223372036854775807"),
        (BALANCE, _bob(), "x", "INVALID_ARGUMENT", "expected an integer, got 'x'"),
        (BALANCE, b"\xff", "0", "INVALID_ARGUMENT", "1 bytes are not its request"),
        (BALANCE, b"", "0", "INVALID_ARGUMENT", "invalid denom"),
        ("/cosmos.auth.v1beta1.Query/Account", b"", "0", "INVALID_ARGUMENT", "address"),
        (
            "/cosmos.auth.v1beta1.Query/Account",
            auth_query.QueryAccountRequest(address=STRANGER.text).SerializeToString(),
            "0",
            "NOT_FOUND",
            f"account {STRANGER.text} not found",
        ),
        (
            "/ibc.core.connection.v1.Query/Connection",
            connection_query.QueryConnectionRequest(connection_id="connection-7").SerializeToString(),
            "0",
            "NOT_FOUND",
            "connection-7",
        ),
        ("/cosmos.gov.v1.Query/Proposals", b"", "0", "UNIMPLEMENTED", "this chain does not serve it"),
        ("/cosmos.base.tendermint.v1beta1.Service/GetLatestBlock", b"", "0", "UNAVAILABLE", "without --rpc"),
    ],
)
async def test_refusals(  # noqa: PLR0917  (a table)
    channel: grpc.aio.Channel, path: str, request_bytes: bytes, height: str, code: str, said: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(path)(request_bytes, metadata=((HEIGHT_KEY, height),))
    assert caught.value.code().name == code
    assert said in (caught.value.details() or "")


async def test_health_and_reflection_name_every_service(channel: grpc.aio.Channel, server: QueryServer) -> None:
    check = channel.unary_unary("/grpc.health.v1.Health/Check", None, health_pb2.HealthCheckResponse.FromString)
    assert (await check(b"")).status == health_pb2.HealthCheckResponse.SERVING
    listed = await _reflect(channel, reflection_pb2.ServerReflectionRequest(list_services="*"))
    names = {item.name for item in listed.list_services_response.service}
    assert names >= set(server.services)
    assert {"cosmos.bank.v1beta1.Query", "ibc.core.channel.v1.Query", "bsmg.market.v1.Query"} <= names


async def test_reflection_gives_every_file_that_a_client_needs(channel: grpc.aio.Channel, server: QueryServer) -> None:
    for service in server.services:
        asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=service)
        known: set[str] = set()
        wanted = await _files(channel, asked, known)
        while missing := sorted(wanted - known):
            wanted |= await _files(channel, reflection_pb2.ServerReflectionRequest(file_by_filename=missing[0]), known)


async def _files(channel: grpc.aio.Channel, asked: reflection_pb2.ServerReflectionRequest, known: set[str]) -> set[str]:
    """Adds the files of an answer to `known` and returns what they import."""
    answer = await _reflect(channel, asked)
    assert not answer.HasField("error_response"), answer
    wanted: set[str] = set()
    for raw in answer.file_descriptor_response.file_descriptor_proto:
        found = descriptor_pb2.FileDescriptorProto.FromString(raw)
        known.add(found.name)
        wanted.update(found.dependency)
    return wanted


async def _reflect(
    channel: grpc.aio.Channel, asked: reflection_pb2.ServerReflectionRequest
) -> reflection_pb2.ServerReflectionResponse:
    method = channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    call = method(iter([asked]))
    async for answer in call:
        return answer
    raise AssertionError("reflection gave no answer")


EXPECTED_METHODS = [
    "/cosmos.auth.v1beta1.Query/Account",
    "/cosmos.bank.v1beta1.Query/AllBalances",
    "/cosmos.base.node.v1beta1.Service/Config",
    "/cosmos.base.tendermint.v1beta1.Service/GetNodeInfo",
    "/cosmos.consensus.v1.Query/Params",
    "/cosmos.staking.v1beta1.Query/Params",
    "/cosmos.tx.v1beta1.Service/BroadcastTx",
    "/cosmos.tx.v1beta1.Service/GetTx",
    "/cosmos.tx.v1beta1.Service/Simulate",
    "/ibc.applications.transfer.v1.Query/DenomTraces",
    "/ibc.applications.transfer.v1.Query/Params",
    "/ibc.core.channel.v1.Query/PacketCommitments",
    "/ibc.core.channel.v1.Query/UnreceivedPackets",
    "/ibc.core.client.v1.Query/ClientStates",
    "/ibc.core.connection.v1.Query/Connections",
    "/bsmg.market.v1.Query/Slots",
    "/bsmg.registry.v1.Query/Cells",
    "/bsmg.trade.v1.Query/Contracts",
]


UNSERVED = {  # named by services of which the rest is served
    "/cosmos.tx.v1beta1.Service/TxDecodeAmino",
    "/cosmos.tx.v1beta1.Service/TxEncodeAmino",
    "/cosmos.upgrade.v1beta1.Query/Authority",
}


def test_service_table(server: QueryServer) -> None:
    assert not set(EXPECTED_METHODS) - set(server.methods)


async def test_every_state_method_answers_or_refuses_with_a_reason(channel: grpc.aio.Channel, node: Node) -> None:
    server_methods = QueryServer(node.state, CometBlocks(CometRpc("")), Operator()).methods  # type: ignore[arg-type]  # as above
    refused = {path: await _refusal(channel, path) for path in server_methods}
    kinds = {(code, bool(said)) for code, said in refused.values() if code}
    unserved = {path for path, (code, _) in refused.items() if code == "UNIMPLEMENTED"}
    assert unserved == UNSERVED
    assert kinds <= {(code, True) for code in ("INVALID_ARGUMENT", "NOT_FOUND", "UNAVAILABLE", "UNIMPLEMENTED")}, (
        refused
    )


async def _refusal(channel: grpc.aio.Channel, path: str) -> tuple[str, str]:
    try:
        await channel.unary_unary(path)(b"")
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    return "", ""


# --- simulation and gas ----------------------------------------------------------------------------------------------

MESSAGES = {
    "send": (send_message(ALICE, BOB.text),),
    "send to a newcomer": (send_message(ALICE, STRANGER.text),),
    "several": tuple(send_message(ALICE, BOB.text, n) for n in range(1, 8)),
}


def _simulate(server: QueryServer, data: bytes) -> int:
    request = tx_service.SimulateRequest(tx_bytes=data).SerializeToString()
    return tx_service.SimulateResponse.FromString(server._simulate(request)).gas_info.gas_used


@pytest.mark.parametrize("name", sorted(MESSAGES))
@pytest.mark.parametrize("fresh", [True, False])
async def test_simulated_gas_holds(server: QueryServer, node: Node, name: str, fresh: bool) -> None:
    key, sequence = (BOB, 0) if fresh else (ALICE, 2)
    messages = tuple(send_message(key, item.to_address, 1) for item in MESSAGES[name])
    draft = Draft(key=key, sequence=sequence, messages=messages, fee=0, gas=0)
    parts = tx.TxRaw.FromString(draft.bytes())
    used = _simulate(server, unsigned(parts.body_bytes, parts.auth_info_bytes))
    paid = Draft(key=key, sequence=sequence, messages=messages, fee=10**9, gas=used)
    (result,) = node.block(paid.bytes())
    assert not result.code, result.log
    assert used * 0.7 < result.gas_used <= used


def test_simulated_gas_is_exact_but_for_what_may_grow_once_the_fee_is_known(server: QueryServer, node: Node) -> None:
    data = send_tx(2)
    parts = tx.TxRaw.FromString(data)
    used = _simulate(server, unsigned(parts.body_bytes, parts.auth_info_bytes))
    (result,) = node.block(data)
    assert used == grown(result.gas_used)


def test_simulation_asks_neither_sign_mode_nor_the_right_key(server: QueryServer) -> None:
    parts = tx.TxRaw.FromString(send_tx(2))
    info = tx.AuthInfo.FromString(parts.auth_info_bytes)
    used = _simulate(server, unsigned(parts.body_bytes, parts.auth_info_bytes))
    info.signer_infos[0].mode_info.single.mode = signing.SIGN_MODE_UNSPECIFIED  # as CosmJS does
    assert abs(_simulate(server, unsigned(parts.body_bytes, info.SerializeToString())) - used) <= 100
    info.signer_infos[0].public_key.CopyFrom(pack(secp256k1_keys.PubKey(key=BOB.public)))
    assert _simulate(server, unsigned(parts.body_bytes, info.SerializeToString())) > 10_000


async def test_simulate_by_grpc_says_why_not(channel: grpc.aio.Channel) -> None:
    async def ask(**changes: Any) -> Any:
        request = tx_service.SimulateRequest(tx_bytes=send_tx(**changes)).SerializeToString()
        return await channel.unary_unary(SIMULATE)(request)

    found = tx_service.SimulateResponse.FromString(await ask(sequence=2))
    assert found.gas_info.gas_used > 10_000
    assert found.result.msg_responses[0].type_url == "/cosmos.bank.v1beta1.MsgSendResponse"
    assert await ask(sequence=9)  # what waits in the mempool can't be seen from here
    with pytest.raises(grpc.aio.AioRpcError, match="account sequence mismatch, expected 2, got 1"):
        await ask(sequence=1)
    with pytest.raises(grpc.aio.AioRpcError, match=r"insufficient funds.* with gas used: "):
        await ask(sequence=2, messages=(send_message(ALICE, BOB.text, 10**16),))


def test_gas_depends_on_the_limit_nowhere(node: Node) -> None:
    first, second = node.block(send_tx(2, gas=GAS), send_tx(3, gas=GAS + 1))
    assert first.gas_used == second.gas_used
    (short,) = node.block(send_tx(4, gas=first.gas_used - 1))
    assert (short.code, short.gas_used) == (11, first.gas_used)


# --- ABCI Query ------------------------------------------------------------------------------------------------------


def test_present_key_with_proof(abci_queries: AbciQueries) -> None:
    found = abci_queries.answer(abci.RequestQuery(path="store/ibc/key", data=b"nextClientSequence", prove=True))
    assert (found.code, found.height, found.value) == (0, 5, bytes(8))
    assert [op.type for op in found.proof_ops.ops] == ["ics23:iavl", "ics23:simple"]
    assert [op.key for op in found.proof_ops.ops] == [b"nextClientSequence", b"ibc"]
    assert ics23.CommitmentProof.FromString(found.proof_ops.ops[0].data).HasField("exist")


def test_absent_key_is_an_empty_value_and_an_absence_proof(abci_queries: AbciQueries) -> None:
    asked = abci.RequestQuery(path="/store/ibc/key", data=b"clients/07-tendermint-0/clientState", prove=True)
    found = abci_queries.answer(asked)
    assert (found.code, found.value) == (0, b"")
    assert ics23.CommitmentProof.FromString(found.proof_ops.ops[0].data).HasField("nonexist")


@pytest.mark.parametrize(
    ("request_", "code", "said"),
    [
        (abci.RequestQuery(path="store/upgrade/key", data=b"k"), 6, "no such store: expected one of app, ibc"),
        (abci.RequestQuery(path="/nothing/here"), 6, "unknown query path: /nothing/here"),
        (abci.RequestQuery(path=BALANCE, data=_bob(), height=-1), 18, "height < 0"),
        (abci.RequestQuery(path="store/ibc/key", data=b"k", height=2), 18, "the lowest kept"),
        (abci.RequestQuery(path="store/ibc/key", data=b"k", height=9), 26, "cannot query with height in the future"),
        (abci.RequestQuery(path=BALANCE, data=_bob(), height=9), 26, "cannot query with height in the future"),
        (abci.RequestQuery(path=BALANCE, data=_bob(), height=2), 18, "the lowest kept"),
        (abci.RequestQuery(path="/cosmos.gov.v1.Query/Proposals"), 6, "unknown query path"),
        (abci.RequestQuery(path="/app/simulate", data=b"\xff"), 18, "tx parse error"),
        (
            abci.RequestQuery(
                path="/cosmos.auth.v1beta1.Query/Account",
                data=auth_query.QueryAccountRequest(address=STRANGER.text).SerializeToString(),
            ),
            22,
            "rpc error: code = NotFound desc = account",
        ),
    ],
)
def test_abci_refusals(abci_queries: AbciQueries, request_: abci.RequestQuery, code: int, said: str) -> None:
    found = abci_queries.answer(request_)
    assert found.code == code, found.log
    assert said in found.log


def test_proof_of_the_first_block_is_refused_as_the_sdk_does(tmp_path: Path) -> None:
    db = StateDb.open(tmp_path, OPTIONS)
    Node(db).block()
    server = QueryServer(db, CometBlocks(CometRpc("")), Operator())
    found = server._abci.answer(abci.RequestQuery(path="store/ibc/key", data=b"k", prove=True))
    assert "cannot query with proof when height <= 1" in found.log
    assert found.code == 18
    server.close()
    db.close()


def test_grpc_methods_by_abci_path(abci_queries: AbciQueries) -> None:
    found = abci_queries.answer(abci.RequestQuery(path=BALANCE, data=_bob(), height=3))
    assert (found.code, found.height, _amount(found.value)) == (0, 3, RICH + 1)
    asked = auth_query.QueryAccountRequest(address=ALICE.text).SerializeToString()
    found = abci_queries.answer(abci.RequestQuery(path="/cosmos.auth.v1beta1.Query/Account", data=asked))
    account = auth_query.QueryAccountResponse.FromString(found.value).account
    assert account.type_url == "/cosmos.auth.v1beta1.BaseAccount"
    parsed = auth.BaseAccount.FromString(account.value)
    assert (parsed.account_number, parsed.sequence) == (ALICE.number, 2)
    params = abci_queries.answer(abci.RequestQuery(path="/cosmos.staking.v1beta1.Query/Params"))
    staking = staking_query.QueryParamsResponse.FromString(params.value).params
    assert (staking.unbonding_time.seconds, staking.historical_entries) == (60, 10_000)


async def _dispatched(server: QueryServer, path: str, data: bytes) -> abci.ResponseQuery:
    answer: asyncio.Future[abci.Response] = asyncio.get_running_loop().create_future()
    server.dispatch(abci.Request(query=abci.RequestQuery(path=path, data=data)), b"", answer.set_result)
    return (await answer).query


async def test_simulate_and_lookups_by_abci_path(server: QueryServer) -> None:
    request = tx_service.SimulateRequest(tx_bytes=send_tx(2))
    found = await _dispatched(server, SIMULATE, request.SerializeToString())
    assert (found.code, found.height) == (0, 5)
    assert tx_service.SimulateResponse.FromString(found.value).gas_info.gas_used > 10_000
    refused = await _dispatched(server, SIMULATE, b"")
    assert (refused.code, refused.log[:40]) == (18, "rpc error: code = InvalidArgument desc =")
    away = await _dispatched(server, "/cosmos.base.tendermint.v1beta1.Service/GetSyncing", b"")
    assert (away.code, "without --rpc" in away.log) == (18, True)


def test_app_and_p2p_paths(abci_queries: AbciQueries) -> None:
    assert abci_queries.answer(abci.RequestQuery(path="/app/version")).value == b"0.1.0"
    simulated = abci_queries.answer(abci.RequestQuery(path="/app/simulate", data=send_tx(2)))
    assert base_abci.SimulationResponse.FromString(simulated.value).gas_info.gas_used > 10_000
    assert not abci_queries.answer(abci.RequestQuery(path="/p2p/filter/addr/1.2.3.4:5")).code


# --- REST ------------------------------------------------------------------------------------------------------------

GETS: list[tuple[str, int, Callable[[Any], bool]]] = [
    (
        f"/cosmos/bank/v1beta1/balances/{BOB.text}/by_denom?denom={DENOM}",
        200,
        lambda doc: doc == {"balance": {"denom": DENOM, "amount": str(RICH + 2)}},
    ),
    (f"/cosmos/bank/v1beta1/balances/{BOB.text}", 200, lambda doc: doc["pagination"]["total"] == "1"),
    (
        f"/cosmos/auth/v1beta1/accounts/{ALICE.text}",
        200,
        lambda doc: doc["account"]["@type"] == "/cosmos.auth.v1beta1.BaseAccount",
    ),
    ("/cosmos/auth/v1beta1/accounts?pagination.limit=2", 200, lambda doc: len(doc["accounts"]) == 2),
    (f"/cosmos/auth/v1beta1/accounts/{STRANGER.text}", 404, lambda doc: doc["code"] == 5),
    ("/cosmos/auth/v1beta1/accounts/x", 400, lambda doc: "bech32" in doc["message"]),
    (
        "/cosmos/auth/v1beta1/accounts?nonsense=1",
        200,
        lambda doc: doc["pagination"] == {"next_key": None, "total": "4"},
    ),
    ("/cosmos/gov/v1/proposals", 501, lambda doc: doc["code"] == 12),
    ("/bsmg/market/v1/params", 200, lambda doc: doc["params"]["denom"] == DENOM),
    ("/cosmos/staking/v1beta1/params", 200, lambda doc: doc["params"]["unbonding_time"] == "60s"),
    (f"/cosmos/staking/v1beta1/delegations/{BOB.text}", 200, lambda doc: doc["delegation_responses"] == []),
    ("/ibc/apps/transfer/v1/denom_traces", 200, lambda doc: doc["denom_traces"] == []),
    (f"/ibc/apps/transfer/v1/denom_traces/ibc/{'AB' * 32}", 404, lambda doc: doc["code"] == 5),
    ("/ibc/apps/transfer/v1/denoms/bmga/total_escrow", 200, lambda doc: doc["amount"]["amount"] == "0"),
    ("/ibc/apps/transfer/v1/total_escrow/bmga", 200, lambda doc: doc["amount"]["amount"] == "0"),
    ("/ibc/core/channel/v1/channels/channel-0/ports/transfer/upgrade", 404, lambda doc: doc["code"] == 5),
    ("/cosmos/auth/v1beta1/accounts?pagination.count_total=maybe", 400, lambda doc: doc["code"] == 3),
    ("/cosmos/auth/v1beta1/accounts?pagination.countTotal=T&_=1", 200, lambda doc: doc["pagination"]["total"] == "4"),
    ("/openapi.json", 200, lambda doc: "/cosmos/bank/v1beta1/balances/{address}" in doc["paths"]),
]


@pytest.mark.parametrize(("path", "status", "holds"), GETS, ids=[case[0][:60] for case in GETS])
async def test_rest(rest: aiohttp.ClientSession, path: str, status: int, holds: Callable[[Any], bool]) -> None:
    async with rest.get(path) as response:
        doc = await response.json()
        assert response.status == status, doc
    assert holds(doc), doc


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000])
async def test_a_body_that_is_no_json_is_the_callers_fault(rest: aiohttp.ClientSession, body: bytes) -> None:
    """Deep nesting was called the node's."""
    async with rest.post("/cosmos/tx/v1beta1/txs", data=body) as answer:
        doc = await answer.json()
    assert (answer.status, doc["code"]) == (400, 3)
    assert doc["message"].startswith("body: expected JSON: ")


async def test_rest_height_and_simulate(rest: aiohttp.ClientSession) -> None:
    path = f"/cosmos/bank/v1beta1/balances/{BOB.text}/by_denom?denom={DENOM}"
    async with rest.get(path, headers={HEIGHT_KEY: "3"}) as response:
        assert (await response.json())["balance"]["amount"] == str(RICH + 1)
    body = {"tx_bytes": base64.b64encode(send_tx(2)).decode()}
    async with rest.post("/cosmos/tx/v1beta1/simulate", json=body) as response:
        assert int((await response.json())["gas_info"]["gas_used"]) > 10_000
    async with rest.post("/cosmos/tx/v1beta1/simulate", data=b"{") as response:
        assert response.status == 400
