"""The efficient trade under a fee matrix: a transport problem between areas, solved by shortest augmenting paths.

    max  sum b*x - sum s*y - sum fee[i][j]*f[i][j]
    0 <= x <= q, 0 <= y <= q; sum_j f[i][j] = y of area i; sum_i f[i][j] = x of area j

Each step takes the seller and the buyer with the greatest gain over the cheapest residual path between their areas,
while the gain isn't negative, so that orders at the money trade as they do in the plain merge. A path of several hops
turns earlier flows round; among the cheapest the one of fewest hops is taken (Edmonds, Karp 1972), which bounds the
number of steps. With one area and no fee this is the merge of the two sorted sides.

The prices that support an outcome form a lattice (Shapley, Shubik 1971): every mixture of its least and greatest vector
supports it too, also rounded down, because differences are bounded by integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from energy.mechanisms.book import AreaPrices, Book, Order, Pair, Terms
from energy.mechanisms.fees import FeeTable

HOPS = 64  # above the longest path, so that cost * HOPS + hops compares cost first
FAR = 1 << 60

Matrix = tuple[tuple[int, ...], ...]
Queue = list[Order]


class Edge(NamedTuple):
    """The last order of a side and area that trades, and the first that isn't filled."""

    last: Order | None
    open: Order | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """Fills by position in the book's sides, and flows from area to area, mWh."""

    bid_fills: list[int]
    ask_fills: list[int]
    flows: Matrix


class _Side:
    """One side's orders by area, served in book order; `price`, `seq` and `left` are those of an area's next order."""

    def __init__(self, orders: Sequence[Order], table: FeeTable) -> None:
        self.orders = orders
        self.fills = [0] * len(orders)
        self.queues: list[list[int]] = [[] for _ in range(table.areas)]
        for at, order in enumerate(orders):
            self.queues[table.area(order.bus)].append(at)
        for queue in self.queues:
            queue.reverse()
        self.price, self.seq, self.left = ([0] * table.areas for _ in range(3))
        for area in range(table.areas):
            self._head(area)

    def _head(self, area: int) -> None:
        queue = self.queues[area]
        if queue:
            order = self.orders[queue[-1]]
            self.price[area], self.seq[area], self.left[area] = order.price_e4, order.seq, order.quantity_mWh

    def take(self, area: int, energy_mWh: int) -> None:
        """Fill the next order of an area; without one `left` is 0."""
        self.fills[self.queues[area][-1]] += energy_mWh
        self.left[area] -= energy_mWh
        if not self.left[area]:
            self.queues[area].pop()
            self._head(area)


class _Paths:
    """Cheapest residual paths from every seller's area to every buyer's, fewest hops first."""

    def __init__(self, fees: Matrix) -> None:
        self.fees, self.size = fees, len(fees)
        self.flows = [[0] * self.size for _ in fees]
        self.find()

    def find(self) -> None:
        """Bellman's rounds: a path is a row of (seller area, buyer area) arcs, every second one turned round."""
        size, fees = self.size, self.fees
        self.cost = [[fee * HOPS + 1 for fee in row] for row in fees]
        self.path = [[[(i, j)] for j in range(size)] for i in range(size)]
        back = [(k, j) for k in range(size) for j in range(size) if self.flows[k][j]]
        changed = bool(back) and size > 1
        while changed:
            changed = False
            for i in range(size):
                for k, j in back:
                    changed |= self._extend(i, k, j)
        self.loss = [[cost // HOPS for cost in row] for row in self.cost]

    def _extend(self, i: int, k: int, j: int) -> bool:
        """From i to j, back along the flow from k, and on from k."""
        through = self.cost[i][j] - self.fees[k][j] * HOPS + 1
        found = False
        for m in range(self.size):
            cost = through + self.fees[k][m] * HOPS + 1
            if cost < self.cost[i][m]:
                self.cost[i][m] = cost
                self.path[i][m] = [*self.path[i][j], (k, j), (k, m)]
                found = True
        return found

    def room(self, path: list[tuple[int, int]]) -> int:
        """Least flow that a path turns round."""
        return min((self.flows[k][j] for k, j in path[1::2]), default=FAR)

    def send(self, path: list[tuple[int, int]], energy_mWh: int) -> None:
        """Move energy along a path."""
        support = False
        for step, (i, j) in enumerate(path):
            before = self.flows[i][j]
            self.flows[i][j] += -energy_mWh if step % 2 else energy_mWh
            support |= (before == 0) != (self.flows[i][j] == 0)
        if support:
            self.find()


def solve(book: Book, table: FeeTable) -> Trade:
    """The efficient trade."""
    if table.areas == 1:
        return _merged(book, table.pair_e4[0][0])
    bids, asks, paths = _Side(book.bids, table), _Side(book.asks, table), _Paths(table.pair_e4)
    while (best := _best(bids, asks, paths)) is not None:
        i, j = best
        path = paths.path[i][j]
        energy = min(bids.left[j], asks.left[i], paths.room(path))
        bids.take(j, energy)
        asks.take(i, energy)
        paths.send(path, energy)
    return Trade(bid_fills=bids.fills, ask_fills=asks.fills, flows=tuple(tuple(row) for row in paths.flows))


def _merged(book: Book, fee_e4: int) -> Trade:
    """One area: a pass over both sides."""
    bids, asks = book.bids, book.asks
    bought, sold = [0] * len(bids), [0] * len(asks)
    i = j = 0
    bid_left = bids[0].quantity_mWh if bids else 0
    ask_left = asks[0].quantity_mWh if asks else 0
    while bid_left and ask_left and bids[i].price_e4 >= asks[j].price_e4 + fee_e4:
        energy = min(bid_left, ask_left)
        bought[i] += energy
        sold[j] += energy
        bid_left -= energy
        ask_left -= energy
        if not bid_left:
            i += 1
            bid_left = bids[i].quantity_mWh if i < len(bids) else 0
        if not ask_left:
            j += 1
            ask_left = asks[j].quantity_mWh if j < len(asks) else 0
    return Trade(bid_fills=bought, ask_fills=sold, flows=((sum(bought),),))


def _best(bids: _Side, asks: _Side, paths: _Paths) -> tuple[int, int] | None:
    """Areas (seller, buyer) of the step with the greatest gain; ties by the bid's sequence, then the ask's."""
    found, best, ranked = None, 0, (0, 0)
    buyers = [(j, bids.price[j], bids.seq[j]) for j in range(paths.size) if bids.left[j]]
    for i, loss in enumerate(paths.loss):
        if not asks.left[i]:
            continue
        price, seq = asks.price[i], asks.seq[i]
        for j, bid, bid_seq in buyers:
            gain = bid - price - loss[j]
            if gain < best:
                continue
            if found is None or gain > best or (bid_seq, seq) < ranked:
                found, best, ranked = (i, j), gain, (bid_seq, seq)
    return found


def pairs(book: Book, trade: Trade, table: FeeTable) -> Iterator[Pair]:
    """Who supplies whom: area by area, the best ask serves the best bid."""
    sellers, buyers = _queues(book.asks, trade.ask_fills, table), _queues(book.bids, trade.bid_fills, table)
    for i, row in enumerate(trade.flows):
        for j, flow in enumerate(row):
            left = flow
            while left:
                (ask, sold), (bid, bought) = sellers[i][-1], buyers[j][-1]
                energy = min(left, sold, bought)
                yield Pair(ask, bid, energy)
                left -= energy
                _lower(sellers[i], energy)
                _lower(buyers[j], energy)


def _queues(orders: Sequence[Order], fills: Sequence[int], table: FeeTable) -> list[list[tuple[Order, int]]]:
    """By area what trades, the best last."""
    queues: list[list[tuple[Order, int]]] = [[] for _ in range(table.areas)]
    for order, fill in zip(reversed(orders), reversed(fills), strict=True):
        if fill:
            queues[table.area(order.bus)].append((order, fill))
    return queues


def _lower(queue: list[tuple[Order, int]], energy_mWh: int) -> None:
    order, left = queue.pop()
    if left > energy_mWh:
        queue.append((order, left - energy_mWh))


def edges(orders: Sequence[Order], fills: Sequence[int], table: FeeTable) -> list[Edge]:
    """By area where a side's trade ends."""
    last: list[Order | None] = [None] * table.areas
    unfilled: list[Order | None] = [None] * table.areas
    for order, fill in zip(orders, fills, strict=True):
        area = table.area(order.bus)
        if fill:
            last[area] = order
        if fill < order.quantity_mWh and unfilled[area] is None:
            unfilled[area] = order
    return [Edge(a, b) for a, b in zip(last, unfilled, strict=True)]


def prices(ends: tuple[list[Edge], list[Edge]], flows: Matrix, terms: Terms) -> tuple[AreaPrices, AreaPrices]:
    """Least and greatest prices that support a trade; `ends` are the edges of bids and asks.

    Area prices obey buy[j] <= sell[i] + fee[i][j], with equality where energy flows; no order that trades loses, none
    that isn't filled would gain; all lie in [floor, cap].
    """
    floor, cap = terms.floor_e4, terms.cap_e4
    bids, asks = ends
    low = _settle(
        [max([floor] + [o.price_e4 for o in (edge.open,) if o]) for edge in bids],
        [max([floor] + [o.price_e4 for o in (edge.last,) if o]) for edge in asks],
        (flows, terms.fees.pair_e4, 1),
    )
    high = _settle(
        [min([cap] + [o.price_e4 for o in (edge.last,) if o]) for edge in bids],
        [min([cap] + [o.price_e4 for o in (edge.open,) if o]) for edge in asks],
        (flows, terms.fees.pair_e4, -1),
    )
    return low, high


def _settle(buy: list[int], sell: list[int], graph: tuple[Matrix, Matrix, int]) -> AreaPrices:
    """Raise (sign 1) or lower (sign -1) prices until no difference is violated: Bellman's rounds."""
    flows, fees, sign = graph
    changed = True
    while changed:
        changed = False
        for i, row in enumerate(fees):
            for j, fee in enumerate(row):
                tight, gap = flows[i][j] > 0, buy[j] - sell[i] - fee
                if gap > 0 or (tight and gap):
                    if (gap > 0) == (sign > 0):
                        sell[i] += gap
                    else:
                        buy[j] -= gap
                    changed = True
    return AreaPrices(tuple(buy), tuple(sell))


def between(low: AreaPrices, high: AreaPrices, terms: Terms) -> AreaPrices:
    """The prices that k picks."""
    return AreaPrices(
        tuple(terms.split(a, b) for a, b in zip(low.buy_e4, high.buy_e4, strict=True)),
        tuple(terms.split(a, b) for a, b in zip(low.sell_e4, high.sell_e4, strict=True)),
    )
