"""Amending: one step, the place in time where nobody loses by it, escrow to the unit."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query as query
from cosmos_wire.protos import market_tx as tx
from energy.market import clearing, state
from tests.energy.chain import ASK, BID, Chain, address


def bidding(cells: int = 3, **changes: object) -> tuple[Chain, int]:
    chain = Chain(cells=cells, **changes)
    chain.block()
    slot = chain.live()[-1]
    chain.until(slot, pb.SLOT_STATE_BIDDING)
    return chain, slot


def amend(cell: int, slot: int, seq: int, price_e4: int, quantity_mWh: int) -> tx.MsgAmendOrder:
    return tx.MsgAmendOrder(cell=address(cell), slot=slot, seq=seq, price_e4=price_e4, quantity_mWh=quantity_mWh)


def book(chain: Chain, slot: int, side: int) -> list[tuple[int, int, int]]:
    found = chain.query(query.QueryBookRequest(slot=slot, side=side)).orders
    return [(order.seq, order.price_e4, order.quantity_mWh) for order in found]


def test_less_at_the_same_price_keeps_its_place_and_anything_else_goes_behind() -> None:
    chain, slot = bidding()
    for cell in (1, 2):
        chain.deliver(chain.place(cell, slot, BID, 50_000, 1_000))
    assert chain.deliver(amend(1, slot, 1, 50_000, 400)).seq == 1
    assert book(chain, slot, BID) == [(1, 50_000, 400), (2, 50_000, 1_000)]
    assert chain.deliver(amend(1, slot, 1, 50_000, 401)).seq == 3
    assert book(chain, slot, BID) == [(2, 50_000, 1_000), (3, 50_000, 401)]
    assert chain.deliver(amend(2, slot, 2, 49_999, 1_000)).seq == 4
    assert book(chain, slot, BID) == [(3, 50_000, 401), (4, 49_999, 1_000)]
    events = chain.events_of("order_amended")
    assert [(item["seq"], item["new_seq"]) for item in events] == [("1", "1"), ("1", "3"), ("2", "4")]


def test_what_is_refused_changes_nothing() -> None:
    chain, slot = bidding(max_orders_per_cell=1)
    chain.deliver(chain.place(1, slot, BID, 50_000, 1_000))
    before = dict(chain.store.data)
    lines = [
        (("market", 11), amend(1, slot, 2, 50_000, 1)),
        (("market", 11), amend(2, slot, 1, 50_000, 1)),
        (("market", 4), amend(9, slot, 1, 50_000, 1)),
        (("market", 5), amend(1, slot, 1, 90_000, 1)),
        (("market", 6), amend(1, slot, 1, 50_000, 0)),
        (("market", 6), amend(1, slot, 1, 50_000, 2_500_001)),
        (("market", 2), amend(1, 5, 1, 50_000, 1)),
    ]
    for ident, message in lines:
        with pytest.raises(ChainError) as caught:
            chain.deliver(message)
        assert caught.value.ident == ident
    assert dict(chain.store.data) == before
    chain.deliver(amend(1, slot, 1, 60_000, 2_500_000))  # the whole rating: its own old energy doesn't count


def test_an_amended_minimum_stays_and_bounds_the_quantity() -> None:
    chain, slot = bidding()
    message = chain.place(1, slot, BID, 50_000, 1_000)
    message.min_fill_mWh = 600
    chain.deliver(message)
    with pytest.raises(ChainError) as caught:
        chain.deliver(amend(1, slot, 1, 50_000, 599))
    assert caught.value.ident == ("market", 6)
    chain.deliver(amend(1, slot, 1, 55_000, 700))
    (order,) = chain.query(query.QueryOrdersRequest(cell=address(1), slot=slot)).orders
    assert (order.seq, order.min_fill_mWh, order.quantity_mWh) == (2, 600, 700)
    assert chain.slot(slot).minimums == 1


changes = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(20_000, 80_000), st.integers(1, 900_000)), max_size=20
)


@settings(max_examples=40, deadline=None)
@given(rows=changes)
def test_any_amending_keeps_the_books(rows: list[tuple[int, int, int, int]]) -> None:
    chain, slot = bidding()
    for cell, side in ((1, BID), (2, ASK), (3, BID), (1, ASK)):
        chain.deliver(chain.place(cell, slot, side, 50_000, 100_000))
    for cell, seq, price, quantity in rows:
        try:
            chain.deliver(amend(cell, slot, seq, price, quantity))
        except ChainError as error:
            assert error.ident in {("market", 6), ("market", 11)}  # noqa: PT017  # most rows name no order
        record, orders = chain.slot(slot), list(state.all_orders(chain.ctx(), slot))
        assert record.orders == len(orders) == 4
        escrow = sum(state.escrow_of(record.prices, order) for order in orders)
        assert int(record.escrow) == chain.balance(state.ESCROW) == escrow
        sums = {side: sum(o.quantity_mWh for o in orders if o.side == side) for side in (BID, ASK)}
        assert (record.bid_mWh, record.ask_mWh) == (sums[BID], sums[ASK])
        assert chain.held_in_all() == chain.supply
    assert chain.until(slot, pb.SLOT_STATE_SETTLED).escrow == "0"


ACTS = st.lists(
    st.tuples(st.sampled_from(["bid", "ask", "cancel", "amend"]), st.integers(0, 7), st.integers(1, 900)), max_size=14
)


@settings(max_examples=25, deadline=None)
@given(acts=ACTS)
def test_a_cells_orders_are_those_in_the_book(acts: list[tuple[str, int, int]]) -> None:
    """Read by their keys, from what is remembered, they are the orders that the whole book has of the cell."""
    chain, slot = bidding(cells=2)
    for act, pick, number in acts:
        own = state.orders_of(chain.ctx(), slot, 1)
        chosen = own[pick % len(own)].seq if own else 0
        message: object = tx.MsgCancelOrder(cell=address(1), slot=slot, seq=chosen)
        if act in ("bid", "ask"):
            message = chain.place(1 + pick % 2, slot, BID if act == "bid" else ASK, 20_000 + number, number * 1_000)
        elif act == "amend":
            message = amend(1, slot, chosen, 20_000 + number, number)
        with suppress(ChainError):
            chain.deliver(message)
        for cell in (1, 2):
            sides = [clearing.read_side(chain.store, slot, side) for side in (BID, ASK)]
            book = sorted((o for side in sides for o in side if o.cell == cell), key=lambda o: o.seq)
            assert state.orders_of(chain.ctx(), slot, cell) == book
            assert [state.book_order(chain.ctx(), slot, cell, o.seq) for o in book] == book
