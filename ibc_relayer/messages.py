"""Planned steps to messages with proofs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Message, channel_tx, client
from ibc_core import paths
from ibc_core.state import height_message
from ibc_relayer.chain import Party
from ibc_relayer.clients import Ground
from ibc_relayer.plan import Action, End, Packet, Step
from ibc_relayer.v2 import messages as v2

PROOFS_AT_ONCE = 16


async def messages(steps: Sequence[Step], host: Party, subject: Party, ground: Ground) -> list[Message]:
    """Messages for the host, proven by the subject's state on that ground; in the order of the steps."""
    gate = asyncio.Semaphore(PROOFS_AT_ONCE)

    async def one(step: Step) -> Message:
        async with gate:
            return await _Builder(host, subject, ground).message(step)

    return list(await asyncio.gather(*(one(step) for step in steps)))


class _Builder:
    def __init__(self, host: Party, subject: Party, ground: Ground) -> None:
        self.host, self.subject, self.ground = host, subject, ground
        self.signer = host.chain.signer
        self.proof_height: client.Height = height_message(ground.proof_height)

    async def message(self, step: Step) -> Message:
        """One step's message."""
        if step.end.v2:
            return await v2.message(step, self._proof_alone, self.proof_height, self.signer)
        if step.action is Action.CLOSE_CONFIRM:
            return await self._close_confirm(step)
        if step.packet is None:
            raise ToolError(f"step {step.action.name} on {step.end}: expected a packet, got none")
        if step.action is Action.RECV:
            return await self._recv(step.packet)
        if step.action is Action.ACK:
            return await self._ack(step.packet, step.ack)
        if step.action is Action.TIMEOUT:
            return await self._timeout(step, step.packet)
        return await self._timeout_on_close(step, step.packet)

    async def _proof(self, path: bytes) -> tuple[bytes, bytes]:
        proven = await self.subject.prover.proof(path, self.ground.height)
        return proven.value, proven.proof

    async def _proof_alone(self, path: bytes) -> bytes:
        return (await self._proof(path))[1]

    async def _recv(self, packet: Packet) -> Message:
        path = paths.commitment(packet.source.port, packet.source.channel, packet.sequence)
        _, proof = await self._proof(path)
        return channel_tx.MsgRecvPacket(
            packet=packet.message(), proof_commitment=proof, proof_height=self.proof_height, signer=self.signer
        )

    async def _ack(self, packet: Packet, ack: bytes) -> Message:
        path = paths.acknowledgement(packet.destination.port, packet.destination.channel, packet.sequence)
        _, proof = await self._proof(path)
        return channel_tx.MsgAcknowledgement(
            packet=packet.message(),
            acknowledgement=ack,
            proof_acked=proof,
            proof_height=self.proof_height,
            signer=self.signer,
        )

    async def _unreceived(self, step: Step, packet: Packet) -> tuple[int, bytes]:
        """(next sequence to receive, proof that the packet was not received)."""
        end = packet.destination
        if step.ordered:
            value, proof = await self._proof(paths.next_sequence_recv(end.port, end.channel))
            return int.from_bytes(value, "big"), proof
        _, proof = await self._proof(paths.receipt(end.port, end.channel, packet.sequence))
        return packet.sequence, proof  # unordered: unused, but zero is refused

    async def _timeout(self, step: Step, packet: Packet) -> Message:
        next_recv, proof = await self._unreceived(step, packet)
        return channel_tx.MsgTimeout(
            packet=packet.message(),
            proof_unreceived=proof,
            proof_height=self.proof_height,
            next_sequence_recv=next_recv,
            signer=self.signer,
        )

    async def _channel_proof(self, end: End) -> bytes:
        _, proof = await self._proof(paths.channel(end.port, end.channel))
        return proof

    async def _timeout_on_close(self, step: Step, packet: Packet) -> Message:
        next_recv, proof = await self._unreceived(step, packet)
        return channel_tx.MsgTimeoutOnClose(
            packet=packet.message(),
            proof_unreceived=proof,
            proof_close=await self._channel_proof(packet.destination),
            proof_height=self.proof_height,
            next_sequence_recv=next_recv,
            signer=self.signer,
        )

    async def _close_confirm(self, step: Step) -> Message:
        return channel_tx.MsgChannelCloseConfirm(
            port_id=step.end.port,
            channel_id=step.end.channel,
            proof_init=await self._channel_proof(step.peer),
            proof_height=self.proof_height,
            signer=self.signer,
        )
