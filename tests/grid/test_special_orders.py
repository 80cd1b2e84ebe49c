"""Minimum fills and forward positions where a feeder doesn't bear everything."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query as query
from energy.market import state
from tests.energy.chain import ASK, BID, Chain
from tests.energy.test_forward import forward_order
from tests.grid.test_on_chain import RESIDUAL, SECURED, assert_settled, bidding, star

Row = tuple[int, int, int, int, int]  # cell, side, price, quantity, least fill


def cleared(chain: Chain, slot: int, rows: list[Row]) -> pb.Slot:
    for cell, side, price, quantity, least in rows:
        message = chain.place(cell, slot, side, price, quantity)
        message.min_fill_mWh = least
        chain.deliver(message)
    return chain.until(slot, RESIDUAL, 200)


def fills(chain: Chain, slot: int, count: int) -> list[int]:
    asked = (query.QueryFillRequest(slot=slot, seq=seq) for seq in range(1, count + 1))
    return [int(chain.query(one).fill_mWh) for one in asked]


def test_a_cut_that_leaves_too_little_drops_the_order_and_the_rest_is_cleared_again() -> None:
    """Bus 2 bears 1,000,000 mWh: a block order of more than that can't be served, one of the rest can, whole."""
    chain = Chain()
    slot = bidding(chain, star())
    rows = [(2, BID, 60_000, 1_500_000, 1_500_000), (3, BID, 50_000, 900_000, 900_000), (1, ASK, 40_000, 2_400_000, 0)]
    record = cleared(chain, slot, rows)
    assert (list(record.clearing.dropped), record.factor_permille) == ([1], 1000)
    assert fills(chain, slot, 3) == [0, 900_000, 900_000]
    assert [item["volume_mWh"] for item in chain.events_of("slot_cleared")][-1] == "900000"
    assert_settled(chain, slot)


def test_without_minimums_the_cut_is_as_before() -> None:
    chain = Chain()
    slot = bidding(chain, star())
    record = cleared(chain, slot, [(2, BID, 60_000, 2_000_000, 900_000), (1, ASK, 40_000, 2_000_000, 0)])
    assert (list(record.clearing.dropped), record.factor_permille) == ([], 499)
    assert fills(chain, slot, 2) == [998_000, 998_000]


rows = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.sampled_from([BID, ASK]),
        st.integers(4, 8).map(lambda step: step * 10_000),
        st.integers(1, 2_500_000),
        st.integers(0, 1000),
    ),
    min_size=2,
    max_size=7,
)


@settings(max_examples=40, deadline=None)
@given(made=rows)
def test_nobody_gets_less_than_its_minimum_whatever_the_feeder_bears(made: list[Row]) -> None:
    chain = Chain(cells=3)
    slot = bidding(chain, star())
    room = {(cell, side): 2_500_000 for cell in (1, 2, 3) for side in (BID, ASK)}
    placed: list[Row] = []
    for cell, side, price, wanted, least in made:
        quantity = min(wanted, room[cell, side])
        room[cell, side] -= quantity
        if quantity:
            placed.append((cell, side, price, quantity, quantity * least // 1000))
    record = cleared(chain, slot, placed)
    for fill, row in zip(fills(chain, slot, len(placed)), placed, strict=True):
        assert fill == 0 or fill >= row[4]
    assert record.factor_permille == 1000 or record.state >= SECURED
    assert_settled(chain, slot)


def test_positions_are_certified_before_the_slots_own_trades() -> None:
    """700,000 mWh of the 1,000,000 that bus 2 bears are sold ahead: the slot's own trades are cut to the rest."""
    chain = Chain(forward_lead=1, slot_ms=16_000)
    bidding(chain, star())
    first = chain.live()[-1] + 2
    chain.deliver(forward_order((2, BID, 60_000, 700_000), (first, 1)))
    chain.deliver(forward_order((1, ASK, 40_000, 700_000), (first, 1)))
    chain.until(first, pb.SLOT_STATE_BIDDING)
    record = cleared(chain, first, [(2, BID, 60_000, 600_000, 0), (1, ASK, 40_000, 600_000, 0)])
    assert 490 <= record.factor_permille <= 499
    buses = chain.query(query.QueryScheduleRequest(slot=first)).buses
    drawn = {item.bus: item.p_mWh for item in buses}
    assert drawn[2] == 700_000 + 600_000 * record.factor_permille // 1000 <= 1_000_000
    assert_settled(chain, first)
    assert chain.balance(state.WAITING) == 0
