"""One peer's stream: the chaincode's half of `protos.Chaincode/Connect`, without any socket.

    chaincode -> REGISTER (package id)      peer -> REGISTERED, READY
    peer -> TRANSACTION                     chaincode -> GET_STATE, PUT_STATE, ... each answered by RESPONSE or ERROR
                                            chaincode -> COMPLETED (a Response) or ERROR

Messages of several transactions are mixed on a stream; each transaction has one question open at a time.
Source: fabric-chaincode-go shim/handler.go and fabric core/chaincode/handler.go.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from threading import Lock

from cosmos_wire.errors import BsmgError, ToolError
from fabric_adapter.shim.ledger import LedgerStub, Question, read_proposal
from fabric_adapter.stub import REFUSED, Chaincode, Response
from fabric_wire.protos import DecodeError, chaincode, chaincode_event, chaincode_shim, proposal_response

Message = chaincode_shim.ChaincodeMessage
Send = Callable[[Message], None]
LOG = logging.getLogger(__name__)
LOST = Message(type=Message.ERROR, payload=b"expected the peer's answer, got the end of its stream")


class Session:
    """Runs the transactions of one peer. `send` may be called from any thread."""

    def __init__(self, program: Chaincode, executor: Executor, send: Send) -> None:
        self._program, self._executor, self._send = program, executor, send
        self._waiting: dict[tuple[str, str], SimpleQueue[Message]] = {}
        self._lock = Lock()
        self._ended = False

    def register(self, package_id: str) -> None:
        """Say who we are."""
        name = chaincode.ChaincodeID(name=package_id)
        self._send(Message(type=Message.REGISTER, payload=name.SerializeToString()))

    def receive(self, message: Message) -> None:
        """A message of the peer. Never waits."""
        if message.type in {Message.TRANSACTION, Message.INIT}:
            self._begin(message)
        elif message.type in {Message.RESPONSE, Message.ERROR}:
            self._answered(message)
        elif message.type == Message.KEEPALIVE:
            self._send(message)
        elif message.type not in {Message.REGISTERED, Message.READY}:
            LOG.warning("message of type %d: expected a transaction or an answer", message.type)

    def end(self) -> None:
        """The stream is gone: whoever waits for an answer hears that none will come."""
        with self._lock:
            self._ended = True
            for answers in self._waiting.values():
                answers.put(LOST)

    def _begin(self, message: Message) -> None:
        key = (message.channel_id, message.txid)
        answers: SimpleQueue[Message] = SimpleQueue()
        with self._lock:
            self._waiting[key] = answers
        running = self._executor.submit(self._run, message, answers)
        running.add_done_callback(lambda done: self._finish(message, done))

    def _run(self, message: Message, answers: SimpleQueue[Message]) -> Message:
        """In a thread: the chaincode itself."""

        def ask(question: Question) -> bytes:
            self._send(
                Message(type=question.type, payload=question.payload, txid=message.txid, channel_id=message.channel_id)
            )
            answer = answers.get()
            if answer is LOST:
                answers.put(LOST)  # for the next question: a chaincode may go on although one failed
            if answer.type == Message.ERROR:
                raise ToolError(f"ledger: expected an answer, got {answer.payload.decode(errors='replace')}")
            return answer.payload

        try:
            stub = LedgerStub(read_proposal(message), ask)
            answer = self._program.invoke(stub)
            event = stub.event
        except (BsmgError, DecodeError) as error:
            answer, event = Response(status=REFUSED, message=str(error)), None
        return completed(message, answer, event)

    def _finish(self, message: Message, done: Future[Message]) -> None:
        with self._lock:
            self._waiting.pop((message.channel_id, message.txid), None)
            if self._ended:
                return
        failure = done.exception()
        if failure is None:
            self._send(done.result())
            return
        LOG.error("transaction %s: the chaincode failed", message.txid, exc_info=failure)
        text = f"{type(failure).__name__}: {failure}".encode(errors="replace")
        self._send(Message(type=Message.ERROR, payload=text, txid=message.txid, channel_id=message.channel_id))

    def _answered(self, message: Message) -> None:
        with self._lock:
            answers = self._waiting.get((message.channel_id, message.txid))
        if answers is None:
            LOG.warning("transaction %s: expected one that runs, got an answer for another", message.txid)
            return
        answers.put(message)


def completed(message: Message, answer: Response, event: chaincode_event.ChaincodeEvent | None) -> Message:
    """COMPLETED with the chaincode's answer."""
    body = proposal_response.Response(status=answer.status, message=answer.message, payload=answer.payload)
    return Message(
        type=Message.COMPLETED,
        payload=body.SerializeToString(),
        txid=message.txid,
        channel_id=message.channel_id,
        chaincode_event=event,
    )
