"""Planned steps to v2's messages: the same three lives of a packet, proven at v2's paths."""

from __future__ import annotations

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import DecodeError, Message, channel_v2, channel_v2_tx, client
from ibc_core.v2 import paths
from ibc_relayer.plan import Action, Packet, Step
from ibc_relayer.v2.packet import decoded


def path_of(step: Step) -> bytes:
    """The path of the other chain that a step's message has to prove; raises ToolError for what v2 does not have."""
    packet = _packet(step)
    far = packet.destination.channel
    if step.action is Action.RECV:
        return paths.commitment(packet.source.channel, packet.sequence)
    if step.action is Action.ACK:
        return paths.acknowledgement(far, packet.sequence)
    if step.action is Action.TIMEOUT:
        return paths.receipt(far, packet.sequence)
    raise ToolError(f"step on {step.end}: expected RECV, ACK or TIMEOUT, got {step.action.name}")


def _packet(step: Step) -> Packet:
    if step.packet is None:
        raise ToolError(f"step {step.action.name} on {step.end}: expected a packet, got none")
    return step.packet


def message(step: Step, proof: bytes, at: client.Height, signer: str) -> Message:
    """One step's message with the subject's proof of its path, which the header at `at` can check."""
    packet = _packet(step)
    if step.action is Action.RECV:
        return channel_v2_tx.MsgRecvPacket(
            packet=decoded(packet.data), proof_commitment=proof, proof_height=at, signer=signer
        )
    if step.action is Action.ACK:
        return channel_v2_tx.MsgAcknowledgement(
            packet=decoded(packet.data),
            acknowledgement=_acknowledgement(packet, step.ack),
            proof_acked=proof,
            proof_height=at,
            signer=signer,
        )
    return channel_v2_tx.MsgTimeout(packet=decoded(packet.data), proof_unreceived=proof, proof_height=at, signer=signer)


def _acknowledgement(packet: Packet, data: bytes) -> channel_v2.Acknowledgement:
    try:
        return channel_v2.Acknowledgement.FromString(data)
    except DecodeError as error:
        where = f"acknowledgement of #{packet.sequence} on {packet.destination}"
        raise ToolError(f"{where}: expected an ibc.core.channel.v2.Acknowledgement, got other bytes") from error
