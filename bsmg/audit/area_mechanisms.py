"""The audit's own mechanisms under grid fees by area, written from docs/market.md.

Those that trade efficiently solve for the trade first (`areas`); matches charge each pair's fee; those that need one
order of merit run on prices less each end's share of an additive envelope of the fees. A trade's whole fee stands
with its buyer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bsmg.audit import auction, mechanisms
from bsmg.audit.areas import Ground, Queue, area_prices, efficient, matched, pairs
from bsmg.audit.auction import ASK, BID, PAY_AS_BID, TRADE_REDUCTION, UNIFORM_K, Order, Outcome, Rules, sorted_side
from bsmg.audit.mechanisms import Facts, Got


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a clearing looks at."""

    orders: Sequence[Order]
    rules: Rules
    facts: Facts
    ground: Ground


@dataclass(slots=True, kw_only=True)
class Awards:
    """Energy and amount by sequence, and what of a buyer's amount is its grid fee."""

    got: Got = field(default_factory=dict)
    fees: dict[int, int] = field(default_factory=dict)

    def add(self, order: Order, energy_mWh: int, amount: int) -> None:
        """One more part of an order."""
        before = self.got.get(order.seq, (0, 0))
        self.got[order.seq] = before[0] + energy_mWh, before[1] + amount

    def charge(self, bid: Order, fee: int) -> None:
        """Grid fee of a part of a bid."""
        self.fees[bid.seq] = self.fees.get(bid.seq, 0) + fee

    def pair(self, pair: tuple[Order, Order, int], price_e4: int, fee_e4: int) -> None:
        """A pair at a price for the seller; the buyer pays the fee on top."""
        ask, bid, energy = pair
        self.add(ask, energy, price_e4 * energy)
        self.add(bid, energy, (price_e4 + fee_e4) * energy)
        self.charge(bid, fee_e4 * energy)


def run(orders: Sequence[Order], rules: Rules, facts: Facts, ground: Ground) -> Outcome:
    """Clear a book by any mechanism under fees."""
    if rules.mechanism in (mechanisms.LAO, mechanisms.FRO):
        rules = replace(rules, k_num=int(rules.mechanism == mechanisms.FRO), k_den=1)
    case = Case(orders=orders, rules=rules, facts=facts, ground=ground)
    found = RULES[rules.mechanism](case)
    charged = sum(found.fees.values())
    made = mechanisms.outcome_of(orders, rules, found.got)
    paid = sum(found.got[o.seq][1] for o in orders if o.side == BID and o.seq in found.got)
    earned = sum(found.got[o.seq][1] for o in orders if o.side == ASK and o.seq in found.got)
    subsidy = max(0, earned + charged - paid)
    return replace(made, welfare=made.welfare - charged, subsidy=subsidy, grid_fees=found.fees)


# --- by the efficient trade ----------------------------------------------------------------------------------------


def _at_prices(case: Case, price_of: Callable[[Order], int]) -> Awards:
    """The efficient trade, with its fees, at some price of every order."""
    trade, made = efficient(case.orders, case.ground), Awards()
    for order in case.orders:
        if order.seq in trade.fills:
            made.add(order, trade.fills[order.seq], price_of(order) * trade.fills[order.seq])
    for ask, bid, energy in pairs(case.orders, trade, case.ground):
        made.charge(bid, case.ground.fee(ask, bid) * energy)
    return made


def uniform(case: Case) -> Awards:
    """A price an area and side."""
    trade = efficient(case.orders, case.ground)
    prices = area_prices(case.orders, trade, case.rules, case.ground)
    return _at_prices(case, lambda order: prices[order.side, case.ground.area(order)])


def pay_as_bid(case: Case) -> Awards:
    """Everybody at the own limit."""
    return _at_prices(case, lambda order: order.price_e4)


def discriminatory(case: Case) -> Awards:
    """Each pair at a price of its own, between the ask and what the fee leaves of the bid."""
    made, rules = Awards(), case.rules
    for pair in pairs(case.orders, efficient(case.orders, case.ground), case.ground):
        ask, bid, _ = pair
        fee = case.ground.fee(ask, bid)
        price = ask.price_e4 + rules.k_num * (bid.price_e4 - fee - ask.price_e4) // rules.k_den
        made.pair(pair, price, fee)
    return made


def _worth(orders: Sequence[Order], ground: Ground) -> int:
    """The greatest welfare after fees."""
    trade = efficient(orders, ground)
    signs = {BID: 1, ASK: -1}
    value = sum(signs[o.side] * o.price_e4 * trade.fills.get(o.seq, 0) for o in orders)
    return value - sum(ground.fees.pair[i][j] * flow for (i, j), flow in trade.flows.items())


def vcg(case: Case) -> Awards:
    """A cell gains what the others' best welfare is less than everybody's."""
    made, best = pay_as_bid(case), _worth(case.orders, case.ground)
    cells = sorted({o.cell for o in case.orders if o.seq in made.got})
    gains = {cell: best - _worth([o for o in case.orders if o.cell != cell], case.ground) for cell in cells}
    fills = {seq: energy for seq, (energy, _) in made.got.items()}
    return Awards(got=mechanisms.with_gains(case.orders, fills, gains), fees=made.fees)


def vickrey(case: Case) -> Awards:
    """Buyers as in the uniform auction; a seller gains what its asks spare a demand that is fixed."""
    made = uniform(case)
    fills = {seq: energy for seq, (energy, _) in made.got.items()}
    served = [o for o in case.orders if o.side == BID and o.seq in fills]
    demand = [replace(o, price_e4=case.rules.cap_e4, quantity_mWh=fills[o.seq]) for o in served]
    asks = sorted_side(case.orders, ASK)
    best = _worth([*demand, *asks], case.ground)
    sellers = sorted({o.cell for o in asks if o.seq in fills})
    gains = {cell: best - _worth([*demand, *(o for o in asks if o.cell != cell)], case.ground) for cell in sellers}
    return Awards(got=made.got | mechanisms.with_gains(asks, fills, gains), fees=made.fees)


# --- by pairs -------------------------------------------------------------------------------------------------------


def _served(
    case: Case, bids: Iterable[Order], ranked: Callable[[Order], list[Order]], price_of: Mapping[int, int]
) -> Awards:
    """Each bid looks at all asks in its own order, while ask and fee are within its limit."""
    left, made = {o.seq: o.quantity_mWh for o in case.orders}, Awards()
    for bid in bids:
        for ask in ranked(bid):
            fee, price = case.ground.fee(ask, bid), price_of[ask.seq]
            energy = min(left[bid.seq], left[ask.seq])
            if energy and price + fee <= bid.price_e4:
                made.pair((ask, bid, energy), price, fee)
                left[bid.seq] -= energy
                left[ask.seq] -= energy
    return made


def greedy(case: Case) -> Awards:
    """Buyers by price; producers that they trust by what a unit costs them, by score, by sequence."""
    facts, asks = case.facts, [o for o in case.orders if o.side == ASK]

    def ranked(bid: Order) -> list[Order]:
        trusted = [ask for ask in asks if facts.scores[ask.cell] >= facts.thresholds.get(bid.seq, 0)]
        return sorted(
            trusted, key=lambda ask: (ask.price_e4 + case.ground.fee(ask, bid), -facts.scores[ask.cell], ask.seq)
        )

    return _served(case, sorted_side(case.orders, BID), ranked, {ask.seq: ask.price_e4 for ask in asks})


def tariff(case: Case) -> Awards:
    """First come, first served; each buyer from the area with the least fee, there from the first seller."""
    price, ground = case.facts.tariff_e4, case.ground
    asks = [o for o in case.orders if o.side == ASK and o.price_e4 <= price]

    def ranked(bid: Order) -> list[Order]:
        return sorted(asks, key=lambda ask: (ground.fee(ask, bid), ground.area(ask), ask.seq))

    bids = sorted((o for o in case.orders if o.side == BID), key=lambda o: o.seq)
    return _served(case, bids, ranked, dict.fromkeys((ask.seq for ask in asks), price))


# --- by one order of merit ------------------------------------------------------------------------------------------


def _net(case: Case, order: Order) -> Order:
    """The same order where all areas meet."""
    fees, area = case.ground.fees, case.ground.area(order)
    share = fees.sell[area] if order.side == ASK else -fees.buy[area]
    return replace(order, price_e4=order.price_e4 + share)


def _gross(case: Case, net: Sequence[Order], got: Got) -> Awards:
    """Amounts with each end's share of the envelope again; fees as the best ask serves the best bid."""
    fees, made = case.ground.fees, Awards()
    queues = {BID: Queue(), ASK: Queue()}
    for side in (BID, ASK):
        for order in sorted_side(net, side):
            energy, amount = got.get(order.seq, (0, 0))
            if energy:
                area = case.ground.area(order)
                made.add(order, energy, amount + (fees.buy[area] if side == BID else -fees.sell[area]) * energy)
                queues[side].add(order, energy)
    volume = sum(got[o.seq][0] for o in net if o.side == BID and o.seq in got)
    for ask, bid, energy in matched(queues[ASK], queues[BID], volume):
        made.charge(bid, case.ground.fee(ask, bid) * energy)
    return made


def trade_reduction(case: Case) -> Awards:
    """McAfee's rule on net prices."""
    net = [_net(case, order) for order in case.orders]
    found = auction.run(net, case.rules)
    by_seq = {order.seq: order for order in net}
    return _gross(case, net, {seq: (fill, found.price_of(by_seq[seq]) * fill) for seq, fill in found.fills.items()})


def huang(case: Case) -> Awards:
    """Huang's rule on net prices."""
    net = [_net(case, order) for order in case.orders]
    return _gross(case, net, mechanisms.huang(net, case.rules, case.facts))


def muda(case: Case) -> Awards:
    """Both halves on net prices; nothing goes from half to half."""
    net = [_net(case, order) for order in case.orders]
    got, made = mechanisms.muda(net, case.rules, case.facts), Awards()
    for half in mechanisms.halves_of(net, case.facts):
        found = _gross(case, half, {order.seq: got[order.seq] for order in half if order.seq in got})
        made.got |= found.got
        made.fees |= found.fees
    return made


RULES: Mapping[int, Callable[[Case], Awards]] = {
    UNIFORM_K: uniform,
    mechanisms.LAO: uniform,
    mechanisms.FRO: uniform,
    PAY_AS_BID: pay_as_bid,
    TRADE_REDUCTION: trade_reduction,
    mechanisms.DISCRIMINATORY_K: discriminatory,
    mechanisms.VICKREY: vickrey,
    mechanisms.VCG: vcg,
    mechanisms.GREEDY: greedy,
    mechanisms.TARIFF: tariff,
    mechanisms.MUDA: muda,
    mechanisms.HUANG: huang,
}
