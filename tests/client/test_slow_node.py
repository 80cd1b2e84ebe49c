"""A node that is busy when somebody connects is waited for, not taken for dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import pytest

from bsmg.client.grpc import RECONNECT
from fabric_adapter.identity import open_channel

BUSY_S = 0.4


@asynccontextmanager
async def busy_node() -> AsyncIterator[str]:
    """Address of a server that has something else to do before it shakes hands."""
    server = grpc.aio.server()
    behind = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(BUSY_S)
        answers, questions = await asyncio.open_connection("127.0.0.1", behind)
        await asyncio.gather(carry(reader, questions), carry(answers, writer))

    front = await asyncio.start_server(late, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{front.sockets[0].getsockname()[1]}"
    finally:
        await server.stop(None)
        front.close()


async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(1 << 16):
        target.write(data)
    target.close()


@pytest.mark.parametrize(
    "connect",
    [
        lambda address: grpc.aio.insecure_channel(address, options=RECONNECT),
        lambda address: open_channel(address, None),
    ],
    ids=["a node", "a gateway"],
)
async def test_a_node_that_shakes_hands_late_is_asked(connect: Callable[[str], grpc.aio.Channel]) -> None:
    async with busy_node() as address, connect(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as answer:
            await channel.unary_unary("/no.such.Service/Method")(b"")
        assert answer.value.code() is grpc.StatusCode.UNIMPLEMENTED, answer.value.details()
