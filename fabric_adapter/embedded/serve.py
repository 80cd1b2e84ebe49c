"""The embedded ledger as a process: each organisation's gateway at its peer's address, one ledger behind all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.serialization import Encoding

from cosmos_wire.errors import ToolError
from fabric_adapter.embedded.apart import Apart
from fabric_adapter.embedded.deliver import DeliverService
from fabric_adapter.embedded.desk import Desk
from fabric_adapter.embedded.disk import Disk
from fabric_adapter.embedded.ledger import Ledger
from fabric_adapter.embedded.network import Network, Node
from fabric_adapter.embedded.orderer import BatchRules
from fabric_adapter.embedded.service import GatewayService, stream_handlers
from fabric_adapter.identity import CHANNEL_OPTIONS
from fabric_adapter.network import crypto, members
from fabric_adapter.network.members import CA
from fabric_adapter.network.plan import LEDGER, ORDERER, ORDERER_MSP, Home, Peer, Plan
from fabric_adapter.stub import Chaincode
from fabric_wire.crl import revoked_serials
from fabric_wire.msp import Msp, check_msps
from fabric_wire.policy import parse_policy
from fabric_wire.services import gateway_services
from fabric_wire.x509 import read_certificate, serialized_identity

SERVER_OPTIONS = (
    *CHANNEL_OPTIONS,
    ("grpc.http2.max_ping_strikes", 0),  # clients keep idle streams alive
    ("grpc.so_reuseport", 0),  # a second server on the same port is an error, not a rival
)

BUSY_WAIT_S = 0.04  # so long a block waits at least for more transactions where there are many

MakeChaincode = Callable[[], Chaincode]


def load_network(home: Home, plan: Plan) -> Network:
    """Members and rules of a home; raises ToolError, ChainError for files that can't be used."""
    msps = tuple(sorted((_msp(home, peer) for peer in plan.peers), key=lambda msp: msp.msp_id))
    check_msps(msps)
    return Network(
        channel_id=plan.wish.channel,
        msps=msps,
        peers=tuple(load_node(home, peer) for peer in plan.peers),
        orderer=_node(home.crypto(ORDERER) / "members", ORDERER, ORDERER_MSP),
        policies={plan.wish.chaincode: parse_policy(plan.endorsement)},
    )


def _msp(home: Home, peer: Peer) -> Msp:
    root = crypto.read_pair(home.crypto(peer.org), CA).certificate.public_bytes(Encoding.DER)
    authority, crl = read_certificate(root), members.revocation_list(home, peer.org)
    revoked = () if crl is None else revoked_serials(crl, authority)
    return Msp(msp_id=peer.msp_id, roots=(authority,), revoked=revoked)


def load_node(home: Home, peer: Peer) -> Node:
    """An organisation's endorser."""
    return _node(home.crypto(peer.org) / "members", "peer", peer.msp_id)


def _node(folder: Path, name: str, msp_id: str) -> Node:
    pair = crypto.read_pair(folder, name)
    raw = serialized_identity(msp_id, pair.certificate.public_bytes(Encoding.DER))
    return Node(msp_id=msp_id, name=name, identity=raw, secret=pair.key)


def make_ledger(home: Home, plan: Plan, make: MakeChaincode | None) -> Ledger:
    """The ledger of a home; each organisation runs a chaincode of its own, here or elsewhere (None)."""
    network = load_network(home, plan)
    programs: Mapping[str, Chaincode] = {} if make is None else {node.msp_id: make() for node in network.peers}
    batch = plan.batch
    rules = BatchRules(
        count_max=batch.messages_max,
        bytes_max=batch.bytes_max,
        wait_s=batch.timeout_ms / 1000,
        busy_wait_s=BUSY_WAIT_S,
    )
    return Ledger(network, Disk(home.node(LEDGER) / "data"), {plan.wish.chaincode: programs}, rules)


async def serve(home: Home, plan: Plan, make: MakeChaincode | None = None) -> None:
    """Serve until cancelled; raises ToolError when the ledger fails. Without `make` each peer has its own process."""
    ledger = make_ledger(home, plan, make)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(ledger.close)
        await ledger.start()
        apart = None
        if make is None:
            apart = Apart(home, plan, ledger.network.peers)
            stack.push_async_callback(apart.close)
            await apart.start()
        for peer in plan.peers:
            server = await _listen(home, peer, ledger, Desk(ledger, peer.address, peer.msp_id, apart))
            stack.push_async_callback(server.stop, None)
        await ledger.ended()
        raise ToolError(f"ledger: expected to go on, its orderer ended with {ledger.failed()!r}")


async def _listen(home: Home, peer: Peer, ledger: Ledger, desk: Desk) -> grpc.aio.Server:
    server: grpc.aio.Server = grpc.aio.server(options=SERVER_OPTIONS)
    gateway_services.add_GatewayServicer_to_server(GatewayService(desk), server)
    server.add_generic_rpc_handlers((stream_handlers(desk), DeliverService(ledger).handlers))
    tls = crypto.read_pair(home.crypto(peer.org) / "tls", "peer")
    pairs = [(tls.key_pem, tls.certificate_pem)]
    credentials = grpc.ssl_server_credentials(pairs)  # type: ignore[no-untyped-call]  # grpcio ships no types
    try:
        server.add_secure_port(peer.address, credentials)
    except RuntimeError as error:
        raise ToolError(f"{peer.address}: expected a free port, got: address already in use") from error
    await server.start()
    return server
