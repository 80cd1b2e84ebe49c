"""cosmos.base.tendermint and cosmos.base.node: the node, its blocks and validators, through CometBFT's RPC."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from cosmos_wire.address import PREFIX, to_bech32
from cosmos_wire.protos import abci, cmt_p2p, ed25519_keys, node_query, pagination, staking, staking_query
from cosmos_wire.protos import cmt_query as q
from cosmos_wire.tx import pack
from microgrid import staking_module
from microgrid.operator import Operator
from microgrid.query import comet_json
from microgrid.query.abci_query import AbciQueries
from microgrid.query.query_core import QueryError, Status
from microgrid.query.remote import BlockSource, RemoteRoute
from microgrid.version import NAME, VERSION

PATH = "/cosmos.base.tendermint.v1beta1.Service/"
NODE_PATH = "/cosmos.base.node.v1beta1.Service/"
CONSENSUS_PREFIX = f"{PREFIX}valcons"
PAGE_MAX = 100  # CometBFT's own


class CometServices:
    """Handlers by method path."""

    def __init__(self, rpc: BlockSource, queries: AbciQueries, operator: Operator) -> None:
        self._rpc, self._queries, self._operator = rpc, queries, operator

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
        """What CometBFT says of itself, and what this application is: no Cosmos SDK, so none is named."""
        info = (await self._rpc.call("status"))["node_info"]
        made = q.GetNodeInfoResponse()
        made.default_node_info.CopyFrom(_node_info(info))
        version = made.application_version
        version.name = version.app_name = NAME
        version.version = VERSION
        version.build_deps.add(path="github.com/cometbft/cometbft", version=f"v{info['version']}")
        return made

    async def syncing(self, _request: q.GetSyncingRequest) -> q.GetSyncingResponse:
        """Whether the node is catching up."""
        info = (await self._rpc.call("status"))["sync_info"]
        return q.GetSyncingResponse(syncing=bool(info["catching_up"]))

    async def latest_block(self, _request: q.GetLatestBlockRequest) -> q.GetLatestBlockResponse:
        """The newest block."""
        doc = await self._rpc.call("block")
        block = comet_json.block(doc["block"])
        return q.GetLatestBlockResponse(
            block_id=comet_json.block_id(doc["block_id"]), block=block, sdk_block=_sdk_block(block)
        )

    async def block_by_height(self, request: q.GetBlockByHeightRequest) -> q.GetBlockByHeightResponse:
        """One block."""
        doc = await self._at("block", request.height)
        block = comet_json.block(doc["block"])
        return q.GetBlockByHeightResponse(
            block_id=comet_json.block_id(doc["block_id"]), block=block, sdk_block=_sdk_block(block)
        )

    async def latest_validators(self, request: q.GetLatestValidatorSetRequest) -> q.GetLatestValidatorSetResponse:
        """The set that votes on the newest block."""
        height, found, page = await self._validators(request.pagination)
        return q.GetLatestValidatorSetResponse(block_height=height, validators=found, pagination=page)

    async def validators_at(self, request: q.GetValidatorSetByHeightRequest) -> q.GetValidatorSetByHeightResponse:
        """The set of one height."""
        _require_height(request.height)
        height, found, page = await self._validators(request.pagination, height=str(request.height))
        return q.GetValidatorSetByHeightResponse(block_height=height, validators=found, pagination=page)

    async def historical_info(
        self, request: staking_query.QueryHistoricalInfoRequest
    ) -> staking_query.QueryHistoricalInfoResponse:
        """Header and validators of a height that CometBFT keeps; NOT_FOUND else."""
        if request.height < 0:
            raise QueryError(Status.INVALID_ARGUMENT, "height cannot be negative")
        try:
            doc = await self._at("header", request.height)
            found = await self._rpc.call("validators", height=str(request.height), per_page=str(PAGE_MAX))
        except QueryError as error:
            if error.status is Status.UNAVAILABLE:
                raise
            said = f"historical info for height {request.height} not found: {error}"
            raise QueryError(Status.NOT_FOUND, said) from error
        made = staking_query.QueryHistoricalInfoResponse()
        made.hist.header.CopyFrom(comet_json.header(doc["header"]))
        made.hist.valset.extend(_staking_validator(item) for item in found["validators"])
        return made

    async def _at(self, method: str, height: int) -> Mapping[str, Any]:
        _require_height(height)
        try:
            return await self._rpc.call(method, height=str(height))
        except QueryError as error:
            if "must be less than or equal to" in str(error):
                said = f"requested block height is bigger then the chain length: {error}"
                raise QueryError(Status.INVALID_ARGUMENT, said) from error
            raise

    async def _validators(
        self, page: pagination.PageRequest, **at: str
    ) -> tuple[int, list[q.Validator], pagination.PageResponse]:
        limit = min(page.limit or PAGE_MAX, PAGE_MAX)
        try:
            doc = await self._rpc.call("validators", page=str(page.offset // limit + 1), per_page=str(limit), **at)
        except QueryError as error:
            if error.status is Status.UNAVAILABLE:
                raise
            raise QueryError(Status.INVALID_ARGUMENT, f"validators: {error}") from error
        found = [_validator(item) for item in doc["validators"]]
        return int(doc["block_height"]), found, pagination.PageResponse(total=int(doc["total"]))

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
        info = (await self._rpc.call("status"))["sync_info"]
        height = int(info["latest_block_height"])
        header = (await self._rpc.call("header", height=str(height)))["header"]
        return node_query.StatusResponse(
            earliest_store_height=max(1, int(info["earliest_block_height"]), height - self._operator.versions_kept + 1),
            height=height,
            timestamp=comet_json.timestamp(info["latest_block_time"]),
            app_hash=bytes.fromhex(info["latest_app_hash"]),
            validator_hash=bytes.fromhex(header["next_validators_hash"]),
        )


def _node_info(info: Mapping[str, Any]) -> cmt_p2p.DefaultNodeInfo:
    made = cmt_p2p.DefaultNodeInfo(
        default_node_id=info["id"],
        listen_addr=info["listen_addr"],
        network=info["network"],
        version=info["version"],
        channels=bytes.fromhex(info["channels"]),
        moniker=info["moniker"],
    )
    versions = info["protocol_version"]
    made.protocol_version.p2p = int(versions["p2p"])
    made.protocol_version.block = int(versions["block"])
    made.protocol_version.app = int(versions["app"])
    made.other.tx_index = info["other"]["tx_index"]
    made.other.rpc_address = info["other"]["rpc_address"]
    return made


def _require_height(height: int) -> None:
    if height <= 0:
        raise QueryError(Status.INVALID_ARGUMENT, f"requested block height: expected above 0, got {height}")


def _staking_validator(doc: Mapping[str, Any]) -> staking.Validator:
    update = abci.ValidatorUpdate(power=int(doc["voting_power"]))
    update.pub_key.ed25519 = b64decode(doc["pub_key"]["value"])
    return staking_module.shown(bytes.fromhex(doc["address"]), update)


def _sdk_block(block: Any) -> Any:
    return comet_json.sdk_block(block, to_bech32(block.header.proposer_address, CONSENSUS_PREFIX))


def _validator(doc: Mapping[str, Any]) -> q.Validator:
    return q.Validator(
        address=to_bech32(bytes.fromhex(doc["address"]), CONSENSUS_PREFIX),
        pub_key=pack(ed25519_keys.PubKey(key=b64decode(doc["pub_key"]["value"]))),
        voting_power=int(doc["voting_power"]),
        proposer_priority=int(doc["proposer_priority"]),
    )
