"""cosmos.feegrant: accounts that pay the fees of others.

Keys: `fg/a/` u8 length, grantee, granter -> Grant; `fg/q/` 12 bytes of nanoseconds of its end, the same addresses -> 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cosmos_wire.address import from_bech32, to_bech32
from cosmos_wire.errors import ChainError, InvalidAddress, InvalidRequest, NotFound
from cosmos_wire.protos import feegrant, feegrant_query, feegrant_tx
from cosmos_wire.tx import pack
from ibc_core import bank
from ibc_core.host import Context, MessageRoute, QueryRoute, event
from ibc_core.paginate import paginate
from microgrid import accounts
from microgrid.allowances import Allowance, expiration, spend, time_ns, unpack, validate
from microgrid.coins import Coin
from microgrid.plain_module import PlainModule

TX, PATH = "/cosmos.feegrant.v1beta1.", "/cosmos.feegrant.v1beta1.Query/"
GRANT, QUEUE = b"fg/a/", b"fg/q/"
PRUNED_MAX, PRUNED_BY_MESSAGE_MAX = 200, 75  # expired grants that one block, one message removes


class FeegrantModule(PlainModule):
    """Fee allowances; genesis has none."""

    name = "feegrant"

    def messages(self) -> Mapping[str, MessageRoute]:
        """Grant, revoke, prune."""
        m = feegrant_tx
        return {
            TX + "MsgGrantAllowance": MessageRoute(grant, m.MsgGrantAllowance, m.MsgGrantAllowanceResponse, "granter"),
            TX + "MsgRevokeAllowance": MessageRoute(
                revoke, m.MsgRevokeAllowance, m.MsgRevokeAllowanceResponse, "granter"
            ),
            TX + "MsgPruneAllowances": MessageRoute(
                prune, m.MsgPruneAllowances, m.MsgPruneAllowancesResponse, "pruner"
            ),
        }

    def queries(self) -> Mapping[str, QueryRoute]:
        """All of cosmos.feegrant.v1beta1.Query."""
        q = feegrant_query
        return {
            PATH + "Allowance": QueryRoute(query_one, q.QueryAllowanceRequest, q.QueryAllowanceResponse),
            PATH + "Allowances": QueryRoute(query_by_grantee, q.QueryAllowancesRequest, q.QueryAllowancesResponse),
            PATH + "AllowancesByGranter": QueryRoute(
                query_by_granter, q.QueryAllowancesByGranterRequest, q.QueryAllowancesByGranterResponse
            ),
        }

    def end_block(self, ctx: Context) -> None:
        """Remove what has expired."""
        _remove_expired(ctx, PRUNED_MAX)


def _by_grantee(grantee: bytes) -> bytes:
    return bytes([len(grantee)]) + grantee


def _find(ctx: Context, granter: bytes, grantee: bytes) -> Allowance:
    raw = ctx.app.get(GRANT + _by_grantee(grantee) + granter)
    if raw is None:
        raise NotFound("fee-grant not found")
    return unpack(feegrant.Grant.FromString(raw).allowance)


def _save(ctx: Context, granter: bytes, grantee: bytes, allowance: Allowance) -> None:
    made = feegrant.Grant(granter=to_bech32(granter), grantee=to_bech32(grantee), allowance=pack(allowance))
    ctx.app.set(GRANT + _by_grantee(grantee) + granter, made.SerializeToString(deterministic=True))


def _queue_key(allowance: Allowance, pair: bytes) -> bytes | None:
    end = expiration(allowance)
    return QUEUE + time_ns(end).to_bytes(12, "big") + pair if end is not None else None


def _remove(ctx: Context, granter: bytes, grantee: bytes, allowance: Allowance) -> None:
    pair = _by_grantee(grantee) + granter
    ctx.app.delete(GRANT + pair)
    queued = _queue_key(allowance, pair)
    if queued is not None:
        ctx.app.delete(queued)
    _emit(ctx, "revoke_feegrant", granter, grantee)


def _emit(ctx: Context, kind: str, granter: bytes, grantee: bytes) -> None:
    ctx.events.emit(event(kind, granter=to_bech32(granter), grantee=to_bech32(grantee)))


def grant(ctx: Context, message: feegrant_tx.MsgGrantAllowance) -> feegrant_tx.MsgGrantAllowanceResponse:
    """Let an account, made if it is new, spend on fees; one allowance a pair."""
    if message.granter.lower() == message.grantee.lower():
        raise InvalidAddress("cannot self-grant fee authorization")
    granter, grantee = from_bech32(message.granter), from_bech32(message.grantee)
    pair = _by_grantee(grantee) + granter
    if ctx.app.get(GRANT + pair) is not None:
        raise InvalidRequest("fee allowance already exists")
    allowance = unpack(message.allowance)
    validate(allowance)
    if accounts.find(ctx, grantee) is None:
        bank.require_recipient(ctx, grantee)
        accounts.create(ctx, grantee)
    end = expiration(allowance)
    if end is not None and time_ns(end) < ctx.env.time_ns:
        raise InvalidRequest("expiration is before current block time")
    queued = _queue_key(allowance, pair)
    if queued is not None:
        ctx.app.set(queued, b"\x01")
    _save(ctx, granter, grantee, allowance)
    _emit(ctx, "set_feegrant", granter, grantee)
    return feegrant_tx.MsgGrantAllowanceResponse()


def revoke(ctx: Context, message: feegrant_tx.MsgRevokeAllowance) -> feegrant_tx.MsgRevokeAllowanceResponse:
    """End an allowance."""
    if message.granter == message.grantee:
        raise InvalidAddress("addresses must be different")
    granter, grantee = from_bech32(message.granter), from_bech32(message.grantee)
    _remove(ctx, granter, grantee, _find(ctx, granter, grantee))
    return feegrant_tx.MsgRevokeAllowanceResponse()


def prune(ctx: Context, message: feegrant_tx.MsgPruneAllowances) -> feegrant_tx.MsgPruneAllowancesResponse:
    """Remove some that have expired; anybody may ask."""
    _remove_expired(ctx, PRUNED_BY_MESSAGE_MAX)
    ctx.events.emit(event("prune_feegrant", pruner=message.pruner))
    return feegrant_tx.MsgPruneAllowancesResponse()


def _remove_expired(ctx: Context, limit: int) -> None:
    now = ctx.env.time_ns.to_bytes(12, "big")
    found: list[bytes] = []
    for key, _ in ctx.app.iterate(QUEUE):
        if len(found) == limit or key[len(QUEUE) : len(QUEUE) + 12] > now:
            break
        found.append(key)
    for key in found:
        ctx.app.delete(key)
        ctx.app.delete(GRANT + key[len(QUEUE) + 12 :])


def use(ctx: Context, pair: tuple[bytes, bytes], fee: Sequence[Coin], urls: Iterable[str]) -> None:
    """Take a fee off what the granter allows the payer; `pair` is (granter, payer). Raises what the allowance says."""
    granter, grantee = pair
    try:
        allowance = _find(ctx, granter, grantee)
        used_up = spend(ctx, allowance, fee, list(urls))
    except ChainError as error:
        detail = str(error).removesuffix(f": {error.reason}")
        words = f"{to_bech32(granter)} does not allow to pay fees for {to_bech32(grantee)}: {detail}"
        raise type(error)(words) from error
    if used_up:
        _remove(ctx, granter, grantee, allowance)
        _emit(ctx, "use_feegrant", granter, grantee)
        return
    _emit(ctx, "use_feegrant", granter, grantee)
    _save(ctx, granter, grantee, allowance)
    _emit(ctx, "update_feegrant", granter, grantee)


def query_one(ctx: Context, request: feegrant_query.QueryAllowanceRequest) -> feegrant_query.QueryAllowanceResponse:
    """Of one pair."""
    found = _find(ctx, from_bech32(request.granter), from_bech32(request.grantee))
    made = feegrant.Grant(granter=request.granter, grantee=request.grantee, allowance=pack(found))
    return feegrant_query.QueryAllowanceResponse(allowance=made)


def query_by_grantee(
    ctx: Context, request: feegrant_query.QueryAllowancesRequest
) -> feegrant_query.QueryAllowancesResponse:
    """A page of what an account may use."""
    prefix = GRANT + _by_grantee(from_bech32(request.grantee))
    pairs, page = paginate(ctx.app, prefix, request.pagination)
    found = [feegrant.Grant.FromString(value) for _, value in pairs]
    return feegrant_query.QueryAllowancesResponse(allowances=found, pagination=page)


def query_by_granter(
    ctx: Context, request: feegrant_query.QueryAllowancesByGranterRequest
) -> feegrant_query.QueryAllowancesByGranterResponse:
    """A page of what an account has granted; walks all grants."""
    granter = to_bech32(from_bech32(request.granter))
    mine = lambda _key, value: feegrant.Grant.FromString(value).granter == granter  # noqa: E731  (a predicate)
    pairs, page = paginate(ctx.app, GRANT, request.pagination, mine)
    found = [feegrant.Grant.FromString(value) for _, value in pairs]
    return feegrant_query.QueryAllowancesByGranterResponse(allowances=found, pagination=page)
