"""Networks of other shapes than two organisations that both endorse."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from fabric_adapter.microgrid.chaincode import MicrogridChaincode
from fabric_adapter.node import writer
from fabric_adapter.stub import FAILED, REFUSED, Response, Stub
from tests.fabric_node.world import RICH, Front, World, until, world

TWO_OF_THREE = "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')"
Odd = Callable[[Stub], Response]
ODD: dict[str, Odd] = {
    "breaks": lambda stub: Response(status=FAILED, message=f"broken: {stub.tx_id}"),
    "refuses": lambda stub: Response(status=REFUSED, message=f"not today: {stub.tx_id}"),
    "differs": lambda stub: Response(message=f"something else: {stub.tx_id}"),
}


class Second:
    """Makes three chaincodes, the second of which is odd once it is told."""

    def __init__(self, odd: Odd) -> None:
        self.numbers, self.odd, self.is_odd = count(1), odd, False

    def __call__(self) -> MicrogridChaincode:
        return MicrogridChaincode() if next(self.numbers) != 2 else Strange(self)


class Strange(MicrogridChaincode):
    """Its answers are its maker's."""

    def __init__(self, maker: Second) -> None:
        super().__init__()
        self.maker = maker

    def invoke(self, stub: Stub) -> Response:
        return self.maker.odd(stub) if self.maker.is_odd else super().invoke(stub)


async def paid(net: World, front: Front, payments: int) -> None:
    """So many payments are made and executed."""
    await until(front.serves, front.is_asked)
    before = await front.balance(net.bob)
    for _ in range(payments):
        await net.pay()

    async def executed() -> bool:
        return await front.balance(net.bob) == before + payments

    await until(executed, front.is_asked)


@pytest.mark.parametrize("name", ODD)
async def test_two_of_three_go_on_when_one_is_odd(tmp_path, name):
    """Single payments, more than the organisations look at together, and a front at the gateway of the third."""
    maker = Second(ODD[name])
    async with world(tmp_path, make=maker, orgs=3, endorsement=TWO_OF_THREE) as net:
        await net.found()
        async with net.front() as front, net.front(3, delay_s=30) as third:
            await paid(net, front, 1)
            maker.is_odd = True
            await paid(net, front, 2)
            await paid(net, front, 2 * writer.LOOKED_MIN)
            maker.is_odd = False
            await paid(net, front, 1)
            height = (await front.status()).height
            await third.height_above(height)
            assert await third.block(height) == await front.block(height)
            assert await third.balance(net.bob) == RICH + 4 + 2 * writer.LOOKED_MIN


async def test_a_standby_writes_where_the_writers_own_peer_is_odd(tmp_path):
    """A gateway believes its own peer first: others have to step in."""
    maker = Second(ODD["differs"])
    async with world(tmp_path, make=maker, orgs=3, endorsement=TWO_OF_THREE) as net:
        await net.found()
        async with net.front(2) as second, net.front(3, delay_s=0.4) as third:
            await paid(net, second, 1)
            maker.is_odd = True
            await paid(net, third, 2)
            height = (await third.status()).height
            await second.height_above(height)
            assert await second.block(height) == await third.block(height)
            assert (await net.writers())[-1] == "Org3MSP"


@pytest.mark.parametrize("orgs", [1, 4])
async def test_one_organisation_or_four(tmp_path, orgs):
    async with world(tmp_path, orgs=orgs) as net:
        await net.found()
        async with net.front() as front:
            await paid(net, front, 2)
            assert set(await net.writers()) == {"Org1MSP"}
