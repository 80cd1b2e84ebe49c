"""What the commands for groups of processes that a folder keeps have in common: `bsmg testnet`, `bsmg fabric`."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from bsmg.cli.output import note
from cosmos_wire.errors import ToolError
from processes import control, watch
from processes.files import Home, read_specs, tail

T = TypeVar("T")


async def started(what: str, start: Awaitable[T]) -> T:
    """What `start` returns. SIGTERM is Ctrl-C: what was started is ended again, and ToolError raised."""
    task = asyncio.current_task()
    assert task is not None, "runs in a task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await start
    except asyncio.CancelledError as error:
        raise ToolError(f"{what}: ended by a signal before it was ready") from error


async def stay(place: Home, down: Callable[[], None]) -> None:
    """Show processes that die, until a signal; then stop everything."""
    task = asyncio.current_task()
    assert task is not None, "runs in a task"
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await watch.show_deaths(place, note)
    except asyncio.CancelledError:
        note("stopping")
    await asyncio.to_thread(down)


def show_logs(place: Home, process: str | None, lines: int, *, follow: bool) -> None:
    """Last lines of those that a name stands for, or of all; raises ToolError for a folder without any."""
    specs = {spec.name: spec.log for spec in read_specs(place)}
    if not specs:
        raise ToolError(f"{place.path}: expected the folder of what `up` has started, got another one")
    names = control.matching(list(specs), process) if process else list(specs)
    if follow:
        subprocess.run(["tail", "-n", str(lines), "-F", *(specs[name] for name in names)], check=False)
        return
    for name in names:
        click.echo(f"==> {name} ({specs[name]})")
        click.echo("\n".join(tail(Path(specs[name]), lines)))
