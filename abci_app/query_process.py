"""The query process: gRPC, REST and ABCI Query over committed states."""

from __future__ import annotations

import asyncio

from abci_app.settings import Settings


async def run_query(_settings: Settings, stop: asyncio.Event) -> int:
    """Serve until `stop`."""
    await stop.wait()
    return 0
