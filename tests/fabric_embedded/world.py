"""A small embedded network with authorities of its own, and clients that are members of it."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from fabric_adapter.embedded.disk import Disk, Place
from fabric_adapter.embedded.endorser import ANYBODY, Ready
from fabric_adapter.embedded.ledger import Ledger
from fabric_adapter.embedded.network import Network, Node
from fabric_adapter.embedded.orderer import BatchRules
from fabric_adapter.network.crypto import YEARS, Pair, Subject, issue, make_authority
from fabric_adapter.shim.keyvalue import KeyValue
from fabric_adapter.stub import Chaincode
from fabric_wire import strict
from fabric_wire.envelopes import sign_envelope, transaction_payload
from fabric_wire.msp import Msp
from fabric_wire.policy import parse_policy
from fabric_wire.proposals import Invocation, build_proposal, sign_proposal
from fabric_wire.x509 import read_certificate, serialized_identity

NAME = "microgrid"
BOTH = "AND('Org1MSP.peer','Org2MSP.peer')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Org:
    msp_id: str
    authority: Pair

    def node(self, role: str, lifetime: timedelta = YEARS) -> Node:
        pair = issue(self.authority, Subject(name=f"{role}.{self.msp_id}", role=role, lifetime=lifetime))
        raw = serialized_identity(self.msp_id, pair.certificate.public_bytes(Encoding.DER))
        return Node(msp_id=self.msp_id, name=role, identity=raw, secret=pair.key)

    def msp(self, revoked: tuple[int, ...] = ()) -> Msp:
        root = read_certificate(self.authority.certificate.public_bytes(Encoding.DER))
        return Msp(msp_id=self.msp_id, roots=(root,), revoked=revoked)


def make_org(msp_id: str) -> Org:
    return Org(msp_id=msp_id, authority=make_authority(f"ca.{msp_id}"))


def make_network(orgs: Sequence[Org], policy: str = BOTH) -> Network:
    return Network(
        channel_id="energy",
        msps=tuple(org.msp() for org in orgs),
        peers=tuple(org.node("peer") for org in orgs),
        orderer=make_org("OrdererMSP").node("orderer"),
        policies={NAME: parse_policy(policy)},
    )


@asynccontextmanager
async def running(
    network: Network, path: Path, programs: Mapping[str, Chaincode] | None = None
) -> AsyncIterator[Ledger]:
    chaincodes = {NAME: programs or {node.msp_id: KeyValue() for node in network.peers}}
    ledger = Ledger(network, Disk(path, sync=False), chaincodes, BatchRules(wait_s=0.01))
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.close()


def asked(creator: Node, *args: bytes) -> Invocation:
    return Invocation(
        channel_id="energy",
        chaincode=NAME,
        args=args,
        creator=creator.identity,
        nonce=os.urandom(24),
        time_ns=time.time_ns(),
    )


def endorse(ledger: Ledger, creator: Node, invocation: Invocation) -> Ready:
    signed = sign_proposal(creator.secret, build_proposal(invocation))
    return ledger.endorsers.endorse(ledger.endorsers.accept(signed, time.time_ns()), ANYBODY)


def envelope(creator: Node, ready: Ready) -> bytes:
    payload = transaction_payload(ready.accepted.parts, ready.payload, ready.endorsements)
    return strict.write(sign_envelope(creator.secret, payload))


async def transact(ledger: Ledger, creator: Node, *args: bytes) -> Place:
    ready = endorse(ledger, creator, asked(creator, *args))
    ledger.submit(envelope(creator, ready))
    return await ledger.wait_place(ready.accepted.tx_id)


def value_of(ledger: Ledger, creator: Node, key: bytes) -> bytes:
    signed = sign_proposal(creator.secret, build_proposal(asked(creator, b"get", key)))
    return ledger.endorsers.evaluate(ledger.endorsers.accept(signed, time.time_ns()), ANYBODY).payload


def without(ready: Ready, keep: int) -> Ready:
    """The same with the first endorsements only."""
    return replace(ready, endorsements=ready.endorsements[:keep])
