"""Who belongs to an embedded network and under which rules it takes transactions. Fixed at its start."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeVar

from fabric_wire import p256
from fabric_wire.errors import InvalidProposal, PolicyNotSatisfied
from fabric_wire.msp import Member, Msp, Role, chains, require_member
from fabric_wire.policy import Policy
from fabric_wire.proposals import Invocation, Parts, read_parts
from fabric_wire.responses import Endorsement
from fabric_wire.x509 import read_identity

CHANNEL_READERS = CHANNEL_WRITERS = (Role.ADMIN, Role.PEER, Role.CLIENT)  # as configtx.yaml of a real network has it
KNOWN_MAX = 4096  # identities whose certificates were checked
KEPT_MAX = 10_000  # transactions on their way through client and orderer that are remembered
SMALL_BYTES = 8192
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An organisation's endorser, or the orderer: its SerializedIdentity and key."""

    msp_id: str
    name: str
    identity: bytes
    secret: p256.PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A member's SerializedIdentity and what it means, from one time to another (ns)."""

    raw: bytes
    key: bytes
    member: Member
    fingerprint: bytes
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A transaction that this process put together: of a proposal that it checked, and endorsements of its peers."""

    tx_id: str
    parts: Parts
    asked: Invocation
    response: bytes  # ProposalResponsePayload
    endorsements: tuple[Endorsement, ...]


class OnTheWay:
    """What this process found or made of transactions that come back to it in a block, so that it is done once.

    Small ones that it put together: as payloads for their creators to sign, then as envelopes whose signatures hold.
    Of all others the proposals that it has read and the endorsements that it has signed: those hold.
    """

    def __init__(self) -> None:
        self._made: OrderedDict[bytes, tuple[bytes, bytes]] = OrderedDict()
        self._read: OrderedDict[Parts, Invocation] = OrderedDict()
        self._prepared: OrderedDict[bytes, Prepared] = OrderedDict()
        self._signed: OrderedDict[bytes, Prepared] = OrderedDict()

    def prepare(self, payload: bytes, made: Prepared) -> None:
        """Remember what a transaction's payload says, if it is small; else its parts."""
        if len(payload) <= SMALL_BYTES and not made.asked.transient:
            _keep(self._prepared, payload, made)
            return
        self.read(made.parts, made.asked)
        for item in made.endorsements:
            self.keep(item.endorser, made.response, item.signature)

    def prepared(self, payload: bytes) -> Prepared | None:
        """What a payload says, when it is one of ours."""
        return self._prepared.get(payload)

    def signed(self, payload: bytes, envelope: bytes, made: Prepared) -> None:
        """Remember that its creator has signed it: an envelope around that payload."""
        self._prepared.pop(payload, None)
        _keep(self._signed, envelope, made)

    def taken(self, envelope: bytes) -> Prepared | None:
        """What a signed envelope of ours says, once."""
        return self._signed.pop(envelope, None)

    def read(self, parts: Parts, asked: Invocation) -> None:
        """Remember what a small proposal asks."""
        if len(parts.payload) < SMALL_BYTES and not asked.transient:
            _keep(self._read, parts, asked)

    def asked(self, parts: Parts) -> Invocation:
        """What the parts of a proposal ask; raises InvalidProposal."""
        return self._read.get(parts) or read_parts(parts)

    def keep(self, endorser: bytes, payload: bytes, signature: bytes) -> None:
        """Remember an endorsement of ours."""
        _keep(self._made, signature, (endorser, sha256(payload).digest()))

    def require(self, known: Known, payload: bytes, signature: bytes) -> None:
        """Raise a ChainError unless the member's signature over payload and identity holds."""
        if self._made.get(signature) != (known.raw, sha256(payload).digest()):
            p256.verify(known.key, payload + known.raw, signature)


def _keep(table: OrderedDict[K, V], key: K, value: V) -> None:
    """The oldest goes when there are too many."""
    table[key] = value
    if len(table) > KEPT_MAX:
        table.popitem(last=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Channel, organisations (ascending by MSP id), endorsers, orderer, endorsement policy of each chaincode."""

    channel_id: str
    msps: tuple[Msp, ...]
    peers: tuple[Node, ...]
    orderer: Node
    policies: Mapping[str, Policy]
    _known: dict[bytes, Known] = field(default_factory=dict, init=False, repr=False, compare=False)

    def known(self, raw: bytes, at_ns: int) -> Known:
        """What an identity is at a time (ns); raises a ChainError saying what is wrong with it.

        Organisations are fixed, so who was a member once is one as long as no certificate of the chain ends.
        """
        found = self._known.get(raw)
        if found is None or not found.from_ns <= at_ns <= found.to_ns:
            found = self._judge(raw, at_ns)
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[raw] = found
        return found

    def _judge(self, raw: bytes, at_ns: int) -> Known:
        identity = read_identity(raw)
        member = require_member(self.msps, identity, at_ns)
        (msp,) = (msp for msp in self.msps if msp.msp_id == member.msp_id)
        (chain,) = chains(msp, identity.certificate)
        return Known(
            raw=raw,
            key=identity.certificate.key,
            member=member,
            fingerprint=identity.certificate.fingerprint,
            from_ns=max(link.not_before_ns for link in chain),
            to_ns=min(link.not_after_ns for link in chain),
        )

    def require_signed(self, raw: bytes, message: bytes, signature: bytes, at_ns: int) -> Member:
        """The member who signed a message; raises a ChainError."""
        found = self.known(raw, at_ns)
        p256.verify(found.key, message, signature)
        return found.member

    def require_role(self, member: Member, roles: tuple[Role, ...]) -> None:
        """Raise PolicyNotSatisfied for another role, as the channel's policies do."""
        if member.role not in roles:
            got = member.role.value if member.role else "none"
            raise PolicyNotSatisfied(f"{member.msp_id}: expected one of {[r.value for r in roles]}, got {got}")

    def require_channel(self, channel_id: str) -> None:
        """Raise InvalidProposal for another channel."""
        if channel_id != self.channel_id:
            raise InvalidProposal(f"channel: expected {self.channel_id!r}, got {channel_id[:100]!r}")
