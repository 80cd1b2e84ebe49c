"""The audit's own grid fees by area: the efficient trade under them and the prices that bear it (docs/market.md).

Energy goes step by step from the seller to the buyer with the greatest gain over the cheapest way between their areas,
as long as none loses. A way may turn earlier energy round: to j as before, back from j to another seller's area k, on
from k. Of equally cheap ways the one of fewest hops, then the one that is found first, arcs by the numbers of
their areas.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bsmg.audit.auction import ASK, BID, Order, Rules, sorted_side
from cosmos_wire.protos import market

MAIN_GRID, MICROGRID = 1, 2

Arc = tuple[int, int]  # seller's area, buyer's area
Matrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """What a unit pays from area to area, those of DNO and MO included, and where buses lie; others in area 0."""

    pair: Matrix
    area_of_bus: Mapping[int, int]

    @property
    def areas(self) -> range:
        """Their numbers."""
        return range(len(self.pair))

    @property
    def sell(self) -> tuple[int, ...]:
        """A seller's share of the additive envelope: the least fee from its area."""
        return tuple(min(row) for row in self.pair)

    @property
    def buy(self) -> tuple[int, ...]:
        """A buyer's share: the most that any seller's share leaves of a fee."""
        return tuple(max(row[at] - min(row) for row in self.pair) for at in self.areas)


def fees_of(said: market.FeeTable) -> Fees | None:
    """The table of a message; None when no trade pays anything."""
    kinds = [area.kind for area in said.areas]
    rows = []
    for area in said.areas:
        row = []
        for at, fee in enumerate(area.to_e4):
            ends = area.kind, kinds[at]
            row.append(fee + said.dno_e4 * (MAIN_GRID in ends) + said.mo_e4 * (MICROGRID in ends))
        rows.append(tuple(row))
    if not any(map(any, rows)):
        return None
    return Fees(pair=tuple(rows), area_of_bus={bus: at for at, area in enumerate(said.areas) for bus in area.buses})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Fees, and where cells are."""

    fees: Fees
    bus_of: Mapping[int, int]  # by number of the cell

    def area(self, order: Order) -> int:
        """Where an order's energy is drawn or fed in."""
        return self.fees.area_of_bus.get(self.bus_of[order.cell], 0)

    def fee(self, ask: Order, bid: Order) -> int:
        """What a unit from one to the other pays."""
        return self.fees.pair[self.area(ask)][self.area(bid)]


@dataclass(slots=True, kw_only=True)
class Queue:
    """Orders that wait in turn, with what is left of them."""

    rows: deque[list[int]] = field(default_factory=deque)  # position in `orders`, energy left
    orders: list[Order] = field(default_factory=list)

    def add(self, order: Order, energy_mWh: int) -> None:
        """One more at the end."""
        self.orders.append(order)
        self.rows.append([len(self.orders) - 1, energy_mWh])

    @property
    def head(self) -> Order:
        """Whose turn it is."""
        return self.orders[self.rows[0][0]]

    @property
    def left(self) -> int:
        """What it still wants; 0 when nobody waits."""
        return self.rows[0][1] if self.rows else 0

    def take(self, energy_mWh: int) -> None:
        """Serve it."""
        self.rows[0][1] -= energy_mWh
        if not self.rows[0][1]:
            self.rows.popleft()


@dataclass(slots=True, kw_only=True)
class Trade:
    """Energy by sequence, and from area to area."""

    fills: dict[int, int] = field(default_factory=dict)
    flows: dict[Arc, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """From a seller's area to a buyer's: its cost, its hops, and the arc that was turned round last."""

    cost: int
    hops: int
    back: Arc | None = None

    def beats(self, other: Way) -> bool:
        """Cheaper, or as cheap and shorter."""
        return (self.cost, self.hops) < (other.cost, other.hops)


def ways(fees: Matrix, flows: Mapping[Arc, int], start: int) -> list[Way]:
    """The best way from one seller's area to every buyer's area."""
    found = [Way(cost=fee, hops=1) for fee in fees[start]]
    improved = True
    while improved:
        improved = False
        for k, j in sorted(flows):
            for m, fee in enumerate(fees[k]):
                other = Way(cost=found[j].cost - fees[k][j] + fee, hops=found[j].hops + 2, back=(k, j))
                if other.beats(found[m]):
                    found[m], improved = other, True
    return found


def arcs_of(row: Sequence[Way], start: int, end: int) -> tuple[list[Arc], list[Arc]]:
    """The arcs that a way uses, and those that it turns round."""
    used, turned = [], []
    while (back := row[end].back) is not None:
        used.append((back[0], end))
        turned.append(back)
        end = back[1]
    return [*used, (start, end)], turned


def efficient(orders: Sequence[Order], ground: Ground) -> Trade:
    """The trade of greatest welfare after fees."""
    fees, made = ground.fees, Trade()
    queues = {(side, area): Queue() for side in (BID, ASK) for area in fees.areas}
    for order in [*sorted_side(orders, BID), *sorted_side(orders, ASK)]:
        queues[order.side, ground.area(order)].add(order, order.quantity_mWh)
    table = [ways(fees.pair, made.flows, start) for start in fees.areas]
    while (best := _best(queues, table)) is not None:
        start, end = best
        used, turned = arcs_of(table[start], start, end)
        ask, bid = queues[ASK, start], queues[BID, end]
        energy = min(ask.left, bid.left, *(made.flows[arc] for arc in turned))
        for queue in (ask, bid):
            seq = queue.head.seq
            made.fills[seq] = made.fills.get(seq, 0) + energy
            queue.take(energy)
        if _moved(made.flows, (used, turned), energy):
            table = [ways(fees.pair, made.flows, area) for area in fees.areas]
    return made


def _best(queues: Mapping[tuple[int, int], Queue], table: Sequence[Sequence[Way]]) -> Arc | None:
    """Areas of seller and buyer of the next step; of equal gains the first bid's, then the first ask's."""
    steps = []
    for start, row in enumerate(table):
        for end, way in enumerate(row):
            ask, bid = queues[ASK, start], queues[BID, end]
            if ask.left and bid.left:
                gain = bid.head.price_e4 - ask.head.price_e4 - way.cost
                steps.append((-gain, bid.head.seq, ask.head.seq, start, end))
    loss, _, _, start, end = min(steps, default=(1, 0, 0, 0, 0))
    return (start, end) if loss <= 0 else None


def _moved(flows: dict[Arc, int], arcs: tuple[Sequence[Arc], Sequence[Arc]], energy_mWh: int) -> bool:
    """Whether another set of arcs carries energy now."""
    before = set(flows)
    for sign, some in zip((1, -1), arcs, strict=True):
        for arc in some:
            flows[arc] = flows.get(arc, 0) + sign * energy_mWh
    for arc in [arc for arc, flow in flows.items() if not flow]:
        del flows[arc]
    return before != set(flows)


def pairs(orders: Sequence[Order], trade: Trade, ground: Ground) -> Iterator[tuple[Order, Order, int]]:
    """(ask, bid, energy): in each area the best orders first, flows by the numbers of their areas."""
    queues = {(side, area): Queue() for side in (BID, ASK) for area in ground.fees.areas}
    for side in (BID, ASK):
        for order in sorted_side(orders, side):
            if order.seq in trade.fills:
                queues[side, ground.area(order)].add(order, trade.fills[order.seq])
    for (start, end), flow in sorted(trade.flows.items()):
        yield from matched(queues[ASK, start], queues[BID, end], flow)


def matched(asks: Queue, bids: Queue, energy_mWh: int) -> Iterator[tuple[Order, Order, int]]:
    """Who supplies whom with so much."""
    while energy_mWh:
        part = min(energy_mWh, asks.left, bids.left)
        yield asks.head, bids.head, part
        asks.take(part)
        bids.take(part)
        energy_mWh -= part


# --- prices ---------------------------------------------------------------------------------------------------------


def area_prices(orders: Sequence[Order], trade: Trade, rules: Rules, ground: Ground) -> dict[tuple[int, int], int]:
    """What a unit costs and brings by (side, area): k between the least and the greatest prices that bear the trade."""
    low = _settled(_bounds(orders, trade, ground, (rules.floor_e4, 1)), trade, ground.fees, 1)
    high = _settled(_bounds(orders, trade, ground, (rules.cap_e4, -1)), trade, ground.fees, -1)
    return {place: low[place] + rules.k_num * (high[place] - low[place]) // rules.k_den for place in low}


def _bounds(orders: Sequence[Order], trade: Trade, ground: Ground, edge: tuple[int, int]) -> dict[tuple[int, int], int]:
    """From below (sign 1): bids that aren't filled and asks that trade; from above: bids that trade, unfilled asks."""
    limit, sign = edge
    found = {(side, area): limit for side in (BID, ASK) for area in ground.fees.areas}
    for order in orders:
        fill = trade.fills.get(order.seq, 0)
        binds = fill if (order.side == ASK) == (sign > 0) else fill < order.quantity_mWh
        if binds:
            place = order.side, ground.area(order)
            found[place] = sign * max(sign * found[place], sign * order.price_e4)
    return found


def _settled(prices: dict[tuple[int, int], int], trade: Trade, fees: Fees, sign: int) -> dict[tuple[int, int], int]:
    """Move prices (up: sign 1) until buy <= sell + fee, equal where energy flows; raises ArithmeticError."""
    for _ in range(2 * len(fees.pair) + 1):
        before = dict(prices)
        for i in fees.areas:
            for j in fees.areas:
                sell, buy, fee = (ASK, i), (BID, j), fees.pair[i][j]
                if sign > 0 or (i, j) in trade.flows:
                    prices[sell] = sign * max(sign * prices[sell], sign * (prices[buy] - fee))
                if sign < 0 or (i, j) in trade.flows:
                    prices[buy] = sign * max(sign * prices[buy], sign * (prices[sell] + fee))
        if prices == before:
            return prices
    raise ArithmeticError("no prices by area bear this trade")
