"""ICS-20 on IBC v2: payloads of port `transfer`; the identifier of a client stands where v1 has that of a channel."""

from __future__ import annotations

from cosmos_wire.address import from_bech32
from cosmos_wire.errors import ChainError
from cosmos_wire.protos import channel_v2
from ibc_core import acknowledgement, bank, paths
from ibc_core.acknowledgement import Acknowledgement
from ibc_core.errors import (
    IbcInvalidRequest,
    IbcInvalidType,
    IbcUnauthorized,
    IbcUnknownRequest,
    InvalidAcknowledgement,
    InvalidDenomForTransfer,
    InvalidPacketV2,
    ReceiveFailed,
    SendDisabled,
)
from ibc_core.host import Context
from ibc_core.transfer import events, ledger, moves
from ibc_core.transfer.data import TokenPacket
from ibc_core.transfer.encoding import decode
from ibc_core.transfer.ledger import PORT
from ibc_core.v2.packet import ERROR_ACK
from ibc_core.v2.router import Envelope

Payload = channel_v2.Payload


class TransferV2:
    """Callbacks; `MsgTransfer` is in `ibc_core.transfer.application`."""

    def on_send_packet(self, ctx: Context, envelope: Envelope, payload: Payload) -> None:
        """Take the signer's tokens."""
        _require_ends(envelope, payload)
        packet = decode(payload)
        sender = moves.account(packet.sender)
        if sender != from_bech32(envelope.signer):
            raise IbcUnauthorized(f"sender {packet.sender} is different from signer {envelope.signer}")
        if "/" in packet.denom.base:  # its first part could be taken for a hop elsewhere
            raise InvalidDenomForTransfer(f"base denomination {packet.denom.base[:100]} cannot contain slashes here")
        if not ledger.params(ctx).send_enabled:
            raise SendDisabled("MsgSendPacket")
        moves.leave(ctx, (PORT, envelope.source_client), sender, packet)
        _block_escrow(ctx, envelope.source_client)
        events.sent(ctx, packet)

    def on_recv_packet(self, ctx: Context, envelope: Envelope, payload: Payload) -> bytes:
        """Mint vouchers or give back what was locked."""
        _require_ends(envelope, payload)
        found: TokenPacket | None = None
        try:
            found = decode(payload)
            moves.arrive(ctx, (PORT, envelope.source_client), (PORT, envelope.destination_client), found)
        except ChainError as error:
            events.received(ctx, found, str(error))
            raise
        events.received(ctx, found)
        return acknowledgement.success()

    def on_acknowledge_packet(self, ctx: Context, envelope: Envelope, payload: Payload, ack: bytes) -> None:
        """Refund the sender when the other chain refused."""
        answer = _answer(ack)
        found = decode(payload)
        if not answer.success:
            moves.refund(ctx, (PORT, envelope.source_client), found)
        events.acknowledged(ctx, found, answer)

    def on_timeout_packet(self, ctx: Context, envelope: Envelope, payload: Payload) -> None:
        """Refund the sender."""
        found = decode(payload)
        moves.refund(ctx, (PORT, envelope.source_client), found)
        events.timed_out(ctx, found)


def _require_ends(envelope: Envelope, payload: Payload) -> None:
    """No handshake settled the ports, and only identifiers of this form are told from a base denomination."""
    if (payload.source_port, payload.destination_port) != (PORT, PORT):
        raise InvalidPacketV2(
            f"payload port ID is invalid: expected {PORT}, got sourcePort: {payload.source_port} "
            f"destPort: {payload.destination_port}"
        )
    for client_id in (envelope.source_client, envelope.destination_client):
        if paths.client_type(client_id) is None:
            raise InvalidPacketV2(f"client IDs must be in valid format: {{string}}-{{number}}, got {client_id}")


def _answer(ack: bytes) -> Acknowledgement:
    if ack == ERROR_ACK:
        return Acknowledgement(None, acknowledgement.ERROR_TEXT.format(code=ReceiveFailed.code))
    try:
        answer = acknowledgement.parse(ack)
    except InvalidAcknowledgement as error:
        kind = IbcInvalidType if acknowledgement.is_one(ack) else IbcUnknownRequest
        raise kind(f"cannot unmarshal ICS-20 transfer packet acknowledgement: {error}") from error
    if not answer.success:
        raise IbcInvalidRequest("cannot pass in a custom error acknowledgement with IBC v2")
    return answer


def _block_escrow(ctx: Context, client_id: str) -> None:
    account = ledger.escrow_address(PORT, client_id)
    if not bank.is_blocked(ctx, account):
        bank.block_recipient(ctx, account, f"escrow account of {PORT}/{client_id}")
