"""Events message by message against ibc-go v10's own, from the same scenario between two of its test chains.

`tests/ibc/events_v1.json` is written by `tests/ibc/ibcgo/events_test.go`. Types, attribute names, their order and their
values have to agree, but for what `ours` and `theirs` below name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any as Whatever

import pytest

from cosmos_wire.address import to_bech32
from cosmos_wire.protos import Message, bank, bank_tx, coin, transfer_tx
from ibc_core.transfer import ledger
from ibc_core.transfer.denom import Denom
from tests.app import pair
from tests.app.chain import ALICE, BOB, DENOM, Key
from tests.app.pair import SECOND_NS, AppChain
from tests.ibc.harness import HOUR_NS, Coordinator, Endpoint, packet_of

VECTORS = json.loads((FilePath(__file__).parents[1] / "ibc" / "events_v1.json").read_text())
VOUCHER = Denom(DENOM, (("transfer", "channel-0"),)).ledger_name
VARYING = {"consensus_height", "consensus_heights", "packet_data_hex", "packet_timeout_timestamp", "error"}
NAMES = {
    ALICE.text: "ALICE",
    BOB.text: "BOB",
    VOUCHER.removeprefix("ibc/"): "VOUCHER",
    to_bech32(ledger.escrow_address("transfer", "channel-0")): "ESCROW",
    to_bech32(ledger.MODULE_ADDRESS): "MODULE",
    DENOM: "stake",
}
MORE = {  # (event, attribute) that we have beside ibc-go v10's: older versions had them, and relayers read them
    ("channel_open_init", "counterparty_channel_id"),
    ("connection_open_init", "counterparty_connection_id"),
    ("update_client", "header"),
    ("timeout", "refund_receiver"),
    ("timeout", "refund_denom"),
    ("timeout", "refund_amount"),
}
MORE_EVENTS = {"denomination_trace"}  # v8's name of v10's `denomination`


@pytest.fixture
def net(tmp_path: FilePath) -> Iterator[Coordinator]:
    made = pair.pair(tmp_path)
    yield made
    pair.close(made)


def shown(name: str, value: str) -> str:
    if name.removeprefix("ibccallbackerror-") in VARYING:
        return "*"
    for text, short in NAMES.items():
        value = value.replace(text, short)
    return value


def ours_of(chain: AppChain) -> list[Whatever]:
    """Events of the newest transaction's messages, without what we have more."""
    found = []
    for item in chain.results[-1].events:
        names = [part.key for part in item.attributes]
        if "msg_index" not in names or item.type in MORE_EVENTS:
            continue
        kept = [part for part in item.attributes if (item.type, part.key) not in MORE]
        if names[0] == "action":  # the SDK leaves the module to the handler's own event where there is one
            kept = [part for part in kept if part.key != "module"]
        found.append([item.type, [[part.key, shown(part.key, part.value)] for part in kept]])
    return found


def theirs_of(step: dict[str, Whatever]) -> list[Whatever]:
    found = []
    for kind, attributes in step["events"]:
        kept = [pair_ for pair_ in attributes if not (attributes[0][0] == "action" and pair_[0] == "module")]
        found.append([kind, kept])
    return found


class Recorder:
    """Runs the scenario and keeps each transaction beside what it did."""

    def __init__(self, net: Coordinator) -> None:
        self.net, self.path = net, net.unopened()
        self.steps: list[tuple[str, list[str], list[Whatever]]] = []
        for name, end, key in (("a", self.path.a, ALICE), ("b", self.path.b, BOB)):
            self._watch(name, end, key)

    def _watch(self, name: str, end: Endpoint, key: Key) -> None:
        chain = end.chain
        assert isinstance(chain, AppChain)
        chain.key, run = key, chain.send

        def send(*messages: Message, key: Key | None = None) -> list[Whatever]:
            done = run(*messages, key=key or chain.key)
            urls = ["/" + message.DESCRIPTOR.full_name for message in messages]
            self.steps.append((name, urls, ours_of(chain)))
            return done

        chain.send = send  # type: ignore[method-assign]  # one chain of this test alone

    def transfer(self, end: Endpoint, token: tuple[str, int], receiver: str, limit_ns: int = HOUR_NS) -> Whatever:
        chain = end.chain
        assert isinstance(chain, AppChain)
        message = transfer_tx.MsgTransfer(
            source_port="transfer",
            source_channel=end.channel_id,
            token=coin.Coin(denom=token[0], amount=str(token[1])),
            sender=chain.key.text,
            receiver=receiver,
            timeout_timestamp=self.net.time_ns + limit_ns,
            memo="memo",
        )
        chain.send(message)
        return packet_of(chain.attributes("send_packet")[0])

    def play(self) -> None:
        a, b = self.path.a, self.path.b
        self.path.open_connection()
        self.path.open_channel()
        self.path.relay(self.transfer(a, (DENOM, 60), BOB.text))
        self.path.relay(self.transfer(b, (VOUCHER, 25), ALICE.text))
        self.path.relay(self.transfer(a, (DENOM, 7), "nobody"))
        late = self.transfer(a, (DENOM, 8), BOB.text, 60 * SECOND_NS)
        self.net.time_ns += 2 * HOUR_NS
        for end in (b, a):
            end.chain.deliver()
        a.timeout(late)
        self.pay()

    def pay(self) -> None:
        chain = self.path.a.chain
        assert isinstance(chain, AppChain)
        three, six = ([coin.Coin(denom=DENOM, amount=str(amount))] for amount in (3, 6))
        many = bank_tx.MsgMultiSend(
            inputs=[bank.Input(address=ALICE.text, coins=six)],
            outputs=[bank.Output(address=key.text, coins=three) for key in (BOB, ALICE)],
        )
        chain.send(bank_tx.MsgSend(from_address=ALICE.text, to_address=BOB.text, amount=three), many)


def by_message(steps: list[tuple[str, list[str], list[Whatever]]]) -> dict[tuple[str, ...], list[Whatever]]:
    """Events by chain and messages, each in the order of the scenario: updates of clients come at other places."""
    found: dict[tuple[str, ...], list[Whatever]] = {}
    for name, urls, events in steps:
        found.setdefault((name, *urls), []).append(events)
    return found


def test_events_are_ibc_gos(net: Coordinator) -> None:
    recorder = Recorder(net)
    recorder.play()
    ours = by_message(recorder.steps)
    theirs = by_message([(step["chain"], step["messages"], theirs_of(step)) for step in VECTORS["steps"]])
    assert set(ours) == set(theirs)
    for key, expected in theirs.items():
        count = 1 if key[1].endswith("MsgUpdateClient") else len(expected)
        assert ours[key][:count] == expected[:count], key
