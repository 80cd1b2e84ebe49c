"""Who belongs to an embedded network and under which rules it takes transactions. Fixed at its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fabric_wire import p256
from fabric_wire.errors import InvalidProposal
from fabric_wire.msp import Member, Msp, require_member
from fabric_wire.policy import Policy
from fabric_wire.x509 import Identity, read_identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An organisation's endorser, or the orderer: its SerializedIdentity and key."""

    msp_id: str
    name: str
    identity: bytes
    secret: p256.PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Channel, organisations (ascending by MSP id), endorsers, orderer, endorsement policy of each chaincode."""

    channel_id: str
    msps: tuple[Msp, ...]
    peers: tuple[Node, ...]
    orderer: Node
    policies: Mapping[str, Policy]

    def member(self, raw: bytes, at_ns: int) -> tuple[Identity, Member]:
        """An identity and what it is at a time (ns); raises a ChainError saying what is wrong with it."""
        identity = read_identity(raw)
        return identity, require_member(self.msps, identity, at_ns)

    def require_signed(self, raw: bytes, message: bytes, signature: bytes, at_ns: int) -> Member:
        """The member who signed a message; raises a ChainError."""
        identity, member = self.member(raw, at_ns)
        p256.verify(identity.certificate.key, message, signature)
        return member

    def require_channel(self, channel_id: str) -> None:
        """Raise InvalidProposal for another channel."""
        if channel_id != self.channel_id:
            raise InvalidProposal(f"channel: expected {self.channel_id!r}, got {channel_id[:100]!r}")
