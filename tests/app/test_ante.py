"""Every refusal before a transaction's messages: one line a case, in the order the code checks."""

from __future__ import annotations

from collections.abc import Callable

import ecdsa
import pytest
from ecdsa.util import sigencode_string, sigencode_string_canonize

from cosmos_wire import secp256k1
from cosmos_wire.address import to_bech32
from cosmos_wire.protos import Any, bank_tx, client_tx, coin, secp256k1_keys, signing, tendermint_client, tx
from cosmos_wire.tx import TX_BYTES_MAX, auth_info_of, body_of, pack, sign_doc
from microgrid.memory_state import MemoryState
from microgrid.operator import Operator
from tests.app.chain import ALICE, BOB, CHAIN, DENOM, GAS, STRANGER, Draft, Key, Node, send_message, send_tx


@pytest.fixture
def node() -> Node:
    started = Node(MemoryState())
    started.block()
    return started


def _signed(raw: tx.TxRaw, key: Key = ALICE) -> bytes:
    doc = sign_doc(raw.body_bytes, raw.auth_info_bytes, CHAIN, key.number)
    del raw.signatures[:]
    raw.signatures.append(secp256k1.sign(key.secret, doc))
    return raw.SerializeToString()


def _body(change: Callable[[tx.TxBody], object]) -> bytes:
    raw = tx.TxRaw.FromString(send_tx(0))
    body = tx.TxBody.FromString(raw.body_bytes)
    change(body)
    raw.body_bytes = body.SerializeToString()
    return _signed(raw)


def _auth(change: Callable[[tx.AuthInfo], object]) -> bytes:
    raw = tx.TxRaw.FromString(send_tx(0))
    info = tx.AuthInfo.FromString(raw.auth_info_bytes)
    change(info)
    raw.auth_info_bytes = info.SerializeToString()
    return _signed(raw)


def _signature(change: Callable[[bytes], bytes]) -> bytes:
    raw = tx.TxRaw.FromString(send_tx(0))
    raw.signatures[0] = change(raw.signatures[0])
    return raw.SerializeToString()


def _high_s(signature: bytes) -> bytes:
    order = ecdsa.SECP256k1.order
    return signature[:32] + (order - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")


UNKNOWN_FIELD = b"\x9a\x06\x01z"  # field 99, critical
NON_CRITICAL = b"\x82\x40\x01z"  # field 1024: its bit 11 says that it may be ignored


def _with_raw_body(extra: bytes) -> bytes:
    raw = tx.TxRaw.FromString(send_tx(0))
    raw.body_bytes += extra
    return _signed(raw)


def _reordered(data: bytes) -> bytes:
    """The same message with its signature in front."""
    raw = tx.TxRaw.FromString(data)
    rest = tx.TxRaw(body_bytes=raw.body_bytes, auth_info_bytes=raw.auth_info_bytes)
    return tx.TxRaw(signatures=raw.signatures).SerializeToString() + rest.SerializeToString()


def _longer_varint(data: bytes) -> bytes:
    """The same message with one length written in a byte more."""
    raw = tx.TxRaw.FromString(data)
    signature = raw.signatures.pop()
    return raw.SerializeToString() + b"\x1a\xc0\x00" + signature


def _nested_unknown() -> bytes:
    raw = tx.TxRaw.FromString(send_tx(0))
    message = send_message(ALICE, BOB.text).SerializeToString() + UNKNOWN_FIELD
    raw.body_bytes = tx.TxBody(
        messages=[Any(type_url="/cosmos.bank.v1beta1.MsgSend", value=message)]
    ).SerializeToString()
    return _signed(raw)


def _set_mode(info: tx.AuthInfo) -> None:
    info.signer_infos[0].mode_info.single.mode = signing.SIGN_MODE_LEGACY_AMINO_JSON


def _other_key(info: tx.AuthInfo) -> None:
    info.signer_infos[0].public_key.CopyFrom(pack(secp256k1_keys.PubKey(key=BOB.public)))


OTHERS_FUNDS = bank_tx.MsgSend(
    from_address=BOB.text, to_address=ALICE.text, amount=[coin.Coin(denom=DENOM, amount="1")]
)

HEADER = pack(tendermint_client.Header())
ELSEWHERE = to_bech32(ALICE.raw, "cosmos")


def _sent_by(text: str) -> bank_tx.MsgSend:
    return bank_tx.MsgSend(from_address=text, to_address=BOB.text, amount=[coin.Coin(denom=DENOM, amount="1")])


REFUSED = [
    ("empty", lambda: b"", 18, "must contain at least one message"),
    ("rubbish", lambda: b"\xff" * 40, 2, "tx parse error"),
    ("over 1 MiB", lambda: b"\n" * (TX_BYTES_MAX + 1), 21, "tx too large"),
    (
        "bytes behind",
        lambda: send_tx(0) + UNKNOWN_FIELD,
        2,
        'errUnknownField "*tx.TxRaw": {TagNum: 99, WireType:"bytes"}: tx parse error',
    ),
    ("other order", lambda: _reordered(send_tx(0)), 2, "TxRaw must follow ADR-027"),
    ("longer varint", lambda: _longer_varint(send_tx(0)), 2, "TxRaw must follow ADR-027"),
    (
        "unknown in body",
        lambda: _with_raw_body(UNKNOWN_FIELD),
        2,
        'errUnknownField "*tx.TxBody": {TagNum: 99, WireType:"bytes"}',
    ),
    ("unknown in message", _nested_unknown, 2, 'errUnknownField "*types.MsgSend": {TagNum: 99'),
    ("unknown message", lambda: _body(lambda b: b.messages.append(Any(type_url="/x.Y"))), 2, "unable to resolve"),
    ("no message", lambda: send_tx(0, messages=()), 18, "at least one message"),
    (
        "extension",
        lambda: _body(lambda b: b.extension_options.append(Any(type_url="/x.Y"))),
        2,
        "unable to resolve type URL /x.Y",
    ),
    (
        "unordered",
        lambda: _body(lambda b: setattr(b, "unordered", True)),
        37,
        "unordered transactions are not enabled: f",
    ),
    ("memo", lambda: send_tx(0, memo="m" * 257), 12, "maximum number of characters is 256 but received 257"),
    (
        "no signature",
        lambda: tx.TxRaw(body_bytes=body_of([OTHERS_FUNDS])).SerializeToString(),
        15,
        "no signatures supplied",
    ),
    ("gas over int64", lambda: send_tx(0, gas=2**63), 18, "invalid gas supplied"),
    ("granter", lambda: _auth(lambda i: setattr(i.fee, "granter", BOB.text)), 38, "fee-grant not found: not found"),
    ("granter's address", lambda: _auth(lambda i: setattr(i.fee, "granter", "x")), 7, "decoding bech32 failed"),
    ("payer's address", lambda: _auth(lambda i: setattr(i.fee, "payer", "x")), 7, "Invalid fee payer address (decod"),
    ("null fee", lambda: _auth(lambda i: setattr(i.fee.amount[0], "amount", "")), 13, "invalid fee provided: null: in"),
    ("fee of letters", lambda: _auth(lambda i: setattr(i.fee.amount[0], "amount", "ten")), 2, "cannot read"),
    ("fee over 256 bits", lambda: _auth(lambda i: setattr(i.fee.amount[0], "amount", str(2**256))), 2, "256 bits"),
    ("coins twice", lambda: _auth(lambda i: i.fee.amount.add(denom=DENOM, amount="1")), 13, "invalid fee amount: "),
    ("tip", lambda: _auth(lambda i: i.tip.SetInParent()), 37, "tips are not enabled"),
    (
        "signer elsewhere",
        lambda: send_tx(0, messages=(_sent_by(ELSEWHERE),)),
        35,
        "hrp does not match bech32 prefix",
    ),
    ("memo in bytes", lambda: send_tx(0, memo="é" * 129), 12, "maximum number of characters is 256 but received 258"),
    ("timeout height", lambda: send_tx(0, timeout_height=1), 30, "block height: 2, timeout height: 1"),
    ("no gas", lambda: send_tx(0, gas=0), 11, "out of gas in location: txSize; gasWanted: 0"),
    ("little gas", lambda: send_tx(0, gas=5_000), 11, "out of gas"),
    (
        "bad fee denom",
        lambda: _auth(lambda i: i.fee.amount.add(denom="!", amount="1")),
        13,
        "invalid fee amount: 10bmga,1!: ",
    ),
    (
        "negative fee",
        lambda: _auth(lambda i: setattr(i.fee.amount[0], "amount", "-1")),
        13,
        "invalid fee provided: -1bmga: insuf",
    ),
    ("fee beyond balance", lambda: send_tx(0, fee=10**16), 5, "insufficient funds"),
    ("no account", lambda: Draft(key=STRANGER, messages=(send_message(STRANGER, BOB.text),)).bytes(), 9, "exist"),
    ("fewer infos", lambda: _auth(lambda i: i.signer_infos.pop()), 4, "invalid number of signer;  expected: 1, got 0"),
    ("others' signer", lambda: send_tx(0, messages=(OTHERS_FUNDS,)), 8, "pubKey does not match signer address"),
    (
        "two signers",
        lambda: send_tx(0, messages=(send_message(ALICE, BOB.text), OTHERS_FUNDS)),
        4,
        "wrong number of signers; expected 2, got 1: unauthorized",
    ),
    (
        "amino mode",
        lambda: _auth(_set_mode),
        4,
        "signature verification failed; please verify account number (1), sequence (0) and chain-id (mga-1): unauth",
    ),
    ("other's key", lambda: _auth(_other_key), 8, "does not match"),
    ("no key", lambda: _auth(lambda i: i.signer_infos[0].ClearField("public_key")), 8, "pubkey on account is not set"),
    ("sequence ahead", lambda: send_tx(1), 32, "account sequence mismatch, expected 0, got 1: incorrect account sequ"),
    (
        "other chain",
        lambda: send_tx(0, chain_id="mgb-1"),
        4,
        "signature verification failed; please verify account number (1) and chain-id (mga-1): "
        "(unable to verify single signer signature): unauthorized",
    ),
    ("other number", lambda: send_tx(0, number=7), 4, "signature verification failed"),
    ("flipped bit", lambda: _signature(lambda s: bytes([s[0] ^ 1]) + s[1:]), 4, "signature verification failed"),
    ("high s", lambda: _signature(_high_s), 4, "signature verification failed"),
    ("short signature", lambda: _signature(lambda s: s[:63]), 4, "signature verification failed"),
    ("long signature", lambda: _signature(lambda s: s + b"\0"), 4, "signature verification failed"),
    ("zero signature", lambda: _signature(lambda _: bytes(64)), 4, "signature verification failed"),
]


@pytest.mark.parametrize(("make", "code", "log"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused_by_mempool_and_block_alike(node: Node, make: Callable[[], bytes], code: int, log: str) -> None:
    data = make()
    checked = node.check(data)
    (result,) = node.block(data)
    for found in (checked, result):
        assert (found.codespace, found.code) == ("sdk", code), found.log
        assert log in found.log
    assert not node.check(send_tx(0)).code  # and nothing was charged


@pytest.mark.parametrize(("text", "log"), [("", "empty address string is not allowed"), ("bsmg1x", "decoding bech32")])
def test_signers_without_an_address(node: Node, text: str, log: str) -> None:
    data = send_tx(0, messages=(_sent_by(text),))
    (result,) = node.block(data)
    for found in (node.check(data), result):
        assert (found.codespace, found.code) == ("undefined", 1)
        assert found.log.startswith(log)


def test_signers_of_ibc_messages_without_an_address(node: Node) -> None:
    data = send_tx(0, messages=(client_tx.MsgUpdateClient(client_id="x", client_message=HEADER, signer=ELSEWHERE),))
    (result,) = node.block(data)
    assert (result.codespace, result.code) == ("ibc", 5)
    assert result.log.startswith(
        "string could not be parsed as address: invalid Bech32 prefix; expected bsmg, got cosmos"
    )


@pytest.mark.parametrize(
    ("packed", "log"),
    [
        (Any(type_url="/x.Header"), "unable to resolve type URL /x.Header: tx parse error"),
        (pack(tendermint_client.ClientState()), "no concrete type registered for type URL /ibc.lightclients"),
        (Any(type_url="/ibc.lightclients.tendermint.v1.Header", value=UNKNOWN_FIELD), "errUnknownField"),
    ],
)
def test_what_no_client_reads_is_no_transaction(node: Node, packed: Any, log: str) -> None:
    found = node.check(send_tx(0, messages=(client_tx.MsgUpdateClient(client_message=packed, signer=ALICE.text),)))
    assert (found.codespace, found.code) == ("sdk", 2)
    assert log in found.log


@pytest.mark.parametrize(("amount", "code"), [("ten", 2), (str(2**256), 2), ("007", 10)])
def test_amounts_that_are_none(node: Node, amount: str, code: int) -> None:
    odd = bank_tx.MsgSend(from_address=ALICE.text, to_address=BOB.text, amount=[coin.Coin(denom=DENOM, amount=amount)])
    (result,) = node.block(send_tx(0, messages=(odd,)))
    assert (result.codespace, result.code) == ("sdk", code), result.log


def test_good_transaction_and_what_it_says(node: Node) -> None:
    data = send_tx(0, memo="m" * 256)
    assert not node.check(data).code
    (result,) = node.block(data)
    assert (result.code, result.log, result.gas_wanted) == (0, "", GAS)
    assert 0 < result.gas_used < GAS
    kinds = [event.type for event in result.events]
    assert kinds == [
        *("coin_spent", "coin_received", "transfer", "message", "tx", "tx", "tx"),  # fee, sequence, signature
        *("message", "coin_spent", "coin_received", "transfer", "message"),
    ]
    for event in result.events[7:]:
        assert event.attributes[-1].key == "msg_index"
        assert event.attributes[-1].value == "0"
    assert all(attribute.index for event in result.events for attribute in event.attributes)


def test_non_critical_unknown_field_of_the_body_is_let_through(node: Node) -> None:
    (result,) = node.block(_with_raw_body(NON_CRITICAL))
    assert not result.code


def test_the_independent_signer_is_accepted(node: Node) -> None:
    raw = tx.TxRaw.FromString(send_tx(0))
    doc = sign_doc(raw.body_bytes, raw.auth_info_bytes, CHAIN, ALICE.number)
    other = ecdsa.SigningKey.from_string(ALICE.secret, ecdsa.SECP256k1, __import__("hashlib").sha256)
    raw.signatures[0] = other.sign_deterministic(doc, sigencode=sigencode_string_canonize)
    assert not node.check(raw.SerializeToString()).code
    assert len(other.sign(doc, sigencode=sigencode_string)) == secp256k1.SIGNATURE_BYTES


def test_minimum_gas_price_is_asked_by_the_mempool_only() -> None:
    node = Node(MemoryState(), Operator(min_gas_price="0.0005bmga"))
    node.block()
    assert node.check(send_tx(0, fee=99)).log.startswith("insufficient fees; got: 99bmga required: 100bmga")
    assert node.check(send_tx(0, fee=99)).code == 13
    assert not node.check(send_tx(0, fee=100)).code
    assert not node.block(send_tx(0, fee=0))[0].code


def test_check_state_runs_ahead_and_recheck_starts_over(node: Node) -> None:
    txs = [send_tx(n) for n in range(3)]
    assert [node.check(data).code for data in txs] == [0, 0, 0]
    node.block(txs[0])
    assert [node.check(data, again=True).code for data in txs[1:]] == [0, 0]
    assert not node.check(send_tx(3)).code
    node.block()
    assert node.check(txs[2], again=True).code == 32  # without the second one it has no place


def test_a_fee_of_zero_coins_is_no_fee(node: Node) -> None:
    (result,) = node.block(_auth(lambda info: setattr(info.fee.amount[0], "amount", "0")))
    assert (result.code, result.log) == (0, "")


def _paid_by_bob(*messages: bank_tx.MsgSend) -> bytes:
    """Signed by Alice, then Bob, who pays the fee."""
    info = tx.AuthInfo.FromString(auth_info_of(ALICE.public, 0, gas=400_000, fee=((DENOM, 10),)))
    info.signer_infos.append(tx.AuthInfo.FromString(auth_info_of(BOB.public, 0, gas=0)).signer_infos[0])
    info.fee.payer = BOB.text
    body, raw = body_of(messages), info.SerializeToString(deterministic=True)
    signatures = [secp256k1.sign(key.secret, sign_doc(body, raw, CHAIN, key.number)) for key in (ALICE, BOB)]
    return tx.TxRaw(body_bytes=body, auth_info_bytes=raw, signatures=signatures).SerializeToString()


@pytest.mark.parametrize("messages", [(send_message(ALICE, BOB.text),), (send_message(ALICE, BOB.text), OTHERS_FUNDS)])
def test_the_named_payer_pays_and_signs_in_its_place(node: Node, messages: tuple[bank_tx.MsgSend, ...]) -> None:
    (result,) = node.block(_paid_by_bob(*messages))
    assert (result.code, result.log) == (0, "")
    (paid,) = [event for event in result.events if event.type == "tx" and event.attributes[0].key == "fee"]
    assert {a.key: a.value for a in paid.attributes} == {"fee": f"10{DENOM}", "fee_payer": BOB.text}


def test_fee_and_sequence_stay_when_a_message_fails(node: Node) -> None:
    poor = send_tx(0, messages=(send_message(ALICE, BOB.text, 5), send_message(ALICE, BOB.text, 10**16)))
    failed, good = node.block(poor, send_tx(1))
    assert (failed.codespace, failed.code) == ("sdk", 5)
    assert failed.log.startswith("failed to execute message; message index: 1: spendable balance")
    assert [event.type for event in failed.events][-1] == "tx"
    assert not good.code
    (late,) = node.block(send_tx(0))
    assert late.code == 32


def test_whoever_receives_first_has_an_account(node: Node) -> None:
    node.block(send_tx(0, messages=(send_message(ALICE, STRANGER.text, 10**6),)))
    newcomer = Key(secret=STRANGER.secret, number=10)
    numbers = {
        item: node.check(Draft(key=newcomer, number=item, messages=(send_message(STRANGER, BOB.text),)).bytes())
        for item in range(1, 30)
    }
    assert [item for item, found in numbers.items() if not found.code]


def test_module_accounts_can_not_be_paid(node: Node) -> None:
    from microgrid.fees import FEE_COLLECTOR_TEXT

    (result,) = node.block(send_tx(0, messages=(send_message(ALICE, FEE_COLLECTOR_TEXT),)))
    assert (result.codespace, result.code) == ("sdk", 4)
    assert "fee_collector is not allowed to receive funds" in result.log


def test_multi_send(node: Node) -> None:
    def message(paid: int) -> bank_tx.MsgMultiSend:
        made = bank_tx.MsgMultiSend()
        made.inputs.add(address=ALICE.text, coins=[coin.Coin(denom=DENOM, amount="5")])
        made.outputs.add(address=BOB.text, coins=[coin.Coin(denom=DENOM, amount=str(paid))])
        made.outputs.add(address=STRANGER.text, coins=[coin.Coin(denom=DENOM, amount="2")])
        return made

    good, bad = node.block(send_tx(0, messages=(message(3),)), send_tx(1, messages=(message(4),)))
    assert not good.code
    assert bad.code == 18
    assert "sum inputs != sum outputs: 5bmga, 6bmga" in bad.log
