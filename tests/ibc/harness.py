"""Two chains in one process: coordinator -> chain -> path -> endpoint, with a clock that is moved by hand.

    net = Coordinator("mga-1", "mgb-1", apps={"trade": lambda core: Trade(core)})
    path = net.path("transfer", "ics20-1")            # client, connection and channel, all four steps each
    packet = path.a.transfer("alice", "bob", ("bmga", 5))
    path.relay(packet)                                # receive on b, acknowledge on a

A message that is refused raises its ChainError after the block was made; the refused message left nothing behind.
An application that has `messages()` gets its genesis (`genesis={"trade": {...}}`), block hooks and messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any as Whatever

from cosmos_wire.address import to_bech32
from cosmos_wire.errors import ChainError
from cosmos_wire.protos import (
    Any,
    Message,
    channel,
    channel_tx,
    client,
    client_tx,
    commitment,
    connection,
    connection_tx,
    transfer_tx,
)
from ibc_core import bank, paths
from ibc_core.core import IbcCore
from ibc_core.host import BlockEnv, Context, Event, EventLog, FreeGas, MemoryStore, Overlay
from ibc_core.light_client import Height, LightClient
from ibc_core.router import Outgoing
from ibc_core.state import get_channel, revision_of
from ibc_core.transfer import Transfer, TransferV2
from tests.ibc.mock_client import GOOD_PROOF, HEADER_URL, MISBEHAVIOUR_URL, STATE_URL, MockClient

START_NS = 1_700_000_000 * 10**9
BLOCK_NS = 5 * 10**9
HOUR_NS = 3600 * 10**9
UNORDERED, ORDERED = channel.ORDER_UNORDERED, channel.ORDER_ORDERED
AppFactory = Callable[[IbcCore], Whatever]


def account(name: str) -> bytes:
    """Address bytes of a named account."""
    return sha256(name.encode()).digest()[:20]


def address(name: str) -> str:
    """Bech32 of a named account; the relayer signs what needs no owner."""
    return to_bech32(account(name))


RELAYER = address("relayer")


class Chain:
    """A chain that makes a block a message, keeps every version of its `ibc` store, and shows them to light clients."""

    def __init__(self, chain_id: str, net: Coordinator, apps: Mapping[str, AppFactory]) -> None:
        self.chain_id, self.net = chain_id, net
        self.app, self.ibc = MemoryStore(), MemoryStore()
        self.height = 0
        self.versions: dict[int, tuple[int, dict[bytes, bytes]]] = {}
        self.events: list[Event] = []  # of the last block
        self.light_client = MockClient(net.chains)
        self.router: dict[str, Whatever] = {}
        self.router_v2: dict[str, Whatever] = {"transfer": TransferV2()}
        self.core = IbcCore(self.client_types(), self.router, self.router_v2)
        self.transfer = Transfer(self.core)
        self.router["transfer"] = self.transfer
        self.modules: list[Whatever] = [self.core, self.transfer]
        for port, make in apps.items():
            self.router[port] = make(self.core)
            if hasattr(self.router[port], "messages"):
                self.modules.append(self.router[port])

    # what light clients elsewhere see of this chain; `real_chain.py` puts headers and Merkle proofs in their place

    def client_types(self) -> Mapping[str, LightClient]:
        return {STATE_URL: self.light_client}

    def settle(self) -> None:
        """Make the last state provable."""

    def client_states(self) -> tuple[Any, Any]:
        """Client and consensus state of a client that begins at the last block."""
        height = str(self.height).encode()
        return Any(type_url=STATE_URL, value=self.chain_id.encode()), Any(type_url=STATE_URL, value=height)

    def header(self, trusted: Height) -> Any:  # noqa: ARG002  (the mock needs no trusted height)
        """Client message that takes a client from `trusted` to the last block."""
        return Any(type_url=HEADER_URL, value=str(self.height).encode())

    def misbehaviour(self) -> Any:
        """Client message that freezes a client."""
        return Any(type_url=MISBEHAVIOUR_URL)

    def prove(self, key: bytes) -> bytes:  # noqa: ARG002  (the mock's proofs are all alike)
        """Proof of what the last block's header commits to at a key of the `ibc` store: there or absent."""
        return GOOD_PROOF

    # blocks

    def genesis(self, docs: Mapping[str, Mapping[str, object]]) -> None:
        ctx = self.context()
        for module in self.modules:
            module.init_genesis(ctx, docs.get(module.name, {}))
        self.commit()

    def context(self, events: EventLog | None = None) -> Context:
        """The block that is being made."""
        env = BlockEnv(chain_id=self.chain_id, height=self.height + 1, time_ns=self.net.time_ns)
        return Context(env=env, app=self.app, ibc=self.ibc, events=events or EventLog(), gas=FreeGas())

    def view(self) -> Context:
        """The last committed block."""
        env = BlockEnv(chain_id=self.chain_id, height=self.height, time_ns=self.versions[self.height][0])
        return Context(env=env, app=Overlay(self.app), ibc=Overlay(self.ibc), events=EventLog(), gas=FreeGas())

    def commit(self) -> None:
        """End of a block; the clock goes on."""
        self.height += 1
        self.versions[self.height] = (self.net.time_ns, dict(self.ibc.data))
        self.net.time_ns += BLOCK_NS

    def deliver(self, *messages: Message) -> list[Whatever]:
        """One block with one transaction; returns the responses, events in `self.events`."""
        return self.execute(lambda tx: [self.handle(tx, message) for message in messages])

    def execute(self, work: Callable[[Context], list[Whatever]]) -> list[Whatever]:
        """One block with any work as its transaction."""
        ctx = self.context()
        error: ChainError | None = None
        responses: list[Whatever] = []
        for module in self.modules:
            module.begin_block(ctx)
        try:
            with ctx.branch() as tx:
                responses = work(tx)
        except ChainError as refused:
            error = refused
        for module in self.modules:
            module.end_block(ctx)
        self.events = ctx.events.events
        self.commit()
        if error is not None:
            raise error
        return responses

    def handle(self, ctx: Context, message: Message) -> Whatever:
        url = "/" + message.DESCRIPTOR.full_name
        for module in self.modules:
            if (route := module.messages().get(url)) is not None:
                assert isinstance(message, route.request)
                if route.basic is not None:
                    route.basic(message)
                response = route.handle(ctx, message)
                assert isinstance(response, route.response)
                return response
        raise AssertionError(f"no module takes {url}")

    def query(self, path: str, request: Message) -> Whatever:
        for module in self.modules:
            if (route := module.queries().get(path)) is not None:
                assert isinstance(request, route.request)
                response = route.handle(self.view(), request)
                assert isinstance(response, route.response)
                return response
        raise AssertionError(f"no module answers {path}")

    def fund(self, name: str, denom: str, amount: int) -> None:
        bank.mint(self.context(), account(name), (denom, amount))

    def balance(self, name: str, denom: str) -> int:
        return bank.balance(self.context(), account(name), denom)

    def attributes(self, kind: str) -> list[dict[str, str]]:
        """Attributes of the last block's events of one type."""
        return [dict(item.attributes) for item in self.events if item.type == kind]

    @property
    def proof_height(self) -> client.Height:
        return client.Height(revision_number=revision_of(self.chain_id), revision_height=self.height)


class Coordinator:
    """The chains and their common clock."""

    def __init__(
        self,
        *chain_ids: str,
        apps: Mapping[str, AppFactory] | None = None,
        genesis: Mapping[str, Mapping[str, object]] | None = None,
        make: Callable[[str, Coordinator, Mapping[str, AppFactory]], Chain] | None = None,
    ) -> None:
        self.time_ns = START_NS
        self.chains: dict[str, Chain] = {}
        for chain_id in chain_ids:
            self.chains[chain_id] = (make or Chain)(chain_id, self, apps or {})
        for chain in self.chains.values():
            chain.genesis(genesis or {})

    def mock_path(self, ordering: int = UNORDERED) -> Path:
        """An open channel between two mock applications; the coordinator needs `apps={"mock": MockApp}`."""
        return self.path("mock", "mock-1", ordering)

    def path(self, port: str = "transfer", version: str = "ics20-1", ordering: int = UNORDERED) -> Path:
        """An open channel between the first two chains, over new clients and a new connection."""
        path = self.unopened(port, version, ordering)
        path.open_connection()
        path.open_channel()
        return path

    def unopened(self, port: str = "transfer", version: str = "ics20-1", ordering: int = UNORDERED) -> Path:
        first, second = list(self.chains.values())[:2]
        a, b = Endpoint(first, port, version, ordering), Endpoint(second, port, version, ordering)
        a.other, b.other = b, a
        return Path(a, b)

    def pass_time(self, ns: int) -> None:
        """Move the clock, and let every chain make a block at the new time."""
        self.time_ns += ns
        for chain in self.chains.values():
            chain.deliver()


@dataclass
class Path:
    """Two endpoints that face each other."""

    a: Endpoint
    b: Endpoint

    def open_connection(self) -> None:
        for end in (self.a, self.b):
            if not end.client_id:
                end.create_client()
        self.a.conn_init()
        self.b.conn_try()
        self.a.conn_ack()
        self.b.conn_confirm()

    def open_channel(self) -> None:
        self.a.chan_init()
        self.b.chan_try()
        self.a.chan_ack()
        self.b.chan_confirm()

    def relay(self, packet: channel.Packet) -> bytes:
        """Receive and acknowledge; returns the acknowledgement."""
        source = self.a if self.a.sent(packet) else self.b
        ack = source.other.receive(packet)
        source.acknowledge(packet, ack)
        return ack


@dataclass
class Endpoint:
    """One chain's client, connection and channel; every step updates the client first and proves at its height."""

    chain: Chain
    port: str
    version: str
    ordering: int
    client_id: str = ""
    connection_id: str = ""
    channel_id: str = ""
    delay_ns: int = 0
    other: Endpoint = field(default=None, repr=False)  # type: ignore[assignment]  # set by the coordinator

    # client

    def create_client(self) -> str:
        state, consensus = self.other.chain.client_states()
        message = client_tx.MsgCreateClient(client_state=state, consensus_state=consensus, signer=RELAYER)
        self.client_id = self.chain.deliver(message)[0].client_id
        return self.client_id

    def header(self) -> client_tx.MsgUpdateClient:
        trusted = self.chain.core.clients.route(self.chain.view(), self.client_id).latest_height(
            self.chain.view(), self.client_id
        )
        header = self.other.chain.header(trusted)
        return client_tx.MsgUpdateClient(client_id=self.client_id, client_message=header, signer=RELAYER)

    def misbehaviour(self) -> Any:
        return self.other.chain.misbehaviour()

    def update(self) -> client.Height:
        """Update the client to the counterparty's last block; returns the height to prove at."""
        self.other.chain.settle()
        self.chain.deliver(self.header())
        return height_message(self.chain.attributes("update_client")[-1]["consensus_height"])

    def prove(self, key: bytes) -> bytes:
        """The counterparty's proof at the height that `update` gave last."""
        return self.other.chain.prove(key)

    @property
    def their_connection(self) -> bytes:
        return paths.connection(self.other.connection_id)

    @property
    def their_channel(self) -> bytes:
        return paths.channel(self.other.port, self.other.channel_id)

    # connection

    def _counterparty(self) -> connection.Counterparty:
        return connection.Counterparty(
            client_id=self.other.client_id,
            connection_id=self.other.connection_id,
            prefix=commitment.MerklePrefix(key_prefix=b"ibc"),
        )

    def conn_init(self) -> str:
        message = connection_tx.MsgConnectionOpenInit(
            client_id=self.client_id, counterparty=self._counterparty(), delay_period=self.delay_ns, signer=RELAYER
        )
        message.counterparty.connection_id = ""
        self.chain.deliver(message)
        self.connection_id = self.chain.attributes("connection_open_init")[0]["connection_id"]
        return self.connection_id

    def msg_conn_try(self) -> connection_tx.MsgConnectionOpenTry:
        theirs = connection.ConnectionEnd.FromString(
            self.other.chain.ibc.get(paths.connection(self.other.connection_id)) or b""
        )
        return connection_tx.MsgConnectionOpenTry(
            client_id=self.client_id,
            counterparty=self._counterparty(),
            delay_period=theirs.delay_period,
            counterparty_versions=theirs.versions,
            proof_height=self.update(),
            proof_init=self.prove(self.their_connection),
            signer=RELAYER,
        )

    def conn_try(self) -> str:
        self.chain.deliver(self.msg_conn_try())
        self.connection_id = self.chain.attributes("connection_open_try")[0]["connection_id"]
        return self.connection_id

    def msg_conn_ack(self) -> connection_tx.MsgConnectionOpenAck:
        theirs = connection.ConnectionEnd.FromString(
            self.other.chain.ibc.get(paths.connection(self.other.connection_id)) or b""
        )
        return connection_tx.MsgConnectionOpenAck(
            connection_id=self.connection_id,
            counterparty_connection_id=self.other.connection_id,
            version=theirs.versions[0],
            proof_height=self.update(),
            proof_try=self.prove(self.their_connection),
            signer=RELAYER,
        )

    def conn_ack(self) -> None:
        self.chain.deliver(self.msg_conn_ack())

    def msg_conn_confirm(self) -> connection_tx.MsgConnectionOpenConfirm:
        return connection_tx.MsgConnectionOpenConfirm(
            connection_id=self.connection_id,
            proof_height=self.update(),
            proof_ack=self.prove(self.their_connection),
            signer=RELAYER,
        )

    def conn_confirm(self) -> None:
        self.chain.deliver(self.msg_conn_confirm())

    # channel

    def _channel(self, state: int) -> channel.Channel:
        return channel.Channel(
            state=channel.State.ValueType(state),
            ordering=channel.Order.ValueType(self.ordering),
            counterparty=channel.Counterparty(port_id=self.other.port, channel_id=self.other.channel_id),
            connection_hops=[self.connection_id],
            version=self.version,
        )

    def msg_chan_init(self) -> channel_tx.MsgChannelOpenInit:
        end = self._channel(channel.STATE_INIT)
        end.counterparty.channel_id = ""
        return channel_tx.MsgChannelOpenInit(port_id=self.port, channel=end, signer=RELAYER)

    def chan_init(self) -> str:
        self.channel_id = self.chain.deliver(self.msg_chan_init())[0].channel_id
        return self.channel_id

    def msg_chan_try(self) -> channel_tx.MsgChannelOpenTry:
        return channel_tx.MsgChannelOpenTry(
            port_id=self.port,
            channel=self._channel(channel.STATE_TRYOPEN),
            counterparty_version=self.other.end.version,
            proof_height=self.update(),
            proof_init=self.prove(self.their_channel),
            signer=RELAYER,
        )

    def chan_try(self) -> str:
        self.channel_id = self.chain.deliver(self.msg_chan_try())[0].channel_id
        return self.channel_id

    def msg_chan_ack(self) -> channel_tx.MsgChannelOpenAck:
        return channel_tx.MsgChannelOpenAck(
            port_id=self.port,
            channel_id=self.channel_id,
            counterparty_channel_id=self.other.channel_id,
            counterparty_version=self.other.end.version,
            proof_height=self.update(),
            proof_try=self.prove(self.their_channel),
            signer=RELAYER,
        )

    def chan_ack(self) -> None:
        self.chain.deliver(self.msg_chan_ack())

    def msg_chan_confirm(self) -> channel_tx.MsgChannelOpenConfirm:
        return channel_tx.MsgChannelOpenConfirm(
            port_id=self.port,
            channel_id=self.channel_id,
            proof_height=self.update(),
            proof_ack=self.prove(self.their_channel),
            signer=RELAYER,
        )

    def chan_confirm(self) -> None:
        self.chain.deliver(self.msg_chan_confirm())

    def close_init(self) -> None:
        self.chain.deliver(
            channel_tx.MsgChannelCloseInit(port_id=self.port, channel_id=self.channel_id, signer=RELAYER)
        )

    def msg_close_confirm(self) -> channel_tx.MsgChannelCloseConfirm:
        return channel_tx.MsgChannelCloseConfirm(
            port_id=self.port,
            channel_id=self.channel_id,
            proof_height=self.update(),
            proof_init=self.prove(self.their_channel),
            signer=RELAYER,
        )

    def close_confirm(self) -> None:
        self.chain.deliver(self.msg_close_confirm())

    @property
    def end(self) -> channel.Channel:
        """The channel end as stored."""
        return get_channel(self.chain.context(), self.port, self.channel_id)

    def force_state(self, state: int) -> None:
        """Set the channel end's state as no message could; for tests of what must be refused then."""
        end = self.end
        end.state = channel.State.ValueType(state)
        self.chain.ibc.set(paths.channel(self.port, self.channel_id), end.SerializeToString())
        self.chain.deliver()

    # packets

    def transfer(
        self, sender: str, receiver: str, coin: tuple[str, int], timeout_ns: int = HOUR_NS, memo: str = ""
    ) -> channel.Packet:
        """MsgTransfer from a named account to a named account on the other chain."""
        message = transfer_tx.MsgTransfer(
            source_port=self.port,
            source_channel=self.channel_id,
            sender=address(sender),
            receiver=address(receiver),
            timeout_timestamp=self.chain.net.time_ns + timeout_ns,
            memo=memo,
        )
        message.token.denom, message.token.amount = coin[0], str(coin[1])
        self.chain.deliver(message)
        return self.last_packet()

    def last_packet(self) -> channel.Packet:
        """The packet that the last block sent."""
        return packet_of(self.chain.attributes("send_packet")[-1])

    def send(self, data: bytes = b"mock", timeout_ns: int = HOUR_NS, timeout_height: int = 0) -> channel.Packet:
        """A packet with any data, sent in the name of the port's application."""
        outgoing = Outgoing(
            port_id=self.port,
            channel_id=self.channel_id,
            data=data,
            timeout_ns=self.chain.net.time_ns + timeout_ns if timeout_ns else 0,
            timeout_revision=revision_of(self.other.chain.chain_id) if timeout_height else 0,
            timeout_height=timeout_height,
        )
        self.chain.execute(lambda ctx: [self.chain.core.send_packet(ctx, outgoing)])
        return self.last_packet()

    def sent(self, packet: channel.Packet) -> bool:
        """Whether the packet waits for its end here."""
        return (
            self.chain.ibc.get(paths.commitment(packet.source_port, packet.source_channel, packet.sequence)) is not None
        )

    def msg_receive(self, packet: channel.Packet) -> channel_tx.MsgRecvPacket:
        return channel_tx.MsgRecvPacket(
            packet=packet,
            proof_height=self.update(),
            proof_commitment=self.prove(paths.commitment(packet.source_port, packet.source_channel, packet.sequence)),
            signer=RELAYER,
        )

    def receive(self, packet: channel.Packet) -> bytes:
        """MsgRecvPacket; returns the acknowledgement, empty for a packet that was received already."""
        self.chain.deliver(self.msg_receive(packet))
        written = self.chain.attributes("write_acknowledgement")
        return bytes.fromhex(written[-1]["packet_ack_hex"]) if written else b""

    def msg_acknowledge(self, packet: channel.Packet, ack: bytes) -> channel_tx.MsgAcknowledgement:
        return channel_tx.MsgAcknowledgement(
            packet=packet,
            acknowledgement=ack,
            proof_height=self.update(),
            proof_acked=self.prove(
                paths.acknowledgement(packet.destination_port, packet.destination_channel, packet.sequence)
            ),
            signer=RELAYER,
        )

    def acknowledge(self, packet: channel.Packet, ack: bytes) -> int:
        """MsgAcknowledgement; returns the result type."""
        return int(self.chain.deliver(self.msg_acknowledge(packet, ack))[0].result)

    def unreceived_key(self, packet: channel.Packet) -> bytes:
        """What shows on the receiving chain that a packet did not arrive."""
        place = (packet.destination_port, packet.destination_channel)
        return paths.next_sequence_recv(*place) if self.ordering == ORDERED else paths.receipt(*place, packet.sequence)

    def msg_timeout(self, packet: channel.Packet) -> channel_tx.MsgTimeout:
        return channel_tx.MsgTimeout(
            packet=packet,
            proof_height=self.update(),
            proof_unreceived=self.prove(self.unreceived_key(packet)),
            next_sequence_recv=self.other.next_sequence_recv(),
            signer=RELAYER,
        )

    def timeout(self, packet: channel.Packet) -> int:
        return int(self.chain.deliver(self.msg_timeout(packet))[0].result)

    def msg_timeout_on_close(self, packet: channel.Packet) -> channel_tx.MsgTimeoutOnClose:
        return channel_tx.MsgTimeoutOnClose(
            packet=packet,
            proof_height=self.update(),
            proof_unreceived=self.prove(self.unreceived_key(packet)),
            proof_close=self.prove(self.their_channel),
            next_sequence_recv=self.other.next_sequence_recv(),
            signer=RELAYER,
        )

    def timeout_on_close(self, packet: channel.Packet) -> int:
        return int(self.chain.deliver(self.msg_timeout_on_close(packet))[0].result)

    def next_sequence_recv(self) -> int:
        raw = self.chain.ibc.get(paths.next_sequence_recv(self.port, self.channel_id))
        return int.from_bytes(raw or b"", "big")


def height_message(text: str) -> client.Height:
    height: Height = paths.parse_height(text)
    return client.Height(revision_number=height.revision, revision_height=height.height)


def packet_of(attributes: Mapping[str, str]) -> channel.Packet:
    """The packet of a send_packet event, as a relayer rebuilds it."""
    return channel.Packet(
        sequence=int(attributes["packet_sequence"]),
        source_port=attributes["packet_src_port"],
        source_channel=attributes["packet_src_channel"],
        destination_port=attributes["packet_dst_port"],
        destination_channel=attributes["packet_dst_channel"],
        data=bytes.fromhex(attributes["packet_data_hex"]),
        timeout_height=height_message(attributes["packet_timeout_height"]),
        timeout_timestamp=int(attributes["packet_timeout_timestamp"]),
    )
