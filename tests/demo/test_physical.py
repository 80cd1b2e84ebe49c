"""The report's flows against pandapower, its optimum against the auction, its baselines against the schedule."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from bsmg.demo.feeder_day import FeederDay, SlotSeen
from bsmg.demo.physical import STEPS_MAX, Study, free_clearing, steps
from cosmos_wire.protos import market
from physics.feeders import random_radial, sce56
from tests.demo import by_report
from tests.demo.synthetic import CAP, FLOOR, seen_day

CASE = sce56(vmax_permille=1030)


@pytest.fixture(scope="module")
def day() -> FeederDay:
    return Study(seen_day(CASE, 16)).day(lambda slot: slot % 1_000 * 6)


def test_pandapower_finds_no_violation_in_what_the_report_says_was_sealed(day: FeederDay) -> None:
    assert len(day.broken_free) > 3
    assert by_report.violations(json.loads(json.dumps(asdict(day)))) == {}
    assert day.violations == 0


def test_pandapower_finds_the_violations_that_the_report_finds() -> None:
    """A baseline that breaks limits by itself is not repaired by anything."""
    weak = sce56(vmin_permille=999, vmax_permille=1010)
    found = Study(seen_day(weak, 12)).day(lambda slot: slot % 1_000 * 8)
    slots = {row.slot for row in found.slots if row.sealed.violations}
    assert slots
    assert by_report.violations(json.loads(json.dumps(asdict(found)))).keys() == slots


def test_welfare_of_what_was_cut_is_below_the_optimum_and_above_nothing(day: FeederDay) -> None:
    for row in day.slots:
        assert (row.best_welfare is None) == (not row.free.violations)
        if row.best_welfare is not None:
            assert 0 < row.welfare <= row.best_welfare * 1.0001


def test_without_a_limit_in_the_way_the_optimum_is_the_auction() -> None:
    case = sce56(vmin_permille=800, vmax_permille=1200)
    for branch in case.feeder.branches:
        branch.s_max_W *= 20
    seen = seen_day(case, 8)
    told = replace(seen, slots=tuple(replace(slot, refused="by nobody") for slot in seen.slots))
    rows = [row for row in Study(told).day(lambda slot: slot % 1_000 * 12).slots if row.welfare]
    assert rows
    assert not any(row.free.violations for row in rows)
    assert all(row.best_welfare == pytest.approx(row.welfare, rel=1e-3) for row in rows)


def test_a_firm_order_flows_whole_whatever_it_trades() -> None:
    seen = seen_day(CASE, 8).slots[4]
    study = Study(replace(seen_day(CASE, 8), slots=()))
    loose = study.slot(replace(seen, orders=seen.orders), 0)
    for order in seen.orders:
        order.kind = market.ORDER_KIND_FIRM
    firm = study.slot(seen, 0)
    assert firm.bids == loose.bids
    assert firm.free.v != loose.free.v
    assert firm.free.v == study.slot(replace(seen, record=market.Slot(slot=1)), 0).free.v  # no trade at all


def test_set_points_count_for_the_optimum_and_not_for_the_free_clearing() -> None:
    seen = seen_day(CASE, 8).slots[4]
    assert seen.refused
    more = tuple(replace(row, q_mvarh=row.q_mvarh + 50_000_000) for row in seen.before)
    study = Study(replace(seen_day(CASE, 8), slots=()))
    plain, helped = study.slot(seen, 0), study.slot(replace(seen, beside=more), 0)
    assert helped.free == plain.free
    assert helped.best_welfare != plain.best_welfare
    assert study.slot(replace(seen, before=more), 0).free != plain.free


def test_the_free_clearing_knows_no_caps_and_leaves_other_mechanisms_to_the_uniform_auction() -> None:
    orders = (
        market.Order(seq=1, side=market.SIDE_BID, price_e4=60_000, quantity_mWh=10, bus=2),
        market.Order(seq=2, side=market.SIDE_ASK, price_e4=30_000, quantity_mWh=6, bus=3),
    )
    record = market.Slot(slot=5, prices=market.FrozenPrices(floor_e4=FLOOR, cap_e4=CAP))
    record.clearing.cuts.add(bus=3, side=market.SIDE_ASK, cap_mWh=1, part_mWh=1)
    seen = SlotSeen(record=record, orders=orders, buses=(), before=(), beside=())
    for mechanism in (market.MECHANISM_UNIFORM_K, market.MECHANISM_MUDA):
        params = market.Params(mechanism=mechanism, k_num=1, k_den=2)
        assert free_clearing(seen, params).volume_mWh == 6


def test_a_book_of_very_many_prices_becomes_a_curve_of_few_steps() -> None:
    orders = [market.Order(seq=at, side=market.SIDE_BID, price_e4=at, quantity_mWh=2) for at in range(1, 10_001)]
    curve = steps(orders, market.SIDE_BID)
    assert len(curve) <= STEPS_MAX
    assert sum(energy for _, energy in curve) == 20_000
    assert [price for price, _ in curve] == sorted((price for price, _ in curve), reverse=True)
    assert steps(orders[:2], market.SIDE_BID) == ((2, 2), (1, 2))
    assert steps(orders, market.SIDE_ASK) == ()


def test_an_order_off_the_feeder_and_a_collapse_are_violations() -> None:
    study = Study(replace(seen_day(random_radial(1, 5), 1), slots=()))
    assert "not on the feeder" in study.state({99: [1, 0]}).violations[0]
    assert "no AC solution" in study.state({3: [10**12, 0]}).violations[0]
