"""Four validators in one process: what CometBFT does to the handlers from block to block, rounds and extensions too."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from google.protobuf.json_format import MessageToDict

from abci_app.app_process import build
from cosmos_wire import ed25519
from cosmos_wire.address import to_bech32
from cosmos_wire.canonical import extension_sign_bytes, validator_address
from cosmos_wire.protos import Message, abci, cmt_validator, market, market_query, market_tx
from energy.market.state import COLLATERAL_NAME
from ibc_core.bank import module_address
from microgrid import system
from microgrid.block import Block
from microgrid.memory_state import MemoryState
from microgrid.modules import compose
from microgrid.operator import Operator
from microgrid.state_api import APP, IBC
from tests.app.chain import ALICE, BOB, CHAIN, DENOM, MAX_TX_BYTES, START_S, UTILITY, Draft, Key, genesis
from tests.energy.test_ballot import ring

COMMIT, ABSENT = cmt_validator.BLOCK_ID_FLAG_COMMIT, cmt_validator.BLOCK_ID_FLAG_ABSENT
POWER = 10
GAS = 300_000
ENERGY = 4_000
PLEDGE = 10**13
ROUNDS_MAX = 8

Rule = Callable[[int], bool | None]  # number of a candidate -> verdict


@dataclass(slots=True)
class RuledJudge:
    """Says what a rule says of each candidate's number."""

    rule: Rule = lambda _number: True
    known: dict[bytes, int] = field(default_factory=dict)

    def consider(self, requests: Sequence[Any], *, soon: bool) -> None:  # noqa: ARG002  (of the protocol)
        self.known = {request.candidate.hash: request.candidate.number for request in requests}

    def verdict(self, _digest: bytes, candidate: bytes) -> bool | None:
        return self.rule(self.known[candidate]) if candidate in self.known else None


def voting_genesis() -> bytes:
    """Two cells on a ring of four buses whose schedules are voted on."""
    doc = json.loads(genesis())
    cells = [
        {
            "id": f"{name}@mga",
            "address": key.text,
            "bus": bus,
            "max_import_W": 10_000,
            "max_export_W": 10_000,
            "collateral": str(PLEDGE),
        }
        for bus, (name, key) in enumerate((("alice", ALICE), ("bob", BOB)), 1)
    ]
    doc["registry"] |= {"cells": cells, "feeder": MessageToDict(ring(), preserving_proto_field_name=True)}
    pledged = {"denom": DENOM, "amount": str(PLEDGE * len(cells))}
    doc["bank"]["balances"].append({"address": to_bech32(module_address(COLLATERAL_NAME)), "coins": [pledged]})
    rich = {"denom": DENOM, "amount": str(10**13)}
    doc["bank"]["balances"].append({"address": to_bech32(module_address("market/balancing")), "coins": [rich]})
    return json.dumps(doc).encode()


class Validator:
    """One validator's application; tests override what it proposes or says."""

    def __init__(self, name: str, *, power: int = POWER, seed: bytes = b"") -> None:
        self.seed = seed or sha256(name.encode()).digest()
        self.public, self.power = ed25519.public_key(self.seed), power
        self.state, self.judge, self.is_alive = MemoryState(), RuledJudge(), True
        self.app = build(self.state, Operator(), self.judge)

    @property
    def address(self) -> bytes:
        return validator_address(self.public)

    def ask(self, **request: Message) -> Any:
        (kind,) = request
        return getattr(self.app.handle(abci.Request(**request)), kind)

    def propose(self, request: abci.RequestPrepareProposal) -> list[bytes]:
        return list(self.ask(prepare_proposal=request).txs)

    def extend(self, height: int) -> bytes:
        return bytes(self.ask(extend_vote=abci.RequestExtendVote(height=height)).vote_extension)

    def sign(self, message: bytes) -> bytes:
        return ed25519.sign(self.seed, message)


@dataclass(slots=True)
class Decided:
    """A block as everybody executed it."""

    height: int
    txs: list[bytes]
    commit: abci.CommitInfo
    results: Sequence[abci.ExecTxResult]
    app_hash: bytes
    events: Sequence[abci.Event] = ()
    time_s: int = 0
    extended: abci.ExtendedCommitInfo = field(default_factory=abci.ExtendedCommitInfo)  # who voted for it


class VotingNet:
    """Rotates proposers, goes to the next round when more than a third of the power rejects."""

    def __init__(self, validators: Sequence[Validator] = ()) -> None:
        self.validators = list(validators) or [Validator(f"v{n}") for n in range(4)]
        self.height, self.time_s, self.turn = 0, START_S, 0
        self.extended = abci.ExtendedCommitInfo()
        self.blocks: list[Decided] = []
        self.rejected: list[int] = []  # validators by number, once a proposal of theirs that was not taken
        self.sequences = {ALICE.text: 0, BOB.text: 0, UTILITY.text: 0}
        for validator in self.validators:
            validator.ask(init_chain=self.init_request())

    def init_request(self) -> abci.RequestInitChain:
        request = abci.RequestInitChain(chain_id=CHAIN, app_state_bytes=voting_genesis(), initial_height=1)
        request.time.seconds = START_S
        request.consensus_params.abci.vote_extensions_enable_height = 1
        for validator in self.validators:
            update = request.validators.add(power=validator.power)
            update.pub_key.ed25519 = validator.public
        return request

    # --- a block -------------------------------------------------------------------------------------------------

    def block(self, *txs: bytes, step_s: int = 1) -> Decided:
        self.height += 1
        self.time_s += step_s
        commit = commit_of(self.extended)
        chosen = self._decide(list(txs), commit)
        answers = [v.ask(finalize_block=self.finalize_request(chosen, commit)) for v in self.validators if v.is_alive]
        assert len({bytes(answer.app_hash) for answer in answers}) == 1
        for validator in self.validators:
            if validator.is_alive:
                validator.extension = validator.extend(self.height)
        for validator in self.validators:
            if validator.is_alive:
                validator.ask(commit=abci.RequestCommit())
        self.extended = self._extended()
        made = Decided(
            height=self.height,
            txs=chosen,
            commit=commit,
            results=answers[0].tx_results,
            app_hash=bytes(answers[0].app_hash),
            events=list(answers[0].events),
            time_s=self.time_s,
            extended=self.extended,
        )
        self.blocks.append(made)
        return made

    def finalize_request(self, txs: list[bytes], commit: abci.CommitInfo) -> abci.RequestFinalizeBlock:
        request = abci.RequestFinalizeBlock(txs=txs, height=self.height, decided_last_commit=commit)
        request.time.seconds = self.time_s
        return request

    def _decide(self, txs: list[bytes], commit: abci.CommitInfo) -> list[bytes]:
        for self.round in range(ROUNDS_MAX):
            number = self.turn % len(self.validators)
            self.turn += 1
            if not self.validators[number].is_alive:
                continue
            request = abci.RequestPrepareProposal(
                txs=txs, height=self.height, max_tx_bytes=MAX_TX_BYTES, local_last_commit=self.extended
            )
            proposal = self.validators[number].propose(request)
            if self._is_accepted(proposal, commit):
                return proposal
            self.rejected.append(number)
        raise AssertionError(f"no block at height {self.height}")

    def _is_accepted(self, txs: list[bytes], commit: abci.CommitInfo) -> bool:
        request = abci.RequestProcessProposal(txs=txs, height=self.height, proposed_last_commit=commit)
        taken = sum(
            v.power
            for v in self.validators
            if v.is_alive and v.ask(process_proposal=request).status == abci.ResponseProcessProposal.ACCEPT
        )
        return 3 * taken > 2 * sum(v.power for v in self.validators)

    def _extended(self) -> abci.ExtendedCommitInfo:
        made = abci.ExtendedCommitInfo(round=self.round)
        for validator in self.validators:
            vote = made.votes.add(block_id_flag=COMMIT if validator.is_alive else ABSENT)
            vote.validator.address, vote.validator.power = validator.address, validator.power
            if validator.is_alive:
                vote.vote_extension = validator.extension
                signed = extension_sign_bytes(CHAIN, self.height, self.round, validator.extension)
                vote.extension_signature = validator.sign(signed)
        return made

    # --- the market ------------------------------------------------------------------------------------------------

    def tx(self, key: Key, message: Message) -> bytes:
        sequence = self.sequences[key.text]
        self.sequences[key.text] += 1
        return Draft(key=key, sequence=sequence, messages=(message,), gas=GAS).bytes()

    def orders(self, slot: int) -> list[bytes]:
        """A bid and an ask that cross."""
        rows = ((ALICE, market.SIDE_BID, 60_000), (BOB, market.SIDE_ASK, 40_000))
        return [
            self.tx(
                key,
                market_tx.MsgPlaceOrder(cell=key.text, slot=slot, side=side, price_e4=price, quantity_mWh=ENERGY),
            )
            for key, side, price in rows
        ]

    def query(self, method: str, request: Message) -> Any:
        state = next(v.state for v in self.validators if v.is_alive)
        ctx = Block(system.block_env(state.store(APP)), state.store(APP), state.store(IBC)).ctx
        return compose().queries[f"/bsmg.market.v1.Query/{method}"].handle(ctx, request)

    def slot(self, slot: int) -> market.Slot:
        return self.query("Slot", market_query.QuerySlotRequest(slot=slot)).slot

    def until(self, slot: int, wanted: int) -> market.Slot:
        """Empty blocks until a slot is that far."""
        for _ in range(200):
            live = self.query("Slots", market_query.QuerySlotsRequest(live=True)).slots
            if any(record.slot == slot and record.state >= wanted for record in live):
                return self.slot(slot)
            self.block()
        raise AssertionError(f"slot {slot} never got to {wanted}")

    def in_ballot(self, first: int = START_S // 4 + 12) -> int:
        """A slot whose ballot has just opened."""
        self.until(first, market.SLOT_STATE_BIDDING)
        results = self.block(*self.orders(first)).results[-2:]
        assert [result.code for result in results] == [0, 0], results
        assert self.until(first, market.SLOT_STATE_BALLOT).state == market.SLOT_STATE_BALLOT
        return first


def commit_of(extended: abci.ExtendedCommitInfo) -> abci.CommitInfo:
    """What the block says of the commit that its proposer has heard whole."""
    made = abci.CommitInfo(round=extended.round)
    for vote in extended.votes:
        made.votes.add(validator=vote.validator, block_id_flag=vote.block_id_flag)
    return made
