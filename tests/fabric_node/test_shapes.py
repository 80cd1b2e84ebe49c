"""Networks of other shapes than two organisations that both endorse."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, count

import pytest

from cosmos_wire.tx import body_of
from fabric_adapter.microgrid.chaincode import MicrogridChaincode
from fabric_adapter.node import attendance, writer
from fabric_adapter.proposal import Options as Asking
from fabric_adapter.stub import FAILED, OK, REFUSED, Response, Stub
from tests.fabric_node.world import RICH, Front, World, send, until, world

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
        self.ticks = 0  # executed since it was odd

    def __call__(self) -> MicrogridChaincode:
        return MicrogridChaincode() if next(self.numbers) != 2 else Strange(self)


class Strange(MicrogridChaincode):
    """Its answers are its maker's."""

    def __init__(self, maker: Second) -> None:
        super().__init__()
        self.maker = maker

    def invoke(self, stub: Stub) -> Response:
        if self.maker.is_odd:
            self.maker.ticks = 0
            return self.maker.odd(stub)
        answer = super().invoke(stub)
        self.maker.ticks += stub.args[0] == b"Tick" and answer.status == OK
        return answer


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


async def test_every_organisation_knows_the_last_state(tmp_path):
    """Where two of three are enough all three execute each Tick: what Bob was paid he can spend at any two."""
    async with world(tmp_path, orgs=3, endorsement=TWO_OF_THREE) as net:
        await net.found()
        async with net.front() as front:
            await paid(net, front, 1)
            await net.pay(RICH // 2)

            async def arrived() -> bool:
                return await front.balance(net.bob) > RICH + 1

            await until(arrived, front.is_asked)
            body = body_of([send(net.bob, net.alice, RICH + 2)])
            async with net.gateway("bob") as bob:
                for pair in combinations(("Org1MSP", "Org2MSP", "Org3MSP"), 2):
                    ready = await bob.endorse("microgrid", [b"Submit", body], Asking(organizations=pair))
                    assert len(ready.endorsements) == 2


async def test_an_organisation_that_was_away_executes_ticks_again(tmp_path, monkeypatch):
    monkeypatch.setattr(attendance, "PAUSES_S", (0.1,))
    maker = Second(ODD["breaks"])
    async with world(tmp_path, make=maker, orgs=3, endorsement=TWO_OF_THREE) as net:
        await net.found()
        async with net.front() as front:
            await paid(net, front, 1)
            maker.is_odd = True
            await paid(net, front, 1)
            assert maker.ticks == 0
            maker.is_odd = False

            async def ticks() -> bool:
                return maker.ticks > 2

            await until(ticks, front.is_asked)


@pytest.mark.parametrize("orgs", [1, 4])
async def test_one_organisation_or_four(tmp_path, orgs):
    async with world(tmp_path, orgs=orgs) as net:
        await net.found()
        async with net.front() as front:
            await paid(net, front, 2)
            assert set(await net.writers()) == {"Org1MSP"}
