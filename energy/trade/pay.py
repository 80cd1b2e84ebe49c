"""The only places where escrow leaves a contract on B: refund, settlement, lapse; and the forwarding of pay."""

from __future__ import annotations

from cosmos_wire.address import from_bech32
from cosmos_wire.errors import ChainError, OutOfGas
from cosmos_wire.protos import trade
from energy.trade import keys, packets, records, reputation
from energy.trade.arithmetic import Payout, Verdict, payout
from energy.trade.life import Buyer
from energy.trade.ports import Forward, Ports
from ibc_core import bank
from ibc_core.host import Context

FEES_ADDRESS = bank.module_address(records.FEES)
POOL_ADDRESS = bank.module_address(records.POOL)
NS_PER_S = 1_000_000_000


def escrow_address(channel_id: str) -> bytes:
    """Account that holds a channel's escrows."""
    return bank.module_address(records.escrow_name(channel_id))


def reduce_escrow(ctx: Context, contract: trade.BuyerContract, kept: int) -> None:
    """Give back what a partial fill doesn't need."""
    back = int(contract.escrow) - kept
    coin = (records.params(ctx).denom, back)
    records.move(ctx, escrow_address(contract.channel_id), from_bech32(contract.buyer), coin)
    contract.escrow = str(kept)


def refund(ctx: Context, contract: trade.BuyerContract, state: Buyer, reason: str) -> None:
    """Everything to the buyer; the contract has ended."""
    escrow = int(contract.escrow)
    contract.reason = reason
    _release(ctx, contract, state, Payout(seller=0, pool=0, fee=0, buyer=escrow))
    _emit(ctx, "trade_refunded", contract, reason=reason, buyer=escrow)


def settle(ctx: Context, ports: Ports, contract: trade.BuyerContract, end: tuple[Buyer, Verdict]) -> None:
    """Pay by the delivered energy; `end` is the state to reach and what was delivered."""
    state, verdict = end
    parts = payout(packets.price_of(contract.lock), int(contract.escrow), verdict, contract.terms.clock.fee_e4)
    _release(ctx, contract, state, parts)
    more = {"seller": parts.seller, "pool": parts.pool, "fee": parts.fee, "buyer": parts.buyer}
    _emit(ctx, "trade_lapsed" if state == Buyer.LAPSED else "trade_settled", contract, **more)
    reputation.rate(
        ctx, contract.channel_id, contract.lock.contract_id, reputation.of_seller(verdict, contract.energy_mwh)
    )
    if contract.forward and parts.seller and ports.forwarder is not None:
        _forward(ctx, ports, contract, parts.seller)


def _release(ctx: Context, contract: trade.BuyerContract, state: Buyer, parts: Payout) -> None:
    denom, escrow = records.params(ctx).denom, escrow_address(contract.channel_id)
    if parts.seller:
        records.move(ctx, escrow, from_bech32(contract.seller_payee), (denom, parts.seller))
    records.move(ctx, escrow, POOL_ADDRESS, (denom, parts.pool))
    records.move(ctx, escrow, FEES_ADDRESS, (denom, parts.fee))
    records.move(ctx, escrow, from_bech32(contract.buyer), (denom, parts.buyer))
    contract.state, contract.escrow = trade.BuyerState.ValueType(state), "0"
    contract.paid_seller, contract.paid_pool = str(parts.seller), str(parts.pool)
    contract.paid_fee, contract.paid_buyer = str(parts.fee), str(parts.buyer)
    records.save_buyer(ctx, contract)
    records.add_to(ctx, keys.unfinished_count(contract.channel_id), -1)


def _forward(ctx: Context, ports: Ports, contract: trade.BuyerContract, amount: int) -> None:
    """Send the pay on from the seller's account; if that can't start, it stays there."""
    params = records.params(ctx)
    order = Forward(
        trade_channel=contract.channel_id,
        account=from_bech32(contract.seller_payee),
        denom=params.denom,
        amount=amount,
        timeout_ns=ctx.env.time_ns + params.forward_timeout_s * NS_PER_S,
    )
    try:
        with ctx.branch() as branch:
            assert ports.forwarder is not None
            ports.forwarder.forward(branch, order)
    except OutOfGas:
        raise
    except ChainError as error:
        _emit(ctx, "trade_forwarded", contract, amount=0, error=f"{error.codespace}/{error.code}")
        return
    _emit(ctx, "trade_forwarded", contract, amount=amount, account=contract.seller_payee)


def _emit(ctx: Context, kind: str, contract: trade.BuyerContract, **more: str | int) -> None:
    where = (contract.channel_id, contract.lock.slot, contract.lock.contract_id)
    records.emit(ctx, kind, where, Buyer(contract.state).name, **more)
