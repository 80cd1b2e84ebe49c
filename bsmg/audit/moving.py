"""The audit's own rules of what moves from slot to slot, written from docs/market.md: unserved bids, storages' asks.

It is worked out from the books: no event is believed, each is expected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bsmg.audit.auction import BID, Order
from bsmg.audit.cells import Cell
from bsmg.audit.ledger import module_address
from cosmos_wire.protos import market, market_tx, registry

if TYPE_CHECKING:
    from bsmg.audit.market import Market
    from bsmg.audit.slot import Slot

BID_GATE, CLEAR_GATE = 1, 2
SLOT_WH_OF_W = 250  # mWh that one W is over a slot
ESCROW, WAITING = (module_address(f"market/{name}") for name in ("escrow", "waiting"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What waits for a slot."""

    price_e4: int
    quantity_mWh: int
    valid_to: int
    escrow: int
    least: int
    storage: bool = False


class Moving:
    """What waits, and how it leaves a slot and enters another."""

    def __init__(self, desk: Market) -> None:
        self.desk = desk
        self.waiting: dict[tuple[int, int, int], Waits] = {}  # (slot, cell, number)
        self.last_number = 0

    def cancel(self, msg: market_tx.MsgCancelWaiting, answer: market_tx.MsgCancelWaitingResponse) -> None:
        """All of what waited returns."""
        cell = self.desk.cells.by_address[msg.cell].number
        place = next(key for key in self.waiting if key[1:] == (cell, msg.number))
        refund = str(self.waiting[place].escrow)
        self._end(place, self.waiting.pop(place))
        name = f"{self.desk.stage.place}: cancelled waiting order {msg.number} refund"
        self.desk.stage.findings.equal("clearings", name, refund, answer.refund)

    def carried_escrow(self, slot: Slot, number: int) -> int:
        """What left the slot with what moved on."""
        carried = {slot.orders[seq]: energy for seq, energy in slot.extras.carried.items()}
        own = (replace(order, quantity_mWh=energy) for order, energy in carried.items() if order.cell == number)
        return sum(slot.escrow_of(order) for order in own)

    def number(self) -> int:
        """Of what begins to wait."""
        self.last_number += 1
        return self.last_number

    def wait_for(self, slot: int, cell: int, ask: tuple[int, int]) -> None:
        """The other half of a storage bid: an ask (price, energy) in that slot."""
        waits = Waits(price_e4=ask[0], quantity_mWh=ask[1], valid_to=slot, escrow=0, least=0, storage=True)
        number, owner = self.number(), self.desk.cells.by_number[cell].address
        self.waiting[slot, cell, number] = waits
        self.desk.stage.expect.event("order_waits", (slot, owner, number), quantity_mWh=waits.quantity_mWh)

    def out(self, slot: Slot, units: int) -> int:
        """Unserved parts leave a cleared slot; returns the units left."""
        assert slot.extras.moving is not None
        batch, slot.extras.moving = slot.extras.moving[:units], slot.extras.moving[units:]
        for _, seq in batch:
            self._leave(slot, slot.orders[seq])
        if len(batch) == units:
            return 0
        slot.extras.moving = None
        return units - len(batch)

    def _leave(self, slot: Slot, order: Order) -> None:
        fill = slot.fill(order)
        rest = order.quantity_mWh - fill
        if not rest:
            return
        slot.extras.carried[order.seq] = rest
        waits = Waits(
            price_e4=order.price_e4,
            quantity_mWh=rest,
            valid_to=slot.extras.valid_to[order.seq],
            escrow=slot.escrow_of(replace(order, quantity_mWh=rest)),
            least=0 if fill else slot.extras.least.get(order.seq, 0),
        )
        slot.escrow -= waits.escrow
        self.desk.pay(ESCROW, WAITING, waits.escrow)
        self._wait_on((slot.number, order.cell, self.number()), waits)

    def _wait_on(self, place: tuple[int, int, int], waits: Waits) -> None:
        after, cell, number = place
        open_ones = [slot.number for slot in self.desk.live.values() if slot.number > after and slot.gate <= CLEAR_GATE]
        target = min(open_ones, default=max(after, self.desk.last_opened) + 1)
        if target > waits.valid_to:
            self._end(place, waits)
            return
        self.waiting[target, cell, number] = waits
        owner = self.desk.cells.by_number[cell].address
        self.desk.stage.expect.event("order_waits", (target, owner, number), quantity_mWh=waits.quantity_mWh)

    def _end(self, place: tuple[int, int, int], waits: Waits) -> None:
        owner = self.desk.cells.by_number[place[1]].address
        self.desk.pay(WAITING, owner, waits.escrow)
        self.desk.stage.expect.event("order_ended", (owner, place[2]), refund=waits.escrow)

    def into(self, units: int) -> int:
        """What waits for a slot that takes orders enters it, or waits on."""
        for number in sorted({place[0] for place in self.waiting if place[0] <= self.desk.last_opened}):
            slot = self.desk.live.get(number)
            if units == 0 or (slot is not None and slot.gate == BID_GATE):
                continue
            for place in sorted(key for key in self.waiting if key[0] == number)[:units]:
                units -= 1
                waits = self.waiting.pop(place)
                if slot is None or slot.gate != CLEAR_GATE or not self._enter(slot, place, waits):
                    self._wait_on(place, waits)
        return units

    def _enter(self, slot: Slot, place: tuple[int, int, int], waits: Waits) -> bool:
        desk, cell = self.desk, self.desk.cells.by_number[place[1]]
        price = max(waits.price_e4, slot.floor_e4) if waits.storage else min(waits.price_e4, slot.cap_e4)
        msg = market_tx.MsgPlaceOrder(
            cell=cell.address,
            slot=slot.number,
            side=market.SIDE_ASK if waits.storage else market.SIDE_BID,
            price_e4=price,
            storage=waits.storage,
            quantity_mWh=waits.quantity_mWh,
            min_fill_mWh=waits.least,
            valid_to=waits.valid_to if waits.valid_to > slot.number else 0,
        )
        if not self._may_enter(slot, cell, (msg, waits.escrow)):
            return False
        desk.pay(WAITING, cell.address, waits.escrow)
        seq, slot.next_seq = slot.next_seq, slot.next_seq + 1
        desk.special.enter(slot, msg, seq)
        desk.stage.expect.event("order_moved", (slot.number, cell.address, place[2]), seq=seq)
        return True

    def _may_enter(self, slot: Slot, cell: Cell, order: tuple[market_tx.MsgPlaceOrder, int]) -> bool:
        """What the chain checks of every order."""
        (msg, escrow), params = order, slot.params
        own = [item for item in slot.orders.values() if item.cell == cell.number]
        sealed = sum(number == cell.number for number, _ in slot.extras.commits)
        total = sum(item.quantity_mWh for item in own if item.side == msg.side)
        total += self.desk.forward.energy_of(slot, cell.number, msg.side)
        rating = (cell.import_W if msg.side == BID else cell.export_W) * SLOT_WH_OF_W
        pledge = (params.up_e4 + slot.pen_e4) * cell.import_W * SLOT_WH_OF_W * params.max_live_slots
        new = Order(side=msg.side, price_e4=msg.price_e4, seq=0, cell=cell.number, quantity_mWh=msg.quantity_mWh)
        needed = slot.escrow_of(new)
        return (
            cell.status == registry.STATUS_ACTIVE
            and not cell.arrears
            and cell.missed < params.missed_before_suspension
            and cell.collateral >= pledge
            and slot.floor_e4 <= msg.price_e4 <= slot.cap_e4
            and (msg.side == BID or cell.score >= params.min_score_permille)
            and (not msg.storage or self.desk.special.storages.may_discharge(slot, new))
            and len(own) + sealed < params.max_orders_per_cell
            and len(slot.orders) + len(slot.extras.commits) < params.max_orders_per_slot
            and total + msg.quantity_mWh <= rating
            and not (msg.min_fill_mWh and len(slot.extras.least) >= 200)
            and self.desk.held(cell.address) + escrow >= needed
        )
