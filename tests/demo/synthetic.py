"""Days of a market on a feeder without a chain: random books, the chain's own clearing and its own network check."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from bsmg.demo.feeder_day import BusPower, FeederSeen, SlotSeen
from bsmg.demo.physical import free_clearing
from cosmos_wire.protos import market
from energy.grid.network import network_of
from energy.grid.schedule import BusEnergy
from energy.grid.secure import secure
from energy.market.clearing import BookOrder, fill_mWh
from energy.units import PERMILLE
from physics.feeders import Case
from physics.markets import random_market

FLOOR, CAP, TAN = 20_000, 80_000, 484
PARAMS = market.Params(mechanism=market.MECHANISM_UNIFORM_K, k_num=1, k_den=2)


def seen_day(case: Case, slots: int, seed: int = 1) -> FeederSeen:
    """Slots from midnight on; the sun shines at noon, more load in the evening."""
    addresses = {f"cell-{site.bus}": TAN for site in case.sites}
    rows = tuple(seen_slot(case, seed * 1_000 + at, at * 96 // slots) for at in range(slots))
    return FeederSeen(feeder=case.feeder, params=PARAMS, tan_phi=addresses, slots=rows)


def seen_slot(case: Case, number: int, quarter: int) -> SlotSeen:
    """A slot as the chain would have left it: cut to what is certified, what is left over let out as far as it goes."""
    sun = max(0.0, 1 - abs(quarter - 50) / 24)
    orders = _orders(case, number, sun)
    record = market.Slot(slot=number, prices=market.FrozenPrices(floor_e4=FLOOR, cap_e4=CAP))
    record.clearing.CopyFrom(
        free_clearing(SlotSeen(record=record, orders=orders, buses=(), before=(), beside=()), PARAMS)
    )
    load = 250 + 350 * (64 <= quarter < 88)
    base = [site.baseline(load_permille=load) for site in case.sites]
    net, fills = network_of(case.feeder), {o.seq: fill_mWh(_entry(o), record.clearing, PERMILLE) for o in orders}
    found = secure(net, [*base, *(_trade(o, fills[o.seq]) for o in orders)])
    record.factor_permille = found.factor_permille
    got = {seq: fill * found.factor_permille // PERMILLE for seq, fill in fills.items()}
    fixed = [*base, *(_fixed(_trade(o, got[o.seq])) for o in orders)]
    out = secure(net, [*fixed, *(_trade(o, o.quantity_mWh - got[o.seq]) for o in orders if o.side == market.SIDE_ASK)])
    moved: list[tuple[int, int]] = []
    left = 0
    for o in orders:
        rest = (o.quantity_mWh - got[o.seq]) * out.factor_permille // PERMILLE
        left += o.quantity_mWh - got[o.seq] - rest if o.side == market.SIDE_ASK else 0
        bought, sold = (got[o.seq], 0) if o.side == market.SIDE_BID else (0, got[o.seq] + rest)
        moved.append((o.bus, bought - sold))
    record.export_permille, record.curtailed_mWh = out.factor_permille, left
    return SlotSeen(
        record=record,
        orders=orders,
        buses=_schedule(base, moved),
        before=_schedule(base, ()),
        beside=_schedule(base, ()),
        refused="" if found.refusal is None else str(found.refusal),
    )


def _orders(case: Case, seed: int, sun: float) -> tuple[market.Order, ...]:
    problem, random = random_market(case, seed, supply=6), Random(seed)
    orders = []
    for seq, block in enumerate(problem.blocks, 1):
        share = 1.0 if block.direction > 0 else sun * random.uniform(0.5, 1.0)
        quantity = int(block.quantity_mWh * share)
        if quantity:
            order = market.Order(slot=seed, seq=seq, cell=f"cell-{block.bus}", price_e4=block.price_e4, bus=block.bus)
            order.quantity_mWh = quantity
            order.side = market.SIDE_BID if block.direction > 0 else market.SIDE_ASK
            orders.append(order)
    return tuple(orders)


def _entry(order: market.Order) -> BookOrder:
    return BookOrder(order.side, order.price_e4, order.seq, 0, order.bus, order.quantity_mWh)


def _trade(order: market.Order, energy_mWh: int) -> BusEnergy:
    signed = energy_mWh if order.side == market.SIDE_BID else -energy_mWh
    return BusEnergy(bus=order.bus, trade_p_mWh=signed, trade_q_permille=signed * TAN, rounding_mWh=1)


def _fixed(energy: BusEnergy) -> BusEnergy:
    return BusEnergy(bus=energy.bus, base_p_mWh=energy.trade_p_mWh, base_q_mvarh=energy.trade_q_permille // PERMILLE)


def _schedule(base: Iterable[BusEnergy], moved: Iterable[tuple[int, int]]) -> tuple[BusPower, ...]:
    sums = {row.bus: [row.base_p_mWh, row.base_q_mvarh] for row in base}
    for bus, p_mWh in moved:
        row = sums.setdefault(bus, [0, 0])
        row[0] += p_mWh
        row[1] += p_mWh * TAN // PERMILLE
    return tuple(BusPower(bus=bus, p_mWh=p, q_mvarh=q) for bus, (p, q) in sorted(sums.items()))
