"""The organisations' peers as processes beside the ledger's: one interpreter can't use two cores.

Messages over a pair of sockets, each with its length in 4 bytes before it: `PeerAsks` there, `PeerAnswers` back. What
is asked in one turn of the event loop shares a message.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import sys
from collections.abc import Sequence
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
from fabric_wire import fields

LOG = logging.getLogger("fabric_adapter.embedded")
HEAD = struct.Struct(">I")
READY = 0  # id of a peer's first answer
START_S, END_S, AGAIN_S = 60.0, 5.0, 1.0
Waiting: TypeAlias = "asyncio.Future[fabric_peer.PeerAnswer]"


def framed(message: Message) -> bytes:
    """With its length before it."""
    return _framed(message.SerializeToString())


def _framed(data: bytes) -> bytes:
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
        self._out: list[bytes] = []
        self._reading: asyncio.Task[None] | None = None

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
        await self.ended()

    async def ended(self) -> None:
        """Return when it has ended, or was never there."""
        if self._reading is not None:
            await asyncio.wait({self._reading})

    def ask(self, number: int, asked: bytes) -> Waiting:
        """Hand a PeerAsk over; ids are the caller's, each once. The answer is NoPeersError when the peer is gone."""
        loop = asyncio.get_running_loop()
        waiting: Waiting = loop.create_future()
        if self._reading is None or self._reading.done():
            waiting.set_exception(self._gone())
            return waiting
        self._waiting[number] = waiting
        if not self._out:
            loop.call_soon(self._flush)
        self._out.append(asked)
        return waiting

    def understood(self, found: fabric_peer.PeerAnswer) -> Answer:
        """An answer of this peer; raises ChaincodeRefusedError, ChaincodeFailedError."""
        if found.fault:
            raise ChaincodeFailedError(found.fault, (self.node.msp_id,))
        response = Response(status=found.status, message=found.message, payload=found.result)
        if response.status >= REFUSED:
            raise ChaincodeRefusedError(self.node, response)
        return Answer(response=response, payload=found.payload, signature=found.signature)

    async def heard(self, waiting: Waiting) -> Answer | ToolError:
        """What came of an ask: an answer, or why there is none."""
        try:
            return self.understood(await waiting)
        except (ChaincodeRefusedError, ChaincodeFailedError, NoPeersError) as error:
            return error

    def _flush(self) -> None:
        asks, self._out = self._out, []
        if not self._writer.is_closing():
            self._writer.write(_framed(b"".join([fields.message(1, ask) for ask in asks])))  # PeerAsks

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
    """All peers' processes, and what a gateway asks of them together. One that ends is started again."""

    def __init__(self, home: Home, plan: Plan, nodes: Sequence[Node]) -> None:
        self._home, self._numbers = home, count(READY + 1)
        self._orgs = {peer.msp_id: peer.org for peer in plan.peers}
        self._peers = {node.msp_id: PeerProcess(node) for node in nodes}
        self._keeping: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """All; raises ToolError when one can't."""
        await asyncio.gather(*(peer.start(self._home, self._orgs[name]) for name, peer in self._peers.items()))
        self._keeping = [asyncio.create_task(self._keep(name), name=f"keeper of {name}") for name in self._peers]

    async def close(self) -> None:
        """End all."""
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        await asyncio.gather(*(peer.close() for peer in self._peers.values()))

    async def _keep(self, name: str) -> None:
        """Start an organisation's peer again whenever it has ended; until it answers the others go on without it."""
        while True:
            await self._peers[name].ended()
            LOG.warning("peer of %s: expected it to go on, it ended; starting it again", name)
            await self._peers[name].close()
            self._peers[name] = PeerProcess(self._peers[name].node)
            try:
                await self._peers[name].start(self._home, self._orgs[name])
                LOG.warning("peer of %s: it is back", name)
            except (ToolError, OSError) as error:
                LOG.warning("%s", error)
                await asyncio.sleep(AGAIN_S)

    async def evaluate(self, endorsers: Endorsers, accepted: Accepted, wanted: Wanted) -> Response:
        """As `Endorsers.evaluate`; peers that are away are passed over too."""
        nodes, failed = endorsers.evaluators(accepted, wanted), []
        for node in nodes:
            (found,) = await self._asked([node], accepted.task, endorse=False)
            if isinstance(found, Answer):
                return found.response
            if isinstance(found, ChaincodeRefusedError):
                raise found
            failed.append(found)
        broken = [error for error in failed if isinstance(error, ChaincodeFailedError)]
        if not broken:
            raise failed[0]
        raise ChaincodeFailedError(broken[0].fault, tuple(node.msp_id for node in nodes))

    async def endorse(self, endorsers: Endorsers, accepted: Accepted, wanted: Wanted) -> Ready:
        """As `Endorsers.endorse`; the peers at the same time."""
        gathering = endorsers.gathering(accepted, wanted)
        while nodes := gathering.missing():
            for node, found in zip(nodes, await self._asked(nodes, accepted.task, endorse=True), strict=True):
                gathering.hear(node, found)
        return endorsers.together(accepted, *gathering.agreed())

    async def _asked(self, nodes: Sequence[Node], task: Task, *, endorse: bool) -> list[Answer | ToolError]:
        """What came of asking each peer."""
        number, peers = next(self._numbers), [self._peers[node.msp_id] for node in nodes]
        asked = _ask(number, task, endorse=endorse).SerializeToString()
        waiting = [peer.ask(number, asked) for peer in peers]
        try:
            with suppress(NoPeersError):  # heard of below
                await waiting[-1]  # the others have mostly answered by then: one turn for all of them
            return [await peer.heard(each) for peer, each in zip(peers, waiting, strict=True)]
        finally:
            for each in waiting:
                _drop(each)


def _drop(waiting: Waiting) -> None:
    """Nobody waits any more."""
    if not waiting.cancel() and not waiting.cancelled():
        waiting.exception()
