"""Peers in processes of their own: they answer as peers of one process do, are kept, and end with the ledger."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import fabric_peer
from fabric_adapter.embedded import apart, peer_process
from fabric_adapter.embedded.peer import Answer, Task
from fabric_adapter.embedded.refusals import ChaincodeFailedError, ChaincodeRefusedError
from fabric_adapter.errors import EndorseError, EvaluateError
from fabric_adapter.gateway import Patience, text_args
from fabric_adapter.network import document
from fabric_adapter.network.plan import Home, read_plan
from fabric_adapter.proposal import Options
from fabric_adapter.stub import Invoked, Response
from fabric_wire.x509 import read_identity
from processes import procfs
from processes.watch import accepts
from tests.fabric_embedded.test_gateway import home, ledger  # noqa: F401  (a fixture)
from tests.fabric_embedded.world import make_org

NODE = make_org("Org1MSP").node("peer")
ORGS = ["Org1MSP", "Org2MSP"]
TWO_OF_THREE = "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')"


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found += map(int, (task / "children").read_text().split())
    return found


def peers_of(pid: int) -> list[procfs.Identity]:
    """Processes of peers below a process."""
    named = [child for child in children(pid) if b"peer_process" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return [found for found in map(procfs.identify, named) if found is not None]


async def test_all_organisations_endorse_in_their_processes(home):  # noqa: F811
    async with ledger(home, None), document.connect(home.document, 2) as two:
        assert len(peers_of(os.getpid())) == 2
        ready = await two.endorse("microgrid", text_args("put", "a", "1"))
        assert sorted(read_identity(endorser).msp_id for endorser, _ in ready.endorsements) == ORGS
        assert (await two.settle(ready)).validation_code == 0
        for org in ORGS:  # each sees what the ledger's process has committed
            assert await two.evaluate("microgrid", text_args("get", "a"), Options(organizations=[org])) == b"1"
    assert peers_of(os.getpid()) == []


async def test_many_at_a_time(home):  # noqa: F811
    async with ledger(home, None), document.connect(home.document) as one, document.connect(home.document, 2) as two:
        sent = [(one, two)[n % 2].transact("microgrid", text_args("put", f"k{n}", str(n))) for n in range(200)]
        assert {done.validation_code for done in await asyncio.gather(*sent)} == {0}
        asked = [one.evaluate("microgrid", text_args("get", f"k{n}")) for n in range(200)]
        assert await asyncio.gather(*asked) == [b"%d" % n for n in range(200)]


async def test_a_chaincode_that_breaks_is_one_peers_words(home):  # noqa: F811
    async with ledger(home, None), document.connect(home.document) as one:
        with pytest.raises(EndorseError, match="failed to endorse") as broken:
            await one.endorse("microgrid", text_args("fail", "over nothing"))
        assert "transaction returned with failure: RuntimeError: over nothing" in broken.value.nodes[0].message
        with pytest.raises(EvaluateError) as asked:
            await one.evaluate("microgrid", text_args("fail", "over nothing"))
        assert [said.msp_id for said in asked.value.nodes] == ORGS
        assert (await one.transact("microgrid", text_args("put", "a", "1"))).validation_code == 0


async def killed(org: str) -> procfs.Identity:
    """The peer of an organisation, killed and gone."""
    (found,) = (each for each in peers_of(os.getpid()) if org.encode() in cmdline(each.pid))
    procfs.send(found, signal.SIGKILL)
    assert await asyncio.to_thread(procfs.wait_gone, found, 30)
    return found


def cmdline(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


async def test_a_peer_that_is_killed_is_started_again(home):  # noqa: F811
    """Its organisation can't endorse meanwhile; the ledger, the clients and the other peers stay."""
    async with ledger(home, None) as serving, document.connect(home.document) as one:
        (other,) = (each for each in peers_of(os.getpid()) if b"org1" in cmdline(each.pid))
        gone = await killed("org2")
        done = await one.transact("microgrid", text_args("put", "a", "1"))  # waits for both organisations
        assert done.validation_code == 0
        now = peers_of(os.getpid())
        assert len(now) == 2
        assert other in now
        assert gone not in now
        assert not serving.done()


async def test_two_of_three_go_on_while_one_is_away(home, monkeypatch):  # noqa: F811
    """A peer that can't be started: whoever else satisfies the policy endorses and answers."""
    hasty = Patience(total_s=0.0, first_s=0.0, longest_s=0.0)
    async with ledger(home, None, TWO_OF_THREE, 3), document.connect(home.document, patience=hasty) as one:
        monkeypatch.setattr(apart.PeerProcess, "start", refuse_to_start)
        await killed("org2")
        for number in range(3):
            ready = await one.endorse("microgrid", text_args("put", f"k{number}", "1"))
            assert [read_identity(each).msp_id for each, _ in ready.endorsements] == ["Org1MSP", "Org3MSP"]
            assert (await one.settle(ready)).validation_code == 0
        with pytest.raises(EndorseError, match=r"UNAVAILABLE.*peer of Org2MSP: expected it to go on, it ended"):
            await one.endorse("microgrid", text_args("put", "k", "1"), Options(organizations=["Org1MSP", "Org2MSP"]))
        with pytest.raises(EvaluateError, match=r"UNAVAILABLE.*peer of Org2MSP"):
            await one.evaluate("microgrid", text_args("get", "k1"), Options(organizations=["Org2MSP"]))
        assert await one.evaluate("microgrid", text_args("get", "k1")) == b"1"


async def refuse_to_start(self: apart.PeerProcess, *_: object) -> None:
    raise OSError(f"no process for {self.node.msp_id}")


async def test_peers_end_with_a_ledger_that_is_killed(home):  # noqa: F811
    async with ledger(home, None):
        pass  # made its files
    argv = (sys.executable, "-m", "fabric_adapter.embedded", "--home", str(home.path))
    process = await asyncio.create_subprocess_exec(*argv)
    try:
        await asyncio.gather(*(accepts(f"tcp://{peer.address}") for peer in read_plan(home).peers))
        found = peers_of(process.pid)
        assert len(found) == 2
    finally:
        process.kill()
        await process.wait()
    assert all(procfs.wait_gone(each, 30) for each in found)


async def test_a_peer_that_cannot_start_says_why(home):  # noqa: F811
    peer = apart.PeerProcess(NODE)
    with pytest.raises(ToolError, match=r"peer of Org1MSP: .*plan.json"):
        await peer.start(Home(home.path / "nowhere"), "org1")
    await peer.close()


# messages


class Told:
    """A peer that says what it is told to."""

    def __init__(self, *answers) -> None:
        self.left, self.asked = list(answers), []

    def endorse(self, task):
        self.asked.append(task)
        found = self.left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    evaluate = endorse


tasks = st.builds(
    Task,
    chaincode=st.text(max_size=5),
    proposal_hash=st.binary(max_size=32),
    call=st.builds(
        Invoked,
        channel_id=st.text(max_size=5),
        tx_id=st.text(max_size=5),
        timestamp_ns=st.integers(-(1 << 100), 1 << 100),
        creator=st.binary(max_size=5),
        args=st.lists(st.binary(max_size=5), max_size=3).map(tuple),
    ),
)


@given(task=tasks, endorse=st.booleans())
def test_a_task_comes_over_as_it_is(task, endorse):
    sent = fabric_peer.PeerAsk.FromString(apart._ask(7, task, endorse=endorse).SerializeToString())
    assert (apart.task_of(sent), sent.id, sent.endorse) == (task, 7, endorse)


async def test_every_answer_finds_who_asked():
    """More than a handful in one message; refusals and failures among them."""
    answers = [Answer(response=Response(payload=b"%d" % n), payload=b"p%d" % n, signature=b"s") for n in range(20)]
    refusal = ChaincodeRefusedError(NODE, Response(status=400, message="no", payload=b"why"))
    told = Told(*answers, refusal, ChaincodeFailedError("it broke", ("Org1MSP",)))
    ours, theirs = socket.socketpair()
    serving = asyncio.create_task(asyncio.to_thread(peer_process.serve, theirs, told))
    peer = apart.PeerProcess(NODE)
    peer._reader, peer._writer = await asyncio.open_connection(sock=ours)
    peer._reading = asyncio.create_task(peer._read())
    asks = [fabric_peer.PeerAsk(id=n + 1, endorse=True, chaincode=str(n), time_ns="1") for n in range(22)]
    found = await asyncio.gather(*(peer.ask(each.id, each.SerializeToString()) for each in asks))
    assert [peer.understood(each) for each in found[:20]] == answers
    assert [task.chaincode for task in told.asked] == [str(n) for n in range(22)]
    with pytest.raises(ChaincodeRefusedError) as refused:
        peer.understood(found[20])
    assert refused.value.response == refusal.response
    with pytest.raises(ChaincodeFailedError) as broken:
        peer.understood(found[21])
    assert (broken.value.fault, broken.value.msp_ids) == ("it broke", ("Org1MSP",))
    assert peer._waiting == {}
    theirs.shutdown(socket.SHUT_RDWR)
    await serving
    await peer.ended()
    with pytest.raises(ToolError, match="peer of Org1MSP: expected it to go on, it ended"):
        await peer.ask(asks[0].id, asks[0].SerializeToString())
    theirs.close()
    peer._writer.close()
