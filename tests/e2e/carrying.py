"""A relayer by hand: the project's own message builders, one message at a time, so that tests can spoil them."""

from __future__ import annotations

from cosmos_wire.protos import Message, channel_query, channel_tx
from ibc_relayer.chain import Party
from ibc_relayer.clients import Ground, ground
from ibc_relayer.connect import party_of
from ibc_relayer.events import Acked, Sent, facts
from ibc_relayer.messages import messages, needed
from ibc_relayer.plan import Action, Packet, Step
from tests.e2e.net import Side, TxOutcome


def party(side: Side) -> Party:
    """The side as a relayer sees it, signing with the faucet's key."""
    return party_of(side.client, side.faucet)


def packet_of(outcome: TxOutcome) -> Packet:
    """The packet that a transaction sent."""
    assert outcome.ok, outcome.log
    return next(fact.packet for fact in facts(outcome.events) if isinstance(fact, Sent))


def ack_of(outcome: TxOutcome) -> bytes:
    """The acknowledgement that a transaction wrote."""
    assert outcome.ok, outcome.log
    return next(fact.ack for fact in facts(outcome.events) if isinstance(fact, Acked))


async def grounded(host: Side, subject: Side) -> Ground:
    """What would bring the client on `host` up to date; nothing is submitted."""
    here, there = party(host), party(subject)
    return await ground(here, there, host.end.client_id, (await subject.client.head()).height + there.prover.lag)


async def message(action: Action, packet: Packet, host: Side, subject: Side, ack: bytes = b"") -> Message:
    """The true message for `host`, proven by what `subject` says now; the client on `host` is brought up to date."""
    here, there = party(host), party(subject)
    least = (await subject.client.head()).height + 1
    received = action is Action.RECV
    end, peer = (packet.destination, packet.source) if received else (packet.source, packet.destination)
    step = Step(action=action, side=0, end=end, peer=peer, ordered=False, packet=packet, ack=ack)
    base = await ground(here, there, host.end.client_id, least, needed([step]))
    (made,) = messages([step], base, here.chain.signer)
    updated = await host.faucet.submit(base.updates)
    assert updated.ok, updated.log
    return made


async def receive(packet: Packet, host: Side, subject: Side) -> TxOutcome:
    """The packet with its true proof."""
    made = await message(Action.RECV, packet, host, subject)
    assert isinstance(made, channel_tx.MsgRecvPacket)
    return await host.faucet.submit([made])


async def has_receipt(side: Side, packet: Packet) -> bool:
    """Whether this chain has received the packet."""
    request = channel_query.QueryPacketReceiptRequest(
        port_id=packet.destination.port, channel_id=packet.destination.channel, sequence=packet.sequence
    )
    path = "/ibc.core.channel.v1.Query/PacketReceipt"
    return (await side.client.query(path, request, channel_query.QueryPacketReceiptResponse)).received
