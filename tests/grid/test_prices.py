"""Certified marginal prices, on a chain in memory: accepted with the right dual, refused with any other."""

from __future__ import annotations

import pytest

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query as query
from cosmos_wire.protos import market_tx as tx
from cosmos_wire.protos import registry as registry_pb
from energy.grid.network import network_of
from energy.grid.optimality import Dual
from energy.grid.welfare import Offer, auction_problem
from energy.market import keys, prices, security, state
from energy.market.prices import write_dual
from physics.opf import Dispatch, Opf
from tests.energy.chain import ASK, BID, UTILITY, Chain
from tests.grid.test_on_chain import RECLEAR, RESIDUAL, bidding, caps, cleared, star

BOOK = ((2, BID, 60_000, 900_000), (3, BID, 55_000, 400_000), (1, ASK, 40_000, 1_300_000))
TIGHT = ((2, BID, 60_000, 1_200_000), (3, BID, 50_000, 1_200_000), (1, ASK, 40_000, 2_400_000))


def solved(chain: Chain, slot: int, feeder: registry_pb.Feeder) -> Dispatch:
    """What a utility cell finds from the book that it reads."""
    record, ctx = chain.slot(slot), chain.ctx()
    offers = [
        Offer(
            bus=order.bus,
            direction=1 if order.side == BID else -1,
            price_e4=order.price_e4,
            quantity_mWh=order.quantity_mWh,
            fill_mWh=state.order_fill_mWh(record, order),
            firm=order.kind != pb.ORDER_KIND_FLEXIBLE,
        )
        for order in state.all_orders(ctx, slot)
    ]
    price = prices.loss_price_e4(record)
    problem, _ = auction_problem(network_of(feeder), security.baselines(ctx, slot), offers, price)
    return Opf().solve(problem)


def post(slot: int, dual: Dual, utility: str = UTILITY) -> tx.MsgPostOptimality:
    return tx.MsgPostOptimality(utility=utility, slot=slot, dual=write_dual(dual))


def by_bus(chain: Chain, slot: int) -> dict[int, int]:
    return {row.bus: row.price_e4 for row in chain.query(query.QueryLmpsRequest(slot=slot)).buses}


def refused(chain: Chain, message: object) -> tuple[tuple[str, int], str]:
    data = dict(chain.store.data)
    with pytest.raises(ChainError) as caught:
        chain.deliver(message)
    assert chain.store.data == data
    return caught.value.ident, str(caught.value)


def test_prices_without_congestion_are_the_clearing_price_and_losses() -> None:
    chain, feeder = Chain(), star()
    slot = bidding(chain, feeder)
    record = cleared(chain, slot, *BOOK)
    found = solved(chain, slot, feeder)
    chain.deliver(post(slot, found.dual))
    lmps = by_bus(chain, slot)
    assert sorted(lmps) == [0, 1, 2, 3]
    assert 40_000 <= lmps[0] <= 55_000
    assert lmps[1] < lmps[0] < lmps[3] < lmps[2]  # feeding in at 1 saves losses of the others' withdrawals
    assert lmps[2] - lmps[1] < 0.05 * record.clearing.price_e4
    head = chain.query(query.QueryLmpsRequest(slot=slot)).head
    assert 0 <= int(head.gap) <= int(head.tau)
    (said,) = chain.events_of("lmp_certified")
    assert (said["slot"], said["gap"], int(said["highest_e4"])) == (str(slot), head.gap, max(lmps.values()))


def test_a_weak_branch_makes_its_bus_dear() -> None:
    """Bus 2 would pay 60,000 and gets no more: that is its price; the others pay what the asks cost."""
    chain, feeder = Chain(), star()
    slot = bidding(chain, feeder)
    assert cleared(chain, slot, *TIGHT).state == RECLEAR
    chain.deliver(caps(slot, 1, (2, BID, 990_000)))
    chain.until(slot, RESIDUAL, 200)
    chain.deliver(post(slot, solved(chain, slot, feeder).dual))
    lmps = by_bus(chain, slot)
    assert abs(lmps[2] - 60_000) <= 100
    assert abs(lmps[3] - 40_000) <= 2_000


def test_a_schedule_that_was_cut_has_no_prices() -> None:
    chain, feeder = Chain(), star()
    slot = bidding(chain, feeder)
    cleared(chain, slot, *TIGHT)
    chain.until(slot, RESIDUAL, 200)
    ident, text = refused(chain, post(slot, solved(chain, slot, feeder).dual))
    assert ident == ("market", 14)
    assert text.startswith("a gap of at most")
    assert by_bus(chain, slot) == {}


def test_a_lying_dual_is_refused_and_says_by_how_much() -> None:
    chain, feeder = Chain(), star()
    slot = bidding(chain, feeder)
    cleared(chain, slot, *BOOK)
    dual = solved(chain, slot, feeder).dual
    dearer = tuple(value * 3 // 2 for value in dual.p)
    lies = [
        Dual(**{**fields(dual), "p": dearer}),
        Dual(**{**fields(dual), "p": dual.p[:-1]}),
        Dual(**{**fields(dual), "near": ((0, 0, 0), (0, 1, 0), *dual.near[2:])}),
        Dual(**{**fields(dual), "local": 2**62}),
    ]
    texts = []
    for lie in lies:
        ident, text = refused(chain, post(slot, lie))
        assert ident == ("market", 14)
        texts.append(text)
    assert [text.split(":")[0].split(",")[0] for text in texts] == [
        "a gap of at most " + str(prices.tau_of(chain.slot(slot))) + " is expected",
        "dual p",
        "dual near at branch 0-1 lies outside its cone of 3",
        "numbers of a dual have to be below 2^62",
    ]
    cut = post(slot, dual)
    del cut.dual.current[-1:]
    assert refused(chain, cut)[1].startswith("dual current: 4 numbers for 4 buses are expected, got 15")


def fields(dual: Dual) -> dict[str, object]:
    return {name: getattr(dual, name) for name in Dual.__slots__}


def test_firm_orders_trade_without_moving_anything() -> None:
    """The firm bid at bus 2 is drawn whole: it makes losses and prices, whatever it gets of the cheap ask."""
    chain, feeder = Chain(), star()
    slot = bidding(chain, feeder)
    firm = chain.place(2, slot, BID, 60_000, 900_000)
    firm.kind = pb.ORDER_KIND_FIRM
    chain.deliver(firm)
    cleared(chain, slot, (1, ASK, 40_000, 500_000), (3, BID, 30_000, 100_000))
    chain.deliver(post(slot, solved(chain, slot, feeder).dual))
    lmps = by_bus(chain, slot)
    assert lmps[1] < lmps[0] < lmps[2]
    assert abs(lmps[3] - lmps[0]) <= 1  # nothing flows there


def test_who_when_and_once() -> None:
    chain, feeder = Chain(), star()
    slot = bidding(chain, feeder)
    assert refused(chain, tx.MsgPostOptimality(utility=UTILITY, slot=slot))[0] == ("market", 3)
    cleared(chain, slot, *BOOK)
    dual = solved(chain, slot, feeder).dual
    assert refused(chain, post(slot, dual, "bsmg1x"))[0] == ("market", 4)
    assert refused(chain, post(slot + 99, dual))[0] == ("market", 2)
    chain.deliver(post(slot, dual))
    ident, text = refused(chain, post(slot, dual))
    assert ident == ("market", 15)
    assert text.startswith("a gap below ")
    chain.until(slot, pb.SLOT_STATE_CLOSED, 200)
    for _ in range(20):
        chain.block(200)
    assert [key for key in chain.store.data if key.startswith((b"mk/l/", b"mk/lh/"))] == []


def test_without_a_checked_feeder_or_a_gap_that_is_allowed_nothing_is_certified() -> None:
    chain = Chain()
    slot = bidding(chain, None)
    cleared(chain, slot, *BOOK)
    message = tx.MsgPostOptimality(utility=UTILITY, slot=slot)
    ident, text = refused(chain, message)
    assert (ident, text.split(",")[0]) == (("market", 14), "a schedule on a feeder of mode CHAIN is expected")
    strict, feeder = Chain(lmp_tau="1"), star()
    strict.store.set(keys.PARAMS, without_share(strict).SerializeToString(deterministic=True))
    slot = bidding(strict, feeder)
    cleared(strict, slot, *BOOK)
    ident, text = refused(strict, post(slot, solved(strict, slot, feeder).dual))
    assert (ident, text.split(" is expected")[0]) == (("market", 14), "a gap of at most 1")


def without_share(chain: Chain) -> pb.Params:
    params = state.params(chain.ctx())
    params.lmp_tau_permille = 0
    return params
