"""Chaincode as a service: a gRPC server that peers dial, `protos.Chaincode/Connect`.

The chaincode itself runs in threads, because a stub's calls wait for the peer; the streams are one event loop's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import grpc

from cosmos_wire.errors import ToolError
from fabric_adapter.identity import MESSAGE_BYTES_MAX
from fabric_adapter.shim.session import Message, Session
from fabric_adapter.stub import Chaincode, PerPeer
from fabric_wire.services import chaincode_services

THREADS = 16  # transactions at a time, the others wait their turn; 64 cost a third more CPU and a sixth of the rate
STOP_S = 2.0  # what running transactions get when the server is told to end
OPTIONS = (
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 30_000),  # a peer that vanished without a word is noticed
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 0),  # a peer may ping as it likes
    ("grpc.so_reuseport", 0),  # a second server on the same port is an error, not a rival
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """The server's certificate and key (PEM); with `client_roots` a peer has to show one that they signed."""

    certificate: bytes
    key: bytes
    client_roots: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What is served where."""

    address: str
    package_id: str
    program: Chaincode
    tls: ServerTls | None = None


Context = grpc.aio.ServicerContext[Message, Message]


class Streams(chaincode_services.ChaincodeServicer):
    """One Session a peer."""

    def __init__(self, service: Service, executor: Executor) -> None:
        self._service, self._executor = service, executor
        self._sessions: set[Session] = set()

    def end(self) -> None:
        """Nobody will answer any more: the threads that wait go on, and end."""
        for session in self._sessions:
            session.end()

    async def Connect(self, request_iterator: object, context: Context) -> None:  # type: ignore[override]  # asynchronous
        """A peer has dialled."""
        del request_iterator  # read by the context, so that reading and writing don't wait for each other
        loop = asyncio.get_running_loop()
        outgoing: asyncio.Queue[Message] = asyncio.Queue()
        program = self._service.program
        session = Session(
            program.for_stream() if isinstance(program, PerPeer) else program,
            self._executor,
            lambda message: _hand_over(loop, outgoing, message),
        )
        self._sessions.add(session)
        session.register(self._service.package_id)
        writer = asyncio.create_task(_write_all(outgoing, context.write))
        try:
            while (message := await context.read()) is not grpc.aio.EOF:
                session.receive(message)
        finally:
            session.end()
            self._sessions.discard(session)
            writer.cancel()


def _hand_over(loop: asyncio.AbstractEventLoop, outgoing: asyncio.Queue[Message], message: Message) -> None:
    """From any thread into the stream's queue."""
    loop.call_soon_threadsafe(outgoing.put_nowait, message)


async def _write_all(outgoing: asyncio.Queue[Message], write: Callable[[Message], Awaitable[None]]) -> None:
    while True:
        await write(await outgoing.get())


async def serve(service: Service, ready: Callable[[str], None]) -> None:
    """Serve until cancelled; `ready` gets the address."""
    executor = ThreadPoolExecutor(THREADS, thread_name_prefix="chaincode")
    server = grpc.aio.server(options=OPTIONS)
    streams = Streams(service, executor)
    chaincode_services.add_ChaincodeServicer_to_server(streams, server)
    try:
        port = _listen(server, service)
    except RuntimeError as error:
        raise ToolError(f"{service.address}: expected a free port, got: address already in use") from error
    await server.start()
    ready(f"{service.address.rpartition(':')[0]}:{port}")
    try:
        await server.wait_for_termination()
    finally:
        await server.stop(STOP_S)
        streams.end()
        await asyncio.to_thread(executor.shutdown, cancel_futures=True)  # the loop must run: the threads call into it


def _listen(server: grpc.aio.Server, service: Service) -> int:
    tls = service.tls
    if tls is None:
        return int(server.add_insecure_port(service.address))
    pairs = [(tls.key, tls.certificate)]
    credentials = grpc.ssl_server_credentials(pairs, tls.client_roots, tls.client_roots is not None)  # type: ignore[no-untyped-call]  # stubs
    return int(server.add_secure_port(service.address, credentials))
