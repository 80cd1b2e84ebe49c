"""The stub of a transaction that a peer runs: a question goes to the peer and waits for its answer.

Writes are kept until the chaincode has answered: it can't see them, and in one go they cost the thread one wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from cosmos_wire.errors import ToolError
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
FIRST_KEY = "\x01"  # below it are Fabric's composite keys, which a range of ours never shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A message to the peer that waits for an answer."""

    type: Kind
    payload: bytes


Ask = Callable[[Sequence[Question]], list[bytes]]  # in this order, each after the answer to the one before


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a proposal says."""

    channel_id: str
    tx_id: str
    timestamp_ns: int
    creator: bytes
    args: tuple[bytes, ...]


def read_proposal(message: chaincode_shim.ChaincodeMessage) -> Call:
    """The proposal of a TRANSACTION; raises DecodeError when it is none."""
    signed = proposal.Proposal.FromString(message.proposal.proposal_bytes)
    header = common.Header.FromString(signed.header)
    channel = common.ChannelHeader.FromString(header.channel_header)
    return Call(
        channel_id=message.channel_id,
        tx_id=message.txid,
        timestamp_ns=channel.timestamp.ToNanoseconds(),
        creator=common.SignatureHeader.FromString(header.signature_header).creator,
        args=tuple(chaincode.ChaincodeInput.FromString(message.payload).args),
    )


class LedgerStub:
    """See fabric_adapter.stub.Stub. For the thread that runs the transaction."""

    def __init__(self, call: Call, ask: Ask) -> None:
        self._call, self._ask = call, ask
        self._event: chaincode_event.ChaincodeEvent | None = None
        self._writes: dict[str, Question] = {}

    @property
    def channel_id(self) -> str:
        """Channel of the proposal."""
        return self._call.channel_id

    @property
    def tx_id(self) -> str:
        """Transaction id."""
        return self._call.tx_id

    @property
    def timestamp_ns(self) -> int:
        """The proposal's time."""
        return self._call.timestamp_ns

    @property
    def creator(self) -> bytes:
        """SerializedIdentity of the creator."""
        return self._call.creator

    @property
    def args(self) -> tuple[bytes, ...]:
        """Arguments."""
        return self._call.args

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
        if not value:
            raise ToolError(f"put_state {key!r}: expected at least one byte, got none: that is a deletion")
        self._write(Type.PUT_STATE, key, chaincode_shim.PutState(key=checked_key(key), value=value))

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
        if not name:
            raise ToolError("event: expected a name, got none")
        self._event = chaincode_event.ChaincodeEvent(event_name=name, payload=payload)

    def _page(self, kind: Kind, request: Message) -> chaincode_shim.QueryResponse:
        return chaincode_shim.QueryResponse.FromString(self._question(kind, request))

    def _write(self, kind: Kind, key: str, request: Message) -> None:
        self._writes[key] = _question(kind, request)

    def _question(self, kind: Kind, request: Message) -> bytes:
        return self._ask([_question(kind, request)])[0]


def _question(kind: Kind, request: Message) -> Question:
    return Question(type=kind, payload=request.SerializeToString())


def checked_key(key: str) -> str:
    """A key that Fabric takes: not empty, and not in the space of composite keys."""
    if not key or key[0] == "\x00":
        raise ToolError(f"key: expected text that does not begin with U+0000, got {key!r}")
    return key
