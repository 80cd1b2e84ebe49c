"""What the mempool does with a relayer's transaction: ibc-go's RedundantRelayDecorator.

A transaction of packets and client updates alone is rehearsed on the mempool's state: a proof that does not hold is
refused before anybody pays for it, and so is a transaction that brings nothing new. What it would change stays in that
state, so that a second relayer's copy is redundant at once and a proof may stand on an update that is still pending.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cosmos_wire.protos import Message, channel_tx, channel_v2_tx, client_tx
from ibc_core.client import Clients
from ibc_core.errors import RedundantTx
from ibc_core.host import Context
from ibc_core.packet import PacketMessage, Packets
from ibc_core.v2.channel import PacketMessageV2, PacketsV2


@dataclass(frozen=True, slots=True)
class RelayCheck:
    """The handlers that it rehearses."""

    clients: Clients
    packets: Packets
    packets_v2: PacketsV2

    def run(self, ctx: Context, messages: Iterable[Message], *, again: bool) -> None:
        """Raise what the block would raise, or RedundantTx when no packet is news; `again`: proofs were checked before.

        From the first message of another kind on nothing is looked at.
        """
        redundant = packets = 0
        for message in messages:
            if isinstance(message, client_tx.MsgUpdateClient):
                self.clients.rehearse_update(ctx, message, again=again)
            elif isinstance(message, PacketMessage | PacketMessageV2):
                packets += 1
                redundant += self._repeated(ctx, message) if again else self._rehearsed(ctx, message)
            else:
                return
        if packets and redundant == packets:
            raise RedundantTx(f"all {redundant} packets were relayed already")

    def _repeated(self, ctx: Context, message: PacketMessage | PacketMessageV2) -> bool:
        if isinstance(message, PacketMessage):
            return self.packets.redundant(ctx, message)
        return self.packets_v2.redundant(ctx, message)

    def _rehearsed(self, ctx: Context, message: PacketMessage | PacketMessageV2) -> bool:
        """Whether it is a no-op. Version 1 stops before the application; version 2 takes it along, as ibc-go does."""
        match message:
            case channel_tx.MsgRecvPacket():
                return self.packets.rehearse_receive(ctx, message)
            case channel_tx.MsgAcknowledgement():
                return not self.packets.settle_acknowledged(ctx, message)
            case channel_tx.MsgTimeout():
                return not self.packets.settle_timed_out(ctx, message)
            case channel_tx.MsgTimeoutOnClose():
                return not self.packets.settle_closed(ctx, message)
            case channel_v2_tx.MsgRecvPacket():
                return self.packets_v2.receive(ctx, message).result == channel_v2_tx.RESPONSE_RESULT_TYPE_NOOP
            case channel_v2_tx.MsgAcknowledgement():
                return self.packets_v2.acknowledge(ctx, message).result == channel_v2_tx.RESPONSE_RESULT_TYPE_NOOP
            case _:
                return self.packets_v2.timeout(ctx, message).result == channel_v2_tx.RESPONSE_RESULT_TYPE_NOOP
