"""Kinds of orders: what is accepted, kept and shown."""

from __future__ import annotations

import pytest

from cosmos_wire.errors import ChainError, NotFound
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query, market_tx
from tests.energy.chain import ASK, BID, UTILITY, Chain, address

FLEXIBLE, FIRM, CRITICAL = pb.ORDER_KIND_FLEXIBLE, pb.ORDER_KIND_FIRM, pb.ORDER_KIND_CRITICAL


def opened(chain: Chain, cap_e4: int) -> int:
    """A slot in BIDDING under a forecast band."""
    chain.block()
    slot = chain.live()[-1] + 1
    chain.until(slot, pb.SLOT_STATE_FORECAST, 100)
    chain.deliver(market_tx.MsgPostForecast(utility=UTILITY, slot=slot, floor_e4=20_000, cap_e4=cap_e4))
    chain.until(slot, pb.SLOT_STATE_BIDDING, 100)
    return slot


def test_kinds_are_kept_and_shown() -> None:
    chain = Chain()
    slot = opened(chain, 70_000)
    for side, price, kind in ((BID, 50_000, FLEXIBLE), (ASK, 30_000, FIRM), (BID, 70_000, CRITICAL)):
        message = chain.place(1, slot, side, price, 1_000)
        message.kind = kind
        chain.deliver(message)
    request = market_query.QueryOrdersRequest(cell=address(1), slot=slot)
    assert [order.kind for order in chain.query(request).orders] == [FLEXIBLE, FIRM, CRITICAL]
    book = chain.query(market_query.QueryBookRequest(slot=slot, side=BID)).orders
    assert [(order.price_e4, order.kind) for order in book] == [(70_000, CRITICAL), (50_000, FLEXIBLE)]
    assert [event["order_kind"] for event in chain.events_of("order_placed")] == ["flexible", "firm", "critical"]


@pytest.mark.parametrize(
    ("side", "price_e4", "kind", "ident", "says"),
    [
        (BID, 69_999, CRITICAL, ("market", 5), "at the slot's cap 70000, got 69999"),
        (BID, 80_000, CRITICAL, ("market", 5), "got 80000"),
        (ASK, 70_000, CRITICAL, ("sdk", 18), "has to be a bid"),
        (BID, 50_000, 3, ("sdk", 18), "got 3"),
        (BID, 50_000, -1, ("sdk", 18), "got -1"),
    ],
)
def test_what_no_order_can_be_is_refused(
    side: int, price_e4: int, kind: int, ident: tuple[str, int], says: str
) -> None:
    chain = Chain()
    slot = opened(chain, 70_000)
    message = chain.place(1, slot, side, price_e4, 1_000)
    message.kind = kind
    with pytest.raises(ChainError, match=says) as caught:
        chain.deliver(message)
    assert (caught.value.codespace, caught.value.code) == ident
    assert chain.slot(slot).orders == 0


def test_a_schedule_is_baseline_and_what_orders_let_through() -> None:
    chain = Chain()
    slot = opened(chain, 70_000)
    with pytest.raises(NotFound, match=r"slot \d+ is BIDDING"):
        chain.query(market_query.QueryScheduleRequest(slot=slot))
    rows = (
        (1, BID, 60_000, 1_000, FIRM),
        (1, BID, 25_000, 300, FLEXIBLE),
        (2, ASK, 30_000, 700, FLEXIBLE),
        (3, BID, 21_000, 50, FIRM),
    )
    for *order, kind in rows:
        message = chain.place(order[0], slot, *order[1:])
        message.kind = kind
        chain.deliver(message)
    record = chain.until(slot, pb.SLOT_STATE_SECURED, 100)
    assert record.clearing.volume_mWh == 700
    found = chain.query(market_query.QueryScheduleRequest(slot=slot))
    assert [(bus.bus, bus.p_mWh, bus.q_mvarh) for bus in found.buses] == [(1, 1_000, 0), (2, -700, 0), (3, 50, 0)]
    assert [(cell.cell, cell.bus, cell.import_mWh, cell.export_mWh) for cell in found.cells] == [
        (address(1), 1, 1_000, 0),
        (address(2), 2, 0, 700),
        (address(3), 3, 50, 0),
    ]
    fill = chain.query(market_query.QueryFillRequest(slot=slot, seq=1))
    assert (fill.fill_mWh, fill.scheduled_mWh) == (700, 1_000)
