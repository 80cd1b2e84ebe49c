"""Typed queries of a chain's services by one interface and two transports: gRPC, and ABCI Query through RPC alone."""

from __future__ import annotations

from typing import Protocol, TypeVar

import grpc

from bsmg.client.errors import BadAnswer, NodeTimeout, NodeUnreachable, QueryNotFound, QueryRefused
from bsmg.client.rpc import AbciAnswer, Rpc
from cosmos_wire.protos import DecodeError, Message

R = TypeVar("R", bound=Message)

QUERY_TIMEOUT_S = 20.0
MESSAGE_BYTES_MAX = 64 << 20
RECONNECT = (  # a node that was restarted is found again at once; gRPC's own pauses grow to two minutes
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 10_000),  # how long an attempt may take: a busy node is slow
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),  # two clients don't wait for each other's pauses
)
HEIGHT_HEADER = "x-cosmos-block-height"
NOT_FOUND_ABCI_CODES = (22, 38)  # SDK: key not found, not found


class QueryClient(Protocol):
    """`await node.query("/bsmg.market.v1.Query/Slot", request, ResponseClass, height=None)`."""

    async def query(self, path: str, request: Message, response: type[R], height: int | None = None) -> R:
        """Answer of a service's method; raises QueryRefused, QueryNotFound or NodeError."""

    async def close(self) -> None:
        """Close the connections."""


class AbciQueries:
    """Queries by ABCI `Query` with the method's path, through CometBFT's RPC."""

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc

    async def query(self, path: str, request: Message, response: type[R], height: int | None = None) -> R:
        """Answer of a service's method."""
        answer = await self.rpc.abci_query(path, request.SerializeToString(), height or 0)
        if answer.code:
            raise _refusal(path, self.rpc.url, answer)
        return _parse(path, self.rpc.url, response, answer.value)

    async def close(self) -> None:
        """The RPC belongs to whoever made it."""


class GrpcQueries:
    """Queries by gRPC without TLS (h2c)."""

    def __init__(self, target: str, timeout_s: float = QUERY_TIMEOUT_S) -> None:
        self.target = target.removeprefix("http://")
        self.timeout_s = timeout_s
        self._channel: grpc.aio.Channel | None = None

    def channel(self) -> grpc.aio.Channel:
        """The shared channel, made at first use because it belongs to the running loop."""
        if self._channel is None:
            limits = [(f"grpc.max_{way}_message_length", MESSAGE_BYTES_MAX) for way in ("send", "receive")]
            self._channel = grpc.aio.insecure_channel(self.target, options=[*limits, *RECONNECT])
        return self._channel

    async def query(self, path: str, request: Message, response: type[R], height: int | None = None) -> R:
        """Answer of a service's method."""
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel().unary_unary(path)
        metadata = () if height is None else ((HEIGHT_HEADER, str(height)),)
        try:
            raw = await call(request.SerializeToString(), metadata=metadata, timeout=self.timeout_s)
        except grpc.aio.AioRpcError as error:
            raise self._fault(path, error) from error
        return _parse(path, self.target, response, raw)

    def _fault(self, path: str, error: grpc.aio.AioRpcError) -> Exception:
        status, detail = error.code(), error.details() or "no detail"
        if status is grpc.StatusCode.UNAVAILABLE:
            return NodeUnreachable(path, self.target, detail)
        if status is grpc.StatusCode.DEADLINE_EXCEEDED:
            return NodeTimeout(path, self.target, f"expected an answer within {self.timeout_s} s, got none")
        kind = QueryNotFound if status is grpc.StatusCode.NOT_FOUND else QueryRefused
        return kind(path, self.target, status.value[0], detail)

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None


def _refusal(path: str, node: str, answer: AbciAnswer) -> QueryRefused:
    text = answer.log.lower()
    missing = answer.codespace == "sdk" and answer.code in NOT_FOUND_ABCI_CODES
    kind = QueryNotFound if missing or "not found" in text or "notfound" in text else QueryRefused
    return kind(path, node, answer.code, answer.log or "no log")


def _parse(path: str, node: str, response: type[R], raw: bytes) -> R:
    try:
        return response.FromString(raw)
    except DecodeError as error:
        raise BadAnswer(path, node, f"expected {response.DESCRIPTOR.full_name}, got other bytes: {error}") from error
