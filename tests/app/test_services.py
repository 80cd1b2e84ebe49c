"""Services beside the modules' own: staking that is none, reflection, transactions and blocks by CometBFT's RPC."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any as Json

import pytest
from google.protobuf import descriptor_pool

from abci_app.comet_blocks import CometBlocks
from abci_app.comet_rpc import CometRpc
from cosmos_wire.address import to_bech32
from cosmos_wire.protos import (
    Message,
    app_reflection,
    auth_query,
    autocli_query,
    base_reflection,
    cmt_query,
    file_reflection,
    node_query,
    params_query,
    staking_query,
    tx,
    tx_service,
    upgrade_query,
)
from microgrid.operator import Operator
from microgrid.query.comet_services import HEADER_HASHES
from microgrid.query.query_core import QueryError, Status
from microgrid.query.query_server import QueryServer
from microgrid.store import StateDb, StoreOptions
from tests.app.chain import ALICE, BOB, CHAIN, Node, send_tx

OPTIONS = StoreOptions(map_size=64 << 20, sync=False, versions_kept=3)
STAKING = "/cosmos.staking.v1beta1.Query/"
TX = "/cosmos.tx.v1beta1.Service/"
COMET = "/cosmos.base.tendermint.v1beta1.Service/"
TIME = "2026-01-01T00:00:00.5Z"
VALIDATOR = to_bech32(sha256(sha256(b"validator").digest()).digest()[:20], "bsmgvaloper")


class Recorded(CometRpc):
    """Answers from a table; a QueryError in it is raised."""

    def __init__(self) -> None:
        super().__init__("")
        self.answers: dict[str, Json] = {"header": {"header": {"time": TIME, **HEADER}}}
        self.asked: list[tuple[str, Mapping[str, Json]]] = []

    async def call(self, method: str, **params: str | bool) -> Mapping[str, Json]:
        self.asked.append((method, params))
        found = self.answers[method]
        if isinstance(found, Exception):
            raise found
        return dict(found)


PARTS = {"hash": "AB" * 32, "parts": {"total": 1, "hash": "CD" * 32}}
HEADER = {
    "chain_id": CHAIN,
    "height": "3",
    "version": {"block": "11"},
    "last_block_id": PARTS,
    "proposer_address": "EE" * 20,
    **dict.fromkeys(HEADER_HASHES, "00" * 32),
}


@pytest.fixture
def rpc() -> Recorded:
    return Recorded()


@pytest.fixture
def server(tmp_path: Path, rpc: Recorded) -> Iterator[QueryServer]:
    db = StateDb.open(tmp_path, OPTIONS)
    node = Node(db)
    node.block()
    node.block()
    made = QueryServer(db, CometBlocks(rpc), Operator(min_gas_price="0.01bmga", versions_kept=3))  # type: ignore[arg-type]  # a History
    yield made
    made.close()
    db.close()


def read(server: QueryServer, path: str, request: Message | None = None) -> Json:
    data = request.SerializeToString() if request is not None else b""
    return server.state.answer(path, data, 0).value


async def ask(server: QueryServer, path: str, request: Message, kind: type[Message]) -> Json:
    data, height = await server.ask(path, request.SerializeToString(), 0)
    assert height == 2
    return kind.FromString(data)


# --- staking ---------------------------------------------------------------------------------------------------------


def test_nobody_delegates_and_wallets_are_told_so(server: QueryServer) -> None:
    """What CosmJS's getBalanceStaked and cosmpy's query_staking_summary ask: empty pages, so zero."""
    q = staking_query
    for method in ("DelegatorDelegations", "DelegatorUnbondingDelegations", "DelegatorValidators"):
        request = getattr(q, f"Query{method}Request")(delegator_addr=ALICE.text)
        found = read(server, STAKING + method, request)
        assert found.HasField("pagination")
        assert found.pagination.total == 0
        with pytest.raises(QueryError, match="delegator address cannot be empty"):
            read(server, STAKING + method)
    for method in ("ValidatorDelegations", "ValidatorUnbondingDelegations"):
        request = getattr(q, f"Query{method}Request")(validator_addr=VALIDATOR)
        assert read(server, STAKING + method, request).HasField("pagination")
        with pytest.raises(QueryError, match="expected bsmgvaloper, got bsmg"):
            read(server, STAKING + method, getattr(q, f"Query{method}Request")(validator_addr=ALICE.text))


@pytest.mark.parametrize("method", ["Delegation", "UnbondingDelegation", "DelegatorValidator"])
def test_a_delegation_is_never_found(server: QueryServer, method: str) -> None:
    request = getattr(staking_query, f"Query{method}Request")(delegator_addr=ALICE.text, validator_addr=VALIDATOR)
    with pytest.raises(QueryError, match="not found") as caught:
        read(server, STAKING + method, request)
    assert caught.value.status is Status.NOT_FOUND


def test_redelegations(server: QueryServer) -> None:
    kind = staking_query.QueryRedelegationsRequest
    assert not read(server, STAKING + "Redelegations", kind(delegator_addr=ALICE.text)).redelegation_responses
    assert not read(server, STAKING + "Redelegations", kind(src_validator_addr=VALIDATOR)).redelegation_responses
    whole = kind(delegator_addr=ALICE.text, src_validator_addr=VALIDATOR, dst_validator_addr=VALIDATOR)
    with pytest.raises(QueryError, match="redelegation not found"):
        read(server, STAKING + "Redelegations", whole)


def test_validators_are_the_set(server: QueryServer) -> None:
    found = read(server, STAKING + "Validators").validators
    assert [(each.operator_address, each.tokens, each.delegator_shares) for each in found] == [
        (VALIDATOR, "10", "10" + "0" * 18)
    ]
    one = read(server, STAKING + "Validator", staking_query.QueryValidatorRequest(validator_addr=VALIDATOR))
    assert one.validator == found[0]
    status = staking_query.QueryValidatorsRequest
    assert not read(server, STAKING + "Validators", status(status="BOND_STATUS_UNBONDING")).validators
    with pytest.raises(QueryError, match="invalid validator status"):
        read(server, STAKING + "Validators", status(status="nonsense"))
    assert read(server, STAKING + "Pool").pool.bonded_tokens == "10"


async def test_historical_info(server: QueryServer, rpc: Recorded) -> None:
    key = {"value": base64.b64encode(b"k" * 32).decode()}
    rpc.answers["validators"] = {
        "block_height": "3",
        "total": "1",
        "validators": [{"address": "AA" * 20, "voting_power": "7", "proposer_priority": "0", "pub_key": key}],
    }
    request = staking_query.QueryHistoricalInfoRequest(height=3)
    found = await ask(server, STAKING + "HistoricalInfo", request, staking_query.QueryHistoricalInfoResponse)
    assert (found.hist.header.height, found.hist.valset[0].tokens) == (3, "7")
    rpc.answers["header"] = QueryError(Status.UNKNOWN, "height 9 must be less than or equal to 3")
    with pytest.raises(QueryError, match="historical info for height 9 not found") as caught:
        await ask(server, STAKING + "HistoricalInfo", staking_query.QueryHistoricalInfoRequest(height=9), Message)
    assert caught.value.status is Status.NOT_FOUND


# --- reflection, upgrade, params -------------------------------------------------------------------------------------


def test_interfaces_and_their_implementations(server: QueryServer) -> None:
    path = "/cosmos.base.reflection.v1beta1.ReflectionService/"
    names = read(server, path + "ListAllInterfaces").interface_names
    assert {"cosmos.base.v1beta1.Msg", "cosmos.crypto.PubKey", "ibc.core.client.v1.ClientState"} <= set(names)
    request = base_reflection.ListImplementationsRequest(interface_name="cosmos.base.v1beta1.Msg")
    found = read(server, path + "ListImplementations", request).implementation_message_names
    assert {"/cosmos.bank.v1beta1.MsgSend", "/ibc.core.channel.v1.MsgRecvPacket"} <= set(found)
    pool = descriptor_pool.Default()  # type: ignore[no-untyped-call]  # untyped in its stubs
    for name in names:
        request = base_reflection.ListImplementationsRequest(interface_name=name)
        for url in read(server, path + "ListImplementations", request).implementation_message_names:
            assert pool.FindMessageTypeByName(url.removeprefix("/"))


def test_descriptors_of_the_application(server: QueryServer) -> None:
    path = "/cosmos.base.reflection.v2alpha1.ReflectionService/Get"
    assert read(server, path + "ChainDescriptor").chain.id == CHAIN
    assert read(server, path + "ConfigurationDescriptor").config.bech32_account_address_prefix == "bsmg"
    modes = read(server, path + "AuthnDescriptor").authn.sign_modes
    assert [mode.name for mode in modes][:2] == ["SIGN_MODE_DIRECT", "SIGN_MODE_LEGACY_AMINO_JSON"]
    listed = read(server, path + "QueryServicesDescriptor")
    assert isinstance(listed, app_reflection.GetQueryServicesDescriptorResponse)
    paths = [method.full_query_path for service in listed.queries.query_services for method in service.methods]
    assert paths == list(server.methods)
    assert read(server, path + "TxDescriptor").tx.fullname == "cosmos.tx.v1beta1.Tx"


def test_files_stand_alone_and_hold_every_service(server: QueryServer) -> None:
    """A client can build a pool from them alone, in the order in which they come."""
    found = read(server, "/cosmos.reflection.v1.ReflectionService/FileDescriptors")
    assert isinstance(found, file_reflection.FileDescriptorsResponse)
    pool = descriptor_pool.DescriptorPool()
    for file in found.files:
        pool.AddSerializedFile(file.SerializeToString())  # type: ignore[no-untyped-call]  # untyped in its stubs
    for service in server.services:
        assert pool.FindServiceByName(service)
    options = read(server, "/cosmos.autocli.v1.Query/AppOptions")
    assert isinstance(options, autocli_query.AppOptionsResponse)
    assert options.module_options["bank"].tx.service == "cosmos.bank.v1beta1.Msg"
    for module in options.module_options.values():
        for service in filter(None, (module.query.service, module.tx.service)):
            assert pool.FindServiceByName(service)


def test_upgrade_and_params(server: QueryServer) -> None:
    path = "/cosmos.upgrade.v1beta1.Query/"
    assert not read(server, path + "CurrentPlan").HasField("plan")
    assert read(server, path + "AppliedPlan").height == 0
    versions = read(server, path + "ModuleVersions").module_versions
    assert ("transfer", 1) in {(each.name, each.version) for each in versions}
    with pytest.raises(QueryError, match="none not found"):
        read(server, path + "ModuleVersions", upgrade_query.QueryModuleVersionsRequest(module_name="none"))
    asked = params_query.QueryParamsRequest(subspace="staking", key="UnbondingTime")
    assert read(server, "/cosmos.params.v1beta1.Query/Params", asked).param.value == '"60000000000"'


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/cosmos.gov.v1.Query/Params", "no governance"),
        ("/cosmos.distribution.v1beta1.Query/DelegationTotalRewards", "no staking rewards"),
        ("/cosmos.mint.v1beta1.Query/Inflation", "no inflation"),
        ("/cosmos.vesting.v1beta1.Msg/CreateVestingAccount", "no vesting"),
        ("/ibc.core.channel.v1.Query/UpgradeNothing", "does not serve it"),
    ],
)
async def test_what_is_not_here_says_why(server: QueryServer, path: str, said: str) -> None:
    with pytest.raises(QueryError, match=said) as caught:
        await server.ask(path, b"", 0)
    assert caught.value.status is Status.UNIMPLEMENTED


# --- transactions ----------------------------------------------------------------------------------------------------

CHECKED = {"hash": "AA", "code": 0, "codespace": "", "log": "[]", "data": ""}
RESULT = {"code": 5, "codespace": "sdk", "log": "no", "data": "", "info": "", "gas_wanted": "9", "gas_used": "8"}


def found_tx(height: str = "3") -> dict[str, Json]:
    raw = base64.b64encode(send_tx(0)).decode()
    return {"hash": "AB" * 32, "height": height, "tx": raw, "tx_result": {**RESULT, "events": []}}


async def broadcast(server: QueryServer, mode: Json, data: bytes = b"tx") -> Json:
    request = tx_service.BroadcastTxRequest(tx_bytes=data, mode=mode)
    return (await ask(server, TX + "BroadcastTx", request, tx_service.BroadcastTxResponse)).tx_response


async def test_broadcast_modes(server: QueryServer, rpc: Recorded) -> None:
    rpc.answers["broadcast_tx_sync"] = rpc.answers["broadcast_tx_async"] = CHECKED
    assert (await broadcast(server, tx_service.BROADCAST_MODE_SYNC)).txhash == "AA"
    assert (await broadcast(server, tx_service.BROADCAST_MODE_ASYNC)).txhash == "AA"
    check = {**RESULT, "code": 0, "events": []}
    rpc.answers["broadcast_tx_commit"] = {
        "check_tx": check, "tx_result": {**RESULT, "events": []}, "hash": "BB", "height": "7"
    }  # fmt: skip
    done = await broadcast(server, tx_service.BROADCAST_MODE_BLOCK)
    assert (done.txhash, done.height, done.code, done.gas_used) == ("BB", 7, 5, 8)
    assert [method for method, _ in rpc.asked] == ["broadcast_tx_sync", "broadcast_tx_async", "broadcast_tx_commit"]
    for mode, data in ((tx_service.BROADCAST_MODE_UNSPECIFIED, b"tx"), (9, b"tx"), (2, b"")):
        with pytest.raises(QueryError) as caught:
            await broadcast(server, mode, data)
        assert caught.value.status is Status.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("Internal error: tx already exists in cache", 19),
        ("Internal error: mempool is full: number of txs 5000 (max: 5000)", 20),
        ("Internal error: Tx too large. Max size is 1048576, but got 2000000", 21),
    ],
)
async def test_the_mempools_refusals_have_the_sdks_codes(
    server: QueryServer, rpc: Recorded, said: str, code: int
) -> None:
    rpc.answers["broadcast_tx_sync"] = QueryError(Status.UNKNOWN, said)
    found = await broadcast(server, tx_service.BROADCAST_MODE_SYNC)
    assert (found.code, found.codespace, found.raw_log) == (code, "sdk", said)
    assert found.txhash == sha256(b"tx").hexdigest().upper()


async def test_a_dead_node_is_no_refusal_of_the_mempool(server: QueryServer, rpc: Recorded) -> None:
    rpc.answers["broadcast_tx_sync"] = QueryError(Status.UNAVAILABLE, "CometBFT's RPC is away")
    with pytest.raises(QueryError, match="is away"):
        await broadcast(server, tx_service.BROADCAST_MODE_SYNC)


async def test_search(server: QueryServer, rpc: Recorded) -> None:
    rpc.answers["tx_search"] = {"total_count": "41", "txs": [found_tx()]}
    kind = tx_service.GetTxsEventRequest

    async def search(**fields: Json) -> Json:
        return await ask(server, TX + "GetTxsEvent", kind(**fields), tx_service.GetTxsEventResponse)

    found = await search(query="tx.height=3", page=2, limit=10, order_by=tx_service.ORDER_BY_DESC)
    assert rpc.asked[0] == (
        "tx_search",
        {"query": "tx.height=3", "page": "2", "per_page": "10", "order_by": "desc", "prove": False},
    )
    assert (found.total, found.tx_responses[0].timestamp) == (41, "2026-01-01T00:00:00Z")
    assert found.txs[0].body.messages[0].type_url == "/cosmos.bank.v1beta1.MsgSend"
    await search(events=["a.b='c'", "d.e='f'"])
    assert rpc.asked[-2][1]["query"] == "a.b='c' AND d.e='f'"
    with pytest.raises(QueryError, match="query cannot be empty"):
        await search()
    rpc.answers["tx_search"] = QueryError(Status.UNKNOWN, "page should be within [1, 5] range, given 9")
    with pytest.raises(QueryError, match="failed to search for txs: page should be") as caught:
        await search(query="tx.height=3", page=9)
    assert caught.value.status is Status.INVALID_ARGUMENT


async def test_get_tx(server: QueryServer, rpc: Recorded) -> None:
    rpc.answers["tx"] = found_tx()
    request = tx_service.GetTxRequest(hash="AB" * 32)
    found = await ask(server, TX + "GetTx", request, tx_service.GetTxResponse)
    assert (found.tx_response.code, found.tx_response.height, found.tx_response.raw_log) == (5, 3, "no")
    assert found.tx_response.tx.type_url == "/cosmos.tx.v1beta1.Tx"
    rpc.answers["tx"] = QueryError(Status.NOT_FOUND, "tx (ab) not found")
    with pytest.raises(QueryError, match="tx not found: ABAB"):
        await ask(server, TX + "GetTx", request, tx_service.GetTxResponse)
    with pytest.raises(QueryError, match="tx hash cannot be empty"):
        await ask(server, TX + "GetTx", tx_service.GetTxRequest(), tx_service.GetTxResponse)


def block(*txs: bytes) -> dict[str, Json]:
    header = {**HEADER, "time": TIME}
    return {
        "block_id": PARTS,
        "block": {"header": header, "data": {"txs": [base64.b64encode(data).decode() for data in txs]}},
    }


async def test_blocks_with_transactions_by_page(server: QueryServer, rpc: Recorded) -> None:
    rpc.answers["block"] = block(send_tx(0, memo="0"), b"\xff", send_tx(1, memo="1"), send_tx(2, memo="2"))

    async def memos(**page: Json) -> list[str]:
        request = tx_service.GetBlockWithTxsRequest(height=3, pagination=page)
        found = await ask(server, TX + "GetBlockWithTxs", request, tx_service.GetBlockWithTxsResponse)
        assert found.pagination.total == 4
        return [each.body.memo for each in found.txs]

    assert await memos() == ["0", "1", "2"]
    assert await memos(offset=2, limit=1) == ["1"]
    assert await memos(reverse=True, limit=2) == ["2", "1"]
    with pytest.raises(QueryError, match="cannot paginate 4 txs with offset 9"):
        await memos(offset=9)


async def test_encode_decode_and_no_amino(server: QueryServer) -> None:
    data = send_tx(0)
    decoded = await ask(server, TX + "TxDecode", tx_service.TxDecodeRequest(tx_bytes=data), tx_service.TxDecodeResponse)
    assert isinstance(decoded.tx, tx.Tx)
    encoded = await ask(server, TX + "TxEncode", tx_service.TxEncodeRequest(tx=decoded.tx), tx_service.TxEncodeResponse)
    assert encoded.tx_bytes == data
    for method in ("TxDecodeAmino", "TxEncodeAmino"):
        with pytest.raises(QueryError, match="no amino binary form"):
            await server.ask(TX + method, b"", 0)
    for method in ("TxDecode", "TxEncode"):
        with pytest.raises(QueryError, match="invalid empty tx"):
            await server.ask(TX + method, b"", 0)


# --- node and blocks -------------------------------------------------------------------------------------------------


async def test_config_and_status(server: QueryServer, rpc: Recorded) -> None:
    rpc.answers["status"] = {
        "sync_info": {
            "latest_block_height": "9",
            "latest_block_time": TIME,
            "latest_app_hash": "AB" * 32,
            "earliest_block_height": "1",
            "catching_up": False,
        }
    }
    path = "/cosmos.base.node.v1beta1.Service/"
    config = await ask(server, path + "Config", node_query.ConfigRequest(), node_query.ConfigResponse)
    assert (config.minimum_gas_price, config.pruning_keep_recent) == ("0.01bmga", "3")
    found = await ask(server, path + "Status", node_query.StatusRequest(), node_query.StatusResponse)
    assert (found.earliest_store_height, found.height, found.validator_hash) == (7, 9, bytes(32))


async def test_a_block_of_the_future(server: QueryServer, rpc: Recorded) -> None:
    rpc.answers["block"] = QueryError(Status.UNKNOWN, "height 99 must be less than or equal to the current height 3")
    with pytest.raises(QueryError, match="bigger then the chain length") as caught:
        await ask(
            server,
            COMET + "GetBlockByHeight",
            cmt_query.GetBlockByHeightRequest(height=99),
            cmt_query.GetBlockByHeightResponse,
        )
    assert caught.value.status is Status.INVALID_ARGUMENT


async def test_abci_query_as_a_method(server: QueryServer) -> None:
    request = cmt_query.ABCIQueryRequest(path="/store/ibc/key", data=b"nextClientSequence", prove=True)
    found = await ask(server, COMET + "ABCIQuery", request, cmt_query.ABCIQueryResponse)
    assert (found.code, found.value, len(found.proof_ops.ops)) == (0, bytes(8), 2)
    inner = auth_query.QueryAccountRequest(address=BOB.text).SerializeToString()
    request = cmt_query.ABCIQueryRequest(path="/cosmos.auth.v1beta1.Query/Account", data=inner)
    assert (await ask(server, COMET + "ABCIQuery", request, cmt_query.ABCIQueryResponse)).value
    with pytest.raises(QueryError, match="empty query path"):
        await ask(server, COMET + "ABCIQuery", cmt_query.ABCIQueryRequest(), cmt_query.ABCIQueryResponse)
