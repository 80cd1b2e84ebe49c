"""The project's own client of Fabric's Gateway service against the embedded ledger's process parts, over TLS."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from fabric_adapter.embedded.serve import serve
from fabric_adapter.errors import CommitError, EndorseError, EvaluateError
from fabric_adapter.gateway import Checkpoint, Patience, text_args
from fabric_adapter.network import document, lifecycle, members
from fabric_adapter.network.plan import EMBEDDED, Home, Wish, make_plan, ports_needed
from fabric_adapter.proposal import Options
from fabric_adapter.shim.keyvalue import KeyValue
from fabric_adapter.stub import Response
from fabric_wire.msp import Role
from fabric_wire.x509 import read_identity
from processes import ports
from processes.files import write_json
from processes.watch import accepts


class OwnCounter:
    """Counts its own calls."""

    def __init__(self):
        self.calls = 0

    def invoke(self, stub):
        assert stub.args
        self.calls += 1
        return Response(payload=b"%d" % self.calls)


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "net")
    made.path.mkdir()
    yield made
    ports.release(made.path)


@asynccontextmanager
async def ledger(home, make=KeyValue, endorsement="", orgs=2):
    wish = Wish(kind=EMBEDDED, endorsement=endorsement, orgs=orgs)
    plan = make_plan(wish, ports.lease(home.path, ports_needed(wish)))
    members.make_all(home, plan)
    write_json(home.plan, plan.doc())
    write_json(home.document, document.made(home, plan, "embedded"))
    serving = asyncio.create_task(serve(home, plan, make))
    try:
        await asyncio.gather(*(accepts(f"tcp://{peer.address}") for peer in plan.peers))
        yield serving
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@pytest.mark.parametrize("make", [KeyValue, None])  # peers here, and in processes of their own
async def test_the_life_of_a_transaction(home, make):
    async with ledger(home, make), document.connect(home.document) as one, document.connect(home.document, 2) as two:
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


async def test_each_organisation_has_a_chaincode_object_of_its_own_that_can_be_asked_for(home):
    async with ledger(home, OwnCounter), document.connect(home.document, 2) as two:
        for own, expected in ((["Org1MSP"], b"1"), (["Org1MSP"], b"2"), (["Org2MSP"], b"1"), ([], b"2")):
            assert await two.evaluate("microgrid", [b"x"], Options(organizations=own)) == expected
        two.patience = Patience(total_s=0.1)  # an organisation might still come
        with pytest.raises(EvaluateError, match="no peers available"):
            await two.evaluate("microgrid", [b"x"], Options(organizations=["Org9MSP"]))


async def test_a_gateway_asks_no_more_endorsers_than_the_policy_needs(home):
    one_of = "OutOf(1, 'Org1MSP.peer', 'Org2MSP.peer')"
    async with ledger(home, endorsement=one_of), document.connect(home.document, 2) as two:
        ready = await two.endorse("microgrid", text_args("put", "a", "1"))
        assert [read_identity(endorser).msp_id for endorser, _ in ready.endorsements] == ["Org2MSP"]
        both = Options(organizations=["Org1MSP", "Org2MSP"])
        assert len((await two.endorse("microgrid", text_args("put", "a", "1"), both)).endorsements) == 2


async def test_administrators_and_new_members_can_act(home):
    async with ledger(home):
        lifecycle.enroll(home, 2, "cell-7")
        lifecycle.enroll(home, 2, "boss", "admin")
        for org, name, role in ((1, "admin", Role.ADMIN), (2, "cell-7", Role.CLIENT), (2, "boss", Role.ADMIN)):
            async with document.connect(home.document, org, name) as client:
                await client.transact("microgrid", text_args("put", name, "1"))
                certificate = read_identity(client.identity.serialized).certificate
                assert certificate.organisational_units == (role.value,)


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
