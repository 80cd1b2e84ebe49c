"""Caps on buses that make the uniform auction clear to what the feeder bears, worth as much as can be found.

The chain clears a book under caps by bus and side, at one price. So what is looked for is not the best dispatch of all,
where every bus has its own price, but the best that one price supports: for a price t, OPF-m over the bids at t or
above and the asks at t or below, and then over t. The fills of flexible orders by bus and side become caps. Every
candidate is cleared and certified with the chain's own functions before it is proposed, so that a proposal is what the
chain will find. Gan's constraint makes the programme exact and costs something where export meets a voltage limit, so
the plain one is tried as well; limits are tightened where a rounded schedule misses them or no optimum is an AC one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cosmos_wire.protos import market as pb
from energy.grid.dispatch import BID, Problem
from energy.grid.fixed import ONE
from energy.grid.network import Network
from energy.grid.schedule import BusEnergy, injection_of
from energy.grid.secure import Certificate, certify
from energy.grid.welfare import Offer, auction_problem
from energy.market import keys
from energy.market.clearing import BookOrder, Rules, clear, fill_mWh
from energy.market.prices import offer_of
from energy.mechanisms.book import merit
from energy.units import MWH_PER_W, PERMILLE
from physics.errors import DispatchError
from physics.opf import MARGIN, Dispatch, Opf
from physics.voltage import Settings, control

Caps = dict[tuple[int, int], int]  # (bus, side) -> mWh
MARGINS = (MARGIN, 1e-4, 1e-3, 4e-3, 1e-2)  # p.u., tried one after the other
STEPS_MAX = 6  # prices of a bus and side that the programme tells apart
FIRM_STEPS_MAX = 24
COARSE, FINE = 9, 6  # prices that are tried, first over all, then around the best
EFFORTS = (0.02, 1e-4)  # of the inverters, in volt/var control: at first little, then what it takes
CURRENTS_E4 = (80_000, 320_000, 1_280_000)  # prices of squared currents, tried where the rest leaves much to be missed
FAIR = 0.98  # of the best dispatch with a price for each bus: below it they are tried
GOOD_ENOUGH = 0.9995  # of the best dispatch with a price for each bus: then no other price is tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """A slot's orders on its feeder: baselines, tan phi by cell, how the chain clears."""

    net: Network
    base: tuple[BusEnergy, ...]
    orders: tuple[BookOrder, ...]
    tangents: Mapping[int, int]
    rules: Rules
    loss_price_e4: int
    inverters: Mapping[int, int] = field(default_factory=dict)  # mvarh either way that set-points may have, by bus

    def side(self, side: int) -> list[BookOrder]:
        """One side in clearing order."""
        return sorted((order for order in self.orders if order.side == side), key=merit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Caps with what the chain will make of them."""

    caps: Caps
    welfare: int
    certified: bool
    set_points: Mapping[int, int] = field(default_factory=dict)  # of inverters, mvarh by bus, withdrawal positive
    best: float = 0.0  # base units that the best dispatch with a price for each bus is worth

    @property
    def share(self) -> float:
        """Of the best dispatch."""
        return self.welfare / self.best if self.best else 1.0


def offers_of(book: Book) -> list[Offer]:
    """The book as the welfare problem takes it, nothing filled."""
    return [offer_of(order, 0, book.tangents.get(order.cell, 0)) for order in book.orders]


def outcome(book: Book, caps: Caps) -> Found:
    """What the chain finds under caps: welfare in base units, and whether the schedule is certified whole."""
    sides = iter(book.side(keys.BID)), iter(book.side(keys.ASK))
    cleared, _ = clear(sides, book.rules, caps)
    verdict = certify(book.net, injection_of(book.net, [*book.base, *_energies(filled_offers(book, cleared))]))
    return Found(caps=caps, welfare=int(cleared.welfare), certified=isinstance(verdict, Certificate))


def free_welfare(book: Book) -> int:
    """What the book is worth where nothing limits it, base units."""
    cleared, _ = clear((iter(book.side(keys.BID)), iter(book.side(keys.ASK))), book.rules, {})
    return int(cleared.welfare)


def with_set_points(book: Book, set_points: Mapping[int, int]) -> Book:
    """The same book where inverters withdraw reactive power."""
    more = tuple(BusEnergy(bus=bus, base_q_mvarh=q) for bus, q in sorted(set_points.items()))
    return replace(book, base=book.base + more)


def set_points_of(book: Book, effort: float) -> dict[int, int]:
    """What volt/var control by ADMM asks of the inverters when the book trades as if nothing limited it."""
    net, unit = book.net, MWH_PER_W * book.net.s_base_W
    cleared, _ = clear((iter(book.side(keys.BID)), iter(book.side(keys.ASK))), book.rules, {})
    drawn = injection_of(net, [*book.base, *_energies(filled_offers(book, cleared))])
    limits = np.array([book.inverters.get(bus, 0) / unit for bus in net.bus])
    p, q = np.array(drawn.p_low) / ONE, np.array(drawn.q_low) / ONE
    try:
        found = control(net, p, q, limits, Settings(effort=effort))
    except DispatchError:
        return {}
    points = {bus: -math.trunc(float(found.injected[at]) * unit) for at, bus in enumerate(net.bus)}
    return {bus: q for bus, q in points.items() if q}


def filled_offers(book: Book, cleared: pb.Clearing) -> list[Offer]:
    """The book with what it moves on the feeder under a clearing: fills, firm orders whole."""
    return [
        offer._replace(fill_mWh=offer.quantity_mWh if order.kind else fill_mWh(order, cleared, PERMILLE))
        for order, offer in zip(book.orders, offers_of(book), strict=True)
    ]


def _energies(offers: Iterable[Offer]) -> list[BusEnergy]:
    sums: dict[int, list[int]] = {}
    for offer in offers:
        row = sums.setdefault(offer.bus, [0, 0])
        row[0] += offer.direction * offer.fill_mWh
        row[1] += offer.direction * offer.fill_mWh * offer.tan_phi_permille
    return [BusEnergy(bus=bus, trade_p_mWh=p, trade_q_permille=q) for bus, (p, q) in sorted(sums.items())]


class CapSearch:
    """Searches one feeder's caps slot after slot; its solvers are kept."""

    def __init__(self) -> None:
        self._solvers = [(Opf(margin), Opf(margin, gan=False)) for margin in MARGINS]
        self._priced = [Opf(MARGIN, gan, current_e4) for current_e4 in CURRENTS_E4 for gan in (True, False)]

    def search(self, book: Book, refused: int = 0) -> Found | None:
        """The most valuable caps that are certified; None when nothing is.

        Limits are tighter the more proposals were refused before: then the chain knew something else.
        """
        best, enough = self._best(book, refused), GOOD_ENOUGH * free_welfare(book)
        for effort in EFFORTS if book.inverters else ():
            if best is not None and best.welfare >= enough:
                break
            set_points = set_points_of(book, effort)
            helped = self._best(with_set_points(book, set_points), refused) if set_points else None
            if helped is not None and (best is None or best.welfare < helped.welfare):
                best = replace(helped, set_points=set_points)
        return best

    def _best(self, book: Book, refused: int) -> Found | None:
        free = outcome(book, {})
        if free.certified:
            return replace(free, best=float(free.welfare))
        for solvers in self._solvers[min(refused, len(MARGINS) - 1) :]:
            found = [each for each in (self._with(book, solver) for solver in solvers) if each is not None]
            if found:
                return self._without_inventions(book, max(found, key=lambda each: each.welfare))
        return None

    def _without_inventions(self, book: Book, best: Found) -> Found:
        """Where much is missing the relaxation may have invented currents: then they get a price."""
        bound = best.best
        for solver in self._priced:
            if best.share >= FAIR:
                break
            found = self._with(book, solver)
            if found is not None and found.welfare > best.welfare:
                best = replace(found, best=bound)
        return best

    def _with(self, book: Book, solver: Opf) -> Found | None:
        try:
            return _Search(book, solver).run()
        except DispatchError:
            return None


class _Search:
    """One book, one margin."""

    def __init__(self, book: Book, solver: Opf) -> None:
        self.book, self.solver = book, solver
        self.offers = offers_of(book)
        self.steps = steps_of(self.offers)
        self.nodal = 0.0
        self.best: Found | None = None

    def run(self) -> Found | None:
        self.nodal = self._try(None)
        if self.best is not None and self.best.welfare >= GOOD_ENOUGH * self.nodal:
            return self._result()
        prices = self._prices()
        worth = {at: self._try(prices[at]) for at in _spread(0, len(prices) - 1, COARSE)}
        middle = max(worth, key=lambda at: worth[at])
        before = max((at for at in worth if at < middle), default=middle)
        after = min((at for at in worth if at > middle), default=middle)
        for at in _spread(before, after, FINE):
            if at not in worth:
                worth[at] = self._try(prices[at])
        return self._result()

    def _result(self) -> Found | None:
        return None if self.best is None else replace(self.best, best=self.nodal)

    def _prices(self) -> list[int]:
        return sorted({order.price_e4 for order in self.book.orders}) or [0]

    def _try(self, price_e4: int | None) -> float:
        """Solve for one price (None: a price for each bus), judge its caps; what the dispatch is worth."""
        problem, _ = auction_problem(self.book.net, self.book.base, self._offers(price_e4), self.book.loss_price_e4)
        try:
            found = self.solver.solve(problem)
        except DispatchError:
            if price_e4 is None:
                raise
            return 0.0
        for caps in caps_of(self.book, problem, found, price_e4):
            judged = outcome(self.book, caps)
            if judged.certified and (self.best is None or judged.welfare > self.best.welfare):
                self.best = judged
        return worth_of(problem, found)

    def _offers(self, price_e4: int | None) -> list[Offer]:
        """Orders at the prices of their steps; what a price leaves out keeps its place with nothing to trade."""
        made = []
        for offer, step in zip(self.offers, self.steps, strict=True):
            out = price_e4 is not None and offer.direction * (offer.price_e4 - price_e4) < 0
            quantity = 0 if out and not offer.firm else offer.quantity_mWh
            made.append(offer._replace(price_e4=step, quantity_mWh=quantity))
        return made


def worth_of(problem: Problem, found: Dispatch) -> float:
    """Welfare of a dispatch, base units."""
    pairs = zip(problem.blocks, found.fills, strict=True)
    return float(sum(block.direction * block.price_e4 * fill for block, fill in pairs))


def _spread(low: int, high: int, count: int) -> list[int]:
    """So many places from low to high, ends included."""
    return sorted({low + (high - low) * at // max(1, count - 1) for at in range(count)})


def steps_of(offers: Sequence[Offer]) -> list[int]:
    """The price of each offer's step: neighbours in price are merged until a bus and side has few enough of them."""
    groups: dict[tuple[int, int, int], list[int]] = {}
    for at, offer in enumerate(offers):
        place = (0, offer.direction, -1) if offer.firm else (offer.bus, offer.direction, offer.tan_phi_permille)
        groups.setdefault(place, []).append(at)
    prices = [offer.price_e4 for offer in offers]
    for (_, _, tangent), members in groups.items():
        members.sort(key=lambda at: offers[at].price_e4)
        most = FIRM_STEPS_MAX if tangent < 0 else STEPS_MAX
        if len({prices[at] for at in members}) <= most:
            continue
        for part in range(most):
            step = members[len(members) * part // most : len(members) * (part + 1) // most]
            total = sum(offers[at].quantity_mWh for at in step)
            mean = sum(offers[at].price_e4 * offers[at].quantity_mWh for at in step) // max(1, total)
            for at in step:
                prices[at] = mean
    return prices


def caps_of(book: Book, problem: Problem, found: Dispatch, price_e4: int | None) -> list[Caps]:
    """Two readings of a dispatch: caps wherever it leaves something, and only where it leaves what the price admits."""
    fills: Caps = {}
    for block, fill in zip(problem.blocks, found.fills, strict=True):
        place = block.bus, keys.BID if block.direction == BID else keys.ASK
        fills[place] = fills.get(place, 0) + fill
    firm_at_root = {order.side for order in book.orders if order.kind}
    whole, admitted = _totals(book, None), _totals(book, price_e4)
    root = book.net.bus[0]
    usable = {place: fill for place, fill in fills.items() if place[0] != root or place[1] not in firm_at_root}
    every = {place: fill for place, fill in usable.items() if fill < whole.get(place, 0)}
    binding = {place: fill for place, fill in every.items() if fill < admitted.get(place, 0) - admitted[place] // 10**6}
    return (
        [dict(sorted(every.items())), dict(sorted(binding.items()))]
        if binding != every
        else [dict(sorted(every.items()))]
    )


def _totals(book: Book, price_e4: int | None) -> Caps:
    """Flexible energy by bus and side, as far as a price admits it."""
    totals: Caps = {}
    for order in book.orders:
        sign = 1 if order.side == keys.BID else -1
        if not order.kind:
            out = price_e4 is not None and sign * (order.price_e4 - price_e4) < 0
            place = order.bus, order.side
            totals[place] = totals.get(place, 0) + (0 if out else order.quantity_mWh)
    return totals
