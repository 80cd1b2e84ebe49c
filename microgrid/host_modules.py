"""Small modules that tell outside programs the truth about this chain: consensus, upgrade and params queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cosmos_wire.errors import InvalidRequest, KeyNotFound
from cosmos_wire.protos import consensus_query, params_query, upgrade_query
from ibc_core.host import Context, QueryRoute
from ibc_core.queries.routes import routes
from microgrid import staking_module, system
from microgrid.errors import NotImplementedMethod
from microgrid.plain_module import PlainModule

MODULE_VERSION = 1  # of every module: none was ever migrated
NS_PER_S = 1_000_000_000


class ConsensusModule(PlainModule):
    """CometBFT's parameters, as genesis set them."""

    name = "consensus"

    def queries(self) -> Mapping[str, QueryRoute]:
        """Params."""
        return routes("cosmos.consensus.v1.Query", consensus_query, {"Params": consensus_params})


def consensus_params(ctx: Context, _request: consensus_query.QueryParamsRequest) -> consensus_query.QueryParamsResponse:
    """Block, evidence, validator, version and ABCI parameters."""
    return consensus_query.QueryParamsResponse(params=system.params(ctx.app))


class UpgradeModule(PlainModule):
    """No upgrade is ever planned on chain."""

    name = "upgrade"

    def __init__(self) -> None:
        self.module_names: tuple[str, ...] = ()  # of the whole application, known when it is composed

    def queries(self) -> Mapping[str, QueryRoute]:
        """All of cosmos.upgrade.v1beta1.Query."""
        handlers: dict[str, Callable[..., object]] = {
            "CurrentPlan": current_plan,
            "AppliedPlan": applied_plan,
            "ModuleVersions": self.module_versions,
            "UpgradedConsensusState": upgraded_consensus_state,
            "Authority": authority,
        }
        return routes("cosmos.upgrade.v1beta1.Query", upgrade_query, handlers)

    def module_versions(
        self, _ctx: Context, request: upgrade_query.QueryModuleVersionsRequest
    ) -> upgrade_query.QueryModuleVersionsResponse:
        """All modules, or one."""
        names = sorted(self.module_names)
        if request.module_name:
            if request.module_name not in names:
                raise KeyNotFound(f"x/upgrade: QueryModuleVersions module {request.module_name[:100]} not found")
            names = [request.module_name]
        made = upgrade_query.QueryModuleVersionsResponse()
        for name in names:
            made.module_versions.add(name=name, version=MODULE_VERSION)
        return made


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


def upgraded_consensus_state(
    _ctx: Context, _request: upgrade_query.QueryUpgradedConsensusStateRequest
) -> upgrade_query.QueryUpgradedConsensusStateResponse:
    """None: empty bytes, as the SDK answers."""
    return upgrade_query.QueryUpgradedConsensusStateResponse()


def authority(_ctx: Context, _request: upgrade_query.QueryAuthorityRequest) -> upgrade_query.QueryAuthorityResponse:
    """Nobody can plan an upgrade."""
    raise NotImplementedMethod("this chain has no governance: no account can plan an upgrade")


class ParamsModule(PlainModule):
    """cosmos.params, which old clients ask before cosmos.staking: its values in legacy JSON."""

    name = "params"

    def queries(self) -> Mapping[str, QueryRoute]:
        """Params, Subspaces."""
        handlers: dict[str, Callable[..., object]] = {"Params": legacy_param, "Subspaces": subspaces}
        return routes("cosmos.params.v1beta1.Query", params_query, handlers)


def _legacy(ctx: Context) -> dict[str, str]:
    found = staking_module.params(ctx)
    return {
        "BondDenom": f'"{found.bond_denom}"',
        "HistoricalEntries": str(found.historical_entries),
        "MaxEntries": str(found.max_entries),
        "MaxValidators": str(found.max_validators),
        "UnbondingTime": f'"{found.unbonding_time.seconds * NS_PER_S}"',
    }


def legacy_param(ctx: Context, request: params_query.QueryParamsRequest) -> params_query.QueryParamsResponse:
    """One of staking's; an unknown key has an empty value, as in the SDK."""
    if not (request.subspace and request.key):
        raise InvalidRequest("invalid parameter subspace or key: expected both")
    if request.subspace != "staking":
        raise InvalidRequest(f"subspace: expected staking, got {request.subspace[:100]}: unknown subspace")
    made = params_query.QueryParamsResponse()
    made.param.subspace, made.param.key = request.subspace, request.key
    made.param.value = _legacy(ctx).get(request.key, "")
    return made


def subspaces(ctx: Context, _request: params_query.QuerySubspacesRequest) -> params_query.QuerySubspacesResponse:
    """Staking's alone."""
    made = params_query.QuerySubspacesResponse()
    made.subspaces.add(subspace="staking", keys=list(_legacy(ctx)))
    return made
