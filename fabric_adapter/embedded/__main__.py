"""Run the embedded ledger of a home: `python -m fabric_adapter.embedded --home DIR`."""

from __future__ import annotations

import argparse
from pathlib import Path

from fabric_adapter import serving
from fabric_adapter.chaincodes import load
from fabric_adapter.embedded.serve import serve
from fabric_adapter.network.plan import Home, read_plan


async def run(home: Home) -> None:
    """Serve until cancelled; each organisation has a chaincode object of its own."""
    plan = read_plan(home)
    await serve(home, plan, lambda: load(plan.wish.factory))


def main() -> None:
    """By the command line's options, until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m fabric_adapter.embedded", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    home = Home(parser.parse_args().home.resolve())
    serving.main(lambda: run(home))


if __name__ == "__main__":
    main()
