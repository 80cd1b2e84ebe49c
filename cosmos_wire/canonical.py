"""Bytes that CometBFT signs and hashes: canonical votes and vote extensions, headers, validator sets, commits.

Written by hand because the compiled messages lack `tendermint.types.canonical`, and because a hash must not depend on
what else a message carries: every field is named here, unknown ones can't slip in. gogoproto's habits are kept: a
field that can't be null is written even when it is empty, and a missing time is the year 1.

Source: CometBFT v0.38, `types/canonical.go`, `types/block.go`, `types/validator.go`, `crypto/merkle`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cosmos_wire.merkle import merkle_root
from cosmos_wire.protos import Timestamp, cmt_keys, cmt_types, cmt_validator

PRECOMMIT = 2
ADDRESS_BYTES = 20
HASH_BYTES = 32
YEAR_ONE_S = -62_135_596_800  # Go's zero time, seconds before 1970

VARINT, FIXED64, BYTES = 0, 1, 2  # protobuf wire types
SIXTY_FOUR_BITS = (1 << 64) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What a vote's signature covers. `block_id` is absent for nil; the time is (seconds, nanoseconds)."""

    kind: int
    height: int
    round: int
    block_id: cmt_types.BlockID | None
    time: tuple[int, int]
    chain_id: str


class WeightedKey(Protocol):
    """A validator as the hash of a set sees it."""

    @property
    def pub_key(self) -> cmt_keys.PublicKey:
        """Its key."""

    @property
    def voting_power(self) -> int:
        """Its weight."""


def uvarint(value: int) -> bytes:
    """Protobuf varint; negative numbers as 64-bit two's complement."""
    value &= SIXTY_FOUR_BITS
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def delimited(payload: bytes) -> bytes:
    """The payload behind its length."""
    return uvarint(len(payload)) + payload


def _number(field: int, value: int) -> bytes:
    return uvarint(field << 3 | VARINT) + uvarint(value) if value else b""


def _fixed(field: int, value: int) -> bytes:
    return uvarint(field << 3 | FIXED64) + (value & SIXTY_FOUR_BITS).to_bytes(8, "little") if value else b""


def _bytes(field: int, value: bytes) -> bytes:
    return _part(field, value) if value else b""


def _part(field: int, value: bytes) -> bytes:
    """A submessage that can't be null: there even when it is empty."""
    return uvarint(field << 3 | BYTES) + delimited(value)


def time_of(stamp: Timestamp, *, present: bool) -> tuple[int, int]:
    """(seconds, nanoseconds) of a time field as Go reads it: a missing one is the year 1."""
    return (stamp.seconds, stamp.nanos) if present else (YEAR_ONE_S, 0)


def _time(time: tuple[int, int]) -> bytes:
    return _number(1, time[0]) + _number(2, time[1])


def _part_set_header(header: cmt_types.PartSetHeader) -> bytes:
    return _number(1, header.total) + _bytes(2, header.hash)


def block_id_bytes(block_id: cmt_types.BlockID) -> bytes:
    """A BlockID (its canonical form has the same bytes)."""
    return _bytes(1, block_id.hash) + _part(2, _part_set_header(block_id.part_set_header))


def is_nil_block(block_id: cmt_types.BlockID) -> bool:
    """Whether the identifier names no block."""
    header = block_id.part_set_header
    return not block_id.hash and not header.total and not header.hash


def vote_sign_bytes(vote: Vote) -> bytes:
    """CanonicalVote behind its length."""
    block = b"" if vote.block_id is None or is_nil_block(vote.block_id) else _part(4, block_id_bytes(vote.block_id))
    head = _number(1, vote.kind) + _fixed(2, vote.height) + _fixed(3, vote.round)
    return delimited(head + block + _part(5, _time(vote.time)) + _bytes(6, vote.chain_id.encode()))


def precommit_sign_bytes(chain_id: str, commit: cmt_types.Commit, index: int) -> bytes:
    """What the commit's signature number `index` covers."""
    signature = commit.signatures[index]
    for_block = signature.block_id_flag == cmt_validator.BLOCK_ID_FLAG_COMMIT
    vote = Vote(
        kind=PRECOMMIT,
        height=commit.height,
        round=commit.round,
        block_id=commit.block_id if for_block else None,
        time=time_of(signature.timestamp, present=signature.HasField("timestamp")),
        chain_id=chain_id,
    )
    return vote_sign_bytes(vote)


def extension_sign_bytes(chain_id: str, height: int, round_: int, extension: bytes) -> bytes:
    """CanonicalVoteExtension behind its length."""
    place = _fixed(2, height) + _fixed(3, round_)
    return delimited(_bytes(1, extension) + place + _bytes(4, chain_id.encode()))


def _wrapped(value: bytes) -> bytes:
    """`BytesValue`, `StringValue`: field 1, nothing when empty."""
    return _bytes(1, value)


def header_hash(header: cmt_types.Header) -> bytes:
    """Merkle root of the 14 fields; empty when the header names no validators."""
    if not header.validators_hash:
        return b""
    return merkle_root(
        (
            _number(1, header.version.block) + _number(2, header.version.app),
            _wrapped(header.chain_id.encode()),
            _number(1, header.height),
            _time(time_of(header.time, present=header.HasField("time"))),
            block_id_bytes(header.last_block_id),
            _wrapped(header.last_commit_hash),
            _wrapped(header.data_hash),
            _wrapped(header.validators_hash),
            _wrapped(header.next_validators_hash),
            _wrapped(header.consensus_hash),
            _wrapped(header.app_hash),
            _wrapped(header.last_results_hash),
            _wrapped(header.evidence_hash),
            _wrapped(header.proposer_address),
        )
    )


def _public_key(key: cmt_keys.PublicKey) -> bytes:
    """The oneof: a chosen key is there even when it is empty."""
    if key.WhichOneof("sum") == "secp256k1":
        return _part(2, key.secp256k1)
    return _part(1, key.ed25519)


def validator_set_hash(validators: Sequence[WeightedKey]) -> bytes:
    """Merkle root over (key, power) in the set's order; address and priority don't enter."""
    return merkle_root([_part(1, _public_key(v.pub_key)) + _number(2, v.voting_power) for v in validators])


def commit_hash(commit: cmt_types.Commit) -> bytes:
    """Merkle root of a commit's signatures: the next header's `last_commit_hash`."""
    return merkle_root([_commit_signature(signature) for signature in commit.signatures])


def _commit_signature(signature: cmt_types.CommitSig) -> bytes:
    time = time_of(signature.timestamp, present=signature.HasField("timestamp"))
    head = _number(1, signature.block_id_flag) + _bytes(2, signature.validator_address)
    return head + _part(3, _time(time)) + _bytes(4, signature.signature)


def validator_address(ed25519_key: bytes) -> bytes:
    """Address (20 bytes) of an ed25519 validator key."""
    return hashlib.sha256(ed25519_key).digest()[:ADDRESS_BYTES]
