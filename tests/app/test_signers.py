"""Multisig, secp256r1, amino and auxiliary signers on the chain: paid, signing, refused, simulated."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from cosmos_wire import multisig, secp256k1
from cosmos_wire.address import to_bech32
from cosmos_wire.multisig import write
from cosmos_wire.protos import Any, Message, bank_tx, coin, signing, transfer_tx, tx
from cosmos_wire.protos import multisig as multisig_proto
from cosmos_wire.public_keys import Key, MultisigKey, SimpleKey, address, count, to_any
from cosmos_wire.sign_modes import SignBytes, Signer, SignModeError
from cosmos_wire.tx import DecodedTx, body_of, decode
from ibc_core.host import BlockEnv, Context, EventLog, FreeGas, Overlay
from microgrid import accounts
from microgrid.ante import Ante
from microgrid.executor import Executor, Outcome
from microgrid.memory_state import MemoryState
from microgrid.modules import compose
from microgrid.signatures import SignatureCache
from tests.app.chain import ALICE, BOB, CHAIN, DENOM, START_S, Node, send_message, send_tx
from tests.wire import keys
from tests.wire.keys import AMINO, DIRECT, K1, NESTED, TWO_OF_THREE, Plan, shaped, sign_with

AUX = signing.SIGN_MODE_DIRECT_AUX
FUNDS, FEE, GAS = 10**9, 10, 400_000
R1, ED = keys.r1_key(3), keys.ED[0]
EIGHT = MultisigKey(1, tuple(K1[:8]))
WITH_ED = MultisigKey(1, (ED, K1[0]))
NO_THRESHOLD = MultisigKey(0, (K1[0],))  # anybody's, if it had an address
ACCOUNTS: tuple[Key, ...] = (TWO_OF_THREE, NESTED, R1, ED, K1[8], EIGHT, WITH_ED)
TYPES = {url: route.request for url, route in compose().messages.items()}


def context(node: Node) -> Context:
    """Of the block that comes; writes are dropped."""
    app, ibc = (Overlay(node.state.store(name)) for name in ("app", "ibc"))
    env = BlockEnv(chain_id=CHAIN, height=node.state.height + 1, time_ns=START_S * 10**9)
    return Context(env=env, app=app, ibc=ibc, events=EventLog(), gas=FreeGas())


@pytest.fixture
def node() -> Node:
    """A chain on which the accounts of the test keys have something."""
    started = Node(MemoryState())
    started.block()
    pay = tuple(send_message(ALICE, to_bech32(address(key)), FUNDS) for key in ACCOUNTS)
    (result,) = started.block(send_tx(0, messages=pay, gas=2 * GAS))
    assert not result.code, result.log
    return started


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A transaction of one account before it is signed."""

    key: Key
    plan: Plan
    sequence: int = 0
    messages: tuple[Message, ...] | None = None
    memo: str = "<memo> & é"
    gas: int = GAS
    with_key: bool = True
    change: Callable[[tx.TxBody], object] = bool  # which changes nothing

    def raw(self, info: tx.ModeInfo, signature: bytes) -> tx.TxRaw:
        text = to_bech32(address(self.key))
        paid = bank_tx.MsgSend(from_address=text, to_address=BOB.text, amount=[coin.Coin(denom=DENOM, amount="5")])
        body = tx.TxBody.FromString(body_of(self.messages or (paid,), memo=self.memo))
        self.change(body)
        auth = tx.AuthInfo()
        auth.fee.gas_limit = self.gas
        auth.fee.amount.add(denom=DENOM, amount=str(FEE))
        signer = auth.signer_infos.add(mode_info=info, sequence=self.sequence)
        if self.with_key:
            signer.public_key.CopyFrom(to_any(self.key))
        parts = body.SerializeToString(deterministic=True), auth.SerializeToString(deterministic=True)
        return tx.TxRaw(body_bytes=parts[0], auth_info_bytes=parts[1], signatures=[signature])

    def unsigned(self) -> bytes:
        info, empty = write(shaped(self.key, self.plan, lambda _key, _mode: b""))
        return self.raw(info, empty).SerializeToString(deterministic=True)

    def signed(self, node: Node) -> bytes:
        sign_bytes = SignBytes(decoded(self.unsigned()), self.signer(node))
        info, data = write(shaped(self.key, self.plan, lambda key, mode: sign_with(key, sign_bytes(mode))))
        return self.raw(info, data).SerializeToString(deterministic=True)

    def signer(self, node: Node) -> Signer:
        found = accounts.find(context(node), address(self.key))
        return Signer(
            chain_id=CHAIN,
            account_number=found.account_number if found else 0,
            sequence=self.sequence,
            address=to_bech32(address(self.key)),
            fee_payer=to_bech32(address(self.key)),
            key=self.key,
        )


def decoded(data: bytes) -> DecodedTx:
    return decode(data, TYPES)


GOOD = [
    Draft(key=TWO_OF_THREE, plan=(AMINO, None, AMINO)),
    Draft(key=TWO_OF_THREE, plan=(AMINO, DIRECT, AMINO)),
    Draft(key=NESTED, plan=(None, (AMINO, AMINO, None), (AMINO, None))),
    Draft(key=R1, plan=AMINO),
    Draft(key=R1, plan=DIRECT),
    Draft(key=K1[8], plan=AMINO),
    Draft(key=WITH_ED, plan=(None, AMINO)),
]


@pytest.mark.parametrize("draft", GOOD)
def test_they_sign_twice_and_the_account_keeps_the_key(node: Node, draft: Draft) -> None:
    (first,) = node.block(draft.signed(node))
    assert (first.code, first.log) == (0, "")
    kept = accounts.find(context(node), address(draft.key))
    assert kept is not None
    assert kept.pub_key == to_any(draft.key)
    again = replace(draft, sequence=1, with_key=False).signed(node)
    assert not node.check(again).code
    (second,) = node.block(again)
    assert (second.code, second.log) == (0, "")


def test_events_show_the_signatures_of_members_and_all_together(node: Node) -> None:
    data = GOOD[0].signed(node)
    (result,) = node.block(data)
    shown = [pair.value for item in result.events for pair in item.attributes if pair.key == "signature"]
    raw = tx.TxRaw.FromString(data)
    parts = list(multisig_proto.MultiSignature.FromString(raw.signatures[0]).signatures)
    assert [b64decode(item) for item in shown] == [*parts, raw.signatures[0]]


def spoiled(draft: Draft, change: Callable[[tx.TxRaw, tx.AuthInfo], object]) -> Callable[[Node], bytes]:
    def make(node: Node) -> bytes:
        raw = tx.TxRaw.FromString(draft.signed(node))
        auth = tx.AuthInfo.FromString(raw.auth_info_bytes)
        change(raw, auth)
        raw.auth_info_bytes = auth.SerializeToString(deterministic=True)
        return raw.SerializeToString(deterministic=True)

    return make


def _mode(auth: tx.AuthInfo, mode: int) -> None:
    auth.signer_infos[0].mode_info.single.mode = signing.SignMode.ValueType(mode)


def _drop_part(raw: tx.TxRaw) -> None:
    parts = multisig_proto.MultiSignature.FromString(raw.signatures[0])
    parts.signatures.pop()
    raw.signatures[0] = parts.SerializeToString(deterministic=True)


def _deep(auth: tx.AuthInfo, levels: int) -> None:
    info = auth.signer_infos[0].mode_info
    info.Clear()
    for _ in range(levels):
        info = info.multi.mode_infos.add()
    info.single.mode = DIRECT


def _deep_key(auth: tx.AuthInfo) -> None:
    packed = auth.signer_infos[0].public_key
    for _ in range(11):
        inner = Any()
        inner.CopyFrom(packed)
        packed.CopyFrom(
            Any(type_url="/cosmos.crypto.multisig.LegacyAminoPubKey", value=b"\x08\x01\x12" + _sized(inner))
        )


def _sized(inner: Any) -> bytes:
    data, length = inner.SerializeToString(), bytearray()
    size = len(data)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*length, size]) + data


AMINO_ONE, DIRECT_ONE = Draft(key=K1[8], plan=AMINO), Draft(key=K1[8], plan=DIRECT)
MULTI = GOOD[0]
Spoil = Callable[[tx.TxRaw, tx.AuthInfo], object]
BAD: list[tuple[str, Draft, Spoil, tuple[str, int], str]] = [
    ("no mode", DIRECT_ONE, lambda _, a: _mode(a, 0), ("sdk", 4), "(unsupported sign mode SIGN_MODE_UNSPECIFIED)"),
    ("textual", DIRECT_ONE, lambda _, a: _mode(a, 2), ("sdk", 4), "(unsupported sign mode SIGN_MODE_TEXTUAL)"),
    ("mode 99", DIRECT_ONE, lambda _, a: _mode(a, 99), ("sdk", 4), "(unsupported sign mode 99): unauthorized"),
    ("payer as auxiliary", Draft(key=K1[8], plan=DIRECT), lambda _, a: _mode(a, AUX), ("sdk", 4), "cannot sign with"),
    ("amino as direct", AMINO_ONE, lambda _, a: _mode(a, DIRECT), ("sdk", 4), "single signer signature): unauth"),
    (
        "direct as amino",
        DIRECT_ONE,
        lambda _, a: _mode(a, AMINO),
        ("sdk", 4),
        "sequence (0) and chain-id",
    ),
    ("memo", AMINO_ONE, lambda r, _: setattr(r, "body_bytes", r.body_bytes + b"\x18\x63"), ("sdk", 4), "sequence (0)"),
    ("no mode info", DIRECT_ONE, lambda _, a: a.signer_infos[0].ClearField("mode_info"), ("undefined", 1), "got empty"),
    (
        "one for many",
        MULTI,
        lambda _, a: _mode(a, AMINO),
        ("undefined", 1),
        "expected *signing.MultiSig",
    ),
    (
        "many for one",
        AMINO_ONE,
        lambda r, a: (a.signer_infos[0].mode_info.multi.SetInParent(), r.signatures.__setitem__(0, b"")),
        ("sdk", 4),
        "signature verification failed",
    ),
    (
        "part missing",
        MULTI,
        lambda r, _: _drop_part(r),
        ("undefined", 1),
        "expected 2 signatures in",
    ),
    (
        "not a MultiSignature",
        MULTI,
        lambda r, _: r.signatures.__setitem__(0, b"\xff"),
        ("undefined", 1),
        "unrecognized",
    ),
    ("deep mode info", DIRECT_ONE, lambda _, a: _deep(a, 40), ("undefined", 1), "unrecognized fields"),
    ("too deep mode info", DIRECT_ONE, lambda _, a: _deep(a, 200), ("sdk", 2), "tx parse error"),
    ("deep key", DIRECT_ONE, lambda _, a: _deep_key(a), ("sdk", 2), "max depth exceeded"),
    (
        "unknown key",
        DIRECT_ONE,
        lambda _, a: a.signer_infos[0].public_key.CopyFrom(Any(type_url="/x.Key")),
        ("sdk", 2),
        "unable to resolve type URL /x.Key: tx parse error",
    ),
    (
        "threshold 0",
        MULTI,
        lambda _, a: a.signer_infos[0].public_key.CopyFrom(to_any(NO_THRESHOLD)),
        ("sdk", 8),
        "threshold k of n multisignature: expected 0 < k <= 1, got 0",
    ),
    (
        "other members",
        MULTI,
        lambda _, a: a.signer_infos[0].public_key.CopyFrom(to_any(MultisigKey(2, tuple(K1[1:4])))),
        ("sdk", 8),
        "with signer index: 0: invalid pubkey",
    ),
]


@pytest.mark.parametrize(("draft", "change", "ident", "log"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_refused(node: Node, draft: Draft, change: Spoil, ident: tuple[str, int], log: str) -> None:
    data = spoiled(draft, change)(node)
    checked = node.check(data)
    (result,) = node.block(data)
    for found in (checked, result):
        assert (found.codespace, found.code) == ident, found.log
        assert log in found.log


OTHER_BAD = [
    ("eight keys", Draft(key=EIGHT, plan=(AMINO,) + (None,) * 7), 14, "signatures: 8, limit: 7: maximum number of sig"),
    ("ed25519", Draft(key=ED, plan=AMINO), 8, "ED25519 public keys are unsupported: invalid pubkey"),
    ("ed25519 member", Draft(key=WITH_ED, plan=(AMINO, None)), 8, "ED25519 public keys are unsupported"),
    (
        "too few",
        Draft(key=TWO_OF_THREE, plan=(AMINO, None, None)),
        4,
        "sequence (0) and chain-id (mga-1): unauthorized",
    ),
    (
        "first without key",
        Draft(key=TWO_OF_THREE, plan=(AMINO, AMINO, None), with_key=False),
        8,
        "pubkey on account",
    ),
    ("sequence", Draft(key=TWO_OF_THREE, plan=(AMINO, AMINO, None), sequence=3), 32, "mismatch, expected 0, got 3"),
    ("gas for one", Draft(key=NESTED, plan=GOOD[2].plan, gas=21_500), 11, "out of gas in location: ante verify"),
]


@pytest.mark.parametrize(
    ("draft", "code", "log"), [case[1:] for case in OTHER_BAD], ids=[case[0] for case in OTHER_BAD]
)
def test_refused_though_signed(node: Node, draft: Draft, code: int, log: str) -> None:
    (result,) = node.block(draft.signed(node))
    assert (result.codespace, result.code) == ("sdk", code), result.log
    assert log in result.log


def _odd(body: tx.TxBody) -> None:
    body.MergeFromString(b"\x82\x40\x01z")  # field 1024: not critical


def test_what_amino_can_not_show_is_refused_and_direct_passes(node: Node) -> None:
    assert not node.check(Draft(key=K1[8], plan=DIRECT, change=_odd).signed(node)).code
    shown = Draft(key=K1[8], plan=AMINO, sequence=1)
    raw = tx.TxRaw.FromString(shown.signed(node))  # its sequence comes next after the one above
    raw.body_bytes += b"\x82\x40\x01z"
    found = node.check(raw.SerializeToString(deterministic=True))
    assert (found.codespace, found.code) == ("sdk", 4), found.log
    with pytest.raises(SignModeError, match="does not support unknown fields"):
        Draft(key=K1[8], plan=AMINO, change=_odd).signed(node)


def test_ibc_transfer_without_a_timeout_height_signs_as_gogoproto_has_it(node: Node) -> None:
    message = transfer_tx.MsgTransfer(
        source_port="transfer",
        source_channel="channel-7",
        sender=to_bech32(address(K1[8])),
        receiver="cosmos1x",
        timeout_timestamp=10**18,
        memo='{"forward":"<>"}',
    )
    message.token.denom, message.token.amount = DENOM, "1"
    draft = Draft(key=K1[8], plan=AMINO, messages=(message,))
    text = SignBytes(decoded(draft.unsigned()), draft.signer(node))(AMINO).decode()
    assert '"timeout_height":{},"timeout_timestamp":"1000000000000000000"' in text
    (result,) = node.block(draft.signed(node))
    assert (result.codespace, result.code) != ("sdk", 4)  # it got as far as the channel, which is not there
    assert "message index: 0" in result.log


def simulated(node: Node, data: bytes) -> Outcome:
    routes = compose().messages
    executor = Executor(Ante(routes=routes, min_gas_prices=(), signatures=SignatureCache()))
    return executor.simulate(context(node), data)


@pytest.mark.parametrize("draft", GOOD)
@pytest.mark.parametrize("bare", [False, True])
def test_simulated_gas_holds(node: Node, draft: Draft, bare: bool) -> None:
    raw = tx.TxRaw.FromString(draft.unsigned())
    if bare:  # a wallet that knows nothing of members
        raw.signatures[0] = b""
    found = simulated(node, raw.SerializeToString(deterministic=True))
    assert (found.code, found.log) == (0, "")
    (result,) = node.block(replace(draft, gas=found.gas_used).signed(node))
    assert (result.code, result.log) == (0, "")
    assert result.gas_used <= found.gas_used <= result.gas_used + 4_000 * count(draft.key)


def test_simple_keys_of_an_auxiliary_signer(node: Node) -> None:
    """Bob pays for what K1[8] sends; K1[8] signs the body alone."""
    helper = Draft(key=K1[8], plan=AUX)
    raw = tx.TxRaw.FromString(helper.unsigned())
    auth = tx.AuthInfo.FromString(raw.auth_info_bytes)
    auth.fee.payer = BOB.text
    bob = auth.signer_infos.add(sequence=0, public_key=to_any(SimpleKey(to_any(K1[8]).type_url, BOB.public)))
    bob.mode_info.single.mode = DIRECT
    raw.auth_info_bytes = auth.SerializeToString(deterministic=True)
    raw.signatures.append(b"")
    whole = decoded(raw.SerializeToString(deterministic=True))
    signer = replace(helper.signer(node), fee_payer=BOB.text)
    raw.signatures[0] = sign_with(K1[8], SignBytes(whole, signer)(AUX))
    bob_signs = SignBytes(whole, replace(signer, account_number=BOB.number, address=BOB.text))(DIRECT)
    raw.signatures[1] = secp256k1.sign(BOB.secret, bob_signs)
    (result,) = node.block(raw.SerializeToString(deterministic=True))
    assert (result.code, result.log) == (0, "")


def test_timeout_timestamp(node: Node) -> None:
    def until(seconds: int) -> Callable[[tx.TxBody], object]:
        return lambda body: setattr(body.timeout_timestamp, "seconds", seconds)

    now_s = START_S + node.state.height + 1
    late = Draft(key=K1[8], plan=AMINO, change=until(now_s - 1)).signed(node)
    good = Draft(key=K1[8], plan=AMINO, change=until(now_s + 60)).signed(node)
    failed, passed = node.block(late, good)
    assert (failed.codespace, failed.code) == ("sdk", 42)
    assert failed.log == (
        "block time: 2027-01-15 08:00:03 +0000 UTC, timeout timestamp: 2027-01-15 08:00:02 +0000 UTC: tx timeout"
    )
    assert not passed.code, passed.log
    assert multisig.only_amino(multisig.OneSignature(AMINO, b""))
