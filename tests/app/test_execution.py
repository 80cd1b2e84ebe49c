"""What execution remembers changes nothing: events as protobuf writes them, bodies run again as they came."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cosmos_wire.address import to_bech32
from cosmos_wire.protos import abci, bank_tx, base_abci, coin
from cosmos_wire.public_keys import SECP256R1, SimpleKey, address
from cosmos_wire.tx import body_of
from ibc_core import bank
from ibc_core.host import BlockEnv, Context, Event, EventLog, FreeGas, MemoryStore, MessageRoute
from microgrid.ante import Ante
from microgrid.events import write
from microgrid.executor import Authenticated, Executor
from microgrid.signatures import SignatureCache

TEXTS = st.text(st.characters(codec="utf-8"), max_size=200)
EVENTS = st.lists(st.tuples(TEXTS, st.lists(st.tuples(TEXTS, TEXTS), max_size=5)), max_size=4)
KEY = SimpleKey(SECP256R1, b"\x02" * 33)
SIGNER = Authenticated(key=KEY, gas_limit=10**7, output_bytes_max=1 << 20, key_bytes_max=240)
MINE = to_bech32(address(KEY))
URL = "/cosmos.bank.v1beta1.MsgSend"


@given(found=EVENTS)
def test_events_are_those_that_protobuf_makes(found):
    items = [Event(kind, tuple(pairs)) for kind, pairs in found]
    for _ in range(2):  # the second time out of memory
        made, expected = abci.ExecTxResult(), abci.ExecTxResult()
        write(items, made.events)
        for item in items:
            event = expected.events.add(type=item.type)
            for key, value in item.attributes:
                event.attributes.add(key=key, value=value, index=True)
        assert made == expected
        assert made.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)


def spoiling(ctx: Context, message: bank_tx.MsgSend) -> bank_tx.MsgSendResponse:
    """A handler that uses the message up, as none should."""
    bank.mint(ctx, address(KEY), ("x", int(message.amount[0].amount)))
    message.amount[0].amount = "1"
    message.to_address = ""
    return bank_tx.MsgSendResponse()


def test_a_body_that_ran_before_runs_as_it_came():
    routes = {URL: MessageRoute(spoiling, bank_tx.MsgSend, bank_tx.MsgSendResponse, "from_address")}
    executor = Executor(Ante(routes=routes, min_gas_prices=(), signatures=SignatureCache()))
    message = bank_tx.MsgSend(from_address=MINE, to_address=MINE, amount=[coin.Coin(denom="x", amount="50")])
    for memo in ("", "m" * 200):
        body = body_of([message], memo=memo)
        runs = []
        for _ in range(3):
            store = MemoryStore()
            env = BlockEnv(chain_id="c", height=1, time_ns=1)
            ctx = Context(env=env, app=store, ibc=MemoryStore(), events=EventLog(), gas=FreeGas())
            outcome, layer = executor.run_for(ctx, body, SIGNER)
            assert layer is not None, outcome.log
            layer.flush()
            assert bank.balance(ctx, address(KEY), "x") == 50
            runs.append((outcome, store.data))
        assert runs[0] == runs[1] == runs[2]


def test_messages_of_a_body_have_events_of_their_own():
    def handle(ctx: Context, message: bank_tx.MsgSend) -> bank_tx.MsgSendResponse:
        ctx.events.emit(Event("own", (("to", message.to_address),)))
        return bank_tx.MsgSendResponse()

    routes = {URL: MessageRoute(handle, bank_tx.MsgSend, bank_tx.MsgSendResponse, "from_address")}
    executor = Executor(Ante(routes=routes, min_gas_prices=(), signatures=SignatureCache()))
    body = body_of([bank_tx.MsgSend(from_address=MINE, to_address=text) for text in ("a", "b")])
    ctx = Context(
        env=BlockEnv(chain_id="c", height=1, time_ns=1),
        app=MemoryStore(),
        ibc=MemoryStore(),
        events=EventLog(),
        gas=FreeGas(),
    )
    outcome, _ = executor.run_for(ctx, body, SIGNER)
    sent = (("action", URL), ("sender", MINE), ("module", "bank"))
    assert outcome.events == (
        Event("message", (*sent, ("msg_index", "0"))),
        Event("own", (("to", "a"), ("msg_index", "0"))),
        Event("message", (*sent, ("msg_index", "1"))),
        Event("own", (("to", "b"), ("msg_index", "1"))),
    )
    assert len(base_abci.TxMsgData.FromString(outcome.data).msg_responses) == 2
