"""ibc.core.client.v2.Query and ibc.core.channel.v2.Query; keys of v1 and v2 in one store."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import Message, channel_v2, channel_v2_genesis, client_v2_config, client_v2_tx, pagination
from cosmos_wire.protos import channel_v2_query as query
from cosmos_wire.protos import client_v2_query as client_query
from ibc_core import paths as v1
from ibc_core.v2 import paths
from ibc_core.v2.packet import ack_commitment, commitment
from microgrid.query.query_core import Status, status_of
from tests.ibc.harness import RELAYER, Coordinator, address
from tests.ibc.mock_app_v2 import MockAppV2
from tests.ibc.v2_path import PREFIX, PathV2, path_v2

CHANNEL, CLIENT_SERVICE = "/ibc.core.channel.v2.Query/", "/ibc.core.client.v2.Query/"
CLIENT = "00-mock-0"
GOOD = channel_v2.Acknowledgement(app_acknowledgements=[b'{"result":"AQ=="}'])


@pytest.fixture
def path() -> PathV2:
    """Packets 1 and 2 are settled, 3 to 5 under way, 4 of them received."""
    net = Coordinator("mga-1", "mgb-1")
    for chain in net.chains.values():
        chain.router_v2["mock"] = MockAppV2()
    made = path_v2(net)
    packets = [made.a.send() for _ in range(5)]
    for packet in packets[:2]:
        made.relay(packet)
    made.b.receive(packets[3])
    return made


def states(packets: list[int], data: list[bytes]) -> list[channel_v2_genesis.PacketState]:
    pairs = zip(packets, data, strict=True)
    return [channel_v2_genesis.PacketState(client_id=CLIENT, sequence=n, data=one) for n, one in pairs]


def test_counterparty_and_config(path: PathV2) -> None:
    chain = path.a.chain
    info = chain.query(CLIENT_SERVICE + "CounterpartyInfo", client_query.QueryCounterpartyInfoRequest(client_id=CLIENT))
    assert (info.counterparty_info.client_id, tuple(info.counterparty_info.merkle_prefix)) == (CLIENT, PREFIX)
    asked = client_query.QueryConfigRequest(client_id=CLIENT)
    assert chain.query(CLIENT_SERVICE + "Config", asked).config == client_v2_config.Config()
    wanted = client_v2_config.Config(allowed_relayers=[address("friend")])
    chain.deliver(client_v2_tx.MsgUpdateClientConfig(client_id=CLIENT, config=wanted, signer=RELAYER))
    assert chain.query(CLIENT_SERVICE + "Config", asked).config == wanted


def test_sequences_and_commitments(path: PathV2) -> None:
    chain = path.a.chain
    following = chain.query(CHANNEL + "NextSequenceSend", query.QueryNextSequenceSendRequest(client_id=CLIENT))
    assert (following.next_sequence_send, following.proof_height) == (6, chain.proof_height)
    packet = path.a.last_packet() if chain.attributes("send_packet") else path.a.send()
    one = chain.query(
        CHANNEL + "PacketCommitment", query.QueryPacketCommitmentRequest(client_id=CLIENT, sequence=packet.sequence)
    )
    assert one.commitment == commitment(packet)
    found = chain.query(CHANNEL + "PacketCommitments", query.QueryPacketCommitmentsRequest(client_id=CLIENT))
    assert [state.sequence for state in found.commitments] == [3, 4, 5, packet.sequence]
    assert found.commitments[-1] == states([packet.sequence], [commitment(packet)])[0]
    assert (found.pagination.total, found.height) == (4, chain.proof_height)


def test_commitments_by_page(path: PathV2) -> None:
    asked = query.QueryPacketCommitmentsRequest(client_id=CLIENT, pagination=pagination.PageRequest(limit=2))
    first = path.a.chain.query(CHANNEL + "PacketCommitments", asked)
    assert [state.sequence for state in first.commitments] == [3, 4]
    assert first.pagination.next_key == (5).to_bytes(8, "big")
    asked.pagination.key = first.pagination.next_key
    rest = path.a.chain.query(CHANNEL + "PacketCommitments", asked)
    assert [state.sequence for state in rest.commitments] == [5]


def test_receipts_and_acknowledgements(path: PathV2) -> None:
    chain = path.b.chain
    for sequence, received in ((1, True), (3, False), (4, True)):
        asked = query.QueryPacketReceiptRequest(client_id=CLIENT, sequence=sequence)
        assert chain.query(CHANNEL + "PacketReceipt", asked).received == received
    one = query.QueryPacketAcknowledgementRequest(client_id=CLIENT, sequence=4)
    assert chain.query(CHANNEL + "PacketAcknowledgement", one).acknowledgement == ack_commitment(GOOD)
    every = query.QueryPacketAcknowledgementsRequest(client_id=CLIENT)
    found = chain.query(CHANNEL + "PacketAcknowledgements", every)
    assert list(found.acknowledgements) == states([1, 2, 4], [ack_commitment(GOOD)] * 3)
    assert found.pagination.total == 3
    every.packet_commitment_sequences.extend([4, 9, 1, 0])
    found = chain.query(CHANNEL + "PacketAcknowledgements", every)
    assert list(found.acknowledgements) == states([4, 1], [ack_commitment(GOOD)] * 2)


def test_what_did_not_arrive(path: PathV2) -> None:
    packets = query.QueryUnreceivedPacketsRequest(client_id=CLIENT, sequences=[1, 3, 4, 5, 9])
    found = path.b.chain.query(CHANNEL + "UnreceivedPackets", packets)
    assert (list(found.sequences), found.height) == ([3, 5, 9], path.b.chain.proof_height)
    acks = query.QueryUnreceivedAcksRequest(client_id=CLIENT, packet_ack_sequences=[1, 2, 4])
    assert list(path.a.chain.query(CHANNEL + "UnreceivedAcks", acks).sequences) == [4]


REFUSED: list[tuple[str, Message, Status]] = [
    (
        CLIENT_SERVICE + "CounterpartyInfo",
        client_query.QueryCounterpartyInfoRequest(client_id="00-mock-9"),
        Status.NOT_FOUND,
    ),
    (CLIENT_SERVICE + "CounterpartyInfo", client_query.QueryCounterpartyInfoRequest(), Status.INVALID_ARGUMENT),
    (CLIENT_SERVICE + "Config", client_query.QueryConfigRequest(client_id="a/b/c"), Status.INVALID_ARGUMENT),
    (CHANNEL + "NextSequenceSend", query.QueryNextSequenceSendRequest(client_id="00-mock-9"), Status.NOT_FOUND),
    (CHANNEL + "NextSequenceSend", query.QueryNextSequenceSendRequest(), Status.INVALID_ARGUMENT),
    (CHANNEL + "PacketCommitment", query.QueryPacketCommitmentRequest(client_id=CLIENT), Status.INVALID_ARGUMENT),
    (
        CHANNEL + "PacketCommitment",
        query.QueryPacketCommitmentRequest(client_id=CLIENT, sequence=1),
        Status.NOT_FOUND,
    ),
    (
        CHANNEL + "PacketAcknowledgement",
        query.QueryPacketAcknowledgementRequest(client_id=CLIENT, sequence=1),
        Status.NOT_FOUND,
    ),
    (CHANNEL + "PacketReceipt", query.QueryPacketReceiptRequest(client_id=CLIENT), Status.INVALID_ARGUMENT),
    (
        CHANNEL + "UnreceivedPackets",
        query.QueryUnreceivedPacketsRequest(client_id=CLIENT, sequences=[1, 0]),
        Status.INVALID_ARGUMENT,
    ),
    (
        CHANNEL + "UnreceivedAcks",
        query.QueryUnreceivedAcksRequest(client_id=CLIENT, packet_ack_sequences=[0]),
        Status.INVALID_ARGUMENT,
    ),
    (CHANNEL + "PacketCommitments", query.QueryPacketCommitmentsRequest(), Status.INVALID_ARGUMENT),
    (CHANNEL + "PacketAcknowledgements", query.QueryPacketAcknowledgementsRequest(), Status.INVALID_ARGUMENT),
]


@pytest.mark.parametrize(("method", "request_", "status"), REFUSED)
def test_queries_that_are_refused(path: PathV2, method: str, request_: Message, status: Status) -> None:
    with pytest.raises(ChainError) as refused:
        path.a.chain.query(method, request_)
    assert status_of(refused.value) is status


def test_empty_pages_are_empty_and_no_error(path: PathV2) -> None:
    """As ibc-go: the lists ask for no counterparty."""
    found = path.a.chain.query(
        CHANNEL + "PacketCommitments", query.QueryPacketCommitmentsRequest(client_id="00-mock-9")
    )
    assert list(found.commitments) == []


# keys

clients = st.builds("{}-{}".format, st.sampled_from(["07-tendermint", "00-mock", "08-wasm"]), st.integers(0, 120))
sequences = st.integers(1, 2**64 - 1) | st.sampled_from([1, 0x3031, int.from_bytes(b"async_pa", "big")])
ports, channels = st.sampled_from(["transfer", "trade", "07-tendermint-0"]), st.builds("channel-{}".format, clients)
KEYS_V2 = (paths.commitment, paths.receipt, paths.acknowledgement, paths.async_packet)
KEYS_V1 = (v1.commitment, v1.acknowledgement, v1.receipt)


@given(one=st.tuples(clients, sequences), two=st.tuples(clients, sequences))
def test_two_packets_of_v2_share_no_key(one: tuple[str, int], two: tuple[str, int]) -> None:
    made = [(kind.__name__, *place) for kind in KEYS_V2 for place in {one, two}]
    keys = {kind(*place) for kind in KEYS_V2 for place in {one, two}}
    assert len(keys) == len(made)


@given(client_id=clients, sequence=sequences, port=ports, channel=channels, number=sequences)
def test_v1_and_v2_share_no_key(client_id: str, sequence: int, port: str, channel: str, number: int) -> None:
    mine = {kind(client_id, sequence) for kind in KEYS_V2}
    mine |= {paths.next_sequence_send(client_id), paths.counterparty(client_id), paths.config(client_id)}
    theirs = {kind(port, channel, number) for kind in KEYS_V1}
    theirs |= {v1.channel(port, channel), v1.next_sequence_send(port, channel), v1.client_state(client_id)}
    theirs |= {v1.client_creator(client_id), v1.client_connections(client_id), v1.NEXT_CLIENT_SEQUENCE}
    assert not mine & theirs
    assert not any(key.startswith((b"clients/", b"nextSequenceSend/ports/")) for key in mine - registered(client_id))


def registered(client_id: str) -> set[bytes]:
    return {paths.counterparty(client_id), paths.config(client_id)}
