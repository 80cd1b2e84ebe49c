"""Planned steps to messages: which paths each needs proven, and the message once they are. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Message, channel, channel_tx, client
from ibc_core import paths
from ibc_core.state import height_message
from ibc_relayer.clients import Ground
from ibc_relayer.plan import Action, End, Packet, Step
from ibc_relayer.v2 import messages as v2


def needed(steps: Sequence[Step]) -> tuple[bytes, ...]:
    """Paths of the other chain that the steps' messages have to prove, each once."""
    return tuple(dict.fromkeys(path for step in steps for path in _paths(step)))


def _paths(step: Step) -> tuple[bytes, ...]:
    if step.end.v2:
        return (v2.path_of(step),)
    if step.action is Action.CLOSE_CONFIRM:
        return (_channel(step.peer),)
    packet = _packet(step)
    if step.action is Action.RECV:
        return (paths.commitment(packet.source.port, packet.source.channel, packet.sequence),)
    if step.action is Action.ACK:
        return (paths.acknowledgement(packet.destination.port, packet.destination.channel, packet.sequence),)
    if step.action is Action.TIMEOUT:
        return (_unreceived(step, packet),)
    return (_unreceived(step, packet), _channel(packet.destination))


def _packet(step: Step) -> Packet:
    if step.packet is None:
        raise ToolError(f"step {step.action.name} on {step.end}: expected a packet, got none")
    return step.packet


def _channel(end: End) -> bytes:
    return paths.channel(end.port, end.channel)


def _unreceived(step: Step, packet: Packet) -> bytes:
    """Where it shows that the packet was not received."""
    end = packet.destination
    if step.ordered:
        return paths.next_sequence_recv(end.port, end.channel)
    return paths.receipt(end.port, end.channel, packet.sequence)


def messages(steps: Sequence[Step], ground: Ground, signer: str) -> list[Message]:
    """Messages in the order of the steps; the ground has what `needed` names."""
    builder = _Builder(ground, signer)
    return [builder.message(step) for step in steps]


class _Builder:
    def __init__(self, ground: Ground, signer: str) -> None:
        self.ground, self.signer = ground, signer
        self.at: client.Height = height_message(ground.proof_height)

    def message(self, step: Step) -> Message:
        """One step's message."""
        proofs = [self.ground.proof(path) for path in _paths(step)]
        if step.end.v2:
            return v2.message(step, proofs[0], self.at, self.signer)
        if step.action is Action.CLOSE_CONFIRM:
            return channel_tx.MsgChannelCloseConfirm(
                port_id=step.end.port,
                channel_id=step.end.channel,
                proof_init=proofs[0],
                proof_height=self.at,
                signer=self.signer,
            )
        return self._of_packet(step, _packet(step).message(), proofs)

    def _of_packet(self, step: Step, packet: channel.Packet, proofs: list[bytes]) -> Message:
        if step.action is Action.RECV:
            return channel_tx.MsgRecvPacket(
                packet=packet, proof_commitment=proofs[0], proof_height=self.at, signer=self.signer
            )
        if step.action is Action.ACK:
            return channel_tx.MsgAcknowledgement(
                packet=packet,
                acknowledgement=step.ack,
                proof_acked=proofs[0],
                proof_height=self.at,
                signer=self.signer,
            )
        if step.action is Action.TIMEOUT:
            return channel_tx.MsgTimeout(
                packet=packet,
                proof_unreceived=proofs[0],
                proof_height=self.at,
                next_sequence_recv=self._next_recv(step),
                signer=self.signer,
            )
        return channel_tx.MsgTimeoutOnClose(
            packet=packet,
            proof_unreceived=proofs[0],
            proof_close=proofs[1],
            proof_height=self.at,
            next_sequence_recv=self._next_recv(step),
            signer=self.signer,
        )

    def _next_recv(self, step: Step) -> int:
        packet = _packet(step)
        if step.ordered:
            return int.from_bytes(self.ground.value(_unreceived(step, packet)), "big")
        return packet.sequence  # unused, but zero is refused
