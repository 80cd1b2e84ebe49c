"""The RPC client against a node that closes connections under it."""

from __future__ import annotations

import pytest
from aiohttp import web

from bsmg.client.errors import NodeUnreachable
from bsmg.client.rpc import Rpc


class Closing:
    """Drops the first `drops` requests, answers the others."""

    def __init__(self, drops):
        self.drops, self.asked = drops, []

    async def answer(self, request):
        doc = await request.json()
        self.asked.append(doc["method"])
        if len(self.asked) <= self.drops:
            request.transport.close()
        return web.json_response({"jsonrpc": "2.0", "id": doc["id"], "result": {"consensus_params": {}, "code": 0}})


@pytest.fixture
async def node(request):
    closing = Closing(request.param)
    app = web.Application()
    app.router.add_post("/", closing.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    rpc = Rpc(f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield closing, rpc
    await rpc.close()
    await runner.cleanup()


@pytest.mark.parametrize("node", [1], indirect=True)
async def test_a_question_is_asked_again_when_its_connection_closes(node):
    closing, rpc = node
    assert await rpc.consensus_params() == {}
    assert closing.asked == ["consensus_params"] * 2


@pytest.mark.parametrize("node", [2], indirect=True)
async def test_but_once(node):
    closing, rpc = node
    with pytest.raises(NodeUnreachable, match="disconnected"):
        await rpc.consensus_params()
    assert len(closing.asked) == 2


@pytest.mark.parametrize("node", [1], indirect=True)
async def test_a_transaction_is_not_sent_twice(node):
    closing, rpc = node
    with pytest.raises(NodeUnreachable, match="disconnected"):
        await rpc.call("broadcast_tx_sync", tx="AA==")
    assert closing.asked == ["broadcast_tx_sync"]
