"""One real CometBFT validator: transfers, queries by every door, kills, a clean end."""

from __future__ import annotations

import base64
import json
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from cosmos_wire.protos import (
    auth_query,
    bank_query,
    cmt_query,
    node_service,
    tx_service,
)
from tests.app.chain import ALICE, BOB, DENOM, RICH, send_tx
from tests.app.real_node import RealNode, real_node
from tests.app.waiting import until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealNode]:
    with real_node(tmp_path_factory.mktemp("n")) as made:
        made.start("query", "app", "cometbft")
        made.wait_height(3)
        yield made


def _ask(node: RealNode, path: str, request: Any, response: Any) -> Any:
    with grpc.insecure_channel(node.grpc) as channel:
        method = channel.unary_unary(path, response_deserializer=response.FromString)
        return method(request.SerializeToString(), wait_for_ready=True, timeout=20)


def _balance(node: RealNode) -> int:
    request = bank_query.QueryBalanceRequest(address=BOB.text, denom=DENOM)
    found = _ask(node, "/cosmos.bank.v1beta1.Query/Balance", request, bank_query.QueryBalanceResponse)
    return int(found.balance.amount)


def _sequence(node: RealNode) -> int:
    request = auth_query.QueryAccountInfoRequest(address=ALICE.text)
    found = _ask(node, "/cosmos.auth.v1beta1.Query/AccountInfo", request, auth_query.QueryAccountInfoResponse)
    return int(found.info.sequence)


def _pay(node: RealNode) -> Any:
    """One transfer from Alice to Bob, until it shows."""
    before, tx = _balance(node), base64.b64encode(send_tx(_sequence(node))).decode()
    checked = node.call("broadcast_tx_sync", tx=tx)
    assert checked["code"] == 0, checked
    until(lambda: _balance(node) == before + 1, "the transfer", node.logs)
    return checked


def test_transfer_by_rpc_is_found_by_grpc_rpc_and_rest(node: RealNode) -> None:
    checked = _pay(node)
    request = tx_service.GetTxRequest(hash=checked["hash"])
    until(lambda: bool(node.call("tx_search", query=f"tx.hash='{checked['hash']}'")["txs"]), "the index", node.logs)
    found = _ask(node, "/cosmos.tx.v1beta1.Service/GetTx", request, tx_service.GetTxResponse)
    assert (found.tx_response.code, found.tx_response.txhash) == (0, checked["hash"])
    assert found.tx_response.timestamp.endswith("Z")
    assert found.tx.body.messages[0].type_url == "/cosmos.bank.v1beta1.MsgSend"
    query = f"message.sender='{ALICE.text}'"
    search = _ask(
        node,
        "/cosmos.tx.v1beta1.Service/GetTxsEvent",
        tx_service.GetTxsEventRequest(query=query),
        tx_service.GetTxsEventResponse,
    )
    assert search.total >= 1
    rest = f"http://127.0.0.1:{node.rest_port}/cosmos/tx/v1beta1/txs/{checked['hash']}"
    with urllib.request.urlopen(rest, timeout=10) as answer:
        assert json.load(answer)["tx_response"]["height"] == str(found.tx_response.height)


def test_broadcast_by_grpc_and_absent_transaction(node: RealNode) -> None:
    before = _balance(node)
    request = tx_service.BroadcastTxRequest(tx_bytes=send_tx(_sequence(node)), mode=tx_service.BROADCAST_MODE_SYNC)
    path = "/cosmos.tx.v1beta1.Service/BroadcastTx"
    sent = _ask(node, path, request, tx_service.BroadcastTxResponse).tx_response
    assert sent.code == 0, sent
    until(lambda: _balance(node) == before + 1, "the transfer", node.logs)
    again = _ask(
        node, path, tx_service.BroadcastTxRequest(tx_bytes=send_tx(0, memo="x"), mode=2), tx_service.BroadcastTxResponse
    )
    assert (again.tx_response.code, again.tx_response.codespace) == (32, "sdk")
    with pytest.raises(grpc.RpcError) as caught:
        _ask(
            node,
            "/cosmos.tx.v1beta1.Service/GetTx",
            tx_service.GetTxRequest(hash="00" * 32),
            tx_service.GetTxResponse,
        )
    assert "tx not found" in str(caught.value)


def test_a_client_follows_blocks_by_one_service(node: RealNode) -> None:
    """Each status waits for the next block; the block is there with it, and so is the state after it."""
    path, q = "/bsmg.node.v1.Service/", node_service
    checked = _pay(node)
    head = _ask(node, path + "Status", q.StatusRequest(), q.StatusResponse)
    for _ in range(5):
        before = head.height
        head = _ask(node, path + "Status", q.StatusRequest(above=before), q.StatusResponse)
        assert head.height == before + 1
        block = _ask(node, path + "Block", q.BlockRequest(height=head.height), q.BlockResponse)
        assert (block.height, block.time_ns) == (head.height, head.time_ns)
    search = q.EventsRequest(type="transfer", attributes=[q.Attribute(key="recipient", value=BOB.text)])
    found = _ask(node, path + "Events", search, q.EventsResponse).found
    (paid,) = [item for item in found if item.tx_hash == checked["hash"]]
    block = _ask(node, path + "Block", q.BlockRequest(height=paid.height), q.BlockResponse)
    assert paid.event in [event for tx in block.txs if tx.hash == paid.tx_hash for event in tx.result.events]


def test_blocks_and_validators_through_the_node(node: RealNode) -> None:
    path = "/cosmos.base.tendermint.v1beta1.Service/"
    block = _ask(node, path + "GetLatestBlock", cmt_query.GetLatestBlockRequest(), cmt_query.GetLatestBlockResponse)
    header = node.call("header", height=str(block.block.header.height))["header"]
    assert block.block.header.app_hash.hex().upper() == header["app_hash"]
    assert block.sdk_block.header.proposer_address.startswith("bsmgvalcons1")
    validators = _ask(
        node,
        path + "GetLatestValidatorSet",
        cmt_query.GetLatestValidatorSetRequest(),
        cmt_query.GetLatestValidatorSetResponse,
    )
    assert [each.voting_power for each in validators.validators] == [10]


def test_abci_query_with_proof_through_cometbft(node: RealNode) -> None:
    height = node.height()
    found = node.call("abci_query", path="store/ibc/key", data=b"absent".hex(), prove=True, height=str(height - 1))
    response = found["response"]
    assert (response["code"], response["value"], response["height"]) == (0, None, str(height - 1))
    assert [op["type"] for op in response["proofOps"]["ops"]] == ["ics23:iavl", "ics23:simple"]


def test_query_process_away_and_back_while_blocks_go_on(node: RealNode) -> None:
    node.end("query", signal.SIGKILL)
    refused = node.call("abci_query", path="/app/version")["response"]
    assert refused["code"] != 0
    assert "query process of this node is not running" in refused["log"]
    node.wait_height(node.height() + 2)
    node.start("query")
    assert _balance(node) >= RICH
    until(lambda: node.call("abci_query", path="/app/version")["response"]["code"] == 0, "the link", node.logs)


@pytest.mark.parametrize("kills", [1, 2, 3])
def test_killed_app_comes_back_with_the_same_chain(node: RealNode, kills: int) -> None:
    """CometBFT ends with the application, as it does; both are started again and replay."""
    _pay(node)
    held = _balance(node)
    node.end("app", signal.SIGKILL)
    node.end("cometbft", signal.SIGKILL)
    node.start("app", "cometbft")
    node.wait_height(1)
    node.wait_height(node.height() + 2)
    assert _balance(node) == held
    _pay(node)
    assert kills


def test_sigterm_ends_both_processes_cleanly(tmp_path: Path) -> None:
    with real_node(tmp_path) as node:
        node.start("app", "cometbft", "query")
        node.wait_height(2)
        assert _balance(node) == RICH
        assert node.end("query") == 0
        node.end("cometbft")
        assert node.end("app") == 0
        log = (node.home / "app.log").read_text()
        assert "event=stopped" in log
        assert "Traceback" not in log + (node.home / "query.log").read_text()
