"""The light client vectors of tendermint-rs: 41 model-derived runs, 4 bisections, 4 with witnesses; then mutations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import cmt_types, cmt_validator
from ibc_core.tendermint import verifier
from ibc_core.tendermint.times import time_ns
from ibc_core.tendermint.validators import read_validator_set
from ibc_core.tendermint.verifier import Invalid, LightBlock, NotEnoughTrust, Options, Step, Trusted, Valid, Verdict
from tests.tendermint import rpc_json, testgen
from tests.tendermint.fetch import crate

SECOND_NS = 1_000_000_000
Mutation = Callable[[cmt_types.SignedHeader, cmt_validator.ValidatorSet], None]
WORDS = {"SUCCESS": Valid, "INVALID": Invalid, "NOT_ENOUGH_TRUST": NotEnoughTrust}


@pytest.fixture(scope="module")
def support() -> Path:
    return crate("tendermint-light-client", "0.40.4") / "tests" / "support"


def runs_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def trusted_state(doc: Mapping[str, Any], validators: Mapping[str, Any]) -> Trusted:
    head = rpc_json.header(doc["signed_header"]["header"])
    return Trusted(
        chain_id=head.chain_id,
        height=head.height,
        time_ns=time_ns(head.time),
        next_validators_hash=head.next_validators_hash,
        next_validators=read_validator_set(rpc_json.validator_set(validators)),
    )


def options(trusting_period_ns: int, drift_ns: int = 0) -> Options:
    return Options(
        trust_numerator=1,
        trust_denominator=3,
        trusting_period_ns=trusting_period_ns,
        max_clock_drift_ns=drift_ns,
    )


@dataclass(frozen=True, kw_only=True)
class Case:
    """A block to be judged on the ground of a trusted one."""

    trusted: Trusted
    block: Mapping[str, Any]
    options: Options
    now_ns: int
    expected: str = ""

    def verdict(self, mutation: Mutation | None = None) -> Verdict:
        signed = rpc_json.signed_header(self.block["signed_header"])
        validators = rpc_json.validator_set(self.block["validator_set"])
        if mutation is not None:
            mutation(signed, validators)
        try:
            own = read_validator_set(validators)
        except ChainError as error:
            return Invalid(str(error))
        block = LightBlock(header=signed.header, commit=signed.commit, validators=own)
        return verifier.verify(Step(trusted=self.trusted, block=block, options=self.options, now_ns=self.now_ns))


def cases_of(run: Mapping[str, Any]) -> Iterator[Case]:
    """Every step of a run; the trusted state follows the successes."""
    first = run["initial"]
    trusted = trusted_state(first, first["next_validator_set"])
    for item in run["input"]:
        yield Case(
            trusted=trusted,
            block=item["block"],
            options=options(int(first["trusting_period"])),
            now_ns=rpc_json.moment_ns(item["now"]),
            expected=item["verdict"],
        )
        if item["verdict"] == "SUCCESS":
            trusted = trusted_state(item["block"], item["block"]["next_validator_set"])


def test_single_steps_get_the_verdicts_of_the_model(support: Path) -> None:
    runs = runs_in(support / "model_based" / "single_step")
    assert len(runs) == 41
    wrong = [
        (run["description"], case.expected, verdict)
        for run in runs
        for case in cases_of(run)
        if not isinstance(verdict := case.verdict(), WORDS[case.expected])
    ]
    assert wrong == []


def flip(name: str) -> Mutation:
    def change(signed: cmt_types.SignedHeader, _: cmt_validator.ValidatorSet) -> None:
        setattr(signed.header, name, b"\xaa" * len(getattr(signed.header, name) or bytes(32)))

    return change


def change_version(signed: cmt_types.SignedHeader, _: cmt_validator.ValidatorSet) -> None:
    signed.header.version.app += 1


def change_chain(signed: cmt_types.SignedHeader, _: cmt_validator.ValidatorSet) -> None:
    signed.header.chain_id = "AAAAAAAAAAAAAAAAAA"


def change_height(signed: cmt_types.SignedHeader, _: cmt_validator.ValidatorSet) -> None:
    signed.header.height += 1
    signed.commit.height += 1


def change_time(signed: cmt_types.SignedHeader, _: cmt_validator.ValidatorSet) -> None:
    signed.header.time.nanos ^= 1


def change_last_block(signed: cmt_types.SignedHeader, _: cmt_validator.ValidatorSet) -> None:
    signed.header.last_block_id.hash = b"\xaa" * 32


def change_vote_time(signed: cmt_types.SignedHeader, _: cmt_validator.ValidatorSet) -> None:
    for entry in signed.commit.signatures:
        entry.timestamp.nanos += 1


def change_round(signed: cmt_types.SignedHeader, _: cmt_validator.ValidatorSet) -> None:
    signed.commit.round += 1


def change_parts(signed: cmt_types.SignedHeader, _: cmt_validator.ValidatorSet) -> None:
    signed.commit.block_id.part_set_header.total += 1


def change_signatures(signed: cmt_types.SignedHeader, _: cmt_validator.ValidatorSet) -> None:
    for entry in signed.commit.signatures:
        entry.signature = bytes([entry.signature[0] ^ 1]) + entry.signature[1:] if entry.signature else b""


def change_flags(signed: cmt_types.SignedHeader, _: cmt_validator.ValidatorSet) -> None:
    for entry in signed.commit.signatures:
        entry.block_id_flag = cmt_validator.BLOCK_ID_FLAG_NIL


def drop_signature(signed: cmt_types.SignedHeader, _: cmt_validator.ValidatorSet) -> None:
    del signed.commit.signatures[-1]


def change_power(_: cmt_types.SignedHeader, validators: cmt_validator.ValidatorSet) -> None:
    validators.validators[0].voting_power += 1


def double_validator(_: cmt_types.SignedHeader, validators: cmt_validator.ValidatorSet) -> None:
    validators.validators.add().CopyFrom(validators.validators[0])


MUTATIONS: dict[str, Mutation] = {
    **{name: flip(name) for name in rpc_json.HASHES},
    **{
        made.__name__: made
        for made in (
            change_version,
            change_chain,
            change_height,
            change_time,
            change_last_block,
            change_vote_time,
            change_round,
            change_parts,
            change_signatures,
            change_flags,
            drop_signature,
            change_power,
            double_validator,
        )
    },
}


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_mutated_successes_are_refused(support: Path, name: str) -> None:
    runs = runs_in(support / "model_based" / "single_step")
    small = [run for run in runs if not run["description"].startswith(("MC50", "MC100"))]
    good = [case for run in small for case in cases_of(run) if case.expected == "SUCCESS"]
    assert len(good) >= 20
    for case in good:
        assert isinstance(case.verdict(), Valid)
        assert not isinstance(case.verdict(MUTATIONS[name]), Valid)


# --- bisection -------------------------------------------------------------------------------------------------------
# These eight were made before Tendermint 0.34: their hashes are of another encoding (upstream's runner passes over the
# two that should succeed). What they test is the course of a bisection, so each block is sealed anew: the same times,
# powers, sets, application hashes and missing votes, under keys that the validators' addresses name.


def members_of(doc: Mapping[str, Any]) -> testgen.Members:
    return testgen.Members({each["address"]: int(each["voting_power"]) for each in doc["validators"]})


def resealed(doc: Mapping[str, Any]) -> testgen.Block:
    own, after = members_of(doc["validator_set"]), members_of(doc["next_validator_set"])
    head, commit = rpc_json.header(doc["signed_header"]["header"]), doc["signed_header"]["commit"]
    head.version.block = verifier.BLOCK_PROTOCOL
    head.validators_hash, head.next_validators_hash = own.hash, after.hash
    present = [each["validator_address"] for each in commit["signatures"] if each["block_id_flag"] == verifier.COMMIT]
    absent = [name for name in own.names if name not in present]
    return testgen.Block(testgen.seal(head, own, absent), own, after)


def trust_in(block: testgen.Block) -> Trusted:
    return Trusted(
        chain_id=block.header.chain_id,
        height=block.header.height,
        time_ns=time_ns(block.header.time),
        next_validators_hash=block.header.next_validators_hash,
        next_validators=read_validator_set(block.next_members.message),
    )


def blocks_of(provider: Mapping[str, Any]) -> dict[int, testgen.Block]:
    made = (resealed(each) for each in provider["lite_blocks"])
    return {block.header.height: block for block in made}


def bisect(run: Mapping[str, Any], blocks: Mapping[int, testgen.Block]) -> Verdict:
    """Verdict on the target height, asking for headers in between as trust demands."""
    level = options(int(run["trust_options"]["period"]), drift_ns=10 * SECOND_NS)
    trusted, pending = trust_in(blocks[int(run["trust_options"]["height"])]), [int(run["height_to_verify"])]
    while pending:
        block = blocks[pending[-1]]
        own = read_validator_set(block.members.message)
        light = LightBlock(header=block.header, commit=block.signed.commit, validators=own)
        step = Step(trusted=trusted, block=light, options=level, now_ns=rpc_json.moment_ns(run["now"]))
        verdict = verifier.verify(step)
        if isinstance(verdict, Invalid):
            return verdict
        if isinstance(verdict, NotEnoughTrust):
            pending.append((trusted.height + pending[-1]) // 2)
            continue
        trusted = trust_in(blocks[pending.pop()])
    return Valid()


def bisection_run(support: Path, kind: str, name: str) -> dict[str, Any]:
    run: dict[str, Any] = json.loads((support / "bisection" / kind / f"{name}.json").read_text())
    return run


@pytest.mark.parametrize("name", ["_happy_path", "_worst_case"])
def test_bisection_reaches_the_target(support: Path, name: str) -> None:
    run = bisection_run(support, "single_peer", name)
    assert run["expected_output"] == "no error"
    assert bisect(run, blocks_of(run["primary"])) == Valid()


@pytest.mark.parametrize("name", ["header_out_of_trusting_period", "not_enough_commits"])
def test_bisection_fails(support: Path, name: str) -> None:
    run = bisection_run(support, "single_peer", name)
    assert run["expected_output"] == "error"
    assert isinstance(bisect(run, blocks_of(run["primary"])), Invalid)


@pytest.mark.parametrize(
    "name",
    [
        "conflicting_headers",
        "conflicting_valid_commits_from_one_of_the_witnesses",
        "conflicting_valid_commits_from_the_only_witness",
        "malicious_validator_set",
    ],
)
def test_a_witness_disagrees(support: Path, name: str) -> None:
    """All four end in an error: some peer's block at the target height is another one, or doesn't verify."""
    run = bisection_run(support, "multi_peer", name)
    assert run["expected_output"] == "error"
    peers = [blocks_of(each.get("value", each)) for each in (run["primary"], *run["witnesses"])]
    verdicts = [bisect(run, peer) for peer in peers]
    hashes = {peer[int(run["height_to_verify"])].signed.commit.block_id.hash for peer in peers}
    assert len(hashes) > 1 or not all(isinstance(verdict, Valid) for verdict in verdicts)
