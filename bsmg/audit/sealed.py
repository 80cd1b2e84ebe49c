"""The audit's own sealed orders, written from docs/market.md: commits, reveals, and what the unrevealed pay."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from bsmg.audit.ledger import module_address
from cosmos_wire.address import from_bech32
from cosmos_wire.protos import market_tx

if TYPE_CHECKING:
    from bsmg.audit.market import Market
    from bsmg.audit.slot import Slot

PERMILLE = 1000
BID_GATE, CLEAR_GATE = 1, 2
ESCROW, INCENTIVE = (module_address(f"market/{name}") for name in ("escrow", "incentive"))


class Sealed:
    """The replay of commits and reveals."""

    def __init__(self, desk: Market) -> None:
        self.desk = desk

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
        escrow = self.desk.special.enter(slot, msg.order, msg.seq)
        name = f"{desk.stage.place}: reveal {msg.seq} of slot {slot.number}"
        wanted = commit_hash(desk.stage.chain_id, msg.order, msg.salt).hex()
        desk.stage.findings.equal("clearings", f"{name} hash", wanted, slot.extras.hashes[msg.seq].hex())
        desk.stage.findings.equal("clearings", f"{name} escrow", str(escrow), answer.escrow)
        desk.stage.findings.equal("clearings", f"{name} refund", str(declared - escrow), answer.refund)

    def work(self, units: int) -> int:
        """Count blocks that take reveals; once they have ended, what nobody revealed pays."""
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
