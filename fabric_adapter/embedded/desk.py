"""What a gateway of the embedded ledger does, however it is called: over Fabric's own service or on one stream.

Refusals are a real gateway's: its status codes, its words where clients look for them, and an ErrorDetail a node.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeVar

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.status_pb2 import Status

from cosmos_wire.errors import ChainError, ToolError
from fabric_adapter.embedded.endorser import Accepted, NoPeersError, Ready, Wanted
from fabric_adapter.embedded.ledger import Ledger
from fabric_adapter.embedded.orderer import OrdererFullError
from fabric_adapter.embedded.system import SYSTEM, answer
from fabric_adapter.embedded.workers import Workers
from fabric_wire import strict
from fabric_wire.envelopes import transaction_payload
from fabric_wire.protos import (
    chaincode_event,
    common,
    gateway,
    proposal,
    proposal_response,
    transaction,
)

T = TypeVar("T")
Code = grpc.StatusCode
Asked = gateway.CommitStatusRequest | gateway.ChaincodeEventsRequest


class RefusedError(Exception):
    """The end of a call: a gRPC status, and Status bytes with what the nodes said, empty for none."""

    def __init__(self, code: Code, message: str, details: bytes = b"") -> None:
        super().__init__(f"{code.name}: {message}")
        self.code, self.message, self.details = code, message, details


class Desk:
    """One organisation's gateway: evaluate, endorse, submit, status, events. Everything may raise RefusedError."""

    def __init__(self, ledger: Ledger, address: str, msp_id: str) -> None:
        self._ledger = ledger
        self._address, self._msp_id = address, msp_id
        self._workers = Workers()

    def close(self) -> None:
        """End the threads."""
        self._workers.close()

    async def evaluate(self, request: gateway.EvaluateRequest) -> gateway.EvaluateResponse:
        """A chaincode's answer, or a system chaincode's."""
        signed = request.proposed_transaction

        def work() -> proposal_response.Response:
            accepted = self._accept(signed)
            if accepted.asked.chaincode in SYSTEM:
                return answer(self._ledger, accepted.asked)
            found = self._ledger.endorsers.evaluate(accepted, self._wanted(request.target_organizations))
            return proposal_response.Response(status=found.status, message=found.message, payload=found.payload)

        return gateway.EvaluateResponse(result=await self._run(work, "evaluate call to endorser returned error"))

    async def endorse(self, request: gateway.EndorseRequest) -> gateway.EndorseResponse:
        """An envelope's payload, for the client to sign."""
        signed, wanted = request.proposed_transaction, self._wanted(request.endorsing_organizations)

        def work() -> Ready:
            return self._ledger.endorsers.endorse(self._accept(signed), wanted)

        ready = await self._run(work, "failed to endorse transaction")
        payload = transaction_payload(ready.accepted.parts, ready.payload, ready.endorsements)
        return gateway.EndorseResponse(prepared_transaction=common.Envelope(payload=payload))

    async def submit(self, request: gateway.SubmitRequest) -> gateway.SubmitResponse:
        """To the orderer, which takes what a member signed."""
        await self._take(request)
        return gateway.SubmitResponse()

    async def settle(self, request: gateway.SubmitRequest) -> gateway.CommitStatusResponse:
        """Submit, then the verdict: of the transaction that the signed envelope is of."""
        return await self._verdict(await self._take(request))

    async def commit_status(self, request: gateway.SignedCommitStatusRequest) -> gateway.CommitStatusResponse:
        """The verdict, as soon as there is one."""
        asked = self._read(gateway.CommitStatusRequest, request.request)
        self._require_asker(asked, request.request, request.signature)
        return await self._verdict(asked.transaction_id)

    async def events(
        self, request: gateway.SignedChaincodeEventsRequest
    ) -> AsyncIterator[gateway.ChaincodeEventsResponse]:
        """Events of valid transactions, block by block, behind the checkpoint."""
        asked = self._read(gateway.ChaincodeEventsRequest, request.request)
        self._require_asker(asked, request.request, request.signature)
        skip = asked.after_transaction_id
        async for block in self._ledger.blocks(self._start(asked)):
            events = events_of(block, asked.chaincode_id)
            if skip:
                events, skip = behind(events, skip), ""
            if events:
                yield gateway.ChaincodeEventsResponse(events=events, block_number=block.header.number)

    async def _verdict(self, tx_id: str) -> gateway.CommitStatusResponse:
        found = await self._ledger.wait_place(tx_id)
        code = transaction.TxValidationCode.ValueType(found.code)
        return gateway.CommitStatusResponse(result=code, block_number=found.block)

    async def _take(self, request: gateway.SubmitRequest) -> str:
        """Hand an envelope to the orderer; returns the transaction id in its header."""
        try:
            tx_id, envelope = await self._workers.run(lambda: self._checked(request))
            self._ledger.submit(envelope)
        except ChainError as error:
            raise RefusedError(Code.INVALID_ARGUMENT, str(error)) from error
        except OrdererFullError as error:
            raise RefusedError(Code.RESOURCE_EXHAUSTED, str(error)) from error
        if (failure := self._ledger.failed()) is not None:
            raise RefusedError(Code.UNAVAILABLE, f"no orderers could process the transaction: {failure!r}")
        return tx_id

    def _checked(self, request: gateway.SubmitRequest) -> tuple[str, bytes]:
        """Transaction id and bytes of an envelope that a member has signed."""
        envelope = request.prepared_transaction
        payload = strict.read(common.Payload, envelope.payload)
        header = strict.read(common.SignatureHeader, payload.header.signature_header)
        self._ledger.network.require_channel(request.channel_id)
        self._ledger.network.require_signed(header.creator, envelope.payload, envelope.signature, time.time_ns())
        return strict.read(common.ChannelHeader, payload.header.channel_header).tx_id, strict.write(envelope)

    def _wanted(self, organisations: Iterable[str]) -> Wanted:
        return Wanted(organisations=tuple(organisations), first=self._msp_id)

    def _accept(self, signed: proposal.SignedProposal) -> Accepted:
        return self._ledger.endorsers.accept(signed, time.time_ns())

    def _start(self, asked: gateway.ChaincodeEventsRequest) -> int:
        kind = asked.start_position.WhichOneof("Type")
        if kind == "specified":
            return asked.start_position.specified.number
        return 0 if kind == "oldest" else self._ledger.height()

    def _read(self, kind: type[strict.M], data: bytes) -> strict.M:
        try:
            return strict.read(kind, data)
        except ChainError as error:
            raise RefusedError(Code.INVALID_ARGUMENT, str(error)) from error

    def _require_asker(self, asked: Asked, message: bytes, signature: bytes) -> None:
        """A request that carries its own identity and signature: commit status, events."""
        try:
            self._ledger.network.require_channel(asked.channel_id)
            self._ledger.network.require_signed(asked.identity, message, signature, time.time_ns())
        except ChainError as error:
            raise RefusedError(Code.PERMISSION_DENIED, str(error)) from error

    async def _run(self, work: Callable[[], T], failed: str) -> T:
        try:
            return await self._workers.run(work)
        except NoPeersError as error:
            raise RefusedError(Code.UNAVAILABLE, str(error)) from error
        except (ToolError, ChainError) as error:
            message = f"{failed}, see attached details for more info"
            raise RefusedError(Code.ABORTED, message, self._details(Code.ABORTED, message, str(error))) from error

    def _details(self, code: Code, message: str, said: str) -> bytes:
        """The peer's words, as a gateway attaches them."""
        packed = Any()
        packed.Pack(gateway.ErrorDetail(address=self._address, msp_id=self._msp_id, message=said))
        return Status(code=code.value[0], message=message, details=[packed]).SerializeToString()


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
