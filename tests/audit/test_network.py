"""A chain that checks its feeder: the audit comes to the same factors, exports, losses and bills, and finds lies."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest

from bsmg.audit.record import ChainRecord
from bsmg.audit.run import audit
from bsmg.audit.statements import Bill, lines_of
from bsmg.cli.bill import day_table
from cosmos_wire.errors import ChainError
from cosmos_wire.protos import market, market_query, market_tx, meter_tx, registry_tx, tx
from tests.audit.day import Day
from tests.audit.recorder import CELLS, POOR, SLOT, UTILITY, Options, RecordedChain, cell_address, feeder
from tests.audit.tampering import first_place, with_value

BID, ASK = 1, 2
SLOTS = 4


def differences(record: ChainRecord) -> list[str]:
    return [f"{item.subject} {item}" for findings in audit((record,)) for item in findings.differences]


def order(random: Random, slot: int) -> market_tx.MsgPlaceOrder:
    number = random.choice([n for n in range(1, CELLS + 1) if n != POOR])
    side, price = random.choice((BID, ASK)), random.randrange(25_000, 75_001, 5_000)
    made = market_tx.MsgPlaceOrder(
        cell=cell_address(number), slot=slot, side=side, price_e4=price, quantity_mWh=random.randrange(1, 900_000)
    )
    made.kind = random.choice((market.ORDER_KIND_FLEXIBLE, market.ORDER_KIND_FLEXIBLE, market.ORDER_KIND_FIRM))
    if side == BID and price == 75_000:
        made.kind = market.ORDER_KIND_CRITICAL
    return made


def forecast(random: Random, slot: int) -> market_tx.MsgPostForecast:
    made = market_tx.MsgPostForecast(utility=UTILITY, slot=slot, floor_e4=25_000, cap_e4=75_000)
    for bus in sorted(random.sample(range(1, CELLS + 1), 3)):
        made.buses.add(bus=bus, p_mWh=random.randrange(-50_000, 300_000), q_mvarh=random.randrange(-90_000, 90_000))
    return made


def caps(random: Random, slot: int, attempt: int) -> market_tx.MsgProposeCaps:
    made = market_tx.MsgProposeCaps(utility=UTILITY, slot=slot, attempt=attempt)
    for bus in (2, 3, 4):
        for side in (market.SIDE_BID, market.SIDE_ASK):
            if random.random() < 0.6:
                made.caps.add(bus=bus, side=side, cap_mWh=random.randrange(300_000, 1_000_000))
        if random.random() < 0.5:
            made.q.add(bus=bus, q_mvarh=random.randrange(-200_000, 200_000))
    return made


def lived(seed: int, options: Options) -> RecordedChain:
    """A few slots of random orders, forecasts in some, caps where the feeder refuses; some cells do as they please."""
    random, day = Random(seed), Day(options)
    for slot in range(SLOT, SLOT + SLOTS + 2):
        day.until(-99.5, slot)
        if slot >= SLOT + 2:
            _metered(day.a, random, slot - 2)
        if slot < SLOT + SLOTS:
            _traded(day, random, slot)
    day.until(150, SLOT + SLOTS)
    return day.a


def _traded(day: Day, random: Random, slot: int) -> None:
    chain = day.a
    day.until(-95, slot)
    if random.random() < 0.6:
        chain.deliver(forecast(random, slot))
    if slot == SLOT + 1:
        chain.deliver(registry_tx.MsgSetFeeder(utility=UTILITY, feeder=feeder(2_500)))
    day.until(-85, slot)
    for _ in range(random.randrange(2, 12)):
        try:
            chain.deliver(order(random, slot))
        except ChainError as refused:
            if refused.code not in {5, 6}:  # a band, a rating
                raise
    day.until(-66, slot)
    _capped(chain, random, slot)


def _capped(chain: RecordedChain, random: Random, slot: int) -> None:
    for attempt in range(1, 4):
        try:
            chain.deliver(caps(random, slot, attempt))
        except ChainError as refused:
            if refused.code not in {3, 13}:  # the slot awaits no caps; no inverter has that much left
                raise
            return


def _metered(chain: RecordedChain, random: Random, slot: int) -> None:
    """Some follow the schedule, some don't, some are silent; one is estimated, one reading is disputed."""
    ask = chain.market.queries()["/bsmg.market.v1.Query/Schedule"].handle
    found = ask(chain.context(), market_query.QueryScheduleRequest(slot=slot))
    readings = []
    for row in found.cells:
        number = next(n for n in range(1, CELLS + 1) if cell_address(n) == row.cell)
        roll = random.random()
        if roll < 0.8:
            off = 0 if roll < 0.6 else random.randrange(100_000)
            readings.append(chain.reading(number, row.import_mWh + off, row.export_mWh, slot=slot))
    if readings:
        chain.deliver(meter_tx.MsgSubmitReadings(sender=UTILITY, readings=readings))
    estimates = [meter_tx.Estimate(device="meter5@mg", net_mWh=random.randrange(-50_000, 90_000))]
    if readings:
        estimates.append(meter_tx.Estimate(device=readings[0].device, net_mWh=5, flagged=True))
    chain.deliver(meter_tx.MsgPostEstimate(utility=UTILITY, slot=slot, estimates=estimates))


@pytest.fixture(scope="module")
def checked(short_blocks: None) -> ChainRecord:
    return lived(1, Options(feeder=True)).record()


def said(record: ChainRecord, kind: str) -> list[Mapping[str, str]]:
    events = (event for block in record.blocks for event in block.hook_events)
    inside = (event for block in record.blocks for item in block.txs for event in item.events)
    return [dict(event.attributes) for event in (*events, *inside) if event.type == kind]


@pytest.mark.parametrize("mechanism", [m for m in market.Mechanism.values() if m])
def test_an_honest_chain_with_a_feeder_agrees(short_blocks: None, mechanism: market.Mechanism.ValueType) -> None:
    assert differences(lived(100 + mechanism, Options(feeder=True, mechanism=mechanism)).record()) == []


def test_all_that_a_feeder_does_has_happened(short_blocks: None) -> None:
    seen: dict[str, list[Mapping[str, str]]] = {}
    adopted = 0
    for seed in range(8):
        record = lived(seed, Options(feeder=True)).record()
        adopted += with_set_points(record)
        assert differences(record) == []
        for kind in ("slot_insecure", "baseline_infeasible", "caps_judged", "slot_residual", "slot_settled"):
            seen.setdefault(kind, []).extend(said(record, kind))
    assert {row["code"] for row in seen["caps_judged"]} == {"0", "14", "15"}
    assert adopted
    assert all(seen.values())
    exports = [int(row["export_permille"]) for row in seen["slot_residual"]]
    assert any(0 < export < 1000 for export in exports)
    assert any(int(row["grid_import_mWh"]) for row in seen["slot_residual"])
    assert any(int(row["curtailed_mWh"]) for row in seen["slot_residual"])
    assert any(int(row["loss_mWh"]) for row in seen["slot_settled"])


def with_set_points(record: ChainRecord) -> int:
    """How many caps with set-points were adopted."""
    found = 0
    for item in (item for block in record.blocks for item in block.txs):
        judged = [dict(event.attributes) for event in item.events if event.type == "caps_judged"]
        if judged and judged[0]["code"] == "0":
            body = tx.TxBody.FromString(tx.TxRaw.FromString(item.raw).body_bytes)
            found += bool(market_tx.MsgProposeCaps.FromString(body.messages[0].value).q)
    return found


LIES = [
    ("clearings", "slot_residual", "export_permille"),
    ("clearings", "slot_residual", "grid_import_mWh"),
    ("clearings", "slot_residual", "residual_mWh"),
    ("schedules", "caps_judged", "code"),
    ("gates", "slot_secured", "factor_permille"),
    ("gates", "slot_sealed", "curtailed_mWh"),
    ("settlements", "slot_settled", "loss_mWh"),
    ("statements", "cell_settled", "c"),
]


@pytest.mark.parametrize(("subject", "kind", "name"), LIES)
def test_a_lie_about_the_feeder_is_found(checked: ChainRecord, subject: str, kind: str, name: str) -> None:
    assert differences(checked) == []
    found = differences(with_value(checked, first_place(checked, kind, name)))
    assert found
    assert all(line.startswith(subject) and kind in line and name in line for line in found), found


def test_another_reason_of_a_refusal_is_found(checked: ChainRecord) -> None:
    lying = with_value(checked, first_place(checked, "slot_insecure", "element"), lambda _: "branch 1-2")
    assert any(line.startswith("schedules") and "slot_insecure" in line for line in differences(lying))


@pytest.mark.parametrize("name", ["grid", "loss", "grid_sold_mWh"])
def test_a_changed_row_of_a_statement_is_found(checked: ChainRecord, name: str) -> None:
    place = first_place(checked, "cell_settled", "statement")

    def changed(text: str) -> str:
        statement = market.Statement.FromString(bytes.fromhex(text))
        value = getattr(statement, name)
        setattr(statement, name, value + 1 if isinstance(value, int) else str(int(value or 0) + 1))
        return statement.SerializeToString().hex()

    found = differences(with_value(checked, place, changed))
    assert [line for line in found if line.startswith("statements") and name in line]


def test_the_lines_of_a_bill_add_up_with_main_grid_and_losses(checked: ChainRecord) -> None:
    found = [market.Statement.FromString(bytes.fromhex(row["statement"])) for row in said(checked, "cell_settled")]
    assert any(item.grid for item in found)
    assert any(item.loss for item in found)
    for item in found:
        assert sum(amount for _, _, amount in lines_of(item)) == int(item.net)
    bill = Bill(statements=tuple(found), up_e4=100_000, down_e4=10_000, denom="bmga")
    assert day_table(bill, "all").row_count == len(found) + 1
