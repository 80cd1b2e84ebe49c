"""Ballots: the audit counts again what four validators said, agrees with honest chains, and names each cheat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bsmg.audit.findings import Difference
from bsmg.audit.record import ChainRecord, of_kind
from bsmg.audit.run import audit
from cosmos_wire import canonical
from cosmos_wire.protos import cmt_types, cmt_validator, market, market_tx
from tests.app.chain import BOB, UTILITY
from tests.app.voting import Rule, Validator, VotingNet
from tests.audit.tampering import Place, first_place, number_places, with_value
from tests.audit.test_replay import named
from tests.audit.voted import record_of, sealed, with_bundle
from tests.ballot.cheats import CHEATS

BALLOTS = "ballots"


def differences(record: ChainRecord) -> list[Difference]:
    (findings,) = audit([record])
    return findings.differences


def lived(net: VotingNet, slot: int = 0) -> VotingNet:
    """To the end of a slot whose schedule was voted on."""
    slot = slot or net.in_ballot()
    while net.slot(slot).state < market.SLOT_STATE_CLOSED:
        net.block()
    return net


def ruled(*rules: Rule) -> VotingNet:
    """Validators of power 10, whose judges follow these rules."""
    net = VotingNet()
    for validator, rule in zip(net.validators, rules, strict=True):
        validator.judge.rule = rule
    return net


def said(record: ChainRecord, kind: str) -> list[dict[str, str]]:
    return [
        values
        for block in record.blocks
        for values in of_kind((*block.hook_events, *(event for item in block.txs for event in item.events)), kind)
    ]


def decided(record: ChainRecord) -> tuple[str, str]:
    """Candidate and factor of the slot that was voted on."""
    (slot,) = {row["slot"] for row in said(record, "ballot_opened")}
    (found,) = [row for row in said(record, "slot_secured") if row["slot"] == slot]
    return found["candidate"], found["factor_permille"]


# Honest chains


@pytest.fixture(scope="module")
def net() -> VotingNet:
    return lived(VotingNet())


@pytest.fixture(scope="module")
def told(net: VotingNet) -> ChainRecord:
    return record_of(net)


def test_an_honest_ballot_agrees_and_every_vote_was_verified(told: ChainRecord) -> None:
    (findings,) = audit([told])
    assert [str(item) for item in findings.differences] == []
    assert findings.checked[BALLOTS] == 4
    (findings,) = audit([told], light=False)
    assert findings.differences == []


def half(number: int) -> bool | None:
    return number > 1


def never(_number: int) -> bool | None:
    return False


def silent(_number: int) -> bool | None:
    return None


@pytest.mark.parametrize(
    ("rules", "end"),
    [
        ((half, half, half, half), ("2", "500")),
        ((half, half, half, never), ("2", "500")),
        ((half, half, half, silent), ("2", "500")),
        ((half, half, silent, silent), ("none", "0")),  # 20 of 40
        ((half, half, never, silent), ("none", "0")),
        ((silent, silent, silent, silent), ("none", "0")),
        ((never, never, never, lambda _: True), ("none", "0")),
        ((lambda _: True, lambda _: True, half, lambda n: n == 0), ("0", "1000")),
    ],
)
def test_whatever_validators_say_the_count_agrees(rules: tuple[Rule, ...], end: tuple[str, str]) -> None:
    record = record_of(lived(ruled(*rules)))
    assert [str(item) for item in differences(record)] == []
    assert decided(record) == end


def test_unequal_powers_and_a_dead_validator_agree() -> None:
    net = VotingNet([Validator(f"v{n}", power=power) for n, power in enumerate((1, 2, 3, 40))])
    slot = net.in_ballot()
    net.block()
    net.validators[1].is_alive = False
    record = record_of(lived(net, slot))
    assert [str(item) for item in differences(record)] == []
    assert {row["total"] for row in said(record, "vote_tallied")} == {"46"}


def test_caps_are_one_more_candidate_and_may_be_chosen() -> None:
    net = ruled(*[lambda number: number >= 3] * 4)
    slot = net.in_ballot()
    caps = [market_tx.BusCap(bus=2, side=market.SIDE_ASK, cap_mWh=2_500)]
    message = market_tx.MsgProposeCaps(utility=UTILITY.text, slot=slot, attempt=1, caps=caps)
    results = net.block(net.tx(UTILITY, message)).results
    assert [result.code for result in results] == [0], results
    record = record_of(lived(net, slot))
    assert [str(item) for item in differences(record)] == []
    assert said(record, "ballot_grown")
    assert decided(record) == ("4", "1000")
    grown = with_value(record, first_place(record, "ballot_grown", "hash"), lambda text: text[::-1])
    assert named(differences(grown), BALLOTS, "ballot_grown", "hash")


def test_an_order_that_does_not_trade_opens_no_ballot() -> None:
    net = VotingNet()
    slot = net.in_ballot()
    later = slot + 4
    net.until(later, market.SLOT_STATE_BIDDING)
    order = market_tx.MsgPlaceOrder(
        cell=BOB.text, slot=later, side=market.SIDE_ASK, price_e4=40_000, quantity_mWh=4_000
    )
    assert [result.code for result in net.block(net.tx(BOB, order)).results][-1] == 0
    record = record_of(lived(net, later))
    assert [str(item) for item in differences(record)] == []
    assert len(said(record, "ballot_opened")) == 1


# Cheats in what is told


@pytest.mark.parametrize("name", ["yes", "no", "total"])
def test_a_forged_tally_is_found(told: ChainRecord, name: str) -> None:
    lying = with_value(told, first_place(told, "vote_tallied", name))
    wrong = named(differences(lying), BALLOTS, "vote_tallied", name)
    assert int(wrong.got) == int(wrong.expected) + 1


def test_another_candidate_under_the_votes_is_found(told: ChainRecord) -> None:
    lying = with_value(told, first_place(told, "ballot_opened", "hash"), lambda text: text[::-1])
    assert named(differences(lying), BALLOTS, "ballot_opened", "hash")


def test_a_decision_against_the_votes_is_found() -> None:
    """Two of four said yes; the chain says three, chose the cleared schedule and lets it trade."""
    record = record_of(lived(ruled(lambda _: True, lambda _: True, never, never)))
    assert differences(record) == []
    lying = with_value(record, first_place(record, "vote_tallied", "yes"), lambda _: "30")
    places = number_places(lying)
    place = next(p for p in places if (p.kind, p.name) == ("slot_secured", "factor_permille") and at_end(lying, p))
    lying = with_value(lying, place, lambda _: "1000")
    lying = with_value(lying, replace(place, name="candidate"), lambda _: "0")
    found = differences(lying)
    assert named(found, BALLOTS, "vote_tallied", "yes")
    assert (named(found, "gates", "slot_secured", "candidate").expected, len(found)) == ("none", 3)


def at_end(record: ChainRecord, place: Place) -> bool:
    """Whether an event of hooks says that nothing was approved."""
    events = record.blocks[place.block].hook_events
    return place.tx is None and ("candidate", "none") in events[place.event].attributes


# Cheats that all validators sign: headers and commits fit


def bundle_at(record: ChainRecord) -> int:
    return next(at for at, block in enumerate(record.blocks) if block.txs and block.txs[0].raw[:1] == b"\0")


@pytest.mark.parametrize(
    "name", [name for name in sorted(CHEATS) if name not in ("twice", "last", "uninvited", "omitted")]
)
def test_a_bundle_that_no_honest_proposer_makes_is_found(net: VotingNet, told: ChainRecord, name: str) -> None:
    at = bundle_at(told)
    cheat: Callable[[list[bytes]], list[bytes]] = CHEATS[name]
    lying = sealed(net, with_bundle(told, at, lambda raw: cheat([raw])[0]))
    wrong = named(differences(lying), BALLOTS, f"block {at + 1}: bundles of votes")
    assert wrong.got.startswith("ValueError: ")


def test_a_missing_bundle_is_found(net: VotingNet, told: ChainRecord) -> None:
    at = bundle_at(told)
    block = told.blocks[at]
    bare = replace(block, txs=block.txs[1:])
    lying = sealed(net, replace(told, blocks=(*told.blocks[:at], bare, *told.blocks[at + 1 :])))
    found = differences(lying)
    wrong = named(found, BALLOTS, f"block {at + 1}: bundles of votes")
    assert (wrong.expected, wrong.got) == ("[0]", "[]")
    assert named(found, "gates", "slot_secured")  # nobody has approved it now


def test_a_second_bundle_and_an_uninvited_one_are_found(net: VotingNet, told: ChainRecord) -> None:
    at = bundle_at(told)
    for where, got in ((at, "[0, 1]"), (at - 1, "[0]"), (at + 1, "[0]")):
        block = told.blocks[where]
        more = replace(block, txs=(told.blocks[at].txs[0], *block.txs))
        lying = sealed(net, replace(told, blocks=(*told.blocks[:where], more, *told.blocks[where + 1 :])))
        assert named(differences(lying), BALLOTS, f"block {where + 1}: bundles of votes").got == got


def test_a_good_bundle_that_the_chain_refused_is_found(net: VotingNet, told: ChainRecord) -> None:
    at = bundle_at(told)
    block = told.blocks[at]
    refused = replace(block.txs[0], code=17, events=())
    made = replace(block, txs=(refused, *block.txs[1:]))
    lying = sealed(net, replace(told, blocks=(*told.blocks[:at], made, *told.blocks[at + 1 :])))
    found = differences(lying)
    assert named(found, BALLOTS, "bundles of votes code").got == "17"
    assert named(found, BALLOTS, "vote_tallied").got == "no such event"


def test_another_power_is_found(told: ChainRecord) -> None:
    """A node tells another power of a validator: it is not the set that the headers name."""
    ((name, members),) = told.validators.items()
    richer = cmt_validator.ValidatorSet()
    richer.CopyFrom(members)
    richer.validators[0].voting_power += 1
    found = differences(replace(told, validators={name: richer}))
    assert "ValueError: validators: expected" in named(found, BALLOTS, "bundles of votes").got
    assert named(found, "signatures", "validators")


def test_a_chain_that_counts_with_other_powers_than_its_validators_have_is_found(told: ChainRecord) -> None:
    """All headers and commits fit validators of 30 for the first; the chain counted 10 for everybody."""
    net = lived(VotingNet())
    net.validators[0].power = 30
    lying = record_of(net)
    wrong = named(differences(lying), BALLOTS, "vote_tallied", "total")
    assert (wrong.expected, wrong.got) == ("60", "40")
    assert told.validators != lying.validators


def test_another_commit_than_the_header_names_is_found(told: ChainRecord) -> None:
    at = bundle_at(told)
    commit = cmt_types.Commit()
    commit.CopyFrom(told.blocks[at].last_commit or commit)
    commit.signatures[2].block_id_flag = cmt_validator.BLOCK_ID_FLAG_ABSENT
    blocks = list(told.blocks)
    blocks[at] = replace(blocks[at], last_commit=commit)
    found = differences(replace(told, blocks=tuple(blocks)))
    assert "last commit: expected" in named(found, BALLOTS, "bundles of votes").got


def test_an_extension_of_who_did_not_vote_for_the_block_is_found(net: VotingNet, told: ChainRecord) -> None:
    at = bundle_at(told)
    extended = net.blocks[at - 1].extended
    before = extended.votes[2].block_id_flag
    extended.votes[2].block_id_flag = cmt_validator.BLOCK_ID_FLAG_ABSENT
    lying = sealed(net, told)
    extended.votes[2].block_id_flag = before
    assert "who did not vote for the block" in named(differences(lying), BALLOTS, "bundles of votes").got


def test_without_extensions_in_genesis_no_bundle_is_due(told: ChainRecord) -> None:
    lying = replace(told, genesis={**told.genesis, "consensus_params": {}})
    assert (named(differences(lying), BALLOTS, "bundles of votes").expected) == "[]"


def test_the_set_is_the_one_that_the_header_names(told: ChainRecord) -> None:
    ((name, members),) = told.validators.items()
    assert canonical.validator_set_hash(members.validators) == name
