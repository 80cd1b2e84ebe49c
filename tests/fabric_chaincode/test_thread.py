"""Genesis, submitted transactions, ticks, attestations, queries: the whole way on a ledger of two organisations."""

from __future__ import annotations

import pytest

from fabric_adapter.embedded.endorser import ChaincodeRefusedError
from ibc_core.fabric import records
from tests.fabric_chaincode.world import Cast, grid, send


@pytest.fixture(scope="module")
def cast():
    return Cast()


@pytest.fixture
async def net(cast, tmp_path):
    async with grid(cast, tmp_path) as made:
        yield made


async def test_a_transfer_waits_for_the_tick_and_is_executed(net, cast):
    tx_id = await net.submit(cast.alice, send(cast.alice, cast.bob, 5))
    before = net.balance(cast.bob)
    assert list(net.pairs("inbox/", "inbox0")) == [f"inbox/{tx_id}"]
    event = await net.tick(tx_id)
    assert list(event.tx_ids) == [tx_id]
    assert event.results.tx_results[0].code == 0, event.results.tx_results[0].log
    assert event.record == net.record
    assert (net.record.height, net.record.time_ns) == (2, net.now_ns)
    assert net.balance(cast.bob) == before + 5
    assert net.pairs("inbox/", "inbox0") == {}
    assert net.value("tick") is not None
    assert net.attest(tick=True).response_payload
    assert records.TICK == "tick"


async def test_who_may_not_spend_is_refused(net, cast):
    with pytest.raises(ChaincodeRefusedError, match="sdk/4: signers of the messages: expected"):
        await net.submit(cast.bob, send(cast.alice, cast.bob))
