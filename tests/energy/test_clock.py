"""Slot time against the slot protocol's table 1.1."""

from __future__ import annotations

import pytest

from energy.market.clock import Gate, first_open, gate_ms, last_open, slots_needed
from energy.market.defaults import default_params
from tests.energy.chain import DENOM, UTILITY

# seconds after T0, or after T1 from METER on; the SEAL column of the table is rounded there (-29.7, -0.4)
TABLE = {
    900_000: (-900, -780.3, -600.3, -540, -29.7, 0, 0, 90, 150.3, 360),
    4_000: (-12, -10.404, -8.004, -7.2, -0.396, 0, 0, 1.2, 2.004, 4.8),
}


@pytest.mark.parametrize("slot_ms", TABLE)
def test_gates_lie_where_the_table_says(slot_ms: int) -> None:
    params = default_params(slot_ms, 12_000, DENOM, UTILITY, 0)
    slot = 1_000_003
    times = [gate_ms(params, slot, gate) for gate in Gate]
    base = [slot * slot_ms] * 6 + [(slot + 1) * slot_ms] * 4
    assert [time - start for time, start in zip(times, base, strict=True)] == [
        round(seconds * 1000) for seconds in TABLE[slot_ms]
    ]


@pytest.mark.parametrize(
    ("slot_ms", "window_ms", "needed"), [(900_000, 12_000, 4), (4_000, 12_000, 7), (4_000, 120_000, 44)]
)
def test_live_slots_follow_from_the_gates(slot_ms: int, window_ms: int, needed: int) -> None:
    params = default_params(slot_ms, window_ms, DENOM, UTILITY, 0)
    assert slots_needed(params) == needed
    assert params.max_live_slots == max(8, needed)


@pytest.mark.parametrize("slot_ms", [900_000, 4_000, 1_000])
def test_what_may_open_has_its_open_behind_and_its_clear_ahead(slot_ms: int) -> None:
    params = default_params(slot_ms, 12_000, DENOM, UTILITY, 0)
    for now_ms in range(10**9, 10**9 + 3 * slot_ms, slot_ms // 7):
        first, last = first_open(params, now_ms), last_open(params, now_ms)
        assert gate_ms(params, first, Gate.CLEAR) > now_ms >= gate_ms(params, first - 1, Gate.CLEAR)
        assert gate_ms(params, last, Gate.OPEN) <= now_ms < gate_ms(params, last + 1, Gate.OPEN)
