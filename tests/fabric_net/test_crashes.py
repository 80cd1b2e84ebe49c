"""A process is killed while 80 transactions are under way: none is lost, none counts twice, and it goes on."""

from __future__ import annotations

import asyncio

import pytest

from fabric_adapter.gateway import Checkpoint, Committed, Gateway, Patience, text_args
from fabric_wire.protos import transaction
from tests.fabric_net.conftest import CHAINCODE, Net, fresh, values_of

pytestmark = pytest.mark.fabric

# A machine that others use takes its time to start a peer again.
LONG = Patience(total_s=120, status_s=240)
FLIGHTS, AT_A_TIME, BEFORE_THE_KILL = 80, 20, 15


class Flow:
    """Transactions that each tell of themselves by an event."""

    def __init__(self, client: Gateway, run: str) -> None:
        self.client, self.run = client, run
        self.slots = asyncio.Semaphore(AT_A_TIME)
        self.landed = 0
        self.under_way = asyncio.Event()

    async def one(self, number: int) -> Committed:
        async with self.slots:
            args = text_args("emit", f"{self.run}-{number}", str(number), self.run)
            done = await self.client.transact(CHAINCODE, args)
        self.landed += 1
        if self.landed >= BEFORE_THE_KILL:
            self.under_way.set()
        return done


@pytest.mark.parametrize("victim", ["peer1", "peer2", "orderer", "chaincode"])
async def test_killed_in_mid_flight(net: Net, victim: str):
    async with net.client(patience=LONG) as client:
        start = Checkpoint(block=await client.height())
        flow = Flow(client, fresh("flight"))
        flights = [asyncio.create_task(flow.one(number)) for number in range(FLIGHTS)]
        await flow.under_way.wait()
        await net.kill(victim)
        await net.restart(victim)
        done = await asyncio.gather(*flights)
        assert {item.validation_code for item in done} == {transaction.VALID}
        found = await values_of(client, flow.run, start, FLIGHTS)
        assert found == sorted(map(str, range(FLIGHTS)))


async def test_a_listener_hears_every_event_once_though_its_peer_dies(net: Net):
    run = fresh("heard")
    async with net.client(1, patience=LONG) as listener, net.client(2, patience=LONG) as sender:
        start = Checkpoint(block=await sender.height())
        hearing = asyncio.create_task(hear(listener, run, start))
        for number in range(10):
            await sender.transact(CHAINCODE, text_args("emit", f"{run}-{number}", str(number), run))
        await net.kill("peer1")
        await net.restart("peer1")
        for number in range(10, 20):
            await sender.transact(CHAINCODE, text_args("emit", f"{run}-{number}", str(number), run))
        assert await hearing == [str(number) for number in range(20)]


async def hear(client: Gateway, name: str, start: Checkpoint) -> list[str]:
    """Payloads of 20 events of a name, as they come."""
    found: list[str] = []
    async for event in client.chaincode_events(CHAINCODE, start):
        if event.name == name:
            found.append(event.payload.decode())
        if len(found) == 20:
            break
    return found
