"""The node's link to its judge: asks once, survives its death, waits for nothing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from abci_app.judge_link import JudgeLink
from cosmos_wire.protos import market_ballot as pb
from tests.physics.test_judge import buses, request_of, ring

HANG_S = 60
DEADLY = """
import sys
from physics import judge
before = judge.verdict_of
def verdict_of(request, judges):
    if request.candidate.hash == b"deadly":
        sys.exit(1)
    return before(request, judges)
judge.verdict_of = verdict_of
with open(sys.argv[1], "a") as log:
    log.write("started\\n")
judge.serve(sys.stdin.buffer, sys.stdout.buffer)
"""


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_S):
        while not holds():  # noqa: ASYNC110  (another process, not a task, makes it true)
            await asyncio.sleep(0.01)


def ask(power_W: int, name: bytes) -> pb.JudgeRequest:
    return request_of(ring(), buses((2, power_W)), name)


async def test_it_asks_and_hears() -> None:
    link = JudgeLink()
    good, bad = ask(1_000, b"good"), ask(90_000, b"bad")
    assert link.verdict(b"d", b"good") is None
    link.consider([good, bad], soon=True)
    assert link.verdict(b"d", b"good") is None  # nobody waits
    await until(lambda: link.verdict(b"d", b"bad") is not None)
    assert (link.verdict(b"d", b"good"), link.verdict(b"d", b"bad")) == (True, False)
    link.consider([], soon=True)
    await until(lambda: link.verdict(b"d", b"good") is None)  # the ballot is over
    await link.stop()


async def test_a_judge_that_dies_comes_back_and_is_not_shown_again_what_killed_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    link = JudgeLink((sys.executable, "-c", DEADLY, str(log)))
    deadly, good = ask(1_000, b"deadly"), ask(1_000, b"good")
    link.consider([deadly], soon=True)
    await until(lambda: log.exists() and link.is_idle)
    link.consider([deadly, good], soon=True)
    await until(lambda: link.verdict(b"d", b"good") is not None)
    assert link.verdict(b"d", b"deadly") is None
    assert log.read_text().count("started") == 2
    await link.stop()


async def test_no_judge_no_vote_no_error() -> None:
    link = JudgeLink(("/nonexistent/judge",))
    link.consider([ask(1_000, b"good")], soon=True)
    await until(lambda: link.is_idle)
    assert link.verdict(b"d", b"good") is None
    await link.stop()


async def test_none_is_started_where_nobody_votes() -> None:
    link = JudgeLink(("/nonexistent/judge",))
    link.consider([], soon=False)
    await asyncio.sleep(0)
    assert link.is_idle
    await link.stop()
