"""What a gateway of the embedded ledger does, however it is called: over Fabric's own service or on one stream.

Refusals are a real gateway's: its status codes, its words where clients look for them, and an ErrorDetail a node.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.status_pb2 import Status

from cosmos_wire.errors import ChainError, ToolError
from fabric_adapter.embedded.apart import Apart
from fabric_adapter.embedded.endorser import Accepted, Ready, Wanted
from fabric_adapter.embedded.ledger import Ledger
from fabric_adapter.embedded.network import CHANNEL_READERS, CHANNEL_WRITERS, Network
from fabric_adapter.embedded.orderer import OrdererFullError
from fabric_adapter.embedded.refusals import (
    READERS,
    ChaincodeFailedError,
    ChaincodeRefusedError,
    NoPeersError,
    NotEnoughError,
    UnknownChannelError,
    forbidden,
    no_metadata,
    orderer_refused,
    policy_failed,
)
from fabric_adapter.embedded.system import SYSTEM, SystemQueryError, answer
from fabric_adapter.embedded.workers import Workers
from fabric_adapter.stub import Response
from fabric_wire import strict
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
SEE = ", see attached details for more info"
Asked = gateway.CommitStatusRequest | gateway.ChaincodeEventsRequest


class RefusedError(ToolError):
    """The end of a call: a gRPC status, and Status bytes with what the nodes said, empty for none."""

    def __init__(self, code: Code, message: str, details: bytes = b"") -> None:
        super().__init__(f"{code.name}: {message}")
        self.code, self.message, self.details = code, message, details


class Desk:
    """One organisation's gateway: evaluate, endorse, submit, status, events. Everything may raise RefusedError."""

    def __init__(self, ledger: Ledger, address: str, msp_id: str, apart: Apart | None = None) -> None:
        self._ledger, self._apart = ledger, apart
        self._address, self._msp_id = address, msp_id
        self._anybody = Wanted(first=msp_id)
        self._workers = Workers()

    def close(self) -> None:
        """End the threads."""
        self._workers.close()

    async def evaluate(self, request: gateway.EvaluateRequest) -> gateway.EvaluateResponse:
        """A chaincode's answer, or a system chaincode's."""
        try:
            accepted = await self._do(lambda: self._accept(request.proposed_transaction))
            if accepted.asked.chaincode in SYSTEM:
                return gateway.EvaluateResponse(result=await self._do(lambda: answer(self._ledger, accepted.asked)))
            found = await self._evaluated(accepted, self._wanted(request.target_organizations))
            said = proposal_response.Response(status=found.status, message=found.message, payload=found.payload)
            return gateway.EvaluateResponse(result=said)
        except (ToolError, ChainError) as error:
            raise self._not_evaluated(error) from error

    async def endorse(self, request: gateway.EndorseRequest) -> gateway.EndorseResponse:
        """An envelope's payload, for the client to sign."""
        try:
            ready = await self._endorsed(request.proposed_transaction, self._wanted(request.endorsing_organizations))
        except (ToolError, ChainError) as error:
            raise self._not_endorsed(error) from error
        payload = ready.transaction(self._ledger.way)
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

    async def _evaluated(self, accepted: Accepted, wanted: Wanted) -> Response:
        endorsers = self._ledger.endorsers
        if self._apart is not None:
            return await self._apart.evaluate(endorsers, accepted, wanted)
        return await self._workers.run(lambda: endorsers.evaluate(accepted, wanted))

    async def _endorsed(self, signed: proposal.SignedProposal, wanted: Wanted) -> Ready:
        endorsers = self._ledger.endorsers
        if self._apart is not None:
            return await self._apart.endorse(endorsers, self._accept(signed), wanted)
        return await self._workers.run(lambda: endorsers.endorse(self._accept(signed), wanted))

    async def _do(self, work: Callable[[], T]) -> T:
        """At once where peers run apart; threads are for work that could keep the event loop waiting."""
        return work() if self._apart is not None else await self._workers.run(work)

    async def _verdict(self, tx_id: str) -> gateway.CommitStatusResponse:
        found = await self._ledger.wait_place(tx_id)
        code = transaction.TxValidationCode.ValueType(found.code)
        return gateway.CommitStatusResponse(result=code, block_number=found.block)

    async def _take(self, request: gateway.SubmitRequest) -> str:
        """Hand an envelope to the orderer; returns the transaction id in its header."""
        try:
            checked = self._checked(request) if self._apart else await self._workers.run(lambda: self._checked(request))
            tx_id, envelope = checked
            self._ledger.submit(envelope)
        except OrdererFullError as error:
            raise RefusedError(Code.RESOURCE_EXHAUSTED, str(error)) from error
        if (failure := self._ledger.failed()) is not None:
            raise RefusedError(Code.UNAVAILABLE, f"no orderers could process the transaction: {failure!r}")
        return tx_id

    def _checked(self, request: gateway.SubmitRequest) -> tuple[str, bytes]:
        """Transaction id and bytes of an envelope that a member has signed."""
        envelope, network = request.prepared_transaction, self._ledger.network
        if not envelope.payload or not envelope.signature:
            raise RefusedError(Code.INVALID_ARGUMENT, "prepared transaction: expected a signed payload, got none")
        ours = self._ledger.way.prepared(envelope.payload)
        creator, tx_id = _headers(network, envelope.payload) if ours is None else (ours.asked.creator, ours.tx_id)
        try:
            member = network.require_signed(creator, envelope.payload, envelope.signature, time.time_ns())
            network.require_role(member, CHANNEL_WRITERS)
        except ChainError as error:
            raise RefusedError(Code.ABORTED, forbidden(error)) from error
        raw = strict.write(envelope)
        if ours is not None:
            self._ledger.way.signed(envelope.payload, raw, ours)
        return tx_id, raw

    def _wanted(self, organisations: Sequence[str]) -> Wanted:
        if not organisations:
            return self._anybody
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
        network = self._ledger.network
        try:
            network.require_channel(asked.channel_id)
        except ChainError as error:
            words = f"Failed to get policy manager for channel [{asked.channel_id[:64]}]: {error}"
            raise RefusedError(Code.PERMISSION_DENIED, words) from error
        try:
            member = network.require_signed(asked.identity, message, signature, time.time_ns())
            network.require_role(member, CHANNEL_READERS)
        except ChainError as error:
            raise RefusedError(Code.PERMISSION_DENIED, policy_failed(READERS, asked.channel_id, error)) from error

    def _not_evaluated(self, error: ToolError | ChainError) -> RefusedError:
        """Code and words of a real gateway."""
        said = str(error)
        if isinstance(error, NoPeersError):
            return RefusedError(error.code, said)
        if isinstance(error, UnknownChannelError):
            name = error.channel_id[:64]
            words = f"failed to get config for channel [{name}]: could not get last config for channel {name}: {said}"
            return RefusedError(Code.UNAVAILABLE, words)
        if isinstance(error, ChaincodeFailedError):
            return self._detailed(Code.ABORTED, f"failed to evaluate transaction{SEE}", said, error.msp_ids)
        answered = isinstance(error, ChaincodeRefusedError | SystemQueryError)
        code = Code.UNKNOWN if answered else Code.FAILED_PRECONDITION
        return self._detailed(code, f"evaluate call to endorser returned error: {said}", said)

    def _not_endorsed(self, error: ToolError | ChainError) -> RefusedError:
        """Code and words of a real gateway."""
        if isinstance(error, NoPeersError):
            return RefusedError(error.code, str(error))
        if isinstance(error, UnknownChannelError):
            words = f"{no_metadata(error.chaincode[:64], error.channel_id[:64])}: {error}"
            return RefusedError(Code.FAILED_PRECONDITION, words)
        if isinstance(error, NotEnoughError):
            return self._said(Code.ABORTED, f"failed to collect enough transaction endorsements{SEE}", error.said)
        who = (error.node.msp_id,) if isinstance(error, ChaincodeRefusedError) else ()
        return self._detailed(Code.ABORTED, f"failed to endorse transaction{SEE}", str(error), who)

    def _detailed(self, code: Code, message: str, said: str, msp_ids: Iterable[str] = ()) -> RefusedError:
        """With the words of peers, who all say the same."""
        return self._said(code, message, dict.fromkeys(msp_ids or (self._msp_id,), said))

    def _said(self, code: Code, message: str, words: Mapping[str, str]) -> RefusedError:
        """With the words of peers by MSP id, as a gateway attaches them."""
        details = []
        for msp_id, said in words.items():
            packed = Any()
            packed.Pack(gateway.ErrorDetail(address=self._address, msp_id=msp_id, message=said))
            details.append(packed)
        status = Status(code=code.value[0], message=message, details=details)
        return RefusedError(code, message, status.SerializeToString())


def _headers(network: Network, data: bytes) -> tuple[bytes, str]:
    """Creator and transaction id of a payload for this channel; raises RefusedError."""
    try:
        payload = strict.read(common.Payload, data)
        header = strict.read(common.SignatureHeader, payload.header.signature_header)
        channel = strict.read(common.ChannelHeader, payload.header.channel_header)
        network.require_channel(channel.channel_id)
    except ChainError as error:
        raise RefusedError(Code.ABORTED, orderer_refused("BAD_REQUEST", str(error))) from error
    return header.creator, channel.tx_id


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
