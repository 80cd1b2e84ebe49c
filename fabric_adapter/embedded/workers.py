"""Threads that run what must not stop the event loop; answers come back to it in handfuls: each return costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any as Untyped
from typing import TypeVar

import lmdb

from cosmos_wire.errors import BsmgError, ToolError

T = TypeVar("T")
THREADS = 4
HANDFUL = 16
HANDFUL_S = 0.003  # whoever is done waits this long at most for the others of the handful
FAULTS = (
    BsmgError, lmdb.Error, OSError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
Job = tuple["asyncio.Future[Untyped]", Callable[[], Untyped]]
Done = tuple["asyncio.Future[Untyped]", Untyped, Exception | None]


class Workers:
    """Started by the first job; `close` ends them."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[Thread] = []

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises in one of the threads."""
        loop = asyncio.get_running_loop()
        if not self._threads:
            self._threads = [Thread(target=self._serve, args=(loop,), daemon=True) for _ in range(THREADS)]
            for thread in self._threads:
                thread.start()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((future, work))
        return await future

    def close(self) -> None:
        """No more jobs; those that wait are done first."""
        for _ in self._threads:
            self._jobs.put(None)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        while (job := self._jobs.get()) is not None:
            done, until = [finished(job, loop)], time.monotonic() + HANDFUL_S
            while len(done) < HANDFUL and time.monotonic() < until and not self._jobs.empty():
                following = self._jobs.get()
                if following is None:
                    self._jobs.put(None)  # the end is for the next turn
                    break
                done.append(finished(following, loop))
            if loop.is_closed():
                return
            loop.call_soon_threadsafe(settle, done)


def finished(job: Job, loop: asyncio.AbstractEventLoop) -> Done:
    """Run one; who waits for it gets what it raises."""
    future, work = job
    try:
        return future, work(), None
    except FAULTS as error:
        return future, None, error
    except BaseException:  # ends the thread, but leaves nobody waiting
        lost: Done = future, None, ToolError("worker: expected an answer, its thread ended")
        loop.call_soon_threadsafe(settle, [lost])
        raise


def settle(done: list[Done]) -> None:
    """On the loop: tell who waits."""
    for future, result, error in done:
        if future.done():
            continue  # nobody waits any more
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
