"""Level 3 with the main grid only, what a tie line carries, and what a voided slot does to what it sold."""

from __future__ import annotations

import pytest

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import trade
from energy.trade import records

from .pair import FUNDS, SLOT, lock_msg, new_pair, offer_msg, reading_msg

GRID = "mga-1"  # S of the pair; the grid sells
STATE = trade.SellerState.Name, trade.BuyerState.Name


def states(pair, ident):
    return STATE[0](pair.s.sold(ident).state)[13:], STATE[1](pair.b.bought(ident).state)[12:]


def ready(**changes):
    pair = new_pair(**changes)
    pair.time(pair.t0 - 100_000)
    return pair


@pytest.mark.parametrize(
    ("grid", "level", "allowed"),
    [("", 2, True), ("", 3, False), (GRID, 2, False), (GRID, 3, True), ("dso-1", 3, False)],
)
def test_level_3_leads_to_the_main_grid_and_nowhere_else(grid, level, allowed):
    pair = ready(grid=grid)
    if allowed:
        assert pair.lock(pair.offer(level=level))
        return
    with pytest.raises(ChainError, match="not_allowed"):
        pair.s.deliver(offer_msg(pair.s, level=level))


def test_each_place_of_the_protocol_asks_for_the_level():
    """The seller's chain thinks that it may, the buyer's knows better; then the other way round."""
    pair = ready(grid=GRID)
    pair.b.around.behind = "mgx-1"
    pair.s.deliver(offer_msg(pair.s, level=3))
    answer = pair.net.receive(pair.s, pair.b, pair.s.last("offer"))
    assert b"ABCI code: 16" in answer
    pair = ready(grid=GRID)
    offer = pair.offer(level=3)
    pair.b.around.behind = "mgx-1"
    with pytest.raises(ChainError, match="not_allowed"):
        pair.b.deliver(lock_msg(pair.b, offer))
    pair = ready(grid=GRID)
    ident = pair.lock(pair.offer(level=3))
    params = records.params(pair.s.context())
    params.grid = "dso-1"
    pair.s.run(lambda ctx: records.save(ctx, b"td/p", params))
    pair.relay()
    assert STATE[1](pair.b.bought(ident).state) == "BUYER_STATE_REFUNDED"


def test_level_3_has_its_fee_and_no_penalty():
    pair = ready(grid=GRID)
    ident = pair.lock(pair.offer(level=3))
    pair.relay()
    assert pair.s.sold(ident).collateral == "0"
    pair.time(pair.t0 - 6_700)
    pair.relay()
    pair.time(pair.t0 + 100_000)
    for side in (pair.s, pair.b):
        side.deliver(reading_msg(side, 400_000))
    pair.relay()
    assert states(pair, ident) == ("SETTLED", "SETTLED")
    assert pair.b.module_balance("trade/fees") == 2_500 * 400_000
    assert pair.s.balance(pair.s.utility) == FUNDS


def test_a_halted_slot_trades_at_level_3_beside_it():
    """The gate of level 2 is of another channel; level 3 of the same chain goes on."""
    pair = ready(grid=GRID)
    pair.s.gate.verdict = pair.b.gate.verdict = False
    ident = pair.lock(pair.offer(level=3))
    pair.relay()
    pair.time(pair.t0 - 6_700)
    pair.relay()
    assert states(pair, ident) == ("ACTIVE", "COMMITTED")


def test_a_tie_line_takes_no_more_than_it_carries():
    pair = ready(line_max_mwh=1_000_000)
    offer = pair.offer(energy_mwh=3_000_000)
    first = pair.lock(offer, energy_mwh=600_000)
    pair.relay()
    with pytest.raises(ChainError, match="line_full"):
        pair.b.deliver(lock_msg(pair.b, offer, energy_mwh=400_001, nonce=1))
    fits = pair.lock(offer, energy_mwh=400_000, nonce=2)
    pair.relay()
    assert {states(pair, ident) for ident in (first, fits)} == {("RESERVED", "CONFIRMED")}


def test_the_seller_refuses_what_the_line_does_not_carry():
    """A buyer whose chain does not count: the seller's counts by itself."""
    pair = ready(line_max_mwh=1_000_000)
    offer = pair.offer(energy_mwh=3_000_000)
    pair.lock(offer, energy_mwh=600_000)
    pair.relay()
    hidden = [key for key, _ in pair.b.app.iterate(b"td/i/b")]
    for key in hidden:
        pair.b.app.delete(key)
    ident = pair.lock(offer, energy_mwh=600_000, nonce=1)
    pair.relay()
    assert pair.s.sold(ident) is None
    assert (pair.b.bought(ident).state, pair.b.bought(ident).reason) == (trade.BUYER_STATE_REFUNDED, "error")


def test_a_voided_slot_gives_back_what_it_sold():
    pair = ready()
    ident = pair.lock(pair.offer())
    pair.relay()
    pair.time(pair.t0 - 28_000)
    pair.relay()
    assert states(pair, ident) == ("ACTIVE", "COMMITTED")
    pair.time(pair.t0 - 3_000)
    pair.s.run(lambda ctx: pair.s.trade.slot_voided(ctx, SLOT + 1))
    assert states(pair, ident)[0] == "ACTIVE"
    pair.s.run(lambda ctx: pair.s.trade.slot_voided(ctx, SLOT))
    pair.relay()
    assert states(pair, ident) == ("CANCELLED", "REFUNDED")
    assert pair.b.balance(pair.b.utility) == pair.s.balance(pair.s.utility) == FUNDS
    assert pair.s.module_balance("trade/collateral") == pair.b.escrow() == 0


def test_what_is_under_way_is_not_removed():
    pair = new_pair()
    ident = pair.reach_active()
    pair.time(pair.t0)
    pair.s.run(lambda ctx: pair.s.trade.slot_voided(ctx, SLOT))
    assert states(pair, ident) == ("ACTIVE", "COMMITTED")


def test_nothing_is_sold_from_a_voided_slot():
    pair = ready()
    offer = pair.offer()
    pair.s.around.void = frozenset({SLOT})
    ident = pair.lock(offer)
    pair.relay()
    assert pair.s.sold(ident) is None
    assert STATE[1](pair.b.bought(ident).state) == "BUYER_STATE_REFUNDED"
    pair = new_pair()
    ident = pair.reach_committed()
    pair.s.around.void = frozenset({SLOT})
    pair.relay()
    assert states(pair, ident) == ("RESERVED", "REFUNDED")
    pair.time(pair.t0 - 15_000)
    assert states(pair, ident) == ("CANCELLED", "REFUNDED")
