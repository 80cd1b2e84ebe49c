"""Waiting until a testnet works, and until then listening for a process that dies."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any as Json
from typing import TypeVar

from bsmg.client.errors import NodeError, QueryRefused
from bsmg.client.grpc import GrpcQueries
from bsmg.client.rpc import Rpc
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import bank_query
from testnet.config import Node
from testnet.control import connect
from testnet.files import Home

T = TypeVar("T")

POLL_S = 0.2
UP_TIMEOUT_S = 180.0
BLOCKS_MEASURED = 10
MIN_HEIGHT = 2  # a header above the first is what light clients start from
INTERVALS_BETWEEN_GATES = 5
IN_USE = ("address already in use", "EADDRINUSE")


class ProcessDiedError(ToolError):
    """A process ended while the testnet was starting; the text carries its last lines."""

    @property
    def port_taken(self) -> bool:
        """Whether another program was faster in taking a port."""
        return any(words in str(self) for words in IN_USE)


async def unless_one_dies(home: Home, work: Awaitable[T], timeout_s: float = UP_TIMEOUT_S) -> T:
    """Result of `work`; raises ProcessDiedError as soon as a process ends, ToolError after `timeout_s`."""
    task, watch = asyncio.ensure_future(work), asyncio.ensure_future(_first_death(home))
    try:
        done, _ = await asyncio.wait({task, watch}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            return task.result()
        if watch in done:
            raise ProcessDiedError(watch.result())
        raise ToolError(f"testnet: expected it to be ready within {timeout_s:.0f} s; look at `bsmg testnet status`")
    finally:
        for item in (task, watch):
            item.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


@asynccontextmanager
async def deaths(home: Home) -> AsyncIterator[asyncio.StreamReader]:
    """Stream of the supervisor's reports; the first line is the table of processes."""
    client = connect(home)
    client.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=client, limit=4 << 20)
    writer.write(b'{"do": "watch"}\n')
    await writer.drain()
    try:
        yield reader
    finally:
        writer.close()


async def _first_death(home: Home) -> str:
    async with deaths(home) as reader:
        table = json.loads(await reader.readline() or b'{"processes": {}}')
        gone = [name for name, item in table["processes"].items() if not item["alive"]]
        if gone:
            return f"{', '.join(gone)} ended; look at its log in {home.path}"
        line = await reader.readline()
        return str(json.loads(line)["text"]) if line else f"the supervisor ended; look at {home.log}"


async def accepts(address: str) -> None:
    """Wait until something listens at unix://PATH or tcp://HOST:PORT."""
    kind, _, where = address.partition("://")
    host, _, port = where.rpartition(":")
    while True:
        try:
            opened = asyncio.open_unix_connection(where) if kind == "unix" else asyncio.open_connection(host, int(port))
            _, writer = await opened
        except OSError:
            await asyncio.sleep(POLL_S)
        else:
            writer.close()
            return


async def applications_listen(nodes: Sequence[Node]) -> None:
    """Wait until every application takes ABCI connections."""
    await asyncio.gather(*(accepts(node.abci) for node in nodes))


async def nodes_work(nodes: Sequence[Mapping[str, Json]], denom: str) -> None:
    """Wait until every node has blocks and answers a query by gRPC."""
    await asyncio.gather(*(_node_works(node, denom) for node in nodes))


async def _node_works(node: Mapping[str, Json], denom: str) -> None:
    async with Rpc(node["rpc"]) as rpc:
        await _until(lambda: _has_blocks(rpc))
    queries = GrpcQueries(node["grpc"])
    try:
        await _until(lambda: _answers(queries, denom))
    finally:
        await queries.close()


async def _until(check: Callable[[], Awaitable[bool]]) -> None:
    while not await check():  # noqa: ASYNC110  (another process's state has no event)
        await asyncio.sleep(POLL_S)


async def _has_blocks(rpc: Rpc) -> bool:
    try:
        return (await rpc.status()).height >= MIN_HEIGHT
    except NodeError:
        return False


async def _answers(queries: GrpcQueries, denom: str) -> bool:
    request = bank_query.QuerySupplyOfRequest(denom=denom)
    try:
        answer = await queries.query("/cosmos.bank.v1beta1.Query/SupplyOf", request, bank_query.QuerySupplyOfResponse)
    except (NodeError, QueryRefused):
        return False
    return int(answer.amount.amount or 0) > 0


async def block_interval_ms(rpc_url: str) -> int:
    """Median interval of the last blocks by their own times."""
    async with Rpc(rpc_url) as rpc:
        top = (await rpc.status()).height
        heights = range(max(1, top - BLOCKS_MEASURED), top + 1)
        times = [(await rpc.header(height)).time.ToNanoseconds() for height in heights]
    gaps = [after - before for before, after in pairwise(times)]
    return int(statistics.median(gaps)) // 1_000_000 if gaps else 0


def check_gates(chain_id: str, gates: Mapping[str, int], slot_ms: int, interval_ms: int) -> None:
    """Refuse a table in which a gate that waits for a packet leaves it fewer than five blocks; names the gate."""
    end = slot_ms
    waits = {
        "T_lock": ("SECURE", gates["T_lock"] - gates["SECURE"]),
        "T_act": ("T_gate", gates["T_act"] - gates["T_gate"]),
        "T_meter": ("the start of delivery", gates["T_meter"] + end),
        "T_close": ("T_disp", gates["T_close"] - gates["T_disp"]),
    }
    for name, (before, distance_ms) in waits.items():
        if distance_ms < INTERVALS_BETWEEN_GATES * interval_ms:
            raise ToolError(
                f"{chain_id}: gate {name} waits for a packet: expected at least {INTERVALS_BETWEEN_GATES} block "
                f"intervals of {interval_ms} ms after {before}, got {distance_ms} ms; "
                "lengthen gates.window_min_ms or slot_s"
            )
