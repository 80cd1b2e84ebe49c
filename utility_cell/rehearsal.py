"""A day of one microgrid without a chain: the cells' orders, the chain's clearing and certificate, the devices.

It is made of the chain's own functions, so that what a fleet does to a feeder is seen in seconds: which clearings break
a limit, what the certificate leaves of them, what a proposal of caps is worth, what remains for levels 2 and 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cosmos_wire.protos import market as pb
from energy.grid.network import Network, network_of
from energy.grid.schedule import BusEnergy
from energy.grid.secure import Secured, secure
from energy.market import keys
from energy.market.clearing import BookOrder, Caps, Rules, clear, fill_mWh
from energy.market.schedule import Sums, add_to
from energy.market.security import fixed, scaled
from energy.units import MWH_PER_W, PERMILLE, stored
from physics import caps
from physics.caps import CapSearch
from physics.feeders import Case
from utility_cell.bidding import Band, Kind, Outlook, Wish, share_permille
from utility_cell.devices import Allowed, Devices
from utility_cell.fleet import Fleet
from utility_cell.profiles import QUARTERS_PER_DAY, Profiles
from utility_cell.world import Forecaster, forecast_mWh, unordered_mWh

BAND = Band(floor_e4=20_000, cap_e4=80_000)
LAG = 1  # orders of a slot are due when the schedule of the slot so many before it is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An order in the book, and the tan phi of its cell."""

    order: BookOrder
    tan_phi_permille: int

    @property
    def flexible(self) -> bool:
        """Whether the schedule decides on its energy."""
        return self.order.kind == Kind.FLEXIBLE

    @property
    def is_bid(self) -> bool:
        """Whether it buys."""
        return self.order.side == keys.BID

    @property
    def direction(self) -> int:
        """+1 for what is withdrawn, -1 for what is fed in."""
        return 1 if self.is_bid else -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """A slot's orders with what places none; the feeder that has to bear them."""

    net: Network
    baselines: tuple[BusEnergy, ...]
    entries: tuple[Entry, ...]
    band: Band

    @property
    def rules(self) -> Rules:
        """The uniform auction in the slot's band."""
        low, high = self.band.floor_e4, self.band.cap_e4
        return Rules(mechanism=pb.MECHANISM_UNIFORM_K, k_num=1, k_den=2, floor_e4=low, cap_e4=high)

    def clear(self, limits: Caps) -> Outcome:
        """The uniform auction under caps."""
        orders = [entry.order for entry in self.entries]
        bids = sorted((o for o in orders if o.side == keys.BID), key=lambda o: (-o.price_e4, o.seq))
        asks = sorted((o for o in orders if o.side == keys.ASK), key=lambda o: (o.price_e4, o.seq))
        clearing, _ = clear((iter(bids), iter(asks)), self.rules, limits)
        fills = {order.seq: fill_mWh(order, clearing, PERMILLE) for order in orders}
        return Outcome(book=self, clearing=clearing, fills=fills)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A clearing: fills in mWh by sequence, before any factor."""

    book: Book
    clearing: pb.Clearing
    fills: Mapping[int, int]

    @property
    def welfare(self) -> int:
        """Base units."""
        return stored(self.clearing.welfare)

    @property
    def energies(self) -> list[BusEnergy]:
        """The schedule as it is certified at CLEAR: firm orders whole, what flexible ones trade for a factor to cut."""
        firm, flexible = Sums(), Sums()
        for entry in self.book.entries:
            energy = self.fills[entry.order.seq] if entry.flexible else entry.order.quantity_mWh
            add_to(flexible if entry.flexible else firm, entry.order, energy, entry.tan_phi_permille)
        return [*self.book.baselines, *fixed(firm), *scaled(flexible)]

    def secured(self) -> Secured:
        """What the feeder bears of it."""
        return secure(self.book.net, self.energies)


CapsProposer = Callable[[Outcome], Caps | None]  # from a clearing that the feeder refused


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """One slot: the clearing that nothing constrains, what was certified in the end, and what it comes to."""

    quarter: int
    first: Outcome
    secured: Secured  # of the first clearing
    outcome: Outcome
    factor_permille: int
    export_permille: int

    @property
    def refused(self) -> bool:
        """Whether the unconstrained clearing breaks a limit."""
        return self.secured.refusal is not None

    @property
    def welfare(self) -> int:
        """Base units of what is traded in the end."""
        return self.outcome.welfare * self.factor_permille // PERMILLE

    def fill(self, entry: Entry) -> int:
        """What an order trades in the end, mWh."""
        return self.outcome.fills[entry.order.seq] * self.factor_permille // PERMILLE

    def let_out(self, entry: Entry) -> int:
        """What an ask feeds into the main grid, mWh."""
        if entry.is_bid:
            return 0
        rest = entry.order.quantity_mWh - self.fill(entry)
        return rest * self.export_permille // PERMILLE if entry.flexible else rest

    @property
    def energies(self) -> tuple[BusEnergy, ...]:
        """The certified schedule, one row a bus, nothing left to cut."""
        sums = Sums()
        for entry in self.outcome.book.entries:
            energy = self.fill(entry) if entry.flexible else entry.order.quantity_mWh
            add_to(sums, entry.order, energy + (self.let_out(entry) if entry.flexible else 0), entry.tan_phi_permille)
        return by_bus([*self.outcome.book.baselines, *fixed(sums)])

    @property
    def grid_import_mWh(self) -> int:
        """Firm bids that the main grid serves."""
        entries = self.outcome.book.entries
        return sum(e.order.quantity_mWh - self.fill(e) for e in entries if e.is_bid and not e.flexible)

    @property
    def grid_export_mWh(self) -> int:
        """What is fed in and not sold here."""
        return sum(self.let_out(entry) for entry in self.outcome.book.entries)

    @property
    def curtailed_mWh(self) -> int:
        """Asks neither sold nor let out."""
        asks = [entry for entry in self.outcome.book.entries if not entry.is_bid]
        return sum(entry.order.quantity_mWh - self.fill(entry) - self.let_out(entry) for entry in asks)

    @property
    def residual_mWh(self) -> int:
        """What levels 2 and 3 buy, negative: sell."""
        return self.grid_import_mWh - self.grid_export_mWh


def by_bus(energies: Iterable[BusEnergy]) -> tuple[BusEnergy, ...]:
    """Fixed energies summed, whole mvarh apart from the rest."""
    sums: dict[int, list[int]] = {}
    for energy in energies:
        row = sums.setdefault(energy.bus, [0, 0])
        row[0] += energy.base_p_mWh
        row[1] += energy.base_q_mvarh * PERMILLE + energy.base_q_permille
    return tuple(
        BusEnergy(bus=bus, base_p_mWh=p, base_q_mvarh=q // PERMILLE, base_q_permille=q % PERMILLE)
        for bus, (p, q) in sorted(sums.items())
    )


def let_out_permille(outcome: Outcome, factor_permille: int) -> int:
    """The largest certified part of what flexible asks didn't sell; nothing where the factor is 0."""
    settled, unsold = Sums(), Sums()
    for entry in outcome.book.entries:
        order, tangent = entry.order, entry.tan_phi_permille
        fill = outcome.fills[order.seq] * factor_permille // PERMILLE
        add_to(settled, order, fill if entry.flexible else order.quantity_mWh, tangent)
        if entry.flexible and not entry.is_bid and fill < order.quantity_mWh:
            add_to(unsold, order, order.quantity_mWh - fill, tangent)
    if not factor_permille or not unsold:
        return PERMILLE if factor_permille else 0
    energies = [*outcome.book.baselines, *fixed(settled), *scaled(unsold)]
    return secure(outcome.book.net, energies).factor_permille


def caps_of(search: CapSearch) -> CapsProposer:
    """Proposals as the utility cell makes them."""

    def propose(first: Outcome) -> Caps | None:
        found = search.search(caps_book(first))
        return found.caps if found is not None else None

    return propose


def caps_book(first: Outcome) -> caps.Book:
    """A refused clearing's book as the search for caps takes it; losses cost the clearing price."""
    book = first.book
    return caps.Book(
        net=book.net,
        base=book.baselines,
        orders=tuple(entry.order for entry in book.entries),
        tangents={entry.order.cell: entry.tan_phi_permille for entry in book.entries},
        rules=book.rules,
        loss_price_e4=first.clearing.price_e4,
    )


@dataclass(kw_only=True)
class Stage:
    """The microgrid that is rehearsed, and what its cells remember from slot to slot."""

    case: Case
    fleet: Fleet
    profiles: Profiles
    seed: int = 1
    lag: int = LAG
    forecast: Forecaster = forecast_mWh
    propose: CapsProposer | None = None
    devices: list[Devices] = field(init=False)
    net: Network = field(init=False)

    def __post_init__(self) -> None:
        """Devices of every cell, as they are before the first slot."""
        self.net = network_of(self.case.feeder)
        self.devices = [Devices(spec=spec, profiles=self.profiles) for spec in self.fleet.cells]

    def day(self, first_quarter: int, slots: int = QUARTERS_PER_DAY) -> list[Rehearsed]:
        """Slots in a row, numbered by their quarter hours."""
        done: list[Rehearsed] = []
        for quarter in range(first_quarter, first_quarter + slots):
            known = done[-self.lag].first.clearing.price_e4 if len(done) >= self.lag else None
            done.append(self._slot(quarter, known))
            if len(done) >= self.lag:
                self._tell(done[-self.lag])
        return done

    def _slot(self, quarter: int, last_e4: int | None) -> Rehearsed:
        first = self._book(quarter, last_e4).clear({})
        secured = first.secured()
        outcome, factor = first, secured.factor_permille
        if secured.refusal is not None and self.propose is not None:
            outcome, factor = _improved(first, factor, self.propose(first))
        return Rehearsed(
            quarter=quarter,
            first=first,
            secured=secured,
            outcome=outcome,
            factor_permille=factor,
            export_permille=let_out_permille(outcome, factor),
        )

    def _book(self, quarter: int, last_e4: int | None) -> Book:
        entries: list[Entry] = []
        for number, devices in enumerate(self.devices, 1):
            mood = share_permille(self.seed, devices.spec.name, quarter)
            outlook = Outlook(band=BAND, last_e4=last_e4, mood_permille=mood)
            net_mWh = self.forecast(self.profiles, devices.spec, quarter)
            for wish in devices.plan(quarter, quarter, net_mWh, outlook):
                order = _order(wish, len(entries) + 1, number, devices.spec.bus)
                entries.append(Entry(order=order, tan_phi_permille=devices.spec.tan_phi_permille))
        return Book(net=self.net, baselines=tuple(self._baselines(quarter)), entries=tuple(entries), band=BAND)

    def _baselines(self, quarter: int) -> Iterator[BusEnergy]:
        for site in self.case.sites:
            if site.capacitor_var:
                yield BusEnergy(bus=site.bus, base_q_mvarh=-site.capacitor_var * MWH_PER_W)
        for spec in self.fleet.cells:
            yield BusEnergy(bus=spec.bus, base_p_mWh=unordered_mWh(self.forecast(self.profiles, spec, quarter)))

    def _tell(self, slot: Rehearsed) -> None:
        """The schedule of a slot reaches the devices."""
        allowed = allowances(slot)
        for number, devices in enumerate(self.devices, 1):
            devices.schedule(slot.quarter, allowed.get(number, Allowed()))


def _order(wish: Wish, seq: int, cell: int, bus: int) -> BookOrder:
    side = keys.BID if wish.is_bid else keys.ASK
    return BookOrder(side, wish.price_e4, seq, cell, bus, wish.quantity_mWh, wish.kind)


def _improved(first: Outcome, factor_permille: int, limits: Caps | None) -> tuple[Outcome, int]:
    """The chain's rule for caps: certified whole and worth more than the best so far."""
    if limits is None:
        return first, factor_permille
    again = first.book.clear(limits)
    better = again.welfare > first.welfare * factor_permille // PERMILLE
    return (again, PERMILLE) if better and again.secured().refusal is None else (first, factor_permille)


def allowances(slot: Rehearsed) -> dict[int, Allowed]:
    """What the schedule lets each cell draw and feed in, by the cell's number; cells without orders are left out."""
    sums: dict[int, tuple[int, int]] = {}
    for entry in slot.outcome.book.entries:
        drawn, fed = sums.get(entry.order.cell, (0, 0))
        if entry.is_bid:
            drawn += entry.order.quantity_mWh if not entry.flexible else slot.fill(entry)
        else:
            fed += slot.fill(entry) + slot.let_out(entry)
        sums[entry.order.cell] = (drawn, fed)
    return {cell: Allowed(import_mWh=drawn, export_mWh=fed) for cell, (drawn, fed) in sums.items()}
