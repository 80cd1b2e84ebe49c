"""A utility cell that is absent or lies, on the state machine: refused by code, and no worse than its absence."""

from __future__ import annotations

import pytest

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_tx as tx
from cosmos_wire.protos import meter_tx, registry_tx
from cosmos_wire.protos import registry as registry_pb
from energy.market import state
from tests.energy.chain import ASK, BID, UTILITY, Chain

LIMIT = 10_000 * 250 * 12 // 10  # 1.2 x the rating of the one cell at a bus


def feeder(**changes: object) -> registry_pb.Feeder:
    """Buses 1..3 around the root; the branch to bus 2 carries 4 kW."""
    made = registry_pb.Feeder(s_base_W=10_000, v0_permille=1000, vmin_permille=900, vmax_permille=1100)
    made.mode = registry_pb.SECURITY_MODE_CHAIN
    for bus in (1, 2, 3):
        power = 4_000 if bus == 2 else 40_000
        made.branches.add(from_bus=0, to_bus=bus, r_pu_q30=2**22, x_pu_q30=2**22, s_max_W=power)
    made.MergeFrom(registry_pb.Feeder(**changes))
    return made


def awaiting(chain: Chain, said: registry_pb.Feeder | None) -> int:
    """A slot that awaits its forecast."""
    if said is not None:
        chain.deliver(registry_tx.MsgSetFeeder(utility=UTILITY, feeder=said))
    chain.block()
    slot = chain.live()[-1] + 1
    chain.until(slot, pb.SLOT_STATE_FORECAST, 100)
    return slot


def forecast(slot: int, bus: tx.BusBaseline) -> tx.MsgPostForecast:
    return tx.MsgPostForecast(utility=UTILITY, slot=slot, floor_e4=20_000, cap_e4=80_000, buses=[bus])


TOO_HIGH = [
    (tx.BusBaseline(bus=1, p_mWh=LIMIT + 1), rf"p_mWh of bus 1 has to be -{LIMIT}..{LIMIT}, got {LIMIT + 1}"),
    (tx.BusBaseline(bus=2, p_mWh=-LIMIT - 1), r"p_mWh of bus 2"),
    (tx.BusBaseline(bus=1, p_mWh=10 * 1_250_000), r"p_mWh of bus 1 .* got 12500000"),  # half the rating, ten times
    (tx.BusBaseline(bus=3, net_low_mWh=LIMIT, net_high_mWh=LIMIT + 4), r"net energy of bus 3"),
    (tx.BusBaseline(bus=0, p_mWh=1), r"p_mWh of bus 0 has to be 0..0, got 1"),
    (tx.BusBaseline(bus=2, q_mvarh=4_000 * 250 + 1), r"q_mvarh of bus 2 has to be -1000000..1000000"),
    (tx.BusBaseline(bus=9, q_mvarh=1), r"q_mvarh of bus 9"),
]


@pytest.mark.parametrize(("bus", "says"), TOO_HIGH)
def test_a_forecast_beyond_what_is_registered_is_refused(bus: tx.BusBaseline, says: str) -> None:
    chain = Chain()
    slot = awaiting(chain, feeder())
    before = dict(chain.store.data)
    with pytest.raises(ChainError, match=says) as caught:
        chain.deliver(forecast(slot, bus))
    assert (caught.value.codespace, caught.value.code) == ("market", 33)
    assert chain.store.data == before


def test_a_forecast_within_it_is_taken_and_without_a_feeder_any() -> None:
    chain = Chain()
    slot = awaiting(chain, feeder(loads=[registry_pb.BusLoad(bus=1, baseline_max_W=100)]))
    chain.deliver(forecast(slot, tx.BusBaseline(bus=1, p_mWh=LIMIT + 25_000, net_high_mWh=LIMIT)))
    with pytest.raises(ChainError, match=r"p_mWh of bus 1"):
        chain.deliver(forecast(slot, tx.BusBaseline(bus=1, p_mWh=LIMIT + 25_001)))
    free = Chain()
    free.deliver(forecast(awaiting(free, None), tx.BusBaseline(bus=1, p_mWh=10**11)))


def test_a_cell_that_is_removed_counts_no_more() -> None:
    chain = Chain()
    chain.deliver(registry_tx.MsgSetStatus(utility=UTILITY, id="cell1@mga", status=registry_pb.STATUS_REMOVED))
    slot = awaiting(chain, feeder())
    with pytest.raises(ChainError, match=r"p_mWh of bus 1 has to be 0\.\.0, got 1"):
        chain.deliver(forecast(slot, tx.BusBaseline(bus=1, p_mWh=1)))


@pytest.mark.parametrize(
    "loads",
    [
        [registry_pb.BusLoad(bus=2), registry_pb.BusLoad(bus=1)],
        [registry_pb.BusLoad(bus=1), registry_pb.BusLoad(bus=1)],
        [registry_pb.BusLoad(bus=70_000)],
        [registry_pb.BusLoad(bus=1, baseline_max_W=2**63)],
    ],
)
def test_loads_of_a_feeder_that_are_malformed_are_refused(loads: list[registry_pb.BusLoad]) -> None:
    chain = Chain()
    with pytest.raises(ChainError) as caught:
        chain.deliver(registry_tx.MsgSetFeeder(utility=UTILITY, feeder=feeder(loads=loads)))
    assert (caught.value.codespace, caught.value.code) == ("registry", 4)


ORDERS = ((2, BID, 60_000, 1_200_000), (3, BID, 50_000, 1_200_000), (1, ASK, 40_000, 2_400_000))
SETTLED = pb.SLOT_STATE_SETTLED


def traded(chain: Chain, slot: int) -> pb.Slot:
    chain.until(slot, pb.SLOT_STATE_BIDDING, 100)
    for cell, side, price, quantity in ORDERS:
        chain.deliver(chain.place(cell, slot, side, price, quantity))
    while (record := chain.slot(slot)).state < pb.SLOT_STATE_RECLEAR:
        chain.block(100)
    return record


def caps(slot: int, attempt: int, *rows: tuple[int, int, int]) -> tx.MsgProposeCaps:
    made = [tx.BusCap(bus=bus, side=side, cap_mWh=cap) for bus, side, cap in rows]
    return tx.MsgProposeCaps(utility=UTILITY, slot=slot, attempt=attempt, caps=made)


def lived(*proposals: tuple[tuple[int, int, int], ...]) -> tuple[Chain, pb.Slot]:
    """A slot that the feeder refuses whole, with what the utility cell proposes, all delivered as scheduled."""
    chain = Chain()
    slot = awaiting(chain, feeder())
    record = traded(chain, slot)
    assert record.state == pb.SLOT_STATE_RECLEAR
    for attempt, rows in enumerate(proposals, start=1):
        chain.deliver(caps(slot, attempt, *rows))
    chain.until(slot, pb.SLOT_STATE_METERING, 100)
    return chain, chain.until(slot, SETTLED, 100)


def worth(record: pb.Slot) -> int:
    return int(record.clearing.welfare) * record.factor_permille // 1000


def test_absence_costs_welfare_and_nothing_else() -> None:
    alone, bare = lived()
    helped, better = lived(((2, BID, 990_000),))
    assert 0 < worth(bare) < worth(better)
    for chain, record in ((alone, bare), (helped, better)):
        assert (record.state, record.voided, record.escrow) == (SETTLED, False, "0")
        assert chain.held_in_all() == chain.supply
        assert chain.balance(state.ESCROW) == 0


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (((2, BID, 1_100_000),), "14"),  # not certified
        (((1, ASK, 0), (2, BID, 0), (3, BID, 0)), "15"),  # nothing trades
        (((1, ASK, 1_000_000),), "14"),
        (((1, ASK, 500_000), (2, BID, 400_000)), "15"),
    ],
)
def test_caps_of_a_liar_leave_what_absence_leaves(rows: tuple[tuple[int, int, int], ...], code: str) -> None:
    _, bare = lived()
    chain, record = lived(*[rows] * 5)
    assert [event["code"] for event in chain.events_of("caps_judged")] == [code] * 5
    assert (record.clearing, record.factor_permille, record.root) == (bare.clearing, bare.factor_permille, bare.root)
    assert worth(record) == worth(bare)


def test_an_estimate_for_a_meter_that_reported_is_refused() -> None:
    chain = Chain()
    slot = awaiting(chain, None)
    chain.until(slot, pb.SLOT_STATE_METERING, 100)
    chain.deliver(chain.submit(chain.reading(1, slot, 5, 0)))
    wrong = meter_tx.Estimate(device="meter1@mga", net_mWh=1_000_000)
    with pytest.raises(ChainError) as caught:
        chain.deliver(meter_tx.MsgPostEstimate(utility=UTILITY, slot=slot, estimates=[wrong]))
    assert (caught.value.codespace, caught.value.code) == ("meter", 7)
