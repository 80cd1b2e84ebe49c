"""Every bound of C2 against exact fractions, on random small trees: rounding goes outwards, never inwards."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_wire.protos import registry as pb
from energy.errors import FeederMalformed
from energy.grid.feasible import Bounds, Box, bounds_of, image_of, limits_fault
from energy.grid.fixed import ONE
from energy.grid.network import Network, network_of
from energy.grid.schedule import BusEnergy, Injection, injection_of

SMALL = st.integers(0, ONE // 50)


@st.composite
def feeders(draw: st.DrawFn) -> pb.Feeder:
    size = draw(st.integers(2, 7))
    parents = [draw(st.integers(0, at - 1)) for at in range(1, size)]
    ends = [(parent, at) if draw(st.booleans()) else (at, parent) for at, parent in enumerate(parents, 1)]
    branches = [
        pb.Branch(
            from_bus=10 * a, to_bus=10 * b, r_pu_q30=draw(SMALL), x_pu_q30=draw(SMALL), s_max_W=draw(st.integers(1, 9))
        )
        for a, b in ends
    ]
    return pb.Feeder(
        s_base_W=draw(st.integers(1, 10)),
        root_bus=0,
        v0_permille=draw(st.integers(950, 1050)),
        vmin_permille=900,
        vmax_permille=1100,
        branches=draw(st.permutations(branches)),
    )


@st.composite
def situations(draw: st.DrawFn) -> tuple[Network, Injection, Box, list[tuple[Fraction, Fraction, Fraction]]]:
    """A network, ranges of withdrawals, a box, and exact values inside them."""
    net = network_of(draw(feeders()))
    power = st.integers(-ONE, ONE)
    spread = st.integers(0, ONE // 100)
    rows = [(draw(power), draw(spread), draw(power), draw(spread)) for _ in range(net.size)]
    low = [0] + [draw(st.integers(0, ONE)) for _ in range(net.size - 1)]
    high = [0] + [value + draw(spread) for value in low[1:]]
    share = st.fractions(0, 1)
    exact = [
        (p + draw(share) * dp, q + draw(share) * dq, a + draw(share) * (b - a))
        for (p, dp, q, dq), a, b in zip(rows, low, high, strict=True)
    ]
    injection = Injection(
        p_low=tuple(row[0] for row in rows),
        p_high=tuple(row[0] + row[1] for row in rows),
        q_low=tuple(row[2] for row in rows),
        q_high=tuple(row[2] + row[3] for row in rows),
    )
    return (
        net,
        injection,
        Box(low=tuple(low), high=tuple(high)),
        [(Fraction(p) / ONE, Fraction(q) / ONE, Fraction(a) / ONE) for p, q, a in exact],
    )


@given(situations())
def test_bounds_enclose_the_exact_flow(
    situation: tuple[Network, Injection, Box, list[tuple[Fraction, Fraction, Fraction]]],
) -> None:
    net, injection, box, exact = situation
    bounds = bounds_of(net, injection, box)
    p, q = [row[0] for row in exact], [row[1] for row in exact]
    r, x = ([Fraction(value, ONE) for value in row] for row in (net.r, net.x))
    for at in range(net.size - 1, 0, -1):
        p[net.parent[at]] += p[at] + r[at] * exact[at][2]
        q[net.parent[at]] += q[at] + x[at] * exact[at][2]
    v = [Fraction(net.v0[0], ONE)] * net.size
    for at in range(1, net.size):
        drop = 2 * (r[at] * p[at] + x[at] * q[at]) + (r[at] ** 2 + x[at] ** 2) * exact[at][2]
        v[at] = v[net.parent[at]] - drop
    if not isinstance(bounds, Bounds):
        return
    image = image_of(bounds)
    for at in range(net.size):
        assert bounds.p_low[at] <= p[at] * ONE <= bounds.p_high[at]
        assert bounds.q_low[at] <= q[at] * ONE <= bounds.q_high[at]
        assert bounds.v_low[at] <= v[at] * ONE <= bounds.v_high[at]
        if at:
            assert image.low[at] <= (p[at] ** 2 + q[at] ** 2) / v[at] * ONE <= image.high[at]
    if limits_fault(net, box, bounds) is None:
        assert_limits_kept(net, [(p[at], q[at], v[at], exact[at][2]) for at in range(net.size)])


def assert_limits_kept(net: Network, rows: list[tuple[Fraction, Fraction, Fraction, Fraction]]) -> None:
    for at, (p, q, v, current) in enumerate(rows):
        assert Fraction(900, 1000) ** 2 <= v <= Fraction(1100, 1000) ** 2
        if at:
            limit = Fraction(net.s2_max[at], ONE**2)
            sent_p, sent_q = p + Fraction(net.r[at], ONE) * current, q + Fraction(net.x[at], ONE) * current
            assert max(p**2 + q**2, sent_p**2 + sent_q**2) <= limit


energies = st.builds(
    BusEnergy,
    bus=st.sampled_from([0, 1, 2]),
    base_p_mWh=st.integers(-(10**9), 10**9),
    base_q_mvarh=st.integers(-(10**9), 10**9),
)
fills = st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from([1, -1]), st.integers(0, 1000)), max_size=8)


@given(energies, fills, st.integers(0, 1000), st.integers(1, 10**7))
def test_ranges_hold_the_sum_of_fills_cut_one_by_one(
    energy: BusEnergy, orders: list[tuple[int, int, int]], factor: int, s_base_W: int
) -> None:
    net = network_of(
        pb.Feeder(
            s_base_W=s_base_W,
            v0_permille=1000,
            vmin_permille=900,
            vmax_permille=1100,
            branches=[pb.Branch(from_bus=0, to_bus=1, s_max_W=1), pb.Branch(from_bus=1, to_bus=2, s_max_W=1)],
        )
    )
    whole = BusEnergy(
        bus=energy.bus,
        base_p_mWh=energy.base_p_mWh,
        base_q_mvarh=energy.base_q_mvarh,
        trade_p_mWh=sum(sign * fill for fill, sign, _ in orders),
        trade_q_permille=sum(sign * fill * tan for fill, sign, tan in orders),
        rounding_mWh=len(orders),
        rounding_q_permille=sum(tan for *_, tan in orders),
    )
    ranges = injection_of(net, [whole], factor)
    p = energy.base_p_mWh + sum(sign * (fill * factor // 1000) for fill, sign, _ in orders)
    q = energy.base_q_mvarh + Fraction(sum(sign * (fill * factor // 1000) * tan for fill, sign, tan in orders), 1000)
    at, unit = net.index[energy.bus], Fraction(ONE, 250 * s_base_W)
    assert ranges.p_low[at] <= p * unit <= ranges.p_high[at]
    assert ranges.q_low[at] <= q * unit <= ranges.q_high[at]
    if factor in (0, 1000):
        assert ranges.p_high[at] - ranges.p_low[at] <= 1


@pytest.mark.parametrize(
    ("branches", "what"),
    [
        ([(0, 1), (1, 2), (2, 0)], "3 buses need 2 branches, got 3"),
        ([(0, 1), (2, 3)], "4 buses have to hang on the root, 2 do"),
    ],
)
def test_what_is_not_radial_is_refused(branches: list[tuple[int, int]], what: str) -> None:
    feeder = pb.Feeder(
        s_base_W=1, v0_permille=1000, branches=[pb.Branch(from_bus=a, to_bus=b, s_max_W=1) for a, b in branches]
    )
    with pytest.raises(FeederMalformed, match=what):
        network_of(feeder)


def test_an_impedance_out_of_range_and_a_bus_off_the_feeder_are_refused() -> None:
    with pytest.raises(FeederMalformed, match="branch 0-1"):
        network_of(pb.Feeder(s_base_W=1, branches=[pb.Branch(to_bus=1, r_pu_q30=2**40, s_max_W=1)]))
    net = network_of(pb.Feeder(s_base_W=1, v0_permille=1000, branches=[pb.Branch(to_bus=1, s_max_W=1)]))
    with pytest.raises(FeederMalformed, match="bus 7 is not on the feeder"):
        injection_of(net, [BusEnergy(bus=7)])
