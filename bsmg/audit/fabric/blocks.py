"""Fabric's blocks taken apart: who asked for what, who endorsed it, what it read and wrote. Nothing is judged here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from bsmg.audit.fabric.members import DoubtError
from fabric_wire.protos import (
    DecodeError,
    chaincode,
    chaincode_event,
    common,
    kvrwset,
    proposal,
    proposal_response,
    rwset,
    transaction,
)

VALID = transaction.VALID
Version = tuple[int, int]  # block, transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTx:
    """One endorsed transaction. `valid` is the peer's word, which is in no signature."""

    block: int
    number: int
    valid: bool
    signed: tuple[bytes, bytes]  # payload of the envelope, signature of the creator
    tx_id: str
    nonce: bytes
    creator: bytes
    time_ns: int
    chaincode: str
    args: tuple[bytes, ...]
    proposal_hashes: tuple[bytes, bytes]  # as it comes out here, as the endorsers signed it
    payload: bytes  # ProposalResponsePayload
    endorsements: tuple[tuple[bytes, bytes], ...]
    reads: Mapping[str, Mapping[str, Version | None]]  # by namespace
    writes: Mapping[str, Mapping[str, bytes | None]]  # None: removed
    event: tuple[str, bytes]  # name, payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What endorsers sign: the hash of the proposal, reads, writes, an event."""

    proposal_hash: bytes
    reads: Mapping[str, Mapping[str, Version | None]]
    writes: Mapping[str, Mapping[str, bytes | None]]
    event: tuple[str, bytes]


def action_of(payload: bytes) -> Action:
    """Content of a ProposalResponsePayload; raises DecodeError."""
    answer = proposal_response.ProposalResponsePayload.FromString(payload)
    action = proposal.ChaincodeAction.FromString(answer.extension)
    event = chaincode_event.ChaincodeEvent.FromString(action.events)
    sets = {
        it.namespace: kvrwset.KVRWSet.FromString(it.rwset)
        for it in rwset.TxReadWriteSet.FromString(action.results).ns_rwset
    }
    return Action(
        proposal_hash=answer.proposal_hash,
        reads={name: _reads(item) for name, item in sets.items()},
        writes={name: _writes(item) for name, item in sets.items()},
        event=(event.event_name, event.payload),
    )


def block_hash(header: common.BlockHeader) -> bytes:
    """What the next block names."""
    return sha256(header_bytes(header)).digest()


def header_bytes(header: common.BlockHeader) -> bytes:
    """A header in ASN.1: number, previous hash, data hash."""
    number = header.number.to_bytes(header.number.bit_length() // 8 + 1, "big")
    body = b"".join(_der(tag, part) for tag, part in ((2, number), (4, header.previous_hash), (4, header.data_hash)))
    return _der(0x30, body)


def _der(tag: int, body: bytes) -> bytes:
    assert len(body) < 1 << 16, "two bytes of length are enough for a header"
    size = bytes([len(body)]) if len(body) < 0x80 else b"\x82" + len(body).to_bytes(2, "big")
    if 0x80 <= len(body) < 0x100:
        size = b"\x81" + bytes([len(body)])
    return bytes([tag]) + size + body


def data_hash(block: common.Block) -> bytes:
    """Of a block's envelopes."""
    return sha256(b"".join(block.data.data)).digest()


def transactions(block: common.Block) -> list[LedgerTx]:
    """The endorsed transactions of a block; raises DoubtError for what can't be read."""
    flags = block.metadata.metadata[common.TRANSACTIONS_FILTER]
    if len(flags) != len(block.data.data):
        raise DoubtError(f"flags: expected one for each of {len(block.data.data)} transactions, got {len(flags)}")
    found = []
    for number, data in enumerate(block.data.data):
        try:
            envelope = common.Envelope.FromString(data)
            payload = common.Payload.FromString(envelope.payload)
            header = common.ChannelHeader.FromString(payload.header.channel_header)
            if header.type == common.ENDORSER_TRANSACTION:
                place = block.header.number, number, flags[number] == VALID
                found.append(_transaction(place, envelope, payload, header))
        except (DecodeError, ValueError) as error:
            raise DoubtError(f"transaction {number}: expected one that can be read, got {error}") from error
    return found


def _transaction(
    place: tuple[int, int, bool], envelope: common.Envelope, payload: common.Payload, header: common.ChannelHeader
) -> LedgerTx:
    (item,) = transaction.Transaction.FromString(payload.data).actions
    deed = transaction.ChaincodeActionPayload.FromString(item.payload)
    action = action_of(deed.action.proposal_response_payload)
    signer = common.SignatureHeader.FromString(payload.header.signature_header)
    asked = proposal.ChaincodeProposalPayload.FromString(deed.chaincode_proposal_payload)
    spec = chaincode.ChaincodeInvocationSpec.FromString(asked.input).chaincode_spec
    whole = payload.header.channel_header + payload.header.signature_header + deed.chaincode_proposal_payload
    return LedgerTx(
        block=place[0],
        number=place[1],
        valid=place[2],
        signed=(envelope.payload, envelope.signature),
        tx_id=header.tx_id,
        nonce=signer.nonce,
        creator=signer.creator,
        time_ns=header.timestamp.ToNanoseconds(),
        chaincode=spec.chaincode_id.name,
        args=tuple(spec.input.args),
        proposal_hashes=(sha256(whole).digest(), action.proposal_hash),
        payload=deed.action.proposal_response_payload,
        endorsements=tuple((it.endorser, it.signature) for it in deed.action.endorsements),
        reads=action.reads,
        writes=action.writes,
        event=action.event,
    )


def _reads(item: kvrwset.KVRWSet) -> dict[str, Version | None]:
    return {it.key: (it.version.block_num, it.version.tx_num) if it.HasField("version") else None for it in item.reads}


def _writes(item: kvrwset.KVRWSet) -> dict[str, bytes | None]:
    return {it.key: None if it.is_delete else it.value for it in item.writes}


def linked(blocks: Sequence[common.Block]) -> list[str]:
    """What is wrong with the chain of blocks from number 0 on; empty when nothing is."""
    faults, previous = [], b""
    for number, block in enumerate(blocks):
        header = block.header
        if header.number != number:
            faults.append(f"block {number}: expected this number, got {header.number}")
        if header.previous_hash != previous:
            faults.append(f"block {number}: expected it on {previous.hex()}, got it on {header.previous_hash.hex()}")
        if header.data_hash != data_hash(block):
            faults.append(f"block {number}: expected data {header.data_hash.hex()}, got {data_hash(block).hex()}")
        previous = block_hash(header)
    return faults
