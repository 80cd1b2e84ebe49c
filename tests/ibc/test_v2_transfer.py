"""ICS-20 over IBC v2: denominations over several hops and both protocols, refusals, what a hostile chain may send."""

from __future__ import annotations

from hashlib import sha256

import pytest

from cosmos_wire.address import to_bech32
from cosmos_wire.errors import ChainError, InsufficientFunds, Unauthorized
from cosmos_wire.protos import channel_v2, transfer_packet
from ibc_core import bank, errors
from ibc_core.transfer import abi, ledger
from ibc_core.transfer.denom import Denom
from ibc_core.transfer.encoding import ABI, JSON, PROTOBUF, decode
from ibc_core.v2.packet import ERROR_ACK
from tests.ibc.harness import HOUR_NS, Coordinator, account, address
from tests.ibc.v2_path import EndV2, PathV2, path_v2

CLIENT, CHANNEL = "00-mock-0", "channel-0"
VOUCHER = Denom("bmga", (("transfer", CLIENT),)).ledger_name
GOOD = channel_v2.Acknowledgement(app_acknowledgements=[b'{"result":"AQ=="}'])
REFUSED = channel_v2.Acknowledgement(app_acknowledgements=[ERROR_ACK])


def opened(genesis: dict[str, dict[str, object]] | None = None) -> PathV2:
    net = Coordinator("mga-1", "mgb-1", genesis=genesis)
    net.chains["mga-1"].fund("alice", "bmga", 100)
    return path_v2(net)


def payload(value: bytes, encoding: str = JSON, version: str = "ics20-1") -> channel_v2.Payload:
    return channel_v2.Payload(
        source_port="transfer", destination_port="transfer", version=version, encoding=encoding, value=value
    )


def token(**changes: str) -> bytes:
    """JSON of a transfer of 5bmga from alice to bob."""
    members = {"amount": "5", "denom": "bmga", "receiver": address("bob"), "sender": address("alice"), **changes}
    return ("{" + ",".join(f'"{key}":"{value}"' for key, value in members.items()) + "}").encode()


def forge(path: PathV2, *payloads: channel_v2.Payload) -> channel_v2.Packet:
    """A packet that chain a's own rules would never send: as if its application were another."""
    end = path.a
    transfer = end.chain.router_v2.pop("transfer")
    end.chain.router_v2["transfer"] = Anything()
    packet = end.send(*payloads)
    end.chain.router_v2["transfer"] = transfer
    return packet


class Anything:
    """An application that sends whatever it is asked to."""

    def on_send_packet(self, *_: object) -> None:
        """Agree."""


# the message


def test_a_transfer_says_what_it_does() -> None:
    path = opened()
    packet = path.a.transfer("alice", "bob", ("bmga", 60))
    chain, escrow = path.a.chain, ledger.escrow_address("transfer", CLIENT)
    assert bank.balance(chain.context(), escrow, "bmga") == ledger.total_escrow(chain.context(), "bmga") == 60
    assert decode(packet.payloads[0]).amount == 60
    assert packet.payloads[0].value.startswith(b'{"denom":"bmga","amount":"60","sender":')
    sent = {"sender": address("alice"), "receiver": address("bob"), "denom": "bmga", "amount": "60", "memo": ""}
    assert chain.attributes("ibc_transfer") == [sent]
    kinds = [item.type for item in chain.events]
    assert kinds.index("send_packet") < kinds.index("coin_spent") < kinds.index("ibc_transfer")
    assert to_bech32(escrow) == to_bech32(sha256(b"ics20-1\0transfer/" + CLIENT.encode()).digest()[:20])
    with pytest.raises(Unauthorized):
        bank.require_recipient(chain.context(), escrow)


def test_the_whole_balance() -> None:
    path = opened()
    packet = path.a.transfer("alice", "bob", ("bmga", 2**256 - 1))
    assert decode(packet.payloads[0]).amount == 100


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"timeout_timestamp": 0}, errors.InvalidTimeoutV2),
        ({"timeout_timestamp": 1}, errors.TimeoutElapsedV2),
        ({"timeout_timestamp": 1_700_000_000 * 10**9}, errors.InvalidTimeoutV2),  # nanoseconds, as v1 has them
        ({"encoding": "text/plain"}, errors.IbcInvalidType),
        ({"source_channel": "00-mock-9"}, errors.CounterpartyNotFound),
        ({"source_port": "m"}, errors.InvalidIdentifier),
        ({"receiver": " "}, errors.IbcInvalidAddress),
        ({"memo": "m" * 32_769}, errors.InvalidTransferMemo),
    ],
)
def test_transfers_that_are_refused(changes: dict[str, str], error: type[ChainError]) -> None:
    path = opened()
    message = path.a.msg_transfer("alice", "bob", ("bmga", 5))
    for name, value in changes.items():
        setattr(message, name, value)
    before = dict(path.a.chain.app.data), dict(path.a.chain.ibc.data)
    with pytest.raises(error):
        path.a.chain.deliver(message)
    assert (dict(path.a.chain.app.data), dict(path.a.chain.ibc.data)) == before


def test_switches() -> None:
    path = opened({"transfer": {"params": {"send_enabled": False, "receive_enabled": False}}})
    with pytest.raises(errors.SendDisabled):
        path.a.transfer("alice", "bob", ("bmga", 5))
    with pytest.raises(errors.SendDisabled):
        path.a.send(payload(token()), signer=address("alice"))
    assert path.b.receive(forge(path, payload(token()))) == REFUSED


# payloads that a user writes himself


def test_a_payload_of_ones_own() -> None:
    path = opened()
    packet = path.a.send(payload(token()), signer=address("alice"))
    assert path.relay(packet) == GOOD
    back = token(denom=f"transfer/{CLIENT}/bmga", sender=address("bob"), receiver=address("alice"))
    assert path.relay(path.b.send(payload(back), signer=address("bob"))) == GOOD
    assert path.a.chain.balance("alice", "bmga") == 100
    assert path.b.chain.balance("bob", VOUCHER) == 0


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        (payload(token(sender=address("bob"))), errors.IbcUnauthorized),
        (payload(token(denom="ibc/" + "A" * 64)), errors.InvalidDenomForTransfer),
        (payload(token(denom="a/b")), errors.InvalidDenomForTransfer),
        (payload(token(denom="transfer/channel-0/a/b")), errors.InvalidDenomForTransfer),
        (payload(token(denom=f"transfer/{CLIENT}/bmga")), InsufficientFunds),
        (payload(token(amount="101")), InsufficientFunds),
        (payload(token(amount="0")), errors.InvalidAmount),
        (payload(token(memo="m" * 32_769)), errors.InvalidTransferMemo),
        (payload(token(), version="ics20-2"), errors.InvalidTransferVersion),
        (payload(token(), encoding=PROTOBUF), errors.IbcInvalidType),
        (payload(token(), encoding=ABI), errors.IbcInvalidType),
        (payload(token(extra="1")), errors.IbcInvalidType),
    ],
)
def test_payloads_of_ones_own_that_are_refused(changed: channel_v2.Payload, error: type[ChainError]) -> None:
    path = opened()
    before = dict(path.a.chain.app.data), dict(path.a.chain.ibc.data)
    with pytest.raises(error):
        path.a.send(changed, signer=address("alice"))
    assert (dict(path.a.chain.app.data), dict(path.a.chain.ibc.data)) == before


@pytest.mark.parametrize("field", ["source_port", "destination_port"])
def test_both_ports_are_transfer(field: str) -> None:
    path = opened()
    changed = payload(token())
    setattr(changed, field, "other")
    path.a.chain.router_v2["other"] = path.a.chain.router_v2["transfer"]
    with pytest.raises(errors.InvalidPacketV2):
        path.a.send(changed, signer=address("alice"))
    forged = forge_to_port(path, changed)
    path.b.chain.router_v2["other"] = path.b.chain.router_v2["transfer"]
    assert path.b.receive(forged) == REFUSED


def forge_to_port(path: PathV2, changed: channel_v2.Payload) -> channel_v2.Packet:
    path.a.chain.router_v2["other"] = Anything()
    return forge(path, changed)


# what a hostile chain may send


def protobuf(**changes: str) -> bytes:
    members = {"amount": "5", "denom": "bmga", "receiver": address("bob"), "sender": address("alice"), **changes}
    return transfer_packet.FungibleTokenPacketData(**members).SerializeToString()


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in numbers)


HOSTILE = {
    "unknown field": payload(protobuf() + b"\x32\x01x", PROTOBUF),
    "no protobuf": payload(b"\xff", PROTOBUF),
    "zero": payload(protobuf(amount="0"), PROTOBUF),
    "signed": payload(protobuf(amount="+5"), PROTOBUF),
    "above 2^256-1": payload(token(amount=str(2**256))),
    "nested json": payload(b'{"denom":{"base":"bmga"},"amount":"5"}'),
    "twice": payload(token()[:-1] + b',"amount":"50"}'),
    "abi: empty": payload(b"\0", ABI),
    "abi: offset of the tuple": payload(words(2**256 - 1, 0), ABI),
    "abi: offset of a string": payload(words(32, 2**255, 160, 160, 5, 160, 0), ABI),
    "abi: length of a string": payload(words(32, 160, 160, 160, 5, 160, 2**255), ABI),
    "abi: endless": payload(words(32, 0, 0, 0, 0, 0), ABI),
    "abi: not UTF-8": payload(words(32, 160, 160, 160, 5, 160, 1) + b"\xff" * 32, ABI),
    "encoding": payload(token(), "application/xml"),
    "version": payload(token(), JSON, "ics20-2"),
    "more than ever left": payload(token(denom=f"transfer/{CLIENT}/bmgb")),
    "receiver of another chain": payload(token(receiver=address("bob").replace("bsmg", "cosmos"))),
    "receiver is a module": payload(token(receiver=to_bech32(bank.module_address("transfer")))),
    "blank base": payload(token(denom=f"transfer/{CLIENT}/")),
}


@pytest.mark.parametrize("case", [pytest.param(value, id=name) for name, value in HOSTILE.items()])
def test_hostile_packets_change_nothing_but_the_answer(case: channel_v2.Payload) -> None:
    path = opened()
    packet = forge(path, case)
    before = dict(path.b.chain.app.data)
    assert path.b.receive(packet) == REFUSED
    assert path.b.chain.app.data == before


def test_the_escrow_of_another_client_is_out_of_reach() -> None:
    """A second client of the same chain, or of another: what was locked through the first stays."""
    path = opened()
    path.relay(path.a.transfer("alice", "bob", ("bmga", 60)))
    thief = EndV2(path.b.chain)
    there = EndV2(path.a.chain, other=thief)
    thief.other = there
    there.create_client()
    thief.create_client()
    there.register()
    thief.register()
    stolen = token(denom=f"transfer/{thief.client_id}/bmga", sender=address("bob"), receiver=address("thief"))
    path.b.chain.router_v2["transfer"], honest = Anything(), path.b.chain.router_v2["transfer"]
    packet = thief.send(payload(stolen))
    path.b.chain.router_v2["transfer"] = honest
    assert there.receive(packet) == REFUSED
    assert path.a.chain.balance("thief", "bmga") == 0


@pytest.mark.parametrize(
    ("ack", "error"),
    [
        (b'{"error":"ABCI code: 1"}', errors.IbcInvalidRequest),
        (b"no json", errors.IbcUnknownRequest),
        (b'{ "result":"AQ=="}', errors.IbcInvalidType),
    ],
)
def test_answers_that_are_none(ack: bytes, error: type[ChainError]) -> None:
    path = opened()
    packet = path.a.transfer("alice", "bob", ("bmga", 60))
    path.a.chain.light_client.gullible = True
    with pytest.raises(error):
        path.a.acknowledge(packet, channel_v2.Acknowledgement(app_acknowledgements=[ack]))
    assert path.a.sent(packet)


# denominations over several hops


def test_three_chains_and_home_again() -> None:
    net = Coordinator("mga-1", "mgb-1", "mgc-1")
    ab, bc, ca = path_v2(net, "mga-1", "mgb-1"), path_v2(net, "mgb-1", "mgc-1"), path_v2(net, "mgc-1", "mga-1")
    net.chains["mga-1"].fund("alice", "bmga", 100)
    ends = [ab.a, bc.a, ca.a, ca.b, bc.b, ab.b]  # around, and back the same way
    denom = Denom("bmga")
    for end, path in zip(ends, (ab, bc, ca, ca, bc, ab), strict=True):
        sender = "alice" if end.chain.chain_id == "mga-1" else "bob"
        receiver = "alice" if end.other.chain.chain_id == "mga-1" else "bob"
        assert end.chain.balance(sender, denom.ledger_name) == 100
        assert path.relay(end.transfer(sender, receiver, (denom.ledger_name, 100))) == GOOD
        back = denom.came_through("transfer", end.client_id)
        denom = denom.returned() if back else denom.arrived("transfer", end.other.client_id)
    assert denom == Denom("bmga")
    assert net.chains["mga-1"].balance("alice", "bmga") == 100
    for chain in net.chains.values():
        assert {name: total for name, total in bank.supplies(chain.context()) if total} == (
            {"bmga": 100} if chain.chain_id == "mga-1" else {}
        )


def test_a_voucher_of_one_protocol_goes_on_by_the_other() -> None:
    net = Coordinator("mga-1", "mgb-1")
    net.chains["mga-1"].fund("alice", "bmga", 100)
    v1, v2 = net.path(), path_v2(net)
    v1.relay(v1.a.transfer("alice", "bob", ("bmga", 60)))
    first = Denom("bmga", (("transfer", CHANNEL),))
    assert v2.relay(v2.b.transfer("bob", "alice", (first.ledger_name, 40))) == GOOD
    both = first.arrived("transfer", v2.a.client_id)
    assert both.path == f"transfer/{v2.a.client_id}/transfer/{CHANNEL}/bmga"
    assert net.chains["mga-1"].balance("alice", both.ledger_name) == 40
    assert net.chains["mga-1"].balance("alice", "bmga") == 40
    v2.relay(v2.a.transfer("alice", "bob", (both.ledger_name, 40)))
    v1.relay(v1.b.transfer("bob", "alice", (first.ledger_name, 60)))
    assert net.chains["mga-1"].balance("alice", "bmga") == 100


# the end of a packet


def test_what_was_burnt_is_minted_again() -> None:
    path = opened()
    path.relay(path.a.transfer("alice", "bob", ("bmga", 60)))
    late = path.b.transfer("bob", "alice", (VOUCHER, 25))
    assert path.b.chain.balance("bob", VOUCHER) == 35
    path.a.chain.net.pass_time(2 * HOUR_NS)
    path.b.timeout(late)
    assert path.b.chain.balance("bob", VOUCHER) == 60
    refund = path.b.chain.attributes("timeout")[0]
    assert (refund["refund_receiver"], refund["refund_amount"]) == (address("bob"), "25")
    assert path.relay(forged_refusal(path)) == REFUSED
    assert path.b.chain.balance("bob", VOUCHER) == 60


def forged_refusal(path: PathV2) -> channel_v2.Packet:
    message = path.b.msg_transfer("bob", "alice", (VOUCHER, 25))
    message.receiver = "nobody"
    path.b.chain.deliver(message)
    return path.b.last_packet()


def test_an_unsettled_packet_is_received_or_timed_out_and_never_both() -> None:
    path = opened()
    packet = path.a.transfer("alice", "bob", ("bmga", 60))
    receive = path.b.msg_receive(packet)
    path.b.chain.deliver(receive)
    path.a.chain.net.pass_time(2 * HOUR_NS)
    with pytest.raises(errors.FailedNonMembershipVerification):
        path.a.timeout(packet)
    path.a.acknowledge(packet, GOOD)
    assert path.a.chain.balance("alice", "bmga") == 40
    assert bank.balance(path.b.chain.context(), account("bob"), VOUCHER) == 60


def test_abi_words_are_what_solidity_writes() -> None:
    """The layout by hand: one offset, five heads, the tails in order."""
    found = abi.decode(
        words(32, 160, 224, 288, 7, 352, 1)
        + b"d".ljust(32, b"\0")
        + words(1)
        + b"s".ljust(32, b"\0")
        + words(1)
        + b"r".ljust(32, b"\0")
        + words(0)
    )
    assert found == {"denom": "d", "sender": "s", "receiver": "r", "amount": "7", "memo": ""}
