"""The audit's own states of charge, written from docs/market.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bsmg.audit.auction import ASK, BID, Order
from cosmos_wire.protos import market_tx

if TYPE_CHECKING:
    from bsmg.audit.orders import Special
    from bsmg.audit.slot import Slot

PERMILLE = 1000
SLOT_WH_OF_W = 250


@dataclass(slots=True, kw_only=True)
class Storage:
    """A cell's storage; mWh."""

    energy: int = 0
    power_W: int = 0
    efficiency: int = 0
    charged: int = 0
    reserved: int = 0


class Storages:
    """The replay of storage offers."""

    def __init__(self, special: Special) -> None:
        self.special = special
        self.by_cell: dict[int, Storage] = {}

    def register(self, msg: market_tx.MsgRegisterStorage) -> None:
        """New, or corrected."""
        cells = self.special.desk.cells
        cell = cells.by_address.get(msg.cell) or cells.by_id[msg.cell]
        kept = self.by_cell.setdefault(cell.number, Storage())
        kept.energy, kept.power_W = msg.energy_mWh, msg.power_W
        kept.efficiency, kept.charged = msg.efficiency_permille, msg.charged_mWh

    def opened(self, slot: Slot, order: Order, half: tuple[int, int]) -> None:
        """An ask takes what it may take away from other asks."""
        slot.extras.storage[order.seq] = half
        if order.side == ASK:
            self.by_cell[order.cell].reserved += order.quantity_mWh

    def cancelled(self, slot: Slot, order: Order) -> None:
        """It leaves before the slot is cleared."""
        if slot.extras.storage.pop(order.seq, None) is not None and order.side == ASK:
            self.by_cell[order.cell].reserved -= order.quantity_mWh

    def may_discharge(self, slot: Slot, order: Order) -> bool:
        """Whether the storage holds what an ask offers, and has the power."""
        kept = self.by_cell[order.cell]
        own = (slot.orders[seq] for seq in slot.extras.storage)
        asked = sum(item.quantity_mWh for item in own if (item.cell, item.side) == (order.cell, ASK))
        power = asked + order.quantity_mWh <= kept.power_W * SLOT_WH_OF_W
        return power and kept.reserved + order.quantity_mWh <= kept.charged

    def work(self, units: int) -> int:
        """Take final fills over, slot by slot."""
        for slot in sorted(self.special.desk.live.values(), key=lambda item: item.number):
            if units <= 0 or slot.extras.storing is None:
                continue
            batch, rest = slot.extras.storing[:units], slot.extras.storing[units:]
            for _, seq in batch:
                self._change(slot, slot.orders[seq])
            slot.extras.storing = rest if len(batch) == units else None
            units -= len(batch)
        return units

    def _change(self, slot: Slot, order: Order) -> None:
        kept, fill = self.by_cell[order.cell], slot.fill(order)
        if order.side == BID:
            gained = fill * kept.efficiency // PERMILLE
        else:
            gained = -(fill + slot.with_main_grid(order))
            kept.reserved -= order.quantity_mWh
        kept.charged += gained
        desk, owner = self.special.desk, self.special.desk.cells.by_number[order.cell].address
        desk.stage.expect.event(
            "storage_changed", (slot.number, owner, order.seq), change_mWh=gained, charged_mWh=kept.charged
        )
        name = f"{desk.stage.place}: state of charge of {owner}"
        desk.stage.findings.equal("clearings", f"{name} within bounds", True, 0 <= kept.charged <= kept.energy)
        later, price = slot.extras.storage[order.seq]
        if later and gained:
            self.special.moving.wait_for(later, order.cell, (price, gained))
