"""Collateral of the cells, the balancing account of the utility cell, and the parameters.

A cell's deposit first pays its arrears (to balancing), the rest is collateral. The utility cell's deposit funds
balancing; what lies above `balancing_min` it may withdraw while nobody is owed anything. Until the main grid has a
chain, this account is what balances the microgrid at the imbalance prices.
"""

from __future__ import annotations

from cosmos_wire.address import from_bech32
from cosmos_wire.errors import InvalidRequest
from cosmos_wire.protos import market_tx as tx
from cosmos_wire.protos import registry as registry_pb
from energy.errors import CellNotActive, InsufficientBalance, InsufficientCollateral, NotAuthorized
from energy.market import keys, state
from energy.market.orders import collateral_required
from energy.market.params import check_change, check_params
from energy.records import keys_of, save
from energy.registry import Registry
from energy.units import parse_amount, stored
from ibc_core.host import Context, event


def deposit(registry: Registry, ctx: Context, msg: tx.MsgDeposit) -> tx.MsgDepositResponse:
    """Pay in: a cell pays arrears and collateral, the utility cell funds balancing."""
    amount, sender = _amount(msg.amount), from_bech32(msg.cell)
    held = state.held(ctx, sender)
    if held < amount:
        raise InsufficientBalance(f"{msg.cell} deposits {amount}, holds {held}")
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
