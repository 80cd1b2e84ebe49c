"""The replay of a market: gates by block time, orders, clearing, settlement, and every coin that this moves.

Timing is worked out from block times and the gate table, not taken from events, so that a slot which the chain forgets
or settles twice is found as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any as Json

from google.protobuf import json_format

from bsmg.audit import area_mechanisms, auction, mechanisms
from bsmg.audit.areas import Fees, Ground, fees_of
from bsmg.audit.auction import ASK, BID, Order, Outcome
from bsmg.audit.ballot import Ballots
from bsmg.audit.cells import Cell, Cells
from bsmg.audit.forward import Forward
from bsmg.audit.ledger import module_address
from bsmg.audit.orders import Special
from bsmg.audit.physical import Physical
from bsmg.audit.settle import Trades, bill, paid_in_order
from bsmg.audit.slot import CLEAR, CLOSE, OPEN, PERMILLE, SEAL, SECURE, SETTLE, Slot, gate_ms, statement_of, tariff_of
from bsmg.audit.stage import Stage
from cosmos_wire.protos import market, market_tx, meter_tx

NOT_CERTIFIED, NOT_BETTER = 14, 15  # codes of the market's refusals
ESCROW, BALANCING, INCENTIVE, FEES, COLLATERAL, SUBSIDY = (
    module_address(f"market/{name}") for name in ("escrow", "balancing", "incentive", "fees", "collateral", "subsidy")
)


class Market:
    """The market's part of a replay."""

    def __init__(self, stage: Stage, cells: Cells) -> None:
        self.stage, self.cells = stage, cells
        self.physical = Physical(stage, cells)
        self.params = market.Params()
        self.fees: Fees | None = None
        self.live: dict[int, Slot] = {}
        self.last_opened = -1
        self.special, self.forward, self.ballots = Special(self), Forward(self), Ballots(self)

    def load(self, doc: Mapping[str, Json]) -> None:
        """Parameters of genesis."""
        self.params = json_format.ParseDict(doc["params"], market.Params())
        self.fees = fees_of(json_format.ParseDict(doc.get("fees", {}), market.FeeTable()))
        self.last_opened = self.params.first_slot - 1

    @property
    def denom(self) -> str:
        """The microgrid's token."""
        return self.params.denom

    def held(self, address: str) -> int:
        """What an account holds of it."""
        return self.stage.ledger.balance(address, self.denom)

    def pay(self, sender: str, recipient: str, amount: int) -> None:
        """Move the microgrid's token."""
        self.stage.ledger.move(sender, recipient, self.denom, amount)

    # --- gates -------------------------------------------------------------------------------------------------------

    def begin_block(self) -> None:
        """Fire what is due, earliest first."""
        self.forward.close_due()
        while (due := self._earliest()) is not None:
            _, number, gate = due
            if gate == OPEN:
                self._open(number)
            else:
                self._fire(self.live[number], gate)

    def _earliest(self) -> tuple[int, int, int] | None:
        due = [found for slot in self.live.values() if (found := self._due(slot)) is not None]
        opens = self._next_to_open()
        if opens is not None:
            due.append((gate_ms(self.params, opens, OPEN), opens, OPEN))
        return min(due, default=None)

    def _due(self, slot: Slot) -> tuple[int, int, int] | None:
        gate, now = slot.gate, self.stage.time_ms
        blocks = 0 if gate == SECURE and slot.secured else slot.params.gates[gate].blocks_min
        waits = self.stage.height < slot.gate_height + blocks or (gate == CLOSE and not slot.settled)
        if slot.gate_ms(gate) <= now and not waits:
            return slot.gate_ms(gate), slot.number, gate
        if gate < SEAL and slot.gate_ms(SEAL) <= now:
            return slot.gate_ms(SEAL), slot.number, SEAL
        return None

    def _next_to_open(self) -> int | None:
        params, now = self.params, self.stage.time_ms
        if len(self.live) >= params.max_live_slots:
            return None
        window = max(params.slot_ms, params.window_min_ms) // 1000
        first = (now - params.gates[CLEAR].offset_permille * window) // params.slot_ms + 1
        last = (now - params.gates[OPEN].offset_permille * window) // params.slot_ms
        number = max(self.last_opened + 1, first)
        return number if number <= last else None

    def _open(self, number: int) -> None:
        self.cells.slot_opens()
        if number > self.last_opened + 1:
            edges: dict[str, object] = {"from": self.last_opened + 1, "to": number - 1}
            self.stage.expect.event("slot_skipped", (number,), **edges)
        funded = self.held(BALANCING) >= int(self.params.balancing_min or 0)
        frozen = market.Params()
        frozen.CopyFrom(self.params)
        if frozen.mechanism in mechanisms.SUBSIDISED and self.held(SUBSIDY) < int(frozen.subsidy_max):
            frozen.mechanism = market.MECHANISM_UNIFORM_K
        slot = Slot(
            number=number,
            params=frozen,
            floor_e4=frozen.floor_e4,
            cap_e4=frozen.cap_e4,
            factor=PERMILLE if funded else 0,
            fees=self.fees,
            gate_height=self.stage.height,
        )
        self.forward.opens(slot)
        self.live[number], self.last_opened = slot, number
        self.stage.findings.count("gates")
        self.stage.expect.event("slot_opened", (number,), factor_permille=slot.factor)

    def _fire(self, slot: Slot, gate: int) -> None:
        slot.gate_height, slot.gate = self.stage.height, gate + 1
        self.stage.findings.count("gates")
        if gate == CLEAR:
            self._clear(slot)
        elif gate == SECURE:
            self._secure(slot)
        elif gate == SEAL:
            self._seal(slot)
        elif gate == SETTLE:
            slot.loss_mWh, slot.metered_mWh = self.physical.losses(slot)
            slot.charging = True
        elif gate == CLOSE:
            self.stage.expect.event("slot_closed", (slot.number,))
            del self.live[slot.number]

    def _clear(self, slot: Slot) -> None:
        self.physical.freeze(slot)
        found = slot.outcome = self.special.cleared(slot)
        self._take_subsidy(slot, found.subsidy)
        self.stage.findings.count("clearings")
        self.stage.expect.event(
            "slot_cleared",
            (slot.number,),
            price_e4=found.price_e4,
            volume_mWh=found.volume_mWh,
            welfare=found.welfare,
        )
        if slot.factor and found.volume_mWh and self.physical.is_voted_on():
            self.ballots.open(slot)
            return
        factor = self.physical.cut_at_clear(slot) if slot.factor else None
        slot.secured = factor is None
        if factor is None:
            self._say_secured(slot)
        else:
            slot.factor = min(slot.factor, factor)

    def _say_secured(self, slot: Slot) -> None:
        self.stage.expect.event("slot_secured", (slot.number,), candidate=0, factor_permille=slot.factor)

    def run(self, slot: Slot, orders: list[Order]) -> Outcome:
        """The mechanism's, or one price where the pool doesn't cover its deficit."""
        rules = auction.Rules(
            mechanism=slot.params.mechanism,
            k_num=slot.params.k_num,
            k_den=slot.params.k_den,
            floor_e4=slot.floor_e4,
            cap_e4=slot.cap_e4,
        )
        facts = mechanisms.Facts(
            scores={number: cell.score for number, cell in self.cells.by_number.items()},
            thresholds=slot.thresholds,
            tariff_e4=slot.params.tariff_e4,
            chain_id=self.stage.chain_id,
            slot=slot.number,
        )
        found = self._by(slot, orders, rules, facts)
        kept = slot.outcome.subsidy if slot.outcome else 0
        if found.subsidy > min(self.held(SUBSIDY) + kept, int(slot.params.subsidy_max or 0)):
            return self._by(slot, orders, replace(rules, mechanism=auction.UNIFORM_K), facts)
        return found

    def _by(self, slot: Slot, orders: list[Order], rules: auction.Rules, facts: mechanisms.Facts) -> Outcome:
        if slot.fees is None:
            return mechanisms.run(orders, rules, facts)
        buses = {number: cell.bus for number, cell in self.cells.by_number.items()}
        return area_mechanisms.run(orders, rules, facts, Ground(fees=slot.fees, bus_of=buses))

    def _take_subsidy(self, slot: Slot, amount: int) -> None:
        """Out of the pool into the slot's escrow; back when negative."""
        self.pay(SUBSIDY, ESCROW, max(0, amount))
        self.pay(ESCROW, SUBSIDY, max(0, -amount))
        slot.escrow += amount
        slot.gained -= amount

    def propose_caps(self, msg: market_tx.MsgProposeCaps) -> None:
        """The utility cell's caps count when the clearing under them is certified whole and worth more."""
        slot = self.live[msg.slot]
        slot.attempts += 1
        self.stage.findings.equal("clearings", f"{self.stage.place}: attempt", slot.attempts, msg.attempt)
        caps = {(cap.bus, int(cap.side)): cap.cap_mWh for cap in msg.caps}
        points = {point.bus: point.q_mvarh for point in msg.q}
        if slot.poll is not None and slot.poll.is_open:
            self.ballots.grow(slot, caps, points)
            code = 0
        else:
            code = self._judged(slot, caps, points)
        self.stage.expect.event("caps_judged", (slot.number,), attempt=msg.attempt, code=code)

    def _judged(self, slot: Slot, caps: Mapping[tuple[int, int], int], points: dict[int, int]) -> int:
        found = self.special.under_caps(slot, caps)
        assert slot.outcome is not None
        if not self.physical.bears(slot, found, points):
            return NOT_CERTIFIED
        if found.welfare <= slot.outcome.welfare * slot.factor // PERMILLE:
            return NOT_BETTER
        self.adopt(slot, found)
        slot.factor, slot.set_points = PERMILLE, points
        return 0

    def adopt(self, slot: Slot, found: Outcome) -> None:
        """A clearing takes the place of the slot's."""
        assert slot.outcome is not None
        self._take_subsidy(slot, found.subsidy - slot.outcome.subsidy)
        slot.outcome = found

    def _secure(self, slot: Slot) -> None:
        slot.resolved = True
        assert slot.outcome is not None
        if slot.poll is not None and slot.poll.is_open:
            self.ballots.decide(slot)
        elif not slot.secured:
            self._say_secured(slot)
        slot.export = self.physical.export(slot)
        self.stage.findings.count("schedules")
        self.special.release(slot)
        rest, grid = self._left_over(slot)
        self.stage.expect.event(
            "slot_residual",
            (slot.number,),
            residual_mWh=grid[BID] - grid[ASK],
            unserved_bid_mWh=rest[BID],
            unserved_ask_mWh=rest[ASK],
            price_e4=slot.outcome.price_e4,
            **self._main_grid(slot),
        )

    def _left_over(self, slot: Slot) -> tuple[dict[int, int], dict[int, int]]:
        """By side: what wasn't served, and what of it is with the main grid."""
        rest, grid = {BID: 0, ASK: 0}, {BID: 0, ASK: 0}
        for order in slot.orders.values():
            rest[order.side] += order.quantity_mWh - slot.fill(order)
            grid[order.side] += slot.with_main_grid(order)
        return rest, grid

    def _main_grid(self, slot: Slot) -> dict[str, object]:
        rest, grid = self._left_over(slot)
        return {
            "grid_import_mWh": grid[BID],
            "grid_export_mWh": grid[ASK],
            "export_permille": slot.export,
            "curtailed_mWh": rest[ASK] - grid[ASK],
        }

    def _seal(self, slot: Slot) -> None:
        voided = not slot.resolved
        if voided:
            slot.factor = 0
            if slot.poll is not None:
                slot.poll.is_open = False
            self.physical.freeze(slot)
            slot.export = self.physical.export(slot)
            self.special.release(slot)
        self.physical.keep(slot)
        root, said = self._seal_root(slot, voided=voided).hex(), str(voided).lower()
        self.stage.expect.event("slot_sealed", (slot.number,), root=root, voided=said, **self._main_grid(slot))

    def _seal_root(self, slot: Slot, *, voided: bool) -> bytes:
        name = self.stage.chain_id.encode()
        head = b"bsmg/seal/2" + len(name).to_bytes(2, "big") + name + slot.number.to_bytes(8, "big")
        state = slot.factor.to_bytes(2, "big") + slot.export.to_bytes(2, "big") + bytes([voided])
        return sha256(head + state + self._schedule_hash(slot)).digest()

    def _schedule_hash(self, slot: Slot) -> bytes:
        text = b"bsmg/schedule/1"
        fills = slot.outcome.fills if slot.outcome else {}
        for side in (BID, ASK):
            for order in auction.sorted_side(list(slot.orders.values()), side):
                if fills.get(order.seq):
                    bus = self.cells.by_number[order.cell].bus
                    widths = ((side, 1), (order.price_e4, 4), (order.seq, 8), (order.cell, 4), (bus, 2))
                    text += b"".join(number.to_bytes(size, "big") for number, size in widths)
                    text += fills[order.seq].to_bytes(8, "big")
        return sha256(text).digest()

    # --- messages ----------------------------------------------------------------------------------------------------

    def forecast(self, msg: market_tx.MsgPostForecast) -> None:
        """A narrower price band, and the buses' baselines."""
        slot = self.live[msg.slot]
        slot.floor_e4, slot.cap_e4 = msg.floor_e4, msg.cap_e4
        slot.baselines = {
            row.bus: (row.p_mWh, row.q_mvarh)
            for row in msg.buses
            if row.p_mWh or row.q_mvarh or row.net_low_mWh or row.net_high_mWh
        }

    def place(self, msg: market_tx.MsgPlaceOrder, answer: market_tx.MsgPlaceOrderResponse) -> None:
        """An order escrows its worst case."""
        slot = self.live[msg.slot]
        seq, slot.next_seq = slot.next_seq, slot.next_seq + 1
        escrow = self.special.enter(slot, msg, seq)
        name = f"{self.stage.place}: order of {msg.cell} in slot {msg.slot}"
        self.stage.findings.equal("clearings", f"{name} seq", seq, answer.seq)
        self.stage.findings.equal("clearings", f"{name} escrow", str(escrow), answer.escrow)

    def cancel(self, msg: market_tx.MsgCancelOrder, answer: market_tx.MsgCancelOrderResponse) -> None:
        """The whole escrow returns."""
        slot = self.live[msg.slot]
        gone = slot.orders.pop(msg.seq)
        refund = slot.escrow_of(gone)
        self.special.cancelled(slot, gone)
        slot.escrow -= refund
        self.pay(ESCROW, msg.cell, refund)
        name = f"{self.stage.place}: cancelled order {msg.seq} of slot {msg.slot} refund"
        self.stage.findings.equal("clearings", name, str(refund), answer.refund)

    def deposit(self, msg: market_tx.MsgDeposit) -> None:
        """Arrears first, then collateral; the utility cell funds balancing."""
        amount = int(msg.amount)
        if msg.pool or msg.cell == self.params.utility:
            self.pay(msg.cell, SUBSIDY if msg.pool else BALANCING, amount)
            return
        cell = self.cells.by_address[msg.cell]
        arrears = min(amount, cell.arrears)
        self.pay(msg.cell, BALANCING, arrears)
        self.pay(msg.cell, COLLATERAL, amount - arrears)
        cell.arrears -= arrears
        cell.collateral += amount - arrears

    def withdraw(self, msg: market_tx.MsgWithdraw) -> None:
        """Out of collateral, or of balancing for the utility cell."""
        amount = int(msg.amount)
        if msg.cell == self.params.utility:
            self.pay(SUBSIDY if msg.pool else BALANCING, msg.cell, amount)
            return
        self.cells.by_address[msg.cell].collateral -= amount
        self.pay(COLLATERAL, msg.cell, amount)

    def update_params(self, msg: market_tx.MsgUpdateParams) -> None:
        """For slots that open from now on."""
        self.params = market.Params()
        self.params.CopyFrom(msg.params)
        if msg.HasField("fees"):
            self.fees = fees_of(msg.fees)

    def readings(self, msg: meter_tx.MsgSubmitReadings, answer: meter_tx.MsgSubmitReadingsResponse) -> None:
        """Those that the chain accepted."""
        for reading, result in zip(msg.readings, answer.results, strict=True):
            if result.code == 0:
                self.cells.reading(self.live[reading.slot].meters, reading)

    def estimates(self, msg: meter_tx.MsgPostEstimate) -> None:
        """All or none."""
        for estimate in msg.estimates:
            self.cells.estimate(self.live[msg.slot].meters, estimate)

    # --- settlement --------------------------------------------------------------------------------------------------

    def end_block(self) -> None:
        """So many units a block: debts first, then slots in order, each its charges and then its credits."""
        units = self.params.settle_units - self._pay_owed(self.params.settle_units)
        units = self.special.storages.work(self.forward.work(self.special.work(units)))
        for slot in sorted(self.live.values(), key=lambda item: item.number):
            if units > 0 and slot.charging:
                units = self._charge(slot, units)
            if units > 0 and slot.crediting:
                units = self._credit(slot, units)

    def _pay_owed(self, limit: int) -> int:
        used = 0
        for cell in [self.cells.by_number[n] for n in sorted(self.cells.by_number)]:
            if cell.owed and used < limit and self.held(BALANCING):
                paid = min(self.held(BALANCING), cell.owed)
                self.pay(BALANCING, cell.address, paid)
                cell.owed -= paid
                used += 1
        return used

    def _charge(self, slot: Slot, units: int) -> int:
        acting = {order.cell for order in slot.orders.values()} | set(slot.meters.cells)
        acting |= self.forward.cells_of(slot)
        numbers = sorted(number for number in acting if number >= slot.next_cell)[:units]
        for number in numbers:
            self._charge_cell(slot, self.cells.by_number[number])
            slot.next_cell = number + 1
        if len(numbers) == units:
            return 0
        self._move_pools(slot)
        slot.charging, slot.crediting, slot.next_cell = False, True, 1
        return units - len(numbers)

    def _charge_cell(self, slot: Slot, cell: Cell) -> None:
        trades = self._trades(slot, cell.number)
        said = slot.meters.of(cell.number)
        made = bill(tariff_of(slot), trades, said, (max(1, cell.devices), cell.assumed_mWh, cell.score))
        own = paid_in_order(made.charges, made.income)
        rest = tuple(charge - paid for charge, paid in zip(made.charges, own, strict=True))
        pledged = paid_in_order((rest[0], rest[1], rest[2]), cell.collateral)
        arrears = sum(rest) - sum(pledged)
        for pools, paid in zip(slot.pools, (own, pledged), strict=True):
            pools[:] = [total + part for total, part in zip(pools, paid, strict=True)]
        cell.score, cell.assumed_mWh = made.score_permille, made.assumed_mWh
        cell.missed = cell.missed + 1 if made.missing else 0
        cell.collateral -= sum(pledged)
        cell.arrears += arrears
        slot.add("arrears", arrears)
        slot.add("bought", trades.bought_mWh - trades.sold_mWh)
        slot.add("spread", trades.paid - trades.earned - trades.grid_fee)
        slot.add("grid fees", trades.grid_fee)
        slot.add("net", made.net)
        slot.add("import", made.import_mWh + max(0, made.catch_up_mWh))
        slot.add("export", made.export_mWh - min(0, made.catch_up_mWh))
        slot.statements[cell.number] = statement_of(slot, cell, (trades, made), (sum(own), arrears))
        self._expect_statement(slot, cell)

    def _expect_statement(self, slot: Slot, cell: Cell) -> None:
        statement = slot.statements[cell.number]
        self.stage.findings.count("statements")
        if statement.estimated:
            self.stage.expect.event("reading_missing", (slot.number, cell.address))
        self.stage.expect.settled(statement)

    def _trades(self, slot: Slot, number: int) -> Trades:
        found = slot.outcome or auction.NO_TRADE
        mine = [(order, slot.fill(order)) for order in slot.orders.values() if order.cell == number]
        bids = [(order, fill) for order, fill in mine if order.side == BID]
        asks = [(order, fill) for order, fill in mine if order.side == ASK]
        own = Trades(
            bought_mWh=sum(fill for _, fill in bids),
            sold_mWh=sum(fill for _, fill in asks),
            paid=sum(found.amount_of(order, fill) for order, fill in bids),
            earned=sum(found.amount_of(order, fill) for order, fill in asks),
            escrow=sum(slot.escrow_of(order) for order, _ in mine),
            grid_fee=sum(found.fee_of(order, fill) for order, fill in bids),
            grid_bought_mWh=sum(slot.with_main_grid(order) for order, _ in bids),
            grid_sold_mWh=sum(slot.with_main_grid(order) for order, _ in asks),
        )
        return self.forward.added(slot, number, own)

    def _move_pools(self, slot: Slot) -> None:
        """Collateral and escrow pay the pools; rounding's energy goes to balancing, a spread of prices to incentive.

        With a subsidy the spread is what is left of it, and returns.
        """
        escrow, pledged = slot.pools
        for pool, amount in zip((BALANCING, FEES, INCENTIVE), pledged, strict=True):
            self.pay(COLLATERAL, pool, amount)
            slot.gained += amount
        residue = tariff_of(slot).price_e4 * slot.sum_of("bought")
        spread = slot.sum_of("spread") - residue
        subsidy = slot.outcome.subsidy if slot.outcome else 0
        rest = (subsidy + spread, 0) if subsidy else (0, spread)
        due = (
            (FEES, escrow[1] + slot.sum_of("grid fees")),
            (SUBSIDY, rest[0]),
            (INCENTIVE, escrow[2] + rest[1]),
            (BALANCING, escrow[0] + residue),
        )
        for pool, amount in due:
            back = min(max(0, -amount), self.held(pool))
            self.pay(pool, ESCROW, back)
            self.pay(ESCROW, pool, max(0, amount))
            slot.escrow -= max(0, amount) - back
            slot.gained += max(0, amount) - back

    def _credit(self, slot: Slot, units: int) -> int:
        numbers = sorted(number for number in slot.statements if number >= slot.next_cell)[:units]
        for number in numbers:
            self._credit_cell(slot, self.cells.by_number[number], slot.statements[number])
            slot.next_cell = number + 1
        if len(numbers) == units:
            return 0
        slot.crediting, slot.settled = False, True
        self._finish(slot)
        return units - len(numbers)

    def _credit_cell(self, slot: Slot, cell: Cell, statement: market.Statement) -> None:
        wanted = int(statement.payout)
        payout = min(wanted, slot.escrow)
        self.pay(ESCROW, cell.address, payout)
        slot.escrow -= payout
        due = int(statement.credit) + wanted - payout
        paid = min(due, self.held(BALANCING))
        self.pay(BALANCING, cell.address, paid)
        slot.gained -= paid
        cell.owed += due - paid
        slot.owed += due - paid

    def _finish(self, slot: Slot) -> None:
        findings, name = self.stage.findings, f"{self.stage.place}: slot {slot.number}"
        findings.count("settlements")
        leaves = [slot.statements[n].SerializeToString(deterministic=True) for n in sorted(slot.statements)]
        balance = slot.sum_of("import") - slot.sum_of("export")
        self.stage.expect.event(
            "slot_settled",
            (slot.number,),
            statements_root=tree_root(leaves).hex(),
            balance_mWh=balance,
            loss_mWh=slot.loss_mWh,
        )
        flows = slot.sum_of("net") + slot.sum_of("arrears") - slot.owed + slot.gained
        findings.equal("settlements", f"{name}: sum of all flows", 0, flows)
        findings.equal("settlements", f"{name}: escrow after", 0, slot.escrow)


def tree_root(leaves: list[bytes]) -> bytes:
    """RFC 6962: split at the largest power of two below the number of leaves."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    left = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha256(b"\x01" + tree_root(leaves[:left]) + tree_root(leaves[left:])).digest()
