"""Table 1.1 under any increasing block times: gates fire once, in order, never too early; slots stay bounded."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.protos import market as pb
from energy.errors import WrongState
from energy.market import gates, state
from energy.market.clock import Gate, gate_ms
from energy.market.life import LIFE, Step, require_step
from tests.energy.chain import ASK, BID, Chain

SLOT_MS = 4_000
Fired = tuple[int, int, int, int]  # height, time, slot, gate


class Recorder:
    """Notes every gate that fires."""

    def __init__(self, patch: pytest.MonkeyPatch, chain: Chain) -> None:
        self.chain, self.fired = chain, []
        fire, opened = gates._fire, gates._open

        def _fire(ctx: object, live: object, slot: int, gate: Gate) -> None:
            self._note(slot, gate)
            fire(ctx, live, slot, gate)

        def _open(ctx: object, registry: object, slot: int) -> object:
            self._note(slot, Gate.OPEN)
            return opened(ctx, registry, slot)

        patch.setattr(gates, "_fire", _fire)
        patch.setattr(gates, "_open", _open)

    def _note(self, slot: int, gate: Gate) -> None:
        self.fired.append((self.chain.height, self.chain.now_ms, slot, int(gate)))

    def by_slot(self) -> dict[int, list[Fired]]:
        found: dict[int, list[Fired]] = {}
        for item in self.fired:
            found.setdefault(item[2], []).append(item)
        return found


def check_slot(params: pb.Params, fired: list[Fired], *, finished: bool) -> None:
    numbers = [gate for *_, gate in fired]
    full = list(range(10))
    if Gate.SEAL in numbers:
        cut = numbers.index(Gate.SEAL)
        before, after = numbers[:cut], numbers[cut:]
        assert before == full[:cut]
        assert after == full[4 : 4 + len(after)]
    else:
        assert numbers == full[: len(numbers)]
    if finished:
        assert numbers[-1] == Gate.CLOSE
    for (height_before, *_), (height, now, slot, gate) in pairwise(fired):
        assert now >= gate_ms(params, slot, Gate(gate))
        needed = params.gates[gate].blocks_min if gate not in (Gate.SECURE, Gate.SEAL) else 0
        assert height - height_before >= needed


jumps = st.one_of(st.integers(1, 1_500), st.integers(1, 10 * SLOT_MS))


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(jumps, min_size=1, max_size=60))
def test_gates_fire_once_in_order_and_never_early(steps: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        chain = Chain(cells=0, slot_ms=SLOT_MS)
        recorder = Recorder(patch, chain)
        params = state.params(chain.ctx())
        for step in steps:
            before = len(recorder.fired)
            chain.block(step)
            block = [(gate_ms(params, slot, Gate(gate)), slot, gate) for *_, slot, gate in recorder.fired[before:]]
            assert block == sorted(block)
            assert len(chain.live()) <= params.max_live_slots
            assert chain.live() == sorted(chain.live())
        for _ in range(80):
            chain.block(500)
        for slot, fired in recorder.by_slot().items():
            last = gate_ms(params, slot, Gate.CLOSE)
            check_slot(params, fired, finished=chain.now_ms > last + 2_000)
        # Not after each jump: CLEAR lies 8,004 ms before a slot and OPEN 12,000, so that 4 ms of every 4 s open none.
        assert len(recorder.by_slot()) >= 1
        skipped = [range(int(e["from"]), int(e["to"]) + 1) for e in chain.events_of("slot_skipped")]
        seen = sorted([*recorder.by_slot(), *(slot for span in skipped for slot in span)])
        assert seen == list(range(seen[0], seen[-1] + 1))  # every slot is opened or named as skipped, once


def test_a_live_slot_is_never_skipped_when_blocks_come_in_time() -> None:
    chain = Chain(cells=0)
    for _ in range(200):
        chain.block(400)
    # Genesis names a first slot that is being delivered: it and the two behind it are past their CLEAR.
    assert [(e["from"], e["to"]) for e in chain.events_of("slot_skipped")] == [("250000", "250002")]


def test_seal_waits_for_nothing_and_voids_what_isnt_residual() -> None:
    chain, told = Chain(cells=1), list[int]()
    chain.market.on_voided.append(lambda _, slot: told.append(slot))
    chain.block()
    slot = chain.live()[-1]
    chain.until(slot, pb.SLOT_STATE_BIDDING)
    before = list(told)
    chain.deliver(chain.place(1, slot, BID, 50_000, 1_000))  # in the block in which BID fired
    record = chain.slot(slot)
    chain.block(gate_ms(record.params, slot, Gate.SEAL) - chain.now_ms)  # CLEAR still waits for its second block
    record = chain.slot(slot)
    assert (record.state, record.voided, record.factor_permille) == (pb.SLOT_STATE_SEALED, True, 0)
    assert slot in told
    assert slot not in before
    record = chain.until(slot, pb.SLOT_STATE_SETTLED)
    assert told.count(slot) == 1
    assert (record.escrow, chain.balance(state.ESCROW)) == ("0", 0)


def test_below_the_minimum_of_balancing_slots_open_with_factor_0() -> None:
    chain = Chain(cells=2, balancing_min=str(10**18 + 1))
    chain.block()
    slot = chain.live()[-1]
    chain.until(slot, pb.SLOT_STATE_BIDDING)
    chain.block(10, chain.place(1, slot, BID, 50_000, 1_000), chain.place(2, slot, ASK, 40_000, 1_000))
    record = chain.until(slot, pb.SLOT_STATE_SEALED, 100)
    assert (record.clearing.volume_mWh, record.factor_permille, record.voided) == (1_000, 0, False)
    assert (record.unserved_bid_mWh, record.unserved_ask_mWh) == (1_000, 1_000)


def test_opening_stops_at_max_live_slots() -> None:
    """Settlement of one unit a block holds slots open; no slot opens beyond the bound."""
    chain = Chain(cells=12, settle_units=1, missed_before_suspension=1_000)
    params = state.params(chain.ctx())
    for _ in range(150):
        chain.begin(700)
        for slot in chain.live():
            if chain.slot(slot).state == pb.SLOT_STATE_BIDDING and chain.slot(slot).orders == 0:
                for cell in range(1, 13):
                    chain.deliver(chain.place(cell, slot, BID, 50_000, 1_000))
        chain.end()
        assert len(chain.live()) <= params.max_live_slots
    assert len(chain.live()) == params.max_live_slots
    assert chain.events_of("slot_skipped")


STEPS = [*Gate, *Step]


@pytest.mark.parametrize("current", LIFE)
def test_what_the_table_doesnt_have_is_refused(current: int) -> None:
    for step in STEPS:
        record = pb.Slot(slot=1, state=current)
        if step in LIFE[current]:
            assert require_step(record, step) == LIFE[current][step][0]
        else:
            with pytest.raises(WrongState, match=r"slot 1 is"):
                require_step(record, step)


def test_every_state_is_in_the_table_and_can_be_left_but_closed() -> None:
    assert [*LIFE] == [value for value in pb.SlotState.values() if value]
    assert [state for state, steps in LIFE.items() if not steps] == [pb.SLOT_STATE_CLOSED]
