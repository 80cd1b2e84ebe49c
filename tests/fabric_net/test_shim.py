"""The chaincode server, asked by a peer of our own over a real connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import grpc
import pytest

from cosmos_wire.errors import ToolError
from fabric_adapter.chaincodes import load
from fabric_adapter.identity import MESSAGE_BYTES_MAX, Tls, open_channel
from fabric_adapter.network import crypto
from fabric_adapter.network.crypto import Subject
from fabric_adapter.shim.keyvalue import KeyValue
from fabric_adapter.shim.server import ServerTls, Service, serve
from fabric_adapter.shim.session import Message
from fabric_adapter.stub import Response, Stub
from fabric_wire.protos import Timestamp, chaincode, chaincode_shim, common, proposal, proposal_response, queryresult
from fabric_wire.services import chaincode_services

PACKAGE_ID = "microgrid:abc"
PAGE = 3
PATIENCE_S = 120  # a guard against standing still, not a measurement
NOW_NS = 1_700_000_000_123_456_789


@asynccontextmanager
async def serving(program: object = None, tls: ServerTls | None = None) -> AsyncIterator[str]:
    """Address of a chaincode server."""
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    service = Service(address="127.0.0.1:0", package_id=PACKAGE_ID, program=program or KeyValue(), tls=tls)
    task = asyncio.create_task(serve(service, address.set_result))
    done, _ = await asyncio.wait({task, address}, return_when=asyncio.FIRST_COMPLETED)
    if task in done:
        await task
    try:
        yield await address
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@dataclass
class FakePeer:
    """A peer with a table of keys; answers go out when `answer` says so, at once if it doesn't."""

    stream: grpc.aio.StreamStreamCall[Message, Message]
    state: dict[str, bytes] = field(default_factory=dict)
    asked: list[Message] = field(default_factory=list)
    ranges: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    results: dict[str, asyncio.Future[Message]] = field(default_factory=dict)
    refuse: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def write(self, message: Message) -> None:
        """One at a time: a stream takes no two writes at once."""
        async with self.lock:
            await self.stream.write(message)

    async def greet(self) -> str:
        """Wait for REGISTER; returns the package id."""
        hello = await self.stream.read()
        assert hello.type == Message.REGISTER
        await self.write(Message(type=Message.REGISTERED))
        await self.write(Message(type=Message.READY))
        return chaincode.ChaincodeID.FromString(hello.payload).name

    async def pump(self) -> None:
        """Answer questions and keep results, until the stream ends."""
        while (message := await self.stream.read()) is not grpc.aio.EOF:
            if message.type in {Message.COMPLETED, Message.ERROR}:
                self.results[message.txid].set_result(message)
            else:
                self.asked.append(message)
                await self.write(self.answer(message))

    def answer(self, asked: Message) -> Message:
        kind, payload = Message.RESPONSE, b""
        if self.refuse:
            kind, payload = Message.ERROR, self.refuse.encode()
        elif asked.type == Message.GET_STATE:
            payload = self.state.get(chaincode_shim.GetState.FromString(asked.payload).key, b"")
        elif asked.type == Message.PUT_STATE:
            put = chaincode_shim.PutState.FromString(asked.payload)
            self.state[put.key] = put.value
        elif asked.type == Message.DEL_STATE:
            self.state.pop(chaincode_shim.DelState.FromString(asked.payload).key, None)
        elif asked.type == Message.GET_STATE_BY_RANGE:
            request = chaincode_shim.GetStateByRange.FromString(asked.payload)
            end = request.endKey or "\U0010ffff"
            found = [(key, value) for key, value in sorted(self.state.items()) if request.startKey <= key < end]
            self.ranges[asked.txid] = found
            payload = self.page(asked.txid)
        elif asked.type == Message.QUERY_STATE_NEXT:
            payload = self.page(asked.txid)
        return Message(type=kind, payload=payload, txid=asked.txid, channel_id=asked.channel_id)

    def page(self, tx_id: str) -> bytes:
        rows, self.ranges[tx_id] = self.ranges[tx_id][:PAGE], self.ranges[tx_id][PAGE:]
        results = [
            chaincode_shim.QueryResultBytes(resultBytes=queryresult.KV(key=key, value=value).SerializeToString())
            for key, value in rows
        ]
        has_more = bool(self.ranges[tx_id])
        return chaincode_shim.QueryResponse(results=results, has_more=has_more, id="q").SerializeToString()

    async def send(self, tx_id: str, *args: bytes | str) -> asyncio.Future[Message]:
        self.results[tx_id] = asyncio.get_running_loop().create_future()
        await self.write(transaction(tx_id, *args))
        return self.results[tx_id]

    async def run(self, tx_id: str, *args: bytes | str) -> Message:
        async with asyncio.timeout(PATIENCE_S):
            return await (await self.send(tx_id, *args))

    async def respond(self, tx_id: str, *args: bytes | str) -> proposal_response.Response:
        """The chaincode's response; ERROR is none."""
        message = await self.run(tx_id, *args)
        assert message.type == Message.COMPLETED, message.payload
        return proposal_response.Response.FromString(message.payload)


def transaction(tx_id: str, *args: bytes | str) -> Message:
    raw = [item.encode() if isinstance(item, str) else item for item in args]
    stamp = Timestamp()
    stamp.FromNanoseconds(NOW_NS)
    header = common.Header(
        channel_header=common.ChannelHeader(channel_id="energy", tx_id=tx_id, timestamp=stamp).SerializeToString(),
        signature_header=common.SignatureHeader(creator=b"creator", nonce=b"n").SerializeToString(),
    )
    made = proposal.Proposal(header=header.SerializeToString())
    return Message(
        type=Message.TRANSACTION,
        txid=tx_id,
        channel_id="energy",
        payload=chaincode.ChaincodeInput(args=raw).SerializeToString(),
        proposal=proposal.SignedProposal(proposal_bytes=made.SerializeToString()),
    )


@asynccontextmanager
async def peer_of(address: str, tls: Tls | None = None) -> AsyncIterator[FakePeer]:
    async with open_channel(address, tls) as connection:
        peer = FakePeer(chaincode_services.ChaincodeStub(connection).Connect())
        assert await peer.greet() == PACKAGE_ID
        pump = asyncio.create_task(peer.pump())
        try:
            yield peer
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            peer.stream.cancel()


@pytest.fixture
async def peer() -> AsyncIterator[FakePeer]:
    async with serving() as address, peer_of(address) as made:
        yield made


async def test_state_is_put_got_and_deleted(peer: FakePeer):
    await peer.respond("1", "put", "a", "1", "b", b"\x00\xff")
    assert peer.state == {"a": b"1", "b": b"\x00\xff"}
    assert (await peer.respond("2", "get", "b")).payload == b"\x00\xff"
    await peer.respond("3", "delete", "b")
    refused = await peer.respond("4", "get", "b")
    assert (refused.status, refused.message) == (400, "get: expected a known key, got 'b'")


async def test_the_proposal_reaches_the_chaincode(peer: FakePeer):
    doc = json.loads((await peer.respond("tx-1", "whoami")).payload)
    assert doc == {"channel": "energy", "tx": "tx-1", "time_ns": NOW_NS, "creator": b"creator".hex()}


@pytest.mark.parametrize("count", [0, 1, PAGE, PAGE + 1, 3 * PAGE])
async def test_a_range_asks_for_page_after_page(peer: FakePeer, count: int):
    peer.state = {f"k{n}": str(n).encode() for n in range(count)} | {"z": b"beyond"}
    rows = json.loads((await peer.respond("1", "range", "k", "l")).payload)
    assert rows == [[f"k{n}", str(n).encode().hex()] for n in range(count)]
    assert not [item for item in peer.asked if item.type == Message.QUERY_STATE_CLOSE]


async def test_a_range_without_ends_is_the_whole_table(peer: FakePeer):
    peer.state = {"a": b"1", "b": b"2"}
    assert len(json.loads((await peer.respond("1", "range", "", "")).payload)) == 2
    request = chaincode_shim.GetStateByRange.FromString(peer.asked[0].payload)
    assert (request.startKey, request.endKey) == ("\x01", "")  # not Fabric's composite keys


async def test_a_range_that_is_left_early_is_closed(peer: FakePeer):
    peer.state = {f"k{n}": b"v" for n in range(3 * PAGE)}
    assert len(json.loads((await peer.respond("1", "range", "", "", "1")).payload)) == 1
    assert [item.type for item in peer.asked] == [Message.GET_STATE_BY_RANGE, Message.QUERY_STATE_CLOSE]


async def test_an_event_comes_with_the_result(peer: FakePeer):
    message = await peer.run("1", "emit", "k", "v", "sold")
    assert (message.chaincode_event.event_name, message.chaincode_event.payload) == ("sold", b"v")


async def test_a_refused_transaction_has_no_event(peer: FakePeer):
    peer.refuse = "no ledger today"
    message = await peer.run("1", "emit", "k", "v", "sold")
    assert not message.chaincode_event.event_name
    assert "no ledger today" in proposal_response.Response.FromString(message.payload).message


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "function: expected one of"),
        (("dance",), "function: expected one of"),
        (("put", "a"), "put: expected 2 to"),
        (("put", "a", "b", "c"), "expected pairs"),
        (("put", "", "v"), "key: expected text"),
        (("put", "\x00composite", "v"), "key: expected text"),
        (("put", "k", b""), "expected at least one byte"),
        (("get", b"\xff"), "expected UTF-8"),
        (("emit", "k", "v", ""), "event: expected a name"),
    ],
)
async def test_bad_arguments_are_refused_with_words(peer: FakePeer, args: tuple[bytes | str, ...], words: str):
    refused = await peer.respond("1", *args)
    assert refused.status == 400
    assert words in refused.message


async def test_a_chaincode_that_breaks_says_so_and_goes_on(peer: FakePeer):
    broken = await peer.run("1", "fail", "no such thing")
    assert (broken.type, broken.payload) == (Message.ERROR, b"RuntimeError: no such thing")
    assert (await peer.respond("2", "ping")).payload == b"pong"


async def test_a_proposal_that_is_none_is_refused(peer: FakePeer):
    peer.results["1"] = asyncio.get_running_loop().create_future()
    broken = transaction("1", "ping")
    broken.proposal.proposal_bytes = b"\xff\xff\xff"
    await peer.stream.write(broken)
    async with asyncio.timeout(PATIENCE_S):
        answer = proposal_response.Response.FromString((await peer.results["1"]).payload)
    assert answer.status == 400


async def test_many_transactions_share_a_stream(peer: FakePeer):
    peer.state = {f"k{n}": str(n).encode() for n in range(300)}
    answers = await asyncio.gather(*(peer.respond(f"t{n}", "get", f"k{n}") for n in range(300)))
    assert [item.payload for item in answers] == [str(n).encode() for n in range(300)]


async def test_a_keepalive_comes_back(peer: FakePeer):
    await peer.stream.write(Message(type=Message.KEEPALIVE))
    await peer.respond("1", "ping")  # behind it on the same stream
    assert [item.type for item in peer.asked] == [Message.KEEPALIVE]


async def test_an_answer_to_nobody_is_left_aside(peer: FakePeer):
    await peer.stream.write(Message(type=Message.RESPONSE, txid="unknown", channel_id="energy"))
    assert (await peer.respond("1", "ping")).payload == b"pong"


async def test_a_message_may_be_large(peer: FakePeer):
    value = b"\x01" * (20 << 20)
    await peer.respond("1", "put", "k", value)
    assert (await peer.respond("2", "get", "k")).payload == value
    assert len(value) < MESSAGE_BYTES_MAX


async def test_two_peers_are_served_side_by_side():
    async with serving() as address, peer_of(address) as one, peer_of(address) as two:
        one.state, two.state = {"k": b"one"}, {"k": b"two"}
        answers = await asyncio.gather(one.respond("t", "get", "k"), two.respond("t", "get", "k"))
    assert [item.payload for item in answers] == [b"one", b"two"]


class Held:
    """A chaincode that tells when it runs and what its question ends with."""

    def __init__(self) -> None:
        self.begun: asyncio.Event = asyncio.Event()
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.tell: Callable[..., object] = asyncio.get_running_loop().call_soon_threadsafe

    def invoke(self, stub: Stub) -> Response:
        if stub.args[0] == b"ping":
            return Response(payload=b"pong")
        self.tell(self.begun.set)
        with suppress(ToolError):
            stub.get_state("k")
        try:
            stub.get_state("k")  # the second question isn't answered either
        except ToolError as error:
            self.tell(self.ended.set_result, str(error))
            raise
        return Response()


async def test_a_stream_that_is_lost_ends_its_transactions_and_the_peer_may_come_back():
    program = Held()
    async with serving(program) as address:
        async with open_channel(address, None) as connection:
            peer = FakePeer(chaincode_services.ChaincodeStub(connection).Connect())
            await peer.greet()
            await peer.send("1", "wait")  # and its question is never answered
            await program.begun.wait()
            peer.stream.cancel()
        async with asyncio.timeout(PATIENCE_S):
            assert "the end of its stream" in await program.ended
        async with peer_of(address) as again:
            assert (await again.respond("2", "ping")).payload == b"pong"


async def test_the_server_ends_though_a_transaction_waits():
    program = Held()
    async with asyncio.timeout(PATIENCE_S), serving(program) as address, open_channel(address, None) as connection:
        peer = FakePeer(chaincode_services.ChaincodeStub(connection).Connect())
        await peer.greet()
        await peer.send("1", "wait")
        await program.begun.wait()
    assert "the end of its stream" in await program.ended


@pytest.fixture(scope="module")
def authority() -> crypto.Pair:
    return crypto.make_authority("tlsca")


def pair(authority: crypto.Pair) -> crypto.Pair:
    return crypto.issue(authority, Subject(name="x", role="client", for_tls=True))


async def test_a_peer_has_to_show_a_certificate(authority: crypto.Pair):
    own, client, stranger = pair(authority), pair(authority), pair(crypto.make_authority("other"))
    roots = authority.certificate_pem
    tls = ServerTls(certificate=own.certificate_pem, key=own.key_pem, client_roots=roots)
    async with serving(tls=tls) as address:
        async with peer_of(address, Tls(roots=roots, certificate=client.certificate_pem, key=client.key_pem)) as peer:
            assert (await peer.respond("1", "ping")).payload == b"pong"
        strangers = (
            Tls(roots=roots),
            Tls(roots=roots, certificate=stranger.certificate_pem, key=stranger.key_pem),
        )
        for other in strangers:
            with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
                async with peer_of(address, other):
                    pass


async def test_a_port_that_is_taken_is_named():
    async with serving() as address:
        service = Service(address=address, package_id=PACKAGE_ID, program=KeyValue())
        with pytest.raises(ToolError, match=f"{address}: expected a free port"):
            await serve(service, print)


@pytest.mark.parametrize("name", ["nothing", "no.such:Thing", "json:NoSuch", "fabric_adapter.stub:Response"])
def test_what_is_no_chaincode_is_not_loaded(name: str):
    with pytest.raises(ToolError, match="expected"):
        load(name)


@pytest.mark.parametrize("name", ["keyvalue", "fabric_adapter.shim.keyvalue:KeyValue"])
def test_the_sample_is_loaded(name: str):
    assert isinstance(load(name), KeyValue)
