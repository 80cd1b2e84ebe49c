"""The forward market: products, block orders, positions in slots, money and energy to the unit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query as query
from cosmos_wire.protos import market_tx as tx
from energy.grid.schedule import BusEnergy
from energy.market import forward, forward_book, keys, security, state
from tests.energy.chain import ASK, BID, RICH, Chain, address

Row = tuple[int, int, int, int]  # cell, side, price, energy a slot


def market(**changes: object) -> Chain:
    chain = Chain(**{"slot_ms": 16_000, "forward_lead": 1, **changes})
    chain.block()
    return chain


def forward_order(row: Row, product: tuple[int, int], *, whole: bool = False) -> tx.MsgPlaceForward:
    cell, side, price, energy = row
    first, slots = product
    return tx.MsgPlaceForward(
        cell=address(cell), first_slot=first, slots=slots, side=side, price_e4=price, quantity_mWh=energy, whole=whole
    )


def products(chain: Chain) -> list[query.QueryForwardProductsResponse]:
    return list(chain.query(query.QueryForwardProductsRequest()).products)


def orders_of(chain: Chain, cell: int) -> list[tuple[bool, int, int]]:
    found = chain.query(query.QueryForwardOrdersRequest(cell=address(cell))).orders
    return [(item.order.position, item.order.price_e4, item.order.quantity_mWh) for item in found]


def check_books(chain: Chain) -> None:
    assert chain.held_in_all() == chain.supply
    records = [chain.slot(slot) for slot in chain.live()]
    assert chain.balance(state.ESCROW) == sum(int(record.escrow or 0) for record in records)
    waits = [pb.Waiting.FromString(raw) for key, raw in chain.store.data.items() if key.startswith(keys.WAITING)]
    held = sum(int(item.escrow) for item in waits) + sum(int(item.escrow or 0) for item in products(chain))
    assert chain.balance(state.WAITING) == held == int(state.pool_totals(chain.ctx()).waiting or 0)


def refused(chain: Chain, message: object) -> tuple[str, int]:
    with pytest.raises(ChainError) as caught:
        chain.deliver(message)
    return caught.value.ident


def test_a_product_of_two_slots_from_order_to_settlement() -> None:
    chain = market()
    first = chain.live()[-1] + 3
    product = first, 2
    chain.deliver(forward_order((1, BID, 60_000, 500_000), product))
    chain.deliver(forward_order((2, ASK, 40_000, 300_000), product))
    chain.deliver(forward_order((3, BID, 45_000, 100_000), product))
    (made,) = products(chain)
    assert made.closes_ms == first * 16_000 - 16_000 - 16_000  # OPEN lies a window of 16 s before the slot
    unit = {1: 60_000 + 40_200, 2: 100_000 - 20_000 + 40_200, 3: 45_000 + 40_200}
    check_books(chain)
    while chain.now_ms < made.closes_ms:
        chain.block(1_000)
    check_books(chain)
    (cleared,) = chain.events_of("forward_cleared")
    assert (cleared["price_e4"], cleared["volume_mWh"]) == ("60000", "300000")
    assert [orders_of(chain, n) for n in (1, 2, 3)] == [[(True, 60_000, 300_000)], [(True, 60_000, 300_000)], []]
    assert chain.balance((3).to_bytes(20, "big")) == RICH
    assert chain.balance((1).to_bytes(20, "big")) == RICH - 2 * 300_000 * unit[1]
    chain.until(first, pb.SLOT_STATE_BIDDING)
    assert int(chain.slot(first).escrow) == 300_000 * (unit[1] + unit[2])
    chain.deliver(chain.place(3, first, BID, 50_000, 80_000))
    chain.deliver(chain.place(2, first, ASK, 50_000, 80_000))
    chain.until(first, pb.SLOT_STATE_METERING)
    cells = chain.query(query.QueryScheduleRequest(slot=first)).cells
    assert [(c.bus, c.import_mWh, c.export_mWh) for c in cells] == [(1, 300_000, 0), (2, 0, 380_000), (3, 80_000, 0)]
    rows = chain.reading(1, first, 310_000, 0), chain.reading(2, first, 0, 380_000), chain.reading(3, first, 80_000, 0)
    chain.deliver(chain.submit(*rows))
    assert chain.until(first, pb.SLOT_STATE_SETTLED).escrow == "0"
    said = [chain.query(query.QueryStatementRequest(slot=first, cell=address(n))).statement for n in (1, 2, 3)]
    assert [(s.bought_mWh, s.sold_mWh) for s in said] == [(300_000, 0), (0, 380_000), (80_000, 0)]
    assert [int(s.trade) for s in said] == [-300_000 * 60_000, 300_000 * 60_000 + 80_000 * 50_000, -80_000 * 50_000]
    assert int(said[0].imbalance) == -10_000 * 100_000
    chain.until(first + 1, pb.SLOT_STATE_CLOSED)
    for _ in range(5):
        chain.block(1_000)
    check_books(chain)
    assert products(chain) == []
    assert not [key for key in chain.store.data if key.startswith((keys.FORWARDS, keys.FORWARDS_OF, keys.FORWARD_BOOK))]
    assert chain.balance(state.WAITING) == 0


def test_block_orders_are_whole_or_nothing() -> None:
    chain = market(cells=4)
    product = chain.live()[-1] + 2, 4
    chain.deliver(forward_order((1, ASK, 30_000, 600_000), product))
    chain.deliver(forward_order((2, BID, 70_000, 400_000), product, whole=True))
    chain.deliver(forward_order((3, BID, 60_000, 500_000), product, whole=True))
    chain.deliver(forward_order((4, BID, 50_000, 300_000), product))
    chain.until(product[0], pb.SLOT_STATE_FORECAST)
    chain.block(1)
    got = [orders_of(chain, n) for n in (1, 2, 3, 4)]
    assert [[item[2] for item in own] for own in got] == [[600_000], [400_000], [], [200_000]]
    check_books(chain)


def test_positions_are_fixed_energy_at_their_buses() -> None:
    chain = market()
    product = chain.live()[-1] + 2, 1
    chain.deliver(forward_order((1, BID, 60_000, 500_000), product))
    chain.deliver(forward_order((2, ASK, 40_000, 300_000), product))
    chain.until(product[0], pb.SLOT_STATE_FORECAST)
    buses = [tx.BusBaseline(bus=1, p_mWh=7, q_mvarh=3), tx.BusBaseline(bus=9, p_mWh=1)]
    msg = tx.MsgPostForecast(
        utility=state.params(chain.ctx()).utility, slot=product[0], floor_e4=20_000, cap_e4=80_000, buses=buses
    )
    chain.deliver(msg)
    assert security.baselines(chain.ctx(), product[0]) == [
        BusEnergy(bus=1, base_p_mWh=300_007, base_q_mvarh=3),
        BusEnergy(bus=2, base_p_mWh=-300_000),
        BusEnergy(bus=9, base_p_mWh=1),
    ]
    assert len(security.forecasts(chain.ctx(), product[0])) == 2


def test_a_rating_holds_for_positions_and_orders_together() -> None:
    chain = market()
    product = chain.live()[-1] + 2, 2
    chain.deliver(forward_order((1, BID, 60_000, 1_500_000), product))
    assert refused(chain, forward_order((1, BID, 60_000, 1_000_001), (product[0] + 1, 3))) == ("market", 6)
    chain.deliver(forward_order((1, BID, 60_000, 1_000_000), (product[0] + 2, 1)))
    chain.deliver(forward_order((2, ASK, 40_000, 1_500_000), product))
    chain.until(product[0], pb.SLOT_STATE_BIDDING)
    assert refused(chain, chain.place(1, product[0], BID, 60_000, 1_000_001)) == ("market", 6)
    chain.deliver(chain.place(1, product[0], BID, 60_000, 1_000_000))


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = market()
    last = chain.live()[-1]
    good = forward_order((1, BID, 60_000, 1_000), (last + 3, 2))
    lines = [
        (("market", 4), forward_order((9, BID, 60_000, 1_000), (last + 3, 2))),
        (("sdk", 18), forward_order((1, BID, 60_000, 1_000), (last + 3, 0))),
        (("sdk", 18), forward_order((1, BID, 60_000, 1_000), (last + 3, 97))),
        (("sdk", 18), forward_order((1, 0, 60_000, 1_000), (last + 3, 2))),
        (("market", 6), forward_order((1, BID, 60_000, 1_000), (last, 2))),
        (("market", 6), forward_order((1, BID, 60_000, 1_000), (last + 961, 2))),
        (("market", 3), forward_order((1, BID, 60_000, 1_000), (last + 1, 2))),
        (("market", 5), forward_order((1, BID, 80_001, 1_000), (last + 3, 2))),
        (("market", 6), forward_order((1, BID, 60_000, 0), (last + 3, 2))),
        (("market", 11), tx.MsgCancelForward(cell=address(1), first_slot=last + 3, slots=2, seq=1)),
    ]
    before = dict(chain.store.data)
    for ident, message in lines:
        assert refused(chain, message) == ident
    assert dict(chain.store.data) == before
    chain.deliver(good)
    monkeypatch.setattr(forward, "PRODUCTS_MAX", 1)
    monkeypatch.setattr(forward, "OWN_MAX", 1)
    monkeypatch.setattr(forward, "ORDERS_MAX", 1)
    assert refused(chain, forward_order((2, BID, 60_000, 1_000), (last + 4, 2))) == ("market", 7)
    assert refused(chain, forward_order((2, BID, 60_000, 1_000), (last + 3, 2))) == ("market", 7)
    monkeypatch.setattr(forward, "ORDERS_MAX", 9)
    assert refused(chain, good) == ("market", 7)
    assert refused(market(forward_lead=0), good) == ("market", 44)
    chain.deliver(tx.MsgCancelForward(cell=address(1), first_slot=last + 3, slots=2, seq=1))
    assert (chain.balance((1).to_bytes(20, "big")), products(chain)) == (RICH, [])
    check_books(chain)


def test_slots_that_are_skipped_give_their_escrow_back() -> None:
    chain = market()
    first = chain.live()[-1] + 2
    chain.deliver(forward_order((1, BID, 60_000, 1_000), (first, 5)))
    chain.deliver(forward_order((2, ASK, 40_000, 1_000), (first, 5)))
    chain.until(first, pb.SLOT_STATE_BIDDING)
    chain.block(48_000)  # over two slots
    for _ in range(300):
        chain.block(1_000)
        check_books(chain)
    assert products(chain) == []
    (ended,) = chain.events_of("forward_ended")
    assert 0 < int(ended["opened"]) < 5
    assert chain.balance(state.WAITING) == 0
    # One silent slot after the other: the seller delivered nothing, the buyer took what it bought.
    bought = int(ended["opened"]) * 1_000
    assert chain.balance((1).to_bytes(20, "big")) == RICH - bought * (50_000 + 200)


rows = st.tuples(
    st.tuples(st.integers(1, 3), st.sampled_from([BID, ASK]), st.integers(20_000, 80_000), st.integers(1, 400_000)),
    st.tuples(st.integers(1, 5), st.integers(1, 3)),
    st.booleans(),
)


@settings(max_examples=30, deadline=None)
@given(
    days=st.lists(st.tuples(st.integers(1, 30_000), st.lists(rows, max_size=4)), max_size=20),
    settle_units=st.integers(1, 5),
)
def test_under_any_block_times_money_and_energy_are_conserved(
    days: list[tuple[int, list[tuple[Row, tuple[int, int], bool]]]], settle_units: int
) -> None:
    chain = market(settle_units=settle_units, missed_before_suspension=10_000)
    for step, actions in days:
        chain.begin(step)
        for row, (ahead, slots), whole in actions:
            try:
                chain.deliver(forward_order(row, (state.last_opened(chain.ctx()) + ahead, slots), whole=whole))
            except ChainError as error:
                assert error.ident in {("market", 3), ("market", 6), ("market", 7)}  # noqa: PT017  # too late, or too much
        chain.end()
        check_books(chain)
        check_positions(chain)
    for _ in range(150):
        chain.block(2_000)
        check_books(chain)
    done = [record for record in chain.query(query.QuerySlotsRequest()).slots if record.state >= 12]
    assert all(record.escrow in ("", "0") for record in done)
    assert products(chain) == []
    assert chain.balance(state.WAITING) == 0


def check_positions(chain: Chain) -> None:
    """In every product as much is bought as sold, and block orders have all of it."""
    ctx = chain.ctx()
    for product in products(chain):
        found = [item for n in (1, 2, 3) for item in forward_book.held_by(ctx, n)]
        mine = [item.order for item in found if item.product == forward_book.part_of(product) and item.order.position]
        if product.state == 3:
            sums = [sum(o.quantity_mWh for o in mine if o.side == side) for side in (BID, ASK)]
            assert sums[0] == sums[1] == product.clearing.volume_mWh
            assert sum(bus.p_mWh for bus in product.buses) == 0
