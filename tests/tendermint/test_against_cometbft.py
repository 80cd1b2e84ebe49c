"""Hashes, sign bytes and verdicts beside CometBFT v0.38.26's own, on chains that grow and break at random."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cosmos_wire import canonical, ed25519, secp256k1
from cosmos_wire.errors import ChainError
from cosmos_wire.merkle import merkle_root
from cosmos_wire.protos import cmt_keys, cmt_types, cmt_validator
from ibc_core.tendermint import build, verifier
from ibc_core.tendermint.times import time_ns
from ibc_core.tendermint.validators import read_validator_set
from ibc_core.tendermint.verifier import Invalid, LightBlock, NotEnoughTrust, Options, Step, Trusted, Valid, Verdict
from tests.tendermint import oracle
from tests.tendermint.testgen import SECOND_NS, LightChain, resign, sign_commit

NAMES = [f"v{number}" for number in range(12)]
PERIOD_NS, DRIFT_NS = 3_600 * SECOND_NS, 10 * SECOND_NS
CASES = 900


def grown(rng: random.Random, blocks: int = 6) -> LightChain:
    """A chain whose sets, powers, rounds and missing votes change."""
    chain = LightChain("mga-1", some_powers(rng))
    for _ in range(blocks):
        chain.next_block(
            rng.randbytes(32),
            chain.time_ns + rng.randint(1, 5 * SECOND_NS),
            next_names=some_powers(rng) if rng.random() < 0.4 else None,
            absent=rng.sample(chain.members.names, 1) if rng.random() < 0.3 else (),
        )
    return chain


def some_powers(rng: random.Random) -> dict[str, int]:
    return {name: rng.choice((1, 5, 10, 10, 10, 2**40)) for name in rng.sample(NAMES, rng.randint(1, 8))}


# --- hashes and sign bytes -------------------------------------------------------------------------------------------


def test_hashes_and_sign_bytes(cometbft: Path) -> None:
    rng = random.Random(1)
    questions: list[oracle.Question] = []
    mine: list[bytes] = []
    for _ in range(40):
        chain = grown(rng)
        block = chain.at(rng.randint(1, chain.height))
        block.signed.commit.round = rng.choice((0, 1, 7))
        signed, members = block.signed.SerializeToString(), block.members.message
        index = rng.randrange(len(block.signed.commit.signatures))
        questions += [
            {"op": "header_hash", "signed": signed},
            {"op": "commit_hash", "signed": signed},
            {"op": "set_hash", "set": members.SerializeToString()},
            {"op": "vote_bytes", "signed": signed, "chain_id": "mga-1", "index": index},
        ]
        mine += [
            canonical.header_hash(block.header),
            canonical.commit_hash(block.signed.commit),
            read_validator_set(members).hash,
            canonical.precommit_sign_bytes("mga-1", block.signed.commit, index),
        ]
    assert [each.out for each in oracle.ask(cometbft, questions)] == [each.hex() for each in mine]


def test_votes_that_are_nil_absent_or_without_a_time(cometbft: Path) -> None:
    commit = cmt_types.Commit(height=2**62, round=3)
    commit.block_id.hash = bytes(range(32))
    commit.block_id.part_set_header.SetInParent()
    for flag in (cmt_validator.BLOCK_ID_FLAG_COMMIT, cmt_validator.BLOCK_ID_FLAG_NIL):
        commit.signatures.add(block_id_flag=flag, validator_address=bytes(20), signature=b"s")
    absent = commit.signatures.add(block_id_flag=cmt_validator.BLOCK_ID_FLAG_ABSENT)
    for present in (False, True):
        if present:
            absent.timestamp.seconds = canonical.YEAR_ONE_S
            commit.signatures[0].timestamp.nanos = 5
            commit.signatures[1].timestamp.SetInParent()
        signed = cmt_types.SignedHeader(commit=commit).SerializeToString()
        asked: list[oracle.Question] = [
            {"op": "vote_bytes", "signed": signed, "chain_id": chain, "index": index}
            for chain in ("", "é" * 60)
            for index in range(3)
        ]
        mine = [canonical.precommit_sign_bytes(chain, commit, index) for chain in ("", "é" * 60) for index in range(3)]
        assert [each.out for each in oracle.ask(cometbft, asked)] == [each.hex() for each in mine]
        (hashed,) = oracle.ask(cometbft, [{"op": "commit_hash", "signed": signed}])
        assert hashed.out == canonical.commit_hash(commit).hex()


@pytest.mark.parametrize(
    ("chain_id", "height", "round_", "extension"),
    [("", 0, 0, b""), ("mga-1", 7, 0, b"x" * 46), ("mga-1", 2**40, 3, b""), ("z" * 50, 1, 2**31 - 1, bytes(300))],
)
def test_extension_sign_bytes(cometbft: Path, chain_id: str, height: int, round_: int, extension: bytes) -> None:
    asked: oracle.Question = {
        "op": "extension_bytes",
        "chain_id": chain_id,
        "height": height,
        "round": round_,
        "message": extension,
    }
    (answer,) = oracle.ask(cometbft, [asked])
    assert answer.out == canonical.extension_sign_bytes(chain_id, height, round_, extension).hex()


def test_header_with_every_field_empty_or_full(cometbft: Path) -> None:
    full = LightChain("mga-1", ["a", "b"]).next_block(b"").header
    empty = cmt_types.Header(validators_hash=bytes(32))
    headers = [full, empty]
    for name in ("version", "chain_id", "height", "time", "last_block_id", "data_hash", "proposer_address"):
        without = cmt_types.Header()
        without.CopyFrom(full)
        without.ClearField(name)
        headers.append(without)
    asked: list[oracle.Question] = [
        {"op": "header_hash", "signed": cmt_types.SignedHeader(header=each).SerializeToString()} for each in headers
    ]
    assert [each.out for each in oracle.ask(cometbft, asked)] == [canonical.header_hash(each).hex() for each in headers]


def test_merkle_roots_of_every_small_size(cometbft: Path) -> None:
    rng = random.Random(2)
    lists = [[rng.randbytes(rng.randint(0, 40)) for _ in range(size)] for size in range(70)]
    answers = oracle.ask(cometbft, [{"op": "merkle_root", "items": items} for items in lists])
    assert [each.out for each in answers] == [merkle_root(items).hex() for items in lists]


def test_signatures_with_odd_points(cometbft: Path) -> None:
    """Small-order points, encodings that are not reduced, and torn signatures: the verdict is CometBFT's."""
    rng = random.Random(3)
    odd = [(number % 2**256).to_bytes(32, "little") for number in (0, 1, ed25519.P - 1, ed25519.P, ed25519.P + 1)]
    odd += [bytes([*each[:31], each[31] | 128]) for each in odd]
    questions: list[oracle.Question] = []
    mine = []
    for _ in range(300):
        seed, message = rng.randbytes(32), rng.randbytes(8)
        signature = bytearray(ed25519.sign(seed, message))
        key = rng.choice((ed25519.public_key(seed), rng.choice(odd)))
        if rng.random() < 0.6:
            signature[:32] = rng.choice(odd)
        if rng.random() < 0.5:
            signature[32:] = rng.choice((bytes(32), (rng.randrange(8) * ed25519.L).to_bytes(32, "little")))
        questions.append({"op": "ed25519", "key": key, "message": message, "signature": bytes(signature)})
        mine.append(ed25519.verify(key, message, bytes(signature)))
    assert [each.out == "true" for each in oracle.ask(cometbft, questions)] == mine
    assert 30 < sum(mine) < 270


# --- verdicts --------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Attempt:
    """A step that a mutation may break; everything that is told to both verifiers."""

    rng: random.Random
    chain_id: str
    trusted_height: int
    trusted_ns: int
    next_hash: bytes
    trusted_set: cmt_validator.ValidatorSet
    signed: cmt_types.SignedHeader
    set: cmt_validator.ValidatorSet
    names: list[str]
    now_ns: int
    level: tuple[int, int] = (1, 3)

    def question(self) -> oracle.Question:
        return {
            "op": "verify",
            "chain_id": self.chain_id,
            "height": self.trusted_height,
            "trusted_ns": self.trusted_ns,
            "next_hash": self.next_hash,
            "trusted_set": self.trusted_set.SerializeToString(),
            "signed": self.signed.SerializeToString(),
            "set": self.set.SerializeToString(),
            "now_ns": self.now_ns,
            "period_ns": PERIOD_NS,
            "drift_ns": DRIFT_NS,
            "numerator": self.level[0],
            "denominator": self.level[1],
        }

    def verdict(self) -> Verdict:
        try:
            trusted_set, own = read_validator_set(self.trusted_set), read_validator_set(self.set)
        except ChainError as error:
            return Invalid(str(error))
        return verifier.verify(
            Step(
                trusted=Trusted(
                    chain_id=self.chain_id,
                    height=self.trusted_height,
                    time_ns=self.trusted_ns,
                    next_validators_hash=self.next_hash,
                    next_validators=trusted_set,
                ),
                block=LightBlock(header=self.signed.header, commit=self.signed.commit, validators=own),
                options=Options(
                    trust_numerator=self.level[0],
                    trust_denominator=self.level[1],
                    trusting_period_ns=PERIOD_NS,
                    max_clock_drift_ns=DRIFT_NS,
                ),
                now_ns=self.now_ns,
            )
        )

    def entry(self) -> cmt_types.CommitSig:
        return self.rng.choice(self.signed.commit.signatures)

    def reseal(self) -> None:
        """Hash and sign anew, so that the fault lies where the mutation put it and nowhere else."""
        commit = self.signed.commit
        commit.block_id.hash = canonical.header_hash(self.signed.header)
        for index, entry in enumerate(commit.signatures):
            if entry.block_id_flag != cmt_validator.BLOCK_ID_FLAG_ABSENT:
                resign(self.chain_id, commit, index, self.names[index])


def attempt(rng: random.Random, chain: LightChain) -> Attempt:
    low, high = sorted(rng.sample(range(1, chain.height + 1), 2))
    base, block = chain.at(low), chain.at(high)
    signed, own = cmt_types.SignedHeader(), cmt_validator.ValidatorSet()
    signed.CopyFrom(block.signed)
    own.CopyFrom(block.members.message)
    return Attempt(
        rng=rng,
        chain_id=chain.chain_id,
        trusted_height=low,
        trusted_ns=time_ns(base.header.time),
        next_hash=base.header.next_validators_hash,
        trusted_set=base.next_members.message,
        signed=signed,
        set=own,
        names=list(block.members.names),
        now_ns=chain.time_ns,
        level=rng.choice(((1, 3), (1, 3), (2, 3), (1, 2), (1, 1))),
    )


def nothing(_: Attempt) -> None:
    pass


def change_field(it: Attempt) -> None:
    name = it.rng.choice(("last_commit_hash", "data_hash", "app_hash", "proposer_address", "validators_hash"))
    setattr(it.signed.header, name, it.rng.randbytes(it.rng.choice((0, 20, 32, 33))))
    it.reseal()


def change_header_time(it: Attempt) -> None:
    at_ns = it.rng.choice((it.trusted_ns, it.trusted_ns + 1, it.now_ns + DRIFT_NS, it.now_ns + DRIFT_NS - 1))
    it.signed.header.time.seconds, it.signed.header.time.nanos = divmod(at_ns, SECOND_NS)
    it.reseal()


def change_now(it: Attempt) -> None:
    it.now_ns = it.trusted_ns + PERIOD_NS + it.rng.choice((-1, 0, 1))


def change_version(it: Attempt) -> None:
    it.signed.header.version.block = it.rng.choice((0, 10, 12))
    it.reseal()


def change_chain(it: Attempt) -> None:
    it.chain_id = it.rng.choice(("mga-2", "mgb-1", ""))


def change_heights(it: Attempt) -> None:
    it.trusted_height = it.rng.choice((it.signed.header.height, it.signed.header.height + 1, it.trusted_height))
    it.signed.commit.height += it.rng.choice((0, 1))


def change_entry_flag(it: Attempt) -> None:
    it.entry().block_id_flag = it.rng.choice((0, 1, 2, 3))


def vote_nil(it: Attempt) -> None:
    for entry in it.rng.sample(list(it.signed.commit.signatures), len(it.signed.commit.signatures) // 2):
        if entry.block_id_flag == cmt_validator.BLOCK_ID_FLAG_COMMIT:
            entry.block_id_flag = cmt_validator.BLOCK_ID_FLAG_NIL
    it.reseal()


def change_entry_address(it: Attempt) -> None:
    it.entry().validator_address = it.entry().validator_address or it.rng.randbytes(20)


def change_entry_time(it: Attempt) -> None:
    it.entry().timestamp.nanos ^= 1


def change_signature(it: Attempt) -> None:
    it.entry().signature = it.rng.randbytes(it.rng.choice((0, 1, 63, 64, 65)))


def copy_entry(it: Attempt) -> None:
    """A trusted validator's vote once more in another's place."""
    it.entry().CopyFrom(it.entry())


def drop_or_add_entry(it: Attempt) -> None:
    if it.rng.random() < 0.5:
        del it.signed.commit.signatures[-1]
    else:
        it.signed.commit.signatures.add().CopyFrom(it.entry())


def change_block_id(it: Attempt) -> None:
    block_id = it.signed.commit.block_id
    it.rng.choice((block_id, block_id.part_set_header)).hash = it.rng.randbytes(it.rng.choice((0, 31, 32)))


def change_power(it: Attempt) -> None:
    powers = (-1, 0, 11, 2**60, 2**63 - 1)
    it.rng.choice(it.set.validators).voting_power = it.rng.choice(powers)
    it.signed.header.validators_hash = canonical.validator_set_hash(it.set.validators)
    it.reseal()


def change_proposer(it: Attempt) -> None:
    it.rng.choice((it.set, it.trusted_set)).ClearField("proposer")


def change_member(it: Attempt) -> None:
    it.rng.choice(it.set.validators).address = it.rng.randbytes(20)


def other_signers(it: Attempt) -> None:
    """Good signatures of the wrong chain."""
    for index, name in enumerate(it.names):
        if it.signed.commit.signatures[index].block_id_flag == cmt_validator.BLOCK_ID_FLAG_COMMIT:
            resign("mgx-1", it.signed.commit, index, name)


MUTATIONS: tuple[Callable[[Attempt], None], ...] = (
    nothing,
    change_field,
    change_header_time,
    change_now,
    change_version,
    change_chain,
    change_heights,
    change_entry_flag,
    vote_nil,
    change_entry_address,
    change_entry_time,
    change_signature,
    copy_entry,
    drop_or_add_entry,
    change_block_id,
    change_power,
    change_proposer,
    change_member,
    other_signers,
)


def word(verdict: Verdict) -> str:
    if isinstance(verdict, Valid):
        return "valid"
    return "not enough trust" if isinstance(verdict, NotEnoughTrust) else "error"


def same(made: Attempt, theirs: str, ours: str) -> bool:
    """Equal answers, but a lone signature (no batch, whose power counts first) may be refused for either fault."""
    if len(made.signed.commit.signatures) == 1:
        return (theirs == "valid") == (ours == "valid")
    return theirs == ours


@pytest.mark.parametrize("seed", range(3))
def test_verdicts_on_blocks_with_faults(cometbft: Path, seed: int) -> None:
    rng = random.Random(seed)
    attempts, chains = [], [grown(rng) for _ in range(30)]
    for number in range(CASES // 3):
        made = attempt(rng, rng.choice(chains))
        mutation = MUTATIONS[number % len(MUTATIONS)]
        mutation(made)
        attempts.append((mutation.__name__, made))
    answers = oracle.ask(cometbft, [made.question() for _, made in attempts])
    mine = [made.verdict() for _, made in attempts]
    different = [
        (name, answer, verdict)
        for (name, made), answer, verdict in zip(attempts, answers, mine, strict=True)
        if not same(made, answer.out, word(verdict))
    ]
    assert different == [], f"seed {seed}"
    counts = {kind: sum(word(each) == kind for each in mine) for kind in ("valid", "not enough trust", "error")}
    assert min(counts.values()) > 10, counts


def test_commits_of_many_sizes_and_missing_votes(cometbft: Path) -> None:
    """Around two thirds, where rounding decides."""
    rng = random.Random(9)
    questions: list[oracle.Question] = []
    mine = []
    for _ in range(150):
        chain = LightChain("mga-1", {name: rng.randint(0, 4) for name in rng.sample(NAMES, rng.randint(1, 12))})
        block = chain.at(1)
        members, commit = block.members, block.signed.commit
        away = rng.sample(members.names, rng.randint(0, len(members.names) // 2 + 1))
        sign_commit("mga-1", commit, members, block.header.time, away)
        wire = members.message
        questions.append(
            {
                "op": "own_set",
                "chain_id": "mga-1",
                "signed": block.signed.SerializeToString(),
                "set": wire.SerializeToString(),
            }
        )
        mine.append(word(verifier.verify_own_set("mga-1", read_validator_set(wire), commit)))
    assert [each.out for each in oracle.ask(cometbft, questions)] == mine
    assert 20 < mine.count("valid") < 130


def with_secp256k1(chain: LightChain, secret: bytes) -> tuple[cmt_validator.ValidatorSet, cmt_types.Commit]:
    """The chain's first block under its own validators and one with a secp256k1 key."""
    key = secp256k1.public_key(secret)
    other = cmt_validator.Validator(
        address=secp256k1.address(key), pub_key=cmt_keys.PublicKey(secp256k1=key), voting_power=100
    )
    block = chain.at(1)
    commit = block.signed.commit
    entry = commit.signatures.add(block_id_flag=verifier.COMMIT, validator_address=other.address)
    entry.timestamp.CopyFrom(block.header.time)
    message = canonical.precommit_sign_bytes(chain.chain_id, commit, len(commit.signatures) - 1)
    entry.signature = secp256k1.sign(secret, message)
    return build.validator_set([*block.members.validators, other]), commit


def high_s(signature: bytes) -> bytes:
    """The other signature of the same message, which is refused."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    return signature[:32] + (order - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")


def test_secp256k1_validators(cometbft: Path) -> None:
    questions: list[oracle.Question] = []
    mine: list[str] = []
    for spoiled in (False, True):
        wire, commit = with_secp256k1(LightChain("mga-1", "ab"), b"\x07" * 32)
        if spoiled:
            commit.signatures[-1].signature = high_s(commit.signatures[-1].signature)
        signed, members = cmt_types.SignedHeader(commit=commit).SerializeToString(), wire.SerializeToString()
        questions += [
            {"op": "own_set", "chain_id": "mga-1", "signed": signed, "set": members},
            {"op": "set_hash", "set": members},
        ]
        own = read_validator_set(wire)
        mine += [word(verifier.verify_own_set("mga-1", own, commit)), own.hash.hex()]
    assert [each.out for each in oracle.ask(cometbft, questions)] == mine
    assert (mine[0], mine[2]) == ("valid", "error")
