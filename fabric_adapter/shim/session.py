"""One peer's stream: the chaincode's half of `protos.Chaincode/Connect`, without any socket.

    chaincode -> REGISTER (package id)      peer -> REGISTERED, READY
    peer -> TRANSACTION                     chaincode -> GET_STATE, PUT_STATE, ... each answered by RESPONSE or ERROR
                                            chaincode -> COMPLETED (a Response) or ERROR

Messages of several transactions are mixed on a stream; each transaction has one question open at a time.
Source: fabric-chaincode-go shim/handler.go and fabric core/chaincode/handler.go.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
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
Answers = list[Message]
LOST = Message(type=Message.ERROR, payload=b"expected the peer's answer, got the end of its stream")


class Session:
    """Runs the transactions of one peer. `send` may be called from any thread."""

    def __init__(self, program: Chaincode, executor: Executor, send: Send) -> None:
        self._program, self._executor, self._send = program, executor, send
        self._waiting: dict[tuple[str, str], Dialogue] = {}
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
            for dialogue in self._waiting.values():
                dialogue.lose()

    def _begin(self, message: Message) -> None:
        dialogue = Dialogue(message, self._send)
        with self._lock:
            self._waiting[message.channel_id, message.txid] = dialogue
        running = self._executor.submit(self._run, message, dialogue)
        running.add_done_callback(lambda done: self._finish(message, done))

    def _run(self, message: Message, dialogue: Dialogue) -> Message:
        """In a thread: the chaincode itself."""
        try:
            stub = LedgerStub(read_proposal(message), dialogue.ask)
            answer = self._program.invoke(stub)
            if answer.status < REFUSED:
                stub.flush()
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
            dialogue = self._waiting.get((message.channel_id, message.txid))
        if dialogue is None:
            LOG.warning("transaction %s: expected one that runs, got an answer for another", message.txid)
            return
        dialogue.answered(message)


class Dialogue:
    """The questions of one transaction: a thread asks several and waits once, the stream goes from one to the next."""

    def __init__(self, transaction: Message, send: Send) -> None:
        self._tx_id, self._channel_id, self._send = transaction.txid, transaction.channel_id, send
        self._done: SimpleQueue[Answers] = SimpleQueue()
        self._left: Iterator[Question] = iter(())
        self._answers: Answers = []

    def ask(self, questions: Sequence[Question]) -> list[bytes]:
        """In the transaction's thread: the answers; raises ToolError when one is an error."""
        self._answers, self._left = [], iter(questions)
        self._next()
        found = self._done.get()
        last = found[-1]
        if last is LOST:
            self._done.put([LOST])  # for the next question: a chaincode may go on although one failed
        if last.type == Message.ERROR:
            raise ToolError(f"ledger: expected an answer, got {last.payload.decode(errors='replace')}")
        return [answer.payload for answer in found]

    def answered(self, message: Message) -> None:
        """The peer's answer to the last question."""
        self._answers.append(message)
        if message.type == Message.ERROR or not self._next():
            self._done.put(self._answers)

    def lose(self) -> None:
        """No answer will come any more."""
        self._done.put([LOST])

    def _next(self) -> bool:
        question = next(self._left, None)
        if question is not None:
            asked = Message(type=question.type, payload=question.payload)
            asked.txid, asked.channel_id = self._tx_id, self._channel_id
            self._send(asked)
        return question is not None


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
