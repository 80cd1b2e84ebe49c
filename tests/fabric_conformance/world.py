"""A ledger of either kind as the conformance cases see it: clients, strangers, and what became of an attempt."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any as Json

import grpc

from fabric_adapter.errors import CommitError, FabricError
from fabric_adapter.gateway import ChaincodeEvent, Committed, Endorsed, Gateway, Patience
from fabric_adapter.identity import Identity, signer
from fabric_adapter.network import crypto, document, lifecycle, members
from fabric_adapter.network.crypto import Subject
from fabric_adapter.network.document import connect
from fabric_adapter.network.plan import Home, Wish, make_plan, ports_needed
from fabric_wire.protos import common, transaction
from processes import control, ports
from processes.files import write_json, write_specs

NAME = "microgrid"
REVOKED = "revoked"
AT_ONCE = Patience(total_s=0.1, status_s=20)
GUARD_S = 120  # against standing still, not a measurement
Outcome = dict[str, Json]


@dataclass(frozen=True)
class Policy:
    """A network to run cases on: how many organisations, and whose endorsements make a transaction valid."""

    orgs: int = 2
    endorsement: str = ""


POLICIES = {
    "and": Policy(),
    "or": Policy(endorsement="OR('Org1MSP.peer', 'Org2MSP.peer')"),
    "two-of-three": Policy(orgs=3, endorsement="OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')"),
}


@dataclass(frozen=True)
class World:
    """A network that is up. `alone`: call by call, although the gateway offers a stream."""

    home: Home
    alone: bool = False
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def fresh(self) -> World:
        """The same network with other keys."""
        return World(self.home, self.alone)

    def client(self, org: int = 1, member: str = "user", patience: Patience | None = None) -> Gateway:
        made = connect(self.home.document, org, member, patience)
        if self.alone:
            made._lines._offered = False
        return made

    @asynccontextmanager
    async def acting(self, identity: Identity, org: int = 1) -> AsyncIterator[Gateway]:
        """A client of somebody else, who is told at once what is wrong."""
        async with self.client(org, patience=AT_ONCE) as client:
            client.identity = identity
            yield client

    def key(self, name: str) -> str:
        """A key that no other run has."""
        return f"{name}-{self.run}"

    def stranger(self, role: str = "client", *, own: bool = True, msp_id: str = "Org1MSP", **subject: Json) -> Identity:
        """Somebody with a new certificate: of Org1's authority, or of another one of the same name."""
        authority = crypto.read_pair(self.home.crypto("org1"), "ca") if own else crypto.make_authority("ca.org1")
        made = crypto.issue(authority, Subject(name="somebody", role=role, **subject))
        return Identity(msp_id=msp_id, certificate=made.certificate_pem, sign=signer(made.key))

    # what became of it

    async def attempt(self, work: Awaitable[object]) -> Outcome:
        """Result or failure, without what differs from run to run."""
        try:
            async with asyncio.timeout(GUARD_S):
                return {"ok": self._shown(await work)}
        except CommitError as error:
            return {"error": "CommitError", "validation": error.name}
        except FabricError as error:
            return self._failure(error)

    async def endorsed(self, work: Awaitable[Endorsed]) -> Endorsed | Outcome:
        """What was endorsed, or what became of it instead."""
        try:
            return await work
        except FabricError as error:
            return self._failure(error)

    def _shown(self, found: object) -> Json:
        if isinstance(found, Committed):
            return transaction.TxValidationCode.Name(transaction.TxValidationCode.ValueType(found.validation_code))
        if isinstance(found, Endorsed):
            return {"result": self.plain(found.result.decode()), "endorsements": len(found.endorsements)}
        if isinstance(found, ChaincodeEvent):
            return "an event"
        return self.plain(found.decode()) if isinstance(found, bytes) else found

    def _failure(self, error: FabricError) -> Outcome:
        found: Outcome = {"error": type(error).__name__, "code": error.code.name}
        if error.code is not grpc.StatusCode.DEADLINE_EXCEEDED:  # which side says it first is chance
            found["message"] = self.plain(error.reason)
        if error.nodes:
            found["nodes"] = [[node.msp_id, self.plain(node.message)] for node in error.nodes]
        if error.refusal:
            found["refusal"] = [error.refusal.status, self.plain(error.refusal.message)]
        return found

    def plain(self, text: str) -> str:
        """Without identifiers, addresses, times and numbers of certificates."""
        for pattern, name in (
            (self.run, "RUN"),
            (r"\b[0-9a-f]{64}\b", "HASH"),
            (r"\b[0-9a-f]{200,}\b", "HEX"),
            (r"\[[0-9a-f]{8}\]", "[TX]"),
            (r"127\.0\.0\.1:\d+", "ADDRESS"),
            (r"\b\d{4}-\d\d-\d\d[T ][0-9:.]+Z?( \+0000 UTC)?\b", "TIME"),
        ):
            text = re.sub(pattern, name, text)
        return text


def altered(ready: Endorsed, change: object) -> Endorsed:
    """An endorsed transaction after `change(header payload, transaction action payload)` was at it."""
    body = common.Payload.FromString(ready.envelope)
    deed = transaction.Transaction.FromString(body.data)
    action = transaction.ChaincodeActionPayload.FromString(deed.actions[0].payload)
    change(body, action)  # type: ignore[operator]  # a function of both
    deed.actions[0].payload = action.SerializeToString()
    body.data = deed.SerializeToString()
    return replace(ready, envelope=body.SerializeToString())


@asynccontextmanager
async def up(path: Path, kind: str, policy: Policy) -> AsyncIterator[World]:
    """A network with a member of Org1 who is revoked from the beginning; taken away at the end."""
    home = Home(path)
    home.path.mkdir(parents=True)
    wish = Wish(kind=kind, orgs=policy.orgs, endorsement=policy.endorsement)
    plan = make_plan(wish, ports.lease(home.path, ports_needed(wish)))
    write_json(home.plan, plan.doc())
    members.make_all(home, plan)
    members.add_member(home, "org1", REVOKED)
    members.revoke(home, "org1", REVOKED)
    back_end = lifecycle.back_end(kind)
    back_end.prepare(print)
    made = back_end.write(home, plan)
    write_specs(home, made.specs)
    write_json(home.document, document.made(home, plan, made.package_id))
    try:
        await lifecycle.start(home, plan)
        await lifecycle.join(home, plan, made.package_id)
        yield World(home)
    finally:
        await asyncio.to_thread(control.stop, home)
        ports.release(home.path)
