"""Independent physics of a day: AC power flows of what was sealed and of what no check would have held, the optimum.

The schedule is the chain's (Query/Schedule). What the clearing alone would have been is worked out from the book and
from what was fixed before (Query/Forecast): the same auction without caps, set-points and a factor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from google.protobuf import json_format

from bsmg.demo.feeder_day import (
    PLACES_LOAD,
    PLACES_V,
    BusPower,
    FeederDay,
    FeederSeen,
    FeederSlot,
    SlotSeen,
    State,
)
from cosmos_wire.protos import market
from energy.errors import NotCertified
from energy.grid.network import Network, network_of
from energy.grid.schedule import BusEnergy
from energy.grid.welfare import Offer, auction_problem
from energy.market.clearing import BookOrder, Rules, clear, fill_mWh
from energy.market.keys import ASK, BID
from energy.market.minimum import Dropped, cleared
from energy.mechanisms.book import merit
from energy.units import MWH_PER_W, PERMILLE
from physics.errors import DispatchError, PowerFlowError
from physics.opf import LOSS_E4, Dispatch, Opf
from physics.powerflow import Floats, Grid, PowerFlow, grid_of

STEPS_MAX = 300  # a side, kept and drawn
SLACK = 1e-6  # p.u.: less counts as touching a limit
MERGED = (
    market.MECHANISM_UNIFORM_K,
    market.MECHANISM_TRADE_REDUCTION,
    market.MECHANISM_PAY_AS_BID,
    market.MECHANISM_LAO,
    market.MECHANISM_FRO,
)
K_OF = {market.MECHANISM_LAO: (0, 1), market.MECHANISM_FRO: (1, 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Studied:
    """What no check would have held, by bus: the clearing alone, and with all that was offered fed in."""

    free: dict[int, list[int]]
    open: dict[int, list[int]]
    clearing: market.Clearing


class Study:
    """One feeder; models are built once and kept over the day."""

    def __init__(self, seen: FeederSeen) -> None:
        self._seen = seen
        self._grid = grid_of(seen.feeder)
        self._flow = PowerFlow(self._grid)
        self._net = _network(seen)
        self._opf = Opf()

    def day(self, quarter: Callable[[int], int], done: Callable[[], None] = lambda: None) -> FeederDay:
        """Every slot; `done` is called after each."""
        feeder, rows = self._seen.feeder, []
        for seen in self._seen.slots:
            rows.append(self.slot(seen, quarter(seen.record.slot)))
            done()
        return FeederDay(
            root=feeder.root_bus,
            buses=self._grid.buses,
            branches=tuple((branch.from_bus, branch.to_bus) for branch in feeder.branches),
            ratings_W=tuple(branch.s_max_W for branch in feeder.branches),
            v_min=self._grid.v_min,
            v_max=self._grid.v_max,
            feeder=json_format.MessageToDict(feeder, preserving_proto_field_name=True),
            slots=tuple(rows),
        )

    def slot(self, seen: SlotSeen, quarter: int) -> FeederSlot:
        """One slot."""
        record, studied = seen.record, self._studied(seen)
        sealed = _rows(seen.buses)
        free, final = self.state(studied.free), self.state(sealed)
        asked = sum(order.quantity_mWh for order in seen.orders if order.side == market.SIDE_ASK)
        best = self._best(seen) if free.violations or seen.refused else None
        lmps = seen.lmps_e4 or ({} if best is None else _by_bus(self._net, best[0]))
        return FeederSlot(
            slot=record.slot,
            quarter=quarter,
            price_e4=record.clearing.price_e4,
            volume_mWh=record.clearing.volume_mWh * record.factor_permille // PERMILLE,
            free_price_e4=studied.clearing.price_e4,
            free_volume_mWh=studied.clearing.volume_mWh,
            bids=steps(seen.orders, market.SIDE_BID),
            asks=steps(seen.orders, market.SIDE_ASK),
            factor_permille=record.factor_permille,
            export_permille=record.export_permille,
            voided=record.voided,
            refused=seen.refused,
            caps_codes=seen.caps_codes,
            capped=bool(record.clearing.cuts),
            set_points=seen.before != seen.beside,
            p_mWh=self._row(sealed, 0),
            q_mvarh=self._row(sealed, 1),
            sealed=final,
            free=free,
            open_violations=self.state(studied.open).violations,
            grid_import_mWh=record.grid_import_mWh,
            grid_export_mWh=record.grid_export_mWh,
            curtailed_mWh=record.curtailed_mWh,
            asked_mWh=asked,
            loss_mWh=record.loss_mWh,
            welfare=int(record.clearing.welfare or 0) * record.factor_permille // PERMILLE,
            best_welfare=None if best is None else best[1],
            lmps_e4=tuple(lmps.get(bus, 0) for bus in self._grid.buses) if lmps else (),
            lmps_of_chain=bool(seen.lmps_e4),
        )

    def _row(self, powers: dict[int, list[int]], at: int) -> tuple[int, ...]:
        return tuple(powers.get(bus, (0, 0))[at] for bus in self._grid.buses)

    def state(self, powers: dict[int, list[int]]) -> State:
        """AC power flow of withdrawals [mWh, mvarh] by bus."""
        off = sorted(powers.keys() - set(self._grid.buses))
        if off:
            return State(
                v=(), loading=(), loss_mWh=0, violations=tuple(f"bus {bus} is not on the feeder" for bus in off)
            )
        unit = MWH_PER_W * self._grid.s_base_W
        p, q = (np.array(self._row(powers, at), dtype=float) / unit for at in (0, 1))
        try:
            flow = self._flow.solve(p, q)
        except PowerFlowError as error:
            return State(v=(), loading=(), loss_mWh=0, violations=(str(error),))
        most = np.maximum(np.hypot(flow.p_from, flow.q_from), np.hypot(flow.p_to, flow.q_to))
        return State(
            v=_rounded(flow.v, PLACES_V),
            loading=_rounded(most / self._grid.s_max, PLACES_LOAD),
            loss_mWh=round(flow.losses * unit),
            violations=_broken(self._grid, flow.v, most),
        )

    def _studied(self, seen: SlotSeen) -> Studied:
        clearing = free_clearing(seen, self._seen.params)
        free, everything = (_rows(seen.before) for _ in range(2))
        for order in seen.orders:
            tangent = self._seen.tan_phi.get(order.cell, 0)
            sign = 1 if order.side == market.SIDE_BID else -1
            fill = fill_mWh(_entry(order), clearing, PERMILLE)
            if firm(order):
                fill = order.quantity_mWh
            _add(free, order.bus, sign * fill, tangent)
            _add(everything, order.bus, sign * (fill if sign > 0 else order.quantity_mWh), tangent)
        return Studied(free=free, open=everything, clearing=clearing)

    def _best(self, seen: SlotSeen) -> tuple[Dispatch, int] | None:
        """The optimal power flow of the slot's book and its welfare; None if it is meshed or infeasible.

        Inverters keep the set-points that were adopted.
        What a loss costs is next to nothing here, so that the optimum is one of the trades' welfare.
        """
        if self._net is None or not seen.orders:
            return None
        base = [BusEnergy(bus=bus, base_p_mWh=p, base_q_mvarh=q) for bus, (p, q) in sorted(_rows(seen.beside).items())]
        try:
            problem, _ = auction_problem(self._net, base, [self._offer(order) for order in seen.orders], LOSS_E4)
            found = self._opf.solve(problem)
        except (DispatchError, NotCertified):
            return None
        rows = zip(problem.blocks, found.fills, strict=True)
        return found, sum(block.direction * block.price_e4 * fill for block, fill in rows)

    def _offer(self, order: market.Order) -> Offer:
        return Offer(
            bus=order.bus,
            direction=1 if order.side == market.SIDE_BID else -1,
            price_e4=order.price_e4,
            quantity_mWh=order.quantity_mWh,
            fill_mWh=0,
            tan_phi_permille=self._seen.tan_phi.get(order.cell, 0),
            firm=firm(order),
        )


def _broken(grid: Grid, v: Floats, most: Floats) -> tuple[str, ...]:
    """Every limit that is broken, in words; of voltages and of branches the worst first."""
    over_v = np.maximum(v - grid.v_max, grid.v_min - v)
    over_s = most / grid.s_max - 1
    buses = [
        f"bus {grid.buses[at]} at {v[at]:.4f} p.u., limit {grid.v_max if v[at] > 1 else grid.v_min:g}"
        for at in np.argsort(-over_v, kind="stable").tolist()
        if over_v[at] > SLACK
    ]
    branches = [
        f"branch {_name(grid, at)} at {100 * (1 + over_s[at]):.1f} % of its rating"
        for at in np.argsort(-over_s, kind="stable").tolist()
        if most[at] > grid.s_max[at] + SLACK
    ]
    return (*branches, *buses)


def _name(grid: Grid, at: int) -> str:
    return f"{grid.buses[int(grid.from_bus[at])]}-{grid.buses[int(grid.to_bus[at])]}"


def firm(order: market.Order) -> bool:
    """Whether the order's energy flows whether it trades or not."""
    return order.kind != market.ORDER_KIND_FLEXIBLE


def _rows(buses: Iterable[BusPower]) -> dict[int, list[int]]:
    """[mWh, mvarh] by bus."""
    return {row.bus: [row.p_mWh, row.q_mvarh] for row in buses}


def _add(powers: dict[int, list[int]], bus: int, p_mWh: int, tan_phi_permille: int) -> None:
    row = powers.setdefault(bus, [0, 0])
    row[0] += p_mWh
    row[1] += p_mWh * tan_phi_permille // PERMILLE


def free_clearing(seen: SlotSeen, params: market.Params) -> market.Clearing:
    """The auction of the book without caps, minimum fills kept.

    Mechanisms that are no merge of the sorted book are stood in for by the uniform auction.
    """
    mechanism = params.mechanism if params.mechanism in MERGED else market.MECHANISM_UNIFORM_K
    k_num, k_den = K_OF.get(mechanism, (params.k_num, params.k_den or 1))
    rules = Rules(
        mechanism=mechanism,
        k_num=k_num,
        k_den=k_den,
        floor_e4=seen.record.prices.floor_e4,
        cap_e4=seen.record.prices.cap_e4,
    )
    book = sorted((_entry(order) for order in seen.orders), key=merit)

    def run(dropped: Dropped) -> market.Clearing:
        bids, asks = (iter([o for o in book if o.side == side and o.seq not in dropped]) for side in (BID, ASK))
        found = clear((bids, asks), rules, {})[0]
        found.dropped.extend(dropped)
        return found

    def fills_of(clearing: market.Clearing) -> Callable[[int], int]:
        return {entry.seq: fill_mWh(entry, clearing, PERMILLE) for entry in book}.__getitem__

    return cleared(run, fills_of, {order.seq: order.min_fill_mWh for order in seen.orders if order.min_fill_mWh})


def _entry(order: market.Order) -> BookOrder:
    return BookOrder(order.side, order.price_e4, order.seq, 0, order.bus, order.quantity_mWh)


def steps(orders: Iterable[market.Order], side: int) -> tuple[tuple[int, int], ...]:
    """Energy of a side by price, best price first; of very many prices neighbours become one step at their worst."""
    sums: dict[int, int] = {}
    for order in orders:
        if order.side == side:
            sums[order.price_e4] = sums.get(order.price_e4, 0) + order.quantity_mWh
    rows = sorted(sums.items(), reverse=side == market.SIDE_BID)
    size = -(-len(rows) // STEPS_MAX) or 1
    chunks = [rows[at : at + size] for at in range(0, len(rows), size)]
    return tuple((chunk[-1][0], sum(energy for _, energy in chunk)) for chunk in chunks)


def _network(seen: FeederSeen) -> Network | None:
    buses = {bus for branch in seen.feeder.branches for bus in (branch.from_bus, branch.to_bus)}
    return network_of(seen.feeder) if len(seen.feeder.branches) == len(buses) - 1 else None


def _by_bus(net: Network | None, best: Dispatch) -> dict[int, int]:
    assert net is not None  # there was an optimal power flow
    return {bus: round(price) for bus, price in zip(net.bus, best.prices_e4.tolist(), strict=True)}


def _rounded(values: Floats, places: int) -> tuple[float, ...]:
    return tuple(round(value, places) for value in values.tolist())
