"""Set-points of inverters that come with caps: inside their limits, part of the certified schedule, gone afterwards."""

from __future__ import annotations

import pytest

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query as query
from cosmos_wire.protos import market_tx as tx
from cosmos_wire.protos import registry as registry_pb
from energy.market import inverters, state
from energy.registry import state as registered
from tests.energy.chain import ASK, BID, UTILITY, Chain
from tests.grid.test_on_chain import RECLEAR, RESIDUAL, STRONG_W, assert_settled, bidding, cleared, star

INVERTER_VA = 2_000
LIMIT = INVERTER_VA * 250
BOOK = ((2, BID, 60_000, 900_000), (1, ASK, 40_000, 900_000))


def drooping() -> registry_pb.Feeder:
    """Drawing 900 Wh at bus 2 takes its voltage below the limit, unless reactive power is fed in there."""
    feeder = star(vmin_permille=999)
    feeder.branches[1].s_max_W = STRONG_W
    return feeder


def refused_book() -> tuple[Chain, int]:
    chain = Chain()
    cell = registered.cell(chain.ctx(), 2)
    cell.inverter_VA = INVERTER_VA
    registered.save_cell(chain.ctx(), cell)
    slot = bidding(chain, drooping())
    assert cleared(chain, slot, *BOOK).state == RECLEAR
    return chain, slot


def proposal(slot: int, attempt: int, *points: tuple[int, int]) -> tx.MsgProposeCaps:
    made = [tx.BusQ(bus=bus, q_mvarh=q) for bus, q in points]
    return tx.MsgProposeCaps(utility=UTILITY, slot=slot, attempt=attempt, q=made)


def at_bus_2(chain: Chain, slot: int) -> int:
    rows = chain.query(query.QueryScheduleRequest(slot=slot)).buses
    return next(row.q_mvarh for row in rows if row.bus == 2)


def test_a_set_point_lifts_a_voltage_and_the_whole_book_trades() -> None:
    chain, slot = refused_book()
    assert chain.slot(slot).factor_permille < 1000
    chain.deliver(proposal(slot, 1, (2, -300_000)))
    assert [item["code"] for item in chain.events_of("caps_judged")] == ["0"]
    assert (chain.slot(slot).factor_permille, at_bus_2(chain, slot)) == (1000, -300_000)
    chain.until(slot, RESIDUAL, 200)
    assert at_bus_2(chain, slot) == -300_000
    assert_settled(chain, slot)
    chain.until(slot, 13, 200)
    for _ in range(20):
        chain.block(200)
    assert [key for key in chain.store.data if key.startswith(b"mk/q/")] == []


def test_what_is_not_certified_leaves_no_set_point() -> None:
    chain, slot = refused_book()
    chain.deliver(proposal(slot, 1, (2, 300_000)))
    assert [item["code"] for item in chain.events_of("caps_judged")] == ["14"]
    assert at_bus_2(chain, slot) == 0


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (((2, -LIMIT - 1),), f"have {LIMIT} mvarh left either way, got {-LIMIT - 1}"),
        (((1, 1),), "have 0 mvarh left"),
        (((2, 1), (2, 1)), "ascend by bus"),
        (((2, 1), (1, 0)), "ascend by bus"),
    ],
    ids=["beyond the inverter", "no inverter", "twice", "out of order"],
)
def test_set_points_beyond_the_inverters_are_refused_and_use_no_try(points, words: str) -> None:
    chain, slot = refused_book()
    data = dict(chain.store.data)
    with pytest.raises(ChainError) as caught:
        chain.deliver(proposal(slot, 1, *points))
    assert (caught.value.ident, chain.store.data) == (("market", 13), data)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("inverter_VA", "active_mWh", "left"), [(5, 0, 1_250), (5, 1_000, 750), (5, 1_250, 0), (5, 9_999, 0), (0, 0, 0)]
)
def test_what_an_inverter_has_left(inverter_VA: int, active_mWh: int, left: int) -> None:
    assert inverters.left_mvarh(inverter_VA, active_mWh) == left


def test_caps_pass_firm_orders_by() -> None:
    """A cap of nothing on bus 2: its firm bid trades whole, its flexible one not at all."""
    chain = Chain()
    slot = bidding(chain, star())
    firm = chain.place(2, slot, BID, 60_000, 900_000)
    firm.kind = pb.ORDER_KIND_FIRM
    chain.deliver(firm)
    record = cleared(chain, slot, (2, BID, 59_000, 300_000), (3, BID, 58_000, 100_000), (1, ASK, 40_000, 1_300_000))
    assert record.state == RECLEAR
    cap = tx.BusCap(bus=2, side=BID, cap_mWh=0)
    chain.deliver(tx.MsgProposeCaps(utility=UTILITY, slot=slot, attempt=1, caps=[cap]))
    record = chain.slot(slot)
    fills = [state.order_fill_mWh(record, order) for order in state.orders_of(chain.ctx(), slot, 2)]
    assert (record.factor_permille, fills) == (1000, [900_000, 0])
    assert_settled(chain, slot)
