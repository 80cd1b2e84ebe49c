"""Queries of ibc.core.*.v1 and the events of packets, as relayers read them."""

from __future__ import annotations

from typing import Any as Whatever

import pytest

from cosmos_wire.errors import ChainError, InvalidRequest, NotFound
from cosmos_wire.protos import (
    Any,
    Message,
    channel,
    channel_query,
    channel_tx,
    client_query,
    client_tx,
    connection_query,
    connection_tx,
    pagination,
)
from ibc_core import errors
from ibc_core.packet import ack_commitment, commitment
from tests.ibc.harness import HOUR_NS, ORDERED, RELAYER, UNORDERED, Coordinator, Path
from tests.ibc.mock_app import MockApp

CLIENT, CONNECTION, CHANNEL = (f"/ibc.core.{name}.v1.Query/" for name in ("client", "connection", "channel"))
ACK = b'{"result":"AQ=="}'


def opened(ordering: int = UNORDERED) -> Path:
    return Coordinator("mga-1", "mgb-1", apps={"mock": MockApp}).mock_path(ordering)


def where(path: Path) -> dict[str, Whatever]:
    return {"port_id": "mock", "channel_id": path.a.channel_id}


def test_client_queries() -> None:
    path = opened()
    chain = path.a.chain
    state = chain.query(CLIENT + "ClientState", client_query.QueryClientStateRequest(client_id="00-mock-0"))
    assert state.client_state.value == b"mgb-1"
    assert (state.proof_height.revision_number, state.proof_height.revision_height) == (1, chain.height)
    path.a.create_client()
    states = chain.query(CLIENT + "ClientStates", client_query.QueryClientStatesRequest())
    assert [item.client_id for item in states.client_states] == ["00-mock-0", "00-mock-1"]
    heights = chain.query(
        CLIENT + "ConsensusStateHeights", client_query.QueryConsensusStateHeightsRequest(client_id="00-mock-0")
    ).consensus_state_heights
    all_states = chain.query(
        CLIENT + "ConsensusStates", client_query.QueryConsensusStatesRequest(client_id="00-mock-0")
    ).consensus_states
    assert [item.height for item in all_states] == list(heights)
    assert len(heights) == 3
    latest = client_query.QueryConsensusStateRequest(client_id="00-mock-0", latest_height=True)
    newest = max(heights, key=lambda height: height.revision_height)
    assert chain.query(CLIENT + "ConsensusState", latest).consensus_state == Any(
        type_url="/bsmg.mock.Header", value=str(newest.revision_height).encode()
    )
    status = client_query.QueryClientStatusRequest(client_id="00-mock-0")
    assert chain.query(CLIENT + "ClientStatus", status).status == "Active"
    chain.light_client.expired = True
    assert chain.query(CLIENT + "ClientStatus", status).status == "Expired"
    for client_id, word in (
        ("00-mock-9", "Unknown"),
        ("06-solomachine-0", "Unauthorized"),
        ("nonesuch", "Unauthorized"),
    ):
        status = client_query.QueryClientStatusRequest(client_id=client_id)
        assert chain.query(CLIENT + "ClientStatus", status).status == word
    assert chain.query(CLIENT + "ClientParams", client_query.QueryClientParamsRequest()).params.allowed_clients == ["*"]
    creator = client_query.QueryClientCreatorRequest(client_id="00-mock-0")
    assert chain.query(CLIENT + "ClientCreator", creator).creator == RELAYER


def test_verify_membership() -> None:
    path = opened()
    height = path.a.update()
    key = b"connections/connection-0"
    request = client_query.QueryVerifyMembershipRequest(
        client_id="00-mock-0", proof=b"good", proof_height=height, value=path.b.chain.ibc.data[key]
    )
    request.merkle_path.key_path.extend([b"ibc", key])
    assert path.a.chain.query(CLIENT + "VerifyMembership", request).success
    request.value = b"other"
    assert not path.a.chain.query(CLIENT + "VerifyMembership", request).success
    del request.merkle_path.key_path[:]
    with pytest.raises(InvalidRequest):
        path.a.chain.query(CLIENT + "VerifyMembership", request)


def test_connection_queries() -> None:
    path = opened()
    chain = path.a.chain
    one = chain.query(CONNECTION + "Connection", connection_query.QueryConnectionRequest(connection_id="connection-0"))
    assert one.connection.counterparty.connection_id == "connection-0"
    several = chain.query(CONNECTION + "Connections", connection_query.QueryConnectionsRequest())
    assert [item.id for item in several.connections] == ["connection-0"]
    assert several.height.revision_height == chain.height
    of_client = connection_query.QueryClientConnectionsRequest(client_id="00-mock-0")
    assert chain.query(CONNECTION + "ClientConnections", of_client).connection_paths == ["connection-0"]
    below = connection_query.QueryConnectionClientStateRequest(connection_id="connection-0")
    found = chain.query(CONNECTION + "ConnectionClientState", below).identified_client_state
    assert found.client_id == "00-mock-0"
    consensus = connection_query.QueryConnectionConsensusStateRequest(
        connection_id="connection-0", revision_number=1, revision_height=1
    )
    assert chain.query(CONNECTION + "ConnectionConsensusState", consensus).client_id == "00-mock-0"
    params = chain.query(CONNECTION + "ConnectionParams", connection_query.QueryConnectionParamsRequest()).params
    assert params.max_expected_time_per_block == 30_000_000_000


def test_channel_queries() -> None:
    path = opened()
    path.a.chan_init()
    path.a.channel_id = "channel-0"
    chain = path.a.chain
    one = chain.query(CHANNEL + "Channel", channel_query.QueryChannelRequest(**where(path)))
    assert one.channel.state == channel.STATE_OPEN
    for method, request in (
        ("Channels", channel_query.QueryChannelsRequest()),
        ("ConnectionChannels", channel_query.QueryConnectionChannelsRequest(connection="connection-0")),
    ):
        found = chain.query(CHANNEL + method, request)
        assert [(item.port_id, item.channel_id) for item in found.channels] == [
            ("mock", "channel-0"),
            ("mock", "channel-1"),
        ]
        assert found.height.revision_height == chain.height
    none = channel_query.QueryConnectionChannelsRequest(connection="connection-7")
    assert list(chain.query(CHANNEL + "ConnectionChannels", none).channels) == []
    state = chain.query(CHANNEL + "ChannelClientState", channel_query.QueryChannelClientStateRequest(**where(path)))
    assert state.identified_client_state.client_id == "00-mock-0"
    consensus = channel_query.QueryChannelConsensusStateRequest(revision_number=1, revision_height=1, **where(path))
    assert chain.query(CHANNEL + "ChannelConsensusState", consensus).client_id == "00-mock-0"


@pytest.mark.parametrize("ordering", [UNORDERED, ORDERED])
def test_packet_queries(ordering: int) -> None:
    path = opened(ordering)
    a, b, at = path.a.chain, path.b.chain, where(path)
    packets = [path.a.send() for _ in range(12)]
    path.relay(packets[0])
    path.b.receive(packets[1])
    sent = a.query(CHANNEL + "PacketCommitments", channel_query.QueryPacketCommitmentsRequest(**at))
    assert sorted(item.sequence for item in sent.commitments) == list(range(2, 13))
    assert {item.data for item in sent.commitments} == {commitment(packet) for packet in packets[1:]}
    assert (sent.pagination.total, sent.height.revision_height) == (11, a.height)
    page = channel_query.QueryPacketCommitmentsRequest(pagination=pagination.PageRequest(limit=2), **at)
    assert len(a.query(CHANNEL + "PacketCommitments", page).commitments) == 2
    one = channel_query.QueryPacketCommitmentRequest(sequence=2, **at)
    assert a.query(CHANNEL + "PacketCommitment", one).commitment == commitment(packets[1])
    asked = channel_query.QueryUnreceivedPacketsRequest(packet_commitment_sequences=range(1, 13), **at)
    unreceived = b.query(CHANNEL + "UnreceivedPackets", asked)
    assert (list(unreceived.sequences), unreceived.height.revision_height) == (list(range(3, 13)), b.height)
    receipt = channel_query.QueryPacketReceiptRequest(sequence=2, **at)
    assert b.query(CHANNEL + "PacketReceipt", receipt).received == (ordering == UNORDERED)
    acks = b.query(CHANNEL + "PacketAcknowledgements", channel_query.QueryPacketAcknowledgementsRequest(**at))
    assert [(item.sequence, item.data) for item in acks.acknowledgements] == [
        (1, ack_commitment(ACK)),
        (2, ack_commitment(ACK)),
    ]
    some = channel_query.QueryPacketAcknowledgementsRequest(packet_commitment_sequences=[2, 5], **at)
    found = b.query(CHANNEL + "PacketAcknowledgements", some)
    assert ([item.sequence for item in found.acknowledgements], found.height.revision_height) == ([2], b.height)
    ack = channel_query.QueryPacketAcknowledgementRequest(sequence=2, **at)
    assert b.query(CHANNEL + "PacketAcknowledgement", ack).acknowledgement == ack_commitment(ACK)
    pending = channel_query.QueryUnreceivedAcksRequest(packet_ack_sequences=[1, 2], **at)
    assert list(a.query(CHANNEL + "UnreceivedAcks", pending).sequences) == [2]
    following = channel_query.QueryNextSequenceSendRequest(**at)
    assert a.query(CHANNEL + "NextSequenceSend", following).next_sequence_send == 13
    receive = channel_query.QueryNextSequenceReceiveRequest(**at)
    assert b.query(CHANNEL + "NextSequenceReceive", receive).next_sequence_receive == (3 if ordering == ORDERED else 1)


ABSENT: dict[str, Whatever] = {"port_id": "mock", "channel_id": "channel-9"}
HERE: dict[str, Whatever] = {"port_id": "mock", "channel_id": "channel-0"}


@pytest.mark.parametrize(
    ("method", "request_message", "error"),
    [
        (CLIENT + "ClientState", client_query.QueryClientStateRequest(client_id="00-mock-9"), NotFound),
        (CLIENT + "ClientState", client_query.QueryClientStateRequest(client_id="x"), errors.InvalidIdentifier),
        (CLIENT + "ClientCreator", client_query.QueryClientCreatorRequest(client_id="00-mock-9"), NotFound),
        (
            CLIENT + "ConsensusState",
            client_query.QueryConsensusStateRequest(client_id="00-mock-0", revision_height=999),
            NotFound,
        ),
        (CLIENT + "ConsensusState", client_query.QueryConsensusStateRequest(client_id="00-mock-0"), InvalidRequest),
        (
            CLIENT + "ConsensusState",
            client_query.QueryConsensusStateRequest(client_id="00-mock-9", latest_height=True),
            NotFound,
        ),
        (CLIENT + "UpgradedClientState", client_query.QueryUpgradedClientStateRequest(), NotFound),
        (CLIENT + "UpgradedConsensusState", client_query.QueryUpgradedConsensusStateRequest(), NotFound),
        (
            CONNECTION + "Connection",
            connection_query.QueryConnectionRequest(connection_id="connection-9"),
            NotFound,
        ),
        (CONNECTION + "Connection", connection_query.QueryConnectionRequest(), errors.InvalidIdentifier),
        (
            CONNECTION + "ClientConnections",
            connection_query.QueryClientConnectionsRequest(client_id="00-mock-9"),
            NotFound,
        ),
        (CHANNEL + "Channel", channel_query.QueryChannelRequest(**ABSENT), NotFound),
        (CHANNEL + "Channel", channel_query.QueryChannelRequest(), errors.InvalidIdentifier),
        (CHANNEL + "ChannelClientState", channel_query.QueryChannelClientStateRequest(**ABSENT), NotFound),
        (CHANNEL + "PacketCommitments", channel_query.QueryPacketCommitmentsRequest(**ABSENT), NotFound),
        (CHANNEL + "PacketCommitment", channel_query.QueryPacketCommitmentRequest(sequence=9, **HERE), NotFound),
        (CHANNEL + "PacketCommitment", channel_query.QueryPacketCommitmentRequest(**HERE), InvalidRequest),
        (
            CHANNEL + "PacketAcknowledgement",
            channel_query.QueryPacketAcknowledgementRequest(sequence=9, **HERE),
            NotFound,
        ),
        (CHANNEL + "UnreceivedPackets", channel_query.QueryUnreceivedPacketsRequest(**ABSENT), NotFound),
        (
            CHANNEL + "UnreceivedPackets",
            channel_query.QueryUnreceivedPacketsRequest(packet_commitment_sequences=[0], **HERE),
            InvalidRequest,
        ),
        (
            CHANNEL + "UnreceivedAcks",
            channel_query.QueryUnreceivedAcksRequest(packet_ack_sequences=range(1, 100_002), **HERE),
            InvalidRequest,
        ),
    ],
)
def test_queries_that_find_nothing(method: str, request_message: Message, error: type[ChainError]) -> None:
    with pytest.raises(error):
        opened().a.chain.query(method, request_message)


def test_every_query_and_message_of_the_services_has_a_route() -> None:
    core = opened().a.chain.core
    for module in (client_query, connection_query, channel_query):
        service = module.DESCRIPTOR.services_by_name["Query"]
        missing = [m.name for m in service.methods if f"/{service.full_name}/{m.name}" not in core.queries()]
        assert missing == []
    for tx in (client_tx, connection_tx, channel_tx):
        service = tx.DESCRIPTOR.services_by_name["Msg"]
        assert [m.name for m in service.methods if f"/{m.input_type.full_name}" not in core.messages()] == []


# events of packets

COMMON = ["packet_timeout_height", "packet_timeout_timestamp", "packet_sequence", "packet_src_port",
          "packet_src_channel", "packet_dst_port", "packet_dst_channel"]  # fmt: skip
TAIL = ["packet_channel_ordering", "packet_connection", "connection_id"]


def test_events_of_a_packet() -> None:
    path = opened()
    a, b = path.a.chain, path.b.chain
    packet = path.a.send(b"\x00data")
    sent = a.attributes("send_packet")[0]
    assert list(sent) == ["packet_data_hex", *COMMON, *TAIL]
    assert (sent["packet_data_hex"], sent["packet_timeout_height"]) == ("0064617461", "0-0")
    assert sent["packet_channel_ordering"] == "ORDER_UNORDERED"
    ack = path.b.receive(packet)
    assert list(b.attributes("recv_packet")[0]) == ["packet_data_hex", *COMMON, *TAIL]
    written = b.attributes("write_acknowledgement")[0]
    assert list(written) == ["packet_data_hex", *COMMON, "packet_ack_hex", *TAIL]
    assert bytes.fromhex(written["packet_ack_hex"]) == ack
    path.a.acknowledge(packet, ack)
    assert list(a.attributes("acknowledge_packet")[0]) == [*COMMON, *TAIL]
    assert a.attributes("message") == [{"module": "ibc_channel"}]
    late = path.a.send()
    path.a.chain.net.pass_time(2 * HOUR_NS)
    path.a.timeout(late)
    assert list(a.attributes("timeout_packet")[0]) == [*COMMON, "connection_id", "packet_channel_ordering"]
