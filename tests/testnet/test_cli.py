"""The command line: exit codes, one-line errors, and messages from words. No chain needed."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from bsmg.cli import messages, tx
from bsmg.cli.explain import advice
from bsmg.cli.main import COMMANDS, run
from cosmos_wire.errors import REGISTRY, ToolError
from cosmos_wire.protos import bank_query, bank_tx, market, market_tx, registry_tx, transfer_tx

TWELVE = "abandon " * 11 + "about"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--help"], 0, "testnet"),
        (["nonsense"], 2, "No such command"),
        (["testnet", "up", "--relayers", "x"], 2, "not a valid integer"),
        (["testnet", "up", "--topology", "/nonexistent.toml", "--home", "HOME"], 1, "expected a readable file"),
        (["testnet", "status", "--home", "HOME"], 1, "expected a running network, got none"),
        (["testnet", "down", "--home", "HOME"], 1, "expected a testnet's folder"),
        (["testnet", "kill", "x", "--home", "HOME"], 1, "expected a running network, got none"),
        (["query", "bank", "balance", "x", "--home", "HOME"], 1, "expected a running testnet's file"),
        (["tx", "bank", "send", "--home", "HOME"], 2, "--from: expected"),
        (["explain", "xyz", "--home", "HOME"], 1, "expected 64 hex digits, got 'xyz'"),
        (["keys", "show", "HOME/none"], 1, "expected a readable file"),
        (["slot", "-1"], 2, "No such option"),
        (["testnet", "up", "--home", "/proc/none"], 1, "/proc/none: expected to use it, got No such file"),
        (["testnet", "up", "--home", "/dev/null/none"], 1, "/dev/null/none: expected to use it, got Not a directory"),
        (["testnet", "up", "--home", "HOME/" + "a" * 300], 1, "expected to use it, got File name too long"),
        (["testnet", "up", "--topology", "/dev/zero", "--home", "HOME"], 1, "expected at most 1048576 bytes, got more"),
        (["fabric", "up", "--home", "/proc/none"], 1, "/proc/none: expected to use it, got No such file"),
        (["demo", "--folder", "/dev/null/none", "--slots", "1"], 1, "/dev/null/none/testnet: expected to use it"),
        (
            ["demo", "--day", "2016-12-31", "--quarter", "95", "--slots", "2"],
            1,
            "expected at most 1 slots from quarter hour 95",
        ),
        (["audit", "--home", "HOME/nobody"], 1, "expected chains with nodes, got [0] nodes"),
        (["bill", "home-01", "--home", "HOME/nothing"], 1, "expected chains with nodes, got [] nodes"),
        (["relayer", "start", "--config", "HOME/none"], 1, "expected a readable file"),
    ],
)
def test_errors_are_one_line_with_the_right_exit_code(
    arguments: list[str], code: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, chains in (("nobody", [{"chain_id": "mga-1", "kind": "cometbft", "nodes": []}]), ("nothing", [])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "testnet.json").write_text(json.dumps({"chains": chains}))
    assert run([word.replace("HOME", str(tmp_path)) for word in arguments]) == code
    captured = capsys.readouterr()
    assert says in captured.out + captured.err
    if code == 1:
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1


def test_keys_are_those_of_every_cosmos_wallet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "key"
    file.write_text(TWELVE)
    assert run(["keys", "show", str(file), "--prefix", "cosmos"]) == 0
    assert json.loads(capsys.readouterr().out)["address"] == "cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4"


def test_a_new_key_is_readable_by_its_owner_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "key"
    assert run(["keys", "new", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["address"].startswith("bsmg1")
    assert file.stat().st_mode & 0o077 == 0
    assert run(["keys", "new", str(file)]) == 1


def test_every_command_of_the_table_that_exists_can_be_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    ours = ("testnet", "keys", "query", "tx", "relayer", "slot", "cell", "faucet", "doctor", "explain")
    for name in ours:
        assert name in COMMANDS
        assert run([name, "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["AllBalances", "all-balances", "all_balances", "balances"])
def test_a_method_in_any_spelling(word: str) -> None:
    assert messages.find_method(messages.find_service("bank"), word).name == "AllBalances"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: messages.find_service("bnak"), "nearest is 'bank'"),
        (lambda: messages.find_method(messages.find_service("market"), "slto"), "nearest is 'slot'"),
        (lambda: tx.message_of("market", "place"), "nearest is 'place-order'"),
        (lambda: tx.message_of("nothing", "x"), "module: expected one of"),
        (lambda: messages.set_field(market_tx.MsgPlaceOrder(), "side", "sell"), "side: expected one of"),
        (lambda: messages.set_field(market_tx.MsgPlaceOrder(), "slot", "x"), "slot: expected"),
        (lambda: messages.set_field(market_tx.MsgPlaceOrder(), "slot", "-1"), "slot: expected"),
        (lambda: messages.set_field(transfer_tx.MsgTransfer(), "token", "ten"), "like 10bmga, got 'ten'"),
        (lambda: messages.fill(bank_query.QueryParamsRequest(), ["1"], []), "at most 0 values"),
        (lambda: messages.fill_json(market_tx.MsgPlaceOrder(), "{"), "expected its protobuf JSON"),
    ],
)
def test_wrong_words_are_refused_in_words(call, says: str) -> None:
    with pytest.raises(ToolError) as caught:
        call()
    assert says in str(caught.value)


def test_an_order_from_words() -> None:
    message = tx.message_of("market", "place-order")
    order = messages.field_order(message.DESCRIPTOR, (tx.signer_field(message),))
    messages.fill(message, ["12", "bid", "price_e4=30000", "quantity_mWh=5000"], order)
    assert message == market_tx.MsgPlaceOrder(slot=12, side=market.SIDE_BID, price_e4=30_000, quantity_mWh=5_000)


def test_coins_bytes_and_lists_from_words() -> None:
    send = bank_tx.MsgSend()
    messages.set_field(send, "amount", "10bmga,5ibc/AB")
    assert [(c.denom, c.amount) for c in send.amount] == [("bmga", "10"), ("ibc/AB", "5")]
    device = registry_tx.MsgRegisterDevice()
    messages.set_field(device, "pubkey", "00ff" * 16)
    assert device.pubkey == bytes.fromhex("00ff" * 16)
    messages.set_field(device, "pubkey", base64.b64encode(b"\xfe\x01\x02").decode())
    assert device.pubkey == b"\xfe\x01\x02"


@pytest.mark.parametrize(
    ("module", "name", "signer"),
    [
        ("bank", "send", "from_address"),
        ("ibc-transfer", "transfer", "sender"),
        ("market", "place-order", "cell"),
        ("client", "update-client", "signer"),
        ("trade", "lock", "buyer"),
    ],
)
def test_the_signer_fills_itself_in(module: str, name: str, signer: str) -> None:
    assert tx.signer_field(tx.message_of(module, name)) == signer


def test_every_code_space_has_advice() -> None:
    assert advice("", 0) == ""
    assert advice("market", 3).startswith("look at the slot")
    assert all(advice(*ident) for ident in REGISTRY)
