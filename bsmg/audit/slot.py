"""A slot as the audit follows it, from OPEN to CLOSE, and what its cells are billed."""

from __future__ import annotations

from dataclasses import dataclass, field

from bsmg.audit.areas import Fees
from bsmg.audit.auction import ASK, BID, Order, Outcome
from bsmg.audit.ballot import Poll
from bsmg.audit.cells import Cell, Meters
from bsmg.audit.orders import Extras
from bsmg.audit.settle import Bill, Tariff, Trades
from cosmos_wire.protos import market

PERMILLE = 1000
OPEN, BID_GATE, CLEAR, SECURE, SEAL, DELIVER, METER, METER_CLOSE, SETTLE, CLOSE = range(10)


@dataclass(slots=True, kw_only=True)
class Slot:
    """A slot from OPEN to CLOSE."""

    number: int
    params: market.Params
    floor_e4: int
    cap_e4: int
    factor: int
    fees: Fees | None = None  # by area, of the grid
    poll: Poll | None = None  # where validators vote on the schedule
    export: int = 0  # permille of what flexible asks didn't sell
    gate: int = BID_GATE  # the next one
    gate_height: int = 0
    next_seq: int = 1
    secured: bool = False
    attempts: int = 0  # of the utility cell's caps
    baselines: dict[int, tuple[int, int]] = field(default_factory=dict)  # bus -> p, q
    set_points: dict[int, int] = field(default_factory=dict)  # bus -> q of its inverters
    inherited: bool = False  # the baselines are those of an earlier slot
    loss_mWh: int = 0
    metered_mWh: int = 0
    resolved: bool = False  # SECURE has fired
    orders: dict[int, Order] = field(default_factory=dict)
    thresholds: dict[int, int] = field(default_factory=dict)
    meters: Meters = field(default_factory=Meters)
    escrow: int = 0
    outcome: Outcome | None = None
    charging: bool = False
    crediting: bool = False
    settled: bool = False
    next_cell: int = 1
    statements: dict[int, market.Statement] = field(default_factory=dict)
    sums: dict[str, int] = field(default_factory=dict)
    pools: list[list[int]] = field(default_factory=lambda: [[0, 0, 0], [0, 0, 0]])  # from escrow, from collateral
    gained: int = 0  # by pools, in this slot's settlement
    owed: int = 0
    extras: Extras = field(default_factory=Extras)

    def add(self, name: str, amount: int) -> None:
        """Add to one of the slot's sums."""
        self.sums[name] = self.sums.get(name, 0) + amount

    def sum_of(self, name: str) -> int:
        """One of the slot's sums."""
        return self.sums.get(name, 0)

    @property
    def pen_e4(self) -> int:
        """The highest penalty price, which escrows cover; by the tariff's cap."""
        return self.params.penalty_permille * self.params.cap_e4 // PERMILLE

    def escrow_of(self, order: Order) -> int:
        """Worst case of an order: a bid unused, at the cap when firm; an ask let out at the floor and undelivered."""
        tariff = self.params
        bid = self.cap_e4 if order.firm else order.price_e4
        own = bid if order.side == BID else tariff.up_e4 - self.floor_e4
        return (own + tariff.fee_e4 + self.pen_e4) * order.quantity_mWh

    def gate_ms(self, gate: int) -> int:
        """When a gate is due."""
        return gate_ms(self.params, self.number, gate)

    def fill(self, order: Order) -> int:
        """What an order got, after the factor."""
        return 0 if self.outcome is None else self.outcome.fills.get(order.seq, 0) * self.factor // PERMILLE

    def with_main_grid(self, order: Order) -> int:
        """What isn't filled and is drawn or fed in all the same."""
        rest = order.quantity_mWh - self.fill(order)
        if order.firm:
            return rest
        return rest * self.export // PERMILLE if order.side == ASK else 0


def gate_ms(params: market.Params, slot: int, gate: int) -> int:
    """Block time at which a gate of a slot is due."""
    window = max(params.slot_ms, params.window_min_ms)
    base = slot if gate <= DELIVER else slot + 1
    return base * params.slot_ms + params.gates[gate].offset_permille * (window // 1000)


def tariff_of(slot: Slot) -> Tariff:
    """What the slot's cells are settled by."""
    params = slot.params
    return Tariff(
        up_e4=params.up_e4,
        down_e4=params.down_e4,
        fee_e4=params.fee_e4,
        price_e4=slot.outcome.price_e4 if slot.outcome else 0,
        penalty_permille=params.penalty_permille,
        tol_permille=params.tol_permille,
        alpha_permille=params.alpha_permille,
        e_max_permille=params.e_max_permille,
        floor_e4=slot.floor_e4,
        cap_e4=slot.cap_e4,
        loss_e4=slot.outcome.price_e4 if slot.outcome and slot.outcome.volume_mWh else slot.cap_e4,
        loss_mWh=slot.loss_mWh,
        metered_mWh=slot.metered_mWh,
    )


def statement_of(slot: Slot, cell: Cell, result: tuple[Trades, Bill], paid: tuple[int, int]) -> market.Statement:
    """The statement as the chain has to publish it; `paid` is (charges that the slot's money paid, arrears)."""
    trades, made = result
    grid = trades.grid_bought_mWh or trades.grid_sold_mWh
    return market.Statement(
        slot=slot.number,
        cell=cell.address,
        bought_mWh=trades.bought_mWh,
        sold_mWh=trades.sold_mWh,
        import_mWh=made.import_mWh,
        export_mWh=made.export_mWh,
        estimated=made.missing,
        price_e4=tariff_of(slot).price_e4,
        trade=str(trades.earned - trades.paid),
        imbalance=str(made.imbalance),
        penalty=str(-made.charges[2]),
        fee=str(-made.charges[1]),
        escrow_back=str(trades.escrow - trades.paid),
        net=str(made.net),
        score_permille=made.score_permille,
        arrears=str(paid[1]),
        catch_up=str(made.catch_up),
        catch_up_mWh=made.catch_up_mWh,
        payout=str(made.income - paid[0]),
        credit=str(made.credit),
        grid_bought_mWh=trades.grid_bought_mWh,
        grid_sold_mWh=trades.grid_sold_mWh,
        grid=str(made.grid) if grid else "",
        loss=str(made.loss) if made.loss else "",
        grid_fee=str(-trades.grid_fee) if trades.grid_fee else "",
        disputed=made.disputed,
    )
