"""Calls on one stream: they share messages, each has its own answer, and none is left without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_wire.protos import fabric_calls
from fabric_adapter.calls import EVALUATE, STATUS, CallError, Lines, Method, answer_bytes, batches, call_bytes
from fabric_adapter.embedded.desk import RefusedError
from fabric_adapter.embedded.service import stream_handlers
from fabric_adapter.identity import open_channel
from fabric_wire import strict
from fabric_wire.protos import gateway, proposal_response

GUARD_S = 60.0  # against standing still, not a measurement
CODE = grpc.StatusCode


def answer(text: str) -> gateway.EvaluateResponse:
    return gateway.EvaluateResponse(result=proposal_response.Response(payload=text.encode()))


class FakeDesk:
    """Echoes the transaction id of an evaluation; a status never comes."""

    def __init__(self) -> None:
        self.given_up = asyncio.Event()
        self.waiting = asyncio.Event()

    async def evaluate(self, request: gateway.EvaluateRequest) -> gateway.EvaluateResponse:
        if request.transaction_id == "no":
            raise RefusedError(CODE.ABORTED, "not today")
        return answer(request.transaction_id)

    async def commit_status(self, request: gateway.SignedCommitStatusRequest) -> gateway.CommitStatusResponse:
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up.set()
        raise AssertionError(request)

    endorse = submit = settle = evaluate


@asynccontextmanager
async def serving(*handlers: grpc.GenericRpcHandler, port: int = 0) -> AsyncIterator[int]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(handlers)
    found = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield found
    finally:
        await server.stop(None)


@asynccontextmanager
async def lines(port: int) -> AsyncIterator[Lines]:
    connection = open_channel(f"127.0.0.1:{port}", None)
    made = Lines(connection)
    try:
        yield made
    finally:
        await made.close()
        await connection.close()


def evaluate(client: Lines, text: str) -> Awaitable[gateway.EvaluateResponse]:
    return client.call(EVALUATE, gateway.EvaluateRequest(transaction_id=text), GUARD_S)


async def test_each_call_has_its_own_answer():
    async with serving(stream_handlers(FakeDesk())) as port, lines(port) as client:
        found = await asyncio.gather(*(evaluate(client, str(number)) for number in range(300)))
        assert [item.result.payload.decode() for item in found] == [str(number) for number in range(300)]
        with pytest.raises(CallError, match="ABORTED: not today"):
            await evaluate(client, "no")


async def too_late(client: Lines, desk: FakeDesk) -> None:
    """A call whose time is over once it has arrived, however long that takes."""
    wait_s = 0.05
    while not desk.waiting.is_set():
        with pytest.raises(CallError) as late:
            await client.call(STATUS, gateway.SignedCommitStatusRequest(), wait_s)
        assert late.value.code is CODE.DEADLINE_EXCEEDED
        wait_s *= 2


async def test_who_no_longer_waits_gives_the_call_up():
    desk = FakeDesk()
    async with serving(stream_handlers(desk)) as port, lines(port) as client:
        async with asyncio.timeout(GUARD_S):
            await too_late(client, desk)
            await desk.given_up.wait()
        assert (await evaluate(client, "next")).result.payload == b"next"


async def test_a_lost_stream_fails_its_calls_and_the_next_call_opens_another():
    desk = FakeDesk()
    async with serving(stream_handlers(desk)) as port, lines(port) as client:
        waiting = asyncio.ensure_future(client.call(STATUS, gateway.SignedCommitStatusRequest(), GUARD_S))
        await desk.waiting.wait()
        stream = client._stream
        assert stream is not None
        stream._line.cancel()
        with pytest.raises(CallError) as lost:
            await waiting
        assert lost.value.code is CODE.UNAVAILABLE
        assert (await evaluate(client, "again")).result.payload == b"again"
        assert client._stream is not stream


async def test_who_is_away_is_unavailable_and_found_when_back():
    async with serving(stream_handlers(FakeDesk())) as port:
        pass
    async with lines(port) as client:
        with pytest.raises(CallError) as away:
            await evaluate(client, "x")
        assert away.value.code is CODE.UNAVAILABLE
        async with serving(stream_handlers(FakeDesk()), port=port), asyncio.timeout(GUARD_S):
            while not await answers(client):  # noqa: ASYNC110  (gRPC finds the port again in its own time)
                await asyncio.sleep(0.05)


async def answers(client: Lines) -> bool:
    try:
        return (await evaluate(client, "x")).result.payload == b"x"
    except CallError as error:
        if error.code is not CODE.UNAVAILABLE:
            raise
        return False


@pytest.mark.parametrize(
    ("method", "request_bytes", "code"),
    [("Nothing", b"", CODE.UNIMPLEMENTED), ("Evaluate", b"\xff", CODE.INVALID_ARGUMENT)],
)
async def test_what_cannot_be_answered_is_refused_by_name(method: str, request_bytes: bytes, code: grpc.StatusCode):
    class Raw:
        def SerializeToString(self) -> bytes:
            return request_bytes

    async with serving(stream_handlers(FakeDesk())) as port, lines(port) as client:
        with pytest.raises(CallError) as refused:
            await client.call(Method(name=method, answer=gateway.EvaluateResponse), Raw(), GUARD_S)
        assert refused.value.code is code


async def test_a_gateway_without_streams_is_asked_call_by_call():
    async def alone(request: gateway.EvaluateRequest, _: object) -> gateway.EvaluateResponse:
        return answer(request.transaction_id)

    handler = grpc.unary_unary_rpc_method_handler(
        alone, gateway.EvaluateRequest.FromString, gateway.EvaluateResponse.SerializeToString
    )
    unary = grpc.method_handlers_generic_handler("gateway.Gateway", {"Evaluate": handler})
    async with serving(unary) as port, lines(port) as client:
        assert (await evaluate(client, "x")).result.payload == b"x"
        assert await client.takes_streams(GUARD_S) is False


def test_messages_hold_about_a_mebibyte():
    calls = [call_bytes(number, "Submit", bytes(600_000)) for number in range(5)]
    found = [fabric_calls.Calls.FromString(batch).calls for batch in batches(calls)]
    assert [[(call.id, call.method) for call in batch] for batch in found] == [
        [(0, "Submit"), (1, "Submit")],
        [(2, "Submit"), (3, "Submit")],
        [(4, "Submit")],
    ]
    assert {call.request for batch in found for call in batch} == {bytes(600_000)}
    assert calls == []
    assert batches([]) == []


@given(number=st.integers(0, (1 << 64) - 1), text=st.text(max_size=200), data=st.binary(max_size=20_000))
def test_calls_and_answers_are_the_librarys_bytes(number: int, text: str, data: bytes):
    assert call_bytes(number, text, data) == strict.write(fabric_calls.Call(id=number, method=text, request=data))
    assert answer_bytes(number, data) == strict.write(fabric_calls.Answer(id=number, response=data))
