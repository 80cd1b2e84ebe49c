"""A microgrid by its gRPC alone, whatever ledger it runs on: queries, blocks, the past; nothing can be sent."""

from __future__ import annotations

from typing import ClassVar

from bsmg.client.blocks import FoundEvent, FoundTx
from bsmg.client.chain import ChainClient, EventQuery
from bsmg.client.credential import Credential
from bsmg.client.errors import KeyFault, QueryNotFound
from bsmg.client.grpc import GrpcQueries
from bsmg.client.lane import FeePolicy, Lane
from bsmg.client.node_feed import PATH, NodeFeed, event_of
from cosmos_wire.address import PREFIX
from cosmos_wire.protos import node_service, tx_service

GET_TX = "/cosmos.tx.v1beta1.Service/GetTx"


class NodeClient(ChainClient):
    """Follows a chain by `bsmg.node.v1.Service`."""

    kinds: ClassVar[tuple[str, ...]] = ("node",)

    def __init__(self, chain_id: str, grpc: str, prefix: str = PREFIX) -> None:
        self.grpc = GrpcQueries(grpc)
        super().__init__(chain_id, prefix, self.grpc, NodeFeed(self.grpc, chain_id))

    def lane(self, credential: Credential, policy: FeePolicy | None = None) -> Lane:
        """None: where to send is unknown."""
        del credential, policy
        raise KeyFault(f"{self.chain_id}: expected a chain of the testnet's file, or --rpc, to send to; got gRPC alone")

    async def status(self) -> node_service.StatusResponse:
        """Chain id, kind, newest and earliest block, as the node says now."""
        return await self.query(PATH + "Status", node_service.StatusRequest(), node_service.StatusResponse)

    async def find_tx(self, tx_hash: str) -> FoundTx | None:
        """By the node's index; the result is read from the block."""
        try:
            answer = await self.query(GET_TX, tx_service.GetTxRequest(hash=tx_hash), tx_service.GetTxResponse)
        except QueryNotFound:
            return None
        record = await self.feed.record(answer.tx_response.height)
        if tx_hash.upper() not in record.tx_hashes:
            return None
        index = record.tx_hashes.index(tx_hash.upper())
        return FoundTx(
            tx_hash=tx_hash.upper(),
            height=record.height,
            index=index,
            tx=record.txs[index],
            result=record.results.txs[index],
        )

    async def find_events(self, wanted: EventQuery) -> tuple[FoundEvent, ...]:
        """By the node's index."""
        request = node_service.EventsRequest(
            type=wanted.type,
            attributes=[node_service.Attribute(key=key, value=value) for key, value in wanted.attributes.items()],
            range_key=wanted.range_key,
            first=wanted.first,
            last=wanted.last,
        )
        answer = await self.query(PATH + "Events", request, node_service.EventsResponse)
        found = (FoundEvent(height=it.height, tx_hash=it.tx_hash, event=event_of(it.event)) for it in answer.found)
        return tuple(filter(wanted.matches, found))
