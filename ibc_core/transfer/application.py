"""The ICS-20 application: MsgTransfer, the ICS-26 callbacks and the queries, over IBC core and the coin ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from cosmos_wire.address import from_bech32, to_bech32
from cosmos_wire.errors import ChainError, InvalidRequest
from cosmos_wire.protos import channel, channel_v2, channel_v2_tx, transfer_tx
from ibc_core import acknowledgement, bank, paths
from ibc_core.authority import require_authority
from ibc_core.basic import check_nothing, signed
from ibc_core.errors import (
    IbcInvalidCoins,
    IbcInvalidRequest,
    InvalidAmount,
    InvalidChannelOrdering,
    InvalidDenomForTransfer,
    InvalidPort,
    InvalidTransferVersion,
    MaxTransferChannels,
    SendDisabled,
)
from ibc_core.host import Context, MessageRoute, QueryRoute
from ibc_core.router import Handshake, Outgoing, PacketSender
from ibc_core.state import find_channel
from ibc_core.transfer import events, ledger, moves
from ibc_core.transfer.data import TokenPacket, decode, parse_amount, require_names, require_valid
from ibc_core.transfer.denom import require_ledger_name
from ibc_core.transfer.encoding import JSON, encode
from ibc_core.transfer.ledger import PORT, VERSION
from ibc_core.transfer.queries import transfer_queries
from ibc_core.v2.router import PacketSenderV2


class Sender(PacketSender, PacketSenderV2, Protocol):
    """What the application needs of IBC core."""


CHANNELS_MAX = 2**32  # escrow addresses are 20 bytes: more channels would make collisions thinkable
WHOLE_BALANCE = bank.AMOUNT_MAX  # as an amount of MsgTransfer: all that the sender has


class Transfer:
    """Port `transfer`, version `ics20-1`, unordered."""

    name = "transfer"

    def __init__(self, core: Sender) -> None:
        self.core = core

    # MsgTransfer

    def transfer(self, ctx: Context, msg: transfer_tx.MsgTransfer) -> transfer_tx.MsgTransferResponse:
        """Lock or burn the sender's tokens and send the packet."""
        if not ledger.params(ctx).send_enabled:
            raise SendDisabled("MsgTransfer")
        sender = from_bech32(msg.sender)
        packet = _outgoing(ctx, msg, sender)
        if find_channel(ctx, msg.source_port, msg.source_channel) is None:  # then it has to be a client: IBC v2
            return transfer_tx.MsgTransferResponse(sequence=self.core.send_packet_v2(ctx, _packet_v2(msg, packet)))
        moves.leave(ctx, (PORT, msg.source_channel), sender, packet)
        sequence = self.core.send_packet(ctx, _packet(msg, packet))
        events.sent(ctx, packet)
        return transfer_tx.MsgTransferResponse(sequence=sequence)

    def update_params(self, ctx: Context, msg: transfer_tx.MsgUpdateParams) -> transfer_tx.MsgUpdateParamsResponse:
        """Switch a direction on or off; the authority's right."""
        require_authority(ctx, msg.signer)
        ledger.set_params(ctx, msg.params.send_enabled, msg.params.receive_enabled)
        return transfer_tx.MsgUpdateParamsResponse()

    # ICS-26

    def on_chan_open_init(self, ctx: Context, handshake: Handshake) -> str:
        """Accept an empty version or our own."""
        _require_channel(handshake)
        if handshake.version.strip() and handshake.version != VERSION:
            raise InvalidTransferVersion(f"expected {VERSION}, got {handshake.version[:100]!r}")
        _block_escrow(ctx, handshake)
        return VERSION

    def on_chan_open_try(self, ctx: Context, handshake: Handshake) -> str:
        """Propose our version whatever the counterparty says; the opener refuses at ack if it can't."""
        _require_channel(handshake)
        _block_escrow(ctx, handshake)
        return VERSION

    def on_chan_open_ack(self, _ctx: Context, handshake: Handshake) -> None:
        """The counterparty has to speak our version."""
        if handshake.version != VERSION:
            raise InvalidTransferVersion(f"counterparty: expected {VERSION}, got {handshake.version[:100]!r}")

    def on_chan_open_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None:
        """Nothing to do."""

    def on_chan_close_init(self, _ctx: Context, port_id: str, channel_id: str) -> None:
        """Nobody may close a channel that holds other people's tokens."""
        raise IbcInvalidRequest(f"user cannot close channel {port_id}/{channel_id}")

    def on_chan_close_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None:
        """Packets that are under way come back by timeout on close."""

    def on_recv_packet(self, ctx: Context, packet: channel.Packet, _relayer: str) -> bytes:
        """Mint vouchers or give back what was locked."""
        found: TokenPacket | None = None
        try:
            found = decode(packet.data)
            here = (packet.destination_port, packet.destination_channel)
            moves.arrive(ctx, (packet.source_port, packet.source_channel), here, found)
        except ChainError as error:
            events.received(ctx, found, str(error))
            raise
        events.received(ctx, found)
        return acknowledgement.success()

    def on_acknowledge_packet(self, ctx: Context, packet: channel.Packet, ack: bytes) -> None:
        """Refund the sender when the other chain refused."""
        answer = acknowledgement.parse(ack)
        found = decode(packet.data)
        if not answer.success:
            moves.refund(ctx, (packet.source_port, packet.source_channel), found)
        events.acknowledged(ctx, found, answer)

    def on_timeout_packet(self, ctx: Context, packet: channel.Packet) -> None:
        """Refund the sender."""
        found = decode(packet.data)
        moves.refund(ctx, (packet.source_port, packet.source_channel), found)
        events.timed_out(ctx, found)

    # Module

    def messages(self) -> Mapping[str, MessageRoute]:
        """By type URL."""
        tx = transfer_tx
        return {
            "/ibc.applications.transfer.v1.MsgTransfer": MessageRoute(
                self.transfer, tx.MsgTransfer, tx.MsgTransferResponse, "sender", check_transfer
            ),
            "/ibc.applications.transfer.v1.MsgUpdateParams": MessageRoute(
                self.update_params, tx.MsgUpdateParams, tx.MsgUpdateParamsResponse, "signer", signed(check_nothing)
            ),
        }

    def queries(self) -> Mapping[str, QueryRoute]:
        """By method path."""
        return transfer_queries()

    def init_genesis(self, ctx: Context, doc: Mapping[str, object]) -> None:
        """Optional: `params` with `send_enabled` and `receive_enabled` (default true)."""
        params = doc.get("params", {})
        if not isinstance(params, Mapping):
            raise InvalidRequest(f"transfer.params has to be an object, got {params!r}")
        send, receive = params.get("send_enabled", True), params.get("receive_enabled", True)
        if not (isinstance(send, bool) and isinstance(receive, bool)):
            raise InvalidRequest(f"transfer.params: send_enabled and receive_enabled are booleans, got {params!r}")
        ledger.set_params(ctx, send, receive)
        bank.block_recipient(ctx, ledger.MODULE_ADDRESS, PORT)

    def begin_block(self, ctx: Context) -> None:
        """Nothing is due."""

    def end_block(self, ctx: Context) -> None:
        """Nothing is left over."""


def check_transfer(msg: transfer_tx.MsgTransfer) -> None:
    """`MsgTransfer.ValidateBasic`."""
    paths.require_port_id(msg.source_port, "source port ID")
    paths.require_channel_id(msg.source_channel, "source channel ID")
    try:
        require_ledger_name(msg.token.denom)
        parse_amount(msg.token.amount)
    except (InvalidAmount, InvalidDenomForTransfer) as error:
        raise IbcInvalidCoins(f"{msg.token.amount[:100]}{msg.token.denom[:140]} ({error})") from error
    require_names(msg.sender, msg.receiver, msg.memo)


def _outgoing(ctx: Context, msg: transfer_tx.MsgTransfer, sender: bytes) -> TokenPacket:
    """What the packet will say; raises when the message can't be sent."""
    amount = _amount(ctx, msg, sender)
    packet = TokenPacket(
        denom=ledger.denom_of(ctx, msg.token.denom),
        amount=amount,
        sender=to_bech32(sender),
        receiver=msg.receiver,
        memo=msg.memo,
    )
    require_valid(packet)
    return packet


def _amount(ctx: Context, msg: transfer_tx.MsgTransfer, sender: bytes) -> int:
    amount = parse_amount(msg.token.amount)
    if amount != WHOLE_BALANCE:
        return amount
    held = bank.balance(ctx, sender, msg.token.denom)
    if held == 0:
        raise InvalidAmount(f"empty spendable balance for {msg.token.denom}")
    return held


def _packet(msg: transfer_tx.MsgTransfer, packet: TokenPacket) -> Outgoing:
    return Outgoing(
        port_id=PORT,
        channel_id=msg.source_channel,
        data=packet.encode(),
        timeout_ns=msg.timeout_timestamp,
        timeout_revision=msg.timeout_height.revision_number,
        timeout_height=msg.timeout_height.revision_height,
    )


def _packet_v2(msg: transfer_tx.MsgTransfer, packet: TokenPacket) -> channel_v2_tx.MsgSendPacket:
    """The message's timeout is in seconds here; a timeout height has no meaning."""
    encoding = msg.encoding or JSON
    payload = channel_v2.Payload(
        source_port=PORT,
        destination_port=PORT,
        version=VERSION,
        encoding=encoding,
        value=encode(packet, encoding),
    )
    return channel_v2_tx.MsgSendPacket(
        source_client=msg.source_channel,
        timeout_timestamp=msg.timeout_timestamp,
        payloads=[payload],
        signer=packet.sender,
    )


def _require_channel(handshake: Handshake) -> None:
    number = paths.number(handshake.channel_id, "channel")
    if number is None or number >= CHANNELS_MAX:
        raise MaxTransferChannels(f"{handshake.channel_id}: expected a channel number below {CHANNELS_MAX}")
    if handshake.ordering != channel.ORDER_UNORDERED:
        raise InvalidChannelOrdering(f"expected ORDER_UNORDERED channel, got ordering {handshake.ordering}")
    if handshake.port_id != PORT:
        raise InvalidPort(f"invalid port: {handshake.port_id}, expected {PORT}")


def _block_escrow(ctx: Context, handshake: Handshake) -> None:
    account = ledger.escrow_address(handshake.port_id, handshake.channel_id)
    bank.block_recipient(ctx, account, f"escrow account of {handshake.port_id}/{handshake.channel_id}")
