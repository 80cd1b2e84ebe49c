"""Genesis, submitted transactions, ticks, attestations, queries: the whole way on a ledger of two organisations."""

from __future__ import annotations

import pytest

from fabric_adapter.embedded.refusals import ChaincodeRefusedError
from tests.fabric_chaincode.world import send


def test_a_transfer_waits_for_the_tick_and_is_executed(net, cast):
    tx_id = net.submit(cast.alice, send(cast.alice, cast.bob, 5))
    before = net.balance(cast.bob)
    assert list(net.pairs("inbox/", "inbox0")) == [net.inbox_key(tx_id)]
    event = net.tick(tx_id)
    assert list(event.tx_ids) == [tx_id]
    assert event.results.tx_results[0].code == 0, event.results.tx_results[0].log
    assert event.record == net.record
    assert (net.record.height, net.record.time_ns) == (2, net.now_ns)
    assert net.balance(cast.bob) == before + 5
    assert net.pairs("inbox/", "inbox0") == {}


def test_who_may_not_spend_is_refused(net, cast):
    with pytest.raises(ChaincodeRefusedError, match="sdk/4: signers of the messages: expected"):
        net.submit(cast.bob, send(cast.alice, cast.bob))
