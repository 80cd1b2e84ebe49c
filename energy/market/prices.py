"""Marginal prices by bus that nobody has to believe: the utility cell posts a dual, the chain bounds the gap (C3).

The problem is that of the slot's own auction on the feeder in force (`energy.grid.welfare`), the schedule the one that
the slot was cleared to. When no other schedule is better by more than tau, the dual's prices are kept by bus until the
slot is pruned. A later post counts if its gap is smaller. Only radial feeders of mode CHAIN have prices.
"""

from __future__ import annotations

from collections.abc import Sequence

from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query as query
from cosmos_wire.protos import market_tx as tx
from energy.errors import NotCertified, WelfareNotBetter
from energy.grid.dispatch import ASK, BID
from energy.grid.network import Network, network_of
from energy.grid.optimality import Dual, prices_e4, require_near_optimal
from energy.grid.welfare import Offer, auction_problem
from energy.market import keys, schedule, security, state
from energy.market.clearing import BookOrder
from energy.market.life import Step, require_step
from energy.market.utility import require_utility
from energy.records import load, save
from energy.registry import Registry
from energy.units import PERMILLE, stored
from ibc_core.host import Context, event

GAS_PER_BUS = 200  # a third of a signature: 2 ms on 56 buses
WIDTHS = {"current": 4, "near": 3, "far": 3}


def post_optimality(ctx: Context, msg: tx.MsgPostOptimality) -> tx.MsgPostOptimalityResponse:
    """Certify a slot's marginal prices.

    Raises NotAuthorized, UnknownSlot, WrongState, NotCertified (no checked feeder, a voided slot, a malformed dual, a
    gap above tau), WelfareNotBetter (prices with as small a gap are kept already).
    """
    require_utility(ctx, msg.utility)
    record = state.slot_record(ctx, msg.slot)
    require_step(record, Step.PRICES)
    feeder = security.checked_feeder(ctx)
    if feeder is None or record.voided:
        raise NotCertified(f"a schedule on a feeder of mode CHAIN is expected, slot {record.slot} has none")
    net = network_of(feeder)
    ctx.gas.consume(GAS_PER_BUS * net.size, "near-optimality")
    dual = read_dual(net, msg.dual)
    price = loss_price_e4(record)
    problem, fills = auction_problem(net, security.baselines(ctx, record.slot), _offers(ctx, record), price)
    gap = require_near_optimal(problem, fills, dual, tau_of(record))
    _require_better(ctx, record.slot, gap.size)
    _keep(ctx, record, net, prices_e4(problem, dual), gap.size)
    return tx.MsgPostOptimalityResponse(gap=str(gap.size))


def loss_price_e4(record: pb.Slot) -> int:
    """What a loss costs: the slot's cap, at which the main grid sells.

    It is also more than any trade gains. Were it less, the relaxation would burn what the feeder can't carry.
    """
    return record.prices.cap_e4


def tau_of(record: pb.Slot) -> int:
    """The gap that a slot allows, base units: a fixed part, and a share of what was traded at the clearing price."""
    turnover = record.clearing.volume_mWh * record.clearing.price_e4
    return stored(record.params.lmp_tau) + turnover * record.params.lmp_tau_permille // PERMILLE


def read_dual(net: Network, said: tx.Multipliers) -> Dual:
    """The multipliers of a message; raises NotCertified when a cone's row is cut short."""
    cones = {}
    for name, width in WIDTHS.items():
        flat = list(getattr(said, name))
        if len(flat) != width * net.size:
            raise NotCertified(f"dual {name}: {width} numbers for {net.size} buses are expected, got {len(flat)}")
        cones[name] = tuple(tuple(flat[at : at + width]) for at in range(0, len(flat), width))
    return Dual(
        p=tuple(said.p),
        q=tuple(said.q),
        v=tuple(said.v),
        p_free=tuple(said.p_free),
        q_free=tuple(said.q_free),
        v_free=tuple(said.v_free),
        local=said.local,
        **cones,
    )


def write_dual(dual: Dual) -> tx.Multipliers:
    """The multipliers as a message carries them."""
    rows = {name: getattr(dual, name) for name in ("p", "q", "v", "p_free", "q_free", "v_free")}
    flat = {
        name: [value for row in getattr(dual, name) for value in _full(row, width)] for name, width in WIDTHS.items()
    }
    return tx.Multipliers(local=dual.local, **rows, **flat)


def _full(row: Sequence[int], width: int) -> Sequence[int]:
    return row if len(row) == width else (0,) * width


def _offers(ctx: Context, record: pb.Slot) -> list[Offer]:
    """Every order of the slot with what it got."""
    tangents = schedule.Tangents(ctx=ctx)
    return [offer_of(order, fill_mWh, tangents.of(order.cell)) for order, fill_mWh in schedule.fills(ctx, record)]


def offer_of(order: BookOrder, fill_mWh: int, tan_phi_permille: int) -> Offer:
    """An order as the welfare problem takes it."""
    return Offer(
        bus=order.bus,
        direction=BID if order.side == keys.BID else ASK,
        price_e4=order.price_e4,
        quantity_mWh=order.quantity_mWh,
        fill_mWh=fill_mWh,
        tan_phi_permille=tan_phi_permille,
        firm=order.kind != schedule.FLEXIBLE,
    )


def _require_better(ctx: Context, slot: int, gap: int) -> None:
    kept = load(ctx, keys.lmp_head_key(slot), pb.LmpHead)
    if kept is not None and gap >= stored(kept.gap):
        raise WelfareNotBetter(f"a gap below {kept.gap} is expected, got {gap}")


def _keep(ctx: Context, record: pb.Slot, net: Network, prices: Sequence[int], gap: int) -> None:
    slot = record.slot
    for bus, price in zip(net.bus, prices, strict=True):
        ctx.app.set(keys.lmp_key(slot, bus), str(price).encode())
    head = pb.LmpHead(gap=str(gap), tau=str(tau_of(record)), loss_price_e4=loss_price_e4(record))
    head.height = ctx.env.height
    save(ctx, keys.lmp_head_key(slot), head)
    ctx.events.emit(
        event("lmp_certified", slot=slot, gap=gap, lowest_e4=min(prices), highest_e4=max(prices), buses=len(prices))
    )


def lmps(_registry: Registry, ctx: Context, request: query.QueryLmpsRequest) -> query.QueryLmpsResponse:
    """The certified prices of a slot until it is pruned; nothing where none were posted."""
    state.slot_record(ctx, request.slot)
    prefix = keys.lmps_prefix(request.slot)
    buses = [
        query.BusLmp(bus=int.from_bytes(key[len(prefix) :], "big"), price_e4=int(raw))
        for key, raw in ctx.app.iterate(prefix)
    ]
    return query.QueryLmpsResponse(buses=buses, head=load(ctx, keys.lmp_head_key(request.slot), pb.LmpHead))
