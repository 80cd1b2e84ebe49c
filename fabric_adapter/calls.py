"""How a client's calls reach a gateway: each by itself, or many on one stream where the gateway offers that.

A real peer serves `gateway.Gateway`; an embedded ledger also takes the same calls on one stream
(`bsmg.fabric.v1.GatewayCalls`), where calls that are made at the same time share messages. A client asks once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any as Untyped
from typing import Generic, TypeVar

import grpc

from cosmos_wire.protos import fabric_calls
from fabric_adapter.errors import DETAILS_KEY, NodeSaid, read_details
from fabric_wire import fields
from fabric_wire.protos import Message, gateway

A = TypeVar("A", bound=Message)
LOG = logging.getLogger(__name__)

CONNECT = "/bsmg.fabric.v1.GatewayCalls/Connect"
SERVICE, CONNECT_NAME = "bsmg.fabric.v1.GatewayCalls", "Connect"
BATCH_BYTES = 1 << 20  # a message holds this much and its last call
BUSY, LINGER_S = 16, 0.002
HANDFUL = 32  # of a message's calls, or answers, are taken up in one turn of the event loop
GIVE_UP = ""
LOST = "the stream of calls ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method(Generic[A]):
    """A call that gateways take."""

    name: str
    answer: type[A]

    @property
    def path(self) -> str:
        """As a gRPC method."""
        return f"/gateway.Gateway/{self.name}"


EVALUATE = Method(name="Evaluate", answer=gateway.EvaluateResponse)
ENDORSE = Method(name="Endorse", answer=gateway.EndorseResponse)
SUBMIT = Method(name="Submit", answer=gateway.SubmitResponse)
STATUS = Method(name="CommitStatus", answer=gateway.CommitStatusResponse)
SETTLE = Method(name="Settle", answer=gateway.CommitStatusResponse)  # on a stream only


class CallError(Exception):
    """A call failed: a gRPC status, and what the nodes said."""

    def __init__(self, code: grpc.StatusCode, message: str, nodes: tuple[NodeSaid, ...] = ()) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code, self.message, self.nodes = code, message, nodes


CODES = {code.value[0]: code for code in grpc.StatusCode}


def call_error(error: grpc.aio.AioRpcError) -> CallError:
    """Out of gRPC's own."""
    raw = [value for key, value in error.trailing_metadata() or () if key == DETAILS_KEY and isinstance(value, bytes)]
    return CallError(error.code(), error.details() or "", read_details(raw))


class Lines:
    """One gateway's calls on one connection."""

    def __init__(self, connection: grpc.aio.Channel) -> None:
        self._connection = connection
        self._opening = asyncio.Lock()
        self._stream: Stream | None = None
        self._offered: bool | None = None  # None until the gateway was asked
        self._alone_by: dict[str, Callable[..., Untyped]] = {}

    async def close(self) -> None:
        """End the stream; the connection is its owner's."""
        if self._stream is not None:
            await self._stream.close()

    async def call(self, method: Method[A], request: Message, timeout_s: float) -> A:
        """The answer; raises CallError."""
        stream = self._stream if self._stream is not None and self._stream.is_open else await self._open(timeout_s)
        if stream is None:
            return await self._alone(method, request, timeout_s)
        answer = await stream.call(method.name, request.SerializeToString(), timeout_s)
        if answer.code:
            code = CODES.get(answer.code, grpc.StatusCode.UNKNOWN)
            raise CallError(code, answer.message, read_details([answer.details]))
        return method.answer.FromString(answer.response)

    async def takes_streams(self, timeout_s: float) -> bool:
        """Whether the gateway offers a stream; raises CallError when nobody answers."""
        if self._stream is None or not self._stream.is_open:
            await self._open(timeout_s)
        return self._offered is True

    @property
    def is_streaming(self) -> bool:
        """Whether there is a stream just now."""
        return self._stream is not None and self._stream.is_open

    async def _alone(self, method: Method[A], request: Message, timeout_s: float) -> A:
        ask = self._alone_by.get(method.name)
        if ask is None:
            ask = self._connection.unary_unary(method.path, type(request).SerializeToString, method.answer.FromString)
            self._alone_by[method.name] = ask
        try:
            answer: A = await ask(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise call_error(error) from error
        return answer

    async def _open(self, timeout_s: float) -> Stream | None:
        """A stream that works, None where there are none."""
        if self._offered is False:
            return None
        async with self._opening:
            if self._stream is not None and self._stream.is_open:
                return self._stream
            opened = Stream(self._connection)
            try:
                async with asyncio.timeout(timeout_s):
                    await opened.open()
            except grpc.aio.AioRpcError as error:
                await opened.close()
                if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                    raise call_error(error) from error
                self._offered = False
                return None
            except TimeoutError as error:
                await opened.close()
                raise CallError(grpc.StatusCode.DEADLINE_EXCEEDED, "the stream of calls did not open") from error
            self._stream, self._offered = opened, True
            return opened


class Stream:
    """Calls under way on one stream."""

    def __init__(self, connection: grpc.aio.Channel) -> None:
        ask: Untyped = connection.stream_stream(CONNECT, None, fabric_calls.Answers.FromString)
        self._line: Untyped = ask()
        self._waiting: dict[int, asyncio.Future[fabric_calls.Answer]] = {}
        self._numbers = count(1)
        self._out: list[bytes] = []
        self._more = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.is_open = False

    async def open(self) -> None:
        """Wait for the other side's first word; raises AioRpcError."""
        if await self._line.read() is grpc.aio.EOF:
            raise CallError(grpc.StatusCode.UNAVAILABLE, LOST)
        self.is_open = True
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    async def close(self) -> None:
        """End it; whoever waits hears so."""
        self._line.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lose()

    async def call(self, method: str, request: bytes, timeout_s: float) -> fabric_calls.Answer:
        """The answer, which may be a failure; raises CallError when none comes."""
        if not self.is_open:
            raise CallError(grpc.StatusCode.UNAVAILABLE, LOST)
        number, loop = next(self._numbers), asyncio.get_running_loop()
        waiting: asyncio.Future[fabric_calls.Answer] = loop.create_future()
        self._waiting[number] = waiting
        self._put(call_bytes(number, method, request))
        late = loop.call_later(timeout_s, _expire, waiting, timeout_s)  # half of what a timeout's context costs
        try:
            return await waiting
        finally:
            late.cancel()
            if self._waiting.pop(number, None) is not None:
                self._put(call_bytes(number, GIVE_UP))

    def _put(self, call: bytes) -> None:
        self._out.append(call)
        self._more.set()

    async def _write(self) -> None:
        """Send what has gathered while the last message left."""
        try:
            while True:
                await self._more.wait()
                await asyncio.sleep(linger_s(len(self._waiting)))  # whoever is about to call joins this message
                self._more.clear()
                for batch in batches(self._out):
                    await self._line.write(batch)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            LOG.debug("stream of calls: %s", error)  # those who wait hear of it
        finally:
            self._lose()

    async def _read(self) -> None:
        try:
            while (found := await self._line.read()) is not grpc.aio.EOF:
                for place, answer in enumerate(found.answers, 1):
                    waiting = self._waiting.pop(answer.id, None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(answer)
                    if place % HANDFUL == 0:
                        await asyncio.sleep(0)  # their next calls are on the way while the others are told
        except grpc.aio.AioRpcError as error:
            LOG.debug("stream of calls: %s", error)
        finally:
            self._lose()

    def _lose(self) -> None:
        self.is_open = False
        lost, self._waiting = self._waiting, {}
        for waiting in lost.values():
            if not waiting.done():
                waiting.set_exception(CallError(grpc.StatusCode.UNAVAILABLE, LOST))


def _expire(waiting: asyncio.Future[fabric_calls.Answer], timeout_s: float) -> None:
    if not waiting.done():
        waiting.set_exception(CallError(grpc.StatusCode.DEADLINE_EXCEEDED, f"no answer within {timeout_s:g} s"))


def linger_s(under_way: int) -> float:
    """How long a message waits for company: a message costs as much as several calls, and time is short when idle."""
    return LINGER_S if under_way >= BUSY else 0


def call_bytes(number: int, method: str, request: bytes = b"") -> bytes:
    """A Call."""
    return fields.number(1, number) + fields.data(2, method.encode()) + fields.data(3, request)


def answer_bytes(number: int, response: bytes) -> bytes:
    """The Answer to a call that went well."""
    return fields.number(1, number) + fields.data(2, response)


def batches(out: list[bytes]) -> list[bytes]:
    """What is to be sent, emptied, in messages of about BATCH_BYTES: Calls of Call, or Answers of Answer."""
    found: list[list[bytes]] = []
    size = BATCH_BYTES
    for item in out:
        if size >= BATCH_BYTES:
            found.append([])
            size = 0
        found[-1].append(fields.message(1, item))
        size += len(item)
    out.clear()
    return [b"".join(batch) for batch in found]
