"""What the utility cell's state estimation may say of meters: it fills silence in, and can only dispute a reading."""

from __future__ import annotations

import pytest

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query, meter_query, meter_tx
from tests.energy.chain import ASK, BID, UTILITY, Chain


def metering(chain: Chain) -> int:
    """A slot in METERING in which cell 1 bought 1,000,000 mWh of cell 2."""
    chain.block()
    slot = chain.live()[-1]
    chain.until(slot, pb.SLOT_STATE_BIDDING)
    chain.deliver(chain.place(1, slot, BID, 60_000, 1_000_000))
    chain.deliver(chain.place(2, slot, ASK, 40_000, 1_000_000))
    chain.until(slot, pb.SLOT_STATE_METERING)
    return slot


def says(slot: int, *rows: tuple[int, int, bool]) -> meter_tx.MsgPostEstimate:
    made = [meter_tx.Estimate(device=f"meter{cell}@mga", net_mWh=net, flagged=flagged) for cell, net, flagged in rows]
    return meter_tx.MsgPostEstimate(utility=UTILITY, slot=slot, estimates=made, residual_root=b"\x07" * 32)


def settled(dispute: bool) -> tuple[Chain, int, list[pb.Statement]]:
    chain = Chain()
    slot = metering(chain)
    chain.deliver(chain.submit(chain.reading(1, slot, 900_000, 0), chain.reading(2, slot, 0, 1_000_000)))
    if dispute:
        chain.deliver(says(slot, (1, 2_000_000, True)))
    chain.until(slot, pb.SLOT_STATE_SETTLED, 200)
    ask = market_query.QueryStatementRequest
    found = [chain.query(ask(slot=slot, cell=f"cell{cell}@mga")).statement for cell in (1, 2)]
    return chain, slot, found


def test_a_flag_marks_a_reading_as_disputed_and_moves_no_money_and_no_score() -> None:
    _, _, plain = settled(dispute=False)
    chain, slot, found = settled(dispute=True)
    assert [statement.disputed for statement in found] == [True, False]
    found[0].disputed = False
    assert found == plain
    (said,) = chain.events_of("reading_disputed")
    assert (said["device"], said["reading_mWh"], said["estimate_mWh"]) == ("meter1@mga", "900000", "2000000")
    answer = chain.query(meter_query.QueryEstimatesRequest(slot=slot))
    assert ([item.device for item in answer.flagged], list(answer.estimates)) == (["meter1@mga"], [])
    assert answer.residual_root == b"\x07" * 32
    chain.until(slot, pb.SLOT_STATE_CLOSED, 200)
    for _ in range(20):
        chain.block(200)
    assert [key for key in chain.store.data if key.startswith((b"mt/g/", b"mt/e/", b"mt/p/"))] == []


def test_a_silent_meter_is_estimated_flagged_or_not() -> None:
    chain = Chain()
    slot = metering(chain)
    chain.deliver(says(slot, (1, 990_000, True), (2, -1_000_000, False)))
    answer = chain.query(meter_query.QueryEstimatesRequest(slot=slot))
    assert [item.device for item in answer.estimates] == ["meter1@mga", "meter2@mga"]
    chain.until(slot, pb.SLOT_STATE_SETTLED, 200)
    ask = market_query.QueryStatementRequest(slot=slot, cell="cell1@mga")
    statement = chain.query(ask).statement
    assert (statement.import_mWh, statement.estimated, statement.disputed) == (990_000, True, False)


@pytest.mark.parametrize(
    ("rows", "ident"),
    [
        (((1, 500, False),), ("meter", 7)),
        (((1, 2_500_001, True),), ("meter", 5)),
        (((1, 1, True), (1, 2, True)), ("meter", 7)),
        (((9, 1, True),), ("meter", 2)),
    ],
    ids=["replaces a reading", "above the rating", "twice", "nobody"],
)
def test_what_a_utility_cell_may_not_say_of_a_meter_that_reported(rows, ident: tuple[str, int]) -> None:
    chain = Chain()
    slot = metering(chain)
    chain.deliver(chain.submit(chain.reading(1, slot, 900_000, 0)))
    data = dict(chain.store.data)
    with pytest.raises(ChainError) as caught:
        chain.deliver(says(slot, *rows))
    assert (caught.value.ident, chain.store.data) == (ident, data)


def test_a_reading_is_disputed_once() -> None:
    chain = Chain()
    slot = metering(chain)
    chain.deliver(chain.submit(chain.reading(1, slot, 900_000, 0)))
    chain.deliver(says(slot, (1, 1_000_000, True)))
    with pytest.raises(ChainError) as caught:
        chain.deliver(says(slot, (1, 1_000_001, True)))
    assert caught.value.ident == ("meter", 7)
    assert "disputed already" in str(caught.value)
