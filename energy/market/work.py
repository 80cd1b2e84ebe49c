"""Background work in bounded units: settling slots in order (charges, then credits), paying debts, pruning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cosmos_wire.address import from_bech32
from cosmos_wire.merkle import grown, root_of_peaks
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import registry as registry_pb
from energy.market import forward_book, forward_life, keys, reveal, shift, state, storage_work
from energy.market.awards import filled
from energy.market.clock import Gate
from energy.market.life import Step, require_step
from energy.market.settlement import Account, Charges, Metered, Terms, position_of, settle_cell
from energy.meter import state as meters
from energy.records import keys_of, load_or_new, save
from energy.registry import Registry
from energy.units import amount_of, stored
from ibc_core.host import Context, event

CELL_BYTES = 4


def run_work(ctx: Context, registry: Registry) -> None:
    """Use up this block's units: what is owed and slots to settle first, then pruning."""
    params = state.params(ctx)
    left = params.settle_units - _pay_owed(ctx, registry, params.settle_units)
    # Commits and bids that move on leave a slot's escrow before it is settled: nothing of them is left when units are.
    left = shift.run(ctx, registry, reveal.run(ctx, registry, left))
    left = storage_work.run(ctx, registry, forward_life.run(ctx, registry, left))
    jobs = [(int.from_bytes(key[len(keys.WORK) : -2], "big"), key[-1]) for key, _ in ctx.app.iterate(keys.WORK)]
    for slot, kind in jobs:
        if left > 0 and kind != keys.PRUNE:
            left = settle(ctx, registry, slot, left)
    left = params.prune_units
    for slot, kind in jobs:
        if left > 0 and kind == keys.PRUNE:
            left -= prune(ctx, slot, left)


def settle(ctx: Context, registry: Registry, slot: int, units: int) -> int:
    """Settle up to `units` cells, a cell counting once for charges and once for credits; returns the units left."""
    record = state.slot_record(ctx, slot)
    if ctx.app.get(keys.work_key(slot, keys.CHARGES)) is not None:
        units = _charge(ctx, registry, record, units)
    if units > 0 and ctx.app.get(keys.work_key(slot, keys.CREDITS)) is not None:
        units = _credit(ctx, registry, record, units)
    state.save_slot(ctx, record)
    return units


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A slot that is being charged."""

    record: pb.Slot
    terms: Terms
    cursor: pb.SettleCursor


# Charges: every cell's account, its statement, its record; no coin moves but between pools at the end.


def _charge(ctx: Context, registry: Registry, record: pb.Slot, units: int) -> int:
    key = keys.work_key(record.slot, keys.CHARGES)
    cursor = load_or_new(ctx, key, pb.SettleCursor)
    terms = Terms(
        prices=record.prices,
        params=record.params,
        clearing=record.clearing,
        loss_mWh=record.loss_mWh,
        metered_mWh=cursor.metered_mWh,
    )
    run = _Run(record=record, terms=terms, cursor=cursor)
    numbers = _active_cells(ctx, record, cursor.next_cell, units)
    for number in numbers:
        _charge_cell(ctx, registry, number, run)
        cursor.next_cell = number + 1
    if len(numbers) == units:
        save(ctx, key, cursor)
        return 0
    ctx.app.delete(key)
    _move_pools(ctx, record, cursor)
    record.statements_root = root_of_peaks(list(cursor.peaks))
    record.settled_cells = cursor.statements
    save(ctx, keys.work_key(record.slot, keys.CREDITS), pb.SettleCursor(next_cell=1))
    return units - len(numbers)


def _active_cells(ctx: Context, record: pb.Slot, first: int, limit: int) -> list[int]:
    """The next cells that have orders, positions or readings, ascending."""
    found: list[int] = []
    prefixes = [keys.orders_prefix(record.slot), meters.cells_prefix(record.slot), *forward_book.prefixes(ctx, record)]
    streams = [_Numbers(ctx, prefix, first) for prefix in prefixes]
    while len(found) < limit:
        heads = [stream.head for stream in streams if stream.head is not None]
        if not heads:
            break
        number = min(heads)
        found.append(number)
        for stream in streams:
            stream.skip(number)
    return found


class _Numbers:
    """Cell numbers below a prefix, ascending; each once."""

    def __init__(self, ctx: Context, prefix: bytes, first: int) -> None:
        self._at = len(prefix)
        self._pairs = ctx.app.iterate(prefix, prefix + first.to_bytes(CELL_BYTES, "big"))
        self.head: int | None = None
        self.skip(0)

    def skip(self, number: int) -> None:
        """Move behind a number."""
        while self.head is None or self.head <= number:
            pair = next(self._pairs, None)
            if pair is None:
                self.head = None
                return
            self.head = int.from_bytes(pair[0][self._at : self._at + CELL_BYTES], "big")


def _charge_cell(ctx: Context, registry: Registry, number: int, run: _Run) -> None:
    record, terms, cursor = run.record, run.terms, run.cursor
    cell = registry.cell(ctx, number)
    orders = filled(ctx, record, state.orders_of(ctx, record.slot, cell.number))
    orders += forward_book.filled(ctx, record, cell.number)
    metered = _metered(ctx, record.slot, cell)
    account = settle_cell(terms, position_of(orders), metered, cell.score_permille)
    from_income = account.charges.up_to(account.income)
    rest = account.charges.minus(from_income)
    from_collateral = rest.up_to(stored(cell.collateral))
    arrears = rest.total - from_collateral.total
    _update_cell(ctx, cell, account, metered)
    _take(ctx, cell, from_collateral.total, arrears)
    registry.save_cell(ctx, cell)
    _add_up(record, cursor, account, (from_income, from_collateral))
    statement = _statement(record, cell, account, metered)
    statement.payout, statement.arrears = str(account.income - from_income.total), str(arrears)
    _publish(ctx, cursor, cell, statement)


def _metered(ctx: Context, slot: int, cell: registry_pb.Cell) -> Metered:
    said = meters.cell_meter(ctx, slot, cell.number)
    expected = max(1, cell.devices)
    return Metered(
        import_mWh=said.import_mWh,
        export_mWh=said.export_mWh,
        estimated_mWh=said.estimated_mWh,
        silent=said.readings + said.estimates < expected,
        missing=said.readings < expected,
        gap_mWh=said.gap_mWh,
        carried_mWh=meters.carried_mWh(ctx, cell.number),
        fresh=said.first_readings > 0,
        disputed=said.flagged > 0,
    )


def _update_cell(ctx: Context, cell: registry_pb.Cell, account: Account, metered: Metered) -> None:
    cell.score_permille = account.score_permille
    cell.missed = cell.missed + 1 if metered.missing else 0
    meters.save_carried(ctx, cell.number, account.carried_mWh)


def _take(ctx: Context, cell: registry_pb.Cell, collateral: int, arrears: int) -> None:
    if not collateral and not arrears:
        return
    cell.collateral = str(stored(cell.collateral) - collateral)
    cell.arrears = str(stored(cell.arrears) + arrears)
    state.add_totals(ctx, collateral=-collateral, arrears=arrears)


def _add_up(record: pb.Slot, cursor: pb.SettleCursor, account: Account, paid: tuple[Charges, Charges]) -> None:
    position = account.position
    record.import_mWh += account.import_mWh + max(0, account.catch_up_mWh)
    record.export_mWh += account.export_mWh + max(0, -account.catch_up_mWh)
    record.balance_mWh = record.import_mWh - record.export_mWh
    cursor.bought_mWh += position.bought_mWh
    cursor.sold_mWh += position.sold_mWh
    cursor.paid = str(stored(cursor.paid) + position.paid)
    cursor.earned = str(stored(cursor.earned) + position.earned)
    if position.grid_fee:
        cursor.grid_fees = str(stored(cursor.grid_fees) + position.grid_fee)
    escrow, collateral = paid
    cursor.escrow_balancing = str(stored(cursor.escrow_balancing) + escrow.balancing)
    cursor.escrow_fees = str(stored(cursor.escrow_fees) + escrow.fees)
    cursor.escrow_incentive = str(stored(cursor.escrow_incentive) + escrow.incentive)
    cursor.collateral_balancing = str(stored(cursor.collateral_balancing) + collateral.balancing)
    cursor.collateral_fees = str(stored(cursor.collateral_fees) + collateral.fees)
    cursor.collateral_incentive = str(stored(cursor.collateral_incentive) + collateral.incentive)


def _statement(record: pb.Slot, cell: registry_pb.Cell, account: Account, metered: Metered) -> pb.Statement:
    position = account.position
    statement = pb.Statement(
        slot=record.slot,
        cell=cell.address,
        bought_mWh=position.bought_mWh,
        sold_mWh=position.sold_mWh,
        import_mWh=account.import_mWh,
        export_mWh=account.export_mWh,
        estimated=metered.missing,
        price_e4=record.clearing.price_e4,
        trade=str(position.earned - position.paid),
        imbalance=str(account.imbalance),
        penalty=str(-account.charges.incentive),
        fee=str(-account.charges.fees),
        escrow_back=str(position.escrow - position.paid),
        net=str(account.net),
        score_permille=account.score_permille,
        catch_up=str(account.catch_up),
        catch_up_mWh=account.catch_up_mWh,
        credit=str(account.credit),
        disputed=metered.disputed,
    )
    if position.grid_fee:
        statement.grid_fee = str(-position.grid_fee)
    if position.grid_bought_mWh or position.grid_sold_mWh:
        statement.grid_bought_mWh, statement.grid_sold_mWh = position.grid_bought_mWh, position.grid_sold_mWh
        statement.grid = str(account.grid)
    if account.loss:
        statement.loss = str(account.loss)
    return statement


def _publish(ctx: Context, cursor: pb.SettleCursor, cell: registry_pb.Cell, statement: pb.Statement) -> None:
    raw = statement.SerializeToString(deterministic=True)
    ctx.app.set(keys.statement_key(statement.slot, cell.number), raw)
    peaks = grown(list(cursor.peaks), cursor.statements, raw)
    del cursor.peaks[:]
    cursor.peaks.extend(peaks)
    cursor.statements += 1
    if statement.estimated:
        ctx.events.emit(event("reading_missing", slot=statement.slot, cell=cell.address))
    ctx.events.emit(
        event(
            "cell_settled",
            slot=statement.slot,
            cell=cell.address,
            c=statement.bought_mWh + statement.grid_bought_mWh - statement.sold_mWh - statement.grid_sold_mWh,
            m=statement.import_mWh - statement.export_mWh,
            net=statement.net,
            statement=raw.hex(),
        )
    )


def _move_pools(ctx: Context, record: pb.Slot, cursor: pb.SettleCursor) -> None:
    """Between the two passes: collateral and escrow pay the pools, and the energy that rounding left over."""
    state.move(ctx, state.COLLATERAL, state.BALANCING, stored(cursor.collateral_balancing))
    state.move(ctx, state.COLLATERAL, state.FEES, stored(cursor.collateral_fees))
    state.move(ctx, state.COLLATERAL, state.INCENTIVE, stored(cursor.collateral_incentive))
    residue = amount_of(record.clearing.price_e4, cursor.bought_mWh - cursor.sold_mWh)
    grid_fees, subsidy = stored(cursor.grid_fees), stored(record.clearing.subsidy)
    spread = stored(cursor.paid) - stored(cursor.earned) - residue - grid_fees
    _from_escrow(ctx, record, state.FEES, stored(cursor.escrow_fees) + grid_fees)
    if subsidy:
        _from_escrow(ctx, record, state.SUBSIDY, subsidy + spread)
        spread = 0
    _from_escrow(ctx, record, state.INCENTIVE, stored(cursor.escrow_incentive) + spread)
    _from_escrow(ctx, record, state.BALANCING, stored(cursor.escrow_balancing) + residue)


def _from_escrow(ctx: Context, record: pb.Slot, pool: bytes, amount: int) -> None:
    """Pay a pool; a negative amount comes back from it, as far as it holds any."""
    if amount < 0:
        amount = -min(-amount, state.held(ctx, pool))
        state.move(ctx, pool, state.ESCROW, -amount)
    else:
        state.move(ctx, state.ESCROW, pool, amount)
    record.escrow = str(stored(record.escrow) - amount)


# Credits: coins move to the cells.


def _credit(ctx: Context, registry: Registry, record: pb.Slot, units: int) -> int:
    key, prefix = keys.work_key(record.slot, keys.CREDITS), keys.statements_prefix(record.slot)
    cursor = load_or_new(ctx, key, pb.SettleCursor)
    start = prefix + cursor.next_cell.to_bytes(CELL_BYTES, "big")
    batch = _first(ctx.app.iterate(prefix, start), units)
    for found, raw in batch:
        number = int.from_bytes(found[len(prefix) :], "big")
        _credit_cell(ctx, registry, record, (number, pb.Statement.FromString(raw)))
        cursor.next_cell = number + 1
    if len(batch) == units:
        save(ctx, key, cursor)
        return 0
    ctx.app.delete(key)
    _finish(ctx, record)
    return units - len(batch)


def _first(pairs: Iterable[tuple[bytes, bytes]], limit: int) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    for pair in pairs:
        if len(found) == limit:
            break
        found.append(pair)
    return found


def _credit_cell(ctx: Context, registry: Registry, record: pb.Slot, entry: tuple[int, pb.Statement]) -> None:
    number, statement = entry
    address = from_bech32(statement.cell)
    payout = min(stored(statement.payout), stored(record.escrow))
    state.move(ctx, state.ESCROW, address, payout)
    record.escrow = str(stored(record.escrow) - payout)
    # Rounding by the factor may leave the escrow short by a few units; balancing then owes them.
    due = stored(statement.credit) + stored(statement.payout) - payout
    paid = min(due, state.held(ctx, state.BALANCING))
    state.move(ctx, state.BALANCING, address, paid)
    if due > paid:
        cell = registry.cell(ctx, number)
        _owe(ctx, registry, cell, due - paid)


def _owe(ctx: Context, registry: Registry, cell: registry_pb.Cell, amount: int) -> None:
    """Add to what balancing owes a cell; a negative amount pays it down."""
    rest = stored(cell.owed) + amount
    cell.owed = str(rest)
    registry.save_cell(ctx, cell)
    state.add_totals(ctx, owed=amount)
    if rest:
        ctx.app.set(keys.owed_key(cell.number), b"1")
    else:
        ctx.app.delete(keys.owed_key(cell.number))


def _pay_owed(ctx: Context, registry: Registry, units: int) -> int:
    """Pay cells that are owed, by number, from what balancing holds; returns the units used."""
    used = 0
    for key in keys_of(ctx.app, keys.OWED, units):
        held = state.held(ctx, state.BALANCING)
        if held == 0:
            break
        cell = registry.cell(ctx, int.from_bytes(key[len(keys.OWED) :], "big"))
        paid = min(held, stored(cell.owed))
        state.move(ctx, state.BALANCING, from_bech32(cell.address), paid)
        _owe(ctx, registry, cell, -paid)
        used += 1
    return used


def _finish(ctx: Context, record: pb.Slot) -> None:
    record.state = require_step(record, Step.SETTLED)
    live = state.live(ctx)
    for entry in live.slots:
        entry.settled = entry.settled or (entry.slot == record.slot and entry.next_gate == Gate.CLOSE)
    state.save_live(ctx, live)
    root = record.statements_root.hex()
    ctx.events.emit(
        event(
            "slot_settled",
            slot=record.slot,
            statements_root=root,
            balance_mWh=record.balance_mWh,
            loss_mWh=record.loss_mWh,
        )
    )


# Pruning


def prune(ctx: Context, slot: int, units: int) -> int:
    """Remove up to `units` keys of a closed slot; statements stay until the next CLOSE. Returns units used."""
    prefixes = (
        keys.book_prefix(slot, keys.BID),
        keys.book_prefix(slot, keys.ASK),
        keys.orders_prefix(slot),
        keys.cuts_prefix(slot),
        keys.minimums_prefix(slot),
        keys.shifts_prefix(slot),
        keys.storage_orders_prefix(slot),
        keys.awards_prefix(slot),
        keys.baseline_prefix(slot),
        keys.set_points_prefix(slot),
        keys.lmps_prefix(slot),
        keys.lmp_head_key(slot),
        meters.readings_prefix(slot),
        meters.estimates_prefix(slot),
        meters.flags_prefix(slot),
        meters.cells_prefix(slot),
        meters.root_key(slot),
    )
    used = 0
    for prefix in prefixes:
        used += _remove(ctx, keys_of(ctx.app, prefix, units - used))
    before = keys.statements_prefix(slot)
    old = [key for key in keys_of(ctx.app, keys.STATEMENTS, units - used) if key < before]
    used += _remove(ctx, old)
    if used < units:
        ctx.app.delete(keys.work_key(slot, keys.PRUNE))
    return max(used, 1)


def _remove(ctx: Context, found: list[bytes]) -> int:
    for key in found:
        ctx.app.delete(key)
    return len(found)
