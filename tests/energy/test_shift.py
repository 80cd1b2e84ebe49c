"""Bids whose unserved part moves on: energy and escrow to the unit, whatever the blocks do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query as query
from cosmos_wire.protos import market_tx as tx
from energy.market import keys, state
from tests.energy.chain import ASK, BID, RICH, UTILITY, Chain, address
from tests.energy.test_amend import bidding


def shiftable(chain: Chain, row: tuple[int, int, int, int], valid_to: int) -> tx.MsgPlaceOrder:
    cell, slot, price, quantity = row
    message = chain.place(cell, slot, BID, price, quantity)
    message.valid_to = valid_to
    return message


def waiting(chain: Chain, cell: int) -> list[tuple[int, int]]:
    found = chain.query(query.QueryWaitingRequest(cell=address(cell))).orders
    return [(item.slot, item.order.quantity_mWh) for item in found]


def check_books(chain: Chain) -> None:
    assert chain.held_in_all() == chain.supply
    records = [chain.slot(slot) for slot in chain.live()]
    assert chain.balance(state.ESCROW) == sum(int(record.escrow or 0) for record in records)
    waits = [pb.Waiting.FromString(raw) for key, raw in chain.store.data.items() if key.startswith(keys.WAITING)]
    held = chain.balance(state.WAITING)
    assert held == sum(int(item.escrow) for item in waits) == int(state.pool_totals(chain.ctx()).waiting or 0)


def test_what_a_slot_does_not_serve_is_served_by_the_next_ones() -> None:
    chain, slot = bidding(slot_ms=16_000)
    chain.deliver(shiftable(chain, (1, slot, 60_000, 900_000), slot + 2))
    chain.deliver(chain.place(2, slot, ASK, 30_000, 250_000))
    chain.until(slot, pb.SLOT_STATE_RESIDUAL)
    assert waiting(chain, 1) == [(slot + 1, 650_000)]
    check_books(chain)
    (kept,) = chain.query(query.QueryOrdersRequest(cell=address(1), slot=slot)).orders
    assert (kept.quantity_mWh, kept.carried_mWh) == (900_000, 650_000)
    chain.until(slot + 1, pb.SLOT_STATE_BIDDING)
    assert waiting(chain, 1) == []
    (moved,) = chain.query(query.QueryOrdersRequest(cell=address(1), slot=slot + 1)).orders
    assert (moved.price_e4, moved.quantity_mWh, moved.valid_to) == (60_000, 650_000, slot + 2)
    chain.deliver(chain.place(2, slot + 1, ASK, 30_000, 400_000))
    chain.until(slot + 2, pb.SLOT_STATE_BIDDING)
    (last,) = chain.query(query.QueryOrdersRequest(cell=address(1), slot=slot + 2)).orders
    assert (last.quantity_mWh, last.valid_to) == (250_000, 0)
    assert not [key for key in chain.store.data if key.startswith(keys.SHIFTING)]
    for number in (slot, slot + 1, slot + 2):
        assert chain.until(number, pb.SLOT_STATE_SETTLED).escrow == "0"
        check_books(chain)
    assert chain.balance(state.WAITING) == 0


def test_after_the_last_slot_the_escrow_is_back_at_once() -> None:
    chain, slot = bidding(slot_ms=16_000)
    placed = chain.deliver(shiftable(chain, (1, slot, 60_000, 900_000), slot + 1))
    chain.until(slot + 1, pb.SLOT_STATE_BIDDING)
    chain.block(10, tx.MsgAmendOrder(cell=address(1), slot=slot + 1, seq=1, price_e4=60_000, quantity_mWh=900_000))
    assert chain.balance((1).to_bytes(20, "big")) == RICH - int(placed.escrow)
    chain.until(slot + 1, pb.SLOT_STATE_SETTLED)
    assert chain.balance((1).to_bytes(20, "big")) == RICH
    check_books(chain)


def test_what_cannot_enter_waits_or_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    chain, slot = bidding(slot_ms=16_000)
    chain.deliver(shiftable(chain, (1, slot, 60_000, 900_000), slot + 2))
    chain.until(slot, pb.SLOT_STATE_RESIDUAL)
    with_arrears = chain.registry.cell(chain.ctx(), 1)
    with_arrears.arrears = "1"
    chain.registry.save_cell(chain.ctx(), with_arrears)
    chain.until(slot + 1, pb.SLOT_STATE_BIDDING)
    assert waiting(chain, 1) == [(slot + 2, 900_000)]
    chain.until(slot + 2, pb.SLOT_STATE_BIDDING)
    assert waiting(chain, 1) == []
    assert [item["refund"] for item in chain.events_of("order_ended")] == [str(900_000 * (60_000 + 200 + 40_000))]
    assert chain.balance((1).to_bytes(20, "big")) == RICH
    check_books(chain)


def test_a_lower_cap_of_the_next_slot_is_the_price() -> None:
    chain, slot = bidding(slot_ms=16_000)
    placed = chain.deliver(shiftable(chain, (1, slot, 60_000, 900_000), slot + 1))
    chain.until(slot + 1, pb.SLOT_STATE_FORECAST)
    chain.deliver(tx.MsgPostForecast(utility=UTILITY, slot=slot + 1, floor_e4=20_000, cap_e4=55_000))
    chain.until(slot + 1, pb.SLOT_STATE_BIDDING)
    (moved,) = chain.query(query.QueryOrdersRequest(cell=address(1), slot=slot + 1)).orders
    assert (moved.price_e4, int(placed.escrow) - int(moved.escrow)) == (55_000, 900_000 * 5_000)
    assert chain.balance((1).to_bytes(20, "big")) == RICH - int(moved.escrow)
    check_books(chain)


def test_what_waits_can_be_taken_back() -> None:
    chain, slot = bidding(slot_ms=16_000)
    chain.deliver(shiftable(chain, (1, slot, 60_000, 900_000), slot + 5))
    chain.until(slot, pb.SLOT_STATE_RESIDUAL)
    (item,) = chain.query(query.QueryWaitingRequest(cell=address(1))).orders
    for cell, number in ((2, item.number), (1, item.number + 1)):
        with pytest.raises(ChainError) as caught:
            chain.deliver(tx.MsgCancelWaiting(cell=address(cell), number=number))
        assert caught.value.ident == ("market", 11)
    answer = chain.deliver(tx.MsgCancelWaiting(cell=address(1), number=item.number))
    assert (answer.refund, chain.balance((1).to_bytes(20, "big"))) == (item.order.escrow, RICH)
    check_books(chain)


def test_at_most_eight_of_a_cell_and_bids_only() -> None:
    chain, slot = bidding(cells=1, max_orders_per_cell=20)
    for _ in range(8):
        chain.deliver(shiftable(chain, (1, slot, 60_000, 1_000), slot + 1))
    ask = chain.place(1, slot, ASK, 60_000, 1_000)
    ask.valid_to = slot + 1
    firm = shiftable(chain, (1, slot, 60_000, 1_000), slot + 1)
    firm.kind = pb.ORDER_KIND_FIRM
    lines = [
        (("market", 7), shiftable(chain, (1, slot, 60_000, 1_000), slot + 1)),
        (("sdk", 18), shiftable(chain, (1, slot, 60_000, 1_000), slot)),
        (("sdk", 18), shiftable(chain, (1, slot, 60_000, 1_000), slot + 97)),
        (("sdk", 18), ask),
        (("sdk", 18), firm),
    ]
    for ident, message in lines:
        with pytest.raises(ChainError) as caught:
            chain.deliver(message)
        assert caught.value.ident == ident
    chain.deliver(tx.MsgCancelOrder(cell=address(1), slot=slot, seq=1))
    chain.deliver(lines[0][1])


rows = st.tuples(
    st.integers(1, 3), st.booleans(), st.integers(30_000, 70_000), st.integers(1, 400_000), st.integers(0, 4)
)


@settings(max_examples=40, deadline=None)
@given(
    days=st.lists(st.tuples(st.integers(1, 9_000), st.lists(rows, max_size=4)), max_size=25),
    settle_units=st.integers(1, 5),
)
def test_under_any_block_times_energy_and_escrow_are_conserved(
    days: list[tuple[int, list[tuple[int, bool, int, int, int]]]], settle_units: int
) -> None:
    chain = Chain(cells=3, settle_units=settle_units, missed_before_suspension=1_000, max_orders_per_cell=20)
    for step, actions in days:
        chain.begin(step)
        for action in actions:
            act(chain, action)
        chain.end()
        check_books(chain)
    for _ in range(80):
        chain.block(1_000)
        check_books(chain)
    # What moves: each part ends as an order of a later slot or comes back.
    assert not [key for key in chain.store.data if key.startswith((keys.SHIFT_WORK, keys.SHIFTING, keys.WAITING))]
    assert chain.balance(state.ESCROW) == chain.balance(state.WAITING) == 0


def act(chain: Chain, row: tuple[int, bool, int, int, int]) -> None:
    cell, buys, price, quantity, further = row
    for slot in chain.live():
        if chain.slot(slot).state != pb.SLOT_STATE_BIDDING:
            continue
        message = chain.place(cell, slot, BID if buys else ASK, price, quantity)
        message.valid_to = slot + further if buys and further else 0
        message.min_fill_mWh = quantity if price % 3 == 0 else 0
        try:
            chain.deliver(message)
        except ChainError as error:
            if error.ident not in {("market", 6), ("market", 7)}:
                raise
