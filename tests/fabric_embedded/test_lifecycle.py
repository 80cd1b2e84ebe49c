"""The embedded ledger as a supervised process: up, killed, restarted, down and up again with all it knew."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabric_adapter.gateway import text_args
from fabric_adapter.network import lifecycle
from fabric_adapter.network.document import connect
from fabric_adapter.network.plan import Home
from processes import control, procfs

pytestmark = pytest.mark.e2e

CHAINCODE = "microgrid"
IN_FLIGHT, BEFORE_THE_KILL = 40, 5


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    place = Home(tmp_path / "net")
    yield place
    if place.specs.exists():
        lifecycle.down(place, purge=True)


def bsmg(*arguments: str) -> str:
    command = [sys.executable, "-m", "bsmg.cli.main", "fabric", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


async def flight(home: Home) -> None:
    """Transactions under way while the ledger is killed and started again: each valid once."""
    landed = asyncio.Event()
    count = 0

    async def one(number: int) -> None:
        nonlocal count
        await client.transact(CHAINCODE, text_args("put", f"k{number}", str(number)))
        count += 1
        if count >= BEFORE_THE_KILL:
            landed.set()

    async with connect(home.document, 2) as client:
        flights = [asyncio.create_task(one(number)) for number in range(IN_FLIGHT)]
        await landed.wait()
        await asyncio.to_thread(lifecycle.kill, home, "ledger")
        await lifecycle.restart(home, "ledger")
        await asyncio.gather(*flights)
        rows = json.loads(await client.evaluate(CHAINCODE, text_args("range", "k", "l")))
        assert len(rows) == IN_FLIGHT


async def kept(home: Home) -> None:
    async with connect(home.document, 1, "cell-7") as client:
        assert await client.evaluate(CHAINCODE, text_args("get", "k7")) == b"7"


def test_up_killed_down_and_up_again(home: Home):
    place = ("--home", str(home.path))
    bsmg("up", "--embedded", "--detach", *place)
    bsmg("enroll", "cell-7", *place)
    asyncio.run(flight(home))
    status = json.loads(bsmg("status", "--json", *place))["processes"]
    assert [(name, item["alive"]) for name, item in status.items()] == [("ledger", True)]
    assert status["ledger"]["blocks"] > 1
    identities = control.recorded(home)
    bsmg("down", *place)
    assert not any(procfs.is_alive(identity) for identity in identities)

    bsmg("up", "--detach", *place)
    asyncio.run(kept(home))
    bsmg("down", "--purge", *place)
    assert not home.path.exists()


def test_a_chaincode_that_is_not_there_ends_the_start_with_its_words(home: Home):
    command = [sys.executable, "-m", "bsmg.cli.main", "fabric", "up", "--embedded", "--home", str(home.path)]
    done = subprocess.run(
        [*command, "--chaincode", "no.such.module:Thing"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "expected keyvalue, microgrid or MODULE:NAME that can be imported" in done.stderr
    assert not control.is_running(home)
