"""Votes of validators on schedules, as CometBFT carries them: extensions, and the bundle that a block brings first.

    extension    u8 1 | slot u64 | n u8 | h_n 32 bytes | yes u16 | no u16, big-endian: 46 bytes; empty: nothing to say
    bundle       00 "bsmg/votes/1" | VoteBundle, a transaction that nobody signs: its first byte is no protobuf tag

A bundle holds one entry per vote of the block's last commit, in its order. An entry is empty (withheld, absent or
nil), or the extension of a vote for the block with its signature, which is checked here, by ZIP-215. CometBFT has not
done that for all: late votes join a commit unseen. Powers and flags come from the last commit, never from the bundle,
so a proposer can withhold votes and not change them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from cosmos_wire import ed25519
from cosmos_wire.canonical import HASH_BYTES, extension_sign_bytes
from cosmos_wire.protos import DecodeError, abci, cmt_validator, market_tx
from energy.errors import BundleInvalid
from energy.market.ballot import Ballot, Vote

PREFIX = b"\x00bsmg/votes/1"
VERSION = 1
EXTENSION_BYTES = 46
NOTHING = market_tx.VoteEntry()

Verify = Callable[[bytes, bytes, bytes], bool]  # key, message, signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a bundle belongs: the block that carries it, and the keys of those whose votes it may hold, by address."""

    chain_id: str
    height: int
    keys: Mapping[bytes, bytes]
    verify: Verify = ed25519.verify


def extension_of(vote: Vote) -> bytes:
    """A vote as a vote extension."""
    masks = vote.yes.to_bytes(2, "big") + vote.no.to_bytes(2, "big")
    return bytes([VERSION]) + vote.slot.to_bytes(8, "big") + bytes([vote.n]) + vote.hash + masks


def vote_of(extension: bytes) -> Vote | None:
    """The vote that an extension holds; None when it is of another version or length."""
    if len(extension) != EXTENSION_BYTES or extension[0] != VERSION:
        return None
    at = 10 + HASH_BYTES
    return Vote(
        slot=int.from_bytes(extension[1:9], "big"),
        n=extension[9],
        hash=extension[10:at],
        yes=int.from_bytes(extension[at : at + 2], "big"),
        no=int.from_bytes(extension[at + 2 :], "big"),
    )


def is_bundle(tx: bytes) -> bool:
    """Whether a transaction is in the place of the vote bundle: a first byte 0 is no protobuf tag."""
    return tx[:1] == b"\x00"


def encode(bundle: market_tx.VoteBundle) -> bytes:
    """The bundle as a transaction."""
    return PREFIX + bundle.SerializeToString(deterministic=True)


def collect(place: Place, commit: abci.ExtendedCommitInfo) -> bytes:
    """The bundle of what a proposer heard; withheld is what `check_bundle` would refuse."""
    entries = []
    for vote in commit.votes:
        entry = market_tx.VoteEntry(extension=vote.vote_extension, signature=vote.extension_signature)
        is_good = vote.block_id_flag == cmt_validator.BLOCK_ID_FLAG_COMMIT and not _fault(
            place, commit.round, vote.validator.address, entry
        )
        entries.append(entry if is_good else NOTHING)
    return encode(_bundle(place, commit.round, entries))


def withheld(place: Place, commit: abci.ExtendedCommitInfo) -> bytes:
    """The bundle without a vote: the smallest that is good."""
    return encode(_bundle(place, commit.round, [NOTHING] * len(commit.votes)))


def _bundle(place: Place, round_: int, entries: Iterable[market_tx.VoteEntry]) -> market_tx.VoteBundle:
    return market_tx.VoteBundle(height=place.height - 1, round=round_, entries=entries)


def check_bundle(tx: bytes, place: Place, commit: abci.CommitInfo) -> list[Ballot]:
    """What the validators of a block's last commit say; raises BundleInvalid when the bundle is none of this commit."""
    bundle = _decoded(tx)
    if (bundle.height, bundle.round) != (place.height - 1, commit.round):
        expected = f"height {place.height - 1} and round {commit.round}"
        raise BundleInvalid(f"{expected} are expected, got {bundle.height} and {bundle.round}")
    if len(bundle.entries) != len(commit.votes):
        raise BundleInvalid(f"{len(commit.votes)} entries are expected, got {len(bundle.entries)}")
    return [_ballot(place, commit.round, vote, entry) for vote, entry in zip(commit.votes, bundle.entries, strict=True)]


def _decoded(tx: bytes) -> market_tx.VoteBundle:
    if not tx.startswith(PREFIX):
        raise BundleInvalid(f"{PREFIX!r} is expected first, got {tx[: len(PREFIX)]!r}")
    try:
        found = market_tx.VoteBundle.FromString(tx[len(PREFIX) :])
    except DecodeError as error:
        raise BundleInvalid(f"a VoteBundle is expected, got {len(tx)} other bytes") from error
    known = [market_tx.VoteEntry(extension=item.extension, signature=item.signature) for item in found.entries]
    again = market_tx.VoteBundle(height=found.height, round=found.round, entries=known)
    if encode(again) != tx:
        raise BundleInvalid("the one encoding of a VoteBundle is expected, got another")
    return again


def _ballot(place: Place, round_: int, vote: abci.VoteInfo, entry: market_tx.VoteEntry) -> Ballot:
    validator = vote.validator.address
    made = Ballot(validator=validator, power=vote.validator.power, vote=vote_of(entry.extension))
    if entry == NOTHING:
        return made
    if vote.block_id_flag != cmt_validator.BLOCK_ID_FLAG_COMMIT:
        raise BundleInvalid(f"validator {validator.hex()} has no vote for the block, got an extension of it")
    fault = _fault(place, round_, validator, entry)
    if fault:
        raise BundleInvalid(f"validator {validator.hex()}: {fault}")
    return made


def _fault(place: Place, round_: int, validator: bytes, entry: market_tx.VoteEntry) -> str:
    """What is wrong with an entry, in words; empty when nothing is."""
    if len(entry.extension) != EXTENSION_BYTES:
        return f"{EXTENSION_BYTES} bytes of extension are expected, got {len(entry.extension)}"
    key = place.keys.get(validator)
    if key is None:
        return "no key of this validator is known"
    signed = extension_sign_bytes(place.chain_id, place.height - 1, round_, entry.extension)
    return "" if place.verify(key, signed, entry.signature) else "a good signature is expected, got another"
