"""Whole lives of a contract: the sequences of docs/trade.md 7 and what can go wrong (8)."""

from __future__ import annotations

from cosmos_wire.protos import trade

from .pair import FUNDS, account, new_pair, reading_msg

S, B = trade.SellerState.Name, trade.BuyerState.Name
COST = 2_000 * 1_000_000 * 3 // 2
FEE = 1_500 * 1_000_000


def test_the_happy_path_pays_once_and_returns_the_collateral():
    pair = new_pair()
    ident = pair.reach_active()
    sold, bought = pair.s.sold(ident), pair.b.bought(ident)
    assert S(sold.state) == "SELLER_STATE_ACTIVE"
    assert (B(bought.state), bought.active) == ("BUYER_STATE_COMMITTED", True)
    assert int(sold.claim) * 3 <= COST * 2
    assert pair.b.escrow() == COST + FEE
    pair.time(pair.t0 + 100_000)
    pair.s.deliver(reading_msg(pair.s, 1_000_000))
    pair.b.deliver(reading_msg(pair.b, 1_000_000))
    pair.relay()
    assert S(pair.s.sold(ident).state) == "SELLER_STATE_SETTLED"
    assert B(pair.b.bought(ident).state) == "BUYER_STATE_SETTLED"
    assert pair.s.sold(ident).confirmation == trade.CONFIRMATION_CONFIRMED
    assert pair.b.balance(account("payee on B")) == COST
    assert pair.b.module_balance("trade/fees") == FEE
    assert pair.b.balance(pair.b.utility) == FUNDS - COST - FEE
    assert pair.b.escrow() == 0
    assert pair.s.module_balance("trade/collateral") == 0
    assert pair.s.balance(pair.s.utility) == FUNDS
