"""Sealed bids: who commits, who reveals, and what silence costs."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.address import from_bech32
from cosmos_wire.errors import ChainError
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query as query
from cosmos_wire.protos import market_tx as tx
from energy.market import keys, state
from energy.market.reveal import commit_hash
from energy.market.sealed import reveals_from_ms
from tests.energy.chain import ASK, BID, RICH, Chain, address
from tests.energy.test_amend import amend, bidding

SALT = b"sixteen bytes..."
SEALED = {"sealed": True, "commit_permille": 500, "unrevealed_permille": 100, "slot_ms": 16_000}


def sealed_order(chain: Chain, slot: int, row: tuple[int, int, int, int]) -> tuple[tx.MsgCommitOrder, tx.MsgPlaceOrder]:
    """`row` is (cell, side, price, energy); the escrow declared is the most that the energy may need."""
    order = chain.place(row[0], slot, *row[1:])
    escrow = str(row[3] * (100_000 + 200 + 40_000))
    digest = commit_hash("mga-1", order, SALT)
    return tx.MsgCommitOrder(cell=order.cell, slot=slot, hash=digest, escrow=escrow), order


def reveal(order: tx.MsgPlaceOrder, seq: int, salt: bytes = SALT) -> tx.MsgRevealOrder:
    return tx.MsgRevealOrder(cell=order.cell, seq=seq, salt=salt, order=order)


def to_reveals(chain: Chain, slot: int) -> None:
    chain.block(max(0, reveals_from_ms(chain.slot(slot)) - chain.now_ms))


def refused(chain: Chain, message: object) -> tuple[str, int]:
    with pytest.raises(ChainError) as caught:
        chain.deliver(message)
    return caught.value.ident


def test_the_hash_is_over_the_documented_bytes() -> None:
    order = tx.MsgPlaceOrder(
        cell=address(3), slot=258, side=BID, price_e4=50_000, quantity_mWh=7, min_fill_mWh=5, valid_to=260
    )
    text = b"bsmg/commit/1\x00\x05mga-1" + from_bech32(address(3)) + (258).to_bytes(8, "big") + b"\x01"
    text += (50_000).to_bytes(4, "big") + (7).to_bytes(8, "big") + b"\x00" + (5).to_bytes(8, "big")
    text += (260).to_bytes(8, "big") + b"\x00\x00" + b"\x10" + SALT
    assert commit_hash("mga-1", order, SALT) == sha256(text).digest()


def test_a_sealed_slot_from_commit_to_settlement() -> None:
    chain, slot = bidding(**SEALED)
    rows = [(1, BID, 60_000, 1_000), (2, ASK, 40_000, 700), (3, BID, 50_000, 500)]
    pairs = [sealed_order(chain, slot, row) for row in rows]
    for seq, (commit, order) in enumerate(pairs, start=1):
        assert chain.deliver(commit).seq == seq
        assert refused(chain, order) == ("market", 40)
    commits = chain.query(query.QueryCommitsRequest(cell=address(1), slot=slot)).orders
    assert [(item.seq, item.commit.hash) for item in commits] == [(1, pairs[0][0].hash)]
    assert refused(chain, reveal(pairs[0][1], 1)) == ("market", 42)
    to_reveals(chain, slot)
    assert refused(chain, pairs[0][0]) == ("market", 41)
    answer = chain.deliver(reveal(pairs[0][1], 1))
    assert int(answer.escrow) == 1_000 * (60_000 + 200 + 40_000)
    assert int(answer.refund) == 1_000 * 40_000
    chain.deliver(reveal(pairs[1][1], 2))
    chain.block(100)
    assert refused(chain, amend(1, slot, 1, 60_000, 1)) == ("market", 40)
    assert refused(chain, tx.MsgCancelOrder(cell=address(1), slot=slot, seq=1)) == ("market", 40)
    record = chain.until(slot, pb.SLOT_STATE_SETTLED)
    assert (record.clearing.volume_mWh, record.commits, record.escrow) == (700, 0, "0")
    (event,) = chain.events_of("commit_unrevealed")
    lost = 500 * 140_200 // 10
    assert (event["seq"], event["lost"], event["refund"]) == ("3", str(lost), str(500 * 140_200 - lost))
    assert chain.balance((3).to_bytes(20, "big")) == RICH - lost
    assert (chain.balance(state.ESCROW), chain.held_in_all()) == (0, chain.supply)


def test_what_is_not_what_was_committed_is_refused() -> None:
    chain, slot = bidding(**SEALED)
    commit, order = sealed_order(chain, slot, (1, BID, 60_000, 1_000))
    poor, cheap = sealed_order(chain, slot, (2, BID, 60_000, 1_000))
    poor.escrow = "5"
    for message in (commit, poor):
        chain.deliver(message)
    to_reveals(chain, slot)
    other = chain.place(1, slot, BID, 60_001, 1_000)
    stolen = tx.MsgRevealOrder(cell=address(2), seq=1, salt=SALT, order=order)
    borrowed = tx.MsgRevealOrder(cell=address(2), seq=2, salt=SALT, order=order)
    assert refused(chain, reveal(other, 1)) == ("market", 43)
    assert refused(chain, reveal(order, 1, SALT + b"!")) == ("market", 43)
    assert refused(chain, reveal(order, 7)) == ("market", 11)
    assert refused(chain, stolen) == ("market", 11)
    assert refused(chain, borrowed) == ("market", 43)
    assert refused(chain, reveal(cheap, 2)) == ("market", 43)  # it declared too little
    order.kind = 2**31 - 1
    assert refused(chain, reveal(order, 1)) == ("sdk", 18)
    order.kind = 0
    chain.deliver(reveal(order, 1))
    assert refused(chain, reveal(order, 1)) == ("market", 11)
    assert chain.held_in_all() == chain.supply


def test_commits_are_checked_and_count_as_orders() -> None:
    chain, slot = bidding(max_orders_per_cell=2, commit_permille=500, slot_ms=16_000)
    commit, order = sealed_order(chain, slot, (1, BID, 60_000, 1_000))
    short = tx.MsgCommitOrder(cell=address(1), slot=slot, hash=b"short", escrow="1")
    nothing = tx.MsgCommitOrder(cell=address(1), slot=slot, hash=bytes(32), escrow="0")
    rich = tx.MsgCommitOrder(cell=address(1), slot=slot, hash=bytes(32), escrow=str(RICH + 1))
    idents = [refused(chain, message) for message in (short, nothing, rich)]
    assert idents == [("sdk", 18), ("market", 6), ("market", 8)]
    chain.deliver(commit)
    chain.deliver(order)  # not sealed: both ways are open
    assert refused(chain, commit) == refused(chain, order) == ("market", 7)
    without = bidding()
    assert refused(without[0], sealed_order(*without, (1, BID, 60_000, 1))[0]) == ("market", 41)


def test_without_a_block_for_reveals_nothing_is_lost() -> None:
    chain, slot = bidding(**SEALED)
    chain.deliver(sealed_order(chain, slot, (1, BID, 60_000, 1_000))[0])
    chain.block(0)
    chain.block(0)
    chain.block(40_000)  # over all gates at once
    assert chain.until(slot, pb.SLOT_STATE_SETTLED, 1_000).escrow == "0"
    assert chain.balance((1).to_bytes(20, "big")) == RICH
    assert not [key for key in chain.store.data if key.startswith(keys.COMMITS)]


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(1, 3),
            st.sampled_from([BID, ASK]),
            st.integers(20_000, 80_000),
            st.integers(1, 99),
            st.booleans(),
        ),
        max_size=8,
    ),
    settle_units=st.integers(1, 3),
)
def test_every_commit_ends_as_an_order_or_as_refund_and_deterrent(
    rows: list[tuple[int, int, int, int, bool]], settle_units: int
) -> None:
    chain, slot = bidding(**SEALED, settle_units=settle_units)
    made = [(sealed_order(chain, slot, row[:4]), row[4]) for row in rows]
    seqs = [chain.deliver(commit).seq for (commit, _), _ in made]
    to_reveals(chain, slot)
    chain.block(500)
    for seq, ((_, order), opens) in zip(seqs, made, strict=True):
        if opens:
            chain.deliver(reveal(order, seq))
    record = chain.until(slot, pb.SLOT_STATE_SETTLED, 1_000)
    assert (record.escrow or "0", record.orders) == ("0", sum(opens for _, opens in made))
    silent = [int(commit.escrow) for (commit, _), opens in made if not opens]
    assert sum(int(item["lost"]) for item in chain.events_of("commit_unrevealed")) == sum(e // 10 for e in silent)
    assert (chain.balance(state.ESCROW), chain.held_in_all()) == (0, chain.supply)
