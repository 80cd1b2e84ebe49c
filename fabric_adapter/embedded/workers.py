"""Threads that run what must not stop the event loop; answers come back to it in handfuls: each return costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any as Untyped
from typing import TypeVar

T = TypeVar("T")
THREADS = 4
HANDFUL = 16
HANDFUL_S = 0.003  # whoever is done waits this long at most for the others of the handful
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
            done, until = [finished(job)], time.monotonic() + HANDFUL_S
            while len(done) < HANDFUL and time.monotonic() < until and not self._jobs.empty():
                following = self._jobs.get()
                if following is None:
                    self._jobs.put(None)  # the end is for the next turn
                    break
                done.append(finished(following))
            if loop.is_closed():
                return
            loop.call_soon_threadsafe(settle, done)


def finished(job: Job) -> Done:
    """Run one."""
    future, work = job
    try:
        return future, work(), None
    except Exception as error:  # noqa: BLE001  (whatever it is, the one who waits for the future gets it)
        return future, None, error


def settle(done: list[Done]) -> None:
    """On the loop: tell who waits."""
    for future, result, error in done:
        if future.done():
            continue  # nobody waits any more
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
