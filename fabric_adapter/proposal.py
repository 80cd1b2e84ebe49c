"""Bytes that a client makes: proposals and signed envelopes. Source: fabric-protos, protoutil/proputils.go."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fabric_adapter.identity import Identity
from fabric_wire.proposals import Invocation, build_proposal, transaction_id
from fabric_wire.protos import common, proposal

NONCE_BYTES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a call may say beside its arguments: `timestamp_ns` is the proposal's time, now when it is None."""

    transient: Mapping[str, bytes] = field(default_factory=dict)
    organizations: Sequence[str] = ()  # MSP ids of the endorsers; empty: the gateway asks whom the policy needs
    timestamp_ns: int | None = None
    header_type: int = common.ENDORSER_TRANSACTION


NO_OPTIONS = Options()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function of a chaincode on a channel."""

    channel: str
    chaincode: str
    args: Sequence[bytes]
    options: Options = NO_OPTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A proposal with its transaction id, signed."""

    tx_id: str
    signed: proposal.SignedProposal


def propose(identity: Identity, call: Call) -> Proposed:
    """A signed proposal under a new transaction id."""
    nonce, given = os.urandom(NONCE_BYTES), call.options.timestamp_ns
    asked = Invocation(
        channel_id=call.channel,
        chaincode=call.chaincode,
        args=tuple(call.args),
        creator=identity.serialized,
        nonce=nonce,
        time_ns=time.time_ns() if given is None else given,
        transient=call.options.transient,
        header_type=call.options.header_type,
    )
    raw = build_proposal(asked)
    signed = proposal.SignedProposal(proposal_bytes=raw, signature=identity.sign(raw))
    return Proposed(tx_id=transaction_id(nonce, identity.serialized), signed=signed)


def sign_envelope(identity: Identity, payload: bytes) -> common.Envelope:
    """A payload for the orderer, signed by its creator."""
    return common.Envelope(payload=payload, signature=identity.sign(payload))
