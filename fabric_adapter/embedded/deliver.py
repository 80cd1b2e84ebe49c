"""Fabric's Deliver service on the embedded ledger, with a peer's rules and statuses (common/deliver/deliver.go)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

import grpc

from cosmos_wire.errors import ChainError
from fabric_adapter.embedded.ledger import Ledger
from fabric_wire import fields, strict
from fabric_wire.protos import (
    Message,
    chaincode_event,
    common,
    events,
    orderer,
    proposal,
    proposal_response,
    transaction,
)

Context = grpc.aio.ServicerContext[Message, Message]
Shape = Callable[[bytes], bytes]
SERVICE = "protos.Deliver"
TIME_WINDOW_NS = 15 * 60 * 10**9  # peer.authentication.timewindow


class Refused(Exception):  # noqa: N818  (an end of a stream, not a fault)
    """A status that ends the answer to one request."""

    def __init__(self, status: common.Status.ValueType) -> None:
        super().__init__(common.Status.Name(status))
        self.status = status


class DeliverService:
    """Whole blocks, filtered ones, and those with private data, of which this ledger has none.

    A stream may ask several times. Answers are bytes: a whole block leaves as it is written, unread.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def handlers(self) -> grpc.GenericRpcHandler:
        """`protos.Deliver`."""
        shapes = {"Deliver": _whole, "DeliverFiltered": self._filtered, "DeliverWithPrivateData": _private}
        found = {name: self._handler(shape) for name, shape in shapes.items()}
        made: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(SERVICE, found)  # type: ignore[no-untyped-call]  # grpcio ships no types
        return made

    def _handler(self, shape: Shape) -> grpc.RpcMethodHandler:
        async def answers(requests: AsyncIterator[common.Envelope], _context: Context) -> AsyncIterator[bytes]:
            async for answer in self._answers(requests, shape):
                yield answer

        made: grpc.RpcMethodHandler = grpc.stream_stream_rpc_method_handler(  # type: ignore[no-untyped-call]  # as above
            answers, common.Envelope.FromString, None
        )
        return made

    async def _answers(self, requests: AsyncIterator[common.Envelope], shape: Shape) -> AsyncIterator[bytes]:
        async for envelope in requests:
            try:
                async for block in self._sought(envelope):
                    yield shape(block)
                yield _status(common.SUCCESS)
            except Refused as refusal:
                yield _status(refusal.status)
                return  # as a peer does

    async def _sought(self, envelope: common.Envelope) -> AsyncIterator[bytes]:
        info = self._accept(envelope)
        height = self._ledger.height()
        start, stop = self._number(info.start, height), self._number(info.stop, height)
        if stop < start:
            raise Refused(common.BAD_REQUEST)
        if info.behavior == orderer.SeekInfo.FAIL_IF_NOT_READY and start >= height:
            raise Refused(common.NOT_FOUND)
        following = start
        async for block in self._ledger.raw_blocks(start):
            yield block
            following += 1
            if following > stop:
                return
            if info.behavior == orderer.SeekInfo.FAIL_IF_NOT_READY and following >= self._ledger.height():
                raise Refused(common.NOT_FOUND)

    def _accept(self, envelope: common.Envelope) -> orderer.SeekInfo:
        """What a member asks for; raises Refused."""
        network = self._ledger.network
        payload = _read(common.Payload, envelope.payload)
        header = _read(common.ChannelHeader, payload.header.channel_header)
        creator = _read(common.SignatureHeader, payload.header.signature_header).creator
        now = time.time_ns()
        if not header.HasField("timestamp") or abs(header.timestamp.ToNanoseconds() - now) > TIME_WINDOW_NS:
            raise Refused(common.BAD_REQUEST)
        if header.channel_id != network.channel_id:
            raise Refused(common.NOT_FOUND)
        try:
            network.require_signed(creator, envelope.payload, envelope.signature, now)
        except ChainError as error:
            raise Refused(common.FORBIDDEN) from error
        info = _read(orderer.SeekInfo, payload.data)
        if info.start.WhichOneof("Type") is None or info.stop.WhichOneof("Type") is None:
            raise Refused(common.BAD_REQUEST)
        return info

    def _number(self, position: orderer.SeekPosition, height: int) -> int:
        kind = position.WhichOneof("Type")
        if kind == "specified":
            return int(position.specified.number)
        return {"oldest": 0, "newest": height - 1}.get(str(kind), height)  # next_commit

    def _filtered(self, raw: bytes) -> bytes:
        block = common.Block.FromString(raw)
        made = events.FilteredBlock(channel_id=self._ledger.network.channel_id, number=block.header.number)
        for data, flag in zip(block.data.data, block.metadata.metadata[common.TRANSACTIONS_FILTER], strict=True):
            made.filtered_transactions.append(_filtered_transaction(data, flag))
        return events.DeliverResponse(filtered_block=made).SerializeToString()


def _whole(block: bytes) -> bytes:
    return fields.message(2, block)  # DeliverResponse.block


def _private(block: bytes) -> bytes:
    return fields.message(4, fields.message(1, block))  # DeliverResponse.block_and_private_data.block


def _status(status: common.Status.ValueType) -> bytes:
    return events.DeliverResponse(status=status).SerializeToString()


def _read(kind: type[strict.M], data: bytes) -> strict.M:
    try:
        return kind.FromString(data)
    except strict.DecodeError as error:
        raise Refused(common.BAD_REQUEST) from error


def _filtered_transaction(data: bytes, flag: int) -> events.FilteredTransaction:
    """Verdict and event, without the event's payload. What is no transaction shows its verdict alone."""
    made = events.FilteredTransaction(tx_validation_code=transaction.TxValidationCode.ValueType(flag))
    try:
        payload = common.Payload.FromString(common.Envelope.FromString(data).payload)
        header = common.ChannelHeader.FromString(payload.header.channel_header)
        made.txid, made.type = header.tx_id, common.HeaderType.ValueType(header.type)
        if flag == transaction.VALID and header.type == common.ENDORSER_TRANSACTION:
            made.transaction_actions.chaincode_actions.add(chaincode_event=_event(payload.data))
    except (strict.DecodeError, IndexError):
        return made
    return made


def _event(data: bytes) -> chaincode_event.ChaincodeEvent:
    action = transaction.ChaincodeActionPayload.FromString(transaction.Transaction.FromString(data).actions[0].payload)
    payload = proposal_response.ProposalResponsePayload.FromString(action.action.proposal_response_payload)
    found = chaincode_event.ChaincodeEvent.FromString(proposal.ChaincodeAction.FromString(payload.extension).events)
    found.ClearField("payload")
    return found
