"""Client messages out of what a Fabric gateway gives: for relayers, tools and tests. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cosmos_wire.protos import client as client_proto
from cosmos_wire.protos import fabric_client
from fabric_wire import strict
from fabric_wire.proposals import Parts
from fabric_wire.responses import Endorsement
from ibc_core.fabric.records import Membership, Scope
from ibc_core.fabric.wire import ClientState, ConsensusState, EndorsedPayload, Header, Misbehaviour
from ibc_core.light_client import Height
from ibc_core.state import height_message, revision_of
from ibc_core.tendermint.times import duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What whoever creates a client chooses, in ns."""

    trusting_period_ns: int
    max_clock_drift_ns: int


def height_in(chain_id: str, height: int) -> Height:
    """A tick's height with the revision of its chain."""
    return Height(revision_of(chain_id), height)


def client_state(scope: Scope, height: int, membership: Membership, terms: Terms) -> ClientState:
    """First state of a client that begins at `height`."""
    return ClientState(
        chain_id=scope.chain_id,
        channel_id=scope.channel_id,
        namespace=scope.namespace,
        membership=membership,
        trusting_period=duration(terms.trusting_period_ns),
        max_clock_drift=duration(terms.max_clock_drift_ns),
        latest_height=height_message(height_in(scope.chain_id, height)),
        frozen_height=client_proto.Height(),
    )


def consensus_state(time_ns: int, membership_version: int) -> ConsensusState:
    """What a client keeps of a tick."""
    return ConsensusState(timestamp_ns=time_ns, membership_version=membership_version)


def endorsed_payload(parts: Parts, response_payload: bytes, endorsements: Sequence[Endorsement]) -> EndorsedPayload:
    """A proposal's parts with what its endorsers answered."""
    return EndorsedPayload(
        channel_header=parts.channel_header,
        signature_header=parts.signature_header,
        proposal_payload=parts.payload,
        response_payload=response_payload,
        endorsements=[fabric_client.Endorsement(endorser=e.endorser, signature=e.signature) for e in endorsements],
    )


def proof(endorsed: EndorsedPayload) -> bytes:
    """Proof bytes of a membership or non-membership."""
    return strict.write(endorsed)


def header(endorsed: EndorsedPayload) -> Header:
    """Header of a payload that attests the tick."""
    return Header(endorsed=endorsed)


def misbehaviour(client_id: str, first: EndorsedPayload, second: EndorsedPayload) -> Misbehaviour:
    """Two payloads that contradict each other."""
    return Misbehaviour(client_id=client_id, first=first, second=second)
