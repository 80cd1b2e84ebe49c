"""Slots on Fabric: gates by ticks, orders, readings, settlement; a missed tick delays and never skips."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cosmos_wire.protos import Message, market_query, market_tx, meter_tx, registry_tx
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import registry as registry_pb
from energy.market import state
from energy.market.clock import Gate, gate_ms
from energy.market.defaults import default_params
from energy.meter.reading import sign_bytes
from fabric_adapter.embedded.refusals import ChaincodeRefusedError
from ibc_core import bank
from ibc_core.host import Context, EventLog, FreeGas
from tests.energy.test_ballot import ring
from tests.fabric_chaincode.day import hashes
from tests.fabric_chaincode.test_ticks import FakeStub, codes
from tests.fabric_chaincode.world import CHAIN, DENOM, FIRST_SLOT, SECOND_NS, SLOT_MS, Grid, meter_key

BID, ASK = pb.SIDE_BID, pb.SIDE_ASK
GATES = ["slot_opened", "slot_cleared", "slot_secured", "slot_residual", "slot_sealed", "slot_closed"]


def context(net: Grid) -> Context:
    """What one organisation's process remembers of the last tick."""
    found = next(iter(net.programs.values()))._current(FakeStub(net))
    return Context(env=found.env, app=found.stores["app"], ibc=found.stores["ibc"], events=EventLog(), gas=FreeGas())


def slot_state(net: Grid, slot: int) -> int:
    found = state.find_slot(context(net), slot)
    return 0 if found is None else found.state


def until(net: Grid, slot: int, wanted: int) -> None:
    for _ in range(200):
        if slot_state(net, slot) >= wanted:
            assert slot_state(net, slot) == wanted
            return
        net.tick()
    raise AssertionError(f"slot {slot} never got to {wanted}")


def order(net: Grid, cell: int, side: int, price_e4: int, quantity_mWh: int) -> market_tx.MsgPlaceOrder:
    text = net.cast.cells[cell - 1].text
    return market_tx.MsgPlaceOrder(cell=text, slot=FIRST_SLOT, side=side, price_e4=price_e4, quantity_mWh=quantity_mWh)


def place(net: Grid, cell: int, *rest: int) -> str:
    return net.submit(net.cast.cells[cell - 1], order(net, cell, *rest))


def reading(cell: int, bought: int, sold: int) -> meter_tx.Reading:
    made = meter_tx.Reading(device=f"meter{cell}@mgf", slot=FIRST_SLOT, import_mWh=bought, export_mWh=sold)
    made.import_total_mWh, made.export_total_mWh = bought, sold
    made.signature = meter_key(cell).sign(sign_bytes(CHAIN, made))
    return made


def held_in_all(net: Grid) -> int:
    return sum(amount for _, amount in bank.holders(context(net), DENOM))


@pytest.fixture
def bidding(net: Grid) -> Grid:
    until(net, FIRST_SLOT, pb.SLOT_STATE_BIDDING)
    return net


def test_a_slot_is_traded_metered_settled_and_closed(bidding, cast):
    net, supply = bidding, held_in_all(bidding)
    sent = [
        place(net, 1, BID, 60_000, 1_000_000),
        place(net, 2, ASK, 30_000, 600_000),
        place(net, 3, BID, 40_000, 200_000),
    ]
    assert codes(net.tick(*sent)) == [0, 0, 0]
    until(net, FIRST_SLOT, pb.SLOT_STATE_METERING)
    record = state.slot_record(context(net), FIRST_SLOT)
    assert (record.clearing.price_e4, record.clearing.volume_mWh) == (60_000, 600_000)
    readings = [reading(1, 650_000, 0), reading(2, 0, 590_000), reading(3, 0, 0)]
    assert net.run(cast.utility, meter_tx.MsgSubmitReadings(sender=cast.utility.text, readings=readings)).code == 0
    until(net, FIRST_SLOT, pb.SLOT_STATE_CLOSED)
    asked = [market_query.QueryStatementRequest(slot=FIRST_SLOT, cell=cast.cells[n].text) for n in range(3)]
    nets = [int(statement(net, request).statement.net) for request in asked]
    assert nets[0] < 0 < nets[1]
    assert nets[2] == 0
    assert held_in_all(net) == supply


def statement(net: Grid, request: Message) -> market_query.QueryStatementResponse:
    return net.ask("/bsmg.market.v1.Query/Statement", request, market_query.QueryStatementResponse)


def gates_of(net: Grid, event: object) -> Iterator[str]:
    for item in event.results.events:
        found = {each.key: each.value for each in item.attributes}
        if found.get("slot") == str(FIRST_SLOT) and item.type in GATES:
            yield item.type


def test_a_missed_tick_delays_and_skips_nothing(bidding):
    net = bidding
    opened = [place(net, 1, BID, 60_000, 1_000_000), place(net, 2, ASK, 30_000, 600_000)]
    net.tick(*opened)
    passed = list(gates_of(net, net.tick(step_ns=600 * SECOND_NS)))
    for _ in range(50):
        passed += gates_of(net, net.tick())
    assert passed == GATES[1:]
    record = state.find_slot(context(net), FIRST_SLOT)
    assert record.clearing.volume_mWh == 600_000


def test_orders_wait_for_the_tick_and_lose_against_the_gate(bidding):
    """Accepted while bidding, executed after the gate: a result with a code, and the escrow was never taken."""
    net = bidding
    late = place(net, 1, BID, 60_000, 1_000_000)
    until(net, FIRST_SLOT, pb.SLOT_STATE_DELIVERING)
    before = net.balance(net.cast.cells[0])
    event = net.tick(late)
    assert event.results.tx_results[0].codespace == "market"
    assert net.balance(net.cast.cells[0]) == before
    with pytest.raises(ChaincodeRefusedError, match="response 400, market/"):
        place(net, 1, BID, 60_000, 1_000_000)


def test_an_order_by_the_clock_does_not_wait_for_the_ticks_gate(net):
    """The bidding has begun by time, and no tick has said so yet: the next one will, before it runs the order."""
    gate_ns = gate_ms(default_params(SLOT_MS, 12_000, DENOM, "", FIRST_SLOT), FIRST_SLOT, Gate.BID) * 10**6
    net.tick(step_ns=gate_ns - SECOND_NS // 2 - net.now_ns)
    with pytest.raises(ChaincodeRefusedError, match="market/"):
        place(net, 1, BID, 60_000, 1_000_000)
    net.now_ns, net.ahead_ns = gate_ns - 60 * SECOND_NS, 61 * SECOND_NS
    with pytest.raises(ChaincodeRefusedError, match="market/"):
        place(net, 1, BID, 60_000, 1_000_000)
    net.now_ns, net.ahead_ns = gate_ns + SECOND_NS // 4, 0
    assert slot_state(net, FIRST_SLOT) == pb.SLOT_STATE_FORECAST
    assert codes(net.tick(place(net, 1, BID, 60_000, 1_000_000))) == [0]


def test_a_feeder_to_be_voted_on_is_refused_for_want_of_vote_extensions(net):
    message = registry_tx.MsgSetFeeder(utility=net.cast.utility.text, feeder=ring())
    with pytest.raises(ChaincodeRefusedError, match="registry/6"):
        net.submit(net.cast.utility, message)
    message.feeder.CopyFrom(ring(mode=registry_pb.SECURITY_MODE_UNSPECIFIED))
    with pytest.raises(ChaincodeRefusedError, match="registry/4"):  # a mesh is for votes alone
        net.submit(net.cast.utility, message)


def test_many_orders_of_many_cells_between_two_ticks(bidding):
    net = bidding
    sent = [
        place(net, cell, side, 30_000 + 100 * n, 1_000) for cell in range(1, 26) for n, side in enumerate((BID, ASK))
    ]
    assert codes(net.tick(*sent)) == [0] * 50
    assert state.slot_record(context(net), FIRST_SLOT).orders == 50


def test_the_tick_executes_the_same_whatever_the_hash_seed():
    """Two organisations' processes differ in nothing that Python leaves to chance."""
    (found,) = set(hashes("1", "2"))
    assert len(found) == 64
