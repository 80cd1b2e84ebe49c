"""Fee grants: given, spent, limited by time, period and message, ended."""

from __future__ import annotations

from typing import Any as Json

import pytest

from cosmos_wire import secp256k1
from cosmos_wire.protos import Any, Message, coin, feegrant, feegrant_query, feegrant_tx, secp256k1_keys, tx
from cosmos_wire.tx import SignerData, auth_info_of, body_of, pack, sign_doc, signed
from ibc_core import bank
from microgrid.feegrant_module import FeegrantModule
from microgrid.fees import FEE_COLLECTOR_TEXT
from microgrid.memory_state import MemoryState
from microgrid.modules import compose
from tests.app.chain import ALICE, BOB, CHAIN, DENOM, START_S, STRANGER, Draft, Key, Node, send_message
from tests.app.test_signers import context

PATH = "/cosmos.feegrant.v1beta1.Query/"
NEWCOMER = Key(secret=STRANGER.secret, number=4)  # the grant makes its account
FEE = 10


@pytest.fixture
def node() -> Node:
    started = Node(MemoryState())
    started.block()
    return started


def coins(amount: int, denom: str = DENOM) -> list[coin.Coin]:
    return [coin.Coin(denom=denom, amount=str(amount))] if amount else []


def basic(limit: int = 0, until_s: int = 0) -> feegrant.BasicAllowance:
    made = feegrant.BasicAllowance(spend_limit=coins(limit))
    if until_s:
        made.expiration.seconds = until_s
    return made


def periodic(limit: int, each: int, period_s: int) -> feegrant.PeriodicAllowance:
    made = feegrant.PeriodicAllowance(basic=basic(limit), period_spend_limit=coins(each))
    made.period.seconds = period_s
    return made


def only(allowance: Message, *urls: str) -> feegrant.AllowedMsgAllowance:
    return feegrant.AllowedMsgAllowance(allowance=pack(allowance), allowed_messages=urls)


def grant(allowance: Message | None, grantee: Key = NEWCOMER) -> feegrant_tx.MsgGrantAllowance:
    packed = pack(allowance) if allowance is not None else None
    return feegrant_tx.MsgGrantAllowance(granter=ALICE.text, grantee=grantee.text, allowance=packed)


def by_alice(*messages: Message, sequence: int = 0) -> bytes:
    return Draft(sequence=sequence, messages=messages).bytes()


def paid_by_alice(sequence: int, *, key: Key = NEWCOMER, fee: int = FEE, message: Message | None = None) -> bytes:
    """A transaction whose fee is to come out of Alice's grant."""
    revoke = feegrant_tx.MsgRevokeAllowance(granter=key.text, grantee=BOB.text)  # refused, after the fee was taken
    body = body_of([message or revoke])
    info = tx.AuthInfo.FromString(auth_info_of(key.public, sequence, gas=200_000, fee=((DENOM, fee),) if fee else ()))
    info.fee.granter = ALICE.text
    raw = info.SerializeToString(deterministic=True)
    signature = secp256k1.sign(key.secret, sign_doc(body, raw, CHAIN, key.number))
    return tx.TxRaw(body_bytes=body, auth_info_bytes=raw, signatures=[signature]).SerializeToString(deterministic=True)


def granted(node: Node, allowance: Message) -> None:
    (result,) = node.block(by_alice(grant(allowance)))
    assert (result.code, result.log) == (0, "")


def balance(node: Node, who: Key) -> int:
    return bank.balance(context(node), who.raw, DENOM)


def left(node: Node) -> Json:
    """What Alice still grants to the newcomer, None for nothing."""
    request = feegrant_query.QueryAllowancesRequest(grantee=NEWCOMER.text)
    route = FeegrantModule().queries()[PATH + "Allowances"]
    answer = route.handle(context(node), request)
    assert isinstance(answer, feegrant_query.QueryAllowancesResponse)
    return answer.allowances[0].allowance if answer.allowances else None


def kinds(result: Json) -> list[str]:
    return [event.type for event in result.events if "feegrant" in event.type]


def test_an_account_without_coins_acts_on_another_s_fees(node: Node) -> None:
    granted(node, basic(25))
    before = balance(node, ALICE)
    data = paid_by_alice(0)
    assert not node.check(data).code
    (result,) = node.block(data)
    assert (result.codespace, result.code) == ("sdk", 38)  # the message's own refusal
    assert before - balance(node, ALICE) == FEE
    (paid,) = [event for event in result.events if event.type == "tx" and event.attributes[0].key == "fee"]
    assert {a.key: a.value for a in paid.attributes} == {"fee": f"{FEE}{DENOM}", "fee_payer": ALICE.text}
    assert kinds(result) == ["use_feegrant", "update_feegrant"]
    assert feegrant.BasicAllowance.FromString(left(node).value).spend_limit[0].amount == "15"


def test_a_limit_that_is_used_up_ends_the_grant(node: Node) -> None:
    granted(node, basic(2 * FEE))
    first, second, third = node.block(paid_by_alice(0), paid_by_alice(1), paid_by_alice(2))
    assert kinds(first) == ["use_feegrant", "update_feegrant"]
    assert kinds(second) == ["revoke_feegrant", "use_feegrant"]
    assert (third.codespace, third.code) == ("sdk", 38)
    assert third.log == f"{ALICE.text} does not allow to pay fees for {NEWCOMER.text}: fee-grant not found: not found"
    assert left(node) is None


def test_no_limit_and_no_fee(node: Node) -> None:
    granted(node, basic())
    free, dear = node.block(paid_by_alice(0, fee=0), paid_by_alice(1, fee=10**6))
    assert kinds(free) == kinds(dear) == ["use_feegrant", "update_feegrant"]


def test_expired(node: Node) -> None:
    end_s = START_S + node.state.height + 2
    granted(node, basic(100, end_s))  # in block height + 1
    assert left(node) is not None
    (good,) = node.block(paid_by_alice(0))
    assert kinds(good)
    assert left(node) is None  # the end of that block removed it
    (late,) = node.block(paid_by_alice(1))
    assert late.code == 38


def test_more_than_the_limit(node: Node) -> None:
    granted(node, basic(5))
    (result,) = node.block(paid_by_alice(0))
    assert (result.codespace, result.code) == ("feegrant", 2)
    assert result.log.endswith(": basic allowance: fee limit exceeded")
    assert feegrant.BasicAllowance.FromString(left(node).value).spend_limit[0].amount == "5"


def test_periods_begin_again(node: Node) -> None:
    granted(node, periodic(0, FEE, 3))
    one, two = node.block(paid_by_alice(0), paid_by_alice(1))
    assert kinds(one) == ["use_feegrant", "update_feegrant"]
    assert (two.codespace, two.code) == ("feegrant", 2)
    assert two.log.endswith(": period limit: fee limit exceeded")
    node.block()
    node.block()
    (again,) = node.block(paid_by_alice(1))
    assert kinds(again) == ["use_feegrant", "update_feegrant"]
    kept = feegrant.PeriodicAllowance.FromString(left(node).value)
    assert (list(kept.period_can_spend), kept.period_reset.seconds) == ([], START_S + node.state.height + 3)


def test_the_whole_limit_bounds_the_periods(node: Node) -> None:
    granted(node, periodic(15, FEE, 1))
    node.block(paid_by_alice(0))
    node.block()
    (second,) = node.block(paid_by_alice(1))
    assert second.log.endswith(": period limit: fee limit exceeded")  # 5 are left of all


def test_only_some_messages(node: Node) -> None:
    granted(node, only(basic(100), "/cosmos.bank.v1beta1.MsgSend"))
    refused, taken = node.block(paid_by_alice(0), paid_by_alice(0, message=send_message(NEWCOMER, FEE_COLLECTOR_TEXT)))
    assert (refused.codespace, refused.code) == ("feegrant", 7)
    assert kinds(taken) == ["use_feegrant", "update_feegrant"]
    inner = feegrant.AllowedMsgAllowance.FromString(left(node).value).allowance
    assert feegrant.BasicAllowance.FromString(inner.value).spend_limit[0].amount == "90"


def test_one_s_own_grant_needs_none(node: Node) -> None:
    body = body_of([send_message(ALICE, BOB.text)])
    info = tx.AuthInfo.FromString(auth_info_of(ALICE.public, 0, gas=200_000, fee=((DENOM, FEE),)))
    info.fee.granter = ALICE.text
    raw = info.SerializeToString(deterministic=True)
    signer = SignerData(chain_id=CHAIN, account_number=ALICE.number, sign=lambda m: secp256k1.sign(ALICE.secret, m))
    (result,) = node.block(signed(body, raw, signer))
    assert (result.code, result.log) == (0, "")


def test_revoked_and_pruned(node: Node) -> None:
    granted(node, basic(100, START_S + 10**6))
    revoke = feegrant_tx.MsgRevokeAllowance(granter=ALICE.text, grantee=NEWCOMER.text)
    gone, none = node.block(by_alice(revoke, sequence=1), by_alice(revoke, sequence=2))
    assert not gone.code, gone.log
    assert (none.codespace, none.code) == ("sdk", 38)
    (pruned,) = node.block(by_alice(feegrant_tx.MsgPruneAllowances(pruner=ALICE.text), sequence=3))
    assert not pruned.code, pruned.log
    assert not [key for key, _ in context(node).app.iterate(b"fg/")]


def nested(levels: int) -> Message:
    made: Message = basic(1)
    for _ in range(levels):
        made = only(made, "/x")
    return made


BAD_GRANTS = [
    ("to oneself", grant(basic(1), ALICE), ("sdk", 7), "cannot self-grant fee authorization: invalid address"),
    ("nothing", grant(None), ("feegrant", 5), "failed to get allowance: no allowance"),
    ("unknown", grant(feegrant.Grant()), ("sdk", 2), "unable to resolve type URL /cosmos.feegrant.v1beta1.Grant"),
    ("a key", grant(secp256k1_keys.PubKey()), ("sdk", 2), "no concrete type registered for type URL"),
    (
        "unsorted",
        grant(feegrant.BasicAllowance(spend_limit=coins(1) + coins(1, "aaa"))),
        ("sdk", 10),
        "send amount is inv",
    ),
    ("before 1970", grant(basic(1, -1)), ("feegrant", 4), "expiration time cannot be negative: invalid duration"),
    ("past", grant(basic(1, START_S - 5)), ("sdk", 18), "expiration is before current block time"),
    ("no time", grant(basic(1, 2**62)), ("sdk", 2), "years 1 to 9999"),
    ("no period limit", grant(periodic(0, 0, 1)), ("sdk", 10), "spend limit must be positive"),
    (
        "other coin",
        grant(feegrant.PeriodicAllowance(basic=basic(5), period_spend_limit=coins(1, "other"))),
        ("sdk", 10),
        "different currency",
    ),
    ("negative period", grant(periodic(5, 1, -1)), ("feegrant", 4), "negative clock step"),
    ("endless period", grant(periodic(5, 1, 2**60)), ("sdk", 2), "duration"),
    ("no messages", grant(only(basic(1))), ("feegrant", 6), "allowed messages shouldn't be empty"),
    (
        "empty within",
        grant(feegrant.AllowedMsgAllowance(allowed_messages=["/x"])),
        ("feegrant", 5),
        "should not be empty",
    ),
    ("too deep", grant(nested(12)), ("sdk", 2), "max depth exceeded"),
    ("bad address", feegrant_tx.MsgGrantAllowance(granter=ALICE.text, grantee="x"), ("sdk", 7), "decoding bech32"),
]


@pytest.mark.parametrize(("message", "ident", "log"), [case[1:] for case in BAD_GRANTS], ids=[c[0] for c in BAD_GRANTS])
def test_grants_that_mean_nothing(node: Node, message: Message, ident: tuple[str, int], log: str) -> None:
    (result,) = node.block(by_alice(message))
    assert (result.codespace, result.code) == ident, result.log
    assert log in result.log
    assert left(node) is None


def test_a_second_grant_is_refused(node: Node) -> None:
    granted(node, basic(5))
    (again,) = node.block(by_alice(grant(basic(7)), sequence=1))
    assert (again.codespace, again.code) == ("sdk", 18)
    assert "fee allowance already exists" in again.log


def test_queries(node: Node) -> None:
    granted(node, basic(5))
    routes = compose().queries
    ctx = context(node)
    one = routes[PATH + "Allowance"].handle(
        ctx, feegrant_query.QueryAllowanceRequest(granter=ALICE.text, grantee=NEWCOMER.text)
    )
    mine = routes[PATH + "AllowancesByGranter"].handle(
        ctx, feegrant_query.QueryAllowancesByGranterRequest(granter=ALICE.text)
    )
    assert isinstance(one, feegrant_query.QueryAllowanceResponse)
    assert isinstance(mine, feegrant_query.QueryAllowancesByGranterResponse)
    assert list(mine.allowances) == [one.allowance]
    assert one.allowance.allowance == Any(
        type_url="/cosmos.feegrant.v1beta1.BasicAllowance", value=basic(5).SerializeToString()
    )
    none = routes[PATH + "AllowancesByGranter"].handle(
        ctx, feegrant_query.QueryAllowancesByGranterRequest(granter=BOB.text)
    )
    assert isinstance(none, feegrant_query.QueryAllowancesByGranterResponse)
    assert not none.allowances
