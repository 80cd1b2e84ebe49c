"""Work whose time has come, at the start of a block: bounded, in time order, the rest next block."""

from __future__ import annotations

from energy.trade import buyer, delivery, offers, outcome, records, seller
from energy.trade.keys import Due, DueKind
from energy.trade.ports import Ports
from ibc_core.host import Context


def run(ctx: Context, ports: Ports) -> None:
    """Do up to `sweeps_per_block` entries; what is past its time and not reached is refused for everything else."""
    most = records.params(ctx).sweeps_per_block
    for due in list(records.due_by(ctx, ctx.env.time_ms, most)):
        ctx.app.delete(due.key)
        dispatch(ctx, ports, due)


def dispatch(ctx: Context, ports: Ports, due: Due) -> None:
    """Hand an entry to what it is for."""
    match due.kind:
        case DueKind.SELLER_GATE:
            seller.gate_due(ctx, ports, due)
        case DueKind.BUYER_GATE:
            buyer.gate_due(ctx, ports, due)
        case DueKind.SELLER_ACT:
            seller.act_due(ctx, ports, due)
        case DueKind.BUYER_ACT:
            buyer.act_due(ctx, due)
        case DueKind.OFFER_END:
            offers.end_due(ctx, due)
        case DueKind.HEARD_END:
            offers.heard_end_due(ctx, due)
        case DueKind.METER_END:
            delivery.meter_end_due(ctx, ports, due)
        case DueKind.DISPUTE_END:
            delivery.dispute_end_due(ctx, ports, due)
        case DueKind.BUYER_CLOSE:
            outcome.close_due(ctx, ports, due)
