"""Small modules that tell outside programs the truth about this chain: staking, consensus and upgrade queries.

There is no staking: the validator set is genesis's. Relayers ask `unbonding_time` for their trusting period.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from abci_app import system
from abci_app.plain_module import PlainModule
from cosmos_wire.address import PREFIX, to_bech32
from cosmos_wire.errors import KeyNotFound
from cosmos_wire.protos import abci, consensus_query, ed25519_keys, staking, staking_query, upgrade_query
from cosmos_wire.tx import pack
from ibc_core.host import Context, QueryRoute
from ibc_core.paginate import paginate

STAKING = "/cosmos.staking.v1beta1.Query/"
PARAMS = b"st/params"
UNBONDING_S_DEFAULT = 1_814_400  # three weeks
HISTORICAL_ENTRIES = 10_000  # relayers refuse a chain that says 0
VALIDATORS_MAX = 200  # a light client verifies no commit of more
OPERATOR_PREFIX = f"{PREFIX}valoper"


class StakingModule(PlainModule):
    """Genesis: `{"unbonding_s": 1814400, "bond_denom": "bmga"}`."""

    name = "staking"

    def queries(self) -> Mapping[str, QueryRoute]:
        """Params, Validators, Validator, Pool."""
        q = staking_query
        return {
            STAKING + "Params": QueryRoute(staking_params, q.QueryParamsRequest, q.QueryParamsResponse),
            STAKING + "Validators": QueryRoute(validators, q.QueryValidatorsRequest, q.QueryValidatorsResponse),
            STAKING + "Validator": QueryRoute(validator, q.QueryValidatorRequest, q.QueryValidatorResponse),
            STAKING + "Pool": QueryRoute(pool, q.QueryPoolRequest, q.QueryPoolResponse),
        }

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


def staking_params(ctx: Context, _request: staking_query.QueryParamsRequest) -> staking_query.QueryParamsResponse:
    """`unbonding_time` is the chain's parameter; the rest says that there is no staking."""
    return staking_query.QueryParamsResponse(params=staking.Params.FromString(ctx.app.get(PARAMS) or b""))


def _shown(address: bytes, update: abci.ValidatorUpdate) -> staking.Validator:
    made = staking.Validator(
        operator_address=to_bech32(address, OPERATOR_PREFIX),
        consensus_pubkey=pack(ed25519_keys.PubKey(key=update.pub_key.ed25519)),
        status=staking.BOND_STATUS_BONDED,
        tokens=str(update.power),
        delegator_shares=str(update.power * 10**18),  # a decimal of 18 places
        min_self_delegation="0",
    )
    made.description.moniker = b64encode(address).decode()
    made.unbonding_time.SetInParent()
    for rate in ("rate", "max_rate", "max_change_rate"):
        setattr(made.commission.commission_rates, rate, "0")
    made.commission.update_time.SetInParent()
    return made


def validators(ctx: Context, request: staking_query.QueryValidatorsRequest) -> staking_query.QueryValidatorsResponse:
    """A page of the validators; all are bonded, `tokens` is voting power."""
    if request.status not in ("", "BOND_STATUS_BONDED"):
        return staking_query.QueryValidatorsResponse()
    pairs, page = paginate(ctx.app, system.VALIDATOR, request.pagination)
    found = [_shown(address, abci.ValidatorUpdate.FromString(value)) for address, value in pairs]
    return staking_query.QueryValidatorsResponse(validators=found, pagination=page)


def validator(ctx: Context, request: staking_query.QueryValidatorRequest) -> staking_query.QueryValidatorResponse:
    """One of them, by operator address (the consensus address under another prefix)."""
    for address, update in system.validators(ctx.app):
        if to_bech32(address, OPERATOR_PREFIX) == request.validator_addr:
            return staking_query.QueryValidatorResponse(validator=_shown(address, update))
    raise KeyNotFound(f"validator {request.validator_addr[:100]} not found")


def pool(ctx: Context, _request: staking_query.QueryPoolRequest) -> staking_query.QueryPoolResponse:
    """All voting power."""
    total = sum(update.power for _, update in system.validators(ctx.app))
    made = staking.Pool(bonded_tokens=str(total), not_bonded_tokens="0")
    return staking_query.QueryPoolResponse(pool=made)


class ConsensusModule(PlainModule):
    """CometBFT's parameters, as genesis set them."""

    name = "consensus"

    def queries(self) -> Mapping[str, QueryRoute]:
        """Params."""
        route = QueryRoute(consensus_params, consensus_query.QueryParamsRequest, consensus_query.QueryParamsResponse)
        return {"/cosmos.consensus.v1.Query/Params": route}


def consensus_params(ctx: Context, _request: consensus_query.QueryParamsRequest) -> consensus_query.QueryParamsResponse:
    """Block, evidence, validator, version and ABCI parameters."""
    return consensus_query.QueryParamsResponse(params=system.params(ctx.app))


class UpgradeModule(PlainModule):
    """No upgrade is ever planned on chain."""

    name = "upgrade"

    def queries(self) -> Mapping[str, QueryRoute]:
        """CurrentPlan, AppliedPlan."""
        q = upgrade_query
        path = "/cosmos.upgrade.v1beta1.Query/"
        return {
            path + "CurrentPlan": QueryRoute(current_plan, q.QueryCurrentPlanRequest, q.QueryCurrentPlanResponse),
            path + "AppliedPlan": QueryRoute(applied_plan, q.QueryAppliedPlanRequest, q.QueryAppliedPlanResponse),
        }


def current_plan(
    _ctx: Context, _request: upgrade_query.QueryCurrentPlanRequest
) -> upgrade_query.QueryCurrentPlanResponse:
    """None."""
    return upgrade_query.QueryCurrentPlanResponse()


def applied_plan(
    _ctx: Context, _request: upgrade_query.QueryAppliedPlanRequest
) -> upgrade_query.QueryAppliedPlanResponse:
    """None: height 0."""
    return upgrade_query.QueryAppliedPlanResponse()
