"""Offers: posted on S with their collateral, heard on B, closed when no contract on them can be activated."""

from __future__ import annotations

from hashlib import sha256

from cosmos_wire.address import from_bech32
from cosmos_wire.protos import trade, trade_tx
from cosmos_wire.protos import trade_packet as pk
from energy.trade import gates, keys, packets, records
from energy.trade.arithmetic import collateral_for
from energy.trade.clock import SlotTimes, slot_times, timeout_ns
from energy.trade.errors import DuplicateContract, Malformed, NotAllowed, TooMany, UnknownOffer
from energy.trade.params import terms_for
from energy.trade.ports import Ports
from ibc_core import bank
from ibc_core.host import Context

OPEN_OFFERS_MAX = 1_024
OFFERS_PER_SELLER_AND_SLOT_MAX = 16
CHANNELS_PER_OFFER_MAX = 16
COLLATERAL_ADDRESS = bank.module_address(records.COLLATERAL)


def digest(*parts: bytes) -> bytes:
    """SHA-256 of parts behind their lengths, so that no two lists of parts share one."""
    return sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


def offer_from(ctx: Context, msg: trade_tx.MsgPostOffer) -> pk.Offer:
    """The packet that a message asks for."""
    ident = digest(ctx.env.chain_id.encode(), msg.seller.encode(), keys.u64(msg.slot), keys.u64(msg.nonce))
    return pk.Offer(
        offer_id=ident,
        side=pk.SIDE_SELL,
        slot=msg.slot,
        energy_mwh=msg.energy_mwh,
        price_e4=msg.price_e4,
        rate=msg.rate,
        level=msg.level,
        bus=msg.bus,
        reputation_milli_min=msg.reputation_milli_min,
        resale=msg.resale,
        only_channel=msg.channels[0] if msg.only_first_channel and msg.channels else "",
        seller_payee=msg.seller_payee,
        forward=msg.forward,
    )


def post(ctx: Context, ports: Ports, msg: trade_tx.MsgPostOffer) -> trade_tx.MsgPostOfferResponse:
    """Deposit the collateral for the whole energy and send OFFER on every named channel."""
    params = records.params(ctx)
    gates.require_utility(params, msg.seller)
    offer = offer_from(ctx, msg)
    packets.check_offer(offer)
    terms = terms_for(params, msg.level, "")
    times = slot_times(terms, msg.slot)
    gates.require_before(ctx, times.lock_ms, "an offer")
    _check_channels(ctx, ports, list(msg.channels), msg.level)
    deposit = collateral_for(terms.penalty_ppm, msg.price_e4, msg.energy_mwh)
    if msg.energy_mwh:
        _check_open(ctx, msg, offer)
        _keep(ctx, trade.OfferRecord(offer=offer, seller=msg.seller, collateral=str(deposit)), times)
    for channel_id in msg.channels:
        records.send(ctx, ports, channel_id, pk.TradePacketData(offer=offer), timeout_ns(times.lock_ms))
        _emit(ctx, channel_id, offer, "OPEN")
    return trade_tx.MsgPostOfferResponse(offer_id=offer.offer_id, collateral=str(deposit))


def _check_channels(ctx: Context, ports: Ports, channels: list[str], level: int) -> None:
    if not 0 < len(channels) <= CHANNELS_PER_OFFER_MAX or len(dict.fromkeys(channels)) != len(channels):
        raise Malformed(f"an offer names 1..{CHANNELS_PER_OFFER_MAX} different channels, got {len(channels)}")
    for channel_id in channels:
        require_open(ctx, channel_id)
        gates.require_level(ctx, ports, channel_id, level)


def require_open(ctx: Context, channel_id: str) -> None:
    """Refuse what is new on a channel that was never opened here, or was closed by the counterparty."""
    if len(channel_id) > packets.CHANNEL_CHARS_MAX or ctx.app.get(keys.channel(channel_id)) != records.OPEN:
        raise NotAllowed(f"{channel_id[:70]!r} is not an open channel of the trade port")


def _check_open(ctx: Context, msg: trade_tx.MsgPostOffer, offer: pk.Offer) -> None:
    if not msg.seller_payee:
        raise Malformed("an offer of energy names the account on the buyer's chain that is paid")
    if ctx.app.get(keys.offer(offer.offer_id)) is not None:
        raise DuplicateContract(f"offer {offer.offer_id.hex()} is open already")
    if records.counter(ctx, keys.OPEN_OFFERS) >= OPEN_OFFERS_MAX:
        raise TooMany(f"a chain has at most {OPEN_OFFERS_MAX} open offers")
    if records.count_keys(ctx, keys.offers_of_seller(msg.slot, msg.seller)) >= OFFERS_PER_SELLER_AND_SLOT_MAX:
        raise TooMany(f"a utility cell has at most {OFFERS_PER_SELLER_AND_SLOT_MAX} offers a slot")


def _keep(ctx: Context, record: trade.OfferRecord, times: SlotTimes) -> None:
    offer = record.offer
    record.remaining_mwh = offer.energy_mwh
    deposit = (records.params(ctx).denom, int(record.collateral))
    records.move(ctx, from_bech32(record.seller), COLLATERAL_ADDRESS, deposit)
    records.save(ctx, keys.offer(offer.offer_id), record)
    ctx.app.set(keys.offers_of_seller(offer.slot, record.seller) + offer.offer_id, records.PRESENT)
    records.add_to(ctx, keys.OPEN_OFFERS, 1)
    due = keys.Due(
        time_ms=times.act_ms, kind=keys.DueKind.OFFER_END, channel_id="", slot=offer.slot, ident=offer.offer_id
    )
    records.schedule(ctx, due)


def find(ctx: Context, offer_id: bytes) -> trade.OfferRecord:
    """An own open offer; raises UnknownOffer."""
    found = records.load(ctx, keys.offer(offer_id), trade.OfferRecord)
    if found is None:
        raise UnknownOffer(f"no open offer {offer_id.hex()}")
    return found


def close_by_seller(ctx: Context, msg: trade_tx.MsgCloseOffer) -> trade_tx.MsgCloseOfferResponse:
    """Withdraw what nobody has reserved."""
    record = find(ctx, msg.offer_id)
    if record.seller != msg.seller:
        raise NotAllowed(f"the offer is of {record.seller}, not of {msg.seller}")
    _close(ctx, record)
    return trade_tx.MsgCloseOfferResponse(refund=record.collateral)


def end_due(ctx: Context, due: keys.Due) -> None:
    """T_act of an own offer: nothing on it can become ACTIVE any more."""
    record = records.load(ctx, keys.offer(due.ident), trade.OfferRecord)
    if record is not None:
        _close(ctx, record)


def _close(ctx: Context, record: trade.OfferRecord) -> None:
    offer = record.offer
    rest = (records.params(ctx).denom, int(record.collateral))
    records.move(ctx, COLLATERAL_ADDRESS, from_bech32(record.seller), rest)
    ctx.app.delete(keys.offer(offer.offer_id))
    ctx.app.delete(keys.offers_of_seller(offer.slot, record.seller) + offer.offer_id)
    records.add_to(ctx, keys.OPEN_OFFERS, -1)
    _emit(ctx, "", offer, "CLOSED")


def hear(ctx: Context, ports: Ports, channel_id: str, offer: pk.Offer) -> None:
    """B learns of an offer; it is kept until T_act."""
    gates.require_level(ctx, ports, channel_id, offer.level)
    times = slot_times(terms_for(records.params(ctx), offer.level, channel_id), offer.slot)
    gates.require_before(ctx, times.lock_ms, "an offer")
    key = keys.heard(channel_id, offer.offer_id)
    if ctx.app.get(key) is not None:
        raise DuplicateContract(f"offer {offer.offer_id.hex()} was heard already")
    if records.counter(ctx, keys.heard_count(channel_id)) >= OPEN_OFFERS_MAX:
        raise TooMany(f"a channel has at most {OPEN_OFFERS_MAX} heard offers")
    records.save(ctx, key, trade.OfferRecord(offer=offer, remaining_mwh=offer.energy_mwh, channel_id=channel_id))
    records.add_to(ctx, keys.heard_count(channel_id), 1)
    due = keys.Due(
        time_ms=times.act_ms, kind=keys.DueKind.HEARD_END, channel_id=channel_id, slot=offer.slot, ident=offer.offer_id
    )
    records.schedule(ctx, due)
    _emit(ctx, channel_id, offer, "HEARD")


def heard_end_due(ctx: Context, due: keys.Due) -> None:
    """T_act of a heard offer: forget it."""
    ctx.app.delete(keys.heard(due.channel_id, due.ident))
    records.add_to(ctx, keys.heard_count(due.channel_id), -1)


def find_heard(ctx: Context, channel_id: str, offer_id: bytes) -> pk.Offer:
    """An offer to sell that was heard on a channel; raises UnknownOffer."""
    found = records.load(ctx, keys.heard(channel_id, offer_id), trade.OfferRecord)
    if found is None or found.offer.side != pk.SIDE_SELL or not found.offer.energy_mwh:
        raise UnknownOffer(f"no offer {offer_id.hex()} of energy was heard on {channel_id}")
    return found.offer


def _emit(ctx: Context, channel_id: str, offer: pk.Offer, state: str) -> None:
    where, size = (channel_id, offer.slot, b""), offer.energy_mwh
    more = {"energy_mwh": size, "price_e4": offer.price_e4, "level": offer.level}
    records.emit(ctx, "trade_offer", where, state, offer_id=offer.offer_id.hex(), **more)
