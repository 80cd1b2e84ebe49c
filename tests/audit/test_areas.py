"""Grid fees by area: the audit's clearing against the chain's to the unit, whole days, and what cheats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st

from bsmg.audit import area_mechanisms, auction, mechanisms
from bsmg.audit.areas import Ground, fees_of
from bsmg.audit.record import ChainRecord
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_tx
from energy.market import mechanism
from energy.market.fees import table_of
from energy.mechanisms.book import Book, Order, Outcome, Terms
from energy.mechanisms.catalogue import CATALOGUE
from tests.audit.day import Day, lived
from tests.audit.recorder import SLOT, UTILITY, Options
from tests.audit.tampering import first_place, with_value
from tests.audit.test_auction import CAP, FLOOR
from tests.audit.test_replay import changed_message, differences, named

CELLS = 6
REDUCED = (pb.MECHANISM_TRADE_REDUCTION, pb.MECHANISM_HUANG, pb.MECHANISM_MUDA)  # nothing may be left of a small book


@st.composite
def books(draw: st.DrawFn) -> list[auction.Order]:
    """Few prices and quantities, so that ties and exact fills are common."""
    step = draw(st.sampled_from([5_000, 7_500, 1]))
    price = st.integers(0, min(8, (CAP - FLOOR) // step)).map(lambda n: FLOOR + n * step)
    row = st.tuples(
        st.sampled_from([1, 2]), price, st.integers(1, draw(st.sampled_from([3, 9, 10**9]))), st.integers(1, CELLS)
    )
    rows = draw(st.lists(row, max_size=16))
    return [
        auction.Order(side=side, price_e4=price, seq=seq, cell=cell, quantity_mWh=mWh)
        for seq, (side, price, mWh, cell) in enumerate(rows, 1)
    ]


@st.composite
def tables(draw: st.DrawFn) -> pb.FeeTable:
    """Up to five areas; bus n is the cell n's."""
    size = draw(st.integers(1, 5))
    fee = st.sampled_from([0, 0, 1, 2_500, 5_000, 7_500, 10_000, draw(st.integers(0, 40_000))])
    made = pb.FeeTable(dno_e4=draw(st.sampled_from([0, 2_500])), mo_e4=draw(st.sampled_from([0, 1_000])))
    homes = draw(st.lists(st.integers(0, size), min_size=CELLS, max_size=CELLS))
    for area in range(size):
        buses = [bus for bus, home in enumerate(homes, 1) if home == area]
        made.areas.add(buses=buses, kind=draw(st.integers(0, 2)), to_e4=[draw(fee) for _ in range(size)])
    return made


@pytest.mark.parametrize("kind", sorted(mechanism.NAMES))
@settings(max_examples=150, deadline=None)
@given(
    book=books(),
    table=tables(),
    k=st.integers(0, 4),
    said=st.tuples(
        st.lists(st.integers(0, 1000), min_size=CELLS, max_size=CELLS),
        st.dictionaries(st.integers(1, 14), st.integers(0, 1000)),
    ),
)
def test_every_mechanism_clears_alike_under_fees(
    kind: int,
    book: list[auction.Order],
    table: pb.FeeTable,
    k: int,
    said: tuple[list[int], dict[int, int]],
) -> None:
    scores, thresholds = said
    fees = fees_of(table)
    if fees is None:
        return
    rules = auction.Rules(mechanism=kind, k_num=k, k_den=4, floor_e4=FLOOR, cap_e4=CAP)
    by_cell = dict(enumerate(scores, 1))
    facts = mechanisms.Facts(scores=by_cell, thresholds=thresholds, tariff_e4=50_000, chain_id="mg-1", slot=7)
    ground = Ground(fees=fees, bus_of={number: number for number in by_cell})
    mine = area_mechanisms.run(book, rules, facts, ground)
    theirs = chains(book, table, (rules, facts))
    awards = (*theirs.bids, *theirs.asks)
    assert mine.fills == {award.order.seq: award.fill_mWh for award in awards}
    by_seq = {order.seq: order for order in book}
    assert {seq: mine.amount_of(by_seq[seq], fill) for seq, fill in mine.fills.items()} == {
        award.order.seq: award.amount for award in awards
    }
    assert {seq: mine.fee_of(by_seq[seq], fill) for seq, fill in mine.fills.items()} == {
        award.order.seq: award.fee for award in awards
    }
    assert (mine.volume_mWh, mine.welfare, mine.price_e4) == (theirs.volume_mWh, theirs.welfare, theirs.price_e4)
    assert mine.subsidy == max(0, -theirs.surplus)


def chains(book: list[auction.Order], table: pb.FeeTable, said: tuple[auction.Rules, mechanisms.Facts]) -> Outcome:
    """What the chain's own rule gives."""
    rules, facts = said
    terms = Terms(
        floor_e4=FLOOR,
        cap_e4=CAP,
        k_num=rules.k_num,
        k_den=rules.k_den,
        tariff_e4=facts.tariff_e4,
        fees=table_of(table),
        scores=facts.scores,
        thresholds=facts.thresholds,
        seed=mechanism.muda_seed(facts.chain_id, facts.slot),
    )
    orders = (Order(o.side, o.price_e4, o.seq, o.cell, o.cell, o.quantity_mWh) for o in book)
    return CATALOGUE[mechanism.NAMES[rules.mechanism]].rule(Book.of(orders), terms)


def test_a_table_that_charges_nothing_is_none() -> None:
    assert fees_of(pb.FeeTable()) is None
    assert fees_of(pb.FeeTable(areas=[pb.FeeArea(to_e4=[0, 0]), pb.FeeArea(kind=1, to_e4=[0, 0])])) is None
    assert fees_of(pb.FeeTable(areas=[pb.FeeArea(kind=1, to_e4=[0])], dno_e4=3)).pair == ((3,),)


# Whole days: two areas, of which one is the main grid's, from genesis on


@pytest.mark.parametrize("kind", sorted(mechanism.NAMES))
def test_days_with_fees_agree(short_blocks: None, kind: int) -> None:
    day = lived(Options(mechanism=kind, fees=True))
    records = day.a.record(), day.b.record()
    assert [str(item) for item in differences(*records)] == []
    charged = [int(item.grid_fee or 0) for record in records for item in statements(record)]
    assert any(fee < 0 for fee in charged) or kind in REDUCED


def statements(record: ChainRecord) -> list[pb.Statement]:
    return [
        pb.Statement.FromString(bytes.fromhex(dict(event.attributes)["statement"]))
        for block in record.blocks
        for event in block.hook_events
        if event.type == "cell_settled"
    ]


def test_a_feeder_that_cuts_and_a_pool_that_runs_dry_agree_under_fees(short_blocks: None) -> None:
    for options in (
        Options(fees=True, feeder=True),
        Options(fees=True, mechanism=pb.MECHANISM_VCG, subsidy=10**9),
        Options(fees=True, mechanism=pb.MECHANISM_PAY_AS_BID, settle_units=1),
    ):
        day = lived(options)
        assert [str(item) for item in differences(day.a.record(), day.b.record())] == []


def test_another_table_holds_from_the_next_slot_on(short_blocks: None) -> None:
    day = Day(Options(fees=True))
    day.until(-85)
    day.book(day.a)
    params = market_tx.MsgUpdateParams(authority=UTILITY, params=day.a.market_params())
    day.a.deliver(params)  # without a table: it stays
    params.fees.areas.add(to_e4=[1_234])
    day.a.deliver(params)
    day.until(-85, SLOT + 1)
    day.book(day.a, SLOT + 1)
    day.until(141, SLOT + 1)
    record = day.a.record()
    assert differences(record) == []
    fees = {(item.slot, item.cell): int(item.grid_fee or 0) for item in statements(record)}
    assert {slot for slot, _ in fees} == {SLOT, SLOT + 1}
    later = [item for item in statements(record) if item.slot == SLOT + 1 and item.bought_mWh]
    assert [int(item.grid_fee) for item in later] == [-1_234 * item.bought_mWh for item in later]


# Cheats


@pytest.fixture(scope="module")
def charged(short_blocks: None) -> tuple[ChainRecord, ChainRecord]:
    day = lived(Options(fees=True))
    return day.a.record(), day.b.record()


@pytest.mark.parametrize("name", ["price_e4", "volume_mWh", "welfare"])
def test_a_forged_clearing_under_fees_is_found(charged: tuple[ChainRecord, ChainRecord], name: str) -> None:
    lying = with_value(charged[0], first_place(charged[0], "slot_cleared", name))
    assert named(differences(lying, charged[1]), "clearings", "slot_cleared", name)


def test_a_forged_grid_fee_is_found(charged: tuple[ChainRecord, ChainRecord]) -> None:
    def lower(text: str) -> str:
        statement = pb.Statement.FromString(bytes.fromhex(text))
        statement.grid_fee = str(int(statement.grid_fee or 0) + 1)
        return statement.SerializeToString().hex()

    lying = with_value(charged[0], first_place(charged[0], "cell_settled", "statement"), lower)
    assert named(differences(lying, charged[1]), "statements", "grid_fee")


def test_a_chain_that_clears_by_another_table_is_found(charged: tuple[ChainRecord, ChainRecord]) -> None:
    """Everything in its blocks fits a table of its own; genesis says another one."""

    def dearer(fees: Mapping[str, object]) -> dict[str, object]:
        message = ParseDict(fees, pb.FeeTable())
        message.areas[1].to_e4[0] += 1
        return MessageToDict(message)

    state = charged[0].app_state
    market = {**state["market"], "fees": dearer(state["market"]["fees"])}
    lying = replace(charged[0], genesis={"app_state": {**state, "market": market}})
    found = differences(lying, charged[1])
    assert named(found, "statements", "grid_fee")
    assert named(found, "balances")


def test_an_order_of_another_size_is_found_under_fees(charged: tuple[ChainRecord, ChainRecord]) -> None:
    def smaller(message: market_tx.MsgPlaceOrder) -> None:
        message.quantity_mWh -= 1

    found = differences(changed_message(charged[0], market_tx.MsgPlaceOrder, smaller), charged[1])
    assert named(found, "clearings", "escrow")


def test_ties_between_many_areas_fall_alike() -> None:
    """Fees and prices of a few values: which of equally good ways energy goes decides whose fees are whose."""
    random = Random(20)
    for seed in range(100):
        size = random.randint(3, 8)
        table = pb.FeeTable()
        for area in range(size):
            table.areas.add(buses=[area + 1], to_e4=[random.choice((0, 5, 10, 15)) for _ in range(size)])
        book = [
            auction.Order(
                side=random.choice((1, 2)),
                price_e4=FLOOR + 5 * random.randint(0, 8),
                seq=seq,
                cell=random.randint(1, size),
                quantity_mWh=random.randint(1, 9),
            )
            for seq in range(1, 40)
        ]
        fees = fees_of(table)
        assert fees is not None
        ground = Ground(fees=fees, bus_of={number: number for number in range(1, size + 1)})
        rules = auction.Rules(mechanism=pb.MECHANISM_UNIFORM_K, k_num=1, k_den=2, floor_e4=FLOOR, cap_e4=CAP)
        facts = mechanisms.Facts(scores={}, thresholds={}, tariff_e4=0, chain_id="mg-1", slot=seed)
        mine, theirs = area_mechanisms.run(book, rules, facts, ground), chains(book, table, (rules, facts))
        awards = (*theirs.bids, *theirs.asks)
        assert mine.fills == {award.order.seq: award.fill_mWh for award in awards}
        assert mine.amounts == {award.order.seq: award.amount for award in awards}
        assert mine.grid_fees == {award.order.seq: award.fee for award in theirs.bids}
