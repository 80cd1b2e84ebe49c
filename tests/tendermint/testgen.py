"""Grows valid chains of signed headers from names: `LightChain("mga-1", ["ann", "bob"])`, then `.next_block(...)`.

Everything follows from the names and the arguments, so that a failing test fails again. A name's key is the hash of the
name; a set is ordered as CometBFT orders it; block h is signed by the set that block h-1 announced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from cosmos_wire import canonical, ed25519
from cosmos_wire.merkle import merkle_root
from cosmos_wire.protos import Timestamp, cmt_keys, cmt_types, cmt_validator, cmt_version
from ibc_core.light_client import Height
from ibc_core.tendermint import build
from ibc_core.tendermint.times import timestamp
from ibc_core.tendermint.wire import ConsensusState, Header

SECOND_NS = 1_000_000_000
GENESIS_NS = 1_700_000_000 * SECOND_NS
POWER = 10


def seed_of(name: str) -> bytes:
    return hashlib.sha256(b"testgen/" + name.encode()).digest()


@cache
def key_of(name: str) -> bytes:
    return ed25519.public_key(seed_of(name))


def validator_of(name: str, power: int = POWER) -> cmt_validator.Validator:
    key = key_of(name)
    return cmt_validator.Validator(
        address=canonical.validator_address(key), pub_key=cmt_keys.PublicKey(ed25519=key), voting_power=power
    )


def powers_of(names: Iterable[str] | Mapping[str, int]) -> dict[str, int]:
    return dict(names) if isinstance(names, Mapping) else dict.fromkeys(names, POWER)


@dataclass
class Members:
    """A validator set by name, in CometBFT's order: power descending, then address."""

    powers: dict[str, int]
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        made = {name: validator_of(name, power) for name, power in self.powers.items()}
        self.names = sorted(made, key=lambda name: (-made[name].voting_power, made[name].address))

    @property
    def validators(self) -> list[cmt_validator.Validator]:
        return [validator_of(name, self.powers[name]) for name in self.names]

    @property
    def message(self) -> cmt_validator.ValidatorSet:
        return build.validator_set(self.validators)

    @property
    def hash(self) -> bytes:
        return canonical.validator_set_hash(self.validators)


def sign_commit(
    chain_id: str, commit: cmt_types.Commit, members: Members, time: Timestamp, absent: Iterable[str] = ()
) -> None:
    """(Re)make the commit's signatures: each member for the block, those of `absent` not at all."""
    del commit.signatures[:]
    away = tuple(absent)
    for index, name in enumerate(members.names):
        entry = commit.signatures.add()
        if name in away:
            entry.block_id_flag = cmt_validator.BLOCK_ID_FLAG_ABSENT
            entry.timestamp.seconds = canonical.YEAR_ONE_S
            continue
        entry.block_id_flag = cmt_validator.BLOCK_ID_FLAG_COMMIT
        entry.validator_address = validator_of(name).address
        entry.timestamp.CopyFrom(time)
        resign(chain_id, commit, index, name)


def resign(chain_id: str, commit: cmt_types.Commit, index: int, name: str) -> None:
    """Make one entry's signature good again after a change of what it covers."""
    message = canonical.precommit_sign_bytes(chain_id, commit, index)
    commit.signatures[index].signature = ed25519.sign(seed_of(name), message)


@dataclass
class Block:
    """A signed header with its own validators and the next ones."""

    signed: cmt_types.SignedHeader
    members: Members
    next_members: Members

    @property
    def header(self) -> cmt_types.Header:
        return self.signed.header

    @property
    def consensus(self) -> ConsensusState:
        return build.consensus_state(self.signed.header)


class LightChain:
    """A chain that exists as headers only; block 1 is made by the constructor."""

    def __init__(self, chain_id: str, names: Iterable[str] | Mapping[str, int], time_ns: int = GENESIS_NS) -> None:
        self.chain_id = chain_id
        self.members = Members(powers_of(names))  # of the block that comes next
        self.blocks: list[Block] = []
        self.next_block(b"\x01" * 32, time_ns)

    @property
    def height(self) -> int:
        return len(self.blocks)

    def at(self, height: int) -> Block:
        """Block of a height, from 1."""
        return self.blocks[height - 1]

    def next_block(
        self,
        app_hash: bytes,
        time_ns: int | None = None,
        *,
        next_names: Iterable[str] | Mapping[str, int] | None = None,
        absent: Iterable[str] = (),
    ) -> Block:
        """Append a block, one second later unless told; `next_names` are the validators from the next one on."""
        after = self.members if next_names is None else Members(powers_of(next_names))
        at_ns = (self.time_ns + SECOND_NS) if time_ns is None else time_ns
        header = self._header(app_hash, at_ns, after)
        block = Block(seal(header, self.members, absent), self.members, after)
        self.blocks.append(block)
        self.members = after
        return block

    @property
    def time_ns(self) -> int:
        """Time of the newest block."""
        last = self.blocks[-1].header.time
        return last.seconds * SECOND_NS + last.nanos

    def _header(self, app_hash: bytes, time_ns: int, after: Members) -> cmt_types.Header:
        header = cmt_types.Header(
            version=cmt_version.Consensus(block=11, app=1),
            chain_id=self.chain_id,
            height=self.height + 1,
            time=timestamp(time_ns),
            validators_hash=self.members.hash,
            next_validators_hash=after.hash,
            app_hash=app_hash,
            consensus_hash=hashlib.sha256(b"params").digest(),
            data_hash=merkle_root([]),
            last_results_hash=merkle_root([]),
            evidence_hash=merkle_root([]),
            proposer_address=self.members.validators[0].address,
        )
        header.last_block_id.SetInParent()
        if self.blocks:
            last = self.blocks[-1].signed.commit
            header.last_block_id.CopyFrom(last.block_id)
            header.last_commit_hash = canonical.commit_hash(last)
        return header

    def update(self, trusted: int, height: int) -> Header:
        """Client message that takes a client from one height to another."""
        block, base = self.at(height), self.at(trusted)
        return build.header(block.signed, block.members.message, self.ibc_height(trusted), base.next_members.message)

    def ibc_height(self, height: int) -> Height:
        return build.height_in(self.chain_id, height)


def seal(header: cmt_types.Header, members: Members, absent: Iterable[str] = ()) -> cmt_types.SignedHeader:
    """The header with a commit of these members over it."""
    commit = cmt_types.Commit(height=header.height, round=0)
    commit.block_id.hash = canonical.header_hash(header)
    commit.block_id.part_set_header.total = 1
    commit.block_id.part_set_header.hash = hashlib.sha256(commit.block_id.hash).digest()
    sign_commit(header.chain_id, commit, members, header.time, absent)
    return cmt_types.SignedHeader(header=header, commit=commit)
