"""The project's own client of Fabric's Gateway service against the embedded ledger's process parts, over TLS."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from fabric_adapter.embedded.serve import serve
from fabric_adapter.errors import CommitError, EndorseError, EvaluateError
from fabric_adapter.gateway import Checkpoint, text_args
from fabric_adapter.network import document, members
from fabric_adapter.network.plan import Batch, Home, Wish, make_plan, ports_needed
from fabric_adapter.shim.keyvalue import KeyValue
from processes import ports
from processes.files import write_json
from processes.watch import accepts


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "net")
    made.path.mkdir()
    yield made
    ports.release(made.path)


@asynccontextmanager
async def ledger(home):
    wish = Wish(batch=Batch(timeout_ms=10))
    plan = make_plan(wish, ports.lease(home.path, ports_needed(wish)))
    members.make_all(home, plan)
    write_json(home.document, document.made(home, plan, "embedded"))
    serving = asyncio.create_task(serve(home, plan, KeyValue))
    try:
        await asyncio.gather(*(accepts(f"tcp://{peer.address}") for peer in plan.peers))
        yield
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_the_life_of_a_transaction(home):
    async with ledger(home), document.connect(home.document) as one, document.connect(home.document, 2) as two:
        done = await one.transact("microgrid", text_args("put", "a", "1"))
        assert (done.validation_code, done.block) == (0, 1)
        assert await two.evaluate("microgrid", text_args("get", "a")) == b"1"
        assert await two.height() == 2
        with pytest.raises(EvaluateError) as refused:
            await one.evaluate("microgrid", text_args("get", "b"))
        assert refused.value.refusal is not None
        assert "expected a known key" in refused.value.refusal.message
        with pytest.raises(EndorseError) as refused_too:
            await one.endorse("microgrid", text_args("refuse", "no thanks"))
        assert [said.msp_id for said in refused_too.value.nodes] == ["Org1MSP"]


async def test_conflicts_and_events(home):
    async with ledger(home), document.connect(home.document) as one:
        ready = [await one.endorse("microgrid", text_args("add", "n", "1")) for _ in range(2)]
        await one.settle(ready[0])
        with pytest.raises(CommitError, match="MVCC_READ_CONFLICT"):
            await one.settle(ready[1])
        sent = [await one.transact("microgrid", text_args("emit", "k", str(at), "tick")) for at in range(3)]
        events = one.chaincode_events("microgrid", Checkpoint(block=sent[0].block, tx_id=sent[0].tx_id))
        found = [await anext(events) for _ in range(2)]
        assert [(event.name, event.payload) for event in found] == [("tick", b"1"), ("tick", b"2")]
        await events.aclose()
