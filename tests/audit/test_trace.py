"""The story of a contract as both chains' blocks tell it."""

from __future__ import annotations

import pytest

from bsmg.audit.trace import Story, trace
from bsmg.cli.trace import end_lines, head_lines, packet_table, step_table
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import trade
from tests.audit.conftest import Records


@pytest.fixture
def settled(records: Records) -> Story:
    found = next(item for item in records[1].final.bought if item.state == trade.BUYER_STATE_SETTLED)
    return trace(records, found.lock.contract_id.hex()[:10])


def test_all_packets_with_their_stations(settled: Story) -> None:
    kinds = [packet.kind for packet in settled.packets]
    assert kinds == ["OFFER", "LOCK", "EQUIVALENCE", "METER", "SETTLEMENT", "ICS-20"]
    for packet in settled.packets:
        assert sorted(packet.stations) == ["acknowledged", "received", "sent"], packet.kind
        sent, received, done = (packet.stations[name] for name in ("sent", "received", "acknowledged"))
        assert sent.chain_id == done.chain_id == packet.source != received.chain_id
        assert received.proof_height >= sent.height
        assert done.proof_height >= received.height
        assert 0 < packet.latency_ms("received") < packet.latency_ms("acknowledged")
        assert packet.ack.startswith(b'{"result"')
    assert [packet.source for packet in settled.packets] == ["mga-1", "mgb-1", "mgb-1", "mgb-1", "mga-1", "mgb-1"]


def test_steps_and_ends(settled: Story) -> None:
    states = [(step.chain_id, step.state) for step in settled.steps if step.kind in ("locked", "active", "settled")]
    assert states[0] == ("mgb-1", "LOCKED")
    assert {("mga-1", "ACTIVE"), ("mga-1", "SETTLED"), ("mgb-1", "SETTLED")} <= set(states)
    assert (settled.seller_chain, settled.buyer_chain) == ("mga-1", "mgb-1")
    ends = list(end_lines(settled))
    assert "end on mga-1 (seller): SETTLED, delivered 700000 to 900000 of 1000000 mWh by FALLBACK" in ends[0]
    assert settled.bought is not None
    assert f"seller {settled.bought.paid_seller}" in ends[1]


def test_tables_say_it(settled: Story) -> None:
    assert next(head_lines(settled)) == f"contract {settled.contract_id.hex()}"
    assert packet_table(settled).row_count == len(settled.packets)
    assert step_table(settled).row_count == len(settled.steps)


def test_a_packet_that_timed_out(records: Records) -> None:
    found = next(item for item in records[1].final.bought if item.reason == "timeout")
    story = trace(records, found.lock.contract_id.hex())
    packet = next(item for item in story.packets if item.kind == "EQUIVALENCE")
    assert sorted(packet.stations) == ["sent", "timed out"]
    assert packet.stations["timed out"].proof_height > 0
    assert "REFUNDED (timeout)" in list(end_lines(story))[-1]


def test_a_refused_lock_shows_its_code(records: Records) -> None:
    found = next(item for item in records[1].final.bought if item.reason == "error")
    story = trace(records, found.lock.contract_id.hex())
    lock = next(item for item in story.packets if item.kind == "LOCK")
    assert b"ABCI code: 5" in lock.ack
    assert story.seller_chain == ""


@pytest.mark.parametrize("prefix", ["", "zz"])
def test_a_prefix_has_to_name_one(records: Records, prefix: str) -> None:
    with pytest.raises(ToolError, match="expected one of 4 contracts"):
        trace(records, prefix)
