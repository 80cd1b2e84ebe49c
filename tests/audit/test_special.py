"""The audit follows amended, sealed, minimum-fill, moving and forward orders, and names what is made up."""

from __future__ import annotations

import pytest

from bsmg.audit.record import ChainRecord
from bsmg.audit.replay import Replay
from bsmg.audit.sealed import reveals_from_ms
from cosmos_wire.protos import Message, market, market_tx, meter_tx
from energy.market.reveal import commit_hash
from ibc_core.host import Event
from tests.audit.day import ASK, BID, Day
from tests.audit.recorder import SECOND, SLOT, UTILITY, Options, RecordedChain, cell_address
from tests.audit.tampering import first_place, one_more, with_event
from tests.audit.test_replay import differences, named
from tests.ibc.harness import address

SALT = b"sixteen bytes..."


def order(number: int, slot: int, row: tuple[int, int, int], **terms: int) -> market_tx.MsgPlaceOrder:
    side, price, energy = row
    return market_tx.MsgPlaceOrder(
        cell=cell_address(number), slot=slot, side=side, price_e4=price, quantity_mWh=energy, **terms
    )


def forward(number: int, row: tuple[int, int, int], product: tuple[int, int], *, whole: bool = False) -> object:
    side, price, energy = row
    first, slots = product
    return market_tx.MsgPlaceForward(
        cell=cell_address(number),
        first_slot=first,
        slots=slots,
        side=side,
        price_e4=price,
        quantity_mWh=energy,
        whole=whole,
    )


def committed(chain: RecordedChain, placed: market_tx.MsgPlaceOrder) -> market_tx.MsgCommitOrder:
    escrow = str(placed.quantity_mWh * 200_000)
    digest = commit_hash(chain.chain_id, placed, SALT)
    return market_tx.MsgCommitOrder(cell=placed.cell, slot=placed.slot, hash=digest, escrow=escrow)


def _forwards(a: RecordedChain) -> None:
    product, other = (SLOT + 1, 2), (SLOT + 2, 1)
    a.deliver(
        forward(1, (BID, 60_000, 300_000), product),
        forward(2, (BID, 70_000, 200_000), product, whole=True),
        forward(3, (ASK, 30_000, 400_000), product),
        forward(4, (BID, 65_000, 900_000), product, whole=True),
        forward(1, (BID, 50_000, 1_000), other),
        market_tx.MsgCancelForward(cell=cell_address(1), first_slot=SLOT + 2, slots=1, seq=1),
        forward(1, (BID, 50_000, 1_000), other),  # never trades
    )


def _orders(day: Day) -> None:
    a = day.a
    shown = order(1, SLOT, (BID, 62_000, 100_000))
    shut = order(2, SLOT, (BID, 61_000, 100_000))
    asked = order(3, SLOT, (ASK, 40_000, 500_000))
    answers = a.deliver(committed(a, shown), committed(a, shut), asked)
    _at(day, -81.5)
    change = {"cell": cell_address(3), "slot": SLOT}
    a.deliver(
        order(1, SLOT, (BID, 60_000, 700_000), valid_to=SLOT + 2),
        order(4, SLOT, (BID, 61_000, 200_000), storage=True, discharge_slot=SLOT + 1, discharge_price_e4=39_000),
        order(4, SLOT, (ASK, 45_000, 30_000), storage=True),
        order(2, SLOT, (BID, 59_000, 400_000), min_fill_mWh=400_000),
        order(2, SLOT, (BID, 30_000, 900_000), valid_to=SLOT + 1),
        order(2, SLOT, (BID, 31_000, 500_000), valid_to=SLOT + 2, min_fill_mWh=500_000),
        market_tx.MsgAmendOrder(**change, seq=answers[2].seq, price_e4=40_000, quantity_mWh=450_000),
        market_tx.MsgAmendOrder(**change, seq=answers[2].seq, price_e4=41_000, quantity_mWh=460_000),
    )
    _at(day, -76.5)
    a.deliver(market_tx.MsgRevealOrder(cell=shown.cell, seq=answers[0].seq, salt=SALT, order=shown))
    a.deliver()


def _at(day: Day, offset_s: float, slot: int = SLOT) -> None:
    """The next block is at this time of a slot."""
    day.net.time_ns = slot * 100 * SECOND + int(offset_s * SECOND)


def _rest(day: Day) -> None:
    """Blocks of five seconds to the end of the third slot; an ask in the second one, readings of each."""
    todo: dict[int, list[Message]] = {16: [order(3, SLOT + 1, (ASK, 35_000, 150_000))]}
    for slot in (SLOT, SLOT + 1, SLOT + 2):
        said = [day.a.reading(n, 1_000 * n, 77, slot=slot) for n in (1, 2, 4)]
        message = meter_tx.MsgSubmitReadings(sender=address("anybody"), readings=said)
        todo[101 + 100 * (slot - SLOT)] = [message]
    for at_s in range(-29, 450, 5):
        _at(day, at_s)
        day.a.deliver(*todo.get(at_s, ()))


def lived(options: Options) -> Day:
    """A slot with orders of every kind, positions in the two after it."""
    day = Day(options)
    storage = market_tx.MsgRegisterStorage(
        utility=UTILITY,
        cell=cell_address(4),
        energy_mWh=400_000,
        power_W=4_000,
        efficiency_permille=900,
        charged_mWh=50_000,
    )
    day.a.deliver(storage)
    _forwards(day.a)
    _at(day, -86.5)
    _orders(day)
    for at_s in (-66, -59, -54, -49, -44, -39):
        _at(day, at_s)
        day.a.deliver()
    waits = [dict(event.attributes) for block in day.a.blocks for event in block.hook_events]
    number = next(
        int(item["number"])
        for item in waits
        if item.get("cell") == cell_address(2) and item.get("quantity_mWh") == "500000" and "number" in item
    )
    day.a.deliver(market_tx.MsgCancelWaiting(cell=cell_address(2), number=number))
    _rest(day)
    return day


@pytest.mark.parametrize(
    "options",
    [
        Options(special=True),
        Options(special=True, settle_units=1),
        Options(special=True, settle_units=3),
        Options(special=True, mechanism=market.MECHANISM_PAY_AS_BID),
        Options(special=True, feeder=True),
    ],
    ids=str,
)
def test_special_orders_agree_to_the_unit(options: Options) -> None:
    day = lived(options)
    record = day.a.record()
    kinds = {event.type for block in record.blocks for event in block.hook_events}
    assert {"order_waits", "order_moved", "commit_unrevealed", "forward_awarded"} <= kinds
    assert [str(item) for item in differences(record, day.b.record())] == []


@pytest.fixture(scope="module")
def told() -> ChainRecord:
    return lived(Options(special=True)).a.record()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("commit_unrevealed", "lost"),
        ("forward_awarded", "refund"),
        ("forward_cleared", "price_e4"),
        ("order_waits", "quantity_mWh"),
        ("order_moved", "seq"),
        ("storage_changed", "charged_mWh"),
        ("order_ended", "refund"),
    ],
)
def test_what_is_made_up_is_named(told: ChainRecord, kind: str, name: str) -> None:
    def more(event: Event) -> tuple[Event, ...]:
        pairs = tuple((key, one_more(value) if key == name else value) for key, value in event.attributes)
        return (Event(event.type, pairs),)

    found = differences(with_event(told, first_place(told, kind, name), more))
    assert named(found, "clearings", kind, name)


def test_commits_end_in_the_middle(told: ChainRecord) -> None:
    followed = Replay(told)
    followed.run()
    slot = max(followed.market.live.values(), key=lambda item: item.number)
    assert slot.gate_ms(1) < reveals_from_ms(slot) < slot.gate_ms(2)
