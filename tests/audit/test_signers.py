"""Blocks of the real application: its fees, refusals, gas and signatures as the audit sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from json import loads

import pytest

from bsmg.audit.findings import Difference
from bsmg.audit.headers import results_hash
from bsmg.audit.record import BlockRecord, ChainRecord, FinalState, TxRecord
from bsmg.audit.run import audit
from bsmg.audit.signers import signers_of
from cosmos_wire import canonical
from cosmos_wire.address import to_bech32
from cosmos_wire.protos import abci, auth, bank_tx, channel_tx, cmt_types, tx
from cosmos_wire.public_keys import address
from cosmos_wire.tx import pack, public_key_any
from ibc_core import bank
from ibc_core.host import BlockEnv, Context, Event, EventLog, FreeGas
from microgrid.accounts import ACCOUNT
from microgrid.memory_state import MemoryState
from tests.app import test_feegrant as grants
from tests.app import test_signers as signers
from tests.app.chain import ALICE, BOB, CHAIN, START_S, STRANGER, UTILITY, Key, Node, genesis, send_message, send_tx
from tests.audit.recorder import VALIDATORS, commit_of, resealed
from tests.audit.tampering import with_tx
from tests.wire import keys
from tests.wire.keys import AMINO, DIRECT, TWO_OF_THREE

NEWCOMER = Key(secret=STRANGER.secret, number=7)  # after genesis and three accounts of other kinds


class Recorded:
    """The application in a process of its own, with a record of its blocks."""

    def __init__(self) -> None:
        self.state = MemoryState()
        self.node = Node(self.state)
        self.blocks: list[BlockRecord] = []

    def block(self, *txs: bytes) -> Sequence[abci.ExecTxResult]:
        answer = self.node.finalize(*txs)
        self.node.commit()
        header = cmt_types.Header(chain_id=CHAIN, height=len(self.blocks) + 1)
        header.time.seconds = START_S + header.height
        header.data_hash = canonical.merkle_root([sha256(raw).digest() for raw in txs])
        header.validators_hash = header.next_validators_hash = VALIDATORS.hash
        header.last_block_id.part_set_header.SetInParent()
        commit = None
        if self.blocks:
            commit = commit_of(self.blocks[-1])
            header.last_block_id.CopyFrom(commit.block_id)
            header.last_results_hash = results_hash(self.blocks[-1])
        results = tuple(_record(raw, result) for raw, result in zip(txs, answer.tx_results, strict=True))
        hooks = tuple(_event(item) for item in answer.events)
        self.blocks.append(BlockRecord(header=header, txs=results, hook_events=hooks, last_commit=commit))
        return answer.tx_results

    def record(self) -> ChainRecord:
        app = self.state.store("app")
        env = BlockEnv(chain_id=CHAIN, height=len(self.blocks), time_ns=0)
        ctx = Context(env=env, app=app, ibc=self.state.store("ibc"), events=EventLog(), gas=FreeGas())
        found = [auth.BaseAccount.FromString(raw) for _, raw in app.iterate(ACCOUNT)]
        supply = dict(bank.supplies(ctx))
        final = FinalState(
            height=len(self.blocks),
            balances={(to_bech32(who), d): n for d in supply for who, n in bank.holders(ctx, d)},
            supply=supply,
            accounts={item.address: item.account_number for item in found},
        )
        return ChainRecord(
            chain_id=CHAIN,
            genesis={"app_state": loads(genesis())},
            blocks=tuple(self.blocks),
            final=final,
            validators={VALIDATORS.hash: VALIDATORS.message},
            last_commit=commit_of(self.blocks[-1]),
        )


def _record(raw: bytes, result: abci.ExecTxResult) -> TxRecord:
    return TxRecord(
        raw=raw,
        code=result.code,
        codespace=result.codespace,
        data=result.data,
        gas_wanted=result.gas_wanted,
        gas_used=result.gas_used,
        events=tuple(_event(item) for item in result.events),
    )


def _event(item: abci.Event) -> Event:
    return Event(item.type, tuple((pair.key, pair.value) for pair in item.attributes))


@pytest.fixture(scope="module")
def record() -> ChainRecord:
    chain = Recorded()
    chain.block(send_tx(0), send_tx(1, messages=(send_message(ALICE, STRANGER.text, 100_000),)))
    too_much = send_tx(2, messages=(send_message(ALICE, BOB.text, 10**16),))
    bad_sequence = send_tx(7)
    results = chain.block(too_much, bad_sequence, b"\x07 no transaction", send_tx(3, gas=1))
    assert [bool(result.code) for result in results] == [True] * 4
    chain.block(send_tx(3), send_tx(0, key=BOB, messages=(send_message(BOB, ALICE.text),)))
    assert not any(result.code for result in chain.block(send_tx(4)))
    for _ in range(60):  # slots of 4 s open, are cleared and settled, all empty
        chain.block()
    return chain.record()


def differences(record: ChainRecord) -> list[Difference]:
    return audit([record])[0].differences


def test_the_application_s_blocks_agree(record: ChainRecord) -> None:
    (findings,) = audit([record])
    assert [str(item) for item in findings.differences] == []
    assert findings.checked["accounts"] == 6
    assert findings.checked["settlements"] >= 5


def changed(record: ChainRecord, what: str) -> ChainRecord:
    """The last signed transaction with something of its signature changed, under headers that fit."""
    raw = tx.TxRaw.FromString(record.blocks[3].txs[0].raw)
    info = tx.AuthInfo.FromString(raw.auth_info_bytes)
    if what == "signature":
        raw.signatures[0] = bytes(63) + b"\x01"
    elif what == "sequence":
        info.signer_infos[0].sequence = 3
    elif what == "key":
        info.signer_infos[0].public_key.CopyFrom(public_key_any(BOB.public))
    else:
        info.signer_infos.add()
    raw.auth_info_bytes = info.SerializeToString()
    lying = with_tx(record, 3, lambda item: replace(item, raw=raw.SerializeToString()))
    return resealed(lying, lying.blocks)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("signature", "signature of"),
        ("sequence", "sequence of"),
        ("key", f"the key of {BOB.text}"),
        ("signatures", "signatures: expected (1, 1), got (2, 1)"),
    ],
)
def test_what_the_account_did_not_sign(record: ChainRecord, what: str, words: str) -> None:
    found = differences(changed(record, what))
    assert any(words in str(item) for item in found)
    assert {item.subject for item in found} == {"accounts"}


def test_a_transaction_that_comes_twice(record: ChainRecord) -> None:
    block = record.blocks[3]
    twice = replace(block, txs=(*block.txs, block.txs[0]))
    blocks = (*record.blocks[:3], twice, *record.blocks[4:])
    found = differences(resealed(replace(record, blocks=blocks), blocks))
    assert any(item.subject == "accounts" and "sequence" in item.place for item in found)
    assert any(item.subject == "balances" for item in found)


def test_signers_of_messages() -> None:
    several = bank_tx.MsgMultiSend()
    several.inputs.add(address=BOB.text)
    packet = channel_tx.MsgTimeout(signer=UTILITY.text)
    messages = [pack(item) for item in (send_message(ALICE, BOB.text), several, packet, send_message(ALICE, BOB.text))]
    assert list(signers_of(messages, STRANGER.text)) == [ALICE.text, BOB.text, UTILITY.text, STRANGER.text]


def test_signatures_of_every_kind_and_fees_that_others_pay() -> None:
    chain = Recorded()
    drafts = (
        signers.Draft(key=TWO_OF_THREE, plan=(AMINO, None, DIRECT)),
        signers.Draft(key=keys.r1_key(3), plan=AMINO),
        signers.Draft(key=keys.K1[8], plan=AMINO),
    )
    chain.block(
        *(
            send_tx(i, messages=(send_message(ALICE, to_bech32(address(each.key)), 10**6),))
            for i, each in enumerate(drafts)
        )
    )
    chain.block(*(each.signed(chain.node) for each in drafts))
    chain.block(grants.by_alice(grants.grant(grants.basic(25), NEWCOMER), sequence=len(drafts)))
    (paid,) = chain.block(grants.paid_by_alice(0, key=NEWCOMER))
    assert "fee-grant not found" in paid.log  # the message's; the fee was taken
    findings = audit([chain.record()])[0]
    assert [str(item) for item in findings.differences] == []
    assert findings.checked["accounts"] == len(drafts) * 2 + 2

    raw = tx.TxRaw.FromString(chain.blocks[1].txs[0].raw)
    raw.signatures[0] = raw.signatures[0][:-1] + bytes([raw.signatures[0][-1] ^ 1])
    lying = with_tx(chain.record(), 1, lambda item: replace(item, raw=raw.SerializeToString()))
    assert any("signature of" in str(item) for item in differences(resealed(lying, lying.blocks)))
