"""Blocks: one result each, crashes at every step, equal states on every machine, gas, proposals."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app.application import APP_VERSION
from abci_app.ballots import fitting
from abci_app.wire import varint_bytes
from cosmos_wire.protos import abci, cmt_types
from ibc_core.bank import balance, supply
from ibc_core.host import BlockEnv, Context, EventLog, FreeGas
from microgrid.errors import BrokenInvariantError, GenesisError
from microgrid.memory_state import MemoryState
from microgrid.state_api import State
from microgrid.store import StateDb, StoreOptions
from tests.app.chain import ALICE, BOB, CHAIN, DENOM, RICH, STRANGER, Node, send_message, send_tx


@contextmanager
def opened(path: Path) -> Iterator[StateDb]:
    db = StateDb.open(path, StoreOptions(map_size=64 << 20, sync=False))
    try:
        yield db
    finally:
        db.close()


def _ctx(state: State) -> Context:
    env = BlockEnv(chain_id=CHAIN, height=state.height, time_ns=0)
    return Context(env=env, app=state.store("app"), ibc=state.store("ibc"), events=EventLog(), gas=FreeGas())


def _blocks() -> list[list[bytes]]:
    return [
        [send_tx(0)],
        [],
        [send_tx(1), send_tx(1), b"\xff"],
        [send_tx(2, messages=(send_message(ALICE, STRANGER.text),))],
    ]


# --- one result each -------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.binary(max_size=300), st.tuples(st.integers(0, 5_000), st.integers(0, 255))), max_size=6))
def test_mutated_transactions_get_one_result_each_and_coins_are_conserved(
    edits: list[bytes | tuple[int, int]],
) -> None:
    node = Node(MemoryState())
    good = send_tx(0)
    txs = []
    for edit in edits:
        if isinstance(edit, bytes):
            txs.append(edit)
        else:
            at, value = edit[0] % len(good), edit[1]
            txs.append(good[:at] + bytes([value]) + good[at + 1 :])
    for data in txs:
        node.check(data)
    results = node.block(*txs)
    assert len(results) == len(txs)
    assert all(found.code == 0 or found.log for found in results)
    ctx = _ctx(node.state)
    held = sum(balance(ctx, address, DENOM) for address in _holders(ctx))
    assert held == supply(ctx, DENOM) == 3 * RICH


def _holders(ctx: Context) -> list[bytes]:
    prefix = b"bk/b/"
    return sorted({key[6 : 6 + key[5]] for key, _ in ctx.app.iterate(prefix)})


def test_a_handler_fault_is_a_result_and_the_chain_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a bug")

    node = Node(MemoryState())
    monkeypatch.setattr("ibc_core.bank.require_recipient", broken)
    failed, refused = node.block(send_tx(0), b"")
    assert (failed.codespace, failed.code) == ("undefined", 111222)
    assert refused.code == 18
    monkeypatch.undo()
    assert not node.block(send_tx(1))[0].code


# --- crashes ---------------------------------------------------------------------------------------------------------

STEPS = ("before", "after_check", "after_finalize", "after_commit")


@pytest.mark.parametrize("height", [1, 2, 4])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_and_replayed_to_the_same_hashes(tmp_path: Path, height: int, step: str) -> None:
    with opened(tmp_path / "calm") as state:
        calm, hashes = Node(state), []
        for txs in _blocks():
            calm.block(*txs)
            hashes.append(state.app_hash)
    with opened(tmp_path / "killed") as state:
        node = Node(state)
        for txs in _blocks()[: height - 1]:
            node.block(*txs)
        _steps_until(node, _blocks()[height - 1], step)
    with opened(tmp_path / "killed") as state:
        node = Node(state)
        durable = node.app.info(abci.RequestInfo())
        assert durable.last_block_height == (height if step == "after_commit" else height - 1)
        assert durable.last_block_app_hash == ([b"", *hashes][durable.last_block_height])
        assert durable.app_version == APP_VERSION
        for at in range(durable.last_block_height, len(_blocks())):
            node.block(*_blocks()[at])
            assert state.app_hash == hashes[at]


def _steps_until(node: Node, txs: list[bytes], step: str) -> None:
    actions: list[Callable[[], object]] = [
        lambda: None,
        lambda: [node.check(tx) for tx in txs],
        lambda: node.finalize(*txs),
        node.commit,
    ]
    for name, action in zip(STEPS, actions, strict=True):
        action()
        if name == step:
            return


def test_finalize_block_may_come_twice() -> None:
    node = Node(MemoryState())
    first, second = node.finalize(send_tx(0)), node.finalize(send_tx(0))
    assert first == second
    node.commit()
    assert not node.block(send_tx(1))[0].code


def test_init_chain_writes_nothing_durable(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        node = Node(state)
        assert not node.check(send_tx(0)).code  # and yet CheckTx sees genesis
        assert (state.height, state.app_hash) == (0, b"")


@pytest.mark.parametrize("doc", [b"", b"[]", b'{"state_version": 2}', b'{"state_version": 1, "bank": []}'])
def test_another_genesis_is_refused_in_one_line(doc: bytes) -> None:
    node = Node(MemoryState())
    with pytest.raises(GenesisError) as caught:
        node.app.init_chain(abci.RequestInitChain(app_state_bytes=doc))
    assert "expected" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_commit_without_block_and_an_old_block_stop_the_node() -> None:
    node = Node(MemoryState())
    with pytest.raises(BrokenInvariantError, match="Commit without"):
        node.commit()
    node.block()
    with pytest.raises(BrokenInvariantError, match="block 1 after durable block 1"):
        node.finalize(height=1)


# --- determinism -----------------------------------------------------------------------------------------------------

PROGRAM = """
from microgrid.memory_state import MemoryState
from tests.app.chain import Node
from tests.app.test_blocks import _blocks
node = Node(MemoryState())
for txs in _blocks():
    node.block(*txs)
print(node.state.app_hash.hex())
"""


def test_equal_hashes_whatever_the_hash_seed_and_the_cache() -> None:
    node = Node(MemoryState())
    for txs in _blocks():
        for tx in txs:
            node.check(tx)  # this node has seen the signatures before
        node.block(*txs)
    expected = node.state.app_hash.hex()
    root = Path(__file__).parents[2]
    for seed in ("1", "4242"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{root}{os.pathsep}{root / 'proto'}"}
        run = subprocess.run([sys.executable, "-c", PROGRAM], env=env, cwd=root, capture_output=True, check=True)
        assert run.stdout.decode().strip() == expected


# --- proposals -------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 400), max_size=20), st.integers(0, 3_000))
def test_a_proposal_never_exceeds_max_tx_bytes_and_wastes_no_room(sizes: list[int], limit: int) -> None:
    txs = [bytes(size) for size in sizes]
    taken = fitting(txs, limit)
    assert taken == txs[: len(taken)]
    assert cmt_types.Data(txs=taken).ByteSize() <= limit
    if len(taken) < len(txs):
        assert cmt_types.Data(txs=txs[: len(taken) + 1]).ByteSize() > limit
    assert varint_bytes(127) == 1


def test_bundles_have_no_place_while_no_ballot_is_open() -> None:
    node = Node(MemoryState())
    bundle = b"\x00bsmg/votes/1"
    made = node.ask(prepare_proposal=abci.RequestPrepareProposal(txs=[bundle, b"a"], max_tx_bytes=10_000))
    assert list(made.txs) == [b"a"]
    judged = node.ask(process_proposal=abci.RequestProcessProposal(txs=[b"a", bundle]))
    assert judged.status == abci.ResponseProcessProposal.REJECT
    rubbish = node.ask(process_proposal=abci.RequestProcessProposal(txs=[b"\xff", b""]))
    assert rubbish.status == abci.ResponseProcessProposal.ACCEPT


def test_votes_and_snapshots() -> None:
    node = Node(MemoryState())
    assert node.ask(extend_vote=abci.RequestExtendVote(height=1)).vote_extension == b""
    big = abci.RequestVerifyVoteExtension(vote_extension=bytes(1 << 20))
    assert node.ask(verify_vote_extension=big).status == abci.ResponseVerifyVoteExtension.ACCEPT
    assert not node.ask(list_snapshots=abci.RequestListSnapshots()).snapshots
    offered = node.ask(offer_snapshot=abci.RequestOfferSnapshot())
    assert offered.result == abci.ResponseOfferSnapshot.ABORT


def test_many_random_blocks_on_the_real_store_equal_the_model(tmp_path: Path) -> None:
    rng = random.Random(7)
    with opened(tmp_path) as state:
        real, model = Node(state), Node(MemoryState())
        sequence = 0
        for _ in range(12):
            txs = []
            for _ in range(rng.randrange(4)):
                txs.append(send_tx(sequence, messages=(send_message(ALICE, BOB.text, rng.randrange(1, 9)),)))
                sequence += 1
            assert [r.code for r in real.block(*txs)] == [r.code for r in model.block(*txs)] == [0] * len(txs)
        for name in ("app", "ibc"):
            assert list(state.store(name).iterate(b"")) == list(model.state.store(name).iterate(b""))
