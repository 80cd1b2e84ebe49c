"""The client against a gateway that says what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from google.rpc.status_pb2 import Status

from fabric_adapter.errors import (
    DETAILS_KEY,
    CommitError,
    EndorseError,
    EvaluateError,
    EventsError,
    StatusError,
    SubmitError,
)
from fabric_adapter.gateway import Checkpoint, Gateway, Patience, text_args
from fabric_adapter.identity import Identity, signer
from fabric_wire.protos import (
    chaincode_event,
    common,
    gateway,
    proposal,
    proposal_response,
    transaction,
)
from fabric_wire.services import gateway_services

GUARD_S = 120  # against standing still, not a measurement
QUICK = Patience(total_s=0.4, first_s=0.01, longest_s=0.05, resubmit_s=GUARD_S, status_s=4 * GUARD_S)
DOWN = grpc.StatusCode.UNAVAILABLE
ABORTED = grpc.StatusCode.ABORTED
ARGS = text_args("put", "k", "v")


@dataclass(frozen=True)
class Fault:
    """An error of the gateway, with what the nodes said."""

    code: grpc.StatusCode
    message: str
    nodes: Sequence[str] = ()
    raw: bytes | None = None

    async def raise_at(self, context: grpc.aio.ServicerContext) -> None:
        status = Status(code=self.code.value[0], message=self.message)
        for text in self.nodes:
            status.details.add().Pack(gateway.ErrorDetail(address="peer9:7051", msp_id="Org9MSP", message=text))
        details = status.SerializeToString() if self.raw is None else self.raw
        await context.abort(self.code, self.message, ((DETAILS_KEY, details),))


@dataclass
class FakeGateway(gateway_services.GatewayServicer):
    """Answers each call with the next of its script, and with success when there is none left."""

    scripts: dict[str, list[object]] = field(default_factory=dict)
    seen: dict[str, list[object]] = field(default_factory=dict)
    prepare: Callable[[common.Payload], None] = lambda _: None
    stays: bool = False  # a stream of events that has told all it knows waits for more
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def next(self, stage: str, request: object, context: grpc.aio.ServicerContext) -> object | None:
        self.seen.setdefault(stage, []).append(request)
        left = self.scripts.get(stage, [])
        found = left.pop(0) if left else None
        if isinstance(found, Fault):
            await found.raise_at(context)
        return found

    async def Evaluate(self, request, context):
        await self.next("evaluate", request, context)
        return gateway.EvaluateResponse(result=proposal_response.Response(status=200, payload=b"answer"))

    async def Endorse(self, request, context):
        found = await self.next("endorse", request, context)
        payload = prepared(request.proposed_transaction, self.prepare) if found is None else found
        return gateway.EndorseResponse(prepared_transaction=common.Envelope(payload=payload))

    async def Submit(self, request, context):
        await self.next("submit", request, context)
        return gateway.SubmitResponse()

    async def CommitStatus(self, request, context):
        found = await self.next("status", request, context)
        if found == "late":
            await asyncio.Event().wait()
        return gateway.CommitStatusResponse(result=found or transaction.VALID, block_number=7)

    async def ChaincodeEvents(self, request, context):
        found = await self.next("events", gateway.ChaincodeEventsRequest.FromString(request.request), context)
        try:
            for answer in found or ():
                yield answer
            if self.stays:
                await asyncio.Event().wait()
        finally:
            self.left.set()

    def count(self, stage: str) -> int:
        return len(self.seen.get(stage, []))


def prepared(signed: proposal.SignedProposal, change: Callable[[common.Payload], None]) -> bytes:
    """What an honest gateway makes of a proposal; `change` is for the others."""
    asked = proposal.Proposal.FromString(signed.proposal_bytes)
    deed = proposal.ChaincodeAction(response=proposal_response.Response(status=200, payload=b"result"))
    answer = proposal_response.ProposalResponsePayload(extension=deed.SerializeToString()).SerializeToString()
    endorsement = proposal_response.Endorsement(endorser=b"peer", signature=b"s")
    action = transaction.ChaincodeActionPayload(
        chaincode_proposal_payload=asked.payload,
        action=transaction.ChaincodeEndorsedAction(proposal_response_payload=answer, endorsements=[endorsement]),
    )
    body = transaction.Transaction(actions=[transaction.TransactionAction(payload=action.SerializeToString())])
    whole = common.Payload(header=common.Header.FromString(asked.header), data=body.SerializeToString())
    change(whole)
    return whole.SerializeToString()


@asynccontextmanager
async def talking(fake: FakeGateway, patience: Patience = QUICK) -> AsyncIterator[Gateway]:
    server = grpc.aio.server()
    gateway_services.add_GatewayServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    identity = Identity(msp_id="Org1MSP", certificate=b"pem", sign=signer(ec.generate_private_key(ec.SECP256R1())))
    try:
        async with Gateway(f"127.0.0.1:{port}", None, identity, "energy", patience) as client:
            yield client
    finally:
        await server.stop(None)


async def test_the_whole_way():
    fake = FakeGateway()
    async with talking(fake) as client:
        done = await client.transact("microgrid", ARGS)
    assert (done.validation_code, done.block, done.result) == (transaction.VALID, 7, b"result")
    assert [fake.count(stage) for stage in ("endorse", "submit", "status")] == [1, 1, 1]


async def test_a_chaincodes_refusal_is_not_asked_again():
    refused = Fault(ABORTED, "failed to endorse", ["chaincode response 400, no sun: connection refused"])
    fake = FakeGateway({"endorse": [refused]})
    async with talking(fake) as client:
        with pytest.raises(EndorseError) as caught:
            await client.endorse("microgrid", ARGS)
    assert fake.count("endorse") == 1
    assert caught.value.refusal is not None
    assert (caught.value.refusal.status, caught.value.refusal.message) == (400, "no sun: connection refused")
    assert str(caught.value.nodes[0]).startswith("peer9:7051 (Org9MSP): chaincode response")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(DOWN, "connection refused"),
        Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests"),
        Fault(grpc.StatusCode.FAILED_PRECONDITION, "no combination of peers can be derived"),
        Fault(ABORTED, "failed", ["ProposalResponsePayloads do not match"]),
        Fault(ABORTED, "failed", ["could not launch chaincode x: connection refused"]),
        Fault(ABORTED, "failed", ["transaction returned with failure: [be37c278] error sending TRANSACTION: EOF"]),
        Fault(ABORTED, "failed", ["rpc error: code = Canceled desc = grpc: the client connection is closing"]),
    ],
)
async def test_what_passes_is_asked_again_under_a_new_id(fault: Fault):
    fake = FakeGateway({"endorse": [fault, fault]})
    async with talking(fake) as client:
        ready = await client.endorse("microgrid", ARGS)
    ids = [request.transaction_id for request in fake.seen["endorse"]]
    assert len(set(ids)) == 3
    assert ready.tx_id == ids[-1]


@pytest.mark.parametrize(
    ("stage", "kind"), [("evaluate", EvaluateError), ("endorse", EndorseError), ("submit", SubmitError)]
)
async def test_patience_ends_with_the_last_words(stage: str, kind: type[Exception]):
    fake = FakeGateway({stage: [Fault(DOWN, f"still away {n}") for n in range(1000)]})
    async with talking(fake) as client:
        ask = client.evaluate if stage == "evaluate" else client.transact
        with pytest.raises(kind, match="expected success, got UNAVAILABLE: still away"):
            await ask("microgrid", ARGS)
    assert 5 < fake.count(stage) < 50


async def test_an_evaluation_is_asked_again():
    fake = FakeGateway({"evaluate": [Fault(DOWN, "away")]})
    async with talking(fake) as client:
        assert await client.evaluate("microgrid", ARGS) == b"answer"
    assert fake.count("evaluate") == 2


async def test_submit_repeats_the_same_envelope():
    fake = FakeGateway({"submit": [Fault(DOWN, "no orderer"), Fault(DOWN, "no orderer")]})
    async with talking(fake) as client:
        await client.transact("microgrid", ARGS)
    assert len({request.SerializeToString() for request in fake.seen["submit"]}) == 1
    assert fake.count("submit") == 3
    assert fake.count("endorse") == 1


async def test_an_orderers_no_is_final():
    fake = FakeGateway({"submit": [Fault(ABORTED, "status=FORBIDDEN")]})
    async with talking(fake) as client:
        with pytest.raises(SubmitError, match="FORBIDDEN"):
            await client.transact("microgrid", ARGS)
    assert fake.count("submit") == 1


async def test_a_status_that_does_not_come_makes_it_submit_again():
    late = Fault(grpc.StatusCode.DEADLINE_EXCEEDED, "not yet")
    fake = FakeGateway({"status": [late, late]})
    async with talking(fake) as client:
        await client.transact("microgrid", ARGS)
    assert len({request.SerializeToString() for request in fake.seen["submit"]}) == 1
    assert (fake.count("submit"), fake.count("status")) == (3, 3)


async def test_a_status_that_never_comes_is_an_error():
    fake = FakeGateway({"status": ["late"] * 100})
    async with talking(fake, replace(QUICK, resubmit_s=0.1, status_s=0.5)) as client:
        with pytest.raises(StatusError, match="DEADLINE_EXCEEDED"):
            await client.transact("microgrid", ARGS)
    assert fake.count("endorse") == 1


async def test_an_invalid_transaction_has_its_code_and_is_not_tried_again():
    fake = FakeGateway({"status": [transaction.MVCC_READ_CONFLICT]})
    async with talking(fake) as client:
        with pytest.raises(CommitError, match="expected VALID, got MVCC_READ_CONFLICT in block 7") as caught:
            await client.transact("microgrid", ARGS)
    assert caught.value.validation_code == transaction.MVCC_READ_CONFLICT
    assert fake.count("submit") == 1


def another_transaction(whole: common.Payload) -> None:
    header = common.ChannelHeader.FromString(whole.header.channel_header)
    header.tx_id = "another"
    whole.header.channel_header = header.SerializeToString()


def other_arguments(whole: common.Payload) -> None:
    deed = transaction.Transaction.FromString(whole.data)
    action = transaction.ChaincodeActionPayload.FromString(deed.actions[0].payload)
    action.chaincode_proposal_payload = proposal.ChaincodeProposalPayload(input=b"other").SerializeToString()
    deed.actions[0].payload = action.SerializeToString()
    whole.data = deed.SerializeToString()


def two_actions(whole: common.Payload) -> None:
    deed = transaction.Transaction.FromString(whole.data)
    deed.actions.add().CopyFrom(deed.actions[0])
    whole.data = deed.SerializeToString()


@pytest.mark.parametrize("change", [another_transaction, other_arguments, two_actions])
async def test_a_gateway_does_not_get_another_transaction_signed(change: Callable[[common.Payload], None]):
    fake = FakeGateway(prepare=change)
    async with talking(fake) as client:
        with pytest.raises(EndorseError, match=r"expected the transaction of this proposal|can't be read"):
            await client.transact("microgrid", ARGS)
    assert fake.count("submit") == 0


@pytest.mark.parametrize("payload", [b"\xff\xff", b"", common.Payload(data=b"\xff").SerializeToString()])
async def test_what_cannot_be_read_is_an_error_of_its_stage(payload: bytes):
    async with talking(FakeGateway({"endorse": [payload]})) as client:
        with pytest.raises(EndorseError, match="can't be read"):
            await client.endorse("microgrid", ARGS)


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b""])
async def test_details_that_cannot_be_read_are_left_out(raw: bytes):
    async with talking(FakeGateway({"endorse": [Fault(ABORTED, "the reason", raw=raw)]})) as client:
        with pytest.raises(EndorseError, match="the reason") as caught:
            await client.endorse("microgrid", ARGS)
    assert caught.value.nodes == ()


def events(block: int, *tx_ids: str) -> gateway.ChaincodeEventsResponse:
    found = [chaincode_event.ChaincodeEvent(chaincode_id="microgrid", tx_id=tx, event_name="e") for tx in tx_ids]
    return gateway.ChaincodeEventsResponse(events=found, block_number=block)


async def test_events_resume_behind_the_last_one():
    first, second = [events(3, "a", "b"), events(5, "c")], [events(6, "d")]
    fake = FakeGateway({"events": [first, Fault(DOWN, "away"), second]})
    async with talking(fake) as client:
        stream = client.chaincode_events("microgrid", Checkpoint(block=2, tx_id="before"))
        found = [await anext(stream) for _ in range(4)]
        await stream.aclose()
    assert [event.tx_id for event in found] == ["a", "b", "c", "d"]
    asked = [(item.start_position.specified.number, item.after_transaction_id) for item in fake.seen["events"]]
    assert asked[:3] == [(2, "before"), (5, "c"), (5, "c")]


async def test_a_listener_that_stops_ends_its_stream():
    fake = FakeGateway({"events": [[events(3, "a", "b")]]}, stays=True)
    async with talking(fake) as client:
        stream = client.chaincode_events("microgrid")
        assert (await anext(stream)).tx_id == "a"
        await stream.aclose()
        async with asyncio.timeout(GUARD_S):
            await fake.left.wait()
    assert fake.count("events") == 1


async def test_events_that_stay_away_are_an_error():
    fake = FakeGateway({"events": [Fault(DOWN, "still away") for _ in range(1000)]})
    async with talking(fake) as client:
        with pytest.raises(EventsError, match="still away"):
            await anext(client.chaincode_events("microgrid"))
    assert fake.count("events") > 5


async def test_events_that_are_not_for_us_are_an_error_at_once():
    fake = FakeGateway({"events": [Fault(grpc.StatusCode.PERMISSION_DENIED, "not a member")]})
    async with talking(fake) as client:
        with pytest.raises(EventsError, match="not a member"):
            await anext(client.chaincode_events("microgrid"))
    assert fake.count("events") == 1
