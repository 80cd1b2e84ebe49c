"""Queries of bsmg.trade.v1: they only read."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cosmos_wire.address import to_bech32
from cosmos_wire.errors import NotFound
from cosmos_wire.protos import trade, trade_query
from energy.trade import delivery_book, keys, outcome, packets, records
from ibc_core import bank
from ibc_core.host import Context, QueryRoute
from ibc_core.paginate import paginate, paginate_items

q = trade_query
BUYER_MARK = keys.BUYERS[-1:]


def query_params(ctx: Context, request: q.QueryParamsRequest) -> q.QueryParamsResponse:  # noqa: ARG001
    """The parameters."""
    return q.QueryParamsResponse(params=records.params(ctx))


def query_offers(ctx: Context, request: q.QueryOffersRequest) -> q.QueryOffersResponse:
    """Own open offers, or heard ones; of one slot or all."""

    def keep(_: bytes, value: bytes) -> bool:
        return not request.slot or trade.OfferRecord.FromString(value).offer.slot == request.slot

    prefix = keys.HEARD if request.heard else keys.OFFERS
    found, page = paginate(ctx.app, prefix, request.pagination, keep)
    offers = [trade.OfferRecord.FromString(value) for _, value in found]
    return q.QueryOffersResponse(offers=offers, pagination=page)


def query_contract(ctx: Context, request: q.QueryContractRequest) -> q.QueryContractResponse:
    """One contract, whichever side this chain has; without a channel all are looked through."""
    for channel_id in [request.channel_id] if request.channel_id else _channels(ctx):
        if len(channel_id) > packets.CHANNEL_CHARS_MAX:
            break
        sold = records.load(ctx, keys.seller(channel_id, request.contract_id), trade.SellerContract)
        if sold is not None:
            return q.QueryContractResponse(seller=sold)
        bought = records.load(ctx, keys.buyer(channel_id, request.contract_id), trade.BuyerContract)
        if bought is not None:
            return q.QueryContractResponse(buyer=bought)
    raise NotFound(f"contract {request.contract_id.hex()}")


def _channels(ctx: Context) -> list[str]:
    return [key[len(keys.CHANNELS) :].decode() for key, _ in ctx.app.iterate(keys.CHANNELS)]


def query_contracts(ctx: Context, request: q.QueryContractsRequest) -> q.QueryContractsResponse:
    """Contracts of S, then of B; of one channel, one slot, or all."""

    def keep(key: bytes, value: bytes) -> bool:
        contract = _contract(key, value)
        return request.channel_id in {"", contract.channel_id} and request.slot in {0, contract.lock.slot}

    if request.channel_id and request.slot:
        found, page = paginate_items(_of_slot(ctx, request.channel_id, request.slot), request.pagination)
    else:
        found, page = paginate(ctx.app, keys.CONTRACTS, request.pagination, keep)
    response = q.QueryContractsResponse(pagination=page)
    for key, value in found:
        contract = _contract(key, value)
        if isinstance(contract, trade.SellerContract):
            response.seller.append(contract)
        else:
            response.buyer.append(contract)
    return response


def _contract(key: bytes, value: bytes) -> trade.SellerContract | trade.BuyerContract:
    bought = key.startswith(BUYER_MARK)
    return trade.BuyerContract.FromString(value) if bought else trade.SellerContract.FromString(value)


def _of_slot(ctx: Context, channel_id: str, slot: int) -> list[tuple[bytes, bytes]]:
    """What the slot's index leads to, under the keys that a walk over all contracts would show; ascending."""
    if len(channel_id) > packets.CHANNEL_CHARS_MAX:
        return []
    cut = len(keys.CONTRACTS)
    bought = [
        (keys.buyer(channel_id, c.lock.contract_id)[cut:], c.SerializeToString(deterministic=True))
        for c in records.buyers_of_slot(ctx, channel_id, slot)
    ]
    sold = [
        (keys.seller(channel_id, c.lock.contract_id)[cut:], c.SerializeToString(deterministic=True))
        for c in records.sellers_of_slot(ctx, channel_id, slot)
    ]
    return bought + sold


def query_delivery(ctx: Context, request: q.QueryDeliveryRequest) -> q.QueryDeliveryResponse:
    """The delivery on S and the own reading on B of a (channel, slot), as far as there is one."""
    if len(request.channel_id) > packets.CHANNEL_CHARS_MAX:
        raise NotFound(f"delivery in slot {request.slot} of {request.channel_id[:70]!r}")
    delivery = delivery_book.find(ctx, request.channel_id, request.slot)
    reading = outcome.find_reading(ctx, request.channel_id, request.slot)
    if delivery is None and reading is None:
        raise NotFound(f"delivery in slot {request.slot} of {request.channel_id}")
    return q.QueryDeliveryResponse(delivery=delivery, reading=reading)


def query_claims(ctx: Context, request: q.QueryClaimsRequest) -> q.QueryClaimsResponse:
    """Claims of ACTIVE contracts; the holder is the seller."""
    found, page = paginate(ctx.app, keys.CLAIMS, request.pagination)
    claims = []
    for key, value in found:
        channel_id, ident = key[1 : 1 + key[0]].decode(), key[1 + key[0] :]
        holder = records.find_seller(ctx, channel_id, ident).seller
        claims.append(q.Claim(contract_id=ident, channel_id=channel_id, holder=holder, amount=value.decode()))
    return q.QueryClaimsResponse(claims=claims, pagination=page)


def query_pools(ctx: Context, request: q.QueryPoolsRequest) -> q.QueryPoolsResponse:  # noqa: ARG001
    """Every module account of the application with what it holds of the chain's token."""
    names = [records.FEES, records.POOL, records.COLLATERAL, *map(records.escrow_name, _channels(ctx))]
    denom, response = records.params(ctx).denom, q.QueryPoolsResponse()
    for name in names:
        address = bank.module_address(name)
        amount = str(bank.balance(ctx, address, denom))
        response.pools.append(q.Pool(name=name, address=to_bech32(address), amount=amount))
    return response


def query_scores(ctx: Context, request: q.QueryScoresRequest) -> q.QueryScoresResponse:
    """What this chain's books say of the chains behind its channels, and what those said of it."""
    found = (trade.PeerScore.FromString(value) for _, value in ctx.app.iterate(keys.SCORES))
    wanted = request.channel_id
    return q.QueryScoresResponse(scores=[score for score in found if wanted in {"", score.channel_id}])


def query_routes() -> Mapping[str, QueryRoute]:
    """By method path."""
    handlers: dict[str, tuple[Callable[..., object], type, type]] = {
        "Params": (query_params, q.QueryParamsRequest, q.QueryParamsResponse),
        "Offers": (query_offers, q.QueryOffersRequest, q.QueryOffersResponse),
        "Contract": (query_contract, q.QueryContractRequest, q.QueryContractResponse),
        "Contracts": (query_contracts, q.QueryContractsRequest, q.QueryContractsResponse),
        "Delivery": (query_delivery, q.QueryDeliveryRequest, q.QueryDeliveryResponse),
        "Claims": (query_claims, q.QueryClaimsRequest, q.QueryClaimsResponse),
        "Pools": (query_pools, q.QueryPoolsRequest, q.QueryPoolsResponse),
        "Scores": (query_scores, q.QueryScoresRequest, q.QueryScoresResponse),
    }
    return {f"/bsmg.trade.v1.Query/{name}": QueryRoute(*parts) for name, parts in handlers.items()}
