"""The network check at CLEAR, on a chain in memory: cut, improved by caps, refused, settled."""

from __future__ import annotations

from random import Random

import pytest
from google.protobuf import json_format

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_tx as tx
from cosmos_wire.protos import registry as registry_pb
from cosmos_wire.protos import registry_tx
from energy.grid.schedule import BusEnergy
from energy.market import awards, keys, state
from energy.registry import Registry
from energy.registry import state as registered
from physics.powerflow import PowerFlow, grid_of, violations
from tests.energy.chain import ASK, BID, UTILITY, Chain
from tests.grid.cases import SLACK, slack_of, solve

BASE_W = 10_000
WEAK_W, STRONG_W = 4_000, 40_000
SECURED = pb.SLOT_STATE_SECURED
RECLEAR = pb.SLOT_STATE_RECLEAR
RESIDUAL = pb.SLOT_STATE_RESIDUAL


def star(mode: int = registry_pb.SECURITY_MODE_CHAIN, buses: int = 3, **changes: int) -> registry_pb.Feeder:
    """Buses 1..n around the root 0; the branch to bus 2 is weak."""
    branches = [
        registry_pb.Branch(
            from_bus=0, to_bus=bus, r_pu_q30=2**22, x_pu_q30=2**22, s_max_W=WEAK_W if bus == 2 else STRONG_W
        )
        for bus in range(1, buses + 1)
    ]
    fields = {"s_base_W": BASE_W, "v0_permille": 1000, "vmin_permille": 900, "vmax_permille": 1100, **changes}
    return registry_pb.Feeder(root_bus=0, branches=branches, mode=mode, **fields)


def bidding(chain: Chain, feeder: registry_pb.Feeder | None) -> int:
    """A slot in BIDDING that opened with the feeder in force."""
    if feeder is not None:
        chain.deliver(registry_tx.MsgSetFeeder(utility=UTILITY, feeder=feeder))
    chain.block()
    slot = chain.live()[-1] + 1
    chain.until(slot, pb.SLOT_STATE_BIDDING)
    return slot


def cleared(chain: Chain, slot: int, *orders: tuple[int, int, int, int]) -> pb.Slot:
    for cell, side, price, quantity in orders:
        chain.deliver(chain.place(cell, slot, side, price, quantity))
    while (record := chain.slot(slot)).state < RECLEAR:
        chain.block(200)
    return record


def caps(slot: int, attempt: int, *rows: tuple[int, int, int]) -> tx.MsgProposeCaps:
    made = [tx.BusCap(bus=bus, side=side, cap_mWh=cap) for bus, side, cap in rows]
    return tx.MsgProposeCaps(utility=UTILITY, slot=slot, attempt=attempt, caps=made)


def assert_settled(chain: Chain, slot: int) -> None:
    record = chain.until(slot, pb.SLOT_STATE_SETTLED, 200)
    assert (record.escrow, chain.balance(state.ESCROW)) == ("0", 0)
    assert chain.held_in_all() == chain.supply


def test_what_the_feeder_bears_is_secured_whole() -> None:
    chain = Chain()
    slot = bidding(chain, star())
    record = cleared(chain, slot, (2, BID, 60_000, 900_000), (1, ASK, 40_000, 900_000))
    assert (record.state, record.factor_permille) == (SECURED, 1000)
    assert chain.events_of("slot_insecure") == []
    assert_settled(chain, slot)


def test_what_it_doesnt_bear_is_cut_to_the_largest_certified_factor() -> None:
    """4 kW carry 1,000,000 mWh a slot: of 2,000,000 less than half, by the box and one order's rounding."""
    chain = Chain()
    slot = bidding(chain, star())
    record = cleared(chain, slot, (2, BID, 60_000, 2_000_000), (1, ASK, 40_000, 2_000_000))
    assert (record.state, record.factor_permille) == (RECLEAR, 499)
    assert chain.events_of("slot_insecure") == [{"slot": str(slot), "element": "branch 0-2", "reason": "flow"}]
    record = chain.until(slot, RESIDUAL, 200)
    assert (record.unserved_bid_mWh, record.unserved_ask_mWh) == (2_000_000 - 998_000, 2_000_000 - 998_000)
    assert (record.grid_import_mWh, record.grid_export_mWh, record.residual_mWh) == (0, 1_002_000, -1_002_000)
    assert (record.export_permille, record.curtailed_mWh) == (1000, 0)  # the branch to bus 1 is strong
    assert chain.events_of("slot_secured")[-1]["factor_permille"] == "499"
    assert_settled(chain, slot)


def test_the_utility_cell_can_only_improve() -> None:
    chain = Chain()
    slot = bidding(chain, star())
    book = ((2, BID, 60_000, 1_200_000), (3, BID, 50_000, 1_200_000), (1, ASK, 40_000, 2_400_000))
    record = cleared(chain, slot, *book)
    before = (record.state, record.factor_permille, record.clearing.volume_mWh)
    assert before == (RECLEAR, 832, 2_400_000)
    chain.deliver(caps(slot, 1, (2, BID, 1_100_000)))
    chain.deliver(caps(slot, 2, (1, ASK, 0)))
    record = chain.slot(slot)
    assert (record.state, record.factor_permille, record.clearing.volume_mWh) == before
    chain.deliver(caps(slot, 3, (2, BID, 990_000)))
    record = chain.slot(slot)
    assert (record.factor_permille, record.clearing.volume_mWh) == (1000, 2_190_000)
    chain.deliver(caps(slot, 4, (2, BID, 980_000)))
    judged = [(e["attempt"], e["code"]) for e in chain.events_of("caps_judged")]
    assert judged == [("1", "14"), ("2", "15"), ("3", "0"), ("4", "15")]
    assert chain.events_of("caps_judged")[0]["detail"].startswith("flow at branch 0-2")
    assert chain.slot(slot).clearing.volume_mWh == 2_190_000
    assert_settled(chain, slot)


@pytest.mark.parametrize(
    ("message", "ident"),
    [
        (lambda slot: caps(slot, 2), ("market", 12)),
        (lambda slot: caps(slot, 6), ("market", 12)),
        (lambda slot: caps(slot, 1, (2, BID, 1), (1, BID, 1)), ("market", 13)),
        (lambda slot: caps(slot, 1, (2, 0, 1)), ("market", 13)),
        (
            lambda slot: tx.MsgProposeCaps(utility=UTILITY, slot=slot, attempt=1, q=[tx.BusQ(bus=1, q_mvarh=1)]),
            ("market", 13),
        ),
        (lambda slot: tx.MsgProposeCaps(utility="bsmg1x", slot=slot, attempt=1), ("market", 4)),
    ],
)
def test_caps_that_are_malformed_or_out_of_turn_are_refused(message, ident: tuple[str, int]) -> None:
    chain = Chain()
    slot = bidding(chain, star())
    cleared(chain, slot, (2, BID, 60_000, 2_000_000), (1, ASK, 40_000, 2_000_000))
    data = dict(chain.store.data)
    with pytest.raises(ChainError) as caught:
        chain.deliver(message(slot))
    assert caught.value.ident == ident
    assert chain.store.data == data


def test_tries_are_used_up_whatever_came_of_them() -> None:
    chain = Chain()
    slot = bidding(chain, star())
    cleared(chain, slot, (2, BID, 60_000, 2_000_000), (1, ASK, 40_000, 2_000_000))
    for attempt in range(1, 6):
        chain.deliver(caps(slot, attempt, (1, ASK, 0)))
    with pytest.raises(ChainError) as caught:
        chain.deliver(caps(slot, 5, (2, BID, 900_000)))
    assert caught.value.ident == ("market", 12)
    chain.until(slot, pb.SLOT_STATE_CLOSED, 200)
    for _ in range(20):
        chain.block(200)
    assert chain.store.get(keys.attempts_key(slot)) is None


def test_a_baseline_that_breaks_a_limit_leaves_nothing_to_trade() -> None:
    chain = Chain()
    chain.deliver(registry_tx.MsgSetFeeder(utility=UTILITY, feeder=star()))
    chain.block()
    slot = chain.live()[-1] + 1
    chain.until(slot, pb.SLOT_STATE_FORECAST, 100)
    said = [tx.BusBaseline(bus=2, p_mWh=1_250_000)]
    chain.deliver(tx.MsgPostForecast(utility=UTILITY, slot=slot, floor_e4=20_000, cap_e4=80_000, buses=said))
    chain.until(slot, pb.SLOT_STATE_BIDDING, 100)
    record = cleared(chain, slot, (3, BID, 60_000, 1_000), (1, ASK, 40_000, 1_000))
    assert (record.state, record.factor_permille) == (RECLEAR, 0)
    assert chain.events_of("baseline_infeasible") == [{"slot": str(slot)}]
    assert_settled(chain, slot)


def forecast(chain: Chain, slot: int, p_mWh: int) -> None:
    said = [tx.BusBaseline(bus=2, p_mWh=p_mWh)]
    chain.deliver(tx.MsgPostForecast(utility=UTILITY, slot=slot, floor_e4=20_000, cap_e4=80_000, buses=said))


def test_the_last_sealed_forecast_stands_in_for_one_that_does_not_come() -> None:
    """900,000 mWh of baseline leave about 100,000 on the weak branch, in the slot itself and long after."""
    chain = Chain()
    chain.deliver(registry_tx.MsgSetFeeder(utility=UTILITY, feeder=star()))
    chain.block()
    first = chain.live()[-1] + 1
    chain.until(first, pb.SLOT_STATE_FORECAST, 100)
    forecast(chain, first, 900_000)
    book = ((2, BID, 60_000, 200_000), (1, ASK, 40_000, 200_000))
    chain.until(first, pb.SLOT_STATE_BIDDING, 100)
    factors = [cleared(chain, first, *book).factor_permille]
    chain.until(first, pb.SLOT_STATE_CLOSED, 200)
    later = chain.live()[-1] + 1
    chain.until(later, pb.SLOT_STATE_BIDDING, 100)
    factors.append(cleared(chain, later, *book).factor_permille)
    assert factors == [492, 492]


def test_an_order_at_a_bus_that_the_feeder_lacks_is_not_certified() -> None:
    chain = Chain()
    slot = bidding(chain, star(buses=2))
    record = cleared(chain, slot, (3, BID, 60_000, 1_000), (1, ASK, 40_000, 1_000))
    assert (record.state, record.factor_permille) == (RECLEAR, 0)
    assert chain.events_of("slot_insecure")[0]["reason"] == "off_feeder"
    assert_settled(chain, slot)


def test_without_a_feeder_or_with_one_that_bears_all_the_state_is_the_same() -> None:
    """Nothing of a microgrid's state but the feeder itself shows that its schedules were checked."""

    def run(feeder: registry_pb.Feeder | None) -> dict[bytes, bytes]:
        chain = Chain()
        slot = bidding(chain, feeder)
        cleared(chain, slot, (2, BID, 60_000, 900_000), (3, BID, 50_000, 300_000), (1, ASK, 40_000, 1_100_000))
        assert_settled(chain, slot)
        return {key: value for key, value in chain.store.data.items() if not key.startswith(b"rg/f/")}

    assert run(None) == run(star(registry_pb.SECURITY_MODE_UNSPECIFIED)) == run(star())


MECHANISMS = [
    pb.MECHANISM_UNIFORM_K,
    pb.MECHANISM_TRADE_REDUCTION,
    pb.MECHANISM_PAY_AS_BID,
    pb.MECHANISM_DISCRIMINATORY_K,
    pb.MECHANISM_MUDA,
    pb.MECHANISM_GREEDY,
]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_no_sealed_schedule_breaks_a_limit_whatever_the_mechanism(mechanism: int) -> None:
    random, cells = Random(mechanism), 5
    cut = 0
    for seed in range(12):
        chain, feeder = Chain(cells=cells, mechanism=mechanism), star(buses=cells)
        for branch in feeder.branches:
            branch.s_max_W = random.randrange(100, 3_000)
            branch.r_pu_q30 = random.randrange(2**20, 2**25)
        slot = bidding(chain, feeder)
        orders = [
            (
                cell,
                BID if (cell + seed) % 2 else ASK,
                random.randrange(20_000, 80_000, 5_000),
                random.randrange(1, 10**6),
            )
            for cell in range(1, cells + 1)
            for _ in range(2)
        ]
        record = cleared(chain, slot, *orders)
        flow = PowerFlow(grid_of(feeder))
        found = solve(flow, sealed(chain, record))
        assert violations(flow.grid, found, SLACK) == []
        if record.state == RECLEAR:
            cut += 1
            assert record.factor_permille < 1000
            above = record.factor_permille + 2
            assert slack_of(flow.grid, solve(flow, sealed(chain, record, above))) < 1e-3
        assert_settled(chain, slot)
    assert cut


def sealed(chain: Chain, record: pb.Slot, factor: int | None = None) -> list[BusEnergy]:
    changed = pb.Slot()
    changed.CopyFrom(record)
    changed.factor_permille = record.factor_permille if factor is None else factor
    energies = []
    for cell in range(1, 6):
        own = state.orders_of(chain.ctx(), record.slot, cell)
        for row in awards.filled(chain.ctx(), changed, own):
            sign = 1 if row.order.side == keys.BID else -1
            energies.append(BusEnergy(bus=row.order.bus, trade_p_mWh=sign * row.fill_mWh))
    return energies


def test_a_feeder_of_genesis_is_in_force_from_the_first_slot() -> None:
    chain = Chain()
    ctx = chain.ctx()
    doc = {"params": {"utility": UTILITY, "microgrid": "mga"}, "feeder": json_format.MessageToDict(star())}
    Registry().init_genesis(ctx, doc)
    assert registered.feeder(ctx) == star()
    with pytest.raises(ChainError) as caught:
        Registry().init_genesis(ctx, {**doc, "feeder": {"mode": "SECURITY_MODE_BALLOT"}})
    assert caught.value.ident == ("registry", 6)
