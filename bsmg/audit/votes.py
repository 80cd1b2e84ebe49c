"""What validators said of schedules: the bundle of vote extensions that a block brings, checked entry by entry.

Written from docs/slot.md 4. The bundle of block h holds one entry for each validator of the last commit, in the order
of the set: empty, or an extension and its signature over chain, height h - 1, round and extension. Powers and keys are
those of the set that header h - 1 names, flags and round those of the commit that header h names; never the bundle's.

    extension    u8 1 | slot u64 | n u8 | hash of the first n candidates, 32 bytes | yes u16 | no u16
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bsmg.audit.record import BlockRecord, ChainRecord
from cosmos_wire import canonical, ed25519
from cosmos_wire.protos import cmt_types, cmt_validator, market_tx

FIRST_BYTE = b"\0"  # of what only a proposer puts into a block: no signed transaction begins with it
PREFIX = b"\x00bsmg/votes/1"
VERSION, EXTENSION_BYTES = 1, 46
EMPTY = market_tx.VoteEntry()


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A vote on the first `n` candidates of a slot; bit i of the masks is candidate i."""

    slot: int
    n: int
    hash: bytes
    yes: int
    no: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Voter:
    """A validator of the last commit; `said` is None when it said nothing that counts."""

    address: bytes
    power: int
    said: Said | None


def enabled_from(record: ChainRecord) -> int:
    """The height from which on votes carry extensions, by genesis; 0: never."""
    params: Mapping[str, Mapping[str, str]] = record.genesis.get("consensus_params") or {}
    return int((params.get("abci") or {}).get("vote_extensions_enable_height") or 0)


def said_of(extension: bytes) -> Said | None:
    """An extension read; None when it is of another version."""
    if extension[0] != VERSION:
        return None
    return Said(
        slot=int.from_bytes(extension[1:9], "big"),
        n=extension[9],
        hash=extension[10:42],
        yes=int.from_bytes(extension[42:44], "big"),
        no=int.from_bytes(extension[44:46], "big"),
    )


def heard(record: ChainRecord, before: BlockRecord, block: BlockRecord) -> list[Voter]:
    """What the bundle of a block says, every signature verified; raises ValueError, DecodeError for what is wrong."""
    commit, members = _commit_of(block), _members_of(record, before)
    bundle = bundle_of(block.txs[0].raw)
    expected = before.height, commit.round, len(members.validators)
    if (bundle.height, bundle.round, len(bundle.entries)) != expected:
        got = bundle.height, bundle.round, len(bundle.entries)
        raise ValueError(f"height, round and entries: expected {expected}, got {got}")
    if len(commit.signatures) != len(members.validators):
        raise ValueError(f"commit: expected {len(members.validators)} signatures, got {len(commit.signatures)}")
    flags = [signature.block_id_flag for signature in commit.signatures]
    return [
        _voter(record.chain_id, bundle, *item) for item in zip(members.validators, flags, bundle.entries, strict=True)
    ]


def _commit_of(block: BlockRecord) -> cmt_types.Commit:
    """The commit of the block before, as the block's header names it."""
    commit = block.last_commit or cmt_types.Commit()
    found, named = canonical.commit_hash(commit), block.header.last_commit_hash
    if found != named:
        raise ValueError(f"last commit: expected {named.hex()}, got {found.hex()}")
    return commit


def _members_of(record: ChainRecord, before: BlockRecord) -> cmt_validator.ValidatorSet:
    """Those who could vote for the block before, as its header names them."""
    named = before.header.validators_hash
    members = record.validators.get(named) or cmt_validator.ValidatorSet()
    found = canonical.validator_set_hash(members.validators)
    if found != named:
        raise ValueError(f"validators: expected {named.hex()}, got {found.hex()}")
    return members


def bundle_of(raw: bytes) -> market_tx.VoteBundle:
    """A bundle in its one encoding; raises ValueError, DecodeError."""
    if not raw.startswith(PREFIX):
        raise ValueError(f"bundle: expected {PREFIX!r} first, got {raw[: len(PREFIX)]!r}")
    found = market_tx.VoteBundle.FromString(raw[len(PREFIX) :])
    again = market_tx.VoteBundle(height=found.height, round=found.round)
    for entry in found.entries:
        again.entries.add(extension=entry.extension, signature=entry.signature)
    if PREFIX + again.SerializeToString(deterministic=True) != raw:
        raise ValueError(f"bundle: expected its one encoding, got {len(raw)} other bytes")
    return again


def _voter(
    chain_id: str,
    bundle: market_tx.VoteBundle,
    member: cmt_validator.Validator,
    flag: int,
    entry: market_tx.VoteEntry,
) -> Voter:
    key = member.pub_key.ed25519
    address = canonical.validator_address(key)
    if entry == EMPTY:
        return Voter(address=address, power=member.voting_power, said=None)
    place = f"validator {address.hex()}"
    if flag != cmt_validator.BLOCK_ID_FLAG_COMMIT:
        raise ValueError(f"{place}: expected nothing of one who did not vote for the block, got an extension")
    if len(entry.extension) != EXTENSION_BYTES:
        raise ValueError(f"{place}: expected an extension of {EXTENSION_BYTES} bytes, got {len(entry.extension)}")
    signed = canonical.extension_sign_bytes(chain_id, bundle.height, bundle.round, entry.extension)
    if not ed25519.verify(key, signed, entry.signature):
        raise ValueError(f"{place}: expected its signature of the extension, got another")
    return Voter(address=address, power=member.voting_power, said=said_of(entry.extension))
