"""What each function takes and what it refuses, with code space, code and what was expected."""

from __future__ import annotations

import json

import pytest

from cosmos_wire.protos import auth_query, bank_query, fabric_microgrid, market_tx, params_query
from cosmos_wire.tx import TX_BYTES_MAX, body_of
from fabric_adapter.embedded.refusals import ChaincodeRefusedError
from fabric_wire import strict
from ibc_core.fabric import records
from ibc_core.fabric.membership import Members, record
from tests.fabric_chaincode.world import CHAIN, DENOM, RICH, SECOND_NS, START_S, app_state, document, send


def refused(text: str) -> object:
    return pytest.raises(ChaincodeRefusedError, match=text)


# genesis


def test_genesis_writes_the_first_tick(net, cast):
    assert (net.record.height, net.record.time_ns, net.record.membership_version) == (1, START_S * SECOND_NS, 1)
    assert len(net.record.state_hash) == 32
    assert json.loads(net.value("genesis"))["chain_id"] == CHAIN
    assert net.value(records.membership_key(1)) == record(cast.members)
    event = net.last_event()
    assert (event.record, list(event.tx_ids)) == (net.record, [])
    assert net.balance(cast.alice) == RICH


def test_genesis_comes_once(net, cast):
    with refused("response 400, chaincode/7: expected a channel without genesis"):
        net.transact(cast.admin, b"Genesis", document(cast))


def test_genesis_is_an_administrators(bare, cast):
    with refused("chaincode/3: role of 'alice.Org1MSP' .*: expected peer or admin, got client"):
        bare.transact(cast.alice, b"Genesis", document(cast))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"chain_id": ""}, "chain_id: expected 1..50 bytes"),
        ({"chain_id": 5}, "chain_id: expected 1..50 bytes"),
        ({"genesis_time": "yesterday"}, "genesis_time: expected .*, got 'yesterday'"),
        ({"genesis_time": "2020-01-01T00:00:00"}, "genesis_time: expected .*Z"),
        ({"genesis_time": "2020-01-01T00:00:00.-5Z"}, "genesis_time: expected .*Z"),
        ({"app_state": {}}, "app_state: expected state_version 1, got None"),
        ({"app_state": None}, "app_state: expected state_version 1"),
        ({"app_state": {"state_version": 1, "bank": 7}}, "app_state.bank: expected an object, got int"),
        ({"membership": "00ff"}, "membership: bsmg.fabric.v1.Membership: expected a protobuf message"),
        ({"membership": 7}, "membership: expected hex or JSON"),
        ({"membership": "0801"}, "membership: version 1: "),
    ],
)
def test_a_genesis_that_is_none(bare, cast, changes, said):
    with refused(f"chaincode/8: .*{said}"):
        bare.transact(cast.admin, b"Genesis", document(cast, **changes))
    assert bare.pairs() == {}


def test_a_genesis_that_is_no_json(bare, cast):
    for data in (b"{", b"[]", b"\xff"):
        with refused("chaincode/8: expected "):
            bare.transact(cast.admin, b"Genesis", data)


def test_a_genesis_of_tomorrow(bare, cast):
    with refused("chaincode/4: genesis time: expected at most 30000000000 ns ahead"):
        bare.transact(cast.admin, b"Genesis", document(cast, genesis_time="2099-01-01T00:00:00Z"))


def test_a_membership_of_another_version(bare, cast):
    members = Members(version=2, msps=cast.members.msps, policy=cast.members.policy)
    with refused("membership: expected version 1, got 2"):
        bare.transact(cast.admin, b"Genesis", document(cast, membership=record(members).hex()))


def test_a_genesis_time_to_the_nanosecond(bare, cast):
    bare.found(document(cast, genesis_time="2026-01-01T00:00:00.000000007Z"))
    assert bare.record.time_ns % SECOND_NS == 7


def test_nothing_works_before_genesis(bare, cast):
    args = strict.write(fabric_microgrid.TickArgs(height=2))
    for name, *rest in ((b"Tick", args), (b"Query", b"/x", b""), (b"Load",)):
        with refused("chaincode/6: expected a tick record on the ledger, got none"):
            bare.endorse(cast.writer, name, *rest)
    with refused("response 500, image not loaded"):
        bare.submit(cast.alice, send(cast.alice, cast.bob))
    with refused("chaincode/6: expected a genesis record"):
        bare.endorse(cast.writer, *records.attest_args(1, tick=True))


# calls


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((b"Nothing",), "function: expected one of Genesis, Submit, .*, got b'Nothing'"),
        ((), "function: expected one of"),
        ((b"Submit",), "Submit: expected 1 arguments, got 0"),
        ((b"Tick", b"", b""), "Tick: expected 1 arguments, got 2"),
        ((b"Tick", b"\xff"), "bsmg.fabric.v1.TickArgs: expected"),
    ],
)
def test_calls_that_are_none(net, cast, args, said):
    with refused(f"chaincode/2: {said}"):
        net.endorse(cast.writer, *args)


def test_submitted_rubbish(net, cast):
    for body, said in (
        (b"", "sdk/18: must contain at least one message"),
        (b"\xff\xff", "sdk/2: TxBody of 2 bytes is not that message"),
        (body_of([]) or body_of([], memo="x"), "sdk/18: must contain at least one message"),
        (bytes(TX_BYTES_MAX + 1), "sdk/21: expected at most"),
        (body_of([bank_query.QueryBalanceRequest()]), "sdk/2: unable to resolve type URL"),
        (body_of([send(cast.alice, cast.bob)], memo="x" * 257), "sdk/12: maximum number of characters is 256"),
        (body_of([send(cast.alice, cast.bob)], timeout_height=1), "sdk/30: block height: 2, timeout height: 1"),
        (body_of([send(cast.alice, cast.bob, 2 * RICH)]), "sdk/5: failed to execute message; message index: 0: .*"),
        (body_of([send(cast.alice, cast.bob, 0)]), "sdk/10: "),
    ):
        with refused(f"response 400, {said}"):
            net.transact(cast.alice, b"Submit", body)
    assert net.pairs("inbox/", "inbox0") == {}


def test_market_refusals_name_space_and_code(net, cast):
    order = market_tx.MsgPlaceOrder(cell=cast.cells[0].text, slot=1, side=1, price_e4=1, quantity_mWh=1)
    with refused("response 400, market/[0-9]+: failed to execute message; message index: 0: "):
        net.submit(cast.cells[0], order)


def test_one_signer_only(net, cast):
    with refused("sdk/4: signers of the messages: expected bsmg1.* alone, got bsmg1.*, bsmg1"):
        net.submit(cast.alice, send(cast.alice, cast.bob), send(cast.bob, cast.alice))


def test_a_messages_failure_undoes_the_ones_before(net, cast):
    with refused("message index: 1"):
        net.submit(cast.alice, send(cast.alice, cast.bob), send(cast.alice, cast.bob, 2 * RICH))


def test_an_account_keeps_the_key_that_signed(net, cast):
    net.run(cast.alice, send(cast.alice, cast.relayer, 5))
    assert net.run(cast.relayer, send(cast.relayer, cast.bob, 1)).code == 0
    request = auth_query.QueryAccountRequest(address=cast.relayer.text)
    answer = net.ask("/cosmos.auth.v1beta1.Query/Account", request, auth_query.QueryAccountResponse)
    assert b"/cosmos.crypto.secp256r1.PubKey" in answer.account.value


# queries


def test_query_refusals_have_a_grpc_status(net, cast):
    with refused("response 400, grpc/12: unknown method /no.such.Query/Method"):
        net.evaluate(cast.alice, b"Query", b"/no.such.Query/Method", b"")
    with refused("grpc/3: .* 2 bytes are not its request"):
        net.evaluate(cast.alice, b"Query", b"/cosmos.bank.v1beta1.Query/Balance", b"\xff\xff")


def test_queries_of_every_module(net, cast):
    response = net.ask(
        "/cosmos.bank.v1beta1.Query/SupplyOf",
        bank_query.QuerySupplyOfRequest(denom=DENOM),
        bank_query.QuerySupplyOfResponse,
    )
    held = app_state(cast)["bank"]["balances"]
    assert int(response.amount.amount) == sum(int(each["coins"][0]["amount"]) for each in held)
    subspaces = net.ask(
        "/cosmos.params.v1beta1.Query/Subspaces",
        params_query.QuerySubspacesRequest(),
        params_query.QuerySubspacesResponse,
    )
    assert [each.subspace for each in subspaces.subspaces] == ["staking"]


# attestations


def test_attest_wants_the_last_height(net, cast):
    with refused("expected the last height 1, got 2"):
        net.endorse(cast.relayer, *records.attest_args(2, tick=True))


def test_attestations_change_nothing_when_somebody_orders_them(net, cast):
    before = net.pairs()
    net.order((cast.relayer, net.endorse(cast.relayer, *records.attest_args(1, tick=True))))
    after = net.pairs()
    assert {key: value for key, value in after.items() if not key.startswith("attest/")} == before
    assert net.attest(tick=True).endorsements  # the reserved keys are read by nobody
