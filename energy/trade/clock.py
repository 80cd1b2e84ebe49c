"""The clock of a slot (docs/trade.md 2): every deadline of a contract, milliseconds of block time since the epoch."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_wire.protos import trade
from energy.trade.errors import Malformed

TIME_MS_LIMIT = (1 << 63) // 1_000_000  # timeouts are nanoseconds in int64 for some counterparties


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotTimes:
    """Deadlines of one slot at one level; `start` and `end` bound the delivery."""

    lock_ms: int
    gate_ms: int
    act_ms: int
    start_ms: int
    end_ms: int
    meter_ms: int
    disp_ms: int
    close_ms: int


def slot_times(terms: trade.Terms, slot: int) -> SlotTimes:
    """Deadlines of a slot: permille of the window before its start, milliseconds after its end."""
    start = slot * terms.slot_ms
    end, step, clock = start + terms.slot_ms, terms.window_ms // 1000, terms.clock
    times = SlotTimes(
        lock_ms=start - clock.lock_permille * step,
        gate_ms=start - clock.gate_permille * step,
        act_ms=start - clock.act_permille * step,
        start_ms=start,
        end_ms=end,
        meter_ms=end + clock.meter_ms,
        disp_ms=end + clock.disp_ms,
        close_ms=end + clock.close_ms,
    )
    if times.lock_ms <= 0 or times.close_ms >= TIME_MS_LIMIT:
        raise Malformed(f"slot {slot} lies outside of the representable times")
    return times


def timeout_ns(time_ms: int) -> int:
    """Timeout of a packet that is of no use from `time_ms` on."""
    return time_ms * 1_000_000
