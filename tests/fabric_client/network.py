"""A small Fabric network in memory that makes genuine proofs: organisations with their own authorities, a ledger of
records, and an `Attest` whose every byte a test can spoil on its way to the signatures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from cosmos_wire.protos import fabric_client
from fabric_wire import strict
from fabric_wire.policy import parse_policy
from fabric_wire.proposals import Invocation, Parts, build_parts
from fabric_wire.responses import Action, Endorsement, NamespaceSet, Read, write_action
from ibc_core.fabric import build, records
from ibc_core.fabric.membership import Members, write_members
from ibc_core.fabric.records import Scope
from tests.fabric_wire.authority import SECOND_NS, START_S, Holder, msp_of, peer_of

ORG1, ORG2, ORG3 = "Org1MSP", "Org2MSP", "Org3MSP"
BOTH = "AND('Org1MSP.peer', 'Org2MSP.peer')"
SCOPE = Scope(chain_id="mgf-1", channel_id="energy", namespace="microgrid")
START_NS = START_S * SECOND_NS
LIFECYCLE_READ = Read(key="namespaces/fields/microgrid/Sequence", version=(3, 0))


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Who endorses for which organisation."""

    msp_id: str
    holder: Holder

    def endorse(self, payload: bytes) -> Endorsement:
        return self.holder.endorse(self.msp_id, payload)


def peers(*names: str) -> tuple[Signer, ...]:
    """`Org1MSP` is its first peer, `Org1MSP/1` its second."""
    found = []
    for name in names:
        msp_id, _, number = name.partition("/")
        found.append(Signer(msp_id=msp_id, holder=peer_of(msp_id, int(number or 0))))
    return tuple(found)


def members_of(version: int, policy: str, *msp_ids: str) -> Members:
    return Members(version=version, msps=tuple(msp_of(msp_id) for msp_id in msp_ids), policy=parse_policy(policy))


@dataclass(kw_only=True)
class Spoil:
    """Changes on the way: to the invocation, the action before it is signed, the payload after it is signed."""

    invocation: Callable[[Invocation], Invocation] = lambda it: it
    parts: Callable[[Parts], Parts] = lambda it: it
    action: Callable[[Action], Action] = lambda it: it
    endorsements: Callable[[Sequence[Endorsement]], Sequence[Endorsement]] = lambda it: it
    signed: Callable[[bytes], bytes] = lambda it: it


@dataclass(kw_only=True)
class Network:
    """The ledger's committed state and who endorses."""

    scope: Scope = SCOPE
    members: Members = field(default_factory=lambda: members_of(1, BOTH, ORG1, ORG2))
    signers: tuple[Signer, ...] = field(default_factory=lambda: peers(ORG1, ORG2))
    ledger: dict[str, bytes] = field(default_factory=dict)
    height: int = 0
    time_ns: int = START_NS
    nonces: int = 0

    def __post_init__(self) -> None:
        self.adopt(self.members)
        self.tick()

    def adopt(self, members: Members) -> None:
        """Commit a membership record; it is in force from the next tick on."""
        self.members = members
        self.ledger[records.membership_key(members.version)] = strict.write(write_members(members))

    def tick(self, seconds: int = 1, **changes: bytes | None) -> None:
        """One tick later, with changes of ICS-24 paths (text)."""
        for path, value in changes.items():
            self.put(path.encode(), value)
        self.height += 1
        self.time_ns += seconds * SECOND_NS
        self.write_tick()

    def write_tick(self) -> None:
        record = records.TickRecord(
            height=self.height, time_ns=self.time_ns, state_hash=b"s", membership_version=self.members.version
        )
        self.ledger[records.TICK] = strict.write(record)

    def put(self, path: bytes, value: bytes | None) -> None:
        key = records.state_key(path)
        if value is None:
            self.ledger.pop(key, None)
        else:
            self.ledger[key] = value

    # endorsing

    def attest(self, args: tuple[bytes, ...], spoil: Spoil | None = None) -> fabric_client.EndorsedPayload:
        """An endorsed payload for the chaincode arguments."""
        spoil = spoil or Spoil()
        parts = build_parts(spoil.invocation(self.invocation(args)))
        action = spoil.action(self.run(args, parts))
        payload = write_action(action)
        endorsements = spoil.endorsements([signer.endorse(payload) for signer in self.signers])
        return build.endorsed_payload(spoil.parts(parts), spoil.signed(payload), endorsements)

    def invocation(self, args: tuple[bytes, ...]) -> Invocation:
        self.nonces += 1
        return Invocation(
            channel_id=self.scope.channel_id,
            chaincode=self.scope.namespace,
            args=args,
            creator=peer_of(ORG1).serialized(ORG1),
            nonce=self.nonces.to_bytes(24, "big"),
            time_ns=self.time_ns,
        )

    def run(self, args: tuple[bytes, ...], parts: Parts) -> Action:
        """What a peer's simulation of `Attest` yields."""
        reads: dict[str, Read] = {}

        def lookup(key: str) -> bytes | None:
            value = self.ledger.get(key)
            reads[key] = Read(key=key, version=None if value is None else (self.height, 0))
            return value

        writes = records.attest(self.scope, args[1], lookup)
        own = NamespaceSet(namespace=self.scope.namespace, reads=tuple(reads.values()), writes=writes)
        life = NamespaceSet(namespace="_lifecycle", reads=(LIFECYCLE_READ,))
        return Action(proposal_hash=parts.hash, sets=(life, own), chaincode=self.scope.namespace, version="1.0")

    def header(self, membership_version: int = 0, spoil: Spoil | None = None) -> fabric_client.Header:
        args = records.attest_args(self.height, tick=True, membership_version=membership_version)
        return build.header(self.attest(args, spoil))

    def proof(self, *paths: bytes, spoil: Spoil | None = None) -> fabric_client.EndorsedPayload:
        return self.attest(records.attest_args(self.height, tuple(paths)), spoil)


def own_set(action: Action, change: Callable[[NamespaceSet], NamespaceSet]) -> Action:
    """The action with another set of the chaincode itself."""
    sets = tuple(change(item) if item.namespace == action.chaincode else item for item in action.sets)
    return replace(action, sets=sets)
