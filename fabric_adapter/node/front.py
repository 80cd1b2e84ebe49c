"""One organisation's front: replica, follower, writer and the query server's doors, in one process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any as Json

from cosmos_wire.errors import ToolError
from fabric_adapter.deliver import Deliver
from fabric_adapter.gateway import Gateway, Patience
from fabric_adapter.identity import Identity, Tls, load_identity
from fabric_adapter.network.ordering import read_ordering
from fabric_adapter.network.plan import REAL
from fabric_adapter.node.attendance import Attendance
from fabric_adapter.node.blocks import Described, FabricBlocks
from fabric_adapter.node.follower import Follower
from fabric_adapter.node.replica import Replica
from fabric_adapter.node.writer import Pace, Writer
from fabric_wire.blocks import Ordering
from microgrid.operator import Operator
from microgrid.query.grpc_edge import GrpcEdge
from microgrid.query.query_server import QueryServer
from microgrid.query.rest_edge import RestEdge
from microgrid.version import NAME, VERSION
from processes.files import read_json

LOG = logging.getLogger("fabric_adapter.node")
MODULES = {REAL: ("github.com/hyperledger/fabric", "v2.5.0")}
ITSELF = (f"{NAME}/fabric_adapter/embedded", f"v{VERSION}")
QUICK = Patience(total_s=1.0, first_s=0.02, longest_s=0.2)  # the writer looks at the ledger again after that
SERVE_S = 5.0  # how long a front with a state waits for its peer before it serves what it has


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a front is started with."""

    fabric: Path
    org: str
    home: Path
    grpc: str
    rest: str
    pace: Pace
    operator: Operator
    member: str = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What fabric.json says to one organisation's member."""

    kind: str
    channel: str
    chaincode: str
    orgs: tuple[str, ...]  # MSP ids
    endorsement: str  # the chaincode's policy
    peer: str
    tls: Tls
    identity: Identity
    ordering: Ordering  # whose signatures make a block


def read_network(options: Options) -> Network:
    """fabric.json; raises ToolError."""
    doc = read_json(options.fabric)
    orgs: dict[str, Json] = {org["name"]: org for org in doc["orgs"]}
    if options.org not in orgs:
        raise ToolError(f"organisation: expected one of {', '.join(orgs)}, got {options.org!r}")
    own = orgs[options.org]
    if options.member not in own["members"]:
        raise ToolError(f"member of {options.org}: expected one of {', '.join(own['members'])}, got {options.member!r}")
    files = own["members"][options.member]
    return Network(
        kind=doc["kind"],
        channel=doc["channel"],
        chaincode=doc["chaincode"],
        orgs=tuple(org["msp_id"] for org in doc["orgs"]),
        endorsement=doc["endorsement"],
        peer=own["gateway"],
        tls=Tls(roots=Path(own["tls_ca"]).read_bytes()),
        identity=load_identity(own["msp_id"], Path(files["certificate"]), Path(files["key"])),
        ordering=read_ordering(doc, options.fabric),
    )


async def run(options: Options, stop: asyncio.Event) -> None:
    """Serve until `stop`; raises ToolError when the ledger can't be followed any more."""
    network = read_network(options)
    async with AsyncExitStack() as stack:
        replica = Replica.open(options.home / "data", options.operator)
        stack.callback(replica.close)
        gateway = Gateway(network.peer, network.tls, network.identity, network.channel, QUICK)
        stack.push_async_callback(gateway.close)
        deliver = Deliver(network.peer, network.tls, network.identity, network.channel)
        stack.push_async_callback(deliver.close)
        follower = Follower(replica, deliver, gateway, network.chaincode, network.ordering)
        stack.callback(follower.close)
        attendance = Attendance(gateway, network.chaincode, network.orgs, network.endorsement)
        writer = Writer(follower, gateway, network.chaincode, attendance, options.pace)
        works = [stop.wait(), follower.run(), attendance.run(), writer.run(), _serve(options, network, follower)]
        await _until_first(works)


async def _until_first(works: Sequence[Coroutine[None, None, object]]) -> None:
    """Run all until one ends; raises what it raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _serve(options: Options, network: Network, follower: Follower) -> None:
    """The doors, once there is something to show."""
    await _ready(follower)
    module = MODULES.get(network.kind, ITSELF)
    described = Described(kind=network.kind, moniker=options.org, module=module)
    queries = QueryServer(follower.replica.state, FabricBlocks(follower, described), options.operator)
    edges: list[RestEdge | GrpcEdge] = []
    if options.rest:
        edges.append(RestEdge(options.rest, queries.ask, queries.methods))
    if options.grpc:  # last: its health says that all of them serve
        edges.append(GrpcEdge(options.grpc, queries.ask, queries.services))
    try:
        for edge in edges:
            await edge.start()
        height = follower.replica.state.height
        LOG.info("event=ready grpc=%s rest=%s height=%d", options.grpc, options.rest, height)
        await asyncio.Event().wait()
    finally:
        for edge in edges:
            await edge.stop()
        queries.close()


async def _ready(follower: Follower) -> None:
    """Wait until all is followed that the peer has; a front that has blocks serves them without its peer too."""
    try:
        await asyncio.wait_for(follower.caught_up.wait(), SERVE_S if follower.replica.head else None)
    except TimeoutError:
        LOG.info("event=serving_alone height=%d", follower.replica.state.height)
