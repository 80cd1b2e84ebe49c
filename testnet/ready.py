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
from cosmos_wire.protos import bank_query
from processes.watch import POLL_S, accepts
from testnet.config import Node

T = TypeVar("T")

BLOCKS_MEASURED = 10
MIN_HEIGHT = 2  # a header above the first is what light clients start from
INTERVALS_BETWEEN_GATES = 5


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
