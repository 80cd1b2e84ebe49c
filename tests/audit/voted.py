"""A chain of four validators in one process that vote on schedules, recorded as a node's public RPC would tell it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from bsmg.audit.fetch_state import read_state
from bsmg.audit.headers import results_hash
from bsmg.audit.record import BlockRecord, ChainRecord, TxRecord
from cosmos_wire import canonical
from cosmos_wire.canonical import precommit_sign_bytes
from cosmos_wire.merkle import merkle_root
from cosmos_wire.protos import Message, abci, cmt_types, cmt_validator
from ibc_core.host import Event
from microgrid import system
from microgrid.block import Block
from microgrid.modules import compose
from microgrid.state_api import APP, IBC
from tests.app.chain import CHAIN
from tests.app.voting import COMMIT, Decided, VotingNet, voting_genesis


def members_of(net: VotingNet) -> cmt_validator.ValidatorSet:
    """The validator set, in the order of the commits."""
    made = cmt_validator.ValidatorSet()
    for validator in net.validators:
        row = made.validators.add(address=validator.address, voting_power=validator.power)
        row.pub_key.ed25519 = validator.public
    return made


def record_of(net: VotingNet) -> ChainRecord:
    """All of it, as of the last block."""
    members = members_of(net)
    named = canonical.validator_set_hash(members.validators)
    blocks: list[BlockRecord] = []
    for decided in net.blocks:
        header = cmt_types.Header(
            chain_id=CHAIN,
            height=decided.height,
            data_hash=merkle_root([sha256(raw).digest() for raw in decided.txs]),
            validators_hash=named,
            next_validators_hash=named,
        )
        header.time.seconds = decided.time_s
        txs = tuple(_tx(raw, result) for raw, result in zip(decided.txs, decided.results, strict=True))
        blocks.append(BlockRecord(header=header, txs=txs, hook_events=_events(decided.events)))
    record = ChainRecord(
        chain_id=CHAIN,
        genesis={
            "app_state": json.loads(voting_genesis()),
            "consensus_params": {"abci": {"vote_extensions_enable_height": "1"}},
        },
        blocks=tuple(blocks),
        final=asyncio.run(read_state(Direct(net), net.height)),
        validators={named: members},
    )
    return sealed(net, record)


def sealed(net: VotingNet, record: ChainRecord) -> ChainRecord:
    """The record's blocks under headers and commits that fit: what all its validators could sign."""
    done: list[BlockRecord] = []
    commit: cmt_types.Commit | None = None
    for block, decided in zip(record.blocks, net.blocks, strict=True):
        header = cmt_types.Header()
        header.CopyFrom(block.header)
        header.data_hash = merkle_root([sha256(item.raw).digest() for item in block.txs])
        if commit is not None:
            header.last_block_id.CopyFrom(commit.block_id)
            header.last_results_hash = results_hash(done[-1])
            header.last_commit_hash = canonical.commit_hash(commit)
        done.append(replace(block, header=header, last_commit=commit))
        commit = _commit(net, header, decided.extended)
    return replace(record, blocks=tuple(done), last_commit=commit)


def _commit(net: VotingNet, header: cmt_types.Header, extended: abci.ExtendedCommitInfo) -> cmt_types.Commit:
    made = cmt_types.Commit(height=header.height, round=extended.round)
    made.block_id.hash = canonical.header_hash(header)
    made.block_id.part_set_header.total = 1
    for at, (vote, validator) in enumerate(zip(extended.votes, net.validators, strict=True)):
        row = made.signatures.add(block_id_flag=vote.block_id_flag)
        row.timestamp.CopyFrom(header.time)
        if vote.block_id_flag == COMMIT:
            row.validator_address = validator.address
            row.signature = validator.sign(precommit_sign_bytes(CHAIN, made, at))
    return made


def _tx(raw: bytes, result: abci.ExecTxResult) -> TxRecord:
    return TxRecord(
        raw=raw,
        code=result.code,
        codespace=result.codespace,
        data=result.data,
        gas_wanted=result.gas_wanted,
        gas_used=result.gas_used,
        events=_events(result.events),
    )


def _events(events: Sequence[abci.Event]) -> tuple[Event, ...]:
    return tuple(Event(item.type, tuple((a.key, a.value) for a in item.attributes)) for item in events)


class Direct:
    """The query services of a validator's application."""

    def __init__(self, net: VotingNet) -> None:
        self.state = net.validators[0].state

    async def query(self, path: str, request: Message, _response: object, _height: int | None = None) -> Any:
        app, ibc = self.state.store(APP), self.state.store(IBC)
        return compose().queries[path].handle(Block(system.block_env(app), app, ibc).ctx, request)

    async def close(self) -> None:
        """Nothing is open."""


def with_bundle(record: ChainRecord, at: int, change: Callable[[bytes], bytes]) -> ChainRecord:
    """Another first transaction in a block."""
    block = record.blocks[at]
    first = replace(block.txs[0], raw=change(block.txs[0].raw))
    made = replace(block, txs=(first, *block.txs[1:]))
    return replace(record, blocks=(*record.blocks[:at], made, *record.blocks[at + 1 :]))


__all__ = ["Decided", "record_of", "sealed", "with_bundle"]
