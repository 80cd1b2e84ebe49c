"""Starts one process of a node. Two processes a node, beside CometBFT; start them in any order:

    python -m abci_app.node --role app   --home DIR --abci unix://DIR/abci.sock --query-socket DIR/query.sock
    python -m abci_app.node --role query --home DIR --query-socket DIR/query.sock \
                            --grpc HOST:PORT --rest HOST:PORT --rpc http://HOST:PORT

`--home` is required and may be CometBFT's own home: state is in DIR/data/state, settings of the operator in
DIR/config/app.toml (`min_gas_price`, `versions_kept`, `retain_blocks`, `map_bytes`, `query_nice`,
`query_concurrency`, `log_level`, `grpc`, `rest`; all optional). `--abci` takes unix://PATH or tcp://HOST:PORT and has
to be CometBFT's `proxy_app`. `--rpc` is the RPC of the CometBFT of the same node. A unix socket path may have at most
107 characters.

Ready: role app, when the ABCI socket accepts; role query, when gRPC health says SERVING (it waits until the app
process has made the state database). SIGTERM or SIGINT ends either cleanly with code 0; code 1 after an error, which
is the last line on stderr. Killing either at any instant loses nothing.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Sequence

import uvloop

from abci_app.app_process import run_app
from abci_app.query_process import run_query
from abci_app.settings import Settings, read
from cosmos_wire.errors import BsmgError

SWITCH_INTERVAL_S = 0.001  # the event loop gets the interpreter back soon while a block is being executed
LOG_FORMAT = "%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"


def main(arguments: Sequence[str]) -> int:
    """Run until a signal or an error."""
    try:
        settings = read(arguments)
        logging.basicConfig(level=settings.operator.log_level.upper(), format=LOG_FORMAT, stream=sys.stderr)
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        gc.freeze()  # what the imports made stays for good: no collection has to look at it again
        return uvloop.run(_run(settings))
    except (BsmgError, OSError) as error:
        sys.stderr.write(f"level=ERROR {error}\n")
        return 1


async def _run(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if settings.role == "app":
        return await run_app(settings, stop)
    return await run_query(settings, stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
