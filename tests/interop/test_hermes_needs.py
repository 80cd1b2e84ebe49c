"""What Hermes asks of a chain, in the bytes that it sends: its own field order, encoded by hand, against two whole
applications in this process. docs/interop.md has the list and says which test covers which line.

Hermes takes 25 minutes to build; what was seen with the program itself is in docs/interop.md.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any as Whatever

import grpc
import pytest
import pytest_asyncio

from cosmos_wire import secp256k1
from cosmos_wire.protos import abci, auth, auth_query, channel, connection, ics23, staking_query, tx_service
from ibc_core import paths
from microgrid.query.grpc_edge import GrpcEdge
from tests.app import pair
from tests.app.chain import ALICE, BOB, DENOM, Key
from tests.app.pair import SECOND_NS, AppChain
from tests.ibc.harness import Coordinator, Path, packet_of
from tests.ics23.cases import Case, check

HEIGHT_KEY = "x-cosmos-block-height"
TRANSFER = "transfer"
SEQUENCES = "sequences"


# --- protobuf by hand ------------------------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: int | str | bytes) -> bytes:
    """prost leaves out zero numbers and empty texts; an empty message that is there has its tag."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    if isinstance(value, str):
        value = value.encode()
        if not value:
            return b""
    return varint(number << 3 | 2) + varint(len(value)) + value


def packed(number: int, values: list[int]) -> bytes:
    return field(number, b"".join(varint(value) for value in values))


def any_of(url: str, value: bytes) -> bytes:
    return field(1, url) + field(2, value)


def coin(denom: str, amount: int) -> bytes:
    return field(1, denom) + field(2, str(amount))


# --- the chains ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class World:
    """A channel that carried three packets: one is acknowledged, one received, one only sent."""

    net: Coordinator
    path: Path
    packets: tuple[Whatever, ...]

    @property
    def a(self) -> AppChain:
        assert isinstance(self.path.a.chain, AppChain)
        return self.path.a.chain

    @property
    def b(self) -> AppChain:
        assert isinstance(self.path.b.chain, AppChain)
        return self.path.b.chain


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    net = pair.pair(tmp_path_factory.mktemp("hermes"))
    path = net.path()
    made = World(net, path, ())
    packets = []
    for amount in (5, 6, 7):
        made.a.send(transfer_of(made, amount))
        packets.append(packet_of(made.a.attributes("send_packet")[0]))
    ack = path.b.receive(packets[0])
    path.a.acknowledge(packets[0], ack)
    path.b.receive(packets[1])
    made.a.block()
    made.b.block()
    yield World(net, path, tuple(packets))
    pair.close(net)


def transfer_of(world: World, amount: int, key: Key = ALICE, timeout_s: int = 3600) -> Whatever:
    from cosmos_wire.protos import transfer_tx

    message = transfer_tx.MsgTransfer(
        source_port=TRANSFER,
        source_channel=world.path.a.channel_id,
        sender=key.text,
        receiver=BOB.text,
        timeout_timestamp=world.net.time_ns + timeout_s * SECOND_NS,
    )
    message.token.denom, message.token.amount = DENOM, str(amount)
    return message


def query(chain: AppChain, key: str | bytes, height: int = 0, *, prove: bool = True) -> abci.ResponseQuery:
    """`abci_query` as Hermes sends it: path without a slash in front, the key's ASCII as data."""
    data = key.encode() if isinstance(key, str) else key
    return chain.server._abci.answer(abci.RequestQuery(path="store/ibc/key", data=data, height=height, prove=prove))


# --- 1. the store ----------------------------------------------------------------------------------------------------


def stored_keys(world: World) -> dict[str, str]:
    """Every key that Hermes asks for, by what it is."""
    end, channel_id = world.path.a, world.path.a.channel_id
    place = f"ports/{TRANSFER}/channels/{channel_id}"
    latest = end.chain.core.clients.route(end.chain.view(), end.client_id).latest_height(
        end.chain.view(), end.client_id
    )
    return {
        "client": f"clients/{end.client_id}/clientState",
        "consensus": f"clients/{end.client_id}/consensusStates/{latest.revision}-{latest.height}",
        "connection": f"connections/{end.connection_id}",
        "channel": f"channelEnds/{place}",
        "commitment": f"commitments/{place}/{SEQUENCES}/3",
        "next receive": f"nextSequenceRecv/{place}",
    }


def absent_keys(world: World) -> dict[str, str]:
    place = f"ports/{TRANSFER}/channels/{world.path.a.channel_id}"
    return {
        "upgrade": f"channelUpgrades/upgrades/{place}",
        "upgrade error": f"channelUpgrades/upgradeError/{place}",
        "client": "clients/07-tendermint-9/clientState",
        "receipt": f"receipts/{place}/{SEQUENCES}/9",
        "acknowledgement": f"acks/{place}/{SEQUENCES}/9",
        "commitment done": f"commitments/{place}/{SEQUENCES}/1",
    }


def proven(chain: AppChain, key: str, height: int) -> tuple[abci.ResponseQuery, Case]:
    """The answer, and its proof as the case that a light client would check against header height + 1."""
    found = query(chain, key, height)
    assert (found.code, found.height, found.key) == (0, height, key.encode())
    assert [op.type for op in found.proof_ops.ops] == ["ics23:iavl", "ics23:simple"]
    assert [op.key for op in found.proof_ops.ops] == [key.encode(), b"ibc"]
    root = chain._light().at(height + 1).header.app_hash
    proofs = tuple(ics23.CommitmentProof.FromString(op.data) for op in found.proof_ops.ops)
    return found, Case(
        root=root, path=(b"ibc", key.encode()), value=found.value or None, proofs=proofs, label=f"{key} at {height}"
    )


def test_store_keys_with_proofs(world: World) -> None:
    """Values, proof operations and their order; the root is in the next header; Go's verifier agrees."""
    cases, height = [], world.a.height - 1
    for name, key in stored_keys(world).items():
        found, case = proven(world.a, key, height)
        assert found.value, name
        cases.append(case)
    for name, key in absent_keys(world).items():
        found, case = proven(world.a, key, height)
        assert found.value == b"", name
        cases.append(case)
    check(cases, accepted=True)


def test_values_of_the_store(world: World) -> None:
    keys = stored_keys(world)
    client = query(world.a, keys["client"]).value
    assert client.startswith(field(1, "/ibc.lightclients.tendermint.v1.ClientState"))
    assert field(6, b"") in client  # frozen_height, which gogoproto holds by value: there, and empty
    assert query(world.a, keys["consensus"]).value.startswith(
        field(1, "/ibc.lightclients.tendermint.v1.ConsensusState")
    )
    end = connection.ConnectionEnd.FromString(query(world.a, keys["connection"]).value)
    assert end.state == connection.STATE_OPEN
    assert end.counterparty.prefix.key_prefix == b"ibc"
    found = channel.Channel.FromString(query(world.a, keys["channel"]).value)
    assert (found.state, list(found.connection_hops)) == (channel.STATE_OPEN, [world.path.a.connection_id])
    assert len(query(world.a, keys["commitment"]).value) == 32
    assert query(world.a, keys["next receive"]).value == (1).to_bytes(8, "big")


def test_receipts_and_acknowledgements_at_the_other_end(world: World) -> None:
    place = f"ports/{TRANSFER}/channels/{world.path.b.channel_id}"
    assert query(world.b, f"receipts/{place}/{SEQUENCES}/2").value == b"\x01"
    assert len(query(world.b, f"acks/{place}/{SEQUENCES}/2").value) == 32


def test_a_query_without_proof_and_of_the_past(world: World) -> None:
    key = stored_keys(world)["commitment"]
    assert not query(world.a, key, prove=False).HasField("proof_ops")
    assert query(world.a, key, height=2).value == b""
    future = query(world.a, key, height=world.a.height + 5)
    assert (future.code, future.codespace) == (26, "sdk")


def test_nothing_to_upgrade(world: World) -> None:
    """`store/upgrade/key`: there is no such store, and the answer says so."""
    found = world.a.server._abci.answer(abci.RequestQuery(path="store/upgrade/key", data=b"upgradedIBCState/9/x"))
    assert (found.code, found.codespace) == (6, "sdk")


# --- 2. gRPC ---------------------------------------------------------------------------------------------------------


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest_asyncio.fixture
async def wire(world: World) -> AsyncIterator[grpc.aio.Channel]:
    address = f"127.0.0.1:{_free_port()}"
    edge = GrpcEdge(address, world.a.server.ask, world.a.server.services)
    await edge.start()
    async with grpc.aio.insecure_channel(address) as opened:
        yield opened
    await edge.stop()


async def ask(wire: grpc.aio.Channel, path: str, request: bytes = b"", height: str = "") -> bytes:
    metadata = ((HEIGHT_KEY, height),) if height else ()
    answer: bytes = await wire.unary_unary(path)(request, metadata=metadata)
    return answer


async def refused(wire: grpc.aio.Channel, path: str, request: bytes = b"", height: str = "") -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(wire, path, request, height)
    return caught.value.code().name, caught.value.details() or ""


async def test_account(wire: grpc.aio.Channel, world: World) -> None:
    data = await ask(wire, "/cosmos.auth.v1beta1.Query/Account", field(1, ALICE.text))
    found = auth_query.QueryAccountResponse.FromString(data).account
    assert found.type_url == "/cosmos.auth.v1beta1.BaseAccount"
    account = auth.BaseAccount.FromString(found.value)
    assert (account.account_number, account.sequence) == (ALICE.number, world.a.sequences[ALICE.raw])


async def test_connection_honours_the_height(wire: grpc.aio.Channel, world: World) -> None:
    path, request = "/ibc.core.connection.v1.Query/Connection", field(1, world.path.a.connection_id)
    assert await ask(wire, path, request, "0")
    assert await ask(wire, path, request, str(world.a.height))
    assert (await refused(wire, path, request, "1"))[0] == "NOT_FOUND"
    assert (await refused(wire, path, field(1, "connection-77")))[0] == "NOT_FOUND"


def channel_request(world: World, *more: bytes) -> bytes:
    return field(1, TRANSFER) + field(2, world.path.a.channel_id) + b"".join(more)


CHANNEL = "/ibc.core.channel.v1.Query/"


async def test_packets_to_clear(wire: grpc.aio.Channel, world: World) -> None:
    """The three that Hermes can't do without, and the acknowledgements; each carries a height."""
    height = field(1, 1) + field(2, world.a.height)
    found = await ask(wire, CHANNEL + "PacketCommitments", channel_request(world, field(3, field(3, 1000))))
    assert found.count(b"\x18") >= 1
    assert found.endswith(field(3, height))
    unreceived = await ask(wire, CHANNEL + "UnreceivedPackets", channel_request(world, packed(3, [1, 2])))
    assert unreceived == packed(1, [1, 2]) + field(2, height)  # none came from there
    acks = await ask(wire, CHANNEL + "UnreceivedAcks", channel_request(world, packed(3, [1, 2, 3])))
    assert acks == packed(1, [2, 3]) + field(2, height)
    written = await ask(wire, CHANNEL + "PacketAcknowledgements", channel_request(world, packed(4, [1, 2])))
    assert written == field(3, height)  # this end has written none


@pytest.mark.parametrize(
    ("path", "request_bytes"),
    [
        ("/ibc.core.client.v1.Query/ClientStates", field(1, field(3, 1000))),
        ("/ibc.core.client.v1.Query/ConsensusStateHeights", field(1, "07-tendermint-0") + field(2, field(3, 1000))),
        ("/ibc.core.client.v1.Query/ConsensusStates", field(1, "07-tendermint-0")),
        ("/ibc.core.connection.v1.Query/Connections", b""),
        ("/ibc.core.connection.v1.Query/ClientConnections", field(1, "07-tendermint-0")),
        ("/ibc.core.connection.v1.Query/ConnectionParams", b""),
        (CHANNEL + "Channels", b""),
        (CHANNEL + "ConnectionChannels", field(1, "connection-0")),
        (CHANNEL + "ChannelClientState", field(1, TRANSFER) + field(2, "channel-0")),
        ("/cosmos.bank.v1beta1.Query/Balance", field(1, ALICE.text) + field(2, DENOM)),
        ("/cosmos.bank.v1beta1.Query/AllBalances", field(1, ALICE.text)),
        ("/cosmos.bank.v1beta1.Query/DenomMetadata", field(1, DENOM)),
        ("/ibc.applications.transfer.v1.Query/Params", b""),
        ("/cosmos.staking.v1beta1.Query/Params", b""),
        ("/cosmos.params.v1beta1.Query/Params", field(1, "staking") + field(2, "UnbondingTime")),
        ("/cosmos.consensus.v1.Query/Params", b""),
    ],
)
async def test_scans_and_parameters(wire: grpc.aio.Channel, world: World, path: str, request_bytes: bytes) -> None:
    """The same bytes by gRPC and by ABCI path, the same answer."""
    found = world.a.server._abci.answer(abci.RequestQuery(path=path, data=request_bytes))
    assert (found.code, found.height) == (0, world.a.height)
    assert await ask(wire, path, request_bytes, "0") == found.value != b""


async def test_gaps_are_not_found(wire: grpc.aio.Channel, world: World) -> None:
    nobody = field(1, "07-tendermint-7")
    assert (await refused(wire, "/ibc.core.connection.v1.Query/ClientConnections", nobody))[0] == "NOT_FOUND"
    code, said = await refused(wire, CHANNEL + "Upgrade", channel_request(world))
    assert (code, "upgrade not found" in said) == ("NOT_FOUND", True)
    assert (await refused(wire, CHANNEL + "UpgradeError", channel_request(world)))[0] == "NOT_FOUND"
    absent = field(1, TRANSFER) + field(2, "channel-9")
    assert (await refused(wire, CHANNEL + "Channel", absent))[0] == "NOT_FOUND"


def test_what_a_client_is_made_of(world: World) -> None:
    """`unbonding_time` and `historical_entries` by ABCI path: without them no client is created."""
    for path in ("/cosmos.staking.v1beta1.Query/Params", "/ibc.core.connection.v1.Query/ConnectionParams"):
        assert world.a.server._abci.answer(abci.RequestQuery(path=path)).code == 0
    found = world.a.server._abci.answer(abci.RequestQuery(path="/cosmos.staking.v1beta1.Query/Params"))
    params = staking_query.QueryParamsResponse.FromString(found.value).params
    assert params.unbonding_time.seconds > 0
    assert params.historical_entries > 0


# --- 3. events -------------------------------------------------------------------------------------------------------

PACKET = {
    *("packet_timeout_height", "packet_timeout_timestamp", "packet_sequence", "packet_src_port", "packet_src_channel"),
    *("packet_dst_port", "packet_dst_channel", "packet_channel_ordering", "connection_id", "msg_index"),
}
CLIENT = {"client_id", "client_type", "consensus_height", "msg_index"}
CONNECTION = {"connection_id", "client_id", "counterparty_client_id", "counterparty_connection_id", "msg_index"}
END = {
    *("port_id", "channel_id", "counterparty_port_id", "counterparty_channel_id", "connection_id", "msg_index"),
}
NEEDED = {
    "create_client": ("ibc_client", CLIENT),
    "update_client": ("ibc_client", CLIENT | {"consensus_heights", "header"}),
    "connection_open_init": ("ibc_connection", CONNECTION),
    "connection_open_try": ("ibc_connection", CONNECTION),
    "connection_open_ack": ("ibc_connection", CONNECTION),
    "connection_open_confirm": ("ibc_connection", CONNECTION),
    "channel_open_init": ("ibc_channel", END | {"version"}),
    "channel_open_try": ("ibc_channel", END | {"version"}),
    "channel_open_ack": ("ibc_channel", END),
    "channel_open_confirm": ("ibc_channel", END),
    "send_packet": ("ibc_channel", PACKET | {"packet_data_hex", "packet_connection"}),
    "recv_packet": ("ibc_channel", PACKET | {"packet_data_hex", "packet_connection"}),
    "write_acknowledgement": ("ibc_channel", PACKET | {"packet_data_hex", "packet_ack_hex", "packet_connection"}),
    "acknowledge_packet": ("ibc_channel", PACKET | {"packet_connection"}),
    "timeout_packet": ("ibc_channel", PACKET),
}


def test_events(world: World) -> None:
    """Every event of the list was seen with exactly these attributes, indexed, and a `message` event beside it."""
    path, seen = world.path, {}
    late = transfer_of(world, 1, timeout_s=2)
    world.a.send(late)
    packet = packet_of(world.a.attributes("send_packet")[0])
    world.net.time_ns += 10 * SECOND_NS
    world.b.block()
    path.a.timeout(packet)
    for chain in (world.a, world.b):
        for result in chain.results:
            for n, item in enumerate(result.events):
                if item.type in NEEDED:
                    seen[item.type] = {part.key for part in item.attributes}
                    assert all(part.index for part in item.attributes)
                    assert item.attributes[-1].key == "msg_index"
                    beside = result.events[n + 1]
                    assert beside.type == "message"
                    assert beside.attributes[0].value == NEEDED[item.type][0]
    assert seen == {kind: keys for kind, (_, keys) in NEEDED.items()}


def test_forms_of_attributes(world: World) -> None:
    """Heights `R-H`, `0-0` for none, the client message as hex of its Any."""
    update = world.a.attributes("update_client") or _last(world.a, "update_client")
    assert update[0]["consensus_height"] == update[0]["consensus_heights"]
    revision, _, height = update[0]["consensus_height"].partition("-")
    assert (revision, height.isdecimal()) == ("1", True)
    header = bytes.fromhex(update[0]["header"])
    assert header.startswith(field(1, "/ibc.lightclients.tendermint.v1.Header"))
    sent = _last(world.a, "send_packet")[0]
    assert sent["packet_timeout_height"] == "0-0"
    assert bytes.fromhex(sent["packet_data_hex"]).startswith(b'{"amount":"1"')
    written = _last(world.b, "write_acknowledgement")[0]
    assert bytes.fromhex(written["packet_ack_hex"]) == b'{"result":"AQ=="}'


def _last(chain: AppChain, kind: str) -> list[dict[str, str]]:
    for result in reversed(chain.results):
        found = [{part.key: part.value for part in item.attributes} for item in result.events if item.type == kind]
        if found:
            return found
    raise AssertionError(f"no {kind} on {chain.chain_id}")


# --- 4. transactions -------------------------------------------------------------------------------------------------


def hermes_tx(chain: AppChain, messages: list[bytes], sequence: int, gas: int, *, simulated: bool = False) -> bytes:
    """Tx{body, auth_info, signatures} in prost's bytes: each message an Any, one signer, SIGN_MODE_DIRECT."""
    body = b"".join(field(1, message) for message in messages) + field(2, "relayed")
    key = any_of("/cosmos.crypto.secp256k1.PubKey", field(1, ALICE.public))
    signer = field(1, key) + field(2, field(1, field(1, 1))) + field(3, sequence)
    fee = field(1, coin(DENOM, gas)) + field(2, gas)
    info = field(1, signer) + field(2, fee)
    doc = field(1, body) + field(2, info) + field(3, chain.chain_id) + field(4, ALICE.number)
    signature = secp256k1.sign(ALICE.secret, doc)
    assert len(signature) == 64
    return field(1, body) + field(2, info) + field(3, b"" if simulated else signature)


def pay(amount: int = 1) -> bytes:
    value = field(1, ALICE.text) + field(2, BOB.text) + field(3, coin(DENOM, amount))
    return any_of("/cosmos.bank.v1beta1.MsgSend", value)


async def simulated(wire: grpc.aio.Channel, data: bytes) -> int:
    found = await ask(wire, "/cosmos.tx.v1beta1.Service/Simulate", field(2, data))
    return int(tx_service.SimulateResponse.FromString(found).gas_info.gas_used)


async def test_simulate_then_broadcast_with_that_gas(wire: grpc.aio.Channel, world: World) -> None:
    """Hermes signs its simulations and names the highest fee in them; gas = floor(used x 1.1)."""
    sequence = world.a.sequences[ALICE.raw]
    gas = await simulated(wire, hermes_tx(world.a, [pay(), pay(2)], sequence, 400_000)) * 11 // 10
    data = hermes_tx(world.a, [pay(), pay(2)], sequence, gas)
    checked = world.a.node.check_tx(abci.RequestCheckTx(tx=data))
    assert (checked.code, checked.gas_wanted) == (0, gas)
    (result,) = world.a.block(data)
    assert (result.code, result.gas_used <= gas) == (0, True)
    world.a.count(ALICE)


async def test_refusals_that_hermes_parses(wire: grpc.aio.Channel, world: World) -> None:
    code, said = await refused(wire, "/cosmos.tx.v1beta1.Service/Simulate")
    assert (code, said.startswith("invalid empty tx")) == ("INVALID_ARGUMENT", True)
    expected = world.a.sequences[ALICE.raw]
    for got in (expected + 3, expected - 1):
        found = world.a.node.check_tx(abci.RequestCheckTx(tx=hermes_tx(world.a, [pay()], got, 400_000)))
        assert (found.code, found.codespace) == (32, "sdk")
        assert f"account sequence mismatch, expected {expected}, got {got}" in found.log
    code, said = await refused(
        wire, "/cosmos.tx.v1beta1.Service/Simulate", field(2, hermes_tx(world.a, [pay()], expected - 1, 400_000))
    )
    assert f"account sequence mismatch, expected {expected}, got {expected - 1}" in said


def test_redundant_relay(world: World) -> None:
    """A packet that another relayer brought: CheckTx's log is what Hermes takes for done."""
    message = world.path.b.msg_receive(world.packets[1])
    message.signer = ALICE.text
    sequence = world.b.sequences[ALICE.raw]
    data = hermes_tx(
        world.b, [any_of("/ibc.core.channel.v1.MsgRecvPacket", message.SerializeToString())], sequence, 10**6
    )
    found = world.b.node.check_tx(abci.RequestCheckTx(tx=data))
    assert (found.code, found.codespace) == (22, "channel")
    assert "packet messages are redundant" in found.log


def test_a_proof_above_the_client(world: World) -> None:
    message = world.path.b.msg_receive(world.packets[2])
    message.signer = ALICE.text
    message.proof_height.revision_height += 1_000
    data = hermes_tx(
        world.b,
        [any_of("/ibc.core.channel.v1.MsgRecvPacket", message.SerializeToString())],
        world.b.sequences[ALICE.raw],
        10**6,
    )
    (result,) = world.b.block(data)
    world.b.count(ALICE)
    assert result.code != 0
    assert "client state height < proof height" in result.log


def test_create_client_as_hermes_does(world: World) -> None:
    """Its client state: trust 1/3, both proof specs, the upgrade path, a frozen height of zeros, the old flags set."""
    state, consensus = world.b.client_states()
    chosen = _hermes_client(world, state.value)
    url = "/ibc.core.client.v1.MsgCreateClient"
    value = (
        field(1, any_of("/ibc.lightclients.tendermint.v1.ClientState", chosen))
        + field(2, any_of(consensus.type_url, consensus.value))
        + field(3, ALICE.text)
    )
    (result,) = world.a.block(hermes_tx(world.a, [any_of(url, value)], world.a.sequences[ALICE.raw], 10**6))
    world.a.count(ALICE)
    assert result.code == 0, result.log
    made = next(item for item in result.events if item.type == "create_client")
    client_id = made.attributes[0].value
    held = query(world.a, f"clients/{client_id}/clientState").value
    assert held == any_of("/ibc.lightclients.tendermint.v1.ClientState", chosen)


def _hermes_client(world: World, ours: bytes) -> bytes:
    from cosmos_wire.protos import tendermint_client

    known = tendermint_client.ClientState.FromString(ours)
    duration = lambda seconds: field(1, seconds)  # noqa: E731  (three uses)
    latest = field(1, 1) + field(2, known.latest_height.revision_height)
    specs = b"".join(field(8, spec.SerializeToString()) for spec in known.proof_specs)
    return (
        field(1, world.b.chain_id)
        + field(2, field(1, 1) + field(2, 3))
        + field(3, duration(40))
        + field(4, duration(60))
        + field(5, duration(33))
        + field(6, b"")
        + field(7, latest)
        + specs
        + field(9, "upgrade")
        + field(9, "upgradedIBCState")
        + field(10, 1)
        + field(11, 1)
    )


def test_keys_are_those_of_ics24() -> None:
    assert paths.commitment(TRANSFER, "channel-0", 3) == b"commitments/ports/transfer/channels/channel-0/sequences/3"
