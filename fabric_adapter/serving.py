"""The main function of a program that serves until it is told to end."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop

from cosmos_wire.errors import BsmgError

Serve = Callable[[], Awaitable[None]]
SWITCH_INTERVAL_S = 0.001  # an event loop gets the interpreter back soon while a thread works
GC_THRESHOLDS = (20_000, 20, 50)  # what transactions bring is freed by count; the collector finds next to nothing in it


def quieten() -> None:
    """Keep collector and interpreter out of the way of many small works; after the imports, whose objects stay."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


async def until_signal(serve: Serve) -> None:
    """Serve until SIGTERM or SIGINT."""
    serving = asyncio.ensure_future(serve())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        logging.info("ended")


def main(serve: Serve) -> None:
    """Exit code 1 and one line for what a person can put right."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        uvloop.run(until_signal(serve))
    except BsmgError as error:
        sys.exit(f"error: {error}")
