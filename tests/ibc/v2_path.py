"""Two ends of an IBC v2 path: a client on each of two chains of the harness, each the other's counterparty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cosmos_wire.protos import channel_v2, channel_v2_tx, client, client_tx, client_v2_tx, transfer_tx
from ibc_core.v2 import paths
from tests.ibc.harness import RELAYER, Chain, Coordinator, address, height_message

SECOND_NS = 10**9
HOUR_S = 3600
PREFIX = (b"ibc", b"")


@dataclass
class PathV2:
    """Two ends that face each other."""

    a: EndV2
    b: EndV2

    def relay(self, packet: channel_v2.Packet) -> channel_v2.Acknowledgement:
        """Receive and acknowledge; returns the acknowledgement."""
        source = self.a if self.a.sent(packet) else self.b
        ack = source.other.receive(packet)
        source.acknowledge(packet, ack)
        return ack


@dataclass
class EndV2:
    """One chain's client; every step updates it first and proves at its height."""

    chain: Chain
    client_id: str = ""
    other: EndV2 = field(default=None, repr=False)  # type: ignore[assignment]  # set by `unregistered`

    def create_client(self) -> None:
        state, consensus = self.other.chain.client_states()
        message = client_tx.MsgCreateClient(client_state=state, consensus_state=consensus, signer=RELAYER)
        self.client_id = self.chain.deliver(message)[0].client_id

    def register(self, prefix: Sequence[bytes] = PREFIX, client_id: str = "", signer: str = RELAYER) -> None:
        message = client_v2_tx.MsgRegisterCounterparty(
            client_id=self.client_id,
            counterparty_merkle_prefix=prefix,
            counterparty_client_id=client_id or self.other.client_id,
            signer=signer,
        )
        self.chain.deliver(message)

    def update(self) -> client.Height:
        """Update the client to the counterparty's last block; returns the height to prove at."""
        self.other.chain.settle()
        self.chain.deliver(self.header())
        return height_message(self.chain.attributes("update_client")[-1]["consensus_height"])

    def header(self) -> client_tx.MsgUpdateClient:
        route = self.chain.core.clients.route(self.chain.view(), self.client_id)
        header = self.other.chain.header(route.latest_height(self.chain.view(), self.client_id))
        return client_tx.MsgUpdateClient(client_id=self.client_id, client_message=header, signer=RELAYER)

    @property
    def now_s(self) -> int:
        return self.chain.net.time_ns // SECOND_NS

    # packets

    def msg_transfer(
        self, sender: str, receiver: str, coin: tuple[str, int], encoding: str = "", timeout_s: int = HOUR_S
    ) -> transfer_tx.MsgTransfer:
        message = transfer_tx.MsgTransfer(
            source_port="transfer",
            source_channel=self.client_id,
            sender=address(sender),
            receiver=address(receiver),
            timeout_timestamp=self.now_s + timeout_s,
            encoding=encoding,
        )
        message.token.denom, message.token.amount = coin[0], str(coin[1])
        return message

    def transfer(
        self, sender: str, receiver: str, coin: tuple[str, int], encoding: str = "", timeout_s: int = HOUR_S
    ) -> channel_v2.Packet:
        """MsgTransfer from a named account to a named account on the other chain."""
        self.chain.deliver(self.msg_transfer(sender, receiver, coin, encoding, timeout_s))
        return self.last_packet()

    def msg_send(self, *payloads: channel_v2.Payload, signer: str = RELAYER) -> channel_v2_tx.MsgSendPacket:
        return channel_v2_tx.MsgSendPacket(
            source_client=self.client_id,
            timeout_timestamp=self.now_s + HOUR_S,
            payloads=payloads or [mock_payload()],
            signer=signer,
        )

    def send(self, *payloads: channel_v2.Payload, signer: str = RELAYER) -> channel_v2.Packet:
        self.chain.deliver(self.msg_send(*payloads, signer=signer))
        return self.last_packet()

    def last_packet(self) -> channel_v2.Packet:
        """The packet that the last block sent, as a relayer rebuilds it."""
        return channel_v2.Packet.FromString(
            bytes.fromhex(self.chain.attributes("send_packet")[-1]["encoded_packet_hex"])
        )

    def sent(self, packet: channel_v2.Packet) -> bool:
        """Whether the packet waits for its end here."""
        return self.chain.ibc.get(paths.commitment(packet.source_client, packet.sequence)) is not None

    def msg_receive(self, packet: channel_v2.Packet) -> channel_v2_tx.MsgRecvPacket:
        return channel_v2_tx.MsgRecvPacket(
            packet=packet,
            proof_height=self.update(),
            proof_commitment=self.other.chain.prove(paths.commitment(packet.source_client, packet.sequence)),
            signer=RELAYER,
        )

    def receive(self, packet: channel_v2.Packet) -> channel_v2.Acknowledgement:
        """MsgRecvPacket; returns the acknowledgement, an empty one for a packet that was received already."""
        self.chain.deliver(self.msg_receive(packet))
        return self.last_ack()

    def last_ack(self) -> channel_v2.Acknowledgement:
        """What the last block wrote; an empty one when it wrote none."""
        written = self.chain.attributes("write_acknowledgement")
        data = bytes.fromhex(written[-1]["encoded_acknowledgement_hex"]) if written else b""
        return channel_v2.Acknowledgement.FromString(data)

    def msg_acknowledge(
        self, packet: channel_v2.Packet, ack: channel_v2.Acknowledgement
    ) -> channel_v2_tx.MsgAcknowledgement:
        return channel_v2_tx.MsgAcknowledgement(
            packet=packet,
            acknowledgement=ack,
            proof_height=self.update(),
            proof_acked=self.other.chain.prove(paths.acknowledgement(packet.destination_client, packet.sequence)),
            signer=RELAYER,
        )

    def acknowledge(self, packet: channel_v2.Packet, ack: channel_v2.Acknowledgement) -> int:
        """MsgAcknowledgement; returns the result type."""
        return int(self.chain.deliver(self.msg_acknowledge(packet, ack))[0].result)

    def msg_timeout(self, packet: channel_v2.Packet) -> channel_v2_tx.MsgTimeout:
        return channel_v2_tx.MsgTimeout(
            packet=packet,
            proof_height=self.update(),
            proof_unreceived=self.other.chain.prove(paths.receipt(packet.destination_client, packet.sequence)),
            signer=RELAYER,
        )

    def timeout(self, packet: channel_v2.Packet) -> int:
        return int(self.chain.deliver(self.msg_timeout(packet))[0].result)


def mock_payload(value: bytes = b"mock", port: str = "mock", encoding: str = "application/json") -> channel_v2.Payload:
    return channel_v2.Payload(source_port=port, destination_port=port, version="mock-1", encoding=encoding, value=value)


def unregistered(net: Coordinator, *names: str) -> PathV2:
    """Clients on two chains (the first two unless named) that know nothing of each other yet."""
    first, second = [net.chains[name] for name in names] or list(net.chains.values())[:2]
    a, b = EndV2(first), EndV2(second)
    a.other, b.other = b, a
    a.create_client()
    b.create_client()
    return PathV2(a, b)


def path_v2(net: Coordinator, *names: str) -> PathV2:
    """Clients on two chains, registered as each other's counterparty."""
    path = unregistered(net, *names)
    path.a.register()
    path.b.register()
    return path
