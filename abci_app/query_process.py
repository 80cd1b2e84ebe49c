"""The query process: gRPC, REST and ABCI Query over committed states, stepping back behind the app process."""

from __future__ import annotations

import asyncio
import logging
import os

from abci_app.comet_blocks import CometBlocks
from abci_app.comet_rpc import CometRpc
from abci_app.server import UNIX, AbciServer
from abci_app.settings import Settings
from microgrid.query.grpc_edge import GrpcEdge
from microgrid.query.query_server import QueryServer
from microgrid.query.rest_edge import RestEdge
from microgrid.state import open_history
from microgrid.store import StateDb

LOG = logging.getLogger("abci_app")


async def run_query(settings: Settings, stop: asyncio.Event) -> int:
    """Serve until `stop`."""
    os.nice(settings.operator.query_nice)
    history = await open_history(settings.state_path, settings.operator, stop)
    if history is None:
        return 0
    try:
        await _serve(settings, history, stop)
    finally:
        history.close()
    return 0


async def _serve(settings: Settings, history: StateDb, stop: asyncio.Event) -> None:
    rpc = CometRpc(settings.rpc)
    queries = QueryServer(history, CometBlocks(rpc), settings.operator)
    sockets = AbciServer(f"{UNIX}{settings.query_socket}", queries.dispatch)
    edges: list[GrpcEdge | RestEdge] = []
    if settings.rest:
        edges.append(RestEdge(settings.rest, queries.ask, queries.methods))
    if settings.grpc:  # last: its health says that all of them serve
        edges.append(GrpcEdge(settings.grpc, queries.ask, queries.services))
    listening = asyncio.create_task(rpc.listen())
    await sockets.start()
    for edge in edges:
        await edge.start()
    LOG.info("event=ready grpc=%s rest=%s height=%d", settings.grpc, settings.rest, history.height)
    await stop.wait()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await sockets.stop()
    for edge in edges:
        await edge.stop()
    queries.close()
    await rpc.close()
    LOG.info("event=stopped reason=signal")
