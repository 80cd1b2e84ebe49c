"""Run an organisation's front of a Fabric microgrid:

    python -m fabric_adapter.node --fabric HOME/fabric.json --org org1 --home DIR --grpc HOST:PORT --rest HOST:PORT

State and index are in DIR/data, settings of the operator in DIR/config/app.toml (`versions_kept`, `map_bytes`,
`query_concurrency`, `log_level`, `grpc`, `rest`; all optional). Ready when gRPC health says SERVING. SIGTERM or SIGINT
ends it with code 0; code 1 after an error, which is the last line on stderr. Killing it loses nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from cosmos_wire.errors import BsmgError
from fabric_adapter import serving
from fabric_adapter.node.front import Options, run
from fabric_adapter.node.writer import Pace
from microgrid.operator import read_operator

LOG_FORMAT = "%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"


def read(arguments: Sequence[str]) -> Options:
    """Flags over the operator's file."""
    flags = _parser().parse_args(arguments)
    operator = read_operator(flags.home / "config" / "app.toml")
    return Options(
        fabric=flags.fabric,
        org=flags.org,
        member=flags.member,
        home=flags.home,
        grpc=flags.grpc or operator.grpc,
        rest=flags.rest or operator.rest,
        pace=Pace(interval_s=flags.tick_s, delay_s=flags.writer_delay),
        operator=operator,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fabric_adapter.node", description="A Fabric microgrid's node.")
    parser.add_argument("--fabric", type=Path, required=True, help="fabric.json of the network")
    parser.add_argument("--org", required=True, help="name of the organisation in it, such as org1")
    parser.add_argument("--member", default="admin", help="who follows and writes: a peer or an administrator")
    parser.add_argument("--home", type=Path, required=True, help="the node's folder")
    parser.add_argument("--grpc", default="", help="HOST:PORT")
    parser.add_argument("--rest", default="", help="HOST:PORT")
    parser.add_argument("--tick-s", type=float, default=1.0, help="seconds from tick to tick")
    parser.add_argument("--writer-delay", type=float, default=0.0, help="seconds without a tick until it writes too")
    return parser


async def _run(options: Options) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(options, stop)


def main(arguments: Sequence[str]) -> int:
    """Run until a signal or an error."""
    try:
        options = read(arguments)
        logging.basicConfig(level=options.operator.log_level.upper(), format=LOG_FORMAT, stream=sys.stderr)
        serving.quieten()
        uvloop.run(_run(options))
    except (BsmgError, OSError) as error:
        sys.stderr.write(f"level=ERROR {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
