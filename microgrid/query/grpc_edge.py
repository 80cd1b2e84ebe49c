"""gRPC without generated stubs: every served method by its path, raw bytes in and out, errors with their status.

Metadata `x-cosmos-block-height` chooses the height (0 or absent: the latest) and comes back in the header.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from microgrid.query import grpc_reflection
from microgrid.query.query_core import QueryError, Status

LOG = logging.getLogger("microgrid.grpc")
HEIGHT_KEY = "x-cosmos-block-height"
MESSAGE_BYTES_MAX = 32 << 20
CONCURRENT_MAX = 1_024  # requests in flight; beyond, RESOURCE_EXHAUSTED
GRACE_S = 0.5

ServicerContext = grpc.aio.ServicerContext[bytes, bytes]
Ask = Callable[[str, bytes, int], Awaitable[tuple[bytes, int]]]  # (path, request, height) -> (response, height)


class AnyMethod(grpc.GenericRpcHandler):
    """Hands every method to one function; what nobody serves gets UNIMPLEMENTED with a plain message."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """A handler for this path."""
        path = handler_call_details.method

        async def call(request: bytes, context: ServicerContext) -> bytes:
            try:
                response, height = await self._ask(path, request, _height(context))
            except QueryError as error:
                await context.abort(_CODES[error.status], str(error))
                raise
            await context.send_initial_metadata(((HEIGHT_KEY, str(height)),))
            return response

        made: grpc.RpcMethodHandler = grpc.unary_unary_rpc_method_handler(call)  # type: ignore[no-untyped-call]  # same
        return made


_CODES = {status: code for status in Status for code in grpc.StatusCode if code.value[0] == status.value}


def _height(context: ServicerContext) -> int:
    for key, value in context.invocation_metadata() or ():
        if key == HEIGHT_KEY:
            text = value.decode() if isinstance(value, bytes) else value
            try:
                return int(text)
            except ValueError as error:
                raise QueryError(
                    Status.INVALID_ARGUMENT, f"{HEIGHT_KEY}: expected an integer, got {text[:50]!r}"
                ) from error
    return 0


class GrpcEdge:
    """The gRPC listener: methods, reflection, health."""

    def __init__(self, address: str, ask: Ask, services: Sequence[str]) -> None:
        options = (
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a lottery
        )
        self._server = grpc.aio.server(options=options, maximum_concurrent_rpcs=CONCURRENT_MAX)
        self._address, self._services = address, tuple(services)
        self._health = HealthServicer()
        reflections = grpc_reflection.handlers((*self._services, health.SERVICE_NAME))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)  # type: ignore[no-untyped-call]  # untyped
        self._server.add_generic_rpc_handlers((*reflections, AnyMethod(ask)))

    async def start(self) -> None:
        """Listen and say SERVING; raises QueryError when the port is taken."""
        try:
            self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise QueryError(Status.UNAVAILABLE, f"gRPC can't listen on {self._address}: {error}") from error
        await self._server.start()
        for name in ("", *self._services):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Stop taking requests, give those in flight a moment."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(GRACE_S)


def service_of(path: str) -> str:
    """`cosmos.bank.v1beta1.Query` of `/cosmos.bank.v1beta1.Query/Balance`."""
    return path.strip("/").rpartition("/")[0]
