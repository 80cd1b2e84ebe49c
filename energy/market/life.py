"""The life of a slot as a table: state -> step -> states it may lead to. What is not in the table is illegal.

Steps are the gates and the messages. Where a step may end in several states, the first is the common one: CLEAR ends in
RECLEAR when the network check refuses the schedule (`security`), in BALLOT where validators vote on it (`ballot`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeAlias

from cosmos_wire.protos import market as pb
from energy.errors import WrongState
from energy.market.clock import Gate


class Step(Enum):
    """What moves a slot beside its gates."""

    FORECAST = "forecast"
    PLACE = "place"
    CANCEL = "cancel"
    CAPS = "caps"
    VOTES = "votes"
    PRICES = "prices"
    READ = "read"
    SETTLED = "cursor at the end"


FORECAST = pb.SLOT_STATE_FORECAST
BIDDING = pb.SLOT_STATE_BIDDING
RECLEAR = pb.SLOT_STATE_RECLEAR
BALLOT = pb.SLOT_STATE_BALLOT
SECURED = pb.SLOT_STATE_SECURED
RESIDUAL = pb.SLOT_STATE_RESIDUAL
SEALED = pb.SLOT_STATE_SEALED
DELIVERING = pb.SLOT_STATE_DELIVERING
METERING = pb.SLOT_STATE_METERING
ESTIMATED = pb.SLOT_STATE_ESTIMATED
SETTLING = pb.SLOT_STATE_SETTLING
SETTLED = pb.SLOT_STATE_SETTLED
CLOSED = pb.SLOT_STATE_CLOSED

State: TypeAlias = pb.SlotState.ValueType

LIFE: Mapping[State, Mapping[Gate | Step, tuple[State, ...]]] = {
    FORECAST: {Step.FORECAST: (FORECAST,), Gate.BID: (BIDDING,), Gate.SEAL: (SEALED,)},
    BIDDING: {
        Step.PLACE: (BIDDING,),
        Step.CANCEL: (BIDDING,),
        Gate.CLEAR: (SECURED, RECLEAR, BALLOT),
        Gate.SEAL: (SEALED,),
    },
    RECLEAR: {Step.CAPS: (RECLEAR,), Gate.SECURE: (RESIDUAL,), Gate.SEAL: (SEALED,)},
    BALLOT: {
        Step.CAPS: (BALLOT,),
        Step.VOTES: (BALLOT, SECURED),
        Gate.SECURE: (RESIDUAL,),
        Gate.SEAL: (SEALED,),
    },
    SECURED: {Step.PRICES: (SECURED,), Gate.SECURE: (RESIDUAL,)},
    RESIDUAL: {Step.PRICES: (RESIDUAL,), Gate.SEAL: (SEALED,)},
    SEALED: {Step.PRICES: (SEALED,), Gate.DELIVER: (DELIVERING,)},
    DELIVERING: {Step.PRICES: (DELIVERING,), Gate.METER: (METERING,)},
    METERING: {Step.PRICES: (METERING,), Step.READ: (METERING,), Gate.METER_CLOSE: (ESTIMATED,)},
    ESTIMATED: {Gate.SETTLE: (SETTLING,)},
    SETTLING: {Step.SETTLED: (SETTLED,)},
    SETTLED: {Gate.CLOSE: (CLOSED,)},
    CLOSED: {},
}


def require_step(record: pb.Slot, step: Gate | Step) -> State:
    """The state that the step leads to; raises WrongState when the table doesn't have it."""
    steps = LIFE[record.state]
    after = steps.get(step)
    if after is None:
        state = pb.SlotState.Name(record.state).removeprefix("SLOT_STATE_")
        what = step.name if isinstance(step, Gate) else step.value
        raise WrongState(f"slot {record.slot} is {state}, which admits {_names(steps)}, got {what}")
    return after[0]


def _names(steps: Mapping[Gate | Step, tuple[State, ...]]) -> str:
    return ", ".join(step.name if isinstance(step, Gate) else step.value for step in steps) or "nothing"
