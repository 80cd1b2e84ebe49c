"""The network check at CLEAR: on a radial feeder of mode CHAIN the chain certifies its own clearing (slot protocol 3).

A schedule is what the utility cell forecast at each bus (or forecast last) plus the fills. What isn't
certified whole is cut to the largest certified factor; a baseline that breaks a limit by itself leaves a factor of 0.
Until SECURE the utility cell may propose caps, which count if the clearing under them is certified whole and worth
more. A microgrid without a feeder, or with one of mode UNSPECIFIED, trades unchecked.
"""

from __future__ import annotations

from collections.abc import Iterator

from cosmos_wire.protos import market as pb
from cosmos_wire.protos import registry as registry_pb
from energy.errors import NotCertified, WelfareNotBetter
from energy.grid.network import network_of
from energy.grid.schedule import BusEnergy
from energy.grid.secure import Secured, secure
from energy.market import keys
from energy.market.clearing import BookOrder, Caps, fill_mWh, read_side
from energy.market.mechanism import Proposal, adopt, propose
from energy.registry import state as registered
from energy.units import PERMILLE, stored
from ibc_core.host import Context, event


def judge(ctx: Context, slot: int, proposal: Proposal) -> Secured | None:
    """What the feeder in force bears of a clearing; None when nothing has to be checked."""
    feeder = checked_feeder(ctx)
    if feeder is None:
        return None
    return secure(network_of(feeder), [*baselines(ctx, slot), *trades(ctx, slot, proposal)])


def checked_feeder(ctx: Context) -> registry_pb.Feeder | None:
    """The feeder in force when schedules are certified against it."""
    feeder = registered.feeder(ctx)
    return feeder if feeder is not None and feeder.mode == registry_pb.SECURITY_MODE_CHAIN else None


def voted_feeder(ctx: Context) -> registry_pb.Feeder | None:
    """The feeder in force when validators vote on schedules."""
    feeder = registered.feeder(ctx)
    return feeder if feeder is not None and feeder.mode == registry_pb.SECURITY_MODE_BALLOT else None


def baselines(ctx: Context, slot: int) -> list[BusEnergy]:
    """What the utility cell forecast for the slot, by bus; when it said nothing, what it said last of a sealed one."""
    return _baselines(ctx, keys.baseline_prefix(slot)) or _baselines(ctx, keys.BASELINE_LAST)


def _baselines(ctx: Context, prefix: bytes) -> list[BusEnergy]:
    found = []
    for key, raw in ctx.app.iterate(prefix):
        said = pb.Baseline.FromString(raw)
        bus = int.from_bytes(key[len(prefix) :], "big")
        found.append(BusEnergy(bus=bus, base_p_mWh=said.p_mWh, base_q_mvarh=said.q_mvarh))
    return found


def keep_baseline(ctx: Context, slot: int) -> None:
    """At SEAL: the slot's forecast stands in for those that don't come, where a feeder is checked."""
    prefix = keys.baseline_prefix(slot)
    rows = list(ctx.app.iterate(prefix)) if checked_feeder(ctx) is not None else []
    if not rows:
        return
    for key in [key for key, _ in ctx.app.iterate(keys.BASELINE_LAST)]:
        ctx.app.delete(key)
    for key, raw in rows:
        ctx.app.set(keys.BASELINE_LAST + key[len(prefix) :], raw)


def trades(ctx: Context, slot: int, proposal: Proposal) -> list[BusEnergy]:
    """The fills of a clearing summed by bus; reactive power follows each cell's registered tan phi."""
    sums: dict[int, list[int]] = {}
    tangents: dict[int, int] = {}
    for order, fill in fills(ctx, slot, proposal):
        if order.cell not in tangents:
            tangents[order.cell] = registered.cell(ctx, order.cell).tan_phi_permille
        signed, tangent = (fill if order.side == keys.BID else -fill), tangents[order.cell]
        row = sums.setdefault(order.bus, [0, 0, 0, 0])
        for at, value in enumerate((signed, signed * tangent, 1, tangent)):
            row[at] += value
    return [
        BusEnergy(bus=bus, trade_p_mWh=p, trade_q_permille=q, rounding_mWh=count, rounding_q_permille=tangent)
        for bus, (p, q, count, tangent) in sorted(sums.items())
    ]


def fills(ctx: Context, slot: int, proposal: Proposal) -> Iterator[tuple[BookOrder, int]]:
    """Every order that trades, with its fill at factor 1000."""
    if proposal.outcome is not None:
        for award in (*proposal.outcome.bids, *proposal.outcome.asks):
            yield award.order, award.fill_mWh
        return
    for side in (keys.BID, keys.ASK):
        for order in read_side(ctx.app, slot, side):
            fill = fill_mWh(order, proposal.clearing, PERMILLE)
            if fill:
                yield order, fill
            elif not (proposal.clearing.cuts or proposal.clearing.dropped):
                break  # in book order the first that gets nothing is followed by nobody who gets something


def improve(ctx: Context, record: pb.Slot, caps: Caps) -> str:
    """Clear anew under caps and adopt what is certified whole and worth more than the best so far; raises otherwise.

    Raises NotCertified with element and reason, WelfareNotBetter. Returns the new welfare.
    """
    proposal = propose(ctx, record, caps)
    secured = judge(ctx, record.slot, proposal)
    if secured is not None and secured.refusal is not None:
        raise NotCertified(str(secured.refusal))
    best = stored(record.clearing.welfare) * record.factor_permille // PERMILLE
    if stored(proposal.clearing.welfare) <= best:
        raise WelfareNotBetter(f"a welfare above {best} is expected, got {proposal.clearing.welfare}")
    adopt(ctx, record, proposal)
    record.factor_permille = PERMILLE
    return proposal.clearing.welfare


def announce(ctx: Context, slot: int, secured: Secured) -> None:
    """Say what the feeder refused."""
    assert secured.refusal is not None  # only what was refused is announced
    reason, element = secured.refusal.reason.value, secured.refusal.element
    ctx.events.emit(event("slot_insecure", slot=slot, element=element, reason=reason))
    if secured.certificate is None:
        ctx.events.emit(event("baseline_infeasible", slot=slot))
