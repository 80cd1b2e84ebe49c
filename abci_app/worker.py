"""One thread that runs the state machine's handlers one at a time, beside the event loop.

A long FinalizeBlock keeps neither Query nor Echo nor Info from being answered. Consensus requests overtake waiting
CheckTx: they come on another connection, so that no order between them is promised, and the mempool can wait.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable

from cosmos_wire.errors import BsmgError
from cosmos_wire.protos import abci
from microgrid.query.remote import Done

LOG = logging.getLogger("abci_app.worker")
AT_ONCE = 32  # requests answered in one go, so that the event loop is woken once for all of them

Job = tuple[abci.Request, Done]
Answer = tuple[Done, abci.Response]


class Worker:
    """Takes requests on the event loop's thread and gives answers back there."""

    def __init__(self, handle: Callable[[abci.Request], abci.Response], on_death: Callable[[str], None]) -> None:
        self._handle, self._on_death = handle, on_death
        self._loop = asyncio.get_running_loop()
        self._consensus: deque[Job] = deque()
        self._mempool: deque[Job] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="state-machine")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def submit(self, request: abci.Request, done: Done) -> None:
        """Queue a request; `done` is called on the event loop."""
        queue = self._mempool if request.HasField("check_tx") else self._consensus
        with self._wake:
            queue.append((request, done))
            self._wake.notify()

    def stop(self) -> None:
        """Finish the request that is being worked on, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        why = "the state machine ended on an error; see the log"
        try:
            while jobs := self._next():
                self._post(*[(done, self._handle(request)) for request, done in jobs])
            why = ""
        except BsmgError as error:  # refused on purpose: CometBFT and the log get its one line
            why = str(error)
            refusal = abci.Response(exception=abci.ResponseException(error=why))
            self._post(*[(done, refusal) for _, done in jobs])
        finally:  # anything else goes on to the thread's excepthook, which prints it
            if why:
                self._loop.call_soon_threadsafe(self._on_death, why)

    def _next(self) -> list[Job]:
        """What to do next: one consensus request, else some of the mempool's; nothing when stopping."""
        with self._wake:
            self._wake.wait_for(lambda: self._stopping or self._consensus or self._mempool)
            if self._stopping:
                return []
            if self._consensus:
                return [self._consensus.popleft()]
            return [self._mempool.popleft() for _ in range(min(AT_ONCE, len(self._mempool)))]

    def _post(self, *answers: Answer) -> None:
        self._loop.call_soon_threadsafe(_deliver, answers)


def _deliver(answers: tuple[Answer, ...]) -> None:
    for done, response in answers:
        done(response)
