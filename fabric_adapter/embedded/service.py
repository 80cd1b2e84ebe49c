"""Fabric's `gateway.Gateway` service on the embedded ledger, so that one client serves both back ends; and the same
calls on one stream (`fabric_adapter.calls`), which costs a fraction where many are under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import grpc

from cosmos_wire.protos import fabric_calls
from fabric_adapter.calls import (
    CONNECT_NAME,
    ENDORSE,
    EVALUATE,
    GIVE_UP,
    HANDFUL,
    SERVICE,
    SETTLE,
    STATUS,
    SUBMIT,
    answer_bytes,
    batches,
    linger_s,
)
from fabric_adapter.embedded.desk import Desk, RefusedError
from fabric_adapter.errors import DETAILS_KEY
from fabric_wire.protos import DecodeError, Message, gateway
from fabric_wire.services import gateway_services

T = TypeVar("T", bound=Message)
Context = grpc.aio.ServicerContext[Message, Message]
StreamContext = grpc.aio.ServicerContext[fabric_calls.Calls, bytes]
CALLS_MAX = 10_000  # under way on one stream


class GatewayService(gateway_services.GatewayServicer):
    """Evaluate, Endorse, Submit, CommitStatus, ChaincodeEvents."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def Evaluate(self, request: gateway.EvaluateRequest, context: Context) -> gateway.EvaluateResponse:
        """A chaincode's answer, or a system chaincode's."""
        return await _answered(context, self._desk.evaluate(request))

    async def Endorse(self, request: gateway.EndorseRequest, context: Context) -> gateway.EndorseResponse:
        """An envelope's payload, for the client to sign."""
        return await _answered(context, self._desk.endorse(request))

    async def Submit(self, request: gateway.SubmitRequest, context: Context) -> gateway.SubmitResponse:
        """To the orderer."""
        return await _answered(context, self._desk.submit(request))

    async def CommitStatus(
        self, request: gateway.SignedCommitStatusRequest, context: Context
    ) -> gateway.CommitStatusResponse:
        """The verdict, as soon as there is one."""
        return await _answered(context, self._desk.commit_status(request))

    async def ChaincodeEvents(
        self, request: gateway.SignedChaincodeEventsRequest, context: Context
    ) -> AsyncIterator[gateway.ChaincodeEventsResponse]:
        """Events of valid transactions."""
        try:
            async for found in self._desk.events(request):
                yield found
        except RefusedError as refusal:
            await _abort(context, refusal)


async def _answered(context: Context, work: Awaitable[T]) -> T:
    try:
        return await work
    except RefusedError as refusal:
        await _abort(context, refusal)


async def _abort(context: Context, refusal: RefusedError) -> NoReturn:
    if refusal.details:
        context.set_trailing_metadata(((DETAILS_KEY, refusal.details),))
    await context.abort(refusal.code, refusal.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A method on a stream: what it takes and who does it."""

    request: type[Message]
    work: Callable[..., Awaitable[Message]]


def methods(desk: Desk) -> Mapping[str, Served]:
    """By the name that a call carries."""
    return {
        EVALUATE.name: Served(request=gateway.EvaluateRequest, work=desk.evaluate),
        ENDORSE.name: Served(request=gateway.EndorseRequest, work=desk.endorse),
        SUBMIT.name: Served(request=gateway.SubmitRequest, work=desk.submit),
        STATUS.name: Served(request=gateway.SignedCommitStatusRequest, work=desk.commit_status),
        SETTLE.name: Served(request=gateway.SubmitRequest, work=desk.settle),
    }


def stream_handlers(desk: Desk) -> grpc.GenericRpcHandler:
    """`bsmg.fabric.v1.GatewayCalls`."""
    served = methods(desk)

    async def connect(_: object, context: StreamContext) -> None:
        await CallStream(served, context).run()

    handler = grpc.stream_stream_rpc_method_handler(  # type: ignore[no-untyped-call]  # grpcio ships no types
        connect, fabric_calls.Calls.FromString, None
    )
    made: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(SERVICE, {CONNECT_NAME: handler})  # type: ignore[no-untyped-call]  # as above
    return made


class CallStream:
    """One client's stream: every call is a task, and answers that are ready at the same time leave together."""

    def __init__(self, served: Mapping[str, Served], context: StreamContext) -> None:
        self._served, self._context = served, context
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._out: list[bytes] = []
        self._more = asyncio.Event()

    async def run(self) -> None:
        """Until the client ends it."""
        await self._context.write(b"")  # Answers without any
        writer = asyncio.create_task(self._write())
        try:
            while isinstance(batch := await self._context.read(), fabric_calls.Calls):
                for place, call in enumerate(batch.calls, 1):
                    self._begin(call)
                    if place % HANDFUL == 0:
                        await asyncio.sleep(0)  # peers begin with these while the others are read
        finally:
            for task in (writer, *self._tasks.values()):
                task.cancel()

    def _begin(self, call: fabric_calls.Call) -> None:
        if call.method == GIVE_UP:
            if (given_up := self._tasks.get(call.id)) is not None:
                given_up.cancel()
        elif call.id in self._tasks or len(self._tasks) >= CALLS_MAX:
            refusal = RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, f"at most {CALLS_MAX} calls, each with an id")
            self._put(failed(call.id, refusal))
        else:
            task = asyncio.create_task(self._answer(call))
            self._tasks[call.id] = task
            task.add_done_callback(lambda _: self._tasks.pop(call.id, None))

    async def _answer(self, call: fabric_calls.Call) -> None:
        try:
            found = await self._result(call)
            self._put(answer_bytes(call.id, found.SerializeToString()))
        except RefusedError as refusal:
            self._put(failed(call.id, refusal))

    async def _result(self, call: fabric_calls.Call) -> Message:
        served = self._served.get(call.method)
        if served is None:
            raise RefusedError(grpc.StatusCode.UNIMPLEMENTED, f"method: expected one of {', '.join(self._served)}")
        try:
            request = served.request.FromString(call.request)
        except DecodeError as error:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"{call.method}: {error}") from error
        return await served.work(request)

    def _put(self, answer: bytes) -> None:
        self._out.append(answer)
        self._more.set()

    async def _write(self) -> None:
        while True:
            await self._more.wait()
            await asyncio.sleep(linger_s(len(self._tasks)))  # answers that are ready soon share the message
            self._more.clear()
            for batch in batches(self._out):
                await self._context.write(batch)


def failed(number: int, refusal: RefusedError) -> bytes:
    """The Answer that a refusal is on a stream."""
    code = refusal.code.value[0]
    return fabric_calls.Answer(
        id=number, code=code, message=refusal.message, details=refusal.details
    ).SerializeToString()
