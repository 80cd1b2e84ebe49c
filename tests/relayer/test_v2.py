"""IBC v2 in the relayer: configuration, events, filters, and the bytes of messages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import channel_v2, channel_v2_tx, client, transfer_packet
from ibc_core.host import Event
from ibc_relayer.config import parse_config
from ibc_relayer.events import Acked, Finished, Received, Sent, facts
from ibc_relayer.filter import PacketFilter
from ibc_relayer.plan import Action, End, Step
from ibc_relayer.v2 import messages
from ibc_relayer.v2.packet import planned

A, B = "07-tendermint-3", "07-tendermint-8"
AT = client.Height(revision_number=1, revision_height=77)
V2_PATH = {"a": "mga-1", "b": "mgb-1", "version": 2, "create": True}
CHAINS = [{"id": name, "rpc": "http://127.0.0.1:1", "key": "k"} for name in ("mga-1", "mgb-1")]


def payload(port="transfer", encoding="application/json", value=b"{}"):
    return channel_v2.Payload(
        source_port=port, destination_port=port, version="ics20-1", encoding=encoding, value=value
    )


def packet(*payloads, sequence=5, timeout=1_700_000_000):
    return channel_v2.Packet(
        sequence=sequence,
        source_client=A,
        destination_client=B,
        timeout_timestamp=timeout,
        payloads=payloads or (payload(),),
    )


def event(kind, item, **extra):
    known = {
        "packet_source_client": item.source_client,
        "packet_dest_client": item.destination_client,
        "packet_sequence": str(item.sequence),
        "packet_timeout_timestamp": str(item.timeout_timestamp),
        "encoded_packet_hex": item.SerializeToString().hex(),
        **extra,
    }
    return Event(kind, tuple(known.items()))


def step(action, item, ack=b""):
    found = planned(item.SerializeToString())
    ends = (found.destination, found.source) if action is Action.RECV else (found.source, found.destination)
    return Step(action=action, side=0, end=ends[0], peer=ends[1], ordered=False, packet=found, ack=ack)


# Configuration


def test_a_path_of_version_2_has_clients_alone():
    path = parse_config({"chain": CHAINS, "path": [V2_PATH]}, Path()).paths[0]
    assert (path.version, path.channels, path.create) == (2, (), True)
    assert path.name == "mga-1~mgb-1 v2"
    written = {**V2_PATH, "create": False, "a_client": A, "b_client": B}
    assert parse_config({"chain": CHAINS, "path": [written]}, Path()).paths[0].clients == (A, B)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"version": 3}, "expected 1 or 2, got 3"),
        ({"version": "2"}, "expected int"),
        ({"channels": ["transfer"]}, "expected no connections and no channels on a path of version 2"),
        ({"a_connection": "connection-0"}, "expected no connections and no channels"),
        ({"create": False}, "or create = true"),
        ({"create": False, "a_client": A}, "or create = true"),
        ({"version": 1}, "expected at least one channel"),
    ],
)
def test_refusals_of_a_path(change, expected):
    with pytest.raises(ToolError) as caught:
        parse_config({"chain": CHAINS, "path": [{**V2_PATH, **change}]}, Path())
    assert expected in str(caught.value)


# Events


def test_events_of_a_packet_life():
    item = packet()
    ack = channel_v2.Acknowledgement(app_acknowledgements=[b'{"result":"AQ=="}']).SerializeToString()
    found = list(
        facts(
            [
                event("send_packet", item),
                event("recv_packet", item),
                event("write_acknowledgement", item, encoded_acknowledgement_hex=ack.hex()),
                event("acknowledge_packet", item),
                event("timeout_packet", item),
            ]
        )
    )
    source, destination = End("", A), End("", B)
    known = planned(item.SerializeToString())
    assert (known.source, known.destination, known.timeout_ns) == (source, destination, 1_700_000_000 * 10**9)
    assert found == [
        Sent(packet=known),
        Received(packet=known),
        Acked(packet=known, ack=ack),
        Finished(source=source, destination=destination, sequence=5, timed_out=False),
        Finished(source=source, destination=destination, sequence=5, timed_out=True),
    ]
    assert str(source) == A


def test_a_client_is_no_channel_of_v1():
    assert End("", A).v2
    assert not End("transfer", "channel-0").v2


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ({"encoded_packet_hex": "zz"}, "expected ibc-go's attributes, ValueError"),
        ({"encoded_packet_hex": "ffff"}, "expected an ibc.core.channel.v2.Packet, got 2 other bytes"),
        ({"encoded_acknowledgement_hex": ""}, "acknowledgement of #5: expected its bytes"),
    ],
)
def test_broken_events_are_named(broken, expected):
    with pytest.raises(ToolError) as caught:
        list(facts([event("write_acknowledgement", packet(), **broken)]))
    assert expected in str(caught.value)


# Limits


def test_a_packet_expires_in_its_second():
    """ibc-go compares whole seconds: the block of second T refuses what is valid until T."""
    item = planned(packet(timeout=100).SerializeToString())
    height = item.timeout_height
    assert height.is_zero
    assert not item.expired(height, 99_999_999_999)
    assert item.expired(height, 100_000_000_000)


# Filters


def abi_packet(receiver, memo):
    """(string, string, string, uint256, string) as the Solidity ABI lays it out."""
    word = 32
    texts, tails, heads = [b"bmga", b"me", receiver, None, memo], b"", b""
    for text in texts:
        if text is None:
            heads += (9).to_bytes(word, "big")
            continue
        heads += (5 * word + len(tails)).to_bytes(word, "big")
        tails += len(text).to_bytes(word, "big") + text + bytes(-len(text) % word)
    return word.to_bytes(word, "big") + heads + tails


def transfer_payload(encoding, receiver, memo):
    if encoding == "application/json":
        value = json.dumps({"denom": "bmga", "amount": "9", "receiver": receiver, "memo": memo}).encode()
    elif encoding == "application/x-protobuf":
        made = transfer_packet.FungibleTokenPacketData(denom="bmga", amount="9", receiver=receiver, memo=memo)
        value = made.SerializeToString()
    else:
        value = abi_packet(receiver.encode(), memo.encode())
    return payload(encoding=encoding, value=value)


@pytest.mark.parametrize("encoding", ["application/json", "application/x-protobuf", "application/x-solidity-abi"])
def test_memo_and_receiver_are_measured_in_every_encoding(encoding):
    limits = PacketFilter(memo_bytes_max=40, receiver_bytes_max=50)
    for receiver, memo, admitted in (
        ("r" * 50, "m" * 40, True),
        ("r" * 51, "m" * 40, False),
        ("r" * 50, "m" * 41, False),
    ):
        item = packet(payload(port="other"), transfer_payload(encoding, receiver, memo))
        assert limits.admits(step(Action.RECV, item)) is admitted


@pytest.mark.parametrize("encoding", ["application/json", "application/x-protobuf", "application/x-solidity-abi"])
@pytest.mark.parametrize("value", [b"", b"\xff" * 3, b"\xff" * 400])
def test_what_cannot_be_read_is_for_the_chain_to_judge(encoding, value):
    item = packet(payload(encoding=encoding, value=value))
    assert PacketFilter().admits(step(Action.RECV, item))


def test_patterns_are_of_ports_and_clients():
    item = packet(payload(), payload(port="trade"))
    assert PacketFilter(channels=(f"transfer/{A}", "trade/*")).admits(step(Action.RECV, item))
    assert not PacketFilter(channels=("transfer/*",)).admits(step(Action.RECV, item))
    assert not PacketFilter(deny=(f"trade/{B}",)).admits(step(Action.ACK, item))
    assert PacketFilter(channels=("transfer/*",)).admits(step(Action.RECV, packet()))
    assert not PacketFilter(sequences=((1, 4),)).admits(step(Action.RECV, packet(sequence=5)))


# Messages


def made(action, item, ack=b""):
    """The message, and the path that it proves."""
    due = step(action, item, ack)
    return messages.message(due, b"proof", AT, "signer"), messages.path_of(due)


def test_messages_carry_the_packet_and_the_proof_of_the_right_key():
    item = packet(sequence=258)
    number = bytes([0, 0, 0, 0, 0, 0, 1, 2])
    recv, asked = made(Action.RECV, item)
    assert asked == A.encode() + b"\x01" + number
    assert recv == channel_v2_tx.MsgRecvPacket(packet=item, proof_commitment=b"proof", proof_height=AT, signer="signer")
    answer = channel_v2.Acknowledgement(app_acknowledgements=[b"one", b"two"])
    ack, asked = made(Action.ACK, item, answer.SerializeToString())
    assert asked == B.encode() + b"\x03" + number
    assert ack == channel_v2_tx.MsgAcknowledgement(
        packet=item, acknowledgement=answer, proof_acked=b"proof", proof_height=AT, signer="signer"
    )
    timeout, asked = made(Action.TIMEOUT, item)
    assert asked == B.encode() + b"\x02" + number
    assert timeout == channel_v2_tx.MsgTimeout(packet=item, proof_unreceived=b"proof", proof_height=AT, signer="signer")


def test_steps_that_v2_does_not_know_are_refused():
    with pytest.raises(ToolError, match="expected RECV, ACK or TIMEOUT, got CLOSE_CONFIRM"):
        messages.path_of(step(Action.CLOSE_CONFIRM, packet()))
    with pytest.raises(ToolError, match=r"expected an ibc\.core\.channel\.v2\.Acknowledgement"):
        made(Action.ACK, packet(), b"\xff")
