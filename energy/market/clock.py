"""Time of slots, in whole milliseconds of block time; shared by the market and the trade application.

slot = unix_ms // slot_ms       T0 = slot * slot_ms       T1 = T0 + slot_ms
W = max(slot_ms, window_min_ms), both multiples of 1,000
before delivery  G = T0 + o * (W // 1000)    o in permille, negative
after            G = T1 + o * (W // 1000)    o >= 0
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cosmos_wire.protos import market as pb

TICK_MS = 1_000  # slot_ms and window_min_ms are multiples, so that a permille of the window is whole


class Gate(IntEnum):
    """The gates of a slot in their order; the number is the index into `Params.gates`."""

    OPEN = 0
    BID = 1
    CLEAR = 2
    SECURE = 3
    SEAL = 4
    DELIVER = 5
    METER = 6
    METER_CLOSE = 7
    SETTLE = 8
    CLOSE = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotClock:
    """The two lengths that place every gate."""

    slot_ms: int
    window_min_ms: int

    @property
    def window_ms(self) -> int:
        """W: what the gates' permille are of."""
        return max(self.slot_ms, self.window_min_ms)

    def slot_at(self, unix_ms: int) -> int:
        """The slot that is being delivered at a time."""
        return unix_ms // self.slot_ms

    def start_ms(self, slot: int) -> int:
        """T0: delivery begins."""
        return slot * self.slot_ms

    def end_ms(self, slot: int) -> int:
        """T1: delivery ends."""
        return (slot + 1) * self.slot_ms

    def offset_ms(self, permille: int) -> int:
        """A duration of so many permille of the window."""
        return permille * (self.window_ms // 1000)

    def around_start_ms(self, slot: int, permille: int) -> int:
        """A gate relative to T0; negative permille lie before it."""
        return self.start_ms(slot) + self.offset_ms(permille)

    def after_end_ms(self, slot: int, permille: int) -> int:
        """A gate relative to T1."""
        return self.end_ms(slot) + self.offset_ms(permille)


def clock_of(params: pb.Params) -> SlotClock:
    """The clock of a market's parameters."""
    return SlotClock(slot_ms=params.slot_ms, window_min_ms=params.window_min_ms)


def gate_ms(params: pb.Params, slot: int, gate: Gate) -> int:
    """Block time at which a gate of a slot is due."""
    clock, permille = clock_of(params), params.gates[gate].offset_permille
    if gate <= Gate.DELIVER:
        return clock.around_start_ms(slot, permille)
    return clock.after_end_ms(slot, permille)


def slots_needed(params: pb.Params) -> int:
    """How many slots can be alive at once: ceil((CLOSE - OPEN) / slot_ms) + 1; `max_live_slots` is at least that."""
    span_ms = gate_ms(params, 0, Gate.CLOSE) - gate_ms(params, 0, Gate.OPEN)
    return -(-span_ms // params.slot_ms) + 1


def first_open(params: pb.Params, now_ms: int) -> int:
    """The first slot whose CLEAR is still ahead."""
    ahead_ms = -clock_of(params).offset_ms(params.gates[Gate.CLEAR].offset_permille)
    return (now_ms + ahead_ms) // params.slot_ms + 1


def last_open(params: pb.Params, now_ms: int) -> int:
    """The last slot whose OPEN has come."""
    ahead_ms = -clock_of(params).offset_ms(params.gates[Gate.OPEN].offset_permille)
    return (now_ms + ahead_ms) // params.slot_ms
