"""Storage offers: nobody sells what its fills didn't charge."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query as query
from cosmos_wire.protos import market_tx as tx
from energy.market import keys, state
from tests.energy.chain import ASK, BID, UTILITY, Chain, address
from tests.energy.test_amend import amend, bidding
from tests.energy.test_shift import check_books


def registered(chain: Chain, cell: int = 1, **changes: int) -> tx.MsgRegisterStorage:
    fields = {"energy_mWh": 1_000_000, "power_W": 4_000, "efficiency_permille": 900, "charged_mWh": 0, **changes}
    return tx.MsgRegisterStorage(utility=UTILITY, cell=address(cell), **fields)


def offer(chain: Chain, row: tuple[int, int, int, int, int], later: tuple[int, int] = (0, 0)) -> tx.MsgPlaceOrder:
    cell, slot, side, price, energy = row
    message = chain.place(cell, slot, side, price, energy)
    message.storage, message.discharge_slot, message.discharge_price_e4 = True, *later
    return message


def soc(chain: Chain, cell: int = 1) -> tuple[int, int, int]:
    kept = chain.query(query.QueryStorageRequest(cell=address(cell))).storage
    return kept.charged_mWh, kept.charging_mWh, kept.reserved_mWh


def refused(chain: Chain, message: object) -> tuple[str, int]:
    with pytest.raises(ChainError) as caught:
        chain.deliver(message)
    return caught.value.ident


def test_what_is_charged_in_one_slot_is_sold_in_a_later_one() -> None:
    chain, slot = bidding(slot_ms=16_000)
    chain.deliver(registered(chain))
    chain.deliver(offer(chain, (1, slot, BID, 50_000, 800_000), (slot + 2, 60_000)))
    assert soc(chain) == (0, 720_000, 0)
    chain.deliver(chain.place(2, slot, ASK, 30_000, 500_000))
    chain.until(slot, pb.SLOT_STATE_RESIDUAL)
    assert soc(chain) == (450_000, 0, 0)
    chain.until(slot + 2, pb.SLOT_STATE_BIDDING)
    (ask,) = chain.query(query.QueryOrdersRequest(cell=address(1), slot=slot + 2)).orders
    assert (ask.side, ask.price_e4, ask.quantity_mWh) == (ASK, 60_000, 450_000)
    assert soc(chain) == (450_000, 0, 450_000)
    chain.deliver(chain.place(3, slot + 2, BID, 70_000, 300_000))
    record = chain.until(slot + 2, pb.SLOT_STATE_RESIDUAL)
    assert record.export_permille == 1000  # no feeder: the rest is let out
    assert soc(chain) == (0, 0, 0)
    assert chain.until(slot + 2, pb.SLOT_STATE_SETTLED).escrow == "0"
    check_books(chain)


def test_what_it_does_not_hold_or_cannot_hold_is_refused() -> None:
    chain, slot = bidding(max_orders_per_cell=20)
    assert refused(chain, offer(chain, (1, slot, BID, 50_000, 1))) == ("market", 45)
    chain.deliver(registered(chain, charged_mWh=300_000))
    firm = offer(chain, (1, slot, BID, 50_000, 1))
    firm.kind = pb.ORDER_KIND_FIRM
    moving = offer(chain, (1, slot, BID, 50_000, 1))
    moving.valid_to = slot + 1
    plain = offer(chain, (1, slot, BID, 50_000, 1), (slot + 1, 50_000))
    plain.storage = False
    lines = [
        (("market", 46), offer(chain, (1, slot, ASK, 50_000, 300_001))),
        (("market", 46), offer(chain, (1, slot, BID, 50_000, 777_779))),
        (("market", 6), offer(chain, (1, slot, BID, 50_000, 1_000_001))),
        (("sdk", 18), firm),
        (("sdk", 18), moving),
        (("sdk", 18), plain),
        (("sdk", 18), offer(chain, (1, slot, ASK, 50_000, 1), (slot + 1, 50_000))),
        (("sdk", 18), offer(chain, (1, slot, BID, 50_000, 1), (slot, 50_000))),
        (("sdk", 18), offer(chain, (1, slot, BID, 50_000, 1), (slot + 1, 0))),
        (("market", 4), tx.MsgRegisterStorage(utility=address(1), cell=address(1))),
        (("sdk", 18), registered(chain, efficiency_permille=1_001)),
        (("market", 46), registered(chain, charged_mWh=1_000_001)),
    ]
    before = dict(chain.store.data)
    for ident, message in lines:
        assert refused(chain, message) == ident
    assert dict(chain.store.data) == before
    chain.deliver(offer(chain, (1, slot, ASK, 50_000, 200_000)))
    assert refused(chain, offer(chain, (1, slot, ASK, 50_000, 100_001))) == ("market", 46)
    assert refused(chain, registered(chain, charged_mWh=199_999)) == ("market", 46)
    assert refused(chain, amend(1, slot, 1, 50_000, 1)) == ("sdk", 18)
    chain.deliver(tx.MsgCancelOrder(cell=address(1), slot=slot, seq=1))
    assert soc(chain) == (300_000, 0, 0)
    chain.deliver(offer(chain, (1, slot, BID, 50_000, 777_777)))
    assert refused(chain, offer(chain, (1, slot, BID, 50_000, 10))) == ("market", 46)


def test_a_price_above_the_cap_is_not_sold_below_it() -> None:
    chain, slot = bidding(slot_ms=16_000)
    chain.deliver(registered(chain))
    chain.deliver(offer(chain, (1, slot, BID, 50_000, 500_000), (slot + 1, 90_000)))
    chain.deliver(chain.place(2, slot, ASK, 30_000, 500_000))
    chain.until(slot + 1, pb.SLOT_STATE_BIDDING)
    assert chain.query(query.QueryOrdersRequest(cell=address(1), slot=slot + 1)).orders == []
    assert len(chain.events_of("order_ended")) == 1
    assert soc(chain) == (450_000, 0, 0)  # it is still there to sell


rows = st.tuples(
    st.integers(1, 2),
    st.sampled_from([BID, ASK]),
    st.integers(30_000, 70_000),
    st.integers(1, 900_000),
    st.integers(0, 3),
    st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(
    days=st.lists(st.tuples(st.integers(1, 9_000), st.lists(rows, max_size=4)), max_size=25),
    settle_units=st.integers(1, 5),
)
def test_the_state_of_charge_stays_within_bounds_and_comes_to_rest(
    days: list[tuple[int, list[tuple[int, int, int, int, int, bool]]]], settle_units: int
) -> None:
    chain = Chain(cells=3, settle_units=settle_units, missed_before_suspension=1_000, max_orders_per_cell=20)
    for cell in (1, 2):
        chain.deliver(registered(chain, cell, charged_mWh=200_000))
    for step, actions in days:
        chain.begin(step)
        for cell, side, price, energy, ahead, stores in actions:
            act(chain, (cell if stores else 3, side, price, energy), ahead, stores=stores)
        chain.end()
        check_books(chain)
        check_charge(chain)
    for _ in range(80):
        chain.block(1_000)
        check_charge(chain)
    for cell in (1, 2):
        assert soc(chain, cell)[1:] == (0, 0)
    assert not [key for key in chain.store.data if key.startswith((keys.STORAGE_WORK, keys.STORAGE_ORDERS))]
    assert chain.balance(state.ESCROW) == 0


def act(chain: Chain, row: tuple[int, int, int, int], ahead: int, *, stores: bool) -> None:
    cell, side, price, energy = row
    for slot in chain.live():
        if chain.slot(slot).state != pb.SLOT_STATE_BIDDING:
            continue
        later = (slot + ahead, price) if ahead and side == BID else (0, 0)
        full = (cell, slot, side, price, energy)
        message = offer(chain, full, later) if stores else chain.place(cell, slot, side, price, energy)
        try:
            chain.deliver(message)
        except ChainError as error:
            if error.ident not in {("market", 6), ("market", 7), ("market", 46)}:
                raise


def check_charge(chain: Chain) -> None:
    for cell in (1, 2):
        charged, charging, reserved = soc(chain, cell)
        assert 0 <= reserved <= charged
        assert charging >= 0
        assert charged + charging <= 1_000_000
