"""The audit's own rules of what orders say beyond price and quantity, written from docs/market.md.

Here: how they enter the book, are amended, and are cleared with minimum fills. Sealed ones are in `sealed`, what moves
on to later slots in `moving`, what storages offer in `storage`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bsmg.audit.auction import Order, Outcome
from bsmg.audit.ledger import module_address
from bsmg.audit.moving import Moving
from bsmg.audit.sealed import Sealed
from bsmg.audit.storage import Storages
from cosmos_wire.protos import market_tx

if TYPE_CHECKING:
    from bsmg.audit.market import Market
    from bsmg.audit.slot import Slot

PERMILLE = 1000
PASSES = 8
ESCROW = module_address("market/escrow")


@dataclass(slots=True, kw_only=True)
class Extras:
    """What a slot's orders say beyond price and quantity."""

    least: dict[int, int] = field(default_factory=dict)  # by sequence
    valid_to: dict[int, int] = field(default_factory=dict)
    carried: dict[int, int] = field(default_factory=dict)
    commits: dict[tuple[int, int], int] = field(default_factory=dict)  # (cell, sequence) -> escrow
    hashes: dict[int, bytes] = field(default_factory=dict)
    storage: dict[int, tuple[int, int]] = field(default_factory=dict)  # by sequence: slot and price to discharge at
    storing: list[tuple[int, int]] | None = None  # (cell, sequence) whose fills the storages don't know yet
    reveal_blocks: int = 0
    moving: list[tuple[int, int]] | None = None  # (cell, sequence) still to be looked at
    forwards: bool = False
    positions: list[tuple[int, int, int]] = field(default_factory=list)  # bus, energy, reactive energy


def without_missed(
    orders: Iterable[Order],
    least: Mapping[int, int],
    clear: Callable[[list[Order]], Outcome],
    factor_of: Callable[[Outcome], int] = lambda _: PERMILLE,
) -> Outcome:
    """Clear; drop the order that misses most of its minimum, the latest of equals; after eight all that have one."""
    left = list(orders)
    for _ in range(PASSES + 1):
        found = clear(left)
        factor = factor_of(found) if least else PERMILLE
        fills = {seq: found.fills.get(seq, 0) * factor // PERMILLE for seq in least}
        gaps = {seq: wanted - fills[seq] for seq, wanted in least.items() if 0 < fills[seq] < wanted}
        if not gaps:
            return found
        worst = max(gaps, key=lambda seq: (gaps[seq], seq))
        left = [order for order in left if order.seq != worst]
    return clear([order for order in left if order.seq not in least])


class Special:
    """The replay of such orders."""

    def __init__(self, desk: Market) -> None:
        self.desk = desk
        self.storages, self.sealed, self.moving = Storages(self), Sealed(desk), Moving(desk)

    def enter(self, slot: Slot, msg: market_tx.MsgPlaceOrder, seq: int) -> int:
        """An order comes into the book; returns its escrow."""
        order = Order(
            side=msg.side,
            price_e4=msg.price_e4,
            seq=seq,
            cell=self.desk.cells.by_address[msg.cell].number,
            quantity_mWh=msg.quantity_mWh,
            kind=msg.kind,
        )
        slot.orders[seq] = order
        terms = (slot.thresholds, msg.min_score_permille), (slot.extras.least, msg.min_fill_mWh)
        for kept, said in (*terms, (slot.extras.valid_to, msg.valid_to)):
            if said:
                kept[seq] = said
        if msg.storage:
            self.storages.opened(slot, order, (msg.discharge_slot, msg.discharge_price_e4))
        escrow = slot.escrow_of(order)
        slot.escrow += escrow
        self.desk.pay(msg.cell, ESCROW, escrow)
        return escrow

    def cancelled(self, slot: Slot, order: Order) -> None:
        """They go with it."""
        seq = order.seq
        self.storages.cancelled(slot, order)
        slot.extras.least.pop(seq, None)
        slot.extras.valid_to.pop(seq, None)

    def amend(self, msg: market_tx.MsgAmendOrder, answer: market_tx.MsgAmendOrderResponse) -> None:
        """Less at the same price keeps the sequence."""
        desk, slot = self.desk, self.desk.live[msg.slot]
        old = slot.orders.pop(msg.seq)
        keeps = msg.price_e4 == old.price_e4 and msg.quantity_mWh <= old.quantity_mWh
        seq = old.seq if keeps else slot.next_seq
        slot.next_seq += not keeps
        new = replace(old, price_e4=msg.price_e4, quantity_mWh=msg.quantity_mWh, seq=seq)
        slot.orders[seq] = new
        for terms in (slot.extras.least, slot.extras.valid_to, slot.thresholds):
            if msg.seq in terms:
                terms[seq] = terms.pop(msg.seq)
        more = slot.escrow_of(new) - slot.escrow_of(old)
        slot.escrow += more
        self._pay_either(msg.cell, more)
        name = f"{desk.stage.place}: amended order {msg.seq} of slot {msg.slot}"
        desk.stage.findings.equal("clearings", f"{name} seq", seq, answer.seq)
        desk.stage.findings.equal("clearings", f"{name} escrow", str(slot.escrow_of(new)), answer.escrow)

    def _pay_either(self, address: str, amount: int) -> None:
        """Into the escrow, out of it when negative."""
        self.desk.pay(address, ESCROW, max(0, amount))
        self.desk.pay(ESCROW, address, max(0, -amount))

    def cleared(self, slot: Slot) -> Outcome:
        """The slot's auction; minimum fills hold after the cut of the network check."""
        desk, least = self.desk, slot.extras.least
        return without_missed(
            slot.orders.values(),
            least,
            lambda left: desk.run(slot, left),
            lambda found: desk.physical.factor(slot, found),
        )

    def under_caps(self, slot: Slot, caps: Mapping[tuple[int, int], int]) -> Outcome:
        """The auction under the utility cell's caps."""
        desk = self.desk
        return without_missed(
            slot.orders.values(),
            slot.extras.least,
            lambda left: desk.run(slot, desk.physical.capped(left, caps)),
        )

    def release(self, slot: Slot) -> None:
        """Fills are final."""
        if slot.extras.valid_to:
            slot.extras.moving = sorted((slot.orders[seq].cell, seq) for seq in slot.extras.valid_to)
        if slot.extras.storage:
            slot.extras.storing = sorted((slot.orders[seq].cell, seq) for seq in slot.extras.storage)

    def work(self, units: int) -> int:
        """In the order of the chain's end of block; returns the units left."""
        units = self.sealed.work(units)
        for slot in sorted(self.desk.live.values(), key=lambda item: item.number):
            if units > 0 and slot.extras.moving is not None:
                units = self.moving.out(slot, units)
        return self.moving.into(units) if units > 0 else 0
