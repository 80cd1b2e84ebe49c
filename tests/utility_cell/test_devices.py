"""Devices: no energy is promised twice, none is lost, deadlines hold, storages stay in their bounds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.errors import ToolError
from physics.devices import Storage
from utility_cell.agents.run import DEFAULT_DAY
from utility_cell.bidding import Band, Kind, MIN_ORDER_mWh, Outlook, Wish, parted, turned, with_critical
from utility_cell.devices import Allowed, Devices, Queue
from utility_cell.fleet import Asset, CellSpec, _cell
from utility_cell.profiles import first_quarter, load_profiles

BAND = Band(floor_e4=20_000, cap_e4=80_000)
PROFILES = load_profiles()
MORNING = first_quarter(DEFAULT_DAY) + 36
KILOWATT_HOUR = 1_000_000  # mWh


def outlook(last_e4: int | None = None, mood: int = 500) -> Outlook:
    return Outlook(band=BAND, last_e4=last_e4, mood_permille=mood)


def devices(**parts: object) -> Devices:
    return Devices(spec=CellSpec(name="x", bus=2, **parts), profiles=PROFILES)  # type: ignore[arg-type]  # by name


@settings(max_examples=60, deadline=None)
@given(
    arrivals=st.lists(st.integers(0, 10**6), min_size=1, max_size=12),
    patience=st.integers(1, 5),
    limit=st.integers(0, 2 * 10**6),
    shares=st.lists(st.integers(0, 1000), min_size=20, max_size=20),
    lag=st.integers(1, 4),
)
def test_waiting_energy_is_neither_lost_nor_doubled(
    arrivals: list[int], patience: int, limit: int, shares: list[int], lag: int
) -> None:
    queue, drawn, ordered = Queue(), 0, {}
    for slot in range(20):
        if slot < len(arrivals):
            queue.arrive(slot + patience, arrivals[slot])
        drawn += queue.overdue(slot)
        ordered[slot] = sum(due.energy_mWh for due in queue.take(slot, limit))
        if slot >= lag:
            served = ordered.pop(slot - lag) * shares[slot] // 1000
            drawn += served
            queue.served(slot - lag, served)
        waiting = sum(due.energy_mWh for due in queue.waiting)
        assert drawn + waiting + sum(ordered.values()) == sum(arrivals[: slot + 1])


def test_a_car_bids_more_the_longer_it_waits_and_is_charged_at_the_latest_at_its_deadline() -> None:
    cars = devices(shiftable=(Asset(profile="HLS_A_3.7", rated_W=100_000),), patience=4)
    cars.queue.arrive(1_004, 5 * KILOWATT_HOUR)
    prices, quantities = [], []
    for slot in range(1_000, 1_005):
        (bid,) = cars.plan(slot, MORNING - 20, 0, outlook())  # a quarter hour in which no car arrives
        prices.append(bid.price_e4)
        quantities.append(bid.quantity_mWh)
        cars.schedule(slot, Allowed(import_mWh=bid.quantity_mWh if bid.kind == Kind.FIRM else 0))
        assert (bid.kind == Kind.FIRM) == (slot == 1_004)
    assert prices[:4] == sorted(set(prices[:4]))
    assert quantities == [5 * KILOWATT_HOUR] * 5
    assert [cars.net_mWh(slot, MORNING - 20) for slot in (1_003, 1_004)] == [0, 5 * KILOWATT_HOUR]


def test_what_is_served_in_part_waits_on() -> None:
    cars = devices(shiftable=(Asset(profile="HLS_A_3.7", rated_W=100_000),), patience=4)
    cars.queue.arrive(1_004, 5 * KILOWATT_HOUR)
    cars.plan(1_000, MORNING - 20, 0, outlook())
    assert cars.plan(1_001, MORNING - 20, 0, outlook()) == ()  # all of it is in an order already
    cars.schedule(1_000, Allowed(import_mWh=2 * KILOWATT_HOUR))
    assert cars.net_mWh(1_000, MORNING - 20) == 2 * KILOWATT_HOUR
    (again,) = cars.plan(1_002, MORNING - 20, 0, outlook())
    assert again.quantity_mWh == 3 * KILOWATT_HOUR


@settings(max_examples=60, deadline=None)
@given(
    lasts=st.lists(st.integers(20_000, 80_000), min_size=30, max_size=30),
    shares=st.lists(st.integers(0, 1000), min_size=30, max_size=30),
    lag=st.integers(1, 8),
)
def test_a_storage_never_promises_what_it_does_not_hold(lasts: list[int], shares: list[int], lag: int) -> None:
    """Whatever is served of its orders, and however late it hears of it, the tank keeps its bounds to the watt hour."""
    tank = Storage(capacity_Wh=1_000, charge_max_W=800, discharge_max_W=800)
    battery, orders = devices(storage=tank), {}
    for slot in range(30):
        orders[slot] = battery.plan(slot, MORNING, 0, outlook(lasts[slot]))
        if slot >= lag:
            got = {order.is_bid: order.quantity_mWh * shares[slot] // 1000 for order in orders.pop(slot - lag)}
            wanted = Allowed(import_mWh=got.get(True, 0), export_mWh=got.get(False, 0))
            before = battery.tank.energy_Wh
            battery.schedule(slot - lag, wanted)
            moved = battery.tank.energy_Wh - before
            expected = wanted.import_mWh / 1000 * 0.95 - wanted.export_mWh / 1000 / 0.95
            assert moved == pytest.approx(expected, abs=1e-6)
        assert 100 - 1e-6 <= battery.tank.energy_Wh <= 900 + 1e-6


def test_a_storage_turns_at_dear_and_cheap_prices_only() -> None:
    cheap, middle, dear = outlook(25_000), outlook(50_000), outlook(70_000)
    assert [turned(False, seen) for seen in (cheap, middle, dear, outlook())] == [False, False, True, False]
    assert [turned(True, seen) for seen in (cheap, middle, dear, outlook())] == [False, True, True, True]


def test_an_inverter_feeds_in_no_more_than_its_schedule() -> None:
    roof = devices(sources=(Asset(profile="PV3", rated_W=100_000),))
    noon = MORNING + 12
    sun = -roof.net_mWh(1_000, noon)
    assert sun > KILOWATT_HOUR  # nothing is known of a schedule yet
    roof.plan(1_000, noon, -sun, outlook())
    roof.schedule(1_000, Allowed(export_mWh=sun // 3))
    assert roof.net_mWh(1_000, noon) == -(sun // 3)
    roof.schedule(1_000, Allowed(export_mWh=sun))  # the first word counts
    assert roof.net_mWh(1_000, noon) == -(sun // 3)


def test_wind_feeds_in_as_it_blows_and_says_so() -> None:
    mill = devices(sources=(Asset(profile="WP7", rated_W=100_000),))
    wind = -mill.net_mWh(1_000, MORNING)
    orders = mill.plan(1_000, MORNING, -wind, outlook())
    assert {order.kind for order in orders} == {Kind.FIRM}
    mill.schedule(1_000, Allowed(export_mWh=1))
    assert mill.net_mWh(1_000, MORNING) == -wind


def test_orders_of_an_earlier_run_are_not_drawn_twice() -> None:
    home = devices(loads=(Asset(profile="H0-A", rated_W=5_000),))
    home.schedule(1_000, Allowed(import_mWh=10**9))
    assert home.net_mWh(1_000, MORNING) < 10**7


@given(quantity=st.integers(MIN_ORDER_mWh, 10**10), share=st.integers(0, 1000), price=st.integers(20_000, 80_000))
def test_parts_add_up_and_rise(quantity: int, share: int, price: int) -> None:
    bid = Wish(is_bid=True, price_e4=price, quantity_mWh=quantity, kind=Kind.FIRM)
    two = with_critical(bid, BAND, share)
    assert sum(part.quantity_mWh for part in two) == quantity
    assert all(part.quantity_mWh >= MIN_ORDER_mWh for part in two)
    assert {part.price_e4 for part in two if part.kind == Kind.CRITICAL} <= {BAND.cap_e4}
    asks = parted(Wish(is_bid=False, price_e4=price, quantity_mWh=quantity), BAND)
    assert sum(part.quantity_mWh for part in asks) == quantity
    assert [part.price_e4 for part in asks] == sorted(part.price_e4 for part in asks)
    assert BAND.floor_e4 <= asks[0].price_e4 <= asks[-1].price_e4 == price


def test_a_storage_beside_a_plant_is_refused() -> None:
    row = {"name": "x", "bus": 2, "sources": {"PV1": 1}, "storage": {"capacity_Wh": 1, "power_W": 1}}
    with pytest.raises(ToolError, match="'x': a storage stands beside plain loads only"):
        _cell(row)
