"""The organisations' peers as processes beside the ledger's: one interpreter can't use two cores.

Messages over a pair of sockets, each with its length in 4 bytes before it: `PeerAsks` there, `PeerAnswers` back. What
is asked in one turn of the event loop shares a message.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import TypeAlias

import grpc

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Message, fabric_peer
from fabric_adapter.embedded.endorser import Accepted, Endorsers, Ready, Wanted
from fabric_adapter.embedded.network import Node
from fabric_adapter.embedded.peer import Answer, Task
from fabric_adapter.embedded.refusals import ChaincodeFailedError, ChaincodeRefusedError, NoPeersError
from fabric_adapter.network.plan import Home, Plan
from fabric_adapter.stub import REFUSED, Invoked, Response

HEAD = struct.Struct(">I")
READY = 0  # id of a peer's first answer
START_S, END_S = 60.0, 5.0
Waiting: TypeAlias = "asyncio.Future[fabric_peer.PeerAnswer]"


def framed(message: Message) -> bytes:
    """With its length before it."""
    data = message.SerializeToString()
    return HEAD.pack(len(data)) + data


def task_of(ask: fabric_peer.PeerAsk) -> Task:
    """What a peer is to run."""
    call = Invoked(
        channel_id=ask.channel_id,
        tx_id=ask.tx_id,
        timestamp_ns=int(ask.time_ns),
        creator=ask.creator,
        args=tuple(ask.args),
    )
    return Task(chaincode=ask.chaincode, call=call, proposal_hash=ask.proposal_hash)


def _ask(number: int, task: Task, *, endorse: bool) -> fabric_peer.PeerAsk:
    call = task.call
    return fabric_peer.PeerAsk(
        id=number,
        endorse=endorse,
        channel_id=call.channel_id,
        chaincode=task.chaincode,
        tx_id=call.tx_id,
        time_ns=str(call.timestamp_ns),
        creator=call.creator,
        args=call.args,
        proposal_hash=task.proposal_hash,
    )


class PeerProcess:
    """One peer; everything is its event loop's."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: dict[int, Waiting] = {}
        self._out: list[fabric_peer.PeerAsk] = []

    async def start(self, home: Home, org: str) -> None:
        """Back when it answers; raises ToolError when it can't."""
        ours, theirs = socket.socketpair()
        with theirs:
            argv = ("-m", "fabric_adapter.embedded.peer_process", "--home", str(home.path), "--org", org)
            self._reader, self._writer = await asyncio.open_connection(sock=ours)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *argv, "--fd", str(theirs.fileno()), pass_fds=(theirs.fileno(),)
            )
        ready = self._waiting[READY] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read(), name=f"peer of {self.node.msp_id}")
        try:
            async with asyncio.timeout(START_S):
                fault = (await ready).fault
        except TimeoutError:
            fault = f"no answer within {START_S:g} s"
        if fault:
            raise ToolError(f"peer of {self.node.msp_id}: {fault}")

    async def close(self) -> None:
        """End it, if it was started."""
        if self._process is None:
            return
        self._writer.close()
        try:
            async with asyncio.timeout(END_S):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def ended(self) -> None:
        """Return when it has ended."""
        await asyncio.wait({self._reading})

    def ask(self, ask: fabric_peer.PeerAsk) -> Waiting:
        """Hand it over; ids are the caller's, each once. Raises NoPeersError when the peer is gone."""
        if self._reading.done():
            raise self._gone()
        loop = asyncio.get_running_loop()
        waiting = self._waiting[ask.id] = loop.create_future()
        if not self._out:
            loop.call_soon(self._flush)
        self._out.append(ask)
        return waiting

    def understood(self, found: fabric_peer.PeerAnswer) -> Answer:
        """An answer of this peer; raises ChaincodeRefusedError, ChaincodeFailedError."""
        if found.fault:
            raise ChaincodeFailedError(found.fault, (self.node.msp_id,))
        response = Response(status=found.status, message=found.message, payload=found.result)
        if response.status >= REFUSED:
            raise ChaincodeRefusedError(self.node, response)
        return Answer(response=response, payload=found.payload, signature=found.signature)

    def _flush(self) -> None:
        asks, self._out = self._out, []
        if not self._writer.is_closing():
            self._writer.write(framed(fabric_peer.PeerAsks(asks=asks)))

    async def _read(self) -> None:
        try:
            while True:
                (size,) = HEAD.unpack(await self._reader.readexactly(HEAD.size))
                data = await self._reader.readexactly(size)
                for answer in fabric_peer.PeerAnswers.FromString(data).answers:
                    waiting = self._waiting.pop(answer.id, None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(answer)
        except (asyncio.IncompleteReadError, OSError):
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(self._gone())

    def _gone(self) -> NoPeersError:
        return NoPeersError(grpc.StatusCode.UNAVAILABLE, f"peer of {self.node.msp_id}: expected it to go on, it ended")


class Apart:
    """All peers' processes, and what a gateway asks of them together."""

    def __init__(self, home: Home, plan: Plan, nodes: Sequence[Node]) -> None:
        self._home, self._numbers = home, count(READY + 1)
        self._orgs = {peer.msp_id: peer.org for peer in plan.peers}
        self._peers: Mapping[str, PeerProcess] = {node.msp_id: PeerProcess(node) for node in nodes}

    async def start(self) -> None:
        """All; raises ToolError when one can't."""
        await asyncio.gather(*(peer.start(self._home, self._orgs[name]) for name, peer in self._peers.items()))

    async def close(self) -> None:
        """End all."""
        await asyncio.gather(*(peer.close() for peer in self._peers.values()))

    async def ended(self) -> str:
        """Wait until one has ended; whose it is."""
        tasks = {asyncio.create_task(peer.ended()): name for name, peer in self._peers.items()}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        return tasks[done.pop()]

    async def evaluate(self, endorsers: Endorsers, accepted: Accepted, wanted: Wanted) -> Response:
        """As `Endorsers.evaluate`."""
        nodes, failed = endorsers.evaluators(accepted, wanted), []
        for node in nodes:
            try:
                return (await self._asked([node], accepted.task, endorse=False))[0].response
            except ChaincodeFailedError as error:
                failed.append(error)
        raise ChaincodeFailedError(failed[0].fault, tuple(node.msp_id for node in nodes))

    async def endorse(self, endorsers: Endorsers, accepted: Accepted, wanted: Wanted) -> Ready:
        """As `Endorsers.endorse`; all peers at the same time."""
        nodes = endorsers.endorsers(accepted, wanted)
        return endorsers.together(accepted, nodes, await self._asked(nodes, accepted.task, endorse=True))

    async def _asked(self, nodes: Sequence[Node], task: Task, *, endorse: bool) -> list[Answer]:
        """The answers of their peers; raises what the first of them refuses with."""
        ask, peers = _ask(next(self._numbers), task, endorse=endorse), [self._peers[node.msp_id] for node in nodes]
        waiting = [peer.ask(ask) for peer in peers]
        try:
            return [peer.understood(await each) for peer, each in zip(peers, waiting, strict=True)]
        finally:
            for each in waiting:
                _drop(each)


def _drop(waiting: Waiting) -> None:
    """Nobody waits any more."""
    if not waiting.cancel() and not waiting.cancelled():
        waiting.exception()
