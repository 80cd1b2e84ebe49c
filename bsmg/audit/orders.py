"""The audit's own rules of orders beyond placing and cancelling, written from docs/market.md: amended ones, minimum
fills, bids that move on, sealed ones.

What moves on is worked out from the books: no event is believed, each is expected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from bsmg.audit.auction import BID, Order, Outcome
from bsmg.audit.cells import Cell
from bsmg.audit.ledger import module_address
from bsmg.audit.storage import Storages
from cosmos_wire.address import from_bech32
from cosmos_wire.protos import market, market_tx, registry

if TYPE_CHECKING:
    from bsmg.audit.market import Market
    from bsmg.audit.slot import Slot

PERMILLE = 1000
PASSES = 8
BID_GATE, CLEAR_GATE = 1, 2
SLOT_WH_OF_W = 250  # mWh that one W is over a slot
ESCROW, INCENTIVE, WAITING = (module_address(f"market/{name}") for name in ("escrow", "incentive", "waiting"))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What waits for a slot."""

    price_e4: int
    quantity_mWh: int
    valid_to: int
    escrow: int
    least: int
    storage: bool = False


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
        self.storages = Storages(self)
        self.waiting: dict[tuple[int, int, int], Waits] = {}  # (slot, cell, number)
        self.last_number = 0

    # --- messages ----------------------------------------------------------------------------------------------------

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

    def commit(self, msg: market_tx.MsgCommitOrder, answer: market_tx.MsgCommitOrderResponse) -> None:
        """Takes a sequence and what its cell declares."""
        desk, slot = self.desk, self.desk.live[msg.slot]
        cell, seq = desk.cells.by_address[msg.cell], slot.next_seq
        slot.next_seq += 1
        slot.extras.commits[cell.number, seq] = int(msg.escrow)
        slot.extras.hashes[seq] = msg.hash
        slot.escrow += int(msg.escrow)
        desk.pay(msg.cell, ESCROW, int(msg.escrow))
        name = f"{desk.stage.place}: commit of {msg.cell} in slot {msg.slot} seq"
        desk.stage.findings.equal("clearings", name, seq, answer.seq)

    def reveal(self, msg: market_tx.MsgRevealOrder, answer: market_tx.MsgRevealOrderResponse) -> None:
        """The order has to hash to what was committed; what it doesn't need returns."""
        desk, slot = self.desk, self.desk.live[msg.order.slot]
        cell = desk.cells.by_address[msg.cell]
        declared = slot.extras.commits.pop((cell.number, msg.seq))
        slot.escrow -= declared
        desk.pay(ESCROW, msg.cell, declared)
        escrow = self.enter(slot, msg.order, msg.seq)
        name = f"{desk.stage.place}: reveal {msg.seq} of slot {slot.number}"
        wanted = commit_hash(desk.stage.chain_id, msg.order, msg.salt).hex()
        desk.stage.findings.equal("clearings", f"{name} hash", wanted, slot.extras.hashes[msg.seq].hex())
        desk.stage.findings.equal("clearings", f"{name} escrow", str(escrow), answer.escrow)
        desk.stage.findings.equal("clearings", f"{name} refund", str(declared - escrow), answer.refund)

    def cancel_waiting(self, msg: market_tx.MsgCancelWaiting, answer: market_tx.MsgCancelWaitingResponse) -> None:
        """All of what waited returns."""
        cell = self.desk.cells.by_address[msg.cell].number
        place = next(key for key in self.waiting if key[1:] == (cell, msg.number))
        refund = str(self.waiting[place].escrow)
        self._end(place, self.waiting.pop(place))
        name = f"{self.desk.stage.place}: cancelled waiting order {msg.number} refund"
        self.desk.stage.findings.equal("clearings", name, refund, answer.refund)

    # --- hooks -------------------------------------------------------------------------------------------------------

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

    def carried_escrow(self, slot: Slot, number: int) -> int:
        """What left the slot with what moved on."""
        carried = {slot.orders[seq]: energy for seq, energy in slot.extras.carried.items()}
        own = (replace(order, quantity_mWh=energy) for order, energy in carried.items() if order.cell == number)
        return sum(slot.escrow_of(order) for order in own)

    def work(self, units: int) -> int:
        """In the order of the chain's end of block; returns the units left."""
        units = self._reveals(units)
        for slot in sorted(self.desk.live.values(), key=lambda item: item.number):
            if units > 0 and slot.extras.moving is not None:
                units = self._move_out(slot, units)
        return self._move_in(units) if units > 0 else 0

    def _reveals(self, units: int) -> int:
        for slot in sorted(self.desk.live.values(), key=lambda item: item.number):
            if not slot.extras.commits:
                continue
            if slot.gate == CLEAR_GATE:
                slot.extras.reveal_blocks += self.desk.stage.time_ms >= reveals_from_ms(slot)
                continue
            for cell, seq in sorted(slot.extras.commits)[:units]:
                units -= 1
                self._forfeit(slot, (cell, seq))
        return units

    def _forfeit(self, slot: Slot, key: tuple[int, int]) -> None:
        escrow = slot.extras.commits.pop(key)
        share = slot.params.unrevealed_permille if slot.extras.reveal_blocks >= 2 else 0
        lost = escrow * share // PERMILLE
        owner = self.desk.cells.by_number[key[0]].address
        slot.escrow -= escrow
        self.desk.pay(ESCROW, owner, escrow - lost)
        self.desk.pay(ESCROW, INCENTIVE, lost)
        self.desk.stage.expect.event("commit_unrevealed", (slot.number, owner, key[1]), lost=lost, refund=escrow - lost)

    def _move_out(self, slot: Slot, units: int) -> int:
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

    def _move_in(self, units: int) -> int:
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
        self.enter(slot, msg, seq)
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
            and (not msg.storage or self.storages.may_discharge(slot, new))
            and len(own) + sealed < params.max_orders_per_cell
            and len(slot.orders) + len(slot.extras.commits) < params.max_orders_per_slot
            and total + msg.quantity_mWh <= rating
            and not (msg.min_fill_mWh and len(slot.extras.least) >= 200)
            and self.desk.held(cell.address) + escrow >= needed
        )


def reveals_from_ms(slot: Slot) -> int:
    """When commits end and reveals begin."""
    first, last = slot.gate_ms(BID_GATE), slot.gate_ms(CLEAR_GATE)
    return first + (last - first) * slot.params.commit_permille // PERMILLE


def commit_hash(chain_id: str, order: market_tx.MsgPlaceOrder, salt: bytes) -> bytes:
    """What a sealed order hashes to."""
    numbers = (
        (order.slot, 8),
        (order.side, 1),
        (order.price_e4, 4),
        (order.quantity_mWh, 8),
        (order.kind, 1),
        (order.min_fill_mWh, 8),
        (order.valid_to, 8),
        (order.min_score_permille, 2),
        (len(salt), 1),
    )
    name = chain_id.encode()
    text = b"bsmg/commit/1" + len(name).to_bytes(2, "big") + name + from_bech32(order.cell)
    return sha256(text + b"".join(number.to_bytes(size, "big") for number, size in numbers) + salt).digest()
