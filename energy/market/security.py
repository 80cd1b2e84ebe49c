"""The network check: on a radial feeder of mode CHAIN the chain certifies its own schedules (slot protocol 3).

At CLEAR a schedule is what the utility cell forecast at each bus (or forecast last), firm orders whole, and the fills
of flexible ones. What isn't certified whole is cut to the largest certified factor on the fills; where nothing is
certified without trades either the factor is 0. Until SECURE the utility cell may propose caps, which count if the
clearing under them is certified whole and worth more. At SECURE the largest certified part of what flexible asks
didn't sell is let out to the main grid. Without a feeder, or with one of mode UNSPECIFIED, nothing is checked.
"""

from __future__ import annotations

from collections.abc import Mapping

from cosmos_wire.protos import market as pb
from cosmos_wire.protos import registry as registry_pb
from energy.errors import NotCertified, WelfareNotBetter
from energy.grid.network import network_of
from energy.grid.schedule import BusEnergy
from energy.grid.secure import Secured, secure
from energy.market import forward_book, inverters, keys, minimum
from energy.market.clearing import Caps
from energy.market.mechanism import Proposal, adopt, fills_under, least_fills, propose, propose_without, read_once
from energy.market.schedule import BusSum, Sums, Tangents, add_to, awarded_by, whole_fills
from energy.records import keys_of
from energy.registry import state as registered
from energy.units import PERMILLE, stored
from ibc_core.host import Context, event


def judge(ctx: Context, slot: int, proposal: Proposal, set_points: Mapping[int, int] | None = None) -> Secured | None:
    """What the feeder in force bears of a clearing; None when nothing has to be checked."""
    feeder = checked_feeder(ctx)
    if feeder is None:
        return None
    return secure(network_of(feeder), [*baselines(ctx, slot, set_points), *trades(ctx, slot, proposal)])


def propose_judged(ctx: Context, record: pb.Slot) -> tuple[Proposal, Secured | None]:
    """A clearing and what the feeder bears of it; minimum fills hold after the cut, if there is one."""
    least = least_fills(ctx, record)
    read = read_once(ctx, record.slot) if least else None

    def once(dropped: tuple[int, ...]) -> tuple[Proposal, Secured | None]:
        proposal = propose_without(ctx, record, {}, dropped, read)
        return proposal, judge(ctx, record.slot, proposal)

    if not least:
        return once(())
    fills_of = fills_under(ctx, record)
    return minimum.cleared(once, lambda found: fills_of(found[0], _factor(found[1])), least)


def _factor(secured: Secured | None) -> int:
    return PERMILLE if secured is None or secured.refusal is None else secured.factor_permille


def checked_feeder(ctx: Context) -> registry_pb.Feeder | None:
    """The feeder in force when schedules are certified against it."""
    feeder = registered.feeder(ctx)
    return feeder if feeder is not None and feeder.mode == registry_pb.SECURITY_MODE_CHAIN else None


def voted_feeder(ctx: Context) -> registry_pb.Feeder | None:
    """The feeder in force when validators vote on schedules."""
    feeder = registered.feeder(ctx)
    return feeder if feeder is not None and feeder.mode == registry_pb.SECURITY_MODE_BALLOT else None


def feeder_in_force(ctx: Context) -> registry_pb.Feeder | None:
    """The feeder that schedules are held against, by whomever; None when there is none."""
    feeder = registered.feeder(ctx)
    return feeder if feeder is not None and feeder.mode != registry_pb.SECURITY_MODE_UNSPECIFIED else None


def baselines(ctx: Context, slot: int, set_points: Mapping[int, int] | None = None) -> list[BusEnergy]:
    """What is fixed before the auction, by bus: the forecast of those without orders, and forward positions."""
    return forward_book.with_positions(ctx, slot, forecasts(ctx, slot, set_points))


def forecasts(ctx: Context, slot: int, set_points: Mapping[int, int] | None = None) -> list[BusEnergy]:
    """What the utility cell forecast for the slot, by bus; from CLEAR on, when it said nothing, what it said last.

    With the set-points of inverters (mvarh by bus, withdrawal positive): those given, else those adopted.
    """
    points = inverters.adopted(ctx, slot) if set_points is None else set_points
    rows: dict[int, list[int]] = {}
    prefix = keys.baseline_prefix(slot)
    for key, raw in ctx.app.iterate(prefix):
        said = pb.Baseline.FromString(raw)
        rows[int.from_bytes(key[len(prefix) :], "big")] = [said.p_mWh, said.q_mvarh]
    for bus, q_mvarh in points.items():
        rows.setdefault(bus, [0, 0])[1] += q_mvarh
    return [BusEnergy(bus=bus, base_p_mWh=p, base_q_mvarh=q) for bus, (p, q) in sorted(rows.items())]


def freeze_baseline(ctx: Context, record: pb.Slot) -> None:
    """When no forecast came the last sealed one becomes the slot's own, whatever is sealed meanwhile."""
    prefix = keys.baseline_prefix(record.slot)
    if feeder_in_force(ctx) is None or keys_of(ctx.app, prefix, 1):
        return
    for key, raw in list(ctx.app.iterate(keys.BASELINE_LAST)):
        ctx.app.set(prefix + key[len(keys.BASELINE_LAST) :], raw)
        record.baseline_inherited = True


def keep_baseline(ctx: Context, record: pb.Slot) -> None:
    """At SEAL: the slot's forecast stands in for those that don't come, where there is a feeder."""
    prefix = keys.baseline_prefix(record.slot)
    asked = feeder_in_force(ctx) is not None and not record.baseline_inherited
    rows = list(ctx.app.iterate(prefix)) if asked else []
    if not rows:
        return
    for key in [key for key, _ in ctx.app.iterate(keys.BASELINE_LAST)]:
        ctx.app.delete(key)
    for key, raw in rows:
        ctx.app.set(keys.BASELINE_LAST + key[len(prefix) :], raw)


def trades(ctx: Context, slot: int, proposal: Proposal) -> list[BusEnergy]:
    """Orders under a clearing, by bus: firm ones whole, the fills of flexible ones, which a factor scales."""
    firm, flexible, tangents = Sums(), Sums(), Tangents(ctx=ctx)
    for order, fill in whole_fills(ctx.app, slot, proposal.clearing, awarded_by(proposal.outcome)):
        if order.kind:
            add_to(firm, order, order.quantity_mWh, tangents.of(order.cell))
        elif fill:
            add_to(flexible, order, fill, tangents.of(order.cell))
    return [*fixed(firm), *scaled(flexible)]


def fixed(sums: Mapping[int, BusSum]) -> list[BusEnergy]:
    """Energies that no factor scales."""
    return [
        BusEnergy(bus=bus, base_p_mWh=total.p_mWh, base_q_permille=total.q_permille)
        for bus, total in sorted(sums.items())
    ]


def scaled(sums: Mapping[int, BusSum]) -> list[BusEnergy]:
    """Energies that a factor scales, order by order."""
    return [
        BusEnergy(
            bus=bus,
            trade_p_mWh=total.p_mWh,
            trade_q_permille=total.q_permille,
            rounding_mWh=total.orders,
            rounding_q_permille=total.tangents_permille,
        )
        for bus, total in sorted(sums.items())
    ]


def let_out_permille(ctx: Context, record: pb.Slot, settled: Mapping[int, BusSum], unsold: Mapping[int, BusSum]) -> int:
    """The largest certified part of what flexible asks didn't sell that may be fed in; all of it without a check.

    `settled` is what orders draw and feed in without it. A slot without trade for want of a certificate lets out
    nothing, and so does a feeder on which the chain certifies nothing by itself (mode BALLOT).
    """
    feeder = feeder_in_force(ctx)
    if feeder is None:
        return PERMILLE
    if feeder.mode != registry_pb.SECURITY_MODE_CHAIN or record.factor_permille == 0:
        return 0
    if not unsold:
        return PERMILLE
    energies = [*baselines(ctx, record.slot), *fixed(settled), *scaled(unsold)]
    return secure(network_of(feeder), energies).factor_permille


def improve(ctx: Context, record: pb.Slot, caps: Caps, set_points: Mapping[int, int]) -> str:
    """Clear anew under caps and adopt what is certified whole and worth more than the best so far; raises otherwise.

    With it the set-points of inverters, which take the place of earlier ones.

    Raises NotCertified with element and reason, WelfareNotBetter. Returns the new welfare.
    """
    proposal = propose(ctx, record, caps)
    secured = judge(ctx, record.slot, proposal, set_points)
    if secured is not None and secured.refusal is not None:
        raise NotCertified(str(secured.refusal))
    best = stored(record.clearing.welfare) * record.factor_permille // PERMILLE
    if stored(proposal.clearing.welfare) <= best:
        raise WelfareNotBetter(f"a welfare above {best} is expected, got {proposal.clearing.welfare}")
    adopt(ctx, record, proposal)
    inverters.adopt(ctx, record.slot, set_points)
    record.factor_permille = PERMILLE
    return proposal.clearing.welfare


def announce(ctx: Context, slot: int, secured: Secured) -> None:
    """Say what the feeder refused."""
    assert secured.refusal is not None  # only what was refused is announced
    reason, element = secured.refusal.reason.value, secured.refusal.element
    ctx.events.emit(event("slot_insecure", slot=slot, element=element, reason=reason))
    if secured.certificate is None:
        ctx.events.emit(event("baseline_infeasible", slot=slot))
