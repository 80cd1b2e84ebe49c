"""The chain's merge against C1, against a clearing by brute force, and against itself written out order by order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.protos import market as pb
from energy.market import keys
from energy.market.certificate import check_uniform
from energy.market.clearing import BookOrder, Rules, Trade, capped, clear, fill_mWh, own_price_e4, read_side
from ibc_core.host import MemoryStore

FLOOR, CAP = 20_000, 80_000
BUSES = 3
MECHANISMS = [pb.MECHANISM_UNIFORM_K, pb.MECHANISM_TRADE_REDUCTION, pb.MECHANISM_PAY_AS_BID]


def rules(mechanism: int = pb.MECHANISM_UNIFORM_K, k: tuple[int, int] = (1, 2)) -> Rules:
    return Rules(mechanism=mechanism, k_num=k[0], k_den=k[1], floor_e4=FLOOR, cap_e4=CAP)


@st.composite
def books(draw: st.DrawFn, most: int = 12, quantity: int = 9, prices: int = 6) -> list[BookOrder]:
    """Few prices, so that ties are common."""
    row = st.tuples(
        st.sampled_from([keys.BID, keys.ASK]),
        st.integers(0, prices).map(lambda step: FLOOR + step * (CAP - FLOOR) // prices),
        st.integers(1, quantity),
        st.integers(1, BUSES),
    )
    rows = draw(st.lists(row, max_size=most))
    return [BookOrder(side, price, seq, seq, bus, mWh) for seq, (side, price, mWh, bus) in enumerate(rows, start=1)]


def sides(book: list[BookOrder]) -> tuple[Iterator[BookOrder], Iterator[BookOrder]]:
    bids = sorted((o for o in book if o.side == keys.BID), key=lambda o: (-o.price_e4, o.seq))
    asks = sorted((o for o in book if o.side == keys.ASK), key=lambda o: (o.price_e4, o.seq))
    return iter(bids), iter(asks)


def fills(book: list[BookOrder], clearing: pb.Clearing, factor: int = 1000) -> list[Trade]:
    return [Trade(order, fill_mWh(order, clearing, factor)) for order in book]


def brute_force(book: list[BookOrder], k: tuple[int, int]) -> tuple[int, int]:
    """(volume, price) from the unit demand and supply curves, one mWh a unit."""
    bids = sorted((o.price_e4 for o in book if o.side == keys.BID for _ in range(o.quantity_mWh)), reverse=True)
    asks = sorted(o.price_e4 for o in book if o.side == keys.ASK for _ in range(o.quantity_mWh))
    volume = sum(1 for bid, ask in zip(bids, asks, strict=False) if bid >= ask)
    lower = max([FLOOR, *asks[volume - 1 : volume if volume else 0], *bids[volume : volume + 1]])
    upper = min([CAP, *bids[volume - 1 : volume if volume else 0], *asks[volume : volume + 1]])
    return volume, lower + k[0] * (upper - lower) // k[1]


@settings(max_examples=400, deadline=None)
@given(book=books(), k=st.tuples(st.integers(0, 4), st.just(4)))
def test_uniform_agrees_with_c1_and_with_brute_force(book: list[BookOrder], k: tuple[int, int]) -> None:
    clearing, _ = clear(sides(book), rules(k=k), {})
    trades = fills(book, clearing)
    assert check_uniform(trades, clearing.price_e4, rules(k=k)) is None
    assert (clearing.volume_mWh, clearing.price_e4) == brute_force(book, k)
    value = sum((1 if o.side == keys.BID else -1) * o.price_e4 * fill for o, fill in trades)
    assert int(clearing.welfare) == value


@settings(max_examples=300, deadline=None)
@given(
    book=books(),
    caps=st.dictionaries(st.tuples(st.integers(1, BUSES), st.sampled_from([1, 2])), st.integers(0, 20), max_size=4),
)
def test_caps_clear_the_effective_book_and_implicit_fills_are_the_explicit_ones(
    book: list[BookOrder], caps: dict[tuple[int, int], int]
) -> None:
    clearing, _ = clear(sides(book), rules(), caps)
    cut: list[pb.Cut] = []
    effective = [order for side in sides(book) for order in capped(side, caps, cut)]
    again, _ = clear(sides(effective), rules(), {})
    explicit = {order.seq: fill for order, fill in fills(effective, again)}
    assert {order.seq: fill for order, fill in fills(book, clearing) if fill} == {
        s: f for s, f in explicit.items() if f
    }
    by_place: dict[tuple[int, int], int] = {}
    for order, fill in fills(book, clearing):
        place = (order.bus, order.side)
        by_place[place] = by_place.get(place, 0) + fill
    assert all(by_place.get(place, 0) <= cap for place, cap in caps.items())


@settings(max_examples=300, deadline=None)
@given(book=books(), mechanism=st.sampled_from(MECHANISMS))
def test_nobody_loses_by_trading_and_the_market_pays_for_itself(book: list[BookOrder], mechanism: int) -> None:
    clearing, _ = clear(sides(book), rules(mechanism), {})
    trades = fills(book, clearing)
    bought = sum(fill for order, fill in trades if order.side == keys.BID)
    sold = sum(fill for order, fill in trades if order.side == keys.ASK)
    assert bought == sold == clearing.volume_mWh
    surplus = 0
    for order, fill in trades:
        price = own_price_e4(order, clearing)
        sign = 1 if order.side == keys.BID else -1
        assert fill == 0 or sign * (order.price_e4 - price) >= 0
        assert fill == 0 or sign * (price - clearing.price_e4) >= 0
        surplus += sign * price * fill
    assert surplus >= 0
    if mechanism == pb.MECHANISM_UNIFORM_K:
        assert surplus == 0


@settings(max_examples=300, deadline=None)
@given(book=books(), lie=st.integers(0, 6))
def test_trade_reduction_rewards_no_lie_about_the_price(book: list[BookOrder], lie: int) -> None:
    """With one order a trader, whole units of 1 mWh and ties aside, McAfee's rule is truthful."""
    book = [order._replace(quantity_mWh=1, price_e4=order.price_e4 + order.seq) for order in book]
    if not book:
        return
    truth, told = book[0], book[0]._replace(price_e4=FLOOR + lie * 10_000 + 17)
    honest, _ = clear(sides(book), rules(pb.MECHANISM_TRADE_REDUCTION), {})
    other, _ = clear(sides([told, *book[1:]]), rules(pb.MECHANISM_TRADE_REDUCTION), {})
    sign = 1 if truth.side == keys.BID else -1

    def gain(clearing: pb.Clearing, order: BookOrder) -> int:
        return sign * (truth.price_e4 - own_price_e4(order, clearing)) * fill_mWh(order, clearing, 1000)

    assert gain(other, told) <= gain(honest, truth)


def order(side: int, price: int, seq: int, quantity: int) -> BookOrder:
    return BookOrder(side, price, seq, seq, 1, quantity)


WRONG = [
    ("bought", [(keys.BID, 50_000, 5, 5), (keys.ASK, 30_000, 5, 4)], 40_000),
    ("fill has to be", [(keys.BID, 50_000, 5, 6), (keys.ASK, 30_000, 6, 6)], 40_000),
    ("better", [(keys.BID, 50_000, 5, 4), (keys.ASK, 30_000, 4, 4)], 40_000),
    ("worse", [(keys.BID, 35_000, 5, 5), (keys.ASK, 30_000, 5, 5)], 40_000),
    ("price has to be", [(keys.BID, 50_000, 5, 5), (keys.ASK, 30_000, 5, 5)], 45_000),
    ("not filled", [(keys.BID, 40_000, 5, 3), (keys.ASK, 40_000, 5, 3)], 40_000),
    ("by sequence", [(keys.BID, 40_000, 5, 2), (keys.BID, 40_000, 5, 3), (keys.ASK, 30_000, 5, 5)], 40_000),
]


@pytest.mark.parametrize(("fault", "rows", "price"), WRONG)
def test_c1_refuses(fault: str, rows: list[tuple[int, int, int, int]], price: int) -> None:
    trades = [Trade(order(side, at, seq, most), fill) for seq, (side, at, most, fill) in enumerate(rows, start=1)]
    found = check_uniform(trades, price, rules())
    assert found is not None
    assert fault in found


def test_keys_sort_the_book_as_it_is_cleared() -> None:
    store = MemoryStore()
    rows = [
        (keys.BID, 30_000, 4),
        (keys.BID, 50_000, 9),
        (keys.BID, 50_000, 2),
        (keys.ASK, 40_000, 1),
        (keys.ASK, 20_000, 7),
    ]
    for side, price, seq in rows:
        store.set(keys.book_key(7, side, price, seq), pb.BookEntry(cell=seq, quantity_mWh=1).SerializeToString())
        store.set(keys.book_key(8, side, price, seq), b"\x08\x01")
    assert [(o.price_e4, o.seq) for o in read_side(store, 7, keys.BID)] == [(50_000, 2), (50_000, 9), (30_000, 4)]
    assert [(o.price_e4, o.seq) for o in read_side(store, 7, keys.ASK)] == [(20_000, 7), (40_000, 1)]


def test_only_matched_orders_are_read() -> None:
    """CLEAR of a deep book that hardly crosses reads what trades and one order beyond on each side."""
    asked: list[int] = []

    def watched(book: Iterator[BookOrder]) -> Iterator[BookOrder]:
        for item in book:
            asked.append(item.seq)
            yield item

    deep = [order(keys.BID, 50_000 - seq, seq, 5) for seq in range(1, 1000)]
    asks = [order(keys.ASK, 49_999 + seq, 2_000 + seq, 5) for seq in range(1000)]
    bids, offers = sides(deep + asks)
    clearing, _ = clear((watched(bids), watched(offers)), rules(), {})
    assert (clearing.volume_mWh, len(asked)) == (5, 4)
