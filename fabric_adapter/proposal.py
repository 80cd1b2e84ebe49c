"""Bytes that a client makes: proposals and signed envelopes. Source: fabric-protos, protoutil/proputils.go."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fabric_adapter.identity import Identity
from fabric_wire.protos import Timestamp, chaincode, common, proposal

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
    nonce = os.urandom(NONCE_BYTES)
    tx_id = hashlib.sha256(nonce + identity.serialized).hexdigest()
    creator = common.SignatureHeader(creator=identity.serialized, nonce=nonce)
    header = common.Header(
        channel_header=_channel_header(call, tx_id).SerializeToString(), signature_header=creator.SerializeToString()
    )
    made = proposal.Proposal(header=header.SerializeToString(), payload=_payload(call).SerializeToString())
    raw = made.SerializeToString()
    return Proposed(tx_id=tx_id, signed=proposal.SignedProposal(proposal_bytes=raw, signature=identity.sign(raw)))


def _channel_header(call: Call, tx_id: str) -> common.ChannelHeader:
    extension = proposal.ChaincodeHeaderExtension(chaincode_id=chaincode.ChaincodeID(name=call.chaincode))
    stamp = Timestamp()
    given = call.options.timestamp_ns
    stamp.FromNanoseconds(time.time_ns() if given is None else given)
    return common.ChannelHeader(
        type=call.options.header_type,
        timestamp=stamp,
        channel_id=call.channel,
        tx_id=tx_id,
        extension=extension.SerializeToString(),
    )


def _payload(call: Call) -> proposal.ChaincodeProposalPayload:
    spec = chaincode.ChaincodeSpec(
        type=chaincode.ChaincodeSpec.GOLANG,  # what every client says; nobody looks at it
        chaincode_id=chaincode.ChaincodeID(name=call.chaincode),
        input=chaincode.ChaincodeInput(args=call.args),
    )
    invocation = chaincode.ChaincodeInvocationSpec(chaincode_spec=spec)
    return proposal.ChaincodeProposalPayload(
        input=invocation.SerializeToString(), TransientMap=dict(call.options.transient)
    )


def sign_envelope(identity: Identity, payload: bytes) -> common.Envelope:
    """A payload for the orderer, signed by its creator."""
    return common.Envelope(payload=payload, signature=identity.sign(payload))
