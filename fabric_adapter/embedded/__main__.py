"""Run the embedded ledger of a home: `python -m fabric_adapter.embedded --home DIR`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

import uvloop

from cosmos_wire.errors import BsmgError
from fabric_adapter.embedded.serve import serve
from fabric_adapter.network.plan import Home, read_plan
from fabric_adapter.shim.__main__ import load


async def run(home: Home) -> None:
    """Serve until SIGTERM."""
    plan = read_plan(home)
    serving = asyncio.ensure_future(serve(home, plan, lambda: load(plan.wish.factory)))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        logging.info("ended")


def main() -> None:
    """Exit code 1 and one line for what a person can put right."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    parser = argparse.ArgumentParser(prog="python -m fabric_adapter.embedded", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    try:
        uvloop.run(run(Home(parser.parse_args().home.resolve())))
    except BsmgError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
