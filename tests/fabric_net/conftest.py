"""One real network for the tests of a run, in the marker `fabric`; BSMG_FABRIC_HOME names one that is up already."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fabric_adapter.gateway import Checkpoint, Gateway, Patience, text_args
from fabric_adapter.network import lifecycle
from fabric_adapter.network.document import connect
from fabric_adapter.network.plan import Home, Wish

CHAINCODE = "microgrid"


@dataclass(frozen=True, slots=True)
class Net:
    """The network by its folder."""

    home: Home

    def client(self, org: int = 1, member: str = "user", patience: Patience | None = None) -> Gateway:
        """A member's client."""
        return connect(self.home.document, org, member, patience)

    async def kill(self, name: str) -> None:
        """SIGKILL."""
        await asyncio.to_thread(lifecycle.kill, self.home, name)

    async def restart(self, name: str) -> None:
        """Start again; back when it listens."""
        await lifecycle.restart(self.home, name)


def bring_up(home: Home, wish: Wish) -> None:
    """`up`, in the words of a test."""
    asyncio.run(lifecycle.up(lifecycle.Request(home=home, wish=wish, say=print)))


@pytest.fixture(scope="session")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    given = os.environ.get("BSMG_FABRIC_HOME")
    if given:
        yield Net(Home(Path(given).resolve()))
        return
    home = Home(tmp_path_factory.mktemp("fabric") / "net")
    bring_up(home, Wish())
    try:
        yield Net(home)
    finally:
        lifecycle.down(home, purge=True)


@pytest.fixture
async def client(net: Net) -> AsyncIterator[Gateway]:
    async with net.client() as made:
        yield made


def fresh(name: str) -> str:
    """A key that no other test has."""
    return f"{name}-{uuid.uuid4().hex[:12]}"


async def values_of(client: Gateway, name: str, start: Checkpoint, count: int) -> list[str]:
    """Payloads of the events of one name, until a marker that is sent now; more or fewer than `count` show."""
    marker = fresh("marker")
    await client.transact(CHAINCODE, text_args("emit", marker, "end", marker))
    found = []
    async for event in client.chaincode_events(CHAINCODE, start):
        if event.name == marker:
            break
        if event.name == name:
            found.append(event.payload.decode())
    assert len(found) == count
    return sorted(found)
