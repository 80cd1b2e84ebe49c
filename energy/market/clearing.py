"""The auction of a slot, cleared by the chain itself: a merge of two sorted sides in one pass, no sort.

Uniform k-double auction: trade while bid >= ask; L = max(last traded ask, first bid not filled), U = min(last traded
bid, first ask not filled); price = L + k_num * (U - L) // k_den. Where a side has no such order the slot's band
stands in: floor for L, cap for U. At the money the short side fills, the long side by sequence.
Trade reduction (McAfee): p0 = mean of the first orders that don't trade; inside [last traded ask, last traded bid] and
with both marginal orders filled, all trade at p0, else the marginal orders go, buyers pay the marginal bid, sellers get
the marginal ask. Pay as bid: the same fills, everybody at the own price. What buyers pay above what sellers get goes to
the incentive pool.

Nothing is written per order: what an order gets follows from the marginal keys by `fill_mWh`.
Source: slot protocol 2.2; equations of the concept paper, section 2.2 of the specification.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from cosmos_wire.protos import market as pb
from energy.market import keys
from energy.mechanisms.book import Order
from energy.records import u8, u16, u32, u64
from energy.units import PERMILLE
from ibc_core.host import Store

SCHEDULE_DOMAIN = b"bsmg/schedule/1"
SEAL_DOMAIN = b"bsmg/seal/2"


BookOrder = Order  # `quantity_mWh` is what a cap leaves of it


class Trade(NamedTuple):
    """An order and how much of it trades, at least 1 mWh."""

    order: BookOrder
    fill_mWh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the clearing of a slot follows: mechanism, k, and the band that bounds prices."""

    mechanism: int
    k_num: int
    k_den: int
    floor_e4: int
    cap_e4: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Outcome of the merge: trades of both sides in book order, the first order of each side that isn't filled."""

    bids: list[Trade]
    asks: list[Trade]
    open_bid: BookOrder | None
    open_ask: BookOrder | None
    bid_partly: bool
    ask_partly: bool


Caps = Mapping[tuple[int, int], int]  # (bus, side) -> mWh


def read_side(store: Store, slot: int, side: int) -> Iterator[BookOrder]:
    """The orders of a side in clearing order, read as they are asked for."""
    prefix = keys.book_prefix(slot, side)
    skip = len(prefix)
    for key, raw in store.iterate(prefix):
        entry = pb.BookEntry.FromString(raw)
        price_e4, seq = keys.price_seq_of(key[skip:], side)
        yield BookOrder(side, price_e4, seq, entry.cell, entry.bus, entry.quantity_mWh, entry.kind)


def capped(orders: Iterator[BookOrder], caps: Caps, cuts: list[pb.Cut]) -> Iterator[BookOrder]:
    """What the caps leave, in book order; `cuts` receives each cap's marginal order as it is passed.

    Caps are for flexible orders: what the others trade moves nothing on the feeder.
    """
    left = dict(caps)
    for order in orders:
        place = (order.bus, order.side)
        if order.kind or place not in left:
            yield order
            continue
        part = min(order.quantity_mWh, left[place])
        if part < order.quantity_mWh and not any((cut.bus, cut.side) == place for cut in cuts):
            cuts.append(_cut(order, caps[place], part))
        left[place] -= part
        if part:
            yield order._replace(quantity_mWh=part)


def _cut(order: BookOrder, cap_mWh: int, part_mWh: int) -> pb.Cut:
    cut = pb.Cut(bus=order.bus, cap_mWh=cap_mWh, price_e4=order.price_e4, seq=order.seq, part_mWh=part_mWh)
    cut.side = pb.SIDE_BID if order.side == keys.BID else pb.SIDE_ASK
    return cut


def merge(bids: Iterator[BookOrder], asks: Iterator[BookOrder]) -> Match:
    """Trade the best bid with the best ask while the bid is not lower."""
    bought: list[Trade] = []
    sold: list[Trade] = []
    bid, ask = next(bids, None), next(asks, None)
    bid_rest, ask_rest = _quantity(bid), _quantity(ask)
    while bid is not None and ask is not None and bid.price_e4 >= ask.price_e4:
        traded = min(bid_rest, ask_rest)
        bid_rest -= traded
        ask_rest -= traded
        if bid_rest == 0:
            bought.append(Trade(bid, bid.quantity_mWh))
            bid = next(bids, None)
            bid_rest = _quantity(bid)
        if ask_rest == 0:
            sold.append(Trade(ask, ask.quantity_mWh))
            ask = next(asks, None)
            ask_rest = _quantity(ask)
    return Match(
        bids=bought + _partly(bid, bid_rest),
        asks=sold + _partly(ask, ask_rest),
        open_bid=bid,
        open_ask=ask,
        bid_partly=bid_rest != _quantity(bid),
        ask_partly=ask_rest != _quantity(ask),
    )


def _quantity(order: BookOrder | None) -> int:
    return 0 if order is None else order.quantity_mWh


def _partly(order: BookOrder | None, rest_mWh: int) -> list[Trade]:
    if order is None or rest_mWh == order.quantity_mWh:
        return []
    return [Trade(order, order.quantity_mWh - rest_mWh)]


def price_bounds(match: Match, rules: Rules) -> tuple[int, int]:
    """L and U."""
    lower = [rules.floor_e4, *(trade.order.price_e4 for trade in match.asks[-1:])]
    upper = [rules.cap_e4, *(trade.order.price_e4 for trade in match.bids[-1:])]
    lower += [match.open_bid.price_e4] if match.open_bid is not None else []
    upper += [match.open_ask.price_e4] if match.open_ask is not None else []
    return max(lower), min(upper)


def clear(
    sides: tuple[Iterator[BookOrder], Iterator[BookOrder]], rules: Rules, caps: Caps
) -> tuple[pb.Clearing, bytes]:
    """Clear a book (bids, asks in clearing order); returns the result and the hash of its schedule."""
    cuts: list[pb.Cut] = []
    match = merge(capped(sides[0], caps, cuts), capped(sides[1], caps, cuts))
    lower, upper = price_bounds(match, rules)
    price = lower + rules.k_num * (upper - lower) // rules.k_den
    bids, asks, paid, earned = match.bids, match.asks, price, price
    if rules.mechanism == pb.MECHANISM_TRADE_REDUCTION and match.bids:
        bids, asks, paid, earned = _reduce(match)
        price = min(max(price, earned), paid)
    elif rules.mechanism == pb.MECHANISM_PAY_AS_BID:
        paid = earned = 0
    result = pb.Clearing(
        price_e4=price,
        volume_mWh=sum(trade.fill_mWh for trade in bids),
        welfare=str(_value(bids) - _value(asks)),
        cuts=sorted(cuts, key=lambda cut: (cut.bus, cut.side)),
        lower_e4=lower,
        upper_e4=upper,
        bid_price_e4=paid,
        ask_price_e4=earned,
    )
    result.mechanism = pb.Mechanism.ValueType(rules.mechanism)
    if bids:
        result.bid.CopyFrom(_marginal(bids[-1]))
        result.ask.CopyFrom(_marginal(asks[-1]))
    return result, schedule_hash(bids, asks)


def _reduce(match: Match) -> tuple[list[Trade], list[Trade], int, int]:
    """Trades, buyers' price, sellers' price by McAfee's rule, orders as its units."""
    last_bid, last_ask = match.bids[-1].order.price_e4, match.asks[-1].order.price_e4
    whole = not match.bid_partly and not match.ask_partly
    if whole and match.open_bid is not None and match.open_ask is not None:
        middle = (match.open_bid.price_e4 + match.open_ask.price_e4) // 2
        if last_ask <= middle <= last_bid:
            return match.bids, match.asks, middle, middle
    bids, asks = match.bids[:-1], match.asks[:-1]
    volume = min(sum(trade.fill_mWh for trade in bids), sum(trade.fill_mWh for trade in asks))
    return _shortened(bids, volume), _shortened(asks, volume), last_bid, last_ask


def _shortened(trades: list[Trade], volume_mWh: int) -> list[Trade]:
    kept, left = [], volume_mWh
    for trade in trades:
        if left == 0:
            break
        part = min(trade.fill_mWh, left)
        kept.append(Trade(trade.order, part))
        left -= part
    return kept


def _value(trades: list[Trade]) -> int:
    return sum(trade.order.price_e4 * trade.fill_mWh for trade in trades)


def _marginal(trade: Trade) -> pb.Marginal:
    return pb.Marginal(price_e4=trade.order.price_e4, seq=trade.order.seq, part_mWh=trade.fill_mWh)


def schedule_hash(bids: list[Trade], asks: list[Trade]) -> bytes:
    """Hash of all orders that trade, at factor 1000.

    SHA-256 of `bsmg/schedule/1` and, bids then asks in book order, 27 bytes each, big-endian: side u8, price u32,
    seq u64, cell u32, bus u16, fill u64.
    """
    parts = [SCHEDULE_DOMAIN]
    for order, fill in (*bids, *asks):
        parts += (u8(order.side), u32(order.price_e4), u64(order.seq), u32(order.cell), u16(order.bus), u64(fill))
    return sha256(b"".join(parts)).digest()


def seal_root(chain_id: str, record: pb.Slot) -> bytes:
    """What SEAL publishes.

    SHA-256 of `bsmg/seal/2`, length u16 and text of the chain id, slot u64, factor u16, export u16, voided u8,
    schedule hash.
    """
    name = chain_id.encode()
    head = SEAL_DOMAIN + u16(len(name)) + name + u64(record.slot)
    state = u16(record.factor_permille) + u16(record.export_permille) + u8(record.voided)
    return sha256(head + state + record.schedule_hash).digest()


def fill_mWh(order: BookOrder, clearing: pb.Clearing, factor_permille: int) -> int:
    """What an order of the book gets: 0 beyond a marginal order, the stored part at it, else all; then the factor."""
    marginal = clearing.bid if order.side == keys.BID else clearing.ask
    if clearing.dropped and order.seq in clearing.dropped:
        return 0
    got = _kept(order, marginal.price_e4, marginal.seq, marginal.part_mWh) if clearing.volume_mWh else 0
    for cut in clearing.cuts:
        if not order.kind and (cut.bus, cut.side) == (order.bus, order.side):
            got = min(got, _kept(order, cut.price_e4, cut.seq, cut.part_mWh))
    return got * factor_permille // PERMILLE


def _kept(order: BookOrder, price_e4: int, seq: int, part_mWh: int) -> int:
    mine, edge = (order.price_e4, order.seq), (price_e4, seq)
    if order.side == keys.BID:
        mine, edge = (-order.price_e4, order.seq), (-price_e4, seq)
    if mine == edge:
        return part_mWh
    return order.quantity_mWh if mine < edge else 0


def own_price_e4(order: BookOrder, clearing: pb.Clearing) -> int:
    """What a buyer pays, or a seller gets, for what this order traded."""
    common = clearing.bid_price_e4 if order.side == keys.BID else clearing.ask_price_e4
    return order.price_e4 if clearing.mechanism == pb.MECHANISM_PAY_AS_BID else common
