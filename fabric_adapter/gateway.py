"""Client of Fabric's `gateway.Gateway` service: evaluate, endorse, submit, commit status, chaincode events.

One object a stage, one error type a stage (fabric_adapter.errors). What is tried again, for `Patience.total_s` at most:

- evaluate and endorse: they change nothing; a new proposal each time, because peers that disagreed need a new one;
- submit: the same envelope, under the same transaction id, of which Fabric makes at most one valid;
- commit status and events: reading.

An orderer that is killed forgets what it took and had not yet written. `transact` therefore sends the same envelope
again when the status does not come within `Patience.resubmit_s`, then after twice as long, and so on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import TypeAlias, TypeVar

import grpc

from fabric_adapter.calls import ENDORSE, EVALUATE, SETTLE, STATUS, SUBMIT, A, CallError, Lines, Method, call_error
from fabric_adapter.errors import (
    CommitError,
    EndorseError,
    EvaluateError,
    EventsError,
    FabricError,
    StatusError,
    SubmitError,
)
from fabric_adapter.identity import Identity, Tls, open_channel
from fabric_adapter.proposal import NO_OPTIONS, Call, Options, Proposed, propose, sign_envelope
from fabric_wire import fields
from fabric_wire.protos import (
    DecodeError,
    Message,
    chaincode,
    common,
    gateway,
    ledger,
    orderer,
    proposal,
    proposal_response,
    transaction,
)
from fabric_wire.services import gateway_services

T = TypeVar("T")

CALL_TIMEOUT_S = 35.0  # a peer gives an endorser 30 s
VALID = transaction.VALID
UNUSABLE = grpc.StatusCode.DATA_LOSS  # what a gateway answered is of no use


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a stage that failed in passing is tried again, and how often."""

    total_s: float = 15.0
    first_s: float = 0.05
    longest_s: float = 0.5
    resubmit_s: float = 3.0
    status_s: float = 60.0  # from the first submit to the verdict

    def pauses(self) -> Iterator[float]:
        """Pauses between attempts; together `total_s`."""
        pause, left = self.first_s, self.total_s
        while left > 0:
            yield min(pause, left)
            left -= pause
            pause = min(2 * pause, self.longest_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsed:
    """An endorsed transaction, unsigned; `payload` and `endorsements` are what a light client checks."""

    tx_id: str
    result: bytes
    payload: bytes  # ProposalResponsePayload, as every endorser signed it
    endorsements: tuple[tuple[bytes, bytes], ...]  # (endorser's SerializedIdentity, signature over payload + endorser)
    proposal_bytes: bytes  # Proposal: header and payload, of which `payload` has the hash
    envelope: bytes  # common.Payload for the orderer


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A transaction in a block."""

    tx_id: str
    validation_code: int
    block: int
    result: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How far events were handled: every one before `block`, and in it those up to and with `tx_id`."""

    block: int
    tx_id: str = ""


GENESIS = Checkpoint(block=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaincodeEvent:
    """An event of a valid transaction."""

    block: int
    tx_id: str
    chaincode: str
    name: str
    payload: bytes

    @property
    def checkpoint(self) -> Checkpoint:
        """To go on behind this event."""
        return Checkpoint(block=self.block, tx_id=self.tx_id)


EventStream: TypeAlias = AsyncGenerator[ChaincodeEvent, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """A stage that is tried again: what it raises, and for which transaction."""

    error: type[FabricError]
    tx_id: str
    timeout_s: float = CALL_TIMEOUT_S


class Gateway:
    """One member's client of one peer's gateway, on one channel."""

    def __init__(
        self, target: str, tls: Tls | None, identity: Identity, channel: str, patience: Patience | None = None
    ) -> None:
        self.identity, self.channel, self.patience = identity, channel, patience or Patience()
        self._connection = open_channel(target, tls)
        self._events = gateway_services.GatewayStub(self._connection)
        self._lines = Lines(self._connection)

    async def __aenter__(self) -> Gateway:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection."""
        await self._lines.close()
        await self._connection.close()

    async def evaluate(self, chaincode_name: str, args: Sequence[bytes], options: Options = NO_OPTIONS) -> bytes:
        """Ask a chaincode; nothing is ordered. Raises EvaluateError."""
        call = self._call(chaincode_name, args, options)

        async def attempt() -> bytes:
            made = propose(self.identity, call)
            request = gateway.EvaluateRequest(
                transaction_id=made.tx_id,
                channel_id=self.channel,
                proposed_transaction=made.signed,
                target_organizations=options.organizations,
            )
            stage = _Stage(error=EvaluateError, tx_id=made.tx_id)
            answer = await self._once(stage, EVALUATE, request)
            return bytes(answer.result.payload)

        return await self._patiently(attempt)

    async def endorse(self, chaincode_name: str, args: Sequence[bytes], options: Options = NO_OPTIONS) -> Endorsed:
        """Collect the endorsements that the policy needs. Raises EndorseError."""
        call = self._call(chaincode_name, args, options)
        return await self._patiently(lambda: self.endorse_proposal(propose(self.identity, call), options))

    async def endorse_proposal(self, made: Proposed, options: Options = NO_OPTIONS) -> Endorsed:
        """The same for a proposal that was made and signed elsewhere, once."""
        request = gateway.EndorseRequest(
            transaction_id=made.tx_id,
            channel_id=self.channel,
            proposed_transaction=made.signed,
            endorsing_organizations=options.organizations,
        )
        answer = await self._once(_Stage(error=EndorseError, tx_id=made.tx_id), ENDORSE, request)
        return endorsed(made, answer.prepared_transaction.payload)

    async def submit(self, ready: Endorsed) -> str:
        """Sign and hand over to the orderer; returns the transaction id. Raises SubmitError."""
        await self.submit_envelope(ready.tx_id, sign_envelope(self.identity, ready.envelope))
        return ready.tx_id

    async def submit_envelope(self, tx_id: str, envelope: common.Envelope) -> None:
        """The same for an envelope that was signed elsewhere; safe to repeat."""
        request, stage = self._submission(tx_id, envelope), _Stage(error=SubmitError, tx_id=tx_id)
        await self._patiently(lambda: self._once(stage, SUBMIT, request))

    def _submission(self, tx_id: str, envelope: common.Envelope) -> gateway.SubmitRequest:
        return gateway.SubmitRequest(transaction_id=tx_id, channel_id=self.channel, prepared_transaction=envelope)

    async def commit_status(self, tx_id: str, timeout_s: float | None = None) -> Committed:
        """Wait until a transaction is in a block; raises StatusError, with DEADLINE_EXCEEDED after `timeout_s`."""
        request = gateway.CommitStatusRequest(
            transaction_id=tx_id, channel_id=self.channel, identity=self.identity.serialized
        ).SerializeToString()
        signed = gateway.SignedCommitStatusRequest(request=request, signature=self.identity.sign(request))
        stage = _Stage(error=StatusError, tx_id=tx_id, timeout_s=timeout_s or self.patience.status_s)
        answer = await self._patiently(lambda: self._once(stage, STATUS, signed))
        return Committed(tx_id=tx_id, validation_code=answer.result, block=answer.block_number)

    async def transact(self, chaincode_name: str, args: Sequence[bytes], options: Options = NO_OPTIONS) -> Committed:
        """Endorse, submit, wait: at most once, and once unless it raises. Raises CommitError when it is invalid."""
        ready = await self.endorse(chaincode_name, args, options)
        return await self.settle(ready)

    async def settle(self, ready: Endorsed) -> Committed:
        """Submit an endorsed transaction until it is in a block. Raises SubmitError, StatusError, CommitError."""
        envelope = sign_envelope(self.identity, ready.envelope)
        left, wait = self.patience.status_s, self.patience.resubmit_s
        while True:
            try:
                return _valid(await self._submit_and_wait(ready.tx_id, envelope, wait), ready.result)
            except StatusError as error:
                left -= wait
                if left <= 0 or error.code is not grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise
            wait = min(2 * wait, left)  # a network that is only slow is not buried in copies

    async def _submit_and_wait(self, tx_id: str, envelope: common.Envelope, timeout_s: float) -> Committed:
        """Submit and status: in one call where the gateway takes that."""
        if not self._lines.is_streaming and not await self._patiently(lambda: self._takes_streams(tx_id)):
            await self.submit_envelope(tx_id, envelope)
            return await self.commit_status(tx_id, timeout_s)
        request = self._submission(tx_id, envelope)
        stage = _Stage(error=SubmitError, tx_id=tx_id, timeout_s=timeout_s)
        try:
            answer = await self._patiently(lambda: self._once(stage, SETTLE, request))
        except SubmitError as error:
            if error.code is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            raise StatusError(tx_id, error.code, error.reason) from error
        return Committed(tx_id=tx_id, validation_code=answer.result, block=answer.block_number)

    async def _takes_streams(self, tx_id: str) -> bool:
        try:
            return await self._lines.takes_streams(CALL_TIMEOUT_S)
        except CallError as error:
            raise SubmitError(tx_id, error.code, error.message, error.nodes) from error

    async def chaincode_events(self, chaincode_name: str, start: Checkpoint = GENESIS) -> EventStream:
        """Events behind a checkpoint, in the ledger's order; resumes by itself, none is lost and none comes twice.

        Raises EventsError when the peer stays away for longer than the patience. To begin with what comes now, start
        at `Checkpoint(block=await height())`.
        """
        point = start
        pauses = self.patience.pauses()
        while True:
            try:
                async with aclosing(self._events_once(chaincode_name, point)) as events:
                    async for event in events:
                        point, pauses = event.checkpoint, self.patience.pauses()
                        yield event
                failure: FabricError = EventsError("", grpc.StatusCode.UNAVAILABLE, "the stream ended")
            except grpc.aio.AioRpcError as error:
                failed = call_error(error)
                failure = EventsError("", failed.code, failed.message, failed.nodes)
            pause = next(pauses, None)
            if pause is None or not _resumes(failure):
                raise failure
            await asyncio.sleep(pause)

    async def _events_once(self, chaincode_name: str, point: Checkpoint) -> EventStream:
        request = gateway.ChaincodeEventsRequest(
            channel_id=self.channel,
            chaincode_id=chaincode_name,
            identity=self.identity.serialized,
            start_position=orderer.SeekPosition(specified=orderer.SeekSpecified(number=point.block)),
            after_transaction_id=point.tx_id,
        ).SerializeToString()
        signed = gateway.SignedChaincodeEventsRequest(request=request, signature=self.identity.sign(request))
        stream = self._events.ChaincodeEvents(signed)
        try:
            async for answer in stream:
                for item in answer.events:
                    yield ChaincodeEvent(
                        block=answer.block_number,
                        tx_id=item.tx_id,
                        chaincode=item.chaincode_id,
                        name=item.event_name,
                        payload=item.payload,
                    )
        finally:
            stream.cancel()

    async def height(self) -> int:
        """Number of blocks of the channel on this peer: the number of the next one."""
        raw = await self.evaluate("qscc", text_args("GetChainInfo", self.channel))
        return ledger.BlockchainInfo.FromString(raw).height

    def _call(self, chaincode_name: str, args: Sequence[bytes], options: Options) -> Call:
        return Call(channel=self.channel, chaincode=chaincode_name, args=tuple(args), options=options)

    async def _once(self, stage: _Stage, method: Method[A], request: Message) -> A:
        try:
            return await self._lines.call(method, request, stage.timeout_s)
        except CallError as error:
            raise stage.error(stage.tx_id, error.code, error.message, error.nodes) from error

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        for pause in self.patience.pauses():
            try:
                return await attempt()
            except FabricError as error:
                if not error.is_passing:
                    raise
            await asyncio.sleep(pause)
        return await attempt()


def _resumes(failure: FabricError) -> bool:
    """Whether a stream of events is asked for again: the node went away, or ended it without a reason of ours."""
    lasting = {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED}
    return failure.code not in lasting


def _valid(found: Committed, result: bytes) -> Committed:
    if found.validation_code != VALID:
        raise CommitError(found.tx_id, found.validation_code, found.block)
    return Committed(tx_id=found.tx_id, validation_code=VALID, block=found.block, result=result)


def endorsed(made: Proposed, payload: bytes) -> Endorsed:
    """What is in the payload that a gateway has put together; raises EndorseError unless it is our proposal's."""
    try:
        whole = common.Payload.FromString(payload)
        (deed,) = transaction.Transaction.FromString(whole.data).actions
        action = transaction.ChaincodeActionPayload.FromString(deed.payload)
        answer = proposal_response.ProposalResponsePayload.FromString(action.action.proposal_response_payload)
        result = proposal.ChaincodeAction.FromString(answer.extension).response.payload
        given = action.chaincode_proposal_payload
        is_ours = _is_of(made.signed.proposal_bytes, payload, whole.data, given)
    except (DecodeError, ValueError) as error:
        raise EndorseError(made.tx_id, UNUSABLE, f"a transaction that can't be read: {error}") from error
    if not is_ours:
        raise EndorseError(made.tx_id, UNUSABLE, "expected the transaction of this proposal, got another one's")
    return Endorsed(
        tx_id=made.tx_id,
        result=result,
        payload=action.action.proposal_response_payload,
        endorsements=tuple((item.endorser, item.signature) for item in action.action.endorsements),
        proposal_bytes=made.signed.proposal_bytes,
        envelope=payload,
    )


def _is_of(proposal_bytes: bytes, payload: bytes, data: bytes, given: bytes) -> bool:
    """Whether a gateway gives us our own transaction to sign: same header, same function and arguments.

    Its payload, the transaction in it, and the ChaincodeProposalPayload in that.
    """
    asked = proposal.Proposal.FromString(proposal_bytes)
    is_same = payload == fields.message(1, asked.header) + fields.data(2, data)
    if not is_same and common.Payload.FromString(payload).header != common.Header.FromString(asked.header):
        return False
    return given == asked.payload or _input(given) == _input(asked.payload)


def _input(payload: bytes) -> bytes:
    """A ChaincodeProposalPayload without the transient values, which are in no transaction."""
    return proposal.ChaincodeProposalPayload.FromString(payload).input


def text_args(*args: str) -> list[bytes]:
    """Arguments of a chaincode function that takes text."""
    return list(chaincode.ChaincodeInput(args=[item.encode() for item in args]).args)
