"""A client that knows a node's gRPC alone sees what one with RPC and websocket sees."""

from __future__ import annotations

import pytest

from bsmg.client.chain import EventQuery
from bsmg.client.node import NodeClient
from tests.e2e.net import Net, opened, quiet, transfer

pytestmark = pytest.mark.e2e
BLOCKS = 30


async def test_grpc_alone_tells_the_same(net: Net) -> None:
    async with opened(net, node=1) as (a, b):
        sent = await transfer(a, b, (a.denom, 3))
        await quiet(a, b)
        async with NodeClient(a.client.chain_id, a.info.nodes[1].grpc) as node:
            last = (await a.client.head()).height
            if (await node.head()).height < last:
                await node.feed.wait_above(last - 1)
            for height in range(max(2, sent.height - BLOCKS), last + 1):
                assert await node.feed.record(height) == await a.client.feed.record(height)
            assert (await node.status()).kind == "cometbft"
            assert await node.find_tx(sent.tx_hash) == await a.client.find_tx(sent.tx_hash)
            assert await node.find_tx("AB" * 32) is None
            for wanted in (
                EventQuery(type="transfer", attributes={"sender": a.faucet.address}),
                EventQuery(
                    type="send_packet",
                    attributes={"packet_src_port": "transfer"},
                    range_key="packet_sequence",
                    first=1,
                    last=9,
                ),
            ):
                found = await node.find_events(wanted)
                assert found
                assert found == await a.client.find_events(wanted)
