"""What a cell paid and got."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsmg.audit.record import of_kind
from bsmg.audit.statements import Bill, lines_of, slots_of_day, tokens
from bsmg.cli.bill import day_table, slot_table
from cosmos_wire.protos import market
from tests.audit.conftest import Records
from tests.audit.recorder import SLOT, cell_address

UP, DOWN = 100_000, 10_000


@pytest.fixture
def bill(records: Records) -> Bill:
    found = [
        market.Statement.FromString(bytes.fromhex(values["statement"]))
        for block in records[0].blocks
        for values in of_kind(block.hook_events, "cell_settled")
        if values["cell"] == cell_address(1)
    ]
    return Bill(statements=tuple(found), up_e4=UP, down_e4=DOWN, denom="bmga")


def test_lines_add_up_to_the_net(bill: Bill) -> None:
    assert len(bill.statements) >= 2
    for statement in bill.statements:
        assert sum(amount for _, _, amount in lines_of(statement)) == int(statement.net)
    assert bill.net == sum(int(item.net) for item in bill.statements)


def test_alone_counts_late_energy_too(bill: Bill) -> None:
    assert any(item.catch_up_mWh for item in bill.statements)
    bought, sold = bill.energy_mWh
    counted = sum(item.import_mWh + max(0, item.catch_up_mWh) for item in bill.statements)
    assert (bought, sold) == (counted, sum(item.export_mWh for item in bill.statements))
    assert bill.alone == DOWN * sold - UP * bought


def test_tables(bill: Bill) -> None:
    assert day_table(bill, "cell1").row_count == len(bill.statements) + 1
    first = Bill(statements=bill.statements[:1], up_e4=UP, down_e4=DOWN, denom="bmga")
    assert slot_table(first, "cell1").row_count == len(list(lines_of(bill.statements[0]))) + 1


@given(amount=st.integers(-(10**40), 10**40))
def test_tokens_lose_no_unit(amount: int) -> None:
    text = tokens(amount)
    assert int(text.replace(".", "")) == amount
    assert len(text.partition(".")[2]) == 10


def test_days() -> None:
    params = market.Params(slot_ms=900_000, first_slot=1_000)
    settled = [1_000, 1_095, 1_096, 1_152]
    assert slots_of_day(params, "all", settled) == set(settled)
    assert slots_of_day(params, "0", settled) == {1_000, 1_095}
    assert slots_of_day(params, "1", settled) == {1_096, 1_152}
    assert slots_of_day(params, "1970-01-13", settled) == {1_152}
    with pytest.raises(ValueError, match="never"):
        slots_of_day(params, "never", settled)


def test_the_day_has_slots_of_the_record(bill: Bill) -> None:
    params = market.Params(slot_ms=100_000, first_slot=SLOT)
    assert slots_of_day(params, "0", [item.slot for item in bill.statements]) == {SLOT, SLOT + 2}
