"""The chaincode `microgrid` on real peers: the same day as on the embedded ledger, and its process killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fabric_adapter.chaincodes import MICROGRID
from fabric_adapter.network import lifecycle
from fabric_adapter.network.plan import Home, Wish
from tests.fabric_chaincode.live import LONG, killed_and_loaded, microgrid, one_day
from tests.fabric_net.conftest import bring_up

pytestmark = pytest.mark.fabric


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "net")
    bring_up(made, Wish(factory=MICROGRID))
    yield made
    lifecycle.down(made, purge=True)


async def test_a_day_and_the_chaincode_killed(home: Home):
    async with microgrid(home, LONG) as live:
        await one_day(live)
        assert await killed_and_loaded(live, home, "chaincode") == 16
