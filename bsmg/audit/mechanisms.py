"""The audit's own mechanisms beyond the merge, written from docs/market.md by definition: searches and sums.

Each gives what orders got as (energy, amount) by sequence. Grid fees are not known here: see `area_mechanisms`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from bsmg.audit import auction
from bsmg.audit.auction import ASK, BID, UNIFORM_K, Order, Outcome, Rules, fills_of, sorted_side

LAO, FRO, DISCRIMINATORY_K, VICKREY, VCG, GREEDY, TARIFF, MUDA, HUANG = range(4, 13)
SUBSIDISED = (VICKREY, VCG)

Got = dict[int, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a clearing looks at besides the book."""

    scores: Mapping[int, int]  # by cell
    thresholds: Mapping[int, int]  # by sequence of a bid
    tariff_e4: int
    chain_id: str
    slot: int


def run(orders: Sequence[Order], rules: Rules, facts: Facts) -> Outcome:
    """Clear a book by any mechanism."""
    if rules.mechanism in (LAO, FRO):
        rules = replace(rules, k_num=int(rules.mechanism == FRO), k_den=1)
    if rules.mechanism not in RULES:
        return auction.run(orders, rules)
    return outcome_of(orders, rules, RULES[rules.mechanism](orders, rules, facts))


def outcome_of(orders: Sequence[Order], rules: Rules, got: Got) -> Outcome:
    """What orders got, added up."""
    sign = {BID: 1, ASK: -1}
    volume = sum(got[o.seq][0] for o in orders if o.side == BID and o.seq in got)
    earned = sum(got[o.seq][1] for o in orders if o.side == ASK and o.seq in got)
    paid = sum(got[o.seq][1] for o in orders if o.side == BID and o.seq in got)
    return Outcome(
        price_e4=min(earned // volume, rules.cap_e4) if volume else _idle_price(orders, rules),
        volume_mWh=volume,
        welfare=sum(sign[o.side] * o.price_e4 * got[o.seq][0] for o in orders if o.seq in got),
        fills={seq: energy for seq, (energy, _) in got.items() if energy},
        buyers_e4=0,
        sellers_e4=0,
        amounts={seq: amount for seq, (_, amount) in got.items()},
        subsidy=max(0, earned - paid),
    )


def _idle_price(orders: Sequence[Order], rules: Rules) -> int:
    bid = max([rules.floor_e4] + [o.price_e4 for o in orders if o.side == BID])
    ask = min([rules.cap_e4] + [o.price_e4 for o in orders if o.side == ASK])
    low, high = sorted((bid, ask))
    return low + rules.k_num * (high - low) // rules.k_den


def _plain(orders: Sequence[Order], rules: Rules) -> Outcome:
    return auction.run(orders, replace(rules, mechanism=UNIFORM_K))


def discriminatory(orders: Sequence[Order], rules: Rules, _facts: Facts) -> Got:
    """Unit by unit, a stretch of equal pairs at a time."""
    fills = _plain(orders, rules).fills
    sides = [[o for o in sorted_side(orders, side) if o.seq in fills] for side in (BID, ASK)]
    amounts = dict.fromkeys(fills, 0)
    at, left = [0, 0], [fills[side[0].seq] if side else 0 for side in sides]
    while all(place < len(side) for place, side in zip(at, sides, strict=True)):
        bid, ask = sides[0][at[0]], sides[1][at[1]]
        step = min(left)
        price = ask.price_e4 + rules.k_num * (bid.price_e4 - ask.price_e4) // rules.k_den
        amounts[bid.seq] += price * step
        amounts[ask.seq] += price * step
        for which in (0, 1):
            left[which] -= step
            if left[which] == 0:
                at[which] += 1
                left[which] = fills[sides[which][at[which]].seq] if at[which] < len(sides[which]) else 0
    return {seq: (fills[seq], amounts[seq]) for seq in fills}


def with_gains(orders: Sequence[Order], fills: Mapping[int, int], gains: Mapping[int, int]) -> Got:
    """Own prices; a cell's gain goes on its asks by energy, or else its bids by value; the last takes the rest."""
    got = {o.seq: (fills[o.seq], o.price_e4 * fills[o.seq]) for o in orders if o.seq in fills}
    for cell, gain in gains.items():
        own = [o for o in orders if o.cell == cell and o.seq in got]
        takers = sorted_side(own, ASK) or sorted_side(own, BID)
        weights = [got[o.seq][0] if o.side == ASK else got[o.seq][1] for o in takers]
        parts = [gain * weight // max(1, sum(weights)) for weight in weights]
        parts[-1] = gain - sum(parts[:-1])
        for order, part in zip(takers, parts, strict=True):
            energy, amount = got[order.seq]
            got[order.seq] = energy, amount + (part if order.side == ASK else -part)
    return got


def vcg(orders: Sequence[Order], rules: Rules, _facts: Facts) -> Got:
    """A cell gains what the others' best welfare is less than everybody's."""
    best = _plain(orders, rules)
    cells = {o.cell for o in orders if o.seq in best.fills}
    gains = {c: best.welfare - _plain([o for o in orders if o.cell != c], rules).welfare for c in cells}
    return with_gains(orders, best.fills, gains)


def vickrey(orders: Sequence[Order], rules: Rules, _facts: Facts) -> Got:
    """Sellers get the lowest rejected asks of the others, the cap where they run out; buyers pay one price."""
    plain = _plain(orders, rules)
    asks = sorted_side(orders, ASK)
    gains = {}
    for cell in {o.cell for o in asks if o.seq in plain.fills}:
        own = [o for o in asks if o.cell == cell and o.seq in plain.fills]
        wanted = sum(plain.fills[o.seq] for o in own)
        others = [o for o in asks if o.cell != cell]
        rests = [o.quantity_mWh - plain.fills.get(o.seq, 0) for o in others]
        taken = [min(rest, max(0, wanted - sum(rests[:at]))) for at, rest in enumerate(rests)]
        paid = sum(o.price_e4 * energy for o, energy in zip(others, taken, strict=True))
        paid += rules.cap_e4 * (wanted - sum(taken))
        gains[cell] = paid - sum(o.price_e4 * plain.fills[o.seq] for o in own)
    sold = with_gains(asks, plain.fills, gains)
    bought = {o.seq: plain.fills[o.seq] for o in orders if o.side == BID and o.seq in plain.fills}
    return {**sold, **{seq: (energy, plain.price_e4 * energy) for seq, energy in bought.items()}}


def greedy(orders: Sequence[Order], _rules: Rules, facts: Facts) -> Got:
    """Every buyer looks at every producer."""
    left = {o.seq: o.quantity_mWh for o in orders}
    got: Got = {}
    asks = sorted((o for o in orders if o.side == ASK), key=lambda o: (o.price_e4, -facts.scores[o.cell], o.seq))
    for bid in sorted_side(orders, BID):
        for ask in asks:
            trusted = facts.scores[ask.cell] >= facts.thresholds.get(bid.seq, 0)
            energy = min(left[bid.seq], left[ask.seq]) if trusted and ask.price_e4 <= bid.price_e4 else 0
            for order in (bid, ask) if energy else ():
                before = got.get(order.seq, (0, 0))
                got[order.seq] = before[0] + energy, before[1] + ask.price_e4 * energy
                left[order.seq] -= energy
    return got


def _up_to(orders: Sequence[Order], volume_mWh: int, price_e4: int) -> Got:
    return {
        order.seq: (fill, fill * price_e4)
        for order, fill in zip(orders, fills_of(orders, volume_mWh), strict=True)
        if fill
    }


def tariff(orders: Sequence[Order], _rules: Rules, facts: Facts) -> Got:
    """Who accepts, first come first served."""
    price = facts.tariff_e4
    ranked = sorted(orders, key=lambda o: o.seq)
    bids = [o for o in ranked if o.side == BID and o.price_e4 >= price]
    asks = [o for o in ranked if o.side == ASK and o.price_e4 <= price]
    volume = min(sum(o.quantity_mWh for o in side) for side in (bids, asks))
    return {**_up_to(bids, volume, price), **_up_to(asks, volume, price)}


def halves_of(orders: Sequence[Order], facts: Facts) -> list[list[Order]]:
    """The two halves of the cells' orders."""
    name = facts.chain_id.encode()
    head = b"bsmg/muda-seed/1" + len(name).to_bytes(2, "big") + name + facts.slot.to_bytes(8, "big")
    coin = b"bsmg/muda/1" + sha256(head).digest()
    halves: list[list[Order]] = [[], []]
    for order in orders:
        halves[sha256(coin + order.cell.to_bytes(4, "big")).digest()[0] >= 128].append(order)
    return halves


def muda(orders: Sequence[Order], rules: Rules, facts: Facts) -> Got:
    """Both halves at each other's price."""
    halves = halves_of(orders, facts)
    prices = [_plain(half, rules).price_e4 for half in halves]
    return {**_half(halves[0], prices[1]), **_half(halves[1], prices[0])}


def _half(orders: Sequence[Order], price_e4: int) -> Got:
    bids = [o for o in sorted_side(orders, BID) if o.price_e4 >= price_e4]
    asks = [o for o in sorted_side(orders, ASK) if o.price_e4 <= price_e4]
    volume = min(sum(o.quantity_mWh for o in side) for side in (bids, asks))
    got = {**_up_to(bids, volume, price_e4), **_up_to(asks, volume, price_e4)}
    for side in (bids, asks):
        if sum(o.quantity_mWh for o in side) > volume:
            _charge(side, volume, (got, price_e4))
    return got


def _charge(side: Sequence[Order], volume_mWh: int, half: tuple[Got, int]) -> None:
    """A cell pays what the others would gain in its place."""
    got, price = half
    for cell in {o.cell for o in side if o.seq in got}:
        others = [o for o in side if o.cell != cell]
        alone = sum(abs(o.price_e4 - price) * f for o, f in zip(others, fills_of(others, volume_mWh), strict=True))
        due = alone - sum(abs(o.price_e4 - price) * got[o.seq][0] for o in others if o.seq in got)
        for order in [o for o in side if o.cell == cell and o.seq in got]:
            energy, amount = got[order.seq]
            part = min(due, abs(order.price_e4 - price) * energy)
            due -= part
            got[order.seq] = energy, amount + (part if order.side == BID else -part)


def huang(orders: Sequence[Order], rules: Rules, _facts: Facts) -> Got:
    """The marginal orders set the prices and stay out."""
    fills = _plain(orders, rules).fills
    if not fills:
        return {}
    bid = min(o.price_e4 for o in orders if o.side == BID and o.seq in fills)
    ask = max(o.price_e4 for o in orders if o.side == ASK and o.seq in fills)
    bids = {o.seq: o.quantity_mWh for o in orders if o.side == BID and o.price_e4 > bid}
    asks = {o.seq: o.quantity_mWh for o in orders if o.side == ASK and o.price_e4 < ask}
    volume = min(sum(bids.values()), sum(asks.values()))
    kept = {**_less(bids, sum(bids.values()) - volume), **_less(asks, sum(asks.values()) - volume)}
    return {seq: (energy, energy * (bid if seq in bids else ask)) for seq, energy in kept.items() if energy}


def _less(energy: dict[int, int], gap_mWh: int) -> dict[int, int]:
    """All give up alike; who has less than its share drops out."""
    alive = dict(energy)
    while gap_mWh and alive:
        seq = min(alive, key=lambda one: (alive[one], -one))
        if alive[seq] * len(alive) >= gap_mWh:
            break
        gap_mWh -= alive.pop(seq)
    share, rest = divmod(gap_mWh, len(alive)) if alive else (0, 0)
    late = sorted(alive, reverse=True)[:rest]
    return {seq: own - share - (seq in late) for seq, own in alive.items()}


RULES: Mapping[int, Callable[[Sequence[Order], Rules, Facts], Got]] = {
    DISCRIMINATORY_K: discriminatory,
    VICKREY: vickrey,
    VCG: vcg,
    GREEDY: greedy,
    TARIFF: tariff,
    MUDA: muda,
    HUANG: huang,
}
