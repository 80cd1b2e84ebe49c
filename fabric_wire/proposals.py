"""Proposals: a member asks peers to run a chaincode function. Built and read byte for byte as Fabric's clients do.

    SignedProposal { Proposal { Header { ChannelHeader, SignatureHeader }, ChaincodeProposalPayload }, signature }

The transaction identifier is SHA-256 of nonce and creator; the proposal hash that endorsers sign is SHA-256 of channel
header, signature header and payload without its transient part (protoutil/proputils.go, txutils.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from fabric_wire import p256, strict
from fabric_wire.errors import InvalidProposal
from fabric_wire.protos import Timestamp, chaincode, common, proposal

NONCE_BYTES = 24
SECOND_NS = 1_000_000_000
ENDORSER_TRANSACTION = common.ENDORSER_TRANSACTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What is asked. `creator` is a SerializedIdentity, `args[0]` the function's name, time in ns since 1970."""

    channel_id: str
    chaincode: str
    args: tuple[bytes, ...]
    creator: bytes
    nonce: bytes
    time_ns: int
    transient: Mapping[str, bytes] = field(default_factory=dict)
    header_type: int = ENDORSER_TRANSACTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The signed bytes of a proposal: both headers, and the payload as it goes into a transaction (no transients)."""

    channel_header: bytes
    signature_header: bytes
    payload: bytes

    @property
    def hash(self) -> bytes:
        """The proposal hash of a ProposalResponsePayload."""
        return sha256(self.channel_header + self.signature_header + self.payload).digest()


def transaction_id(nonce: bytes, creator: bytes) -> str:
    """Lower-case hex of SHA-256 of both."""
    return sha256(nonce + creator).hexdigest()


def build_parts(asked: Invocation) -> Parts:
    """Headers and payload of an invocation."""
    name = chaincode.ChaincodeID(name=asked.chaincode)
    header = common.ChannelHeader(
        type=asked.header_type,
        timestamp=Timestamp(seconds=asked.time_ns // SECOND_NS, nanos=asked.time_ns % SECOND_NS),
        channel_id=asked.channel_id,
        tx_id=transaction_id(asked.nonce, asked.creator),
        extension=strict.write(proposal.ChaincodeHeaderExtension(chaincode_id=name)),
    )
    spec = chaincode.ChaincodeSpec(
        type=chaincode.ChaincodeSpec.GOLANG, chaincode_id=name, input=chaincode.ChaincodeInput(args=asked.args)
    )
    invocation = chaincode.ChaincodeInvocationSpec(chaincode_spec=spec)
    return Parts(
        channel_header=strict.write(header),
        signature_header=strict.write(common.SignatureHeader(creator=asked.creator, nonce=asked.nonce)),
        payload=strict.write(proposal.ChaincodeProposalPayload(input=strict.write(invocation))),
    )


def build_proposal(asked: Invocation) -> bytes:
    """Proposal bytes, which the creator signs."""
    parts = build_parts(asked)
    payload = proposal.ChaincodeProposalPayload.FromString(parts.payload)
    for key in sorted(asked.transient):
        payload.TransientMap[key] = asked.transient[key]
    header = common.Header(channel_header=parts.channel_header, signature_header=parts.signature_header)
    return strict.write(proposal.Proposal(header=strict.write(header), payload=strict.write(payload)))


def sign_proposal(secret: p256.PrivateKey, proposal_bytes: bytes) -> proposal.SignedProposal:
    """With the creator's signature."""
    return proposal.SignedProposal(proposal_bytes=proposal_bytes, signature=p256.sign(secret, proposal_bytes))


def read_proposal(data: bytes) -> tuple[Parts, Invocation]:
    """Parts and meaning of Proposal bytes; raises InvalidProposal."""
    message = strict.read(proposal.Proposal, data, InvalidProposal)
    header = strict.read(common.Header, message.header, InvalidProposal)
    payload = proposal.ChaincodeProposalPayload()
    payload.CopyFrom(_with_transients(message.payload))
    transient = {key: payload.TransientMap[key] for key in sorted(payload.TransientMap)}
    payload.ClearField("TransientMap")
    parts = Parts(
        channel_header=header.channel_header,
        signature_header=header.signature_header,
        payload=strict.write(payload),
    )
    return parts, read_parts(parts, transient)


def _with_transients(data: bytes) -> proposal.ChaincodeProposalPayload:
    """Go writes maps in any order, so only what is outside the map has one form; the map is in no signed hash."""
    payload = proposal.ChaincodeProposalPayload()
    try:
        payload.ParseFromString(data)
    except strict.DecodeError as error:
        raise InvalidProposal(f"expected a ChaincodeProposalPayload, got {len(data)} bytes: {error}") from error
    return payload


def read_parts(parts: Parts, transient: Mapping[str, bytes] | None = None) -> Invocation:
    """What the parts ask, with every identity between them checked; raises InvalidProposal."""
    header = strict.read(common.ChannelHeader, parts.channel_header, InvalidProposal)
    signature = strict.read(common.SignatureHeader, parts.signature_header, InvalidProposal)
    payload = strict.read(proposal.ChaincodeProposalPayload, parts.payload, InvalidProposal)
    if payload.TransientMap:
        raise InvalidProposal(f"expected no transient values, got {len(payload.TransientMap)}")
    spec = strict.read(chaincode.ChaincodeInvocationSpec, payload.input, InvalidProposal).chaincode_spec
    _check_header(header, spec.chaincode_id.name)
    _same("transaction id", transaction_id(signature.nonce, signature.creator), header.tx_id)
    return Invocation(
        channel_id=header.channel_id,
        chaincode=spec.chaincode_id.name,
        args=tuple(spec.input.args),
        creator=signature.creator,
        nonce=signature.nonce,
        time_ns=header.timestamp.seconds * SECOND_NS + header.timestamp.nanos,
        transient=transient or {},
    )


def _check_header(header: common.ChannelHeader, name: str) -> None:
    extension = strict.read(proposal.ChaincodeHeaderExtension, header.extension, InvalidProposal)
    _same("header type", ENDORSER_TRANSACTION, header.type)
    _same("epoch", 0, header.epoch)
    _same("chaincode of the header", name, extension.chaincode_id.name)
    if not name:
        raise InvalidProposal("expected the name of a chaincode, got none")


def _same(what: str, expected: object, got: object) -> None:
    if expected != got:
        raise InvalidProposal(f"{what}: expected {expected!r}, got {got!r}")
