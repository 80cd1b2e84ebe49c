"""The stub of a transaction that a peer runs: a question goes to the peer and waits for its answer.

Writes are kept until the chaincode has answered: it can't see them, and in one go they cost the thread one wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from cosmos_wire.errors import ToolError
from fabric_adapter.stub import FIRST_KEY, Invoked, InvokedStub, checked_event, checked_key, checked_value
from fabric_wire.protos import (
    Message,
    chaincode,
    chaincode_event,
    chaincode_shim,
    common,
    proposal,
    queryresult,
)

Type = chaincode_shim.ChaincodeMessage
Kind: TypeAlias = chaincode_shim.ChaincodeMessage.Type.ValueType


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A message to the peer that waits for an answer."""

    type: Kind
    payload: bytes


Ask = Callable[[Sequence[Question]], list[bytes]]  # in this order, each after the answer to the one before


def read_proposal(message: chaincode_shim.ChaincodeMessage) -> Invoked:
    """The proposal of a TRANSACTION; raises DecodeError when it is none."""
    signed = proposal.Proposal.FromString(message.proposal.proposal_bytes)
    header = common.Header.FromString(signed.header)
    channel = common.ChannelHeader.FromString(header.channel_header)
    return Invoked(
        channel_id=message.channel_id,
        tx_id=message.txid,
        timestamp_ns=channel.timestamp.ToNanoseconds(),
        creator=common.SignatureHeader.FromString(header.signature_header).creator,
        args=tuple(chaincode.ChaincodeInput.FromString(message.payload).args),
    )


class LedgerStub(InvokedStub):
    """See fabric_adapter.stub.Stub. For the thread that runs the transaction."""

    def __init__(self, call: Invoked, ask: Ask) -> None:
        super().__init__(call)
        self._ask = ask
        self._event: chaincode_event.ChaincodeEvent | None = None
        self._writes: dict[str, Question] = {}

    @property
    def event(self) -> chaincode_event.ChaincodeEvent | None:
        """The event that was set."""
        return self._event

    def get_state(self, key: str) -> bytes | None:
        """Committed value; the peer answers with nothing when there is none."""
        request = chaincode_shim.GetState(key=checked_key(key))
        return self._question(Type.GET_STATE, request) or None

    def get_states(self, keys: Sequence[str]) -> list[bytes | None]:
        """Committed values."""
        asked = [_question(Type.GET_STATE, chaincode_shim.GetState(key=checked_key(key))) for key in keys]
        return [value or None for value in self._ask(asked)] if asked else []

    def put_state(self, key: str, value: bytes) -> None:
        """Write a value."""
        request = chaincode_shim.PutState(key=checked_key(key), value=checked_value(key, value))
        self._write(Type.PUT_STATE, key, request)

    def del_state(self, key: str) -> None:
        """Delete a key."""
        self._write(Type.DEL_STATE, key, chaincode_shim.DelState(key=checked_key(key)))

    def flush(self) -> None:
        """Hand the writes to the peer; raises ToolError when it takes one not."""
        writes, self._writes = list(self._writes.values()), {}
        if writes:
            self._ask(writes)

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Committed keys, fetched in the peer's pages; a range that is left early is closed."""
        request = chaincode_shim.GetStateByRange(startKey=start or FIRST_KEY, endKey=end)
        page = self._page(Type.GET_STATE_BY_RANGE, request)
        try:
            while True:
                for item in page.results:
                    found = queryresult.KV.FromString(item.resultBytes)
                    yield found.key, found.value
                if not page.has_more:
                    return
                page = self._page(Type.QUERY_STATE_NEXT, chaincode_shim.QueryStateNext(id=page.id))
        finally:
            if page.has_more:
                with suppress(ToolError):  # the transaction may have ended, and its ranges with it
                    self._question(Type.QUERY_STATE_CLOSE, chaincode_shim.QueryStateClose(id=page.id))

    def set_event(self, name: str, payload: bytes) -> None:
        """The transaction's event."""
        self._event = chaincode_event.ChaincodeEvent(event_name=checked_event(name), payload=payload)

    def _page(self, kind: Kind, request: Message) -> chaincode_shim.QueryResponse:
        return chaincode_shim.QueryResponse.FromString(self._question(kind, request))

    def _write(self, kind: Kind, key: str, request: Message) -> None:
        self._writes[key] = _question(kind, request)

    def _question(self, kind: Kind, request: Message) -> bytes:
        return self._ask([_question(kind, request)])[0]


def _question(kind: Kind, request: Message) -> Question:
    return Question(type=kind, payload=request.SerializeToString())
