"""The module: an ICS-26 application on port `trade` and a part of the host application."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cosmos_wire.protos import channel, trade, trade_tx
from cosmos_wire.protos import trade_packet as pk
from energy.trade import (
    buyer,
    delivery,
    delivery_book,
    keys,
    offers,
    outcome,
    packets,
    records,
    reputation,
    seller,
    sweep,
)
from energy.trade.errors import ChannelNotClosable, Malformed, WrongOrdering, WrongVersion
from energy.trade.gates import require_utility
from energy.trade.params import read_params
from energy.trade.ports import Forwarder, NoSurroundings, OpenGate, Ports, SlotGate, Surroundings
from energy.trade.queries import query_routes
from ibc_core import bank
from ibc_core.host import Context, MessageRoute, QueryRoute
from ibc_core.router import Handshake, PacketSender

VERSION = "bsmg-trade-1"


class Trade:
    """Trade between chains. `sender` is IBC core; `gate` the security check; `forwarder` sends pay home by ICS-20."""

    name = "trade"

    def __init__(
        self,
        sender: PacketSender,
        gate: SlotGate | None = None,
        forwarder: Forwarder | None = None,
        around: Surroundings | None = None,
    ) -> None:
        self.ports = Ports(
            sender=sender, gate=gate or OpenGate(), forwarder=forwarder, around=around or NoSurroundings()
        )

    # Part of the host application

    def init_genesis(self, ctx: Context, doc: Mapping[str, object]) -> None:
        """Write `{"params": {...}}` after checking it, and block the module accounts as recipients."""
        given = doc.get("params")
        if sorted(doc) != ["params"] or not isinstance(given, Mapping):
            raise Malformed(f'trade: genesis is {{"params": {{...}}}}, got the keys {sorted(doc)}')
        records.save(ctx, keys.PARAMS, read_params(given))
        for name in (records.FEES, records.POOL, records.COLLATERAL):
            bank.block_recipient(ctx, bank.module_address(name), name)

    def begin_block(self, ctx: Context) -> None:
        """Deadlines that have come, before the block's transactions."""
        sweep.run(ctx, self.ports)

    def end_block(self, ctx: Context) -> None:
        """Nothing: all timed work is done at the start of a block."""

    def messages(self) -> Mapping[str, MessageRoute]:
        """Routes of bsmg.trade.v1.Msg."""
        tx = trade_tx
        return {
            "/bsmg.trade.v1.MsgPostOffer": _route(self.post_offer, tx.MsgPostOffer, tx.MsgPostOfferResponse, "seller"),
            "/bsmg.trade.v1.MsgCloseOffer": _route(
                self.close_offer, tx.MsgCloseOffer, tx.MsgCloseOfferResponse, "seller"
            ),
            "/bsmg.trade.v1.MsgLock": _route(self.lock, tx.MsgLock, tx.MsgLockResponse, "buyer"),
            "/bsmg.trade.v1.MsgPostReading": _route(
                self.post_reading, tx.MsgPostReading, tx.MsgPostReadingResponse, "utility"
            ),
            "/bsmg.trade.v1.MsgPostArbiterReading": _route(
                self.post_arbiter_reading, tx.MsgPostArbiterReading, tx.MsgPostArbiterReadingResponse, "arbiter"
            ),
            "/bsmg.trade.v1.MsgResend": _route(self.resend, tx.MsgResend, tx.MsgResendResponse, "sender"),
            "/bsmg.trade.v1.MsgPostReputation": _route(
                self.post_reputation, tx.MsgPostReputation, tx.MsgPostReputationResponse, "utility"
            ),
        }

    def queries(self) -> Mapping[str, QueryRoute]:
        """Routes of bsmg.trade.v1.Query."""
        return query_routes()

    def post_offer(self, ctx: Context, msg: trade_tx.MsgPostOffer) -> trade_tx.MsgPostOfferResponse:
        """Deposit collateral and broadcast an offer."""
        return offers.post(ctx, self.ports, msg)

    def close_offer(self, ctx: Context, msg: trade_tx.MsgCloseOffer) -> trade_tx.MsgCloseOfferResponse:
        """Withdraw the rest of an offer."""
        require_utility(records.params(ctx), msg.seller)
        return offers.close_by_seller(ctx, msg)

    def lock(self, ctx: Context, msg: trade_tx.MsgLock) -> trade_tx.MsgLockResponse:
        """Escrow and lock a heard offer."""
        return buyer.lock(ctx, self.ports, msg)

    def post_reading(self, ctx: Context, msg: trade_tx.MsgPostReading) -> trade_tx.MsgPostReadingResponse:
        """The tie line's total: export where this chain sells in the slot, import where it buys."""
        require_utility(records.params(ctx), msg.utility)
        if delivery_book.find(ctx, msg.channel_id, msg.slot) is not None:
            delivery.post_export(ctx, self.ports, msg)
        else:
            outcome.post_import(ctx, self.ports, msg)
        return trade_tx.MsgPostReadingResponse()

    def post_arbiter_reading(
        self, ctx: Context, msg: trade_tx.MsgPostArbiterReading
    ) -> trade_tx.MsgPostArbiterReadingResponse:
        """The arbiter's word in a dispute."""
        delivery.post_arbiter(ctx, self.ports, msg)
        return trade_tx.MsgPostArbiterReadingResponse()

    def resend(self, ctx: Context, msg: trade_tx.MsgResend) -> trade_tx.MsgResendResponse:
        """Send again what an inactive client kept from being sent. Anybody may ask: it changes no outcome."""
        if msg.contract_id:
            seller.resend(ctx, self.ports, msg)
        else:
            outcome.resend_meter(ctx, self.ports, msg)
        return trade_tx.MsgResendResponse()

    def post_reputation(self, ctx: Context, msg: trade_tx.MsgPostReputation) -> trade_tx.MsgPostReputationResponse:
        """Tell the other chain what this one's books say of it."""
        require_utility(records.params(ctx), msg.utility)
        return reputation.post(ctx, self.ports, msg)

    def slot_voided(self, ctx: Context, slot: int) -> None:
        """The own market sealed a slot without a certified schedule; called by the market."""
        for key, _ in list(ctx.app.iterate(keys.CHANNELS)):
            seller.slot_voided(ctx, self.ports, key[len(keys.CHANNELS) :].decode(), slot)

    def remove(self, ctx: Context, channel_id: str, contract_id: bytes) -> None:
        """The security check takes an ACTIVE contract of S out before T0; for other modules, not a message."""
        seller.remove(ctx, self.ports, channel_id, contract_id)

    # ICS-26: channels

    def on_chan_open_init(self, ctx: Context, handshake: Handshake) -> str:
        """Propose `bsmg-trade-1`; an opener that leaves the version empty leaves the choice."""
        return self._open(ctx, handshake, handshake.version or VERSION)

    def on_chan_open_try(self, ctx: Context, handshake: Handshake) -> str:
        """Answer with the same version."""
        return self._open(ctx, handshake, handshake.version)

    def on_chan_open_ack(self, ctx: Context, handshake: Handshake) -> None:
        """The counterparty's version has to be the same."""
        _require_version(handshake.version)
        ctx.app.set(keys.channel(handshake.channel_id), records.OPEN)

    def on_chan_open_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None:  # noqa: ARG002
        """The channel takes offers and locks."""
        ctx.app.set(keys.channel(channel_id), records.OPEN)

    def _open(self, ctx: Context, handshake: Handshake, version: str) -> str:
        if handshake.ordering != channel.ORDER_UNORDERED:
            raise WrongOrdering(f"a trade channel is UNORDERED, asked for {handshake.ordering}")
        _require_version(version)
        name = records.escrow_name(handshake.channel_id)
        bank.block_recipient(ctx, bank.module_address(name), name)
        return VERSION

    def on_chan_close_init(self, ctx: Context, port_id: str, channel_id: str) -> None:  # noqa: ARG002
        """Never: contracts would lose their way to an outcome."""
        raise ChannelNotClosable(f"trade channels stay open, asked to close {channel_id}")

    def on_chan_close_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None:  # noqa: ARG002
        """The counterparty closed: nothing new is made, the clocks end the rest."""
        ctx.app.set(keys.channel(channel_id), records.CLOSED)

    # ICS-26: packets

    def on_recv_packet(self, ctx: Context, packet: channel.Packet, relayer: str) -> bytes:  # noqa: ARG002
        """Act by the tables; a refusal becomes an error acknowledgement."""
        data = packets.decode(packet.data)
        here = packet.destination_channel
        match data.WhichOneof("packet"):
            case "offer":
                offers.hear(ctx, self.ports, here, data.offer)
            case "lock":
                return packets.result_ack(seller.recv_lock(ctx, self.ports, here, data.lock))
            case "equivalence":
                return packets.result_ack(seller.recv_equivalence(ctx, self.ports, here, data.equivalence))
            case "meter":
                delivery.recv_meter(ctx, self.ports, here, data.meter)
            case "settlement":
                outcome.recv_settlement(ctx, self.ports, here, data.settlement)
            case _:
                reputation.hear(ctx, here, data.reputation)
        return packets.result_ack(pk.Empty())

    def on_acknowledge_packet(self, ctx: Context, packet: channel.Packet, ack: bytes) -> None:
        """Outcome of an own packet; what doesn't decode has no effect, the clock resolves the rest."""
        data, answer, here = packets.decode(packet.data), packets.decode_ack(ack), packet.source_channel
        if answer is None:
            return
        match data.WhichOneof("packet"):
            case "lock":
                buyer.on_lock_ack(ctx, here, data.lock, answer)
            case "equivalence":
                buyer.on_equivalence_ack(ctx, here, data.equivalence, answer)
            case "meter":
                outcome.on_meter_ack(ctx, here, data.meter, answer)
            case "settlement":
                found = trade.CONFIRMATION_CONFIRMED if answer.ok else trade.CONFIRMATION_REFUSED
                seller.on_settlement_outcome(ctx, here, data.settlement, found)

    def on_timeout_packet(self, ctx: Context, packet: channel.Packet) -> None:
        """An own packet was never received; also when the channel was closed over it."""
        data, here = packets.decode(packet.data), packet.source_channel
        match data.WhichOneof("packet"):
            case "lock":
                buyer.on_lock_timeout(ctx, here, data.lock)
            case "equivalence":
                buyer.on_equivalence_timeout(ctx, here, data.equivalence)
            case "settlement":
                seller.on_settlement_outcome(ctx, here, data.settlement, trade.CONFIRMATION_LAPSED)


def _route(handle: Callable[..., object], request: type, response: type, signer: str) -> MessageRoute:
    return MessageRoute(handle=handle, request=request, response=response, signer=signer)


def _require_version(version: str) -> None:
    if version != VERSION:
        raise WrongVersion(f"expected version {VERSION}, got {version[:64]!r}")
