"""Answers of `bsmg.meter.v1.Query`."""

from __future__ import annotations

from cosmos_wire.protos import meter_query as query
from cosmos_wire.protos import meter_tx as tx
from energy.errors import UnknownDevice
from energy.meter import state
from ibc_core.host import Context
from ibc_core.paginate import paginate


def readings(ctx: Context, request: query.QueryReadingsRequest) -> query.QueryReadingsResponse:
    """Readings of a slot by device, until the slot closes."""
    items, page = paginate(ctx.app, state.readings_prefix(request.slot), request.pagination)
    return query.QueryReadingsResponse(readings=[tx.Reading.FromString(raw) for _, raw in items], pagination=page)


def estimates(ctx: Context, request: query.QueryEstimatesRequest) -> query.QueryEstimatesResponse:
    """What the utility cell's state estimation said of a slot's meters, until the slot closes."""
    silent, contradicted = (
        [tx.Estimate.FromString(raw) for _, raw in ctx.app.iterate(prefix)]
        for prefix in (state.estimates_prefix(request.slot), state.flags_prefix(request.slot))
    )
    root = ctx.app.get(state.root_key(request.slot)) or b""
    return query.QueryEstimatesResponse(estimates=silent, flagged=contradicted, residual_root=root)


def totals(ctx: Context, request: query.QueryTotalsRequest) -> query.QueryTotalsResponse:
    """A device's counters after its last accepted reading."""
    found = state.totals(ctx, request.device)
    if found is None:
        raise UnknownDevice(f"no reading of {request.device[:80]!r} was accepted yet")
    return query.QueryTotalsResponse(import_total_mWh=found.import_total_mWh, export_total_mWh=found.export_total_mWh)
