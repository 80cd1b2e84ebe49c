"""cosmos.base.tendermint and cosmos.base.node: the node, its blocks and validators."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from cosmos_wire.address import PREFIX, from_bech32, to_bech32
from cosmos_wire.protos import (
    abci,
    cmt_query_types,
    ed25519_keys,
    node_query,
    pagination,
    staking,
    staking_query,
)
from cosmos_wire.protos import cmt_query as q
from microgrid import staking_module
from microgrid.operator import Operator
from microgrid.query.abci_query import AbciQueries
from microgrid.query.blocks import Blocks, ValidatorPage, WholeBlock
from microgrid.query.query_core import QueryError, Status
from microgrid.query.remote import RemoteRoute
from microgrid.version import NAME, VERSION

PATH = "/cosmos.base.tendermint.v1beta1.Service/"
NODE_PATH = "/cosmos.base.node.v1beta1.Service/"
CONSENSUS_PREFIX = f"{PREFIX}valcons"
PAGE_MAX = 100  # CometBFT's own
HEADER_HASHES = (
    "last_commit_hash",
    "data_hash",
    "validators_hash",
    "next_validators_hash",
    "consensus_hash",
    "app_hash",
    "last_results_hash",
    "evidence_hash",
)

T = TypeVar("T")


class CometServices:
    """Handlers by method path."""

    def __init__(self, blocks: Blocks, queries: AbciQueries, operator: Operator) -> None:
        self._blocks, self._queries, self._operator = blocks, queries, operator

    def routes(self) -> Mapping[str, RemoteRoute]:
        """Both services, and the one staking query that shows headers."""
        return {
            PATH + "GetNodeInfo": RemoteRoute(self.node_info, q.GetNodeInfoRequest),
            PATH + "GetSyncing": RemoteRoute(self.syncing, q.GetSyncingRequest),
            PATH + "GetLatestBlock": RemoteRoute(self.latest_block, q.GetLatestBlockRequest),
            PATH + "GetBlockByHeight": RemoteRoute(self.block_by_height, q.GetBlockByHeightRequest),
            PATH + "GetLatestValidatorSet": RemoteRoute(self.latest_validators, q.GetLatestValidatorSetRequest),
            PATH + "GetValidatorSetByHeight": RemoteRoute(self.validators_at, q.GetValidatorSetByHeightRequest),
            PATH + "ABCIQuery": RemoteRoute(self.abci_query, q.ABCIQueryRequest),
            NODE_PATH + "Config": RemoteRoute(self.config, node_query.ConfigRequest),
            NODE_PATH + "Status": RemoteRoute(self.status, node_query.StatusRequest),
            f"/{staking_module.SERVICE}/HistoricalInfo": RemoteRoute(
                self.historical_info, staking_query.QueryHistoricalInfoRequest
            ),
        }

    async def node_info(self, _request: q.GetNodeInfoRequest) -> q.GetNodeInfoResponse:
        """What the ledger's node says of itself, and what this application is: no Cosmos SDK, so none is named."""
        node = await self._blocks.node()
        made = q.GetNodeInfoResponse(default_node_info=node.info)
        version = made.application_version
        version.name = version.app_name = NAME
        version.version = VERSION
        version.build_deps.add(path=node.module[0], version=node.module[1])
        return made

    async def syncing(self, _request: q.GetSyncingRequest) -> q.GetSyncingResponse:
        """Whether the node is catching up."""
        return q.GetSyncingResponse(syncing=(await self._blocks.status()).is_catching_up)

    async def latest_block(self, _request: q.GetLatestBlockRequest) -> q.GetLatestBlockResponse:
        """The newest block."""
        found = await self._blocks.block(None)
        return q.GetLatestBlockResponse(block_id=found.block_id, block=found.block, sdk_block=sdk_block(found))

    async def block_by_height(self, request: q.GetBlockByHeightRequest) -> q.GetBlockByHeightResponse:
        """One block."""
        _require_height(request.height)
        found = await _known(self._blocks.block(request.height))
        return q.GetBlockByHeightResponse(block_id=found.block_id, block=found.block, sdk_block=sdk_block(found))

    async def latest_validators(self, request: q.GetLatestValidatorSetRequest) -> q.GetLatestValidatorSetResponse:
        """The set that votes on the newest block."""
        found = await self._validators(request.pagination, None)
        return q.GetLatestValidatorSetResponse(
            block_height=found.height,
            validators=found.validators,
            pagination=pagination.PageResponse(total=found.total),
        )

    async def validators_at(self, request: q.GetValidatorSetByHeightRequest) -> q.GetValidatorSetByHeightResponse:
        """The set of one height."""
        _require_height(request.height)
        found = await self._validators(request.pagination, request.height)
        return q.GetValidatorSetByHeightResponse(
            block_height=found.height,
            validators=found.validators,
            pagination=pagination.PageResponse(total=found.total),
        )

    async def historical_info(
        self, request: staking_query.QueryHistoricalInfoRequest
    ) -> staking_query.QueryHistoricalInfoResponse:
        """Header and validators of a height that the ledger keeps; NOT_FOUND else."""
        if request.height < 0:
            raise QueryError(Status.INVALID_ARGUMENT, "height cannot be negative")
        try:
            _require_height(request.height)
            header = await _known(self._blocks.header(request.height))
            found = await self._blocks.validators(request.height, 1, PAGE_MAX)
        except QueryError as error:
            if error.status in (Status.UNAVAILABLE, Status.UNIMPLEMENTED):
                raise
            said = f"historical info for height {request.height} not found: {error}"
            raise QueryError(Status.NOT_FOUND, said) from error
        made = staking_query.QueryHistoricalInfoResponse()
        made.hist.header.CopyFrom(header)
        made.hist.valset.extend(_staking_validator(item) for item in found.validators)
        return made

    async def _validators(self, page: pagination.PageRequest, height: int | None) -> ValidatorPage:
        limit = min(page.limit or PAGE_MAX, PAGE_MAX)
        try:
            return await self._blocks.validators(height, page.offset // limit + 1, limit)
        except QueryError as error:
            if error.status in (Status.UNAVAILABLE, Status.UNIMPLEMENTED):
                raise
            raise QueryError(Status.INVALID_ARGUMENT, f"validators: {error}") from error

    async def abci_query(self, request: q.ABCIQueryRequest) -> q.ABCIQueryResponse:
        """ABCI Query by gRPC."""
        asked = abci.RequestQuery(data=request.data, path=request.path, height=request.height, prove=request.prove)
        if not request.path:
            raise QueryError(Status.INVALID_ARGUMENT, "empty query path")
        found = await asyncio.to_thread(self._queries.answer, asked)
        return q.ABCIQueryResponse.FromString(found.SerializeToString())  # field for field the same message

    async def config(self, _request: node_query.ConfigRequest) -> node_query.ConfigResponse:
        """What this node asks of a transaction."""
        return node_query.ConfigResponse(
            minimum_gas_price=self._operator.min_gas_price,
            pruning_keep_recent=str(self._operator.versions_kept),
            pruning_interval="1",  # every block
        )

    async def status(self, _request: node_query.StatusRequest) -> node_query.StatusResponse:
        """How far the node is."""
        found = await self._blocks.status()
        header = await self._blocks.header(found.height)
        return node_query.StatusResponse(
            earliest_store_height=max(1, found.earliest, found.height - self._operator.versions_kept + 1),
            height=found.height,
            timestamp=found.time,
            app_hash=found.app_hash,
            validator_hash=header.next_validators_hash,
        )


async def _known(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except QueryError as error:
        if "must be less than or equal to" in str(error):
            said = f"requested block height is bigger then the chain length: {error}"
            raise QueryError(Status.INVALID_ARGUMENT, said) from error
        raise


def _require_height(height: int) -> None:
    if height <= 0:
        raise QueryError(Status.INVALID_ARGUMENT, f"requested block height: expected above 0, got {height}")


def _staking_validator(found: q.Validator) -> staking.Validator:
    update = abci.ValidatorUpdate(power=found.voting_power)
    update.pub_key.ed25519 = ed25519_keys.PubKey.FromString(found.pub_key.value).key
    return staking_module.shown(from_bech32(found.address, CONSENSUS_PREFIX), update)


def sdk_block(found: WholeBlock) -> cmt_query_types.Block:
    """A block in the SDK's form: the proposer is written in bech32, and empty where there is none."""
    made = found.block
    shown = cmt_query_types.Block(data=made.data, evidence=made.evidence, last_commit=made.last_commit)
    fields = {name: getattr(made.header, name) for name in HEADER_HASHES}
    proposer = made.header.proposer_address
    shown.header.CopyFrom(
        cmt_query_types.Header(
            version=made.header.version,
            chain_id=made.header.chain_id,
            height=made.header.height,
            time=made.header.time,
            last_block_id=made.header.last_block_id,
            proposer_address=to_bech32(proposer, CONSENSUS_PREFIX) if proposer else "",
            **fields,
        )
    )
    return shown
