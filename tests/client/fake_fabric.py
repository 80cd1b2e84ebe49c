"""A Fabric microgrid that a test commands: a tiny chaincode on the embedded ledger, gateways that lose calls and
answers, and a front that serves `bsmg.node.v1`. Ticks come when the test says so."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bsmg.client.fabric import FabricClient, FabricEndpoints
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import abci, node_service, tx
from fabric_adapter.embedded.desk import Desk, RefusedError
from fabric_adapter.embedded.ledger import Ledger
from fabric_adapter.embedded.network import Node
from fabric_adapter.embedded.refusals import ChaincodeRefusedError
from fabric_adapter.embedded.service import GatewayService
from fabric_adapter.gateway import Gateway
from fabric_adapter.identity import Identity, signer
from fabric_adapter.stub import Response, Stub
from fabric_wire import strict
from fabric_wire.policy import parse_policy
from fabric_wire.protos import gateway, identities
from fabric_wire.services import gateway_services
from ibc_core.fabric import records
from ibc_core.fabric.membership import Members, record
from ibc_core.fabric.records import Scope, TickRecord
from tests.fabric_embedded.world import BOTH, NAME, make_network, make_org, running

CHAIN = "mgf-1"
SCOPE = Scope(chain_id=CHAIN, channel_id="energy", namespace=NAME)
SECOND_NS = 10**9
START_NS = time.time_ns()  # the certificates are as old as this


@dataclass
class Program:
    """One organisation's chaincode. `says` are the refusals of the next submits."""

    loaded: bool = True
    says: list[str] = field(default_factory=list)
    submits: int = 0
    refused: threading.Event = field(default_factory=threading.Event)

    def invoke(self, stub: Stub) -> Response:
        return Response(payload=getattr(self, f"run_{stub.args[0].decode().lower()}")(stub))

    def run_genesis(self, stub: Stub) -> bytes:
        stub.put_state(records.membership_key(1), stub.args[1])
        self.write_tick(stub, 1)
        return b""

    def run_submit(self, stub: Stub) -> bytes:
        self.submits += 1
        if not self.loaded:
            self.refused.set()
            raise ToolError("image not loaded")
        if self.says:
            raise ToolError(self.says.pop(0))
        body = tx.TxBody.FromString(stub.args[1])
        if body.memo == "hot":
            stub.put_state("hot", str(int(stub.get_state("hot") or 0) + 1).encode())
        stub.put_state(f"inbox/{stub.tx_id}", body.memo.encode() + b".")
        return b""

    def run_waiting(self, stub: Stub) -> bytes:
        return json.dumps([key for key, _ in stub.range("inbox/", "inbox0")]).encode()

    def run_tick(self, stub: Stub) -> bytes:
        done = [(key, (stub.get_state(key) or b"?").decode()) for key in json.loads(stub.args[1])]
        for key, _ in done:
            stub.del_state(key)
        last = strict.read(TickRecord, stub.get_state(records.TICK) or b"", ToolError)
        self.write_tick(stub, last.height + 1)
        return json.dumps([[key.removeprefix("inbox/"), memo[:-1]] for key, memo in done]).encode()

    def write_tick(self, stub: Stub, height: int) -> None:
        tick = TickRecord(height=height, time_ns=time_ns(height), state_hash=b"h", membership_version=1)
        stub.put_state(records.TICK, strict.write(tick))
        stub.put_state(records.state_key(b"path"), str(height).encode())

    def run_attest(self, stub: Stub) -> bytes:
        for write in records.attest(SCOPE, stub.args[1], stub.get_state):
            stub.put_state(write.key, write.value)
        return b""


def time_ns(height: int) -> int:
    return START_NS + height * SECOND_NS


class FlakyDesk(Desk):
    """`faults` name what the next submits do wrong."""

    def __init__(self, ledger: Ledger, address: str, msp_id: str) -> None:
        super().__init__(ledger, address, msp_id)
        self.faults: list[str] = []
        self.envelopes: list[bytes] = []

    async def _run(self, work, failed):
        """The refusing organisation is named, as by a real gateway."""

        def noted():
            try:
                return work()
            except ChaincodeRefusedError as error:
                self._msp_id = error.node.msp_id
                raise

        return await super()._run(noted, failed)

    async def submit(self, request: gateway.SubmitRequest) -> gateway.SubmitResponse:
        fault = self.faults.pop(0) if self.faults else ""
        self.envelopes.append(request.prepared_transaction.SerializeToString())
        if fault == "lost":
            raise RefusedError(grpc.StatusCode.UNAVAILABLE, "connection reset")
        if fault == "forgotten":  # an orderer that is killed after it took it
            return gateway.SubmitResponse()
        done = await super().submit(request)
        if fault == "answer lost":
            raise RefusedError(grpc.StatusCode.UNAVAILABLE, "connection reset")
        return done


class Front:
    """`bsmg.node.v1` over what `tick` has appended."""

    def __init__(self) -> None:
        self.blocks: list[node_service.BlockResponse] = []
        self.moved = asyncio.Condition()
        self.asked = 0

    async def append(self, done: list[list[str]]) -> None:
        height = len(self.blocks) + 1
        made = node_service.BlockResponse(height=height, time_ns=time_ns(height))
        for tx_id, memo in done:
            attributes = [abci.EventAttribute(key="memo", value=memo)]
            result = abci.ExecTxResult(code=5 if memo == "bad" else 0, codespace="sdk" if memo == "bad" else "")
            result.events.add(type="ran", attributes=attributes)
            made.txs.add(hash=tx_id.upper(), tx=memo.encode(), result=result)
        async with self.moved:
            self.blocks.append(made)
            self.moved.notify_all()

    async def status(self, raw: bytes, _context) -> bytes:
        self.asked += 1
        request = node_service.StatusRequest.FromString(raw)
        async with self.moved:
            if request.above:
                await self.moved.wait_for(lambda: len(self.blocks) > request.above)
        height = len(self.blocks)
        answer = node_service.StatusResponse(
            chain_id=CHAIN, kind="fabric-embedded", height=height, time_ns=time_ns(height), earliest_height=1
        )
        return answer.SerializeToString()

    async def block(self, raw: bytes, context) -> bytes:
        height = node_service.BlockRequest.FromString(raw).height
        if not 0 < height <= len(self.blocks):
            await context.abort(grpc.StatusCode.NOT_FOUND, f"block {height} not found")
        return self.blocks[height - 1].SerializeToString()

    def handlers(self) -> grpc.GenericRpcHandler:
        made = {name: grpc.unary_unary_rpc_method_handler(getattr(self, name.lower())) for name in ("Status", "Block")}
        return grpc.method_handlers_generic_handler("bsmg.node.v1.Service", made)


@dataclass(kw_only=True)
class FakeFabric:
    ledger: Ledger
    front: Front
    programs: dict[str, Program]
    gateway: FlakyDesk
    writer: Gateway
    endpoints: FabricEndpoints
    clients: list[Node]

    def identity(self, number: int = 0) -> Identity:
        return identity_of(self.clients[number])

    def client(self) -> FabricClient:
        return FabricClient(CHAIN, self.endpoints, self.identity())

    def write_member(self, node: Node, certificate: Path, key: Path) -> None:
        certificate.write_bytes(identity_of(node).certificate)
        key.write_bytes(node.secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    async def tick(self) -> None:
        waiting = await self.writer.evaluate(NAME, [b"Waiting"])
        done = await self.writer.transact(NAME, [b"Tick", waiting])
        await self.front.append(json.loads(done.result))

    async def ticking(self, *jobs):
        """Ticks until all jobs are done."""
        task = asyncio.gather(*jobs, return_exceptions=True)
        while not task.done():
            await self.tick()
            await asyncio.wait({task}, timeout=0.05)
        return task.result()


def identity_of(node: Node) -> Identity:
    raw = identities.SerializedIdentity.FromString(node.identity)
    return Identity(msp_id=node.msp_id, certificate=raw.id_bytes, sign=signer(node.secret))


async def serving(*handlers) -> tuple[grpc.aio.Server, str]:
    server = grpc.aio.server()
    for handler in handlers:
        handler(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, f"127.0.0.1:{port}"


@asynccontextmanager
async def fake_fabric(path: Path) -> AsyncIterator[FakeFabric]:
    orgs = [make_org("Org1MSP"), make_org("Org2MSP")]
    network, front = make_network(orgs), Front()
    programs = {org.msp_id: Program() for org in orgs}
    members = Members(version=1, msps=tuple(org.msp() for org in orgs), policy=parse_policy(BOTH))
    async with running(network, path, programs) as ledger:
        flaky, sound = FlakyDesk(ledger, "peer1", "Org1MSP"), Desk(ledger, "peer2", "Org2MSP")
        peers = [
            await serving(functools.partial(gateway_services.add_GatewayServicer_to_server, GatewayService(it)))
            for it in (flaky, sound)
        ]
        node, grpc_address = await serving(lambda server: server.add_generic_rpc_handlers((front.handlers(),)))
        clients = [org.node("client") for org in orgs]
        writer = Gateway(peers[1][1], None, identity_of(orgs[0].node("admin")), "energy")
        await writer.transact(NAME, [b"Genesis", record(members)])
        await front.append([])
        yield FakeFabric(
            ledger=ledger,
            front=front,
            programs=programs,
            gateway=flaky,
            writer=writer,
            endpoints=FabricEndpoints(grpc=grpc_address, peer=peers[0][1], msp_id="Org1MSP"),
            clients=clients,
        )
        await writer.close()
        await asyncio.gather(*(server.stop(None) for server, _ in (*peers, (node, ""))))
        flaky.close()
        sound.close()
