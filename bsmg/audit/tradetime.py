"""Deadlines of a slot between chains, from section 2 of the trade protocol."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_wire.protos import trade

LEVEL_MICROGRID = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Milliseconds of block time."""

    lock_ms: int
    gate_ms: int
    act_ms: int
    start_ms: int
    meter_ms: int
    disp_ms: int
    close_ms: int


def clock_of(params: trade.Params, level: int, slot: int) -> Clock:
    """Permille of the window before the slot begins, milliseconds after it ends."""
    offsets = params.level2 if level == LEVEL_MICROGRID else params.level3
    start, step = slot * params.slot_ms, params.window_ms // 1000
    end = start + params.slot_ms
    return Clock(
        lock_ms=start - offsets.lock_permille * step,
        gate_ms=start - offsets.gate_permille * step,
        act_ms=start - offsets.act_permille * step,
        start_ms=start,
        meter_ms=end + offsets.meter_ms,
        disp_ms=end + offsets.disp_ms,
        close_ms=end + offsets.close_ms,
    )
