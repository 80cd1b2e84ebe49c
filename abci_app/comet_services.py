"""cosmos.base.tendermint and cosmos.base.node: the node, its blocks and validators, through CometBFT's RPC."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from abci_app import comet_json
from abci_app.abci_query import AbciQueries
from abci_app.application import NAME, VERSION
from abci_app.comet_rpc import CometRpc
from abci_app.query_core import QueryError, Status
from abci_app.remote import RemoteRoute
from cosmos_wire.address import PREFIX, to_bech32
from cosmos_wire.protos import abci, cmt_p2p, ed25519_keys, node_query, pagination
from cosmos_wire.protos import cmt_query as q
from cosmos_wire.tx import pack

PATH = "/cosmos.base.tendermint.v1beta1.Service/"
NODE_PATH = "/cosmos.base.node.v1beta1.Service/"
CONSENSUS_PREFIX = f"{PREFIX}valcons"
PAGE_MAX = 100  # CometBFT's own


class CometServices:
    """Handlers by method path."""

    def __init__(self, rpc: CometRpc, queries: AbciQueries, min_gas_price: str) -> None:
        self._rpc, self._queries, self._min_gas_price = rpc, queries, min_gas_price

    def routes(self) -> Mapping[str, RemoteRoute]:
        """Both services but ABCIQuery, which is answered here (`abci_query`)."""
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
        if request.height <= 0:
            raise QueryError(Status.INVALID_ARGUMENT, f"requested block height: expected above 0, got {request.height}")
        doc = await self._rpc.call("block", height=str(request.height))
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
        height, found, page = await self._validators(request.pagination, height=str(request.height))
        return q.GetValidatorSetByHeightResponse(block_height=height, validators=found, pagination=page)

    async def _validators(
        self, page: pagination.PageRequest, **at: str
    ) -> tuple[int, list[q.Validator], pagination.PageResponse]:
        limit = min(page.limit or PAGE_MAX, PAGE_MAX)
        doc = await self._rpc.call("validators", page=str(page.offset // limit + 1), per_page=str(limit), **at)
        found = [_validator(item) for item in doc["validators"]]
        return int(doc["block_height"]), found, pagination.PageResponse(total=int(doc["total"]))

    async def abci_query(self, request: q.ABCIQueryRequest) -> q.ABCIQueryResponse:
        """ABCI Query by gRPC."""
        asked = abci.RequestQuery(data=request.data, path=request.path, height=request.height, prove=request.prove)
        found = self._queries.answer(asked)
        return q.ABCIQueryResponse.FromString(found.SerializeToString())  # field for field the same message

    async def config(self, _request: node_query.ConfigRequest) -> node_query.ConfigResponse:
        """What this node asks of a transaction."""
        return node_query.ConfigResponse(minimum_gas_price=self._min_gas_price)

    async def status(self, _request: node_query.StatusRequest) -> node_query.StatusResponse:
        """How far the node is."""
        info = (await self._rpc.call("status"))["sync_info"]
        return node_query.StatusResponse(
            earliest_store_height=int(info["earliest_block_height"]),
            height=int(info["latest_block_height"]),
            timestamp=comet_json.timestamp(info["latest_block_time"]),
            app_hash=bytes.fromhex(info["latest_app_hash"]),
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


def _sdk_block(block: Any) -> Any:
    return comet_json.sdk_block(block, to_bech32(block.header.proposer_address, CONSENSUS_PREFIX))


def _validator(doc: Mapping[str, Any]) -> q.Validator:
    return q.Validator(
        address=to_bech32(bytes.fromhex(doc["address"]), CONSENSUS_PREFIX),
        pub_key=pack(ed25519_keys.PubKey(key=b64decode(doc["pub_key"]["value"]))),
        voting_power=int(doc["voting_power"]),
        proposer_priority=int(doc["proposer_priority"]),
    )
