"""The report says what the day's rows say, and loads nothing from elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsmg.demo.day import (
    Audited,
    CellRow,
    ChainRow,
    ContractRow,
    DayReport,
    Outage,
    PacketRow,
    PeerRow,
    Refusal,
    SlotRow,
    SupplyRow,
    percentile,
)
from bsmg.demo.report import chain_rows, html, tables
from bsmg.demo.style import COLOURS


def slot(number: int, volume: int) -> SlotRow:
    return SlotRow(
        slot=number,
        quarter=number % 96,
        price_e4=45_000,
        volume_mWh=volume,
        import_mWh=3,
        export_mWh=2,
        balance_mWh=1,
        closed=True,
    )


SUPPLY = SupplyRow(denom="bmga", genesis=100, minted=5, burnt=2, supply=103, balances=103)
CELL = CellRow(
    cell="home-01@mga", bought_mWh=1, sold_mWh=0, import_mWh=1, export_mWh=0, cost=10**10, cost_without=2 * 10**10
)
CHAIN = ChainRow(
    chain_id="mga-1",
    denom="bmga",
    kind="cometbft",
    fleet="sunny",
    nodes=4,
    blocks=10,
    block_interval_ms=1_300,
    slots=(slot(96, 0), slot(97, 2_000_000)),
    cells=(CELL,),
    supply=(SUPPLY,),
)
CONTRACT = ContractRow(
    contract_id="ab" * 32,
    slot=97,
    quarter=1,
    seller_chain="mga-1",
    buyer_chain="mgb-1",
    energy_mWh=500_000,
    lo_mWh=400_000,
    hi_mWh=400_000,
    price_e4=40_000,
    seller_state="SETTLED",
    buyer_state="SETTLED",
    basis="AGREED",
    paid_seller=1,
    buyer_lo_mWh=400_000,
    buyer_hi_mWh=400_000,
)
PACKETS = PacketRow(
    source="mga-1",
    destination="mgb-1",
    port="trade",
    sent=3,
    received=2,
    acknowledged=2,
    timed_out=1,
    latency_ms=(4_000, 6_000),
)
DAY = DayReport(
    day="2016-04-26",
    seed=1,
    slot_s=4,
    slots=2,
    wall_s=60,
    chains=(CHAIN,),
    contracts=(CONTRACT,),
    packets=(PACKETS,),
    tokens_moved={"bmga": 12},
    outage=Outage(from_ms=0, to_ms=9_000, transfers_sent=1, timeouts_refunded=1, refunded=5),
    audited=Audited(checked={"clearings": 2, "balances": 5}, differences=()),
    refusals=(
        Refusal(
            source="mga-1",
            target="mgb-1",
            code=8,
            codespace="client",
            log="<script>proof</script>",
            meaning="the root differs",
        ),
    ),
)


class Links(HTMLParser):
    """Collects what a browser would fetch, and scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [tag] if tag in ("script", "link", "img", "iframe") else []
        self.found += [
            f"{k}={v}" for k, v in attrs if k in ("src", "href", "xlink:href") and not (v or "").startswith("#")
        ]


def test_the_page_is_self_contained_and_escapes_what_chains_say() -> None:
    page, links = html(DAY), Links()
    links.feed(page)
    assert links.found == []
    assert "&lt;script&gt;proof" in page
    assert page.count("<svg") == 4


def test_equal_days_give_equal_pages() -> None:
    assert html(DAY) == html(DAY)


def test_a_broken_supply_is_shouted() -> None:
    broken = replace(DAY, chains=(replace(CHAIN, supply=(replace(SUPPLY, balances=102),)),))
    assert "DIFFERS" in html(broken)
    assert broken.summary()["supply_conserved"] is False


def test_the_json_form_has_the_figures_that_are_asked_for() -> None:
    summary = json.loads(json.dumps(DAY.document()))["summary"]
    assert summary["level1_mWh"] == 2_000_000
    assert summary["level2_mWh"] == 400_000
    assert summary["level2_slots"] == 1
    assert summary["contracts_short"] == 1
    assert summary["packets_timed_out"] == 1
    assert summary["latency_p50_ms"] == 4_000
    assert summary["timeouts_refunded"] == 1
    assert DAY.document()["refusal"]["code"] == 8


def test_what_is_traded_with_the_main_grid_is_level_3() -> None:
    grid = replace(CHAIN, chain_id="grid-1", role="grid", slots=(), cells=())
    bought = replace(CONTRACT, buyer_chain="mga-1", seller_chain="grid-1", level=3, contract_id="cd" * 32)
    day = replace(DAY, chains=(CHAIN, grid), contracts=(CONTRACT, bought))
    assert [day.summary()[f"level{n}_mWh"] for n in (2, 3)] == [400_000, 400_000]
    page = html(day)
    assert "level 3 from the main grid" in page
    assert "level 2 mga-1 to mgb-1" in page
    assert "1 microgrids" in page


def test_scores_of_chains_and_cells_are_shown() -> None:
    cell = replace(CELL, cell="home-02@mga", score_permille=900, off_mWh=1, estimated=3)
    peer = PeerRow(chain_id="mgb-1", score_milli=640, contracts=4)
    day = replace(DAY, chains=(replace(CHAIN, cells=(CELL, cell), peers=(peer,)),))
    page = html(day)
    assert page.index("1. home-02@mga") < page.index("2. home-01@mga")
    assert "mga-1 of mgb-1</td><td>0.640</td><td>4" in page
    assert "Scores of chains" not in html(DAY)
    assert day.summary()["estimated_statements"] == 3


def test_a_microgrid_of_very_many_cells_shows_the_ends_of_its_ranking() -> None:
    cells = tuple(replace(CELL, cell=f"cell-{at:05}@mga", score_permille=at // 10) for at in range(10_000))
    page = html(replace(DAY, chains=(replace(CHAIN, cells=cells),)))
    assert "1. cell-09990@mga" in page
    assert "10000. cell-00009@mga" in page
    assert "cell-05000@mga" not in page
    assert len(page) < 500_000


FABRIC = replace(CHAIN, chain_id="mgf-1", kind="fabric-embedded", nodes=2)


def test_a_microgrid_on_fabric_has_its_row_its_curves_and_its_refusal() -> None:
    sold = replace(CONTRACT, seller_chain="mgf-1", buyer_chain="mga-1")
    forged = replace(DAY.refusals[0], source="mgf-1", target="mga-1", log="two endorsements")
    day = replace(DAY, chains=(CHAIN, FABRIC), contracts=(CONTRACT, sold), refusals=(*DAY.refusals, forged))
    (row,) = [row for row in chain_rows(day) if row[0] == "mgf-1"]
    assert row[1:3] == ("fabric-embedded", "2")
    assert row[-2:] == ("0.400 kWh", "0.000 kWh")
    page = html(day)
    assert "A forged proof from mgf-1 to mga-1" in page
    assert "level 2 mgf-1 to mga-1" in page


def test_every_curve_has_a_colour_of_its_own() -> None:
    """Three chains have three auctions and six directions between them, and twelve sorts of packets."""
    assert len({*COLOURS}) == 12


def test_a_difference_of_the_audit_is_shown() -> None:
    wrong = replace(DAY, audited=Audited(checked={"clearings": 2}, differences=("clearings slot 97: 5 < 6",)))
    assert "slot 97: 5 &lt; 6" in html(wrong)
    assert "1 differences" in html(wrong)
    assert wrong.summary()["audit_differences"] == 1
    assert DAY.summary()["audit_checked"] == 7


@pytest.mark.parametrize(
    "changes",
    [
        {"contracts": (replace(CONTRACT, buyer_hi_mWh=400_001),)},
        {"contracts": (replace(CONTRACT, buyer_state="REFUNDED"),)},
        {"chains": (replace(CHAIN, slots=(replace(slot(97, 2_000_000), balance_mWh=2),)),)},
    ],
)
def test_energy_that_does_not_add_up_is_shown(changes: dict[str, Any]) -> None:
    assert DAY.summary()["energy_conserved"] is True
    wrong = replace(DAY, **changes)
    assert wrong.summary()["energy_conserved"] is False
    assert "Energy is not conserved" in html(wrong)


def test_an_empty_day_still_has_a_report() -> None:
    empty = replace(DAY, chains=(), contracts=(), packets=(), tokens_moved={}, outage=None, refusals=(), audited=None)
    assert "no trade" in html(empty)
    assert len(list(tables(empty))) == 4


@given(st.lists(st.integers(0, 10**6), min_size=1), st.integers(1, 100))
def test_a_percentile_is_a_value_with_that_share_at_or_below(values: list[int], percent: int) -> None:
    ascending = tuple(sorted(values))
    found = percentile(ascending, percent)
    assert found in ascending
    assert sum(v <= found for v in ascending) * 100 >= percent * len(ascending)
