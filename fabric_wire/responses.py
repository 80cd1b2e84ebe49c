"""What endorsers sign: a ProposalResponsePayload with the chaincode's answer and its read-write set.

    ProposalResponsePayload { proposal hash, ChaincodeAction { TxReadWriteSet, events, response, chaincode } }

An endorsement is a signature over the payload followed by the endorser's SerializedIdentity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fabric_wire import p256, strict
from fabric_wire.errors import InvalidReadWriteSet
from fabric_wire.protos import chaincode, kvrwset, proposal, proposal_response, rwset

OK = 200
LIFECYCLE = "_lifecycle"  # namespace of the system chaincode that peers consult; they add its reads to every set
NAMESPACES_MAX = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A key that was read; `version` is (block, transaction) of its last write, None when the key did not exist."""

    key: str
    version: tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A key that is written, or deleted."""

    key: str
    value: bytes
    is_delete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceSet:
    """Reads and writes of one chaincode."""

    namespace: str
    reads: tuple[Read, ...] = ()
    writes: tuple[Write, ...] = ()
    has_ranges: bool = False
    has_private: bool = False  # collections or metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Content of a ProposalResponsePayload."""

    proposal_hash: bytes
    sets: tuple[NamespaceSet, ...]
    chaincode: str
    version: str = ""
    status: int = OK
    message: str = ""
    payload: bytes = b""
    events: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """A signature over payload and `endorser`, a SerializedIdentity."""

    endorser: bytes
    signature: bytes


def endorse(secret: p256.PrivateKey, endorser: bytes, payload: bytes) -> Endorsement:
    """A peer's endorsement of a payload."""
    return Endorsement(endorser=endorser, signature=p256.sign(secret, payload + endorser))


def write_action(action: Action) -> bytes:
    """ProposalResponsePayload bytes."""
    response = proposal_response.Response(status=action.status, message=action.message, payload=action.payload)
    message = proposal.ChaincodeAction(
        results=write_sets(action.sets),
        events=action.events,
        response=response,
        chaincode_id=chaincode.ChaincodeID(name=action.chaincode, version=action.version),
    )
    payload = proposal_response.ProposalResponsePayload(
        proposal_hash=action.proposal_hash, extension=strict.write(message)
    )
    return strict.write(payload)


def read_action(data: bytes) -> Action:
    """Content of ProposalResponsePayload bytes; raises MalformedMessage, InvalidReadWriteSet."""
    payload = strict.read(proposal_response.ProposalResponsePayload, data)
    message = strict.read(proposal.ChaincodeAction, payload.extension)
    return Action(
        proposal_hash=payload.proposal_hash,
        sets=read_sets(message.results),
        chaincode=message.chaincode_id.name,
        version=message.chaincode_id.version,
        status=message.response.status,
        message=message.response.message,
        payload=message.response.payload,
        events=message.events,
    )


def write_sets(sets: Sequence[NamespaceSet]) -> bytes:
    """TxReadWriteSet bytes of sets without range queries, collections and metadata, namespaces and keys ascending."""
    message = rwset.TxReadWriteSet(data_model=rwset.TxReadWriteSet.KV)
    for item in sorted(sets, key=lambda each: each.namespace.encode()):
        message.ns_rwset.add(namespace=item.namespace, rwset=strict.write(_write_set(item)))
    return strict.write(message)


def _write_set(item: NamespaceSet) -> kvrwset.KVRWSet:
    message = kvrwset.KVRWSet()
    for read in sorted(item.reads, key=lambda each: each.key.encode()):
        added = message.reads.add(key=read.key)
        if read.version is not None:
            added.version.block_num, added.version.tx_num = read.version
            added.version.SetInParent()
    for write in sorted(item.writes, key=lambda each: each.key.encode()):
        message.writes.add(key=write.key, is_delete=write.is_delete, value=write.value)
    return message


def read_sets(data: bytes) -> tuple[NamespaceSet, ...]:
    """Sets of TxReadWriteSet bytes; raises InvalidReadWriteSet."""
    message = strict.read(rwset.TxReadWriteSet, data, InvalidReadWriteSet)
    if message.data_model != rwset.TxReadWriteSet.KV:
        raise InvalidReadWriteSet(f"expected data model KV, got number {message.data_model}")
    names = [item.namespace for item in message.ns_rwset]
    if len(set(names)) != len(names) or len(names) > NAMESPACES_MAX:
        raise InvalidReadWriteSet(f"expected at most {NAMESPACES_MAX} namespaces, each once, got {names[:32]}")
    return tuple(_read_set(item) for item in message.ns_rwset)


def _read_set(item: rwset.NsReadWriteSet) -> NamespaceSet:
    message = strict.read(kvrwset.KVRWSet, item.rwset, InvalidReadWriteSet)
    for what, keys in (("read", [r.key for r in message.reads]), ("write", [w.key for w in message.writes])):
        if len(set(keys)) != len(keys):
            raise InvalidReadWriteSet(f"{item.namespace}: expected one {what} a key, got {len(keys)} of fewer keys")
    return NamespaceSet(
        namespace=item.namespace,
        reads=tuple(_read_read(read) for read in message.reads),
        writes=tuple(Write(key=w.key, value=w.value, is_delete=w.is_delete) for w in message.writes),
        has_ranges=bool(message.range_queries_info),
        has_private=bool(message.metadata_writes or item.collection_hashed_rwset),
    )


def _read_read(message: kvrwset.KVRead) -> Read:
    version = (message.version.block_num, message.version.tx_num) if message.HasField("version") else None
    return Read(key=message.key, version=version)
