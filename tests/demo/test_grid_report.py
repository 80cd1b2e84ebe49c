"""Three feeders' day of 96 slots: what is drawn, what is counted, and how heavy the page gets."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bsmg.demo import slot_pages
from bsmg.demo.day import DayReport
from bsmg.demo.feeder_day import FeederDay
from bsmg.demo.grid_plots import feeder_layout
from bsmg.demo.grid_report import broken_rows, characteristic, feeder_rows
from bsmg.demo.physical import Study
from bsmg.demo.report import html, tables
from physics.feeders import random_radial, sce56
from tests.demo import rehearsed
from tests.demo.synthetic import seen_day
from tests.demo.test_report import CHAIN, DAY, Links

SLOTS = 24
QUARTERS = 96
BYTES_MAX = 6_000_000


@pytest.fixture(scope="module")
def feeder() -> FeederDay:
    return Study(seen_day(sce56(vmax_permille=1030), SLOTS)).day(lambda slot: slot % 1_000 * 4)


def whole_day(found: FeederDay) -> FeederDay:
    """The same slots again until the day is full: power flows take longer than drawing."""
    rows = [found.slots[at % len(found.slots)] for at in range(QUARTERS)]
    return replace(found, slots=tuple(replace(row, slot=at, quarter=at) for at, row in enumerate(rows)))


@pytest.fixture(scope="module")
def day(feeder: FeederDay) -> DayReport:
    large = Study(seen_day(random_radial(4, 120), SLOTS)).day(lambda slot: slot % 1_000 * 4)
    days = [whole_day(found) for found in (feeder, feeder, large)]
    chains = tuple(replace(CHAIN, chain_id=f"mg{at}-1", feeder=found) for at, found in enumerate(days))
    return replace(DAY, chains=chains, slots=QUARTERS)


def test_three_feeders_and_a_whole_day_stay_one_light_page(day: DayReport) -> None:
    page, links = html(day), Links()
    links.feed(page)
    assert links.found == []
    assert len(page.encode()) < BYTES_MAX
    for chain in day.chains:
        for title in ("bids and asks", "voltages", "loading", "losses", "every slot"):
            assert f"{chain.chain_id}: {title}" in page
    assert page.count("<details>") == 3 * QUARTERS


def test_the_summary_counts_what_the_flows_found(feeder: FeederDay) -> None:
    day = replace(DAY, chains=(replace(CHAIN, feeder=feeder),))
    summary = json.loads(day.text())["summary"]
    assert summary["violations"] == 0
    assert summary["unconstrained_violations_slots"] == summary["repaired_slots"] > 5
    assert summary["curtailed_mWh"] == sum(row.curtailed_mWh for row in feeder.slots) > 0
    assert 0 < summary["welfare_permille"] < 1000
    assert len(feeder_rows(day)) == 1
    assert len(list(tables(day))) == 5


def test_every_slot_that_needed_repair_has_a_row_with_what_it_would_have_broken(feeder: FeederDay) -> None:
    rows = broken_rows(feeder)
    assert len(rows) == len(feeder.broken_free)
    assert all("limit" in row[2] or "rating" in row[2] for row in rows)
    assert all("factor" in row[4] for row in rows)


def test_a_slot_that_was_not_repaired_is_shouted(feeder: FeederDay) -> None:
    at = next(at for at, row in enumerate(feeder.slots) if row.free.violations)
    broken = replace(feeder.slots[at], sealed=feeder.slots[at].free)
    wrong = replace(feeder, slots=(*feeder.slots[:at], broken, *feeder.slots[at + 1 :]))
    day = replace(DAY, chains=(replace(CHAIN, feeder=wrong),))
    assert day.summary()["violations"] > 0
    assert day.summary()["repaired_slots"] == day.summary()["unconstrained_violations_slots"] - 1
    assert "NOT REPAIRED" in html(day)


def test_the_most_congested_slot_is_among_those_that_are_shown(feeder: FeederDay) -> None:
    spread = {row.slot: max(row.lmps_e4) - min(row.lmps_e4) for row in feeder.slots if row.lmps_e4}
    shown = [row.slot for row in characteristic(feeder)]
    assert max(spread, key=lambda slot: spread[slot]) in shown
    assert len(shown) == len(set(shown)) <= 12


def test_the_real_fleet_s_noon_has_slots_to_repair_and_they_are() -> None:
    found = Study(rehearsed.seen_day("sce56", 33, 4)).day(lambda slot: slot)
    assert [bool(row.refused) for row in found.slots] == [bool(row.free.violations) for row in found.slots]
    assert len(found.broken_free) == sum(row.repaired for row in found.slots) >= 3
    assert all(row.curtailed_mWh <= row.asked_mWh - row.volume_mWh for row in found.slots)


def test_a_very_large_feeder_has_no_map_a_slot(feeder: FeederDay, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = feeder_layout(feeder)
    assert '<circle class="s' in slot_pages.pages(feeder, layout, "mga")
    monkeypatch.setattr(slot_pages, "DOTS_MAX", len(feeder.buses) * len(feeder.slots) - 1)
    assert '<circle class="s' not in slot_pages.pages(feeder, layout, "mga")


def test_a_feeder_without_trade_is_drawn_too(feeder: FeederDay) -> None:
    first = feeder.slots[0]
    empty = replace(first, bids=(), asks=(), lmps_e4=(), sealed=replace(first.sealed, v=(), loading=()))
    page = html(replace(DAY, chains=(replace(CHAIN, feeder=replace(feeder, slots=(empty,))),)))
    assert "every slot" in page
    assert "marginal prices" not in page
