"""Run the embedded ledger of a home: `python -m fabric_adapter.embedded --home DIR`."""

from __future__ import annotations

import argparse
from pathlib import Path

from fabric_adapter import serving
from fabric_adapter.embedded.serve import serve
from fabric_adapter.network.plan import Home, read_plan


async def run(home: Home) -> None:
    """Serve until cancelled; each organisation's peer has a process of its own."""
    serving.quieten()
    await serve(home, read_plan(home))


def main() -> None:
    """By the command line's options, until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m fabric_adapter.embedded", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    home = Home(parser.parse_args().home.resolve())
    serving.main(lambda: run(home))


if __name__ == "__main__":
    main()
