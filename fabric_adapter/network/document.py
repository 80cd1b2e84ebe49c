"""fabric.json: all that another program needs to use the network.

{"version": 1, "kind": "fabric" | "fabric-embedded", "home": DIR, "channel": "energy", "chaincode": "microgrid",
"package_id": "microgrid:...", "endorsement": "AND('Org1MSP.peer', 'Org2MSP.peer')", "batch_timeout_ms": 200,
"orgs": [{"name": "org1", "msp_id": "Org1MSP", "peer": "peer1", "gateway": "127.0.0.1:...", "pid": ...,
"operations": "http://127.0.0.1:...", "ca": FILE, "tls_ca": FILE,
"members": {"admin": {"certificate": FILE, "key": FILE}, ...}}, ...],
"ordering": {"policy": "OR('OrdererMSP.orderer')", "orgs": [{"msp_id": "OrdererMSP", "ca": FILE}]},
"processes": {"peer1": PID, ...}, "supervisor": DIR/supervisor.json,
of a real network also
"orderer": {"address": "127.0.0.1:...", "admin": "...", "operations": "...", "tls_ca": FILE, "pid": ...},
"chaincode_server": {"address": "127.0.0.1:...", "pid": ...}}

`ordering` says whose signatures make a block of the channel. `ca` may hold several roots (PEM); an organisation may
have a revocation list (`crl`: PEM, of the first root); `"consenters": [{"id": 1, "msp_id": ..., "certificate": FILE},
...]` names those of a Fabric 3 network that sign by number.

The embedded ledger is the process of every organisation's peer; its package id names no package.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any as Json

from cosmos_wire.errors import ToolError
from fabric_adapter.gateway import Gateway, Patience
from fabric_adapter.identity import Tls, load_identity
from fabric_adapter.network.members import revocation_file
from fabric_adapter.network.plan import BLOCK_POLICY, HOST, LEDGER, ORDERER, ORDERER_MSP, REAL, Home, Peer, Plan
from processes.files import read_json, write_json


def made(home: Home, plan: Plan, package_id: str) -> dict[str, Json]:
    """The document of a network, without pids."""
    return {
        "version": 1,
        "kind": plan.wish.kind,
        "home": str(home.path),
        "channel": plan.wish.channel,
        "chaincode": plan.wish.chaincode,
        "package_id": package_id,
        "endorsement": plan.endorsement,
        "batch_timeout_ms": plan.batch.timeout_ms,
        "orgs": [_org(home, peer) for peer in plan.peers],
        "ordering": _ordering(home),
        "supervisor": str(home.state),
        **(_others(home, plan) if plan.wish.kind == REAL else {}),
    }


def _others(home: Home, plan: Plan) -> dict[str, Json]:
    """Orderer and chaincode where they are processes of their own."""
    orderer = {
        "address": plan.orderer_address,
        "admin": f"https://{HOST}:{plan.orderer['admin']}",
        "operations": f"http://{HOST}:{plan.orderer['operations']}",
        "tls_ca": str(home.crypto(ORDERER) / "tlsca.crt"),
    }
    return {"orderer": orderer, "chaincode_server": {"address": plan.chaincode_address}}


def _ordering(home: Home) -> dict[str, Json]:
    """Whose signatures make a block of the channel."""
    org = {"msp_id": ORDERER_MSP, "ca": str(home.crypto(ORDERER) / "ca.crt")}
    revoked = revocation_file(home, ORDERER)
    return {"policy": BLOCK_POLICY, "orgs": [org | ({"crl": str(revoked)} if revoked.exists() else {})]}


def _org(home: Home, peer: Peer) -> dict[str, Json]:
    folder = home.crypto(peer.org)
    return {
        "name": peer.org,
        "msp_id": peer.msp_id,
        "peer": peer.name,
        "gateway": peer.address,
        "operations": f"http://{HOST}:{peer.ports['operations']}",
        "ca": str(folder / "ca.crt"),
        "tls_ca": str(folder / "tlsca.crt"),
        "members": members(home, peer),
    }


def members(home: Home, peer: Peer) -> dict[str, Json]:
    """Files of an organisation's members."""
    folder = home.crypto(peer.org) / "members"
    names = sorted(path.stem for path in folder.glob("*.crt") if path.stem != "peer")
    return {name: {"certificate": str(folder / f"{name}.crt"), "key": str(folder / f"{name}.key")} for name in names}


def save(home: Home, doc: dict[str, Json], table: Mapping[str, Json]) -> dict[str, Json]:
    """Write the document with the pids of the supervisor's table."""
    pids = {name: item["pid"] for name, item in table.items()}
    for org in doc["orgs"]:
        org["pid"] = pids[org["peer"] if doc["kind"] == REAL else LEDGER]
    if doc["kind"] == REAL:
        doc["orderer"]["pid"], doc["chaincode_server"]["pid"] = pids[ORDERER], pids["chaincode"]
    doc["processes"] = pids
    write(home, doc)
    return doc


def write(home: Home, doc: dict[str, Json]) -> None:
    """Replace the document."""
    write_json(home.document, doc)


def connect(file: Path, org: int = 1, member: str = "user", patience: Patience | None = None) -> Gateway:
    """A client by fabric.json: organisation by number, member by name. Raises ToolError when there is no such one."""
    doc = read_json(file)
    if not 1 <= org <= len(doc["orgs"]):
        raise ToolError(f"organisation: expected 1 to {len(doc['orgs'])}, got {org}")
    found = doc["orgs"][org - 1]
    if member not in found["members"]:
        raise ToolError(f"member of {found['name']}: expected one of {', '.join(found['members'])}, got {member!r}")
    files = found["members"][member]
    identity = load_identity(found["msp_id"], Path(files["certificate"]), Path(files["key"]))
    tls = Tls(roots=Path(found["tls_ca"]).read_bytes())
    return Gateway(found["gateway"], tls, identity, doc["channel"], patience)
