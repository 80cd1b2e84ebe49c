"""Minimum fills: at least so much or nothing, and C1 on the book that is left."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query as query
from energy.market import keys, minimum, state, terms
from energy.market.certificate import check_uniform
from energy.market.clearing import BookOrder, Caps, clear, fill_mWh
from tests.energy.chain import ASK, BID, Chain, address
from tests.energy.test_amend import bidding
from tests.energy.test_clearing import books, fills, rules, sides

Least = dict[int, int]
NO_CAPS: Caps = {}


def cleared(book: list[BookOrder], least: Least, caps: Caps = NO_CAPS) -> pb.Clearing:
    def once(dropped: tuple[int, ...]) -> pb.Clearing:
        found, _ = clear(sides([o for o in book if o.seq not in dropped]), rules(), caps)
        found.dropped.extend(dropped)
        return found

    orders = {order.seq: order for order in book}
    return minimum.cleared(once, lambda found: lambda seq: fill_mWh(orders[seq], found, 1000), least)


@st.composite
def books_with_minimums(draw: st.DrawFn) -> tuple[list[BookOrder], Least]:
    book = draw(books(most=14))
    chosen = draw(st.lists(st.booleans(), min_size=len(book), max_size=len(book)))
    least = {o.seq: draw(st.integers(1, o.quantity_mWh)) for o, one in zip(book, chosen, strict=True) if one}
    return book, least


@settings(max_examples=400, deadline=None)
@given(made=books_with_minimums())
def test_nobody_gets_less_than_its_minimum_and_c1_holds_without_the_dropped(
    made: tuple[list[BookOrder], Least],
) -> None:
    book, least = made
    found = cleared(book, least)
    trades = fills(book, found)
    for order, fill in trades:
        assert fill == 0 or fill >= least.get(order.seq, 0)
    assert set(found.dropped) <= set(least)
    left = [trade for trade in trades if trade.order.seq not in found.dropped]
    assert all(fill == 0 for order, fill in trades if order.seq in found.dropped)
    assert check_uniform(left, found.price_e4, rules()) is None
    assert int(found.welfare) >= 0
    if not found.dropped:
        assert found == clear(sides(book), rules(), {})[0]


@settings(max_examples=250, deadline=None)
@given(
    made=books_with_minimums(),
    caps=st.dictionaries(st.tuples(st.integers(1, 3), st.sampled_from([BID, ASK])), st.integers(0, 12), max_size=4),
)
def test_what_is_dropped_is_what_the_rule_says(made: tuple[list[BookOrder], Least], caps: Caps) -> None:
    """Pass by pass, worked out on lists: the largest shortfall goes, the later one of equals."""
    book, least = made
    gone: list[int] = []
    for _ in range(minimum.PASSES + 1):
        left = [order for order in book if order.seq not in gone]
        got = {order.seq: fill for order, fill in fills(left, _plain(book, gone, caps))}
        short = sorted((wanted - got.get(seq, 0), seq) for seq, wanted in least.items() if 0 < got.get(seq, 0) < wanted)
        if not short:
            break
        gone.append(short[-1][1])
    else:
        gone = list(least)
    found = cleared(book, least, caps)
    assert list(found.dropped) == sorted(gone)
    assert all(fill == 0 or fill >= least.get(order.seq, 0) for order, fill in fills(book, found))


def _plain(book: list[BookOrder], gone: list[int], caps: Caps = NO_CAPS) -> pb.Clearing:
    return clear(sides([o for o in book if o.seq not in gone]), rules(), caps)[0]


def test_the_rule_is_no_optimum_and_says_so() -> None:
    """Two whole-or-nothing bids at one price, supply for one: the larger goes although it alone would be worth more."""
    book = [
        BookOrder(keys.ASK, 30_000, 1, 1, 1, 10),
        BookOrder(keys.BID, 60_000, 2, 2, 1, 8),
        BookOrder(keys.BID, 60_000, 3, 3, 1, 10),
    ]
    least = {2: 8, 3: 10}
    found = cleared(book, least)
    assert (list(found.dropped), found.volume_mWh) == ([3], 8)
    best = max(
        int(c.welfare)
        for n in range(3)
        for gone in combinations(least, n)
        for c in [_plain(book, list(gone))]
        if all(f == 0 or f >= least.get(o.seq, 0) for o, f in fills([o for o in book if o.seq not in gone], c))
    )
    assert best == 300_000 > int(found.welfare) == 240_000


def test_after_so_many_passes_all_minimums_go() -> None:
    asks = [BookOrder(keys.ASK, 30_000, 1, 1, 1, 5)]
    bids = [BookOrder(keys.BID, 70_000 - seq, seq, seq, 1, 100) for seq in range(2, 2 + minimum.PASSES + 3)]
    plain = BookOrder(keys.BID, 30_000, 99, 99, 1, 3)
    found = cleared([*asks, *bids, plain], {o.seq: 100 for o in bids})
    assert list(found.dropped) == [o.seq for o in bids]
    assert [t.fill_mWh for t in fills([plain], found)] == [3]


def place(chain: Chain, slot: int, row: tuple[int, int, int, int, int]) -> int:
    cell, side, price, quantity, least = row
    message = chain.place(cell, slot, side, price, quantity)
    message.min_fill_mWh = least
    return int(chain.deliver(message).seq)


def test_a_slot_with_minimums_settles_to_the_unit() -> None:
    chain, slot = bidding(cells=4)
    place(chain, slot, (1, ASK, 30_000, 600_000, 0))
    place(chain, slot, (2, BID, 70_000, 400_000, 400_000))
    place(chain, slot, (3, BID, 60_000, 500_000, 500_000))
    place(chain, slot, (4, BID, 50_000, 300_000, 0))
    record = chain.until(slot, pb.SLOT_STATE_METERING)
    assert (list(record.clearing.dropped), record.clearing.volume_mWh) == ([3], 600_000)
    answers = [chain.query(query.QueryFillRequest(slot=slot, seq=seq)) for seq in (2, 3, 4)]
    assert [answer.fill_mWh for answer in answers] == [400_000, 0, 200_000]
    assert [answer.order.dropped for answer in answers] == [False, True, False]
    schedule = chain.query(query.QueryScheduleRequest(slot=slot))
    assert {c.bus: (c.import_mWh, c.export_mWh) for c in schedule.cells}[3] == (0, 0)
    chain.deliver(chain.submit(*(chain.reading(n, slot, *m) for n, m in ((2, (400_000, 0)), (4, (200_000, 0))))))
    chain.deliver(chain.submit(chain.reading(1, slot, 0, 600_000)))
    chain.until(slot, pb.SLOT_STATE_CLOSED)
    for _ in range(10):
        chain.block()
    assert (chain.balance(state.ESCROW), chain.held_in_all()) == (0, chain.supply)
    assert not [key for key in chain.store.data if key.startswith(keys.minimums_prefix(slot))]


def test_minimums_are_bounded_and_for_common_or_own_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "MINIMUMS_MAX", 1)
    chain, slot = bidding()
    for ident, least in ((("market", 6), 11),):
        with pytest.raises(ChainError) as caught:
            place(chain, slot, (1, BID, 50_000, 10, least))
        assert caught.value.ident == ident
    place(chain, slot, (1, BID, 50_000, 10, 10))
    with pytest.raises(ChainError) as caught:
        place(chain, slot, (1, BID, 50_000, 10, 10))
    assert caught.value.ident == ("market", 7)
    other, slot = bidding(mechanism=pb.MECHANISM_MUDA)
    with pytest.raises(ChainError) as caught:
        place(other, slot, (1, BID, 50_000, 10, 10))
    assert caught.value.ident == ("sdk", 18)
    assert chain.query(query.QueryOrdersRequest(cell=address(1), slot=chain.live()[-1])).orders[0].min_fill_mWh == 10
