"""Answers of `bsmg.registry.v1.Query`."""

from __future__ import annotations

from cosmos_wire.protos import registry as pb
from cosmos_wire.protos import registry_query as query
from energy.errors import Unknown
from energy.records import load, u32
from energy.registry import state
from ibc_core.host import Context
from ibc_core.paginate import paginate


def params(ctx: Context, _request: query.QueryParamsRequest) -> query.QueryParamsResponse:
    """The registry's parameters."""
    return query.QueryParamsResponse(params=state.params(ctx))


def cell(ctx: Context, request: query.QueryCellRequest) -> query.QueryCellResponse:
    """A cell by identity or account."""
    return query.QueryCellResponse(cell=state.find_cell(ctx, request.cell))


def cells(ctx: Context, request: query.QueryCellsRequest) -> query.QueryCellsResponse:
    """All cells by number."""
    items, page = paginate(ctx.app, state.CELLS, request.pagination)
    return query.QueryCellsResponse(cells=[pb.Cell.FromString(raw) for _, raw in items], pagination=page)


def device(ctx: Context, request: query.QueryDeviceRequest) -> query.QueryDeviceResponse:
    """A device by identity."""
    found = state.device(ctx, request.device)
    if found is None:
        raise Unknown(f"no device has the identity {request.device[:80]!r}")
    return query.QueryDeviceResponse(device=found)


def devices(ctx: Context, request: query.QueryDevicesRequest) -> query.QueryDevicesResponse:
    """All devices by identity, or those of one cell."""
    if not request.cell:
        items, page = paginate(ctx.app, state.DEVICES, request.pagination)
        return query.QueryDevicesResponse(devices=[pb.Device.FromString(raw) for _, raw in items], pagination=page)
    prefix = state.DEVICES_OF + u32(state.find_cell(ctx, request.cell).number) + b"/"
    items, page = paginate(ctx.app, prefix, request.pagination)
    found = (state.device(ctx, name.decode()) for name, _ in items)
    return query.QueryDevicesResponse(devices=[item for item in found if item is not None], pagination=page)


def feeder(ctx: Context, _request: query.QueryFeederRequest) -> query.QueryFeederResponse:
    """The feeder in force."""
    found = load(ctx, state.FEEDER, pb.Feeder)
    if found is None:
        raise Unknown("no feeder is set")
    return query.QueryFeederResponse(feeder=found)
