"""Fabric's `gateway.Gateway` service on the embedded ledger, so that one client serves both back ends.

Errors are a real gateway's: its status codes, its words where clients look for them, and an ErrorDetail a node.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn, TypeVar

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.status_pb2 import Status

from cosmos_wire.errors import ChainError, ToolError
from fabric_adapter.embedded.endorser import (
    Accepted,
    NoPeersError,
    Ready,
    Wanted,
)
from fabric_adapter.embedded.ledger import Ledger
from fabric_adapter.embedded.orderer import OrdererFullError
from fabric_adapter.embedded.system import SYSTEM, answer
from fabric_adapter.errors import DETAILS_KEY
from fabric_wire import strict
from fabric_wire.envelopes import transaction_payload
from fabric_wire.protos import (
    Message,
    chaincode_event,
    common,
    gateway,
    proposal,
    proposal_response,
    transaction,
)
from fabric_wire.services import gateway_services

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Message, Message]
Code = grpc.StatusCode
THREADS = 8
Asked = gateway.CommitStatusRequest | gateway.ChaincodeEventsRequest


class GatewayService(gateway_services.GatewayServicer):
    """Evaluate, Endorse, Submit, CommitStatus, ChaincodeEvents."""

    def __init__(self, ledger: Ledger, address: str, msp_id: str) -> None:
        self._ledger = ledger
        self._address, self._msp_id = address, msp_id
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="endorse")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def Evaluate(self, request: gateway.EvaluateRequest, context: Context) -> gateway.EvaluateResponse:
        """A chaincode's answer, or a system chaincode's."""
        signed = request.proposed_transaction

        def work() -> proposal_response.Response:
            accepted = self._accept(signed)
            if accepted.asked.chaincode in SYSTEM:
                return answer(self._ledger, accepted.asked)
            found = self._ledger.endorsers.evaluate(accepted, self._wanted(request.target_organizations))
            return proposal_response.Response(status=found.status, message=found.message, payload=found.payload)

        return gateway.EvaluateResponse(
            result=await self._run(context, work, "evaluate call to endorser returned error")
        )

    async def Endorse(self, request: gateway.EndorseRequest, context: Context) -> gateway.EndorseResponse:
        """An envelope's payload, for the client to sign."""
        signed, wanted = request.proposed_transaction, self._wanted(request.endorsing_organizations)

        def work() -> Ready:
            return self._ledger.endorsers.endorse(self._accept(signed), wanted)

        ready = await self._run(context, work, "failed to endorse transaction")
        payload = transaction_payload(ready.accepted.parts, ready.payload, ready.endorsements)
        return gateway.EndorseResponse(prepared_transaction=common.Envelope(payload=payload))

    async def Submit(self, request: gateway.SubmitRequest, context: Context) -> gateway.SubmitResponse:
        """To the orderer, which takes what a member signed."""
        envelope = request.prepared_transaction
        try:
            self._require_submitter(request)
            self._ledger.submit(strict.write(envelope))
        except ChainError as error:
            await self._fail(context, Code.INVALID_ARGUMENT, str(error), "")
        except OrdererFullError as error:
            await self._fail(context, Code.RESOURCE_EXHAUSTED, str(error), "")
        if (failure := self._ledger.failed()) is not None:
            await self._fail(context, Code.UNAVAILABLE, f"no orderers could process the transaction: {failure!r}", "")
        return gateway.SubmitResponse()

    async def CommitStatus(
        self, request: gateway.SignedCommitStatusRequest, context: Context
    ) -> gateway.CommitStatusResponse:
        """The verdict, as soon as there is one."""
        asked = await self._read(context, gateway.CommitStatusRequest, request.request)
        await self._require_asker(context, asked, request.request, request.signature)
        found = await self._ledger.wait_place(asked.transaction_id)
        code = transaction.TxValidationCode.ValueType(found.code)
        return gateway.CommitStatusResponse(result=code, block_number=found.block)

    async def ChaincodeEvents(
        self, request: gateway.SignedChaincodeEventsRequest, context: Context
    ) -> AsyncIterator[gateway.ChaincodeEventsResponse]:
        """Events of valid transactions, block by block, behind the checkpoint."""
        asked = await self._read(context, gateway.ChaincodeEventsRequest, request.request)
        await self._require_asker(context, asked, request.request, request.signature)
        skip = asked.after_transaction_id
        async for block in self._ledger.blocks(self._start(asked)):
            events = events_of(block, asked.chaincode_id)
            if skip:
                events, skip = behind(events, skip), ""
            if events:
                yield gateway.ChaincodeEventsResponse(events=events, block_number=block.header.number)

    def _wanted(self, organisations: Iterable[str]) -> Wanted:
        return Wanted(organisations=tuple(organisations), first=self._msp_id)

    def _accept(self, signed: proposal.SignedProposal) -> Accepted:
        return self._ledger.endorsers.accept(signed, time.time_ns())

    def _require_submitter(self, request: gateway.SubmitRequest) -> None:
        payload = strict.read(common.Payload, request.prepared_transaction.payload)
        header = strict.read(common.SignatureHeader, payload.header.signature_header)
        self._ledger.network.require_channel(request.channel_id)
        self._ledger.network.require_signed(
            header.creator, request.prepared_transaction.payload, request.prepared_transaction.signature, time.time_ns()
        )

    def _start(self, asked: gateway.ChaincodeEventsRequest) -> int:
        kind = asked.start_position.WhichOneof("Type")
        if kind == "specified":
            return asked.start_position.specified.number
        return 0 if kind == "oldest" else self._ledger.height()

    async def _read(self, context: Context, kind: type[strict.M], data: bytes) -> strict.M:
        try:
            return strict.read(kind, data)
        except ChainError as error:
            await self._fail(context, Code.INVALID_ARGUMENT, str(error), "")

    async def _require_asker(self, context: Context, asked: Asked, message: bytes, signature: bytes) -> None:
        """A request that carries its own identity and signature: commit status, events."""
        try:
            self._ledger.network.require_channel(asked.channel_id)
            self._ledger.network.require_signed(asked.identity, message, signature, time.time_ns())
        except ChainError as error:
            await self._fail(context, Code.PERMISSION_DENIED, str(error), "")

    async def _run(self, context: Context, work: Callable[[], T], failed: str) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except NoPeersError as error:
            await self._fail(context, Code.UNAVAILABLE, str(error), "")
        except (ToolError, ChainError) as error:
            await self._fail(context, Code.ABORTED, f"{failed}, see attached details for more info", str(error))

    async def _fail(self, context: Context, code: Code, message: str, said: str) -> NoReturn:
        """End the call; `said` are the peer's words."""
        if said:
            detail = gateway.ErrorDetail(address=self._address, msp_id=self._msp_id, message=said)
            packed = Any()
            packed.Pack(detail)
            status = Status(code=code.value[0], message=message, details=[packed])
            context.set_trailing_metadata(((DETAILS_KEY, status.SerializeToString()),))
        await context.abort(code, message)


def events_of(block: common.Block, name: str) -> list[chaincode_event.ChaincodeEvent]:
    """Events of a chaincode's valid transactions in a block."""
    flags = block.metadata.metadata[common.TRANSACTIONS_FILTER]
    found = []
    for data, flag in zip(block.data.data, flags, strict=True):
        if flag == transaction.VALID and block.header.number:
            event = _event(data)
            if event.chaincode_id == name and event.event_name:
                found.append(event)
    return found


def _event(data: bytes) -> chaincode_event.ChaincodeEvent:
    """Of a transaction that validation has read already."""
    payload = common.Payload.FromString(common.Envelope.FromString(data).payload)
    body = transaction.Transaction.FromString(payload.data)
    action = transaction.ChaincodeActionPayload.FromString(body.actions[0].payload).action
    response = proposal_response.ProposalResponsePayload.FromString(action.proposal_response_payload)
    return chaincode_event.ChaincodeEvent.FromString(proposal.ChaincodeAction.FromString(response.extension).events)


def behind(events: list[chaincode_event.ChaincodeEvent], tx_id: str) -> list[chaincode_event.ChaincodeEvent]:
    """What follows a transaction's event; everything when it is not among them."""
    for at, event in enumerate(events):
        if event.tx_id == tx_id:
            return events[at + 1 :]
    return events
