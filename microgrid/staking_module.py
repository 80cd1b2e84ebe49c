"""cosmos.staking queries that tell the truth: genesis's validators, and nobody delegates to anybody.

Relayers ask `unbonding_time` for their trusting period; wallets ask for delegations and take an empty list for zero.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping

from cosmos_wire.address import PREFIX, from_bech32, to_bech32
from cosmos_wire.errors import InvalidRequest, KeyNotFound
from cosmos_wire.protos import Message, abci, ed25519_keys, pagination, staking, staking_query
from cosmos_wire.tx import pack
from ibc_core.host import Context, QueryRoute
from ibc_core.paginate import paginate, paginate_items
from ibc_core.queries.routes import routes
from microgrid import system
from microgrid.plain_module import PlainModule

SERVICE = "cosmos.staking.v1beta1.Query"
PARAMS = b"st/params"
UNBONDING_S_DEFAULT = 1_814_400  # three weeks
HISTORICAL_ENTRIES = 10_000  # relayers refuse a chain that says 0
VALIDATORS_MAX = 200  # a light client verifies no commit of more
OPERATOR_PREFIX = f"{PREFIX}valoper"
SHARES = 10**18  # a decimal of 18 places on the wire


class StakingModule(PlainModule):
    """Genesis: `{"unbonding_s": 1814400, "bond_denom": "bmga"}`."""

    name = "staking"

    def queries(self) -> Mapping[str, QueryRoute]:
        """All but HistoricalInfo, whose headers CometBFT has."""
        handlers: dict[str, Callable[..., object]] = {
            "Params": staking_params,
            "Validators": validators,
            "Validator": validator,
            "Pool": pool,
            "Delegation": no_delegation,
            "UnbondingDelegation": no_unbonding,
            "DelegatorValidator": no_validator,
            "Redelegations": no_redelegations,
            **{method: _nothing_of_delegator(method) for method in OF_DELEGATOR},
            **{method: _nothing_of_validator(method) for method in OF_VALIDATOR},
        }
        return routes(SERVICE, staking_query, handlers)

    def init_genesis(self, ctx: Context, doc: Mapping[str, object]) -> None:
        """Keep the parameters."""
        made = staking.Params(
            max_validators=VALIDATORS_MAX,
            max_entries=7,  # the SDK's default; nothing here unbonds
            historical_entries=HISTORICAL_ENTRIES,
            bond_denom=str(doc.get("bond_denom", "")),
            min_commission_rate="0",
        )
        made.unbonding_time.seconds = int(str(doc.get("unbonding_s", UNBONDING_S_DEFAULT)))
        ctx.app.set(PARAMS, made.SerializeToString(deterministic=True))


# --- validators ------------------------------------------------------------------------------------------------------


def params(ctx: Context) -> staking.Params:
    """The parameters of genesis."""
    return staking.Params.FromString(ctx.app.get(PARAMS) or b"")


def staking_params(ctx: Context, _request: staking_query.QueryParamsRequest) -> staking_query.QueryParamsResponse:
    """`unbonding_time` is the chain's parameter; the rest says that there is no staking."""
    return staking_query.QueryParamsResponse(params=params(ctx))


def shown(address: bytes, update: abci.ValidatorUpdate) -> staking.Validator:
    """A validator of the set as the SDK's message; `tokens` is its voting power."""
    made = staking.Validator(
        operator_address=to_bech32(address, OPERATOR_PREFIX),
        consensus_pubkey=pack(ed25519_keys.PubKey(key=update.pub_key.ed25519)),
        status=staking.BOND_STATUS_BONDED,
        tokens=str(update.power),
        delegator_shares=str(update.power * SHARES),
        min_self_delegation="0",
    )
    made.description.moniker = b64encode(address).decode()
    made.unbonding_time.SetInParent()
    for rate in ("rate", "max_rate", "max_change_rate"):
        setattr(made.commission.commission_rates, rate, "0")
    made.commission.update_time.SetInParent()
    return made


def validators(ctx: Context, request: staking_query.QueryValidatorsRequest) -> staking_query.QueryValidatorsResponse:
    """A page of the validators; all are bonded."""
    if request.status not in ("", *staking.BondStatus.keys()):
        raise InvalidRequest(f"invalid validator status {request.status[:100]}")
    if request.status not in ("", "BOND_STATUS_BONDED"):
        return staking_query.QueryValidatorsResponse(pagination=pagination.PageResponse())
    pairs, page = paginate(ctx.app, system.VALIDATOR, request.pagination)
    found = [shown(address, abci.ValidatorUpdate.FromString(value)) for address, value in pairs]
    return staking_query.QueryValidatorsResponse(validators=found, pagination=page)


def validator(ctx: Context, request: staking_query.QueryValidatorRequest) -> staking_query.QueryValidatorResponse:
    """One of them, by operator address (the consensus address under another prefix)."""
    wanted = _operator(request.validator_addr)
    for address, update in system.validators(ctx.app):
        if address == wanted:
            return staking_query.QueryValidatorResponse(validator=shown(address, update))
    raise KeyNotFound(f"validator {request.validator_addr[:100]} not found")


def pool(ctx: Context, _request: staking_query.QueryPoolRequest) -> staking_query.QueryPoolResponse:
    """All voting power."""
    total = sum(update.power for _, update in system.validators(ctx.app))
    made = staking.Pool(bonded_tokens=str(total), not_bonded_tokens="0")
    return staking_query.QueryPoolResponse(pool=made)


# --- delegations: none -----------------------------------------------------------------------------------------------

OF_DELEGATOR = ("DelegatorDelegations", "DelegatorUnbondingDelegations", "DelegatorValidators")
OF_VALIDATOR = ("ValidatorDelegations", "ValidatorUnbondingDelegations")


def _operator(text: str) -> bytes:
    if not text:
        raise InvalidRequest("validator address cannot be empty")
    return from_bech32(text, OPERATOR_PREFIX)


def _delegator(text: str) -> bytes:
    if not text:
        raise InvalidRequest("delegator address cannot be empty")
    return from_bech32(text)


def _empty_page(request: pagination.PageRequest) -> pagination.PageResponse:
    return paginate_items((), request)[1]


def _nothing_of_delegator(method: str) -> Callable[..., Message]:
    response = getattr(staking_query, f"Query{method}Response")

    def handle(_ctx: Context, request: staking_query.QueryDelegatorDelegationsRequest) -> Message:
        """An empty page."""
        _delegator(request.delegator_addr)
        made: Message = response(pagination=_empty_page(request.pagination))
        return made

    return handle


def _nothing_of_validator(method: str) -> Callable[..., Message]:
    response = getattr(staking_query, f"Query{method}Response")

    def handle(_ctx: Context, request: staking_query.QueryValidatorDelegationsRequest) -> Message:
        """An empty page."""
        _operator(request.validator_addr)
        made: Message = response(pagination=_empty_page(request.pagination))
        return made

    return handle


def no_delegation(_ctx: Context, request: staking_query.QueryDelegationRequest) -> Message:
    """Never found."""
    _require_pair(request.delegator_addr, request.validator_addr)
    raise KeyNotFound(
        f"delegation with delegator {request.delegator_addr} not found for validator {request.validator_addr}"
    )


def no_unbonding(_ctx: Context, request: staking_query.QueryUnbondingDelegationRequest) -> Message:
    """Never found."""
    _require_pair(request.delegator_addr, request.validator_addr)
    raise KeyNotFound(
        f"unbonding delegation with delegator {request.delegator_addr} not found for validator {request.validator_addr}"
    )


def no_validator(_ctx: Context, request: staking_query.QueryDelegatorValidatorRequest) -> Message:
    """Never found."""
    _require_pair(request.delegator_addr, request.validator_addr)
    raise KeyNotFound(f"no delegation for (address, validator) tuple: {request.delegator_addr} not found")


def no_redelegations(
    _ctx: Context, request: staking_query.QueryRedelegationsRequest
) -> staking_query.QueryRedelegationsResponse:
    """An empty page; a redelegation that is named whole is not found."""
    source, target = request.src_validator_addr, request.dst_validator_addr
    if source and not (request.delegator_addr or target):
        _operator(source)
    else:
        _delegator(request.delegator_addr)
    if source and target:
        raise KeyNotFound(
            f"redelegation not found for delegator address {request.delegator_addr} from validator address {source}"
        )
    return staking_query.QueryRedelegationsResponse(pagination=_empty_page(request.pagination))


def _require_pair(delegator: str, operator: str) -> None:
    _delegator(delegator)
    _operator(operator)
