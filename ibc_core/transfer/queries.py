"""ibc.applications.transfer.v1.Query, with the older DenomTrace(s)."""

from __future__ import annotations

from cosmos_wire.address import to_bech32
from cosmos_wire.errors import NotFound
from cosmos_wire.protos import Message, transfer_denomtrace, transfer_query, transfer_token
from ibc_core import paths
from ibc_core.host import Context, QueryRoute
from ibc_core.paginate import paginate
from ibc_core.queries.routes import routes
from ibc_core.state import find_channel
from ibc_core.transfer import ledger
from ibc_core.transfer.denom import Denom, from_message, parse, parse_hash, require_ledger_name
from ibc_core.transfer.legacy import LEGACY

SERVICE = "ibc.applications.transfer.v1.Query"


def transfer_queries() -> dict[str, QueryRoute]:
    """By method path."""
    current = routes(
        SERVICE,
        transfer_query,
        {
            "Params": _params,
            "Denom": _denom,
            "Denoms": _denoms,
            "DenomHash": _denom_hash,
            "EscrowAddress": _escrow_address,
            "TotalEscrowForDenom": _total_escrow,
        },
    )
    for method, handle in (("DenomTrace", _denom_trace), ("DenomTraces", _denom_traces)):
        request, response = LEGACY[f"Query{method}Request"], LEGACY[f"Query{method}Response"]
        current[f"/{SERVICE}/{method}"] = QueryRoute(handle, request, response)
    return current


def _params(ctx: Context, _request: transfer_query.QueryParamsRequest) -> transfer_query.QueryParamsResponse:
    return transfer_query.QueryParamsResponse(params=ledger.params(ctx))


def _find(ctx: Context, text: str) -> Denom:
    found = ledger.find_denom(ctx, parse_hash(text))
    if found is None:
        raise NotFound(f"{text}: denomination")
    return found


def _denom(ctx: Context, request: transfer_query.QueryDenomRequest) -> transfer_query.QueryDenomResponse:
    return transfer_query.QueryDenomResponse(denom=_find(ctx, request.hash).message())


def _denoms(ctx: Context, request: transfer_query.QueryDenomsRequest) -> transfer_query.QueryDenomsResponse:
    items, page = paginate(ctx.app, ledger.DENOMS, request.pagination)
    found = [transfer_token.Denom.FromString(raw) for _, raw in items]
    return transfer_query.QueryDenomsResponse(denoms=found, pagination=page)


def _denom_hash(ctx: Context, request: transfer_query.QueryDenomHashRequest) -> transfer_query.QueryDenomHashResponse:
    denom = parse(request.trace)
    if ledger.find_denom(ctx, denom.hash) is None:
        raise NotFound(f"{request.trace}: denomination")
    return transfer_query.QueryDenomHashResponse(hash=denom.hash.hex().upper())


def _escrow_address(
    ctx: Context, request: transfer_query.QueryEscrowAddressRequest
) -> transfer_query.QueryEscrowAddressResponse:
    paths.require_port_id(request.port_id)
    paths.require_channel_id(request.channel_id)
    if find_channel(ctx, request.port_id, request.channel_id) is None:
        raise NotFound(f"port ID ({request.port_id}) channel ID ({request.channel_id}): channel")
    account = ledger.escrow_address(request.port_id, request.channel_id)
    return transfer_query.QueryEscrowAddressResponse(escrow_address=to_bech32(account))


def _total_escrow(
    ctx: Context, request: transfer_query.QueryTotalEscrowForDenomRequest
) -> transfer_query.QueryTotalEscrowForDenomResponse:
    require_ledger_name(request.denom)
    response = transfer_query.QueryTotalEscrowForDenomResponse()
    response.amount.denom = request.denom
    response.amount.amount = str(ledger.total_escrow(ctx, request.denom))
    return response


def _trace(denom: Denom) -> transfer_denomtrace.DenomTrace:
    hops = "/".join(part for hop in denom.trace for part in hop)
    return transfer_denomtrace.DenomTrace(path=hops, base_denom=denom.base)


def _denom_trace(ctx: Context, request: Message) -> Message:
    wanted: str = getattr(request, "hash")  # noqa: B009  (the class is made at run time)
    return LEGACY["QueryDenomTraceResponse"](denom_trace=_trace(_find(ctx, wanted)))


def _denom_traces(ctx: Context, request: Message) -> Message:
    items, page = paginate(ctx.app, ledger.DENOMS, getattr(request, "pagination"))  # noqa: B009
    traces = [_trace(from_message(transfer_token.Denom.FromString(raw))) for _, raw in items]
    return LEGACY["QueryDenomTracesResponse"](denom_traces=traces, pagination=page)
