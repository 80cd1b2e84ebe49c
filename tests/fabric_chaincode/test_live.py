"""The chaincode behind gateways over TLS, as everybody's programs meet it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabric_adapter.chaincodes import MICROGRID
from fabric_adapter.errors import CommitError, EndorseError
from fabric_adapter.microgrid.chaincode import MicrogridChaincode
from fabric_adapter.network import lifecycle
from fabric_adapter.network.plan import EMBEDDED, Home, Wish
from tests.fabric_chaincode.live import LONG, RICH, killed_and_loaded, microgrid, one_day
from tests.fabric_embedded.test_gateway import home, ledger
from tests.fabric_net.conftest import bring_up

__all__ = ["home"]


async def test_a_day_by_gateways(home):
    async with ledger(home, MicrogridChaincode), microgrid(home) as live:
        assert (await one_day(live)).height == live.height == 4


async def test_refusals_reach_the_client(home):
    async with ledger(home, MicrogridChaincode), microgrid(home) as live:
        await live.found()
        one, two = live.gateways[1, "user"], live.gateways[2, "user"]
        with pytest.raises(EndorseError) as refused:
            await live.submit(one, live.send(one, two, 2 * RICH))
        assert refused.value.refusal is not None
        assert refused.value.refusal.message.startswith("sdk/5: failed to execute message; message index: 0: ")
        assert not refused.value.is_passing
        with pytest.raises(EndorseError, match="chaincode/3: "):
            await live.tick(writer=one)


async def test_of_two_writers_one_wins_each_height(home):
    async with ledger(home, MicrogridChaincode), microgrid(home) as live:
        await live.found()
        other = live.gateways[2, "admin"]
        ready = [await live.ready_tick(writer=who) for who in (live.admin, other)]
        verdicts = await asyncio.gather(live.admin.settle(ready[0]), other.settle(ready[1]), return_exceptions=True)
        lost = [each for each in verdicts if isinstance(each, CommitError)]
        assert [each.name for each in lost] == ["MVCC_READ_CONFLICT"]
        live.height += 1
        await live.tick()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "net")
    bring_up(made, Wish(kind=EMBEDDED, factory=MICROGRID))
    yield made
    lifecycle.down(made, purge=True)


@pytest.mark.e2e
async def test_the_ledgers_process_is_killed(place):
    async with microgrid(place, LONG) as live:
        await one_day(live)
        assert await killed_and_loaded(live, place, "ledger") == 16
