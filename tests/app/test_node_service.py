"""bsmg.node on a CometBFT chain: what a client follows a chain by, out of the state and CometBFT's RPC."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any as Json

import pytest

from abci_app.comet_blocks import CometBlocks
from cosmos_wire.protos import Message, abci
from cosmos_wire.protos import node_service as q
from microgrid.operator import Operator
from microgrid.query.blocks import Bell
from microgrid.query.node_services import PATH
from microgrid.query.query_core import QueryError, Status
from microgrid.query.query_server import QueryServer
from microgrid.store import StateDb
from tests.app.chain import CHAIN, Node
from tests.app.test_services import HEADER, OPTIONS, PARTS, TIME, Recorded

TX = b"a transaction"
GUARD_S = 120  # against standing still, not a measurement
HASH = sha256(TX).hexdigest().upper()


def event(sequence: str, channel: str = "channel-0") -> Json:
    pairs = {"packet_sequence": sequence, "packet_src_channel": channel}
    attributes = [{"key": key, "value": value, "index": True} for key, value in pairs.items()]
    return {"type": "send_packet", "attributes": attributes}


def result(code: int, *events: Json) -> Json:
    numbers = {"gas_wanted": "2", "gas_used": "1"}
    return {"code": code, "data": None, "log": "", "info": "", "codespace": "", "events": list(events), **numbers}


class Noticed(Bell):
    """Says when somebody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: asyncio.Queue[None] = asyncio.Queue()

    async def wait(self, seen: int, timeout_s: float) -> None:
        self.waits.put_nowait(None)
        await super().wait(seen, timeout_s)


@pytest.fixture
def rpc() -> Recorded:
    made = Recorded()
    header = {**HEADER, "time": TIME, "height": "2"}
    txs = [base64.b64encode(TX).decode()]
    made.answers |= {
        "status": {"sync_info": {"earliest_block_height": "1"}},
        "block": {"block": {"header": header, "data": {"txs": txs}, "last_commit": None}, "block_id": PARTS},
        "block_results": {"txs_results": [result(0, event("7"))], "finalize_block_events": [event("8"), event("9")]},
        "tx_search": {"txs": [], "total_count": "0"},
        "block_search": {"blocks": [], "total_count": "0"},
    }
    return made


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    db = StateDb.open(tmp_path, OPTIONS)
    started = Node(db)
    started.block()
    started.block()
    yield started
    db.close()


@pytest.fixture
def server(node: Node, rpc: Recorded) -> Iterator[QueryServer]:
    made = QueryServer(node.state, CometBlocks(rpc), Operator())  # type: ignore[arg-type]  # a StateDb is a History
    yield made
    made.close()


async def ask(server: QueryServer, method: str, request: Message, kind: type[Message]) -> Json:
    data, _ = await server.ask(PATH + method, request.SerializeToString(), 0)
    return kind.FromString(data)


async def status(server: QueryServer, above: int = 0) -> q.StatusResponse:
    found: q.StatusResponse = await ask(server, "Status", q.StatusRequest(above=above), q.StatusResponse)
    return found


async def events(server: QueryServer, **fields: Json) -> list[tuple[int, str, str]]:
    found = await ask(server, "Events", q.EventsRequest(type="send_packet", **fields), q.EventsResponse)
    return [(item.height, item.tx_hash, item.event.attributes[0].value) for item in found.found]


async def test_the_head_is_the_states(server: QueryServer) -> None:
    found = await status(server)
    assert (found.chain_id, found.kind, found.height, found.earliest_height) == (CHAIN, "cometbft", 2, 1)
    assert found.time_ns > 0
    assert await status(server, above=1) == found


async def test_who_waits_is_told_of_the_next_block(server: QueryServer, node: Node, rpc: Recorded) -> None:
    bell = rpc._bell = Noticed()
    waiting = asyncio.create_task(status(server, above=2))
    await bell.waits.get()
    bell.ring()  # nothing is new: the state is where it was
    await bell.waits.get()
    node.block()
    rpc.bell.ring()
    assert (await waiting).height == 3


async def test_abci_query_never_waits(server: QueryServer) -> None:
    """Its answers come in order: one that waits would hold up all the others."""
    path = f"{PATH}Status"
    request = abci.Request(query=abci.RequestQuery(path=path, data=q.StatusRequest(above=9).SerializeToString()))
    answered: asyncio.Future[abci.Response] = asyncio.get_running_loop().create_future()
    server.dispatch(request, b"", answered.set_result)
    found = (await asyncio.wait_for(answered, GUARD_S)).query
    assert (found.code, q.StatusResponse.FromString(found.value).height) == (0, 2)


async def test_a_block_with_its_results_is_read_once(server: QueryServer, rpc: Recorded) -> None:
    asked = [ask(server, "Block", q.BlockRequest(height=2), q.BlockResponse) for _ in range(5)]
    found, *others = await asyncio.gather(*asked)
    assert all(other == found for other in others)
    assert [method for method, _ in rpc.asked] == ["block", "block_results"]
    assert (found.height, found.time_ns % 10**9) == (2, 500_000_000)
    assert [(tx.hash, tx.tx, tx.result.gas_used, len(tx.result.events)) for tx in found.txs] == [(HASH, TX, 1, 1)]
    assert [item.attributes[0].value for item in found.hook_events] == ["8", "9"]


async def test_blocks_that_are_not_there(server: QueryServer, rpc: Recorded) -> None:
    rpc.answers["block"] = QueryError(Status.UNKNOWN, "Internal error: height 1 is not available, lowest height is 2")
    for height, status_, said in ((0, Status.INVALID_ARGUMENT, "above 0"), (3, Status.NOT_FOUND, "the newest is 2")):
        with pytest.raises(QueryError, match=said) as caught:
            await ask(server, "Block", q.BlockRequest(height=height), q.BlockResponse)
        assert caught.value.status is status_
    for _ in range(2):  # a failure is not kept
        with pytest.raises(QueryError, match="lowest height is 2") as caught:
            await ask(server, "Block", q.BlockRequest(height=1), q.BlockResponse)
        assert caught.value.status is Status.NOT_FOUND
    rpc.answers["block"] = QueryError(Status.UNAVAILABLE, "CometBFT is away")
    with pytest.raises(QueryError, match="away"):
        await ask(server, "Block", q.BlockRequest(height=1), q.BlockResponse)


async def test_events_of_transactions_and_hooks_in_order(server: QueryServer, rpc: Recorded) -> None:
    """The indices find transactions and blocks that have such an event; the others in them are left out."""
    rpc.answers["tx_search"] = {
        "total_count": "3",
        "txs": [
            {"height": "3", "index": 1, "hash": "0B", "tx_result": result(0, event("11"), event("12", "channel-1"))},
            {"height": "3", "index": 0, "hash": "0a", "tx_result": result(0, event("010"))},
            {"height": "2", "index": 0, "hash": "0C", "tx_result": result(5, event("9"))},
        ],
    }
    rpc.answers["block_search"] = {"total_count": "1", "blocks": [{"block": {"header": {"height": "2"}}}]}
    channel = [q.Attribute(key="packet_src_channel", value="channel-0")]
    found = await events(server, attributes=channel, range_key="packet_sequence", first=9, last=11)
    assert found == [(2, "", "9"), (3, "0A", "010"), (3, "0B", "11")]
    query = "send_packet.packet_src_channel='channel-0' AND send_packet.packet_sequence>=9"
    assert rpc.asked[0][1]["query"] == query + " AND send_packet.packet_sequence<=11"
    assert await events(server, attributes=channel) == [
        *((2, "", sequence) for sequence in "89"),
        (3, "0A", "010"),
        (3, "0B", "11"),
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "expected attributes or a range"),
        ({"attributes": [q.Attribute(key="k", value="a' OR tx.height>'0")]}, "expected no quotation mark"),
        ({"attributes": [q.Attribute(key="k='v' AND x", value="v")]}, "expected a name"),
        ({"range_key": "a b"}, "expected a name"),
    ],
)
async def test_a_search_that_is_none(server: QueryServer, rpc: Recorded, fields: Json, said: str) -> None:
    with pytest.raises(QueryError, match=said) as caught:
        await events(server, **fields)
    assert caught.value.status is Status.INVALID_ARGUMENT
    assert rpc.asked == []
