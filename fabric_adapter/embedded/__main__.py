"""Run the embedded ledger of a home: `python -m fabric_adapter.embedded --home DIR`."""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path

from fabric_adapter import serving
from fabric_adapter.embedded.serve import serve
from fabric_adapter.network.plan import Home, read_plan

SWITCH_INTERVAL_S = 0.001  # the event loop gets the interpreter back soon while a block is committed
GC_THRESHOLDS = (20_000, 20, 50)  # transactions are freed by count; the collector finds next to nothing among them


async def run(home: Home) -> None:
    """Serve until cancelled; each organisation's peer has a process of its own."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()  # what the imports made stays for good
    gc.set_threshold(*GC_THRESHOLDS)
    await serve(home, read_plan(home))


def main() -> None:
    """By the command line's options, until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m fabric_adapter.embedded", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    home = Home(parser.parse_args().home.resolve())
    serving.main(lambda: run(home))


if __name__ == "__main__":
    main()
