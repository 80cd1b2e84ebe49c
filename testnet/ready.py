"""Waiting until a testnet works, and until then listening for a process that dies."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any as Json
from typing import TypeVar

from bsmg.client.errors import NodeError, QueryRefused
from bsmg.client.grpc import GrpcQueries
from bsmg.client.rpc import Rpc
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import bank_query, node_service
from processes.watch import POLL_S, accepts
from testnet.config import Node

T = TypeVar("T")

BLOCKS_MEASURED = 10
MIN_HEIGHT = 2  # a header above the first is what light clients start from
INTERVALS_BETWEEN_GATES = 5
STATUS_TIMEOUT_S = 3.0


async def applications_listen(nodes: Sequence[Node]) -> None:
    """Wait until every application takes ABCI connections."""
    await asyncio.gather(*(accepts(node.abci) for node in nodes))


async def chain_works(chain: Mapping[str, Json]) -> None:
    """Wait until every node of a chain of testnet.json has blocks and answers a query by gRPC."""
    await asyncio.gather(*(_node_works(node, chain["denom"]) for node in chain["nodes"]))


async def _node_works(node: Mapping[str, Json], denom: str) -> None:
    queries = GrpcQueries(node["grpc"])
    try:
        await _until(lambda: _has_blocks(node, queries))
        await _until(lambda: _answers(queries, denom))
    finally:
        await queries.close()


async def _until(check: Callable[[], Awaitable[bool]]) -> None:
    while not await check():  # noqa: ASYNC110  (another process's state has no event)
        await asyncio.sleep(POLL_S)


async def _has_blocks(node: Mapping[str, Json], queries: GrpcQueries) -> bool:
    try:
        return await _height(node, queries) >= MIN_HEIGHT
    except (NodeError, QueryRefused):
        return False


async def _height(node: Mapping[str, Json], queries: GrpcQueries) -> int:
    if "rpc" not in node:
        return (await _status(queries)).height
    async with Rpc(node["rpc"]) as rpc:
        return (await rpc.status()).height


async def _status(queries: GrpcQueries) -> node_service.StatusResponse:
    path = "/bsmg.node.v1.Service/Status"
    return await queries.query(path, node_service.StatusRequest(), node_service.StatusResponse)


async def node_height(node: Mapping[str, Json]) -> int | None:
    """Height of a node of testnet.json; None when it has no answer."""
    queries = GrpcQueries(node["grpc"])
    try:
        async with asyncio.timeout(STATUS_TIMEOUT_S):
            return await _height(node, queries)
    except (NodeError, QueryRefused, TimeoutError):
        return None
    finally:
        await queries.close()


async def _answers(queries: GrpcQueries, denom: str) -> bool:
    request = bank_query.QuerySupplyOfRequest(denom=denom)
    try:
        answer = await queries.query("/cosmos.bank.v1beta1.Query/SupplyOf", request, bank_query.QuerySupplyOfResponse)
    except (NodeError, QueryRefused):
        return False
    return int(answer.amount.amount or 0) > 0


async def block_interval_ms(chain: Mapping[str, Json]) -> int:
    """Median interval of the last blocks of a chain of testnet.json by their own times."""
    node = chain["nodes"][0]
    times = await (_times_of_rpc(node["rpc"]) if "rpc" in node else _times_of_service(node["grpc"]))
    gaps = [after - before for before, after in pairwise(times)]
    return int(statistics.median(gaps)) // 1_000_000 if gaps else 0


async def _times_of_rpc(url: str) -> list[int]:
    """Times (ns) of the last blocks."""
    async with Rpc(url) as rpc:
        return [(await rpc.header(height)).time.ToNanoseconds() for height in _last((await rpc.status()).height)]


async def _times_of_service(address: str) -> list[int]:
    queries, path = GrpcQueries(address), "/bsmg.node.v1.Service/Block"
    try:
        asked = [node_service.BlockRequest(height=n) for n in _last((await _status(queries)).height)]
        return [(await queries.query(path, request, node_service.BlockResponse)).time_ns for request in asked]
    finally:
        await queries.close()


def _last(top: int) -> range:
    return range(max(1, top - BLOCKS_MEASURED), top + 1)


def check_gates(chain_id: str, gates: Mapping[str, int], slot_ms: int, interval_ms: int) -> None:
    """Refuse a table in which a gate that waits for a packet leaves it fewer than five blocks; names the gate."""
    end = slot_ms
    grid = (
        {
            "T_lock3": ("T_lock", gates["T_lock3"] - gates["T_lock"]),
            "T_act3": ("T_gate3", gates["T_act3"] - gates["T_gate3"]),
        }
        if "T_lock3" in gates
        else {}
    )
    waits = grid | {
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
