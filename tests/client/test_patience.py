"""A command that waits for a chain without blocks says so."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from bsmg.cli.target import patiently
from bsmg.client.feed import Head
from cosmos_wire.errors import ToolError


def chain(height: int) -> SimpleNamespace:
    return SimpleNamespace(chain_id="mga-1", feed=SimpleNamespace(head=Head(height=height, time_ns=0)))


async def test_a_chain_that_stands_still_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A frozen application left `bsmg tx` waiting without a word."""
    event = asyncio.Event()

    async def work() -> str:
        await event.wait()
        return "done"

    task = asyncio.create_task(patiently(chain(470), work(), patience_s=0.001))
    said = ""
    while "no block after 470" not in said:
        await asyncio.sleep(0)
        said += capsys.readouterr().err
    event.set()
    assert await task == "done"


async def test_what_the_work_raises_comes_through_and_an_end_reaches_it() -> None:
    async def refuses() -> None:
        raise ToolError("expected a chain, got none")

    with pytest.raises(ToolError, match="expected a chain"):
        await patiently(chain(1), refuses())
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(patiently(chain(1), endless()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(ended.wait(), 5)
