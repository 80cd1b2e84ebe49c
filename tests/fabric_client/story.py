"""One story of a microgrid, told by any ledger's endorsers and followed by a client: real, embedded or recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import pytest

from cosmos_wire.protos import fabric_client
from fabric_wire import errors as wire
from fabric_wire.msp import Msp
from fabric_wire.policy import parse_policy
from ibc_core.fabric import build, errors, records
from ibc_core.fabric.membership import Members, record, write_members
from ibc_core.fabric.records import Scope
from ibc_core.light_client import Status
from tests.fabric_client.attester import CHAIN_ID, NAMESPACE
from tests.fabric_client.host import PATH, RECEIPT, TERMS, Host
from tests.fabric_client.network import SECOND_NS, Network

VALUE = b"value"
LAX = "OR('Org1MSP.peer', 'Org2MSP.peer')"
Messages = Mapping[str, fabric_client.EndorsedPayload]


class World(Protocol):
    """A ledger that runs the `Attester`."""

    async def transact(self, *args: bytes) -> None: ...

    async def attest(self, args: tuple[bytes, ...], msp_ids: tuple[str, ...] = ()) -> fabric_client.EndorsedPayload: ...


@dataclass(frozen=True, kw_only=True)
class Cast:
    """Who plays: the first membership and the first tick's time."""

    members: Members
    start_ns: int

    @property
    def scope(self) -> Scope:
        return Scope(chain_id=CHAIN_ID, channel_id="energy", namespace=NAMESPACE)

    def at(self, height: int) -> int:
        return self.start_ns + (height - 1) * SECOND_NS


def cast_of(msps: tuple[Msp, ...], endorsement: str, start_ns: int) -> Cast:
    return Cast(members=Members(version=1, msps=msps, policy=parse_policy(endorsement)), start_ns=start_ns)


def next_members(cast: Cast) -> Members:
    return Members(version=2, msps=cast.members.msps, policy=parse_policy(LAX))


async def tell(world: World, cast: Cast) -> Messages:
    """Make the ledger's state and have it attested."""
    found: dict[str, fabric_client.EndorsedPayload] = {}

    async def tick(height: int, version: int) -> None:
        await world.transact(b"Tick", b"%d" % height, b"%d" % cast.at(height), b"%d" % version)

    await world.transact(b"Found", b"1", record(cast.members))
    await world.transact(b"Write", PATH, VALUE)
    await tick(2, 1)
    found["header 2"] = await world.attest(records.attest_args(2, tick=True))
    found["proof 2"] = await world.attest(records.attest_args(2, (PATH, RECEIPT)))
    found["weak 2"] = await world.attest(records.attest_args(2, (PATH,)), ("Org1MSP",))
    await world.transact(b"Found", b"2", record(next_members(cast)))
    await world.transact(b"Write", RECEIPT, b"\x01")
    await world.transact(b"Write", PATH, b"")
    await tick(3, 2)
    found["header 3"] = await world.attest(records.attest_args(3, tick=True, membership_version=2))
    found["behind 3"] = await world.attest(records.attest_args(3, tick=True))
    found["proof 3"] = await world.attest(records.attest_args(3, (PATH, RECEIPT)))
    found["weak 3"] = await world.attest(records.attest_args(3, (RECEIPT,)), ("Org2MSP",))
    await world.transact(b"Write", PATH, b"lie")
    found["lie 3"] = await world.attest(records.attest_args(3, (PATH,)))
    return found


class Follower(Host):
    """A client whose network is told of, not run."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        super().__init__(net=Network(scope=cast.scope))
        self.now_ns = cast.at(1)
        state = build.client_state(cast.scope, 1, write_members(cast.members), TERMS)
        self.client_id = self.create(state, build.consensus_state(cast.at(1), 1))

    def take(self, header: fabric_client.EndorsedPayload, height: int) -> None:
        self.now_ns = self.cast.at(height)
        self.update(build.header(header))


def check_story(cast: Cast, told: Messages) -> None:
    """The client follows, believes what is proven and nothing else, and freezes at the lie."""
    host = Follower(cast)
    with pytest.raises(errors.MembershipBehind):
        host.take(told["behind 3"], 3)
    host.take(told["header 2"], 2)
    host.check(told["proof 2"], PATH, VALUE, at=2)
    host.check(told["proof 2"], RECEIPT, None, at=2)
    with pytest.raises(wire.PolicyNotSatisfied):
        host.check(told["weak 2"], PATH, VALUE, at=2)
    host.take(told["header 3"], 3)
    assert host.state().membership.version == 2
    host.check(told["proof 3"], RECEIPT, b"\x01", at=3)
    host.check(told["proof 3"], PATH, None, at=3)
    host.check(told["weak 3"], RECEIPT, b"\x01", at=3)
    with pytest.raises(errors.WrongHeight):
        host.check(told["proof 2"], RECEIPT, None, at=3)
    host.update(build.misbehaviour(host.client_id, told["proof 3"], told["lie 3"]))
    assert host.status() is Status.FROZEN
