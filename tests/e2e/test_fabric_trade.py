"""A trade each way between a chain on CometBFT and one on Fabric; money to the unit."""

from __future__ import annotations

from tests.e2e.net import Net
from tests.e2e.test_trade import trade_each_way


async def test_a_trade_each_way_settles_to_the_unit(mixed: Net) -> None:
    assert len(await trade_each_way(mixed)) == 2
