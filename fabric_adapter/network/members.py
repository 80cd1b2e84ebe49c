"""Folders of an organisation's certificates, and the MSP folders that Fabric's programs read.

crypto/ORG/ca.crt, ca.key           signs members
crypto/ORG/tlsca.crt, tlsca.key     signs the nodes' TLS certificates
crypto/ORG/members/NAME.crt, .key   members: peer, admin, writer, relayer, user, ...
crypto/ORG/tls/NAME.crt, .key       TLS of the nodes and of the chaincode
crypto/ORG/msp/                     the organisation's MSP, without secrets
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from cosmos_wire.errors import ToolError
from fabric_adapter.network import crypto
from fabric_adapter.network.crypto import Pair, Subject
from fabric_adapter.network.plan import DEFAULT_USERS, ORDERER, Home, Plan

MEMBER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
CA, TLS_CA = "ca", "tlsca"
ADMIN = "admin"
ADMINS = (ADMIN, "writer")  # the writer makes Ticks, which a chaincode takes from administrators and peers only


def make_all(home: Home, plan: Plan) -> None:
    """Every certificate that a new network needs."""
    _make_org(home.crypto(ORDERER), ORDERER, ORDERER)
    add_member(home, ORDERER, ADMIN, ADMIN)
    issue_tls(home, ORDERER, "admin")
    for peer in plan.peers:
        _make_org(home.crypto(peer.org), peer.org, "peer")
        for user in DEFAULT_USERS:
            add_member(home, peer.org, user, ADMIN if user in ADMINS else "client")
    issue_tls(home, plan.peers[0].org, "chaincode")
    issue_tls(home, plan.peers[0].org, "chaincode-client")


def _make_org(folder: Path, org: str, node: str) -> None:
    """Both authorities, the node's two certificates, and the MSP."""
    authorities = {name: crypto.make_authority(f"{name}.{org}") for name in (CA, TLS_CA)}
    for name, pair in authorities.items():
        crypto.write_pair(folder, pair, name)
    role = ORDERER if node == ORDERER else "peer"
    member = crypto.issue(authorities[CA], Subject(name=f"{node}.{org}", role=role))
    crypto.write_pair(folder / "members", member, node)
    tls = crypto.issue(authorities[TLS_CA], Subject(name=f"{node}.{org}", role=role, for_tls=True))
    crypto.write_pair(folder / "tls", tls, node)
    write_msp(folder / "msp", folder)
    write_msp(folder / f"{node}-msp", folder)
    _write_signer(folder / f"{node}-msp", member)


def issue_tls(home: Home, org: str, name: str) -> None:
    """A TLS certificate for something that serves or dials for an organisation."""
    folder = home.crypto(org)
    authority = crypto.read_pair(folder, TLS_CA)
    pair = crypto.issue(authority, Subject(name=f"{name}.{org}", role="client", for_tls=True))
    crypto.write_pair(folder / "tls", pair, name)


def add_member(home: Home, org: str, name: str, role: str = "client") -> Path:
    """A new member of an organisation, in a node role; returns its certificate's file, the key lies beside it."""
    if not MEMBER_NAME.fullmatch(name):
        raise ToolError(f"member: expected lower-case letters, digits, '.', '_' and '-', got {name!r}")
    folder = home.crypto(org)
    if (folder / "members" / f"{name}.crt").exists():
        raise ToolError(f"member {name} of {org}: expected a new name, got one that is taken")
    pair = crypto.issue(crypto.read_pair(folder, CA), Subject(name=f"{name}.{org}", role=role))
    crypto.write_pair(folder / "members", pair, name)
    return folder / "members" / f"{name}.crt"


def revoke(home: Home, org: str, name: str) -> None:
    """Put a member's certificate on the organisation's revocation list.

    A network takes the list into its first block, an embedded ledger reads it when it starts.
    """
    folder = home.crypto(org)
    certificate = crypto.read_pair(folder / "members", name).certificate
    known = folder / "msp" / "crls" / "revoked.pem"
    text = crypto.revocation_list(
        crypto.read_pair(folder, CA), certificate, known.read_bytes() if known.exists() else b""
    )
    for place in ("msp", "peer-msp"):
        (folder / place / "crls").mkdir(parents=True, exist_ok=True)
        (folder / place / "crls" / known.name).write_bytes(text)


def revocation_file(home: Home, org: str) -> Path:
    """Where the organisation's revocation list is when it has one."""
    return home.crypto(org) / "msp" / "crls" / "revoked.pem"


def revocation_list(home: Home, org: str) -> bytes | None:
    """The organisation's revocation list (DER), None when nobody is revoked."""
    known = revocation_file(home, org)
    return crypto.read_revocation_list(known.read_bytes()) if known.exists() else None


def write_msp(target: Path, folder: Path) -> None:
    """Public part of an MSP: both roots and which organisational unit means which role."""
    for place, name in (("cacerts", CA), ("tlscacerts", TLS_CA)):
        (target / place).mkdir(parents=True, exist_ok=True)
        (target / place / f"{name}.pem").write_bytes((folder / f"{name}.crt").read_bytes())
    units = {
        f"{role.title()}OUIdentifier": {"Certificate": f"cacerts/{CA}.pem", "OrganizationalUnitIdentifier": role}
        for role in crypto.ROLES
    }
    (target / "config.yaml").write_text(json.dumps({"NodeOUs": {"Enable": True, **units}}, indent=1))


def _write_signer(target: Path, member: Pair) -> None:
    (target / "signcerts").mkdir(parents=True, exist_ok=True)
    (target / "signcerts" / "cert.pem").write_bytes(member.certificate_pem)
    crypto.write_secret(target / "keystore" / "key.pem", member.key_pem)
