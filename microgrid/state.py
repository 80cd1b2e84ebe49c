"""Opens the node's durable state for each of its processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from microgrid.operator import Operator
from microgrid.state_api import STORES
from microgrid.store import StateDb, StoreOptions
from microgrid.store.errors import Missing

POLL_S = 0.2  # how often the query process looks whether the app process has made the database


@contextmanager
def open_state(path: Path, operator: Operator) -> Iterator[StateDb]:
    """For the app process: the one writer."""
    path.mkdir(parents=True, exist_ok=True)
    db = StateDb.open(path, _options(operator, read_only=False))
    try:
        yield db
    finally:
        db.close()


async def open_history(path: Path, operator: Operator, stop: asyncio.Event) -> StateDb | None:
    """For the query process: waits until the database is there; None when `stop` came first."""
    while not stop.is_set():
        try:
            return StateDb.open(path, _options(operator, read_only=True))
        except Missing:
            await _pause(stop)
    return None


async def _pause(stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), POLL_S)
    except TimeoutError:
        return


def _options(operator: Operator, *, read_only: bool) -> StoreOptions:
    return StoreOptions(
        stores=STORES, versions_kept=operator.versions_kept, map_size=operator.map_bytes, read_only=read_only
    )
