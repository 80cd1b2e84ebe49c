"""Planned steps to v2's messages: the same three lives of a packet, proven at v2's paths."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import DecodeError, Message, channel_v2, channel_v2_tx, client
from ibc_core.v2 import paths
from ibc_relayer.plan import Action, Packet, Step
from ibc_relayer.v2.packet import decoded

Prove = Callable[[bytes], Awaitable[bytes]]


async def message(step: Step, prove: Prove, at: client.Height, signer: str) -> Message:
    """One step's message; `prove` gives the subject's proof of a path, which the header at `at` can check."""
    if step.packet is None:
        raise ToolError(f"step {step.action.name} on {step.end}: expected a packet, got none")
    packet, far = step.packet, step.packet.destination.channel
    if step.action is Action.RECV:
        proof = await prove(paths.commitment(packet.source.channel, packet.sequence))
        return channel_v2_tx.MsgRecvPacket(
            packet=decoded(packet.data), proof_commitment=proof, proof_height=at, signer=signer
        )
    if step.action is Action.ACK:
        proof = await prove(paths.acknowledgement(far, packet.sequence))
        return channel_v2_tx.MsgAcknowledgement(
            packet=decoded(packet.data),
            acknowledgement=_acknowledgement(packet, step.ack),
            proof_acked=proof,
            proof_height=at,
            signer=signer,
        )
    if step.action is Action.TIMEOUT:
        proof = await prove(paths.receipt(far, packet.sequence))
        return channel_v2_tx.MsgTimeout(
            packet=decoded(packet.data), proof_unreceived=proof, proof_height=at, signer=signer
        )
    raise ToolError(f"step on {step.end}: expected RECV, ACK or TIMEOUT, got {step.action.name}")


def _acknowledgement(packet: Packet, data: bytes) -> channel_v2.Acknowledgement:
    try:
        return channel_v2.Acknowledgement.FromString(data)
    except DecodeError as error:
        where = f"acknowledgement of #{packet.sequence} on {packet.destination}"
        raise ToolError(f"{where}: expected an ibc.core.channel.v2.Acknowledgement, got other bytes") from error
