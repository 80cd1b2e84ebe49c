"""MUDA, a truthful multi-unit double auction (Segal-Halevi, Hassidim, Aumann, AAAI 2018), in its Vickrey form.

The cells are split into two halves; each half finds its own competitive price, and trades at the other half's. There
the short side trades in full, the long side by price, and a cell of the long side pays besides what it takes from the
others: the gain that those would have in its place. The paper splits by coins; here a cell's half is the first bit of
SHA-256("bsmg/muda/1" | seed | cell), a coin that no bid moves. Its competitive price is any that clears; here L +
floor(k (U - L)) of the uniform auction. A cell's orders on both sides count as two traders. With a fee matrix prices
are net of the fee envelope.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import accumulate

from energy.mechanisms.book import ASK, Award, Book, Order, Outcome, Terms
from energy.mechanisms.merit import Fill, Net, at_net_prices, bounds, first, merge, net_sides, outcome, volume
from energy.records import u32

DOMAIN = b"bsmg/muda/1"
LEFT, RIGHT = 0, 1


def muda(book: Book, terms: Terms) -> Outcome:
    """Two halves, each at the other's price."""
    halves = _halves(book, terms)
    competitive = [competitive_price(half, terms) for half in halves]
    awards = [
        *half_market(halves[LEFT], competitive[RIGHT], terms),
        *half_market(halves[RIGHT], competitive[LEFT], terms),
    ]
    return outcome(book, terms, awards)


def half_of(cell: int, seed: bytes) -> int:
    """The half of a cell, LEFT or RIGHT."""
    return sha256(DOMAIN + seed + u32(cell)).digest()[0] >> 7


def _halves(book: Book, terms: Terms) -> tuple[Book, Book]:
    """Both halves, each side in its order."""
    of: dict[int, int] = {}
    parts: tuple[tuple[list[Order], list[Order]], ...] = (([], []), ([], []))
    for at, side in enumerate((book.bids, book.asks)):
        for order in side:
            which = of.get(order.cell)
            if which is None:
                which = of[order.cell] = half_of(order.cell, terms.seed)
            parts[which][at].append(order)
    left, right = (Book(bids=bids, asks=asks) for bids, asks in parts)
    return left, right


def competitive_price(book: Book, terms: Terms) -> int:
    """Net price at which a half would clear by itself."""
    lower, upper = bounds(merge(*net_sides(book, terms.fees)), terms)
    return terms.split(lower, upper)


def half_market(book: Book, net_e4: int, terms: Terms) -> list[Award]:
    """Awards of a half that trades at a price which it didn't set."""
    bids, asks = net_sides(book, terms.fees)
    willing = [
        _whole(item for item in bids if item.net_e4 >= net_e4),
        _whole(item for item in asks if item.net_e4 <= net_e4),
    ]
    energy = min(volume(side) for side in willing)
    traded = first(willing[0], energy), first(willing[1], energy)
    awards = at_net_prices(traded, (net_e4, net_e4), terms)
    dues: dict[tuple[int, int], int] = {}
    for side, got in zip(willing, traded, strict=True):
        if volume(side) > energy:
            dues |= _dues(side, got, net_e4)
    return _charged(awards, dues, (net_e4, terms))


def _whole(items: Iterable[Net]) -> list[Fill]:
    return [Fill(item, item.order.quantity_mWh) for item in items]


def _dues(side: Sequence[Fill], traded: Sequence[Fill], net_e4: int) -> dict[tuple[int, int], int]:
    """By side and cell what a trader of the long side owes: the others' gain in its place."""
    got = {fill.net.order.seq: fill.fill_mWh for fill in traded}
    rest = [Fill(f.net, f.fill_mWh - got.get(f.net.order.seq, 0)) for f in side]
    queue = [fill for fill in rest if fill.fill_mWh]
    ends = list(accumulate((fill.fill_mWh for fill in queue), initial=0))
    gains = list(accumulate((abs(f.net.net_e4 - net_e4) * f.fill_mWh for f in queue), initial=0))
    own: dict[int, list[int]] = {}
    for at, fill in enumerate(queue):
        own.setdefault(fill.net.order.cell, []).append(at)
    takes: dict[int, int] = {}
    for fill in traded:
        takes[fill.net.order.cell] = takes.get(fill.net.order.cell, 0) + fill.fill_mWh
    kind = side[0].net.order.side
    lost = {}
    for cell, energy in takes.items():
        window, mine = energy, 0
        for at in own.get(cell, []):
            if ends[at] < window:  # its own waiting orders would not stand in its place
                window += ends[at + 1] - ends[at]
                mine += gains[at + 1] - gains[at]
        lost[kind, cell] = _gain(window, (ends, gains)) - mine
    return lost


def _gain(window_mWh: int, queue: tuple[list[int], list[int]]) -> int:
    """Gain of the first energy of a queue of waiting orders."""
    ends, gains = queue
    at = min(bisect_right(ends, window_mWh), len(ends) - 1)
    if at == 0:
        return 0
    inside = min(window_mWh, ends[at]) - ends[at - 1]
    return gains[at - 1] + (gains[at] - gains[at - 1]) // (ends[at] - ends[at - 1]) * inside


def _charged(awards: Sequence[Award], dues: dict[tuple[int, int], int], at: tuple[int, Terms]) -> list[Award]:
    """Take a cell's due from its awards, from each at most its gain."""
    net_e4, terms = at
    left, changed = dict(dues), []
    for award in awards:
        order = award.order
        due = left.get((order.side, order.cell), 0)
        if not due:
            changed.append(award)
            continue
        part = min(due, award.fill_mWh * abs(_net(order, terms) - net_e4))
        left[order.side, order.cell] = due - part
        changed.append(award._replace(amount=award.amount + (-part if order.side == ASK else part)))
    return changed


def _net(order: Order, terms: Terms) -> int:
    area = terms.fees.area(order.bus)
    return order.price_e4 + (terms.fees.sell_e4[area] if order.side == ASK else -terms.fees.buy_e4[area])
