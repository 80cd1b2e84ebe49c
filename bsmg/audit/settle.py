"""The audit's own settlement of one cell and slot, written from section 5 of the slot protocol.

c = bought + grid bought - sold - grid sold    m = import - export    d = m - c
d > 0: up * d to balancing    d < 0: down * |d| from balancing
penalty: (permille * price // 1000) * max(0, |d| - |c| * tol // 1000)    fee: fee * (bought + sold)
grid bought (unserved firm bids) at the cap, grid sold (let out of unserved asks) at the floor, through balancing
losses: price * (|m| * loss // all cells' known energies without signs) to balancing
what balancing gets and gives is one sum
energy of slots without a reading, once counters show it, less what was assumed for them: up or down, no penalty
"""

from __future__ import annotations

from dataclasses import dataclass

PERMILLE = 1000
SMALLEST_SCORED_MWH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """Prices frozen when the slot opened, parameters, and the auction's price."""

    up_e4: int
    down_e4: int
    fee_e4: int
    price_e4: int
    penalty_permille: int
    tol_permille: int
    alpha_permille: int
    e_max_permille: int
    floor_e4: int = 0
    cap_e4: int = 0
    loss_e4: int = 0
    loss_mWh: int = 0
    metered_mWh: int = 0  # what losses are shared by


@dataclass(frozen=True, slots=True, kw_only=True)
class Trades:
    """What the cell's orders came to: energy, money, escrow in base units."""

    bought_mWh: int
    sold_mWh: int
    paid: int
    earned: int
    escrow: int
    grid_fee: int = 0  # in what is paid
    grid_bought_mWh: int = 0
    grid_sold_mWh: int = 0

    @property
    def position_mWh(self) -> int:
        """What the cell said it would draw."""
        return self.bought_mWh + self.grid_bought_mWh - self.sold_mWh - self.grid_sold_mWh


@dataclass(slots=True, kw_only=True)
class Said:
    """What a cell's devices (and estimates for silent ones) said about a slot."""

    import_mWh: int = 0
    export_mWh: int = 0
    readings: int = 0
    estimates: int = 0
    estimated_mWh: int = 0
    gap_mWh: int = 0
    first_readings: int = 0
    disputed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Outcome for a cell; `charges` go to balancing, fees, incentive in this order."""

    import_mWh: int
    export_mWh: int
    imbalance: int
    catch_up: int
    catch_up_mWh: int
    grid: int
    loss: int
    assumed_mWh: int  # the new balance of energy that was assumed
    charges: tuple[int, int, int]
    credit: int
    net: int
    income: int
    score_permille: int
    missing: bool
    disputed: bool


def bill(tariff: Tariff, trades: Trades, said: Said, cell: tuple[int, int, int]) -> Bill:
    """`cell` is (devices expected, energy assumed so far, score so far)."""
    expected, assumed_before, score = cell
    position = trades.position_mWh
    read = said.import_mWh - said.export_mWh
    known = read + said.estimated_mWh
    silent, missing = said.readings + said.estimates < expected, said.readings < expected
    metered = max(known, position, 0) if silent else known
    assumed = metered - read
    late = said.gap_mWh
    if not missing and not said.first_readings:
        late -= assumed_before
    off = metered - position
    imbalance, catch_up = _imbalance(tariff, off), _imbalance(tariff, late)
    beyond = max(0, abs(off) - abs(position) * tariff.tol_permille // PERMILLE)
    penalty = tariff.penalty_permille * tariff.price_e4 // PERMILLE * beyond
    fee = tariff.fee_e4 * (trades.bought_mWh + trades.sold_mWh)
    grid = tariff.floor_e4 * trades.grid_sold_mWh - tariff.cap_e4 * trades.grid_bought_mWh
    share = abs(metered) * tariff.loss_mWh // tariff.metered_mWh if tariff.metered_mWh else 0
    balancing = imbalance + catch_up + grid - tariff.loss_e4 * share
    charges = (-min(balancing, 0), fee, penalty)
    credit = max(balancing, 0)
    return Bill(
        import_mWh=said.import_mWh + max(assumed, 0),
        export_mWh=said.export_mWh - min(assumed, 0),
        imbalance=imbalance,
        catch_up=catch_up,
        catch_up_mWh=late,
        grid=grid,
        loss=-tariff.loss_e4 * share,
        assumed_mWh=assumed_before + assumed if missing else 0,
        charges=charges,
        credit=credit,
        net=trades.earned - trades.paid + credit - sum(charges),
        income=trades.escrow - trades.paid + trades.earned,
        score_permille=_score(tariff, position, None if missing else off, score),
        missing=missing,
        disputed=said.disputed,
    )


def _imbalance(tariff: Tariff, energy_mWh: int) -> int:
    return -tariff.up_e4 * energy_mWh if energy_mWh > 0 else -tariff.down_e4 * energy_mWh


def _score(tariff: Tariff, position_mWh: int, off_mWh: int | None, before: int) -> int:
    quality = 0
    if off_mWh is not None:
        allowed = tariff.e_max_permille * max(abs(position_mWh), SMALLEST_SCORED_MWH)
        quality = max(0, PERMILLE - PERMILLE * PERMILLE * abs(off_mWh) // allowed)
    return ((PERMILLE - tariff.alpha_permille) * before + tariff.alpha_permille * quality) // PERMILLE


def paid_in_order(charges: tuple[int, int, int], money: int) -> tuple[int, int, int]:
    """What an amount pays of charges, the first one first."""
    paid = []
    for charge in charges:
        paid.append(min(charge, money))
        money -= paid[-1]
    return paid[0], paid[1], paid[2]
