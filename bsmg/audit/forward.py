"""The audit's own forward market, written from docs/market.md: products, their auction, positions in slots."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bsmg.audit import auction
from bsmg.audit.auction import ASK, BID, UNIFORM_K, Order, Outcome
from bsmg.audit.ledger import module_address
from bsmg.audit.orders import without_missed
from bsmg.audit.settle import Trades
from cosmos_wire.protos import market, market_tx

if TYPE_CHECKING:
    from bsmg.audit.market import Market
    from bsmg.audit.slot import Slot

PERMILLE = 1000
OPEN = 0
ESCROW, WAITING = module_address("market/escrow"), module_address("market/waiting")


@dataclass(slots=True, kw_only=True)
class Product:
    """Slots at one energy and price."""

    first: int
    slots: int
    params: market.Params
    closes_ms: int
    next_seq: int = 1
    orders: dict[int, Order] = field(default_factory=dict)
    whole: dict[int, int] = field(default_factory=dict)  # energy by sequence of block orders
    outcome: Outcome | None = None
    to_award: list[int] = field(default_factory=list)
    to_end: list[tuple[int, int]] | None = None
    opened: int = 0

    @property
    def last(self) -> int:
        """Its last slot."""
        return self.first + self.slots - 1

    def unit_e4(self, side: int, price_e4: int) -> int:
        """What an order holds a unit of energy: its worst case."""
        pen = self.params.penalty_permille * self.params.cap_e4 // PERMILLE
        own = price_e4 if side == BID else self.params.up_e4 - self.params.floor_e4
        return own + self.params.fee_e4 + pen

    def position(self, order: Order) -> Order:
        """What an order came to."""
        assert self.outcome is not None
        return replace(order, price_e4=self.outcome.price_e4, quantity_mWh=self.outcome.fills.get(order.seq, 0))

    def escrow_of(self, order: Order) -> int:
        """A slot."""
        return self.unit_e4(order.side, order.price_e4) * order.quantity_mWh


class Forward:
    """The replay of the forward market."""

    def __init__(self, desk: Market) -> None:
        self.desk = desk
        self.products: dict[tuple[int, int], Product] = {}

    # --- messages ----------------------------------------------------------------------------------------------------

    def place(self, msg: market_tx.MsgPlaceForward, answer: market_tx.MsgPlaceForwardResponse) -> None:
        """An order escrows all slots at once."""
        desk, key = self.desk, (msg.first_slot, msg.slots)
        product = self.products.get(key) or self._new(key)
        self.products[key] = product
        order = Order(
            side=msg.side,
            price_e4=msg.price_e4,
            seq=product.next_seq,
            cell=desk.cells.by_address[msg.cell].number,
            quantity_mWh=msg.quantity_mWh,
        )
        product.next_seq += 1
        product.orders[order.seq] = order
        if msg.whole:
            product.whole[order.seq] = order.quantity_mWh
        escrow = product.escrow_of(order) * product.slots
        desk.pay(msg.cell, WAITING, escrow)
        name = f"{desk.stage.place}: forward order of {msg.cell}"
        desk.stage.findings.equal("clearings", f"{name} seq", order.seq, answer.seq)
        desk.stage.findings.equal("clearings", f"{name} escrow", str(escrow), answer.escrow)

    def _new(self, key: tuple[int, int]) -> Product:
        params = market.Params()
        params.CopyFrom(self.desk.params)
        window = max(params.slot_ms, params.window_min_ms)
        opens = key[0] * params.slot_ms + params.gates[OPEN].offset_permille * (window // 1000)
        return Product(
            first=key[0], slots=key[1], params=params, closes_ms=opens - params.forward_lead * params.slot_ms
        )

    def cancel(self, msg: market_tx.MsgCancelForward, answer: market_tx.MsgCancelForwardResponse) -> None:
        """All of its escrow returns."""
        product = self.products[msg.first_slot, msg.slots]
        order = product.orders.pop(msg.seq)
        product.whole.pop(msg.seq, None)
        refund = product.escrow_of(order) * product.slots
        self.desk.pay(WAITING, msg.cell, refund)
        if not product.orders:
            del self.products[msg.first_slot, msg.slots]
        name = f"{self.desk.stage.place}: cancelled forward order {msg.seq} refund"
        self.desk.stage.findings.equal("clearings", name, str(refund), answer.refund)

    # --- hooks -------------------------------------------------------------------------------------------------------

    def close_due(self) -> None:
        """Clear what is due."""
        for _, product in sorted(self.products.items()):
            if product.outcome is None and product.closes_ms <= self.desk.stage.time_ms:
                self._clear(product)

    def _clear(self, product: Product) -> None:
        params = product.params
        rules = auction.Rules(
            mechanism=UNIFORM_K,
            k_num=params.k_num,
            k_den=params.k_den,
            floor_e4=params.floor_e4,
            cap_e4=params.cap_e4,
        )
        found = without_missed(product.orders.values(), product.whole, lambda left: auction.run(left, rules))
        product.outcome = found
        ranked = [order for side in (BID, ASK) for order in auction.sorted_side(list(product.orders.values()), side)]
        product.to_award = [order.seq for order in ranked]
        self.desk.stage.findings.count("clearings")
        self.desk.stage.expect.event(
            "forward_cleared",
            (product.first, product.slots),
            price_e4=found.price_e4,
            volume_mWh=found.volume_mWh,
            welfare=found.welfare,
        )

    def opens(self, slot: Slot) -> None:
        """A slot takes its share of what its products hold."""
        for _, product in sorted(self.products.items()):
            if not product.first <= slot.number <= product.last:
                continue
            if product.outcome is None:
                self._clear(product)
            product.opened += 1
            share = sum(product.escrow_of(product.position(order)) for order in product.orders.values())
            self.desk.pay(WAITING, ESCROW, share)
            slot.escrow += share
            slot.extras.forwards = slot.extras.forwards or share > 0
            slot.extras.positions += self._on_buses(product)

    def _on_buses(self, product: Product) -> list[tuple[int, int, int]]:
        sums: dict[int, list[int]] = {}
        rows = [product.position(order) for order in product.orders.values()]
        for row in (row for row in rows if row.quantity_mWh):
            cell = self.desk.cells.by_number[row.cell]
            drawn = row.quantity_mWh if row.side == BID else -row.quantity_mWh
            found = sums.setdefault(cell.bus, [0, 0])
            found[0] += drawn
            found[1] += drawn * cell.tangent
        return [(bus, p, q // PERMILLE) for bus, (p, q) in sorted(sums.items())]

    def _positions(self, slot: Slot, number: int | None = None) -> list[Order]:
        if not slot.extras.forwards:
            return []
        found = []
        for _, product in sorted(self.products.items()):
            if product.first <= slot.number <= product.last and product.outcome is not None:
                rows = [product.position(order) for order in product.orders.values()]
                found += [row for row in rows if row.quantity_mWh and number in (None, row.cell)]
        return found

    def energy_of(self, slot: Slot, number: int, side: int) -> int:
        """What a cell has of a side in a slot."""
        return sum(row.quantity_mWh for row in self._positions(slot, number) if row.side == side)

    def cells_of(self, slot: Slot) -> set[int]:
        """Cells with positions in a slot."""
        return {row.cell for row in self._positions(slot)}

    def added(self, slot: Slot, number: int, trades: Trades) -> Trades:
        """A cell's trades with its positions; what moved on has taken its escrow."""
        escrow = -self.desk.special.moving.carried_escrow(slot, number)
        sums = {BID: [0, 0], ASK: [0, 0]}
        for product in self.products.values():
            if product.first <= slot.number <= product.last and product.outcome is not None and slot.extras.forwards:
                for row in (product.position(o) for o in product.orders.values() if o.cell == number):
                    escrow += product.escrow_of(row)
                    sums[row.side][0] += row.quantity_mWh
                    sums[row.side][1] += row.quantity_mWh * row.price_e4
        return replace(
            trades,
            bought_mWh=trades.bought_mWh + sums[BID][0],
            sold_mWh=trades.sold_mWh + sums[ASK][0],
            paid=trades.paid + sums[BID][1],
            earned=trades.earned + sums[ASK][1],
            escrow=trades.escrow + escrow,
        )

    def work(self, units: int) -> int:
        """Award, and take past products away."""
        for key, product in sorted(self.products.items()):
            if units > 0 and product.outcome is not None and product.to_end is None:
                units = self._award(key, product, units)
            if units > 0 and product.to_end is not None and self._is_past(product):
                units = self._take_away(key, product, units)
        return units

    def _award(self, key: tuple[int, int], product: Product, units: int) -> int:
        batch, product.to_award = product.to_award[:units], product.to_award[units:]
        for seq in batch:
            order = product.orders[seq]
            got = product.position(order)
            refund = (product.escrow_of(order) - product.escrow_of(got)) * product.slots
            owner = self.desk.cells.by_number[order.cell].address
            self.desk.pay(WAITING, owner, refund)
            self.desk.stage.expect.event(
                "forward_awarded",
                (product.first, product.slots, seq),
                cell=owner,
                quantity_mWh=got.quantity_mWh,
                refund=refund,
            )
        if len(batch) < units:
            rows = (product.position(order) for order in product.orders.values())
            product.to_end = sorted((row.cell, row.seq) for row in rows if row.quantity_mWh)
            if not product.to_end:
                del self.products[key]
        return units - len(batch)

    def _is_past(self, product: Product) -> bool:
        return self.desk.last_opened >= product.last and all(number > product.last for number in self.desk.live)

    def _take_away(self, key: tuple[int, int], product: Product, units: int) -> int:
        assert product.to_end is not None
        batch, product.to_end = product.to_end[:units], product.to_end[units:]
        for cell, seq in batch:
            row = product.position(product.orders[seq])
            void = product.slots - product.opened
            self.desk.pay(WAITING, self.desk.cells.by_number[cell].address, void * product.escrow_of(row))
        if len(batch) == units:
            return 0
        del self.products[key]
        place = product.first, product.slots
        self.desk.stage.expect.event("forward_ended", place, opened=product.opened)
        return units - len(batch)
