"""`bsmg slot NUMBER` shows what the chain scheduled as long as it knows it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from bsmg.cli.slot import HEAD, about, line
from cosmos_wire.protos import Message, market, market_query
from tests.demo.test_gather import FEEDER, Chain

SCHEDULED = [market.SLOT_STATE_RECLEAR, market.SLOT_STATE_SECURED, market.SLOT_STATE_SEALED, market.SLOT_STATE_SETTLED]


class Node(Chain):
    """The slots are in one state."""

    def __init__(self, state: market.SlotState.ValueType) -> None:
        super().__init__(FEEDER)
        self.state = state

    def _slot(self, request: Any, _height: int | None) -> Message:
        return market_query.QuerySlotResponse(slot=market.Slot(slot=request.slot, state=self.state, curtailed_mWh=77))


@pytest.mark.parametrize("state", SCHEDULED)
async def test_a_scheduled_slot_has_its_schedule_and_prices(state: market.SlotState.ValueType) -> None:
    doc = await about(cast("Any", Node(state)), 100)
    assert doc["curtailed_mWh"] == "77"
    assert doc["schedule"]["buses"] == [{"bus": 2, "p_mWh": "100", "q_mvarh": "0"}]
    assert doc["lmps"]["buses"] == [{"bus": 2, "price_e4": "40000"}]


@pytest.mark.parametrize("state", [market.SLOT_STATE_BIDDING, market.SLOT_STATE_CLOSED])
async def test_a_slot_without_a_schedule_has_its_record(state: market.SlotState.ValueType) -> None:
    node = Node(state)
    assert "schedule" not in await about(cast("Any", node), 100)
    assert node.asked == {"Slot": 1}


async def test_a_slot_that_closes_meanwhile_has_its_record() -> None:
    node = Node(market.SLOT_STATE_SETTLED)
    node.lost = {100}
    assert "schedule" not in await about(cast("Any", node), 100)


def test_the_table_shows_factor_and_curtailment() -> None:
    row = line(market.Slot(slot=5, factor_permille=640, curtailed_mWh=77, state=market.SLOT_STATE_SEALED))
    assert row.split() == ["5", "-", "SEALED", "0", "0", "640", "77", "0", "0"]
    assert len(row) == len(HEAD)
