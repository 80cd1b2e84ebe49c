"""What one cell owes and is owed for one slot: the table of section 5 of the slot protocol, in integers.

    grid bought   unserved part of firm and critical bids     grid sold   what was let out of unserved asks
    position c = (bought + grid bought) - (sold + grid sold)  metered m = import - export       d = m - c
    purchase         what the order's fill costs       escrow -> seller
    grid fee         contained in the above            escrow -> fees
    grid             cap * grid bought                 cell -> balancing
                     floor * grid sold                 balancing -> cell
    drew more        up * d                            cell -> balancing
    drew less        down * |d|                        balancing -> cell
    catch-up g       up * g or down * |g|              as above: energy of slots without a reading, no penalty
    loss             price * (|m| * loss // metered)   cell -> balancing
    penalty          (permille * price // 1000) * max(0, |d| - |c| * tol // 1000)      cell -> incentive
    network fee      fee * (bought + sold)             cell -> fees
What goes to balancing and comes from it is one sum, charged or credited.
Charges are paid from what the escrow holds for the cell (rest of its orders' escrow, proceeds), then from collateral;
the rest is arrears. What is paid goes to balancing first, then fees, then incentive.

Without all readings of a cell m is the worst that it may have done: max(what is known, c if it bought, else 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cosmos_wire.protos import market as pb
from energy.market import keys
from energy.market.clearing import BookOrder
from energy.units import PERMILLE, amount_of

SCORE_SCALE = 1_000_000
POSITION_MIN_MWH = 1_000  # a position below 1 Wh is scored as one of 1 Wh


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What all cells of a slot share: prices frozen at OPEN, and the clearing."""

    prices: pb.FrozenPrices
    params: pb.Params
    clearing: pb.Clearing
    loss_mWh: int = 0  # of the feeder in the slot
    metered_mWh: int = 0  # what it is shared by: the cells' known energies without signs, added up

    def loss_share_mWh(self, net_mWh: int) -> int:
        """What a cell pays of the losses; assumed energy counts too, so that silence saves nothing."""
        return abs(net_mWh) * self.loss_mWh // self.metered_mWh if self.metered_mWh else 0

    @property
    def loss_e4(self) -> int:
        """Price of losses: the auction's, the cap where nothing traded."""
        return self.clearing.price_e4 if self.clearing.volume_mWh else self.prices.cap_e4

    @property
    def penalty_e4(self) -> int:
        """Price of energy beyond the tolerance."""
        return self.params.penalty_permille * self.clearing.price_e4 // PERMILLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """An order, what it got, what it pays or receives for that, and what it holds in escrow."""

    order: BookOrder
    fill_mWh: int
    amount: int
    escrow: int
    grid_fee: int = 0  # contained in what a buyer pays
    grid_mWh: int = 0  # not filled, and with the main grid all the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """What is known of a cell's energy in a slot, net, import positive."""

    import_mWh: int
    export_mWh: int
    estimated_mWh: int  # for silent devices that the utility cell estimated
    silent: bool  # some device has neither reading nor estimate
    missing: bool  # some device has no reading
    gap_mWh: int  # what the counters show between the last reading and this one
    carried_mWh: int  # what was assumed for that time and is settled already
    fresh: bool = False  # some device spoke for the first time
    disputed: bool = False  # the state estimation contradicts some reading; nothing here depends on it


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """Base units by receiving pool."""

    balancing: int = 0
    fees: int = 0
    incentive: int = 0

    @property
    def total(self) -> int:
        """All three."""
        return self.balancing + self.fees + self.incentive

    def minus(self, other: Charges) -> Charges:
        """What `other` leaves unpaid."""
        return Charges(
            balancing=self.balancing - other.balancing,
            fees=self.fees - other.fees,
            incentive=self.incentive - other.incentive,
        )

    def up_to(self, limit: int) -> Charges:
        """The part that `limit` pays: balancing first, then fees, then incentive."""
        balancing = min(self.balancing, limit)
        fees = min(self.fees, limit - balancing)
        return Charges(balancing=balancing, fees=fees, incentive=min(self.incentive, limit - balancing - fees))


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A cell's trades in a slot: energy, money, escrow."""

    bought_mWh: int
    sold_mWh: int
    paid: int
    earned: int
    escrow: int
    grid_fee: int = 0
    grid_bought_mWh: int = 0
    grid_sold_mWh: int = 0

    @property
    def net_mWh(self) -> int:
        """C."""
        return self.bought_mWh + self.grid_bought_mWh - self.sold_mWh - self.grid_sold_mWh


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The outcome for a cell. Money in base units, positive when the cell receives."""

    position: Position
    import_mWh: int
    export_mWh: int
    deviation_mWh: int
    catch_up_mWh: int
    carried_mWh: int  # the cell's new balance of assumed energy
    imbalance: int
    catch_up: int
    grid: int
    loss: int  # never positive
    charges: Charges
    credit: int  # from balancing
    score_permille: int

    @property
    def income(self) -> int:
        """What the slot's escrow holds for the cell."""
        return self.position.escrow - self.position.paid + self.position.earned

    @property
    def net(self) -> int:
        """What the cell gained."""
        return self.position.earned - self.position.paid + self.credit - self.charges.total


def position_of(orders: Sequence[Filled]) -> Position:
    """Add up a cell's orders."""
    bids = [item for item in orders if item.order.side == keys.BID]
    asks = [item for item in orders if item.order.side == keys.ASK]
    return Position(
        bought_mWh=sum(item.fill_mWh for item in bids),
        sold_mWh=sum(item.fill_mWh for item in asks),
        paid=sum(item.amount for item in bids),
        earned=sum(item.amount for item in asks),
        escrow=sum(item.escrow for item in orders),
        grid_fee=sum(item.grid_fee for item in bids),
        grid_bought_mWh=sum(item.grid_mWh for item in bids),
        grid_sold_mWh=sum(item.grid_mWh for item in asks),
    )


def settle_cell(terms: Terms, position: Position, metered: Metered, score_permille: int) -> Account:
    """A cell's account of a slot."""
    known = metered.import_mWh - metered.export_mWh + metered.estimated_mWh
    net = max(known, position.net_mWh, 0) if metered.silent else known
    deviation = net - position.net_mWh
    assumed = net - (metered.import_mWh - metered.export_mWh)
    catch_up, carried = _catch_up(metered, assumed)
    energy = [metered.import_mWh, metered.export_mWh]
    energy[assumed < 0] += abs(assumed)
    imbalance, late = _imbalance(terms.prices, deviation), _imbalance(terms.prices, catch_up)
    grid = amount_of(terms.prices.floor_e4, position.grid_sold_mWh)
    grid -= amount_of(terms.prices.cap_e4, position.grid_bought_mWh)
    loss = -amount_of(terms.loss_e4, terms.loss_share_mWh(net))
    balancing = imbalance + late + grid + loss
    beyond = max(0, abs(deviation) - abs(position.net_mWh) * terms.params.tol_permille // PERMILLE)
    return Account(
        position=position,
        import_mWh=energy[0],
        export_mWh=energy[1],
        deviation_mWh=deviation,
        catch_up_mWh=catch_up,
        carried_mWh=carried,
        imbalance=imbalance,
        catch_up=late,
        grid=grid,
        loss=loss,
        charges=Charges(
            balancing=max(0, -balancing),
            fees=amount_of(terms.prices.fee_e4, position.bought_mWh + position.sold_mWh),
            incentive=amount_of(terms.penalty_e4, beyond),
        ),
        credit=max(0, balancing),
        score_permille=_score(terms.params, position.net_mWh, None if metered.missing else deviation, score_permille),
    )


def _catch_up(metered: Metered, assumed_mWh: int) -> tuple[int, int]:
    """Energy to settle late, and the new balance of assumed energy.

    The gap is complete once all devices speak; until then what is assumed adds up. A first reading has no counter
    before it, so what was assumed earlier can't be compared with anything and stays as it was settled.
    """
    if metered.missing:
        return metered.gap_mWh, metered.carried_mWh + assumed_mWh
    return metered.gap_mWh - (0 if metered.fresh else metered.carried_mWh), 0


def _imbalance(prices: pb.FrozenPrices, deviation_mWh: int) -> int:
    if deviation_mWh > 0:
        return -amount_of(prices.up_e4, deviation_mWh)
    return amount_of(prices.down_e4, -deviation_mWh)


def _score(params: pb.Params, position_mWh: int, deviation_mWh: int | None, score_permille: int) -> int:
    quality = 0
    if deviation_mWh is not None:
        tolerated = params.e_max_permille * max(abs(position_mWh), POSITION_MIN_MWH)
        quality = max(0, PERMILLE - SCORE_SCALE * abs(deviation_mWh) // tolerated)
    alpha = params.alpha_permille
    return ((PERMILLE - alpha) * score_permille + alpha * quality) // PERMILLE
