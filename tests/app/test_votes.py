"""Votes on schedules through the ABCI handlers of four validators: honest ones, liars, and proposers that cheat."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from abci_app.app_process import build
from abci_app.ballots import fitting
from cosmos_wire import ed25519
from cosmos_wire.protos import abci, cmt_types, market, market_query, market_tx
from energy.errors import BundleInvalid
from energy.market.ballot import Vote
from ibc_core.host import BlockEnv
from microgrid import system, votes
from microgrid.block import Block
from microgrid.memory_state import MemoryState
from microgrid.operator import Operator
from microgrid.state_api import APP, IBC
from microgrid.votes import PREFIX
from tests.app.chain import MAX_TX_BYTES, send_tx
from tests.app.voting import ABSENT, COMMIT, Validator, VotingNet, commit_of
from tests.ballot.cheats import CHEATS, Cheat, bundle_of, changed
from tests.ed25519.test_ed25519 import MODULE, VERSION
from tests.tendermint.fetch import go_module

RESIDUAL = market.SLOT_STATE_RESIDUAL
BUNDLE_INVALID, BUNDLE_UNEXPECTED, BUNDLE_IN_MEMPOOL = 17, 18, 16


class Cheating(Validator):
    """Proposes what `cheat` makes of an honest proposal."""

    def __init__(self, name: str, cheat: Cheat) -> None:
        super().__init__(name)
        self.cheat = cheat

    def propose(self, request: abci.RequestPrepareProposal) -> list[bytes]:
        return self.cheat(super().propose(request))


class Saying(Validator):
    """Says other things with its votes."""

    def __init__(self, name: str, said: Callable[[bytes], bytes]) -> None:
        super().__init__(name)
        self.said = said

    def extend(self, height: int) -> bytes:
        return self.said(super().extend(height))


def honest(count: int = 3) -> list[Validator]:
    return [Validator(f"v{n}") for n in range(count)]


# --- honest -----------------------------------------------------------------------------------------------------------


def test_two_blocks_after_the_opening_the_schedule_is_secured() -> None:
    net = VotingNet()
    slot = net.in_ballot()
    opened = net.height
    assert net.slot(slot).ballot.opened_height == opened
    assert [votes.is_bundle(tx) for tx in net.block().txs] == []
    decided = net.block()
    assert [votes.is_bundle(tx) for tx in decided.txs] == [True]
    (result,) = decided.results
    tallied = [event for event in result.events if event.type == "vote_tallied"]
    assert [{a.key: a.value for a in event.attributes}["yes"] for event in tallied] == ["40"] * 4
    assert "slot_secured" in [event.type for event in result.events]
    record = net.until(slot, RESIDUAL)
    assert (record.ballot.chosen, record.factor_permille, record.ballot.height) == (0, 1000, opened + 2)
    assert net.rejected == []
    while net.slot(slot).state < market.SLOT_STATE_CLOSED:
        assert net.block().txs == []


def test_what_most_judge_secure_is_chosen() -> None:
    net = VotingNet()
    for validator in net.validators:
        validator.judge.rule = lambda number: number > 1
    record = net.until(net.in_ballot(), RESIDUAL)
    assert (record.ballot.chosen, record.factor_permille) == (2, 500)


def test_who_has_no_answer_yet_abstains() -> None:
    net = VotingNet()
    for validator in net.validators[:2]:
        validator.judge.rule = lambda number: True if number == 3 else None
    slot = net.in_ballot()
    net.block()
    net.block()
    assert [t.yes for t in net.slot(slot).ballot.tallies] == [20, 20, 20, 40]
    assert [t.no for t in net.slot(slot).ballot.tallies] == [0, 0, 0, 0]


def test_nobody_says_anything_while_no_ballot_is_open_or_no_judge_answers() -> None:
    net = VotingNet()
    assert [v.extend(1) for v in net.validators] == [b""] * 4
    for validator in net.validators:
        validator.judge.rule = lambda _number: None
    slot = net.in_ballot()
    net.block()
    assert [v.extend(net.height) for v in net.validators] == [b""] * 4
    decided = net.block()
    assert [(entry.extension, entry.signature) for entry in bundle_of(decided.txs).entries] == [(b"", b"")] * 4
    assert net.until(slot, RESIDUAL).factor_permille == 0


def test_the_extension_is_46_bytes_as_written_down() -> None:
    vote = Vote(slot=7, n=4, hash=bytes(range(32)), yes=0x0102, no=0x0304)
    extension = votes.extension_of(vote)
    assert extension == b"\1" + bytes(7) + b"\7\4" + bytes(range(32)) + b"\1\2\3\4"
    assert len(extension) == votes.EXTENSION_BYTES
    assert votes.vote_of(extension) == vote
    assert votes.vote_of(b"\2" + extension[1:]) is votes.vote_of(extension[:-1]) is None


# --- liars, dead ones -------------------------------------------------------------------------------------------------


def test_a_liar_changes_nothing() -> None:
    net = VotingNet()
    net.validators[3].judge.rule = lambda _number: False
    record = net.until(net.in_ballot(), RESIDUAL)
    assert (record.ballot.chosen, record.factor_permille) == (0, 1000)
    assert (record.ballot.tallies[0].yes, record.ballot.tallies[0].no) == (30, 10)


def test_a_dead_one_changes_nothing() -> None:
    net = VotingNet()
    net.validators[2].is_alive = False
    record = net.until(net.in_ballot(), RESIDUAL)
    assert (record.ballot.chosen, record.ballot.tallies[0].yes, record.ballot.total) == (0, 30, 40)


def test_a_liar_and_a_dead_one_leave_the_fallback_at_the_gate_and_blocks_go_on() -> None:
    net = VotingNet()
    slot = net.in_ballot()
    net.validators[2].is_alive = False
    net.validators[3].judge.rule = lambda _number: False
    record = net.until(slot, RESIDUAL)
    assert (record.ballot.HasField("chosen"), record.factor_permille) == (False, 0)
    assert (record.ballot.tallies[0].yes, record.ballot.tallies[0].no, record.ballot.total) == (20, 10, 40)
    assert record.gate_height - record.ballot.opened_height == 3  # the gate's own blocks
    assert net.until(slot, market.SLOT_STATE_SEALED).voided is False


@pytest.mark.parametrize(
    "said",
    [
        lambda _honest: bytes(300),
        lambda _honest: bytes(1 << 20),
        lambda honest: honest[:-1],
        lambda honest: honest + b"\0" if honest else b"",
        lambda honest: honest and b"\2" + honest[1:],
    ],
)
def test_rubbish_in_an_extension_costs_its_sender_the_vote_alone(said: Callable[[bytes], bytes]) -> None:
    """Of 300 bytes, of 1 MiB, cut, longer, of another version: no block is refused for it."""
    net = VotingNet([*honest(), Saying("v3", said)])
    record = net.until(net.in_ballot(), RESIDUAL)
    assert net.rejected == []
    assert (record.ballot.chosen, record.ballot.tallies[0].yes) == (0, 30)
    assert max(len(tx) for block in net.blocks for tx in block.txs) < 1_000


# --- proposers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHEATS)
def test_a_proposer_that_cheats_is_rejected_and_the_ballot_goes_on(name: str) -> None:
    net = VotingNet([*honest(), Cheating("v3", CHEATS[name])])
    slot = net.in_ballot()
    net.turn = 3
    net.block()
    if name != "uninvited":
        assert net.rejected == []
        net.turn = 3
        net.block()
    assert set(net.rejected) == {3}
    record = net.until(slot, RESIDUAL)
    assert (record.ballot.chosen, record.factor_permille, record.ballot.tallies[0].yes) == (0, 1000, 40)


def test_a_proposer_that_withholds_delays_by_a_block_and_changes_nothing() -> None:
    def withhold(bundle: market_tx.VoteBundle) -> None:
        for entry in bundle.entries:
            entry.Clear()

    net = VotingNet([*honest(), Cheating("v3", changed(withhold))])
    slot = net.in_ballot()
    net.block()
    net.turn = 3
    net.block()
    assert net.rejected == []
    assert [t.yes for t in net.slot(slot).ballot.tallies] == [0] * 4
    net.block()
    record = net.slot(slot)
    assert (record.ballot.chosen, record.factor_permille) == (0, 1000)


def test_a_full_mempool_leaves_room_for_the_bundle() -> None:
    net = VotingNet()
    net.in_ballot()
    net.block()
    request = abci.RequestPrepareProposal(
        txs=[bytes([10]) * 900 for _ in range(20)],
        height=net.height + 1,
        max_tx_bytes=5_000,
        local_last_commit=net.extended,
    )
    made = net.validators[0].propose(request)
    assert votes.is_bundle(made[0])
    assert (len(made), cmt_types.Data(txs=made).ByteSize() <= 5_000) == (6, True)
    for limit, count in ((700, 1), (100, 1), (10, 0)):
        request.max_tx_bytes = limit
        made = net.validators[0].propose(request)
        assert (len(made), cmt_types.Data(txs=made).ByteSize() <= limit) == (count, True)
    assert fitting([], MAX_TX_BYTES) == []


def test_a_bundle_by_broadcast_is_refused_by_code() -> None:
    net = VotingNet()
    net.in_ballot()
    net.block()
    bundle = net.block().txs[0]
    for tx in (bundle, b"\0", PREFIX):
        checked = net.validators[0].ask(check_tx=abci.RequestCheckTx(tx=tx))
        assert (checked.codespace, checked.code) == ("market", BUNDLE_IN_MEMPOOL)
        request = abci.RequestPrepareProposal(txs=[tx], height=1, max_tx_bytes=10**6)
        assert net.validators[0].propose(request) == []


# --- blocks that nobody proposed here -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code", "place"),
    [
        ("flip", BUNDLE_INVALID, 0),
        ("drop", BUNDLE_INVALID, 0),
        ("padded", BUNDLE_INVALID, 0),
        ("twice", BUNDLE_UNEXPECTED, 1),
    ],
)
def test_finalize_block_checks_again(name: str, code: int, place: int) -> None:
    """A block that was synced never passed ProcessProposal: what is wrong in it has a code and no effect."""
    net = VotingNet()
    slot = net.in_ballot()
    net.block()
    commit = commit_of(net.extended)
    node, request = (
        net.validators[0],
        abci.RequestPrepareProposal(height=net.height + 1, max_tx_bytes=MAX_TX_BYTES, local_last_commit=net.extended),
    )
    txs = CHEATS[name](node.propose(request))
    net.height, net.time_s = net.height + 1, net.time_s + 1
    answer = node.ask(finalize_block=net.finalize_request(txs, commit))
    assert (answer.tx_results[place].codespace, answer.tx_results[place].code) == ("market", code)
    node.ask(commit=abci.RequestCommit())
    is_counted = node.app.handle(abci.Request(extend_vote=abci.RequestExtendVote(height=net.height)))
    assert (is_counted.extend_vote.vote_extension == b"") is (name == "twice")  # secured by the first of the two
    assert net.slot(slot).ballot.tallies[0].yes == (40 if name == "twice" else 0)


def test_a_bundle_where_none_is_due_has_a_code_in_a_block() -> None:
    net = VotingNet()
    net.block()
    net.height, net.time_s = 2, net.time_s + 1
    txs = [votes.encode(market_tx.VoteBundle(height=1)), send_tx(0)]
    answer = net.validators[0].ask(finalize_block=net.finalize_request(txs, commit_of(net.extended)))
    assert [(r.codespace, r.code) for r in answer.tx_results] == [("market", BUNDLE_UNEXPECTED), ("", 0)]


def test_an_empty_application_replays_to_the_same_hashes() -> None:
    """Through FinalizeBlock alone, ballots and all, with no judge."""
    net = VotingNet()
    net.validators[3].judge.rule = lambda number: number > 0
    slot = net.in_ballot()
    net.until(slot, market.SLOT_STATE_SEALED)
    fresh = Validator("fresh")
    fresh.ask(init_chain=net.init_request())
    seconds = iter(range(1, 10**6))
    for block in net.blocks:
        request = abci.RequestFinalizeBlock(txs=block.txs, height=block.height, decided_last_commit=block.commit)
        request.time.seconds = net.time_s - net.height + next(seconds)
        assert fresh.ask(finalize_block=request).app_hash == block.app_hash, block.height
        fresh.ask(commit=abci.RequestCommit())


def test_a_restart_in_the_middle_of_a_ballot_goes_on() -> None:
    net = VotingNet()
    slot = net.in_ballot()
    for validator in net.validators:
        validator.app = build(validator.state, Operator(), validator.judge)
    net.block()
    assert votes.is_bundle(net.block().txs[0])
    assert net.until(slot, RESIDUAL).ballot.chosen == 0


# --- the set of validators ----------------------------------------------------------------------------------------


def test_the_set_changes_while_a_ballot_is_open() -> None:
    """One leaves after it voted, one has grown: powers and flags are those of the commit that the block brings."""
    net = VotingNet()
    slot = net.in_ballot()
    net.validators[0].judge.rule = net.validators[1].judge.rule = lambda number: number == 3
    net.block()
    net.block()
    assert [t.yes for t in net.slot(slot).ballot.tallies] == [20, 20, 20, 40]
    del net.extended.votes[0]
    net.extended.votes[1].validator.power = 25
    net.block()
    record = net.slot(slot)
    assert ([t.yes for t in record.ballot.tallies], record.ballot.total) == ([35, 35, 35, 45], 45)
    assert record.ballot.chosen == 0


def test_keys_of_removed_validators_are_known_for_three_heights() -> None:
    state, key = MemoryState(), ed25519.public_key(bytes(32))
    update = abci.ValidatorUpdate(power=1)
    update.pub_key.ed25519 = key
    block = Block(BlockEnv(chain_id="mga-1", height=10, time_ns=0), state.store(APP), state.store(IBC))
    system.write_validators(block.ctx, [update])
    update.power = 0
    system.write_validators(block.ctx, [update])
    assert list(system.validators(block.app)) == []
    for height, is_known in ((11, True), (13, True), (14, False)):
        later = Block(BlockEnv(chain_id="mga-1", height=height, time_ns=0), block.app, block.ibc)
        system.forget_validators(later.ctx)
        assert (key in system.consensus_keys(later.app).values()) is is_known
    system.write_validators(block.ctx, [abci.ValidatorUpdate(pub_key=update.pub_key, power=3)])
    assert list(system.consensus_keys(block.app).values()) == [key]


def test_a_commit_holds_votes_that_say_nothing() -> None:
    net = VotingNet()
    slot = net.in_ballot()
    net.block()
    net.extended.votes[1].block_id_flag = ABSENT
    net.extended.votes[1].vote_extension = net.extended.votes[1].extension_signature = b""
    net.extended.votes[2].block_id_flag = 3  # a vote for nil carries no extension
    decided = net.block()
    assert [bool(entry.extension) for entry in bundle_of(decided.txs).entries] == [True, False, False, True]
    assert net.slot(slot).ballot.tallies[0].yes == 20
    assert decided.commit.votes[0].block_id_flag == COMMIT


def openssl_takes(public: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, b"anything")
    except (InvalidSignature, ValueError):
        return False
    return True


def test_a_late_vote_of_someone_whom_the_commit_calls_absent_is_refused() -> None:
    net = VotingNet()
    slot = net.in_ballot()
    net.block()
    place = votes.Place(chain_id="mga-1", height=net.height + 1, keys={v.address: v.public for v in net.validators})
    whole, commit = votes.collect(place, net.extended), commit_of(net.extended)
    assert [ballot.vote is not None for ballot in votes.check_bundle(whole, place, commit)] == [True] * 4
    commit.votes[2].block_id_flag = ABSENT
    with pytest.raises(BundleInvalid, match="no vote for the block"):
        votes.check_bundle(whole, place, commit)
    assert net.slot(slot).ballot.total == 0


class OddKey(Validator):
    """A key and a signature that only ZIP-215 takes: points of small order, written in another way."""

    def __init__(self, name: str, public: bytes, signature: bytes) -> None:
        super().__init__(name)
        self.public, self.signature = public, signature

    def sign(self, _message: bytes) -> bytes:
        return self.signature


def test_a_signature_that_only_zip_215_takes_counts_on_every_node() -> None:
    path = go_module(MODULE, VERSION) / "primitives" / "ed25519" / "testdata" / "zip215.json.gz"
    with gzip.open(path) as stream:
        vectors = [[bytes.fromhex(text) for text in pair] for pair in json.load(stream)]
    public, signature = next(pair for pair in vectors if not openssl_takes(*pair))
    net = VotingNet([*honest(), OddKey("v3", public, signature)])
    slot = net.in_ballot()
    net.block()
    net.block()
    assert net.rejected == []
    assert net.slot(slot).ballot.tallies[0].yes == 40


def test_the_query_shows_a_ballot_while_it_is_open_and_its_record_afterwards() -> None:
    net = VotingNet()
    for validator in net.validators:
        validator.judge.rule = lambda number: number > 2
    slot = net.in_ballot()
    net.block()
    net.block()
    found = net.query("Ballot", market_query.QueryBallotRequest(slot=slot))
    assert [made.number for made in found.candidates] == [0, 1, 2, 3]
    assert {(v.vote.n, v.vote.yes, v.vote.no) for v in found.votes} == {(4, 0b1000, 0b0111)}
    assert {bytes(v.validator) for v in found.votes} == {v.address for v in net.validators}
    net.until(slot, market.SLOT_STATE_SEALED)
    found = net.query("Ballot", market_query.QueryBallotRequest(slot=slot))
    assert (found.ballot.chosen, len(found.candidates), len(found.votes)) == (3, 0, 0)
