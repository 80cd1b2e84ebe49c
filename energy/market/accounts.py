"""Collateral of the cells, the balancing account of the utility cell, and the parameters.

A cell's deposit first pays its arrears (to balancing), the rest is collateral. The utility cell's deposit funds
balancing; what lies above `balancing_min` it may withdraw while nobody is owed anything, to pay what it buys from other
chains. What no contract covers is balanced by this account at the imbalance prices.
"""

from __future__ import annotations

from cosmos_wire.address import from_bech32
from cosmos_wire.errors import InvalidRequest
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_tx as tx
from cosmos_wire.protos import registry as registry_pb
from energy.errors import CellNotActive, InsufficientBalance, InsufficientCollateral, NotAuthorized
from energy.market import fees, keys, state
from energy.market.mechanism import SUBSIDISED, require_funded
from energy.market.orders import collateral_required
from energy.market.params import check_change, check_params
from energy.records import keys_of, save
from energy.registry import Registry
from energy.units import parse_amount, stored
from ibc_core import bank
from ibc_core.host import Context, event

SUBSIDY_POOL = "subsidy"


def deposit(registry: Registry, ctx: Context, msg: tx.MsgDeposit) -> tx.MsgDepositResponse:
    """Pay in: a cell pays arrears and collateral, the utility cell funds balancing."""
    amount, sender, pool = _amount(msg.amount), from_bech32(msg.cell), _pool(msg.pool)
    held = state.held(ctx, sender)
    if held < amount:
        raise InsufficientBalance(f"{msg.cell} deposits {amount}, holds {held}")
    if pool == SUBSIDY_POOL:
        return _fund_subsidy(ctx, sender, amount)
    if msg.cell == state.params(ctx).utility:
        state.move(ctx, sender, state.BALANCING, amount)
        ctx.events.emit(event("balancing_funded", amount=amount))
        return tx.MsgDepositResponse()
    cell = _cell(registry, ctx, msg.cell)
    arrears = min(amount, stored(cell.arrears))
    state.move(ctx, sender, state.BALANCING, arrears)
    state.move(ctx, sender, state.COLLATERAL, amount - arrears)
    cell.arrears = str(stored(cell.arrears) - arrears)
    cell.collateral = str(stored(cell.collateral) + amount - arrears)
    registry.save_cell(ctx, cell)
    state.add_totals(ctx, arrears=-arrears, collateral=amount - arrears)
    ctx.events.emit(event("collateral_deposited", cell=msg.cell, amount=amount - arrears, arrears=arrears))
    return tx.MsgDepositResponse()


def withdraw(registry: Registry, ctx: Context, msg: tx.MsgWithdraw) -> tx.MsgWithdrawResponse:
    """Take out: a cell what its orders don't need, the utility cell what lies above `balancing_min`."""
    amount = _amount(msg.amount)
    if _pool(msg.pool) == SUBSIDY_POOL:
        return _withdraw_subsidy(ctx, msg.cell, amount)
    if msg.cell == state.params(ctx).utility:
        return _withdraw_balancing(ctx, msg.cell, amount)
    cell = _cell(registry, ctx, msg.cell)
    if stored(cell.arrears):
        raise CellNotActive(f"{cell.id} has arrears of {cell.arrears} to pay first")
    needed = collateral_required(state.params(ctx), cell) if _has_orders(ctx, cell.number) else 0
    rest = stored(cell.collateral) - amount
    if rest < needed:
        raise InsufficientCollateral(f"collateral of {needed} has to stay, {cell.collateral or 0} - {amount} would")
    cell.collateral = str(rest)
    registry.save_cell(ctx, cell)
    state.add_totals(ctx, collateral=-amount)
    state.move(ctx, state.COLLATERAL, from_bech32(msg.cell), amount)
    ctx.events.emit(event("collateral_withdrawn", cell=msg.cell, amount=amount))
    return tx.MsgWithdrawResponse()


def update_params(ctx: Context, msg: tx.MsgUpdateParams) -> tx.MsgUpdateParamsResponse:
    """Replace the parameters for slots that open from now on; live slots keep what was frozen into them."""
    current = state.params(ctx)
    if msg.authority != current.authority:
        raise NotAuthorized(f"parameters are {current.authority}'s to change, got {msg.authority}")
    check_params(msg.params)
    check_change(current, msg.params)
    require_funded(ctx, msg.params)
    if msg.HasField("fees"):
        opened = state.last_opened(ctx)
        fees.change(ctx, msg.fees, opened + 1, min((entry.slot for entry in state.live(ctx).slots), default=opened + 1))
    save(ctx, keys.PARAMS, msg.params)
    ctx.events.emit(event("params_updated", last_slot=state.last_opened(ctx)))
    return tx.MsgUpdateParamsResponse()


def _withdraw_balancing(ctx: Context, utility: str, amount: int) -> tx.MsgWithdrawResponse:
    least = stored(state.params(ctx).balancing_min)
    held = state.held(ctx, state.BALANCING)
    if keys_of(ctx.app, keys.OWED, 1) or held - amount < least:
        owed = state.pool_totals(ctx).owed or "0"
        raise InsufficientBalance(f"balancing has to keep {least} and owe nothing; it holds {held}, owes {owed}")
    state.move(ctx, state.BALANCING, from_bech32(utility), amount)
    ctx.events.emit(event("balancing_withdrawn", amount=amount))
    return tx.MsgWithdrawResponse()


def _pool(text: str) -> str:
    if text not in ("", SUBSIDY_POOL):
        raise InvalidRequest(f"pool has to be empty or {SUBSIDY_POOL!r}, got {text[:80]!r}")
    return text


def _fund_subsidy(ctx: Context, sender: bytes, amount: int) -> tx.MsgDepositResponse:
    """Anybody may pay; what an outcome doesn't need stays for later slots."""
    bank.block_recipient(ctx, state.SUBSIDY, state.SUBSIDY_NAME)
    state.move(ctx, sender, state.SUBSIDY, amount)
    ctx.events.emit(event("subsidy_funded", amount=amount))
    return tx.MsgDepositResponse()


def _withdraw_subsidy(ctx: Context, sender: str, amount: int) -> tx.MsgWithdrawResponse:
    """The utility cell's, above what one slot may need while any runs with a subsidy."""
    params, held = state.params(ctx), state.held(ctx, state.SUBSIDY)
    if sender != params.utility:
        raise NotAuthorized(f"the subsidy pool is the utility cell's, {params.utility}, to withdraw from, got {sender}")
    least = max((stored(own.subsidy_max) for own in _running(ctx, params) if own.mechanism in SUBSIDISED), default=0)
    if held - amount < least:
        raise InsufficientBalance(f"the subsidy pool has to keep {least}, holds {held}, {amount} were asked for")
    state.move(ctx, state.SUBSIDY, from_bech32(sender), amount)
    ctx.events.emit(event("subsidy_withdrawn", amount=amount))
    return tx.MsgWithdrawResponse()


def _running(ctx: Context, params: pb.Params) -> list[pb.Params]:
    """Parameters of slots that will still clear, and of those to come."""
    live = [state.slot_record(ctx, entry.slot) for entry in state.live(ctx).slots]
    return [params, *(record.params for record in live if not record.HasField("clearing"))]


def _amount(text: str) -> int:
    amount = parse_amount(text)
    if amount == 0:
        raise InvalidRequest("amount has to be above 0, got 0")
    return amount


def _cell(registry: Registry, ctx: Context, address: str) -> registry_pb.Cell:
    cell = registry.cell_at(ctx, address)
    if cell is None:
        raise NotAuthorized(f"a registered cell or the utility cell is expected, {address} is neither")
    return cell


def _has_orders(ctx: Context, number: int) -> bool:
    return any(keys_of(ctx.app, keys.orders_prefix(entry.slot, number), 1) for entry in state.live(ctx).slots)
