"""The socket shell: order of answers, queries beside a long block, rubbish, an absent query process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from abci_app.app_process import dispatcher
from abci_app.query_link import QueryLink
from abci_app.server import AbciServer, Dispatch
from abci_app.wire import FrameReader, frame, parse
from abci_app.worker import Worker
from cosmos_wire.protos import abci
from microgrid.errors import GenesisError
from microgrid.query.remote import Done

FLUSH = abci.Request(flush=abci.RequestFlush())
WAIT_S = 20


class Client:
    """A raw ABCI client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._in, self._out = reader, writer
        self._frames = FrameReader()
        self._ready: list[abci.Response] = []

    def send(self, *requests: abci.Request) -> None:
        self._out.write(b"".join(frame(request) for request in requests))

    def raw(self, data: bytes) -> None:
        self._out.write(data)

    async def next(self) -> abci.Response | None:
        async with asyncio.timeout(WAIT_S):
            while not self._ready:
                data = await self._in.read(65_536)
                if not data:
                    return None
                self._ready += [parse(abci.Response, raw) for raw in self._frames.feed(data)]
        return self._ready.pop(0)

    async def kinds(self, count: int) -> list[str | None]:
        found = [await self.next() for _ in range(count)]
        return [each and each.WhichOneof("value") for each in found]


@asynccontextmanager
async def serving(path: Path, dispatch: Dispatch) -> AsyncIterator[Client]:
    server = AbciServer(f"unix://{path}", dispatch)
    await server.start()
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        await server.stop()


def _check(number: int) -> abci.Request:
    return abci.Request(check_tx=abci.RequestCheckTx(tx=b"%d" % number))


async def test_answers_keep_the_order_of_the_requests(tmp_path: Path) -> None:
    held: list[tuple[bytes, Done]] = []
    both = asyncio.Event()

    def hold(request: abci.Request, _raw: bytes, done: Done) -> None:
        held.append((request.check_tx.tx, done))
        if len(held) == 2:
            both.set()

    async with serving(tmp_path / "a", hold) as client:
        client.send(_check(0), FLUSH, _check(1), abci.Request(echo=abci.RequestEcho(message="x")), FLUSH)
        async with asyncio.timeout(WAIT_S):
            await both.wait()
        for tx, done in reversed(held):  # answered the wrong way round
            done(abci.Response(check_tx=abci.ResponseCheckTx(log=tx.decode())))
        answers = [await client.next() for _ in range(5)]
    assert [a and a.WhichOneof("value") for a in answers] == ["check_tx", "flush", "check_tx", "echo", "flush"]
    assert [a.check_tx.log for a in answers if a and a.HasField("check_tx")] == ["0", "1"]


async def test_rubbish_gets_an_exception_and_the_connection_is_closed(tmp_path: Path) -> None:
    async with serving(tmp_path / "a", lambda _request, _raw, done: done(abci.Response())) as client:
        client.send(FLUSH)
        client.raw(b"\xff" * 10)
        assert await client.kinds(3) == ["flush", "exception", None]


async def test_echo_and_query_are_answered_while_a_block_is_being_executed(tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def handle(request: abci.Request) -> abci.Response:
        if request.HasField("finalize_block"):
            entered.set()
            assert leave.wait(WAIT_S)
            return abci.Response(finalize_block=abci.ResponseFinalizeBlock())
        return abci.Response(check_tx=abci.ResponseCheckTx())

    worker = Worker(handle, pytest.fail)
    worker.start()

    def dispatch(request: abci.Request, _raw: bytes, done: Done) -> None:
        if request.HasField("query"):
            done(abci.Response(query=abci.ResponseQuery()))
        else:
            worker.submit(request, done)

    async with serving(tmp_path / "a", dispatch) as client:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "a"))
        consensus = Client(reader, writer)
        consensus.send(abci.Request(finalize_block=abci.RequestFinalizeBlock()))
        await asyncio.to_thread(entered.wait, WAIT_S)
        client.send(abci.Request(query=abci.RequestQuery()), abci.Request(echo=abci.RequestEcho()))
        assert await client.kinds(2) == ["query", "echo"]
        leave.set()
        assert await consensus.kinds(1) == ["finalize_block"]
        writer.close()
    worker.stop()


async def test_votes_and_proposals_wait_for_nobody(tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def handle(request: abci.Request) -> abci.Response:
        kind = request.WhichOneof("value")
        if kind == "check_tx":
            entered.set()
            assert leave.wait(WAIT_S)
        made = abci.Response()
        getattr(made, str(kind)).SetInParent()
        return made

    worker = Worker(handle, pytest.fail)
    worker.start()
    kinds = ["prepare_proposal", "process_proposal", "extend_vote", "verify_vote_extension", "info"]
    requests = [abci.Request() for _ in kinds]
    for request, kind in zip(requests, kinds, strict=True):
        getattr(request, kind).SetInParent()
    async with serving(tmp_path / "a", dispatcher(handle, worker, QueryLink(tmp_path / "none"))) as consensus:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "a"))
        mempool = Client(reader, writer)
        mempool.send(_check(0))
        await asyncio.to_thread(entered.wait, WAIT_S)
        consensus.send(*requests)
        assert await consensus.kinds(5) == kinds
        leave.set()
        assert await mempool.kinds(1) == ["check_tx"]
        writer.close()
    worker.stop()


async def test_consensus_overtakes_waiting_check_tx() -> None:
    seen: list[str | None] = []
    gate = threading.Event()
    finished = asyncio.Event()

    def handle(request: abci.Request) -> abci.Response:
        gate.wait(WAIT_S)
        seen.append(request.WhichOneof("value"))
        return abci.Response()

    worker = Worker(handle, pytest.fail)
    for _ in range(100):
        worker.submit(_check(0), lambda _response: None)
    worker.submit(abci.Request(commit=abci.RequestCommit()), lambda _response: finished.set())
    worker.start()
    gate.set()
    async with asyncio.timeout(WAIT_S):
        await finished.wait()
    worker.stop()
    assert seen[0] == "commit"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_broken_state_machine_is_told_and_not_hidden() -> None:
    told: asyncio.Queue[str] = asyncio.Queue()

    def broken(_request: abci.Request) -> abci.Response:
        raise OSError("disk full")

    worker = Worker(broken, told.put_nowait)
    worker.start()
    worker.submit(_check(0), lambda _response: None)
    async with asyncio.timeout(WAIT_S):
        assert "ended on an error" in await told.get()
    worker.stop()


async def test_a_refused_genesis_reaches_cometbft_in_one_line() -> None:
    def refuse(_request: abci.Request) -> abci.Response:
        raise GenesisError("expected state_version 1, got 2")

    told: asyncio.Queue[str] = asyncio.Queue()
    answers: asyncio.Queue[abci.Response] = asyncio.Queue()
    worker = Worker(refuse, told.put_nowait)
    worker.start()
    worker.submit(abci.Request(init_chain=abci.RequestInitChain()), answers.put_nowait)
    async with asyncio.timeout(WAIT_S):
        assert (await answers.get()).exception.error == await told.get() == "expected state_version 1, got 2"
    worker.stop()


async def test_queries_pass_through_the_link_and_an_absent_query_process_is_named(tmp_path: Path) -> None:
    link = QueryLink(tmp_path / "q")
    answers: asyncio.Queue[abci.Response] = asyncio.Queue()
    query = abci.Request(query=abci.RequestQuery(path="/app/version")).SerializeToString()
    link.submit(query, answers.put_nowait)
    async with asyncio.timeout(WAIT_S):
        refused = (await answers.get()).query
    assert refused.code
    assert "query process of this node is not running" in refused.log

    def answer(request: abci.Request, _raw: bytes, done: Done) -> None:
        done(abci.Response(query=abci.ResponseQuery(value=request.query.path.encode())))

    async with serving(tmp_path / "q", answer):
        for _ in range(3):
            link.submit(query, answers.put_nowait)
        async with asyncio.timeout(WAIT_S):
            assert [(await answers.get()).query.value for _ in range(3)] == [b"/app/version"] * 3
    link.close()


async def test_a_query_process_that_dies_with_questions_open_is_named(tmp_path: Path) -> None:
    answers: asyncio.Queue[abci.Response] = asyncio.Queue()
    link = QueryLink(tmp_path / "q")
    asked = asyncio.Event()
    server = AbciServer(f"unix://{tmp_path / 'q'}", lambda _request, _raw, _done: asked.set())
    await server.start()
    link.submit(abci.Request(query=abci.RequestQuery()).SerializeToString(), answers.put_nowait)
    async with asyncio.timeout(WAIT_S):
        await asked.wait()
        await server.stop()
        assert "closed the connection" in (await answers.get()).query.log
