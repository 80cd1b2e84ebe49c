"""The node's judge, a child process with pipes: floats and solvers never run in the state machine's process.

It is started when a ballot is near and ends with its node, for its stdin ends. Nobody waits for it: what it has not
answered is abstained from. A candidate at which it died is not shown to it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence

from cosmos_wire.protos import DecodeError, market_ballot

LOG = logging.getLogger("abci_app.judge_link")
COMMAND = (sys.executable, "-m", "physics.judge")
LENGTH_BYTES = 4

Key = tuple[bytes, bytes]  # digest of feeder and margin, hash of the candidate


class JudgeLink:
    """Made on the event loop's thread; `verdict` belongs there, `consider` may come from any."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = tuple(command)
        self._loop = asyncio.get_running_loop()
        self._verdicts: dict[Key, bool | None] = {}  # None: asked
        self._waiting: list[market_ballot.JudgeRequest] = []
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    def consider(self, requests: Sequence[market_ballot.JudgeRequest], *, soon: bool) -> None:
        """Ask for what is not known yet, forget what does not matter any more."""
        if requests or soon or self._verdicts:
            self._loop.call_soon_threadsafe(self._consider, tuple(requests), bool(requests) or soon)

    def verdict(self, digest: bytes, candidate: bytes) -> bool | None:
        """What the judge said, None as long as it has said nothing."""
        return self._verdicts.get((digest, candidate))

    @property
    def is_idle(self) -> bool:
        """Whether no child runs."""
        return self._task is None or self._task.done()

    async def stop(self) -> None:
        """End the child."""
        self._stopped = True
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        if self._task is not None:
            await self._task

    def _consider(self, requests: tuple[market_ballot.JudgeRequest, ...], wanted: bool) -> None:  # noqa: FBT001
        now = {(request.digest, request.candidate.hash): request for request in requests}
        new = [request for key, request in now.items() if key not in self._verdicts]
        self._verdicts = {key: self._verdicts.get(key) for key in now}
        if self._stopped or not wanted:
            return
        self._waiting += new
        if self.is_idle:
            self._task = self._loop.create_task(self._run())
        elif self._process is not None:
            self._send()

    async def _run(self) -> None:
        """One life of the child."""
        try:
            process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE)
        except OSError as error:
            LOG.warning("event=judge_failed reason=%s", error)
            return
        self._process = process
        LOG.info("event=judge_started pid=%d", process.pid)
        self._send()
        try:
            await self._listen(process)
        except (asyncio.IncompleteReadError, DecodeError, ConnectionError) as error:
            if not self._stopped:
                LOG.warning("event=judge_lost reason=%r", error)
        self._process = None
        self._waiting.clear()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    def _send(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        for request in self._waiting:
            data = request.SerializeToString()
            self._process.stdin.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)
        self._waiting.clear()

    async def _listen(self, process: Process) -> None:
        assert process.stdout is not None
        if self._stopped:
            process.kill()
        while True:
            length = int.from_bytes(await process.stdout.readexactly(LENGTH_BYTES), "big")
            found = market_ballot.JudgeVerdict.FromString(await process.stdout.readexactly(length))
            key = (found.digest, found.hash)
            if key in self._verdicts:
                self._verdicts[key] = found.secure
            LOG.info("event=judged candidate=%s secure=%s reason=%r", found.hash.hex()[:16], found.secure, found.reason)
