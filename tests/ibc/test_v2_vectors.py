"""IBC v2 against what ibc-go v10 says: `vectors_v2.json` is written by `ibcgo/`, whose head has the command."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path as FilePath
from typing import Any as Whatever

import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import Default

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import Message, channel_v2, channel_v2_tx, client, client_tx, client_v2_tx, transfer_tx
from ibc_core import errors
from ibc_core.transfer import abi
from ibc_core.transfer.data import from_members
from ibc_core.transfer.denom import Denom
from ibc_core.transfer.encoding import ABI, JSON, PROTOBUF, decode, encode
from ibc_core.transfer.ledger import escrow_address
from ibc_core.v2 import paths
from ibc_core.v2.packet import ERROR_ACK, ack_commitment, commitment
from tests.ibc.harness import HOUR_NS, RELAYER, Chain, Coordinator, address
from tests.ibc.real_chain import RealChain
from tests.ibc.v2_path import HOUR_S, EndV2, PathV2, path_v2, unregistered

VECTORS: dict[str, Whatever] = json.loads((FilePath(__file__).parent / "vectors_v2.json").read_text())
CLIENT = "07-tendermint-0"
VOUCHER = Denom("stake", (("transfer", CLIENT),)).ledger_name


@pytest.fixture
def net(tmp_path: FilePath) -> Iterator[Coordinator]:
    made = Coordinator("mga-1", "mgb-1", make=partial(RealChain, tmp_path))
    yield made
    for chain in made.chains.values():
        assert isinstance(chain, RealChain)
        chain.db.close()


# hashes and keys


@pytest.mark.parametrize("row", VECTORS["packets"])
def test_packet_commitments(row: dict[str, str]) -> None:
    packet = channel_v2.Packet.FromString(bytes.fromhex(row["packet"]))
    assert commitment(packet).hex() == row["commitment"]
    assert packet.SerializeToString(deterministic=True).hex() == row["packet"]


@pytest.mark.parametrize("row", VECTORS["acks"])
def test_acknowledgement_commitments(row: dict[str, str]) -> None:
    assert ack_commitment(channel_v2.Acknowledgement.FromString(bytes.fromhex(row["ack"]))).hex() == row["commitment"]
    assert VECTORS["error_ack"] == ERROR_ACK.hex()


@pytest.mark.parametrize("row", VECTORS["keys"])
def test_keys(row: dict[str, str]) -> None:
    client_id, sequence = row["client"], int(row["sequence"])
    for kind in (paths.commitment, paths.receipt, paths.acknowledgement, paths.async_packet):
        assert kind(client_id, sequence).hex() == row[kind.__name__]
    assert paths.next_sequence_send(client_id).hex() == row["next"]
    assert escrow_address("transfer", client_id).hex() == row["escrow"]


# encodings


@pytest.mark.parametrize("row", VECTORS["encodings"])
@pytest.mark.parametrize("encoding", [JSON, PROTOBUF, ABI])
def test_encodings(encoding: str, row: dict[str, str]) -> None:
    packet = from_members({name: row[name] for name in ("denom", "amount", "sender", "receiver", "memo")})
    assert encode(packet, encoding).hex() == row[encoding]
    payload = channel_v2.Payload(version="ics20-1", encoding=encoding, value=bytes.fromhex(row[encoding]))
    assert decode(payload) == packet


def assert_reads(value: bytes, expected: str | list[str]) -> bool:
    """As go-ethereum reads it; what is no UTF-8 is refused here. Whether both read it."""
    try:
        read = abi.decode(value)
    except errors.AbiDecoding:
        refused = isinstance(expected, str) or not all(is_text(part) for part in (*expected[:3], expected[4]))
        assert refused, expected
        return False
    assert isinstance(expected, list), read
    shown = [read[name] if name == "amount" else read[name].encode().hex() for name in abi.FIELDS]
    assert shown == [*expected[:3], expected[3], expected[4]]
    return True


def is_text(digits: str) -> bool:
    try:
        bytes.fromhex(digits).decode()
    except UnicodeDecodeError:
        return False
    return True


def test_damaged_abi_values() -> None:
    rows = VECTORS["readings"]
    whole, both = bytes.fromhex(rows["value"]), 0
    for at, flip, expected in rows["flipped"]:
        value = bytearray(whole)
        value[at] ^= flip
        both += assert_reads(bytes(value), expected)
    for size, expected in rows["cut"]:
        both += assert_reads(whole[:size], expected)
    assert assert_reads(whole + b"\x01\x02\x03", rows["longer"])
    assert both > 300


# refusals


def code_of(act: Callable[[], object]) -> str:
    try:
        act()
    except ChainError as error:
        return f"{error.codespace}/{error.code}"
    return ""


def message_of(row: dict[str, str]) -> Message:
    found = Default().FindMessageTypeByName(row["type"])  # type: ignore[no-untyped-call]  # its stub has no types
    kind = message_factory.GetMessageClass(found)
    message: Message = kind.FromString(bytes.fromhex(row["message"]))
    message.signer = RELAYER  # type: ignore[attr-defined]  # every row's message has one
    return message


@pytest.mark.parametrize("row", [pytest.param(row, id=row["name"]) for row in VECTORS["stateless"]])
def test_messages_that_are_refused_without_a_look_at_the_state(row: dict[str, str]) -> None:
    """Where ibc-go finds nothing wrong, the state has the word: there is no client here."""
    chain = Coordinator("mga-1", "mgb-1").chains["mga-1"]
    found = code_of(lambda: chain.deliver(message_of(row)))
    assert found == row["code"] or (not row["code"] and found in {"clientv2/35", "ibc/2"})


def ics20(version: str, encoding: str, value: str) -> channel_v2.Payload:
    return channel_v2.Payload(
        source_port="transfer", destination_port="transfer", version=version, encoding=encoding, value=value.encode()
    )


def token(sender: str, denom: str = "stake", amount: str = "5", receiver: str = "bob") -> channel_v2.Payload:
    text = f'{{"amount":"{amount}","denom":"{denom}","receiver":"{receiver}","sender":"{sender}"}}'
    return ics20("ics20-1", JSON, text)


class Trial:
    """The script of `stateful` in `ibcgo/refusals_test.go`, with the code of each of its steps."""

    def __init__(self, net: Coordinator) -> None:
        self.path = unregistered(net)
        self.net, self.a, self.b = net, self.path.a, self.path.b
        self.a.chain.fund("relayer", "stake", 1_000)
        self.codes: dict[str, str] = {}

    def add(self, name: str, act: Callable[[], object]) -> None:
        self.codes[name] = code_of(act)

    def send(self, name: str, seconds: int, payload: channel_v2.Payload, client_id: str = CLIENT) -> None:
        message = channel_v2_tx.MsgSendPacket(
            source_client=client_id, timeout_timestamp=self.a.now_s + seconds, payloads=[payload], signer=RELAYER
        )
        self.add(f"send: {name}", lambda: self.a.chain.deliver(message))

    def run(self) -> dict[str, str]:
        self.registrations()
        self.sends()
        self.packets()
        return self.codes

    def registrations(self) -> None:
        self.send("no counterparty", 100, token(RELAYER))
        self.send("no client", 100, token(RELAYER), "07-tendermint-9")
        stranger = EndV2(self.a.chain, "07-tendermint-9", self.b)
        self.add("register: no client", stranger.register)
        self.add("register: good", self.a.register)
        self.add("register: again", self.a.register)
        self.b.register()
        for name, client_id in (("none", "07-tendermint-9"), ("good", CLIENT), ("again", CLIENT)):
            message = client_tx.MsgDeleteClientCreator(client_id=client_id, signer=RELAYER)
            self.add(f"delete creator: {name}", partial(self.a.chain.deliver, message))
        config = client_v2_tx.MsgUpdateClientConfig(client_id=CLIENT, signer=RELAYER)
        self.add("config: without creator", lambda: self.a.chain.deliver(config))

    def sends(self) -> None:
        self.send("in the past", -100, token(RELAYER))
        self.send("a day and a minute", 24 * HOUR_S + 60, token(RELAYER))
        self.send("unknown encoding", 100, ics20("ics20-1", "text/plain", "x"))
        self.send("unknown version", 100, ics20("ics20-2", JSON, "x"))
        self.send("no json", 100, ics20("ics20-1", JSON, "x"))
        self.send("no protobuf", 100, ics20("ics20-1", PROTOBUF, "x"))
        self.send("no abi", 100, ics20("ics20-1", ABI, "x"))
        self.send("another's", 100, token(address("alice")))
        self.send("slash in base", 100, token(RELAYER, denom="a/b"))
        self.send("zero", 100, token(RELAYER, amount="0"))
        self.send("too much", 100, token(RELAYER, amount="9" * 60))
        self.send("no receiver", 100, token(RELAYER, receiver=" "))
        elsewhere = token(RELAYER)
        elsewhere.destination_port = "mockV2A"
        self.send("another port there", 100, elsewhere)

    def packets(self) -> None:
        a, b = self.a, self.b
        packet, ack = a.send(token(RELAYER)), channel_v2.Acknowledgement(app_acknowledgements=[b'{"result":"AQ=="}'])
        self.add("timeout: too early", lambda: a.timeout(packet))
        self.add("receive: from another client", lambda: b.receive(changed(packet, source_client="07-tendermint-1")))
        self.add("receive: never sent", lambda: b.receive(changed(packet, sequence=9)))
        self.add("acknowledge: not received", lambda: a.acknowledge(packet, ack))
        self.add("acknowledge: never sent", lambda: a.acknowledge(changed(packet, sequence=9), ack))
        other = changed(packet, destination_client="07-tendermint-1")
        self.add("acknowledge: to another client", lambda: a.acknowledge(other, ack))
        later = changed(packet, timeout_timestamp=packet.timeout_timestamp + 1)
        self.add("acknowledge: another packet", lambda: a.acknowledge(later, ack))
        self.add("receive: good", lambda: b.receive(packet))
        self.add("receive: again", lambda: b.receive(packet))
        self.add("acknowledge: another answer", lambda: a.acknowledge(packet, ack))
        sentinel = channel_v2.Acknowledgement(app_acknowledgements=[ERROR_ACK])
        self.add("acknowledge: good", lambda: a.acknowledge(packet, sentinel))
        self.add("acknowledge: again", lambda: a.acknowledge(packet, sentinel))
        late = a.send(token(RELAYER))
        self.net.pass_time(2 * HOUR_NS)
        self.add("receive: late", lambda: b.receive(late))
        self.add("receive: late and again", lambda: b.receive(packet))
        self.add("timeout: good", lambda: a.timeout(late))
        self.add("timeout: again", lambda: a.timeout(late))
        self.add("timeout: received", lambda: a.timeout(packet))


def changed(packet: channel_v2.Packet, **fields: object) -> channel_v2.Packet:
    made = channel_v2.Packet.FromString(packet.SerializeToString())
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_the_same_script_is_refused_where_ibc_go_refuses(net: Coordinator) -> None:
    assert Trial(net).run() == {row["name"]: row["code"] for row in VECTORS["stateful"]}


Act = Callable[[transfer_tx.MsgTransfer], None]


def field(**fields: object) -> Act:
    def act(message: transfer_tx.MsgTransfer) -> None:
        for name, value in fields.items():
            setattr(message, name, value)

    return act


def amount(text: str) -> Act:
    return lambda message: setattr(message.token, "amount", text)


def denom(text: str) -> Act:
    return lambda message: setattr(message.token, "denom", text)


def height(number: int) -> Act:
    return lambda message: message.timeout_height.CopyFrom(client.Height(revision_number=1, revision_height=number))


VARIANTS: dict[str, Act] = {  # as in `ibcgo/transfers_test.go`
    "good": field(),
    "zero": amount("0"),
    "negative": amount("-5"),
    "too much": amount(str(2**125)),
    "denom is the prefix": denom("ibc"),
    "denom hash is no hash": denom("ibc/xyz"),
    "denom hash is short": denom("ibc/" + "A" * 62),
    "denom trace not found": denom("ibc/" + "A" * 64),
    "denom too short": denom("b"),
    "denom with a space": denom("b mga"),
    "denom nobody holds": denom("nothing"),
    "denom with slashes that nobody holds": denom("a/b/c"),
    "no receiver": field(receiver=" "),
    "receiver too long": field(receiver="r" * 2_049),
    "memo too long": field(memo="m" * 32_769),
    "channel that is not there": field(source_channel="channel-9"),
    "bad channel": field(source_channel="c"),
    "no channel": field(source_channel=""),
    "client that is not there": field(source_channel="07-tendermint-9"),
    "bad port": field(source_port="p"),
    "another port": field(source_port="mock"),
    "no timeout": field(timeout_timestamp=0),
    "timeout in the past": field(timeout_timestamp=1),
    "timeout height too": height(1_000_000),
    "timeout height in the past": height(1),
    "unknown encoding": field(encoding="text/plain"),
    "the greatest timeout": field(timeout_timestamp=2**64 - 1),
    "a timeout of 2^63": field(timeout_timestamp=2**63),
}


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_transfers_by_channel_and_by_client(net: Coordinator, protocol: str) -> None:
    v1, v2 = net.path(), path_v2(net)
    chain = v1.a.chain
    chain.fund("alice", "stake", 1_000)
    codes: dict[str, str] = {}
    for name, act in VARIANTS.items():
        message = v2.a.msg_transfer("alice", "bob", ("stake", 5))
        if protocol == "v1":
            message.source_channel, message.timeout_timestamp = v1.a.channel_id, net.time_ns + HOUR_NS
        act(message)
        codes[name] = code_of(partial(chain.deliver, message))
    assert codes == VECTORS["transfers"][protocol]


# events and state


OURS_ALONE = {"denomination_trace"}  # a name of ibc-go v8, for its clients
ALSO_OURS = {"timeout": {"refund_receiver", "refund_denom", "refund_amount"}}  # the same
HIDDEN = {"encoded_packet_hex", "packet_timeout_timestamp"}
COINS = {"coin_spent", "coin_received", "coinbase", "burn", "transfer"}  # addresses: other tests have them

Shown = list[tuple[str, list[tuple[str, str]]]]


def events_of(chain: Chain) -> Shown:
    found = []
    for item in chain.events:
        if item.type in OURS_ALONE:
            continue
        kept = [(key, value) for key, value in item.attributes if key not in ALSO_OURS.get(item.type, set())]
        found.append((item.type, [(key, "*" if key in HIDDEN else value) for key, value in kept]))
    return comparable(found)


def comparable(events: Shown) -> Shown:
    """Without the coin ledger's own, without the host's `message` events, and without the words of a refusal."""
    found: Shown = []
    for kind, attributes in events:
        if kind in COINS or (kind == "message" and attributes[0][0] != "module"):
            continue
        silent = kind.startswith("ibccallbackerror-")
        found.append((kind, [(key, "" if silent else value) for key, value in attributes]))
    return found


class Scenario:
    """The script of `ibcgo/scenario_test.go`."""

    def __init__(self, net: Coordinator) -> None:
        self.net, self.path = net, path_v2(net)
        self.path.a.chain.fund("alice", "stake", 1_000)
        self.steps: dict[str, Shown] = {}

    def note(self, name: str, end: EndV2) -> None:
        self.steps[name] = events_of(end.chain)

    def transfer(self, name: str, end: EndV2, coin: tuple[str, int], encoding: str, receiver: str) -> None:
        message = end.msg_transfer("alice" if end is self.path.a else "bob", "x", coin, encoding)
        message.receiver, message.memo = receiver, "memo"
        end.chain.deliver(message)
        self.note(f"{name}: send", end)

    def relay(self, name: str, source: EndV2) -> None:
        packet = source.last_packet()
        ack = source.other.receive(packet)
        self.note(f"{name}: receive", source.other)
        source.acknowledge(packet, ack)
        self.note(f"{name}: acknowledge", source)

    def run(self) -> PathV2:
        a, b = self.path.a, self.path.b
        for encoding in ("", PROTOBUF, ABI):
            self.transfer(f"there {encoding}", a, ("stake", 60), encoding, address("bob"))
            self.relay(f"there {encoding}", a)
            self.transfer(f"back {encoding}", b, (VOUCHER, 25), encoding, address("alice"))
            self.relay(f"back {encoding}", b)
        self.transfer("refused", a, ("stake", 7), "", "nobody")
        self.relay("refused", a)
        self.transfer("late", a, ("stake", 8), "", address("bob"))
        late = a.last_packet()
        self.net.pass_time(2 * HOUR_NS)
        a.timeout(late)
        self.note("late: timeout", a)
        return self.path


def expected_steps() -> dict[str, Shown]:
    names = {"ALICE": address("alice"), "BOB": address("bob")}
    found: dict[str, Shown] = {}
    for step in VECTORS["scenario"]["steps"]:
        events = [
            (kind, [(key, names.get(value, value)) for key, value in attributes]) for kind, attributes in step["events"]
        ]
        found[step["name"]] = comparable(events)
    return found


def kept_of_v2(chain: Chain) -> dict[str, str]:
    v2 = ("/counterparty", "/config")
    return {
        key.hex(): value.hex()
        for key, value in chain.ibc.data.items()
        if CLIENT.encode() in key and (not key.startswith(b"clients/") or key.decode().endswith(v2))
    }


def test_events_and_state_of_a_scenario(net: Coordinator) -> None:
    scenario = Scenario(net)
    path = scenario.run()
    expected = expected_steps()
    assert list(scenario.steps) == list(expected)
    for name, events in scenario.steps.items():
        assert events == expected[name], name
    assert kept_of_v2(path.a.chain) == VECTORS["scenario"]["a"]
    assert kept_of_v2(path.b.chain) == VECTORS["scenario"]["b"]
