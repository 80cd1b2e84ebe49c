"""A network comes up, goes down without a trace, comes up again with what it knew, and says why when it can't."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any as Json

import pytest

from cosmos_wire.errors import ToolError
from fabric_adapter.gateway import text_args
from fabric_adapter.network import lifecycle, plan
from fabric_adapter.network.document import connect
from fabric_adapter.network.plan import Home, Wish
from processes import control, ports, procfs
from processes.files import read_json
from tests.fabric_net.conftest import CHAINCODE, bring_up

pytestmark = pytest.mark.fabric


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


def processes_of(home: Home) -> list[procfs.Identity]:
    doc = read_json(home.state)
    return [procfs.Identity.of_doc(item) for item in (doc["supervisor"], *doc["processes"].values())]


def ports_of(home: Home) -> list[int]:
    made = plan.read_plan(home)
    return [*made.orderer.values(), made.chaincode_port, *(port for peer in made.peers for port in peer.ports.values())]


def put(home: Home, key: str, value: str) -> None:
    async def run() -> None:
        async with connect(home.document) as client:
            await client.transact(CHAINCODE, text_args("put", key, value))

    asyncio.run(run())


def get(home: Home, key: str, org: int = 1) -> str:
    async def run() -> bytes:
        async with connect(home.document, org) as client:
            return await client.evaluate(CHAINCODE, text_args("get", key))

    return asyncio.run(run()).decode()


def test_up_and_down_twice_by_the_command_line(home: Home):
    place = ("--home", str(home.path))
    bsmg("up", "--detach", *place)
    put(home, "first", "1")
    first = processes_of(home)
    status: dict[str, Json] = json.loads(bsmg("status", "--json", *place))["processes"]
    assert [name for name, item in status.items() if item["alive"]] == ["orderer", "peer1", "peer2", "chaincode"]
    assert status["peer1"]["blocks"] >= 4
    bsmg("down", *place)
    assert not any(procfs.is_alive(identity) for identity in first)
    assert all(ports.is_free(port) for port in ports_of(home))

    bsmg("up", "--detach", *place)
    assert get(home, "first", 2) == "1"
    put(home, "second", "2")
    assert get(home, "second") == "2"
    second = processes_of(home)
    bsmg("down", "--purge", *place)
    assert not any(procfs.is_alive(identity) for identity in second)
    assert not home.path.exists()


def test_killed_as_a_whole_it_comes_up_with_all_it_knew(home: Home):
    bring_up(home, Wish(orgs=1))
    put(home, "kept", "1")
    identities = processes_of(home)
    for identity in identities:
        procfs.send(identity, signal.SIGKILL)
    assert all(procfs.wait_gone(identity, 10) for identity in identities)
    bring_up(home, Wish(orgs=1))
    assert get(home, "kept") == "1"


def test_one_of_three_organisations_is_enough_if_the_policy_says_so(home: Home):
    peers = [f"'Org{number}MSP.peer'" for number in (1, 2, 3)]
    bring_up(home, Wish(orgs=3, endorsement=f"OutOf(1, {', '.join(peers)})"))
    put(home, "k", "v")
    lifecycle.kill(home, "peer2")
    lifecycle.kill(home, "peer3")
    put(home, "k", "w")
    assert get(home, "k") == "w"


def test_a_new_member_can_act_at_once(home: Home):
    bring_up(home, Wish(orgs=1))
    bsmg("enroll", "cell-7", "--home", str(home.path))

    async def act() -> bytes:
        async with connect(home.document, 1, "cell-7") as client:
            return await client.evaluate(CHAINCODE, text_args("ping"))

    assert asyncio.run(act()) == b"pong"


def test_a_chaincode_that_is_not_there_ends_the_start_with_its_words(home: Home):
    with pytest.raises(ToolError, match="or MODULE:NAME that can be imported"):
        bring_up(home, Wish(factory="no.such.module:Thing"))
    assert not control.is_running(home)
    assert not any(procfs.is_alive(identity) for identity in processes_of(home))


def test_a_start_that_is_ended_leaves_nothing(home: Home):
    command = [sys.executable, "-m", "bsmg.cli.main", "fabric", "up", "--home", str(home.path)]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert started.stderr is not None
    for line in started.stderr:
        if "organisations" in line:  # files are written, processes are being started
            break
    os.kill(started.pid, signal.SIGTERM)
    started.communicate(timeout=60)
    assert started.returncode == 1
    assert not control.is_running(home)
    assert not any(procfs.is_alive(identity) for identity in processes_of(home) if home.state.exists())
