"""One slot from OPEN to CLOSED on the real handlers."""

from __future__ import annotations

from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query
from energy.market import state
from ibc_core import bank
from tests.energy.chain import ASK, BID, DENOM, RICH, Chain, address


def trade_one_slot(chain: Chain, slot: int) -> None:
    chain.until(slot, pb.SLOT_STATE_BIDDING)
    firm = chain.place(1, slot, BID, 60_000, 1_000_000)
    firm.kind = pb.ORDER_KIND_FIRM
    chain.block(10, firm, chain.place(2, slot, ASK, 30_000, 600_000), chain.place(3, slot, BID, 40_000, 200_000))
    chain.until(slot, pb.SLOT_STATE_METERING)


def test_a_slot_is_traded_metered_settled_and_closed() -> None:
    chain = Chain()
    chain.block()
    slot = chain.live()[-1]
    trade_one_slot(chain, slot)
    record = chain.slot(slot)
    assert (record.clearing.price_e4, record.clearing.volume_mWh) == (60_000, 600_000)
    assert (record.residual_mWh, record.voided, len(record.root)) == (400_000, False, 32)
    assert (record.unserved_bid_mWh, record.grid_import_mWh, record.grid_export_mWh) == (600_000, 400_000, 0)
    readings = chain.reading(1, slot, 1_100_000, 0), chain.reading(2, slot, 0, 590_000), chain.reading(3, slot, 0, 0)
    (answer,) = chain.block(10, chain.submit(*readings))
    assert [result.code for result in answer.results] == [0, 0, 0]
    record = chain.until(slot, pb.SLOT_STATE_SETTLED)
    assert record.escrow == "0"
    assert record.import_mWh - record.export_mWh == record.balance_mWh == 510_000
    nets = [
        chain.query(market_query.QueryStatementRequest(slot=slot, cell=address(n))).statement.net for n in (1, 2, 3)
    ]
    penalty = 60_000 * 500 // 1000
    assert [int(net) for net in nets] == [
        -600_000 * 60_000 - 400_000 * 80_000 - 100_000 * 100_000 - penalty * (100_000 - 50_000) - 200 * 600_000,
        600_000 * 60_000 - 10_000 * 100_000 - 200 * 600_000,
        0,
    ]
    for number, net in zip((1, 2, 3), nets, strict=True):
        assert bank.balance(chain.ctx(), number.to_bytes(20, "big"), DENOM) == RICH + int(net)
    assert chain.balance(state.ESCROW) == 0
    assert chain.held_in_all() == chain.supply
    assert chain.until(slot, pb.SLOT_STATE_CLOSED).clearing.price_e4 == 60_000
