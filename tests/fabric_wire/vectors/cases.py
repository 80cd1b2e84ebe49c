"""The questions to Fabric's own code: organisations, identities, policies and who signs."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA384

from fabric_wire import der, p256
from fabric_wire.msp import Msp
from fabric_wire.responses import NamespaceSet, Read, Write, write_sets
from fabric_wire.x509 import serialized_identity
from tests.fabric_wire.authority import (
    START_S,
    Holder,
    Plan,
    authority,
    build,
    ca_of,
    crl,
    msp_of,
    peer,
    peer_of,
    root,
    secret,
)

ORG1, ORG2, DEEP, PLAIN, SHORT = "Org1MSP", "Org2MSP", "DeepMSP", "PlainMSP", "ShortMSP"
DEEP_ROOT = root("ca.deep")
MIDDLE = authority("middle.deep", DEEP_ROOT)
LOWER = authority("lower.deep", MIDDLE)
SHORT_ROOT = root("ca.short", path_length=0)
SHORT_MIDDLE = authority("middle.short", SHORT_ROOT)
REVOKED = peer("revoked.Org1MSP", ca_of(ORG1))
FAKE_CA = root("ca.Org1MSP", key=secret("not the authority"))
CRL = crl(ca_of(ORG1), (REVOKED.certificate.serial, 99))
MSPS = (
    Msp(msp_id=DEEP, roots=(DEEP_ROOT.certificate,), intermediates=(MIDDLE.certificate, LOWER.certificate)),
    Msp(msp_id=ORG1, roots=(ca_of(ORG1).certificate,), revoked=(99, REVOKED.certificate.serial)),
    msp_of(ORG2),
    Msp(msp_id=PLAIN, roots=(ca_of(PLAIN).certificate,), node_ous=False),
)
CRLS = {ORG1: (CRL,)}


def high_s(holder: Holder) -> bytes:
    """The certificate with the other form of its signature."""
    r, s = holder.certificate.signature
    algorithm = der.encode(der.SEQUENCE, der.encode(der.OID, bytes.fromhex("2a8648ce3d040302")))
    flipped = p256.write_signature(r, p256.ORDER - p256.low(s))
    return der.encode(der.SEQUENCE, holder.certificate.tbs, algorithm, der.encode(der.BIT_STRING, b"\x00" + flipped))


@dataclass(frozen=True, kw_only=True)
class Case:
    """An identity; `stricter` where we refuse what Fabric takes, with the reason."""

    name: str
    msp_id: str
    raw: bytes
    stricter: str = ""

    @property
    def serialized(self) -> bytes:
        return serialized_identity(self.msp_id, self.raw)


def _case(name: str, msp_id: str, holder: Holder, stricter: str = "") -> Case:
    return Case(name=name, msp_id=msp_id, raw=holder.certificate.raw, stricter=stricter)


def _units(name: str, *units: str) -> Holder:
    return peer(f"{name}.{ORG1}", ca_of(ORG1), units=units)


SHA384_SIGNED = build(Plan(name="sha384", units=("peer",), hash=SHA384()), ca_of(ORG1))[0]
CASES = (
    _case("a peer", ORG1, peer_of(ORG1)),
    _case("another peer", ORG1, peer_of(ORG1, 1)),
    _case("a client", ORG1, _units("client", "client")),
    _case("an admin", ORG1, _units("admin", "admin")),
    _case("an orderer", ORG1, _units("orderer", "orderer")),
    _case("no unit", ORG1, _units("nobody")),
    _case("a unit of no role", ORG1, _units("clerk", "department1")),
    _case("a role and another unit", ORG1, _units("both", "department1", "peer")),
    _case("two roles", ORG1, _units("double", "peer", "client")),
    _case("one role twice", ORG1, _units("twice", "peer", "peer")),
    _case("a peer of another organisation", ORG2, peer_of(ORG2)),
    _case("a peer of another organisation under this name", ORG1, peer_of(ORG2)),
    _case("an organisation that nobody knows", "NobodyMSP", peer_of(ORG1)),
    _case("under the lowest intermediate", DEEP, peer("peer.lower", LOWER)),
    _case("under an intermediate that has one below", DEEP, peer("peer.middle", MIDDLE)),
    _case("under a root that has intermediates", DEEP, peer("peer.root", DEEP_ROOT)),
    _case("without roles", PLAIN, peer("someone", ca_of(PLAIN), units=())),
    _case("the authority itself", ORG1, ca_of(ORG1)),
    _case("an authority below it", ORG1, authority("sub.Org1MSP", ca_of(ORG1))),
    _case("revoked", ORG1, REVOKED),
    _case("under an authority of the same name", ORG1, peer("peer.fake", FAKE_CA)),
    _case("forged", ORG1, peer("peer.forged", FAKE_CA, has_names=False)),
    _case("without key identifiers", ORG1, peer("peer.nameless", ca_of(ORG1), has_names=False)),
    _case("signed by a peer", ORG1, peer("peer.peer", peer_of(ORG1))),
    Case(name="the other form of the signature", msp_id=ORG1, raw=high_s(peer_of(ORG1, 2))),
    _case("no key usage", ORG1, peer("peer.unused", ca_of(ORG1), usage=None)),
    _case(
        "a key for something else",
        ORG1,
        peer("peer.usage", ca_of(ORG1), usage={"key_agreement": True}),
        stricter="a key usage without digital signature",
    ),
    Case(name="another hash", msp_id=ORG1, raw=SHA384_SIGNED, stricter="ECDSA with SHA-384"),
)
POLICIES = (
    "AND('Org1MSP.peer','Org2MSP.peer')",
    "OR('Org1MSP.peer','Org2MSP.peer')",
    "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'DeepMSP.peer')",
    "OutOf(2, 'Org1MSP.member', 'Org1MSP.member')",
    "AND('Org1MSP.member', 'Org1MSP.peer')",
    "AND('Org1MSP.peer', 'Org1MSP.member')",
    "AND('Org1MSP.peer', OR('Org1MSP.client', 'Org2MSP.peer'))",
    "OR(AND('Org1MSP.peer', 'Org1MSP.client'), 'Org2MSP.admin')",
    "and('Org1MSP.admin', outof(1, 'Org1MSP.orderer', 'PlainMSP.member'))",
    "OutOf(3, OR('Org1MSP.member', 'Org2MSP.member'), 'Org1MSP.peer', 'Org1MSP.client')",
    "OR('Org1MSP.admin', 'Org1MSP.orderer')",
)
SIGNERS = (
    (), (0,), (1,), (10,), (0, 1), (0, 10), (10, 0), (0, 2), (2, 0), (2, 10), (0, 1, 2), (2, 1, 0), (3,), (4,), (3, 4),
    (3, 16), (16,), (10, 13), (0, 13), (0, 1, 10, 13), (0, 0), (2, 0, 10), (0, 2, 10), (10, 0, 2),
)  # fmt: skip
RESULTS = write_sets(
    (
        NamespaceSet(namespace="_lifecycle", reads=(Read(key="namespaces/fields/microgrid/Sequence", version=(3, 0)),)),
        NamespaceSet(
            namespace="microgrid",
            reads=(Read(key="tick", version=(7, 0)), Read(key="absent", version=None), Read(key="0", version=(0, 0))),
            writes=(Write(key="a", value=b"1"), Write(key="b", value=b"", is_delete=True)),
        ),
    )
)
CHANNEL, CHAINCODE, ARGS = "energy", "microgrid", (b"Attest", b"\x00\xff")
AT_NS = START_S * 10**9
