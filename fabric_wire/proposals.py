"""Proposals: a member asks peers to run a chaincode function. Built and read byte for byte as Fabric's clients do.

    SignedProposal { Proposal { Header { ChannelHeader, SignatureHeader }, ChaincodeProposalPayload }, signature }

The transaction identifier is SHA-256 of nonce and creator; the proposal hash that endorsers sign is SHA-256 of channel
header, signature header and payload without its transient part (protoutil/proputils.go, txutils.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from fabric_wire import p256, strict
from fabric_wire.errors import InvalidProposal
from fabric_wire.fields import data, message, number
from fabric_wire.protos import chaincode, common, proposal

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
    """Headers and payload of an invocation: ChannelHeader, SignatureHeader, ChaincodeProposalPayload."""
    named = _named(asked.header_type, asked.channel_id, asked.chaincode)
    seconds, nanos = divmod(asked.time_ns, SECOND_NS)
    tx_id = transaction_id(asked.nonce, asked.creator).encode()
    arguments = b"".join([message(1, item) for item in asked.args])  # ChaincodeInput
    return Parts(
        channel_header=named.kind
        + message(3, number(1, seconds) + number(2, nanos))
        + named.channel
        + data(5, tx_id)
        + named.extension,
        signature_header=data(1, asked.creator) + data(2, asked.nonce),
        payload=message(1, message(1, named.spec + message(3, arguments))),  # ChaincodeInvocationSpec
    )


class _Named(NamedTuple):
    """Fields that are the same in all invocations of a chaincode: three of a ChannelHeader, two of a ChaincodeSpec."""

    kind: bytes
    channel: bytes
    extension: bytes
    spec: bytes


@lru_cache(maxsize=64)
def _named(header_type: int, channel_id: str, chaincode_name: str) -> _Named:
    name = message(2, data(2, chaincode_name.encode()))  # a ChaincodeID, in ChaincodeHeaderExtension and ChaincodeSpec
    return _Named(
        kind=number(1, header_type),
        channel=data(4, channel_id.encode()),
        extension=data(7, name),
        spec=number(1, chaincode.ChaincodeSpec.GOLANG) + name,
    )


def build_proposal(asked: Invocation) -> bytes:
    """Proposal bytes, which the creator signs."""
    parts = build_parts(asked)
    payload = parts.payload if not asked.transient else _with_values(parts.payload, asked.transient)
    return _joined(parts, payload)


def _joined(parts: Parts, payload: bytes) -> bytes:
    """A Proposal with a Header of both."""
    return data(1, data(1, parts.channel_header) + data(2, parts.signature_header)) + data(2, payload)


def _with_values(payload: bytes, transient: Mapping[str, bytes]) -> bytes:
    made = proposal.ChaincodeProposalPayload.FromString(payload)
    for key in sorted(transient):
        made.TransientMap[key] = transient[key]
    return strict.write(made)


def sign_proposal(secret: p256.PrivateKey, proposal_bytes: bytes) -> proposal.SignedProposal:
    """With the creator's signature."""
    return proposal.SignedProposal(proposal_bytes=proposal_bytes, signature=p256.sign(secret, proposal_bytes))


def read_proposal(raw: bytes) -> tuple[Parts, Invocation]:
    """Parts and meaning of Proposal bytes; raises InvalidProposal."""
    return _read_quickly(raw) or _read_slowly(raw)


def _read_quickly(raw: bytes) -> tuple[Parts, Invocation] | None:
    """The same for what `build_proposal` could have written, byte for byte, without transients; None for all else."""
    try:
        asked = _said(proposal.Proposal.FromString(raw))
    except strict.DecodeError:
        return None
    parts = build_parts(asked)
    is_so = asked.chaincode and asked.header_type == ENDORSER_TRANSACTION and _joined(parts, parts.payload) == raw
    return (parts, asked) if is_so else None


def _said(whole: proposal.Proposal) -> Invocation:
    """What a proposal says at first sight, nothing of it checked; raises DecodeError."""
    header = common.Header.FromString(whole.header)
    channel = common.ChannelHeader.FromString(header.channel_header)
    signature = common.SignatureHeader.FromString(header.signature_header)
    payload = proposal.ChaincodeProposalPayload.FromString(whole.payload)
    spec = chaincode.ChaincodeInvocationSpec.FromString(payload.input).chaincode_spec
    return Invocation(
        channel_id=channel.channel_id,
        chaincode=spec.chaincode_id.name,
        args=tuple(spec.input.args),
        creator=signature.creator,
        nonce=signature.nonce,
        time_ns=channel.timestamp.seconds * SECOND_NS + channel.timestamp.nanos,
        header_type=channel.type,
    )


def _read_slowly(raw: bytes) -> tuple[Parts, Invocation]:
    """Any form that has one reading; says what is wrong."""
    whole = strict.read(proposal.Proposal, raw, InvalidProposal)
    header = strict.read(common.Header, whole.header, InvalidProposal)
    payload = proposal.ChaincodeProposalPayload()
    payload.CopyFrom(_with_transients(whole.payload))
    transient = {key: payload.TransientMap[key] for key in sorted(payload.TransientMap)}
    payload.ClearField("TransientMap")
    parts = Parts(
        channel_header=header.channel_header,
        signature_header=header.signature_header,
        payload=strict.write(payload),
    )
    return parts, read_parts(parts, transient)


def _with_transients(raw: bytes) -> proposal.ChaincodeProposalPayload:
    """Go writes maps in any order, so only what is outside the map has one form; the map is in no signed hash."""
    payload = proposal.ChaincodeProposalPayload()
    try:
        payload.ParseFromString(raw)
    except strict.DecodeError as error:
        raise InvalidProposal(f"expected a ChaincodeProposalPayload, got {len(raw)} bytes: {error}") from error
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
