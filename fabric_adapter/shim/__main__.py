"""Serve a chaincode: `python -m fabric_adapter.shim --address HOST:PORT --package-id ID --chaincode MODULE:NAME`.

The package id is what the peer's `install` answers, `label:sha256`. Without the TLS options the server is in the clear.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import signal
import sys
from pathlib import Path

import uvloop

from cosmos_wire.errors import BsmgError, ToolError
from fabric_adapter.shim.server import ServerTls, Service, serve
from fabric_adapter.stub import Chaincode


def load(name: str) -> Chaincode:
    """The chaincode that MODULE:NAME makes, called without arguments; raises ToolError when it is not there."""
    module, _, factory = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), factory)()
    except (ImportError, AttributeError) as error:
        raise ToolError(f"chaincode {name!r}: expected MODULE:NAME that can be imported, got {error}") from error
    if not callable(getattr(made, "invoke", None)):
        raise ToolError(f"chaincode {name!r}: expected something with `invoke`, got {type(made).__name__}")
    program: Chaincode = made
    return program


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m fabric_adapter.shim", description=__doc__.splitlines()[0])
    made.add_argument("--address", required=True)
    made.add_argument("--package-id", required=True)
    made.add_argument("--chaincode", required=True)
    made.add_argument("--tls-certificate", type=Path)
    made.add_argument("--tls-key", type=Path)
    made.add_argument("--client-roots", type=Path)
    return made


def tls_of(options: argparse.Namespace) -> ServerTls | None:
    """TLS by the options; raises ToolError when one of its files is missing."""
    given = [options.tls_certificate, options.tls_key]
    if not any((*given, options.client_roots)):
        return None
    if not all(given):
        raise ToolError("TLS: expected both --tls-certificate and --tls-key, got one of them")
    try:
        roots = options.client_roots.read_bytes() if options.client_roots else None
        return ServerTls(certificate=given[0].read_bytes(), key=given[1].read_bytes(), client_roots=roots)
    except OSError as error:
        raise ToolError(f"TLS: expected readable files, got {error}") from error


async def run(options: argparse.Namespace) -> None:
    """Serve until SIGTERM."""
    service = Service(
        address=options.address,
        package_id=options.package_id,
        program=load(options.chaincode),
        tls=tls_of(options),
    )
    serving = asyncio.ensure_future(serve(service, lambda where: logging.info("%s at %s", options.chaincode, where)))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        logging.info("ended")


def main() -> None:
    """Exit code 1 and one line for what a person can put right."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        uvloop.run(run(parser().parse_args()))
    except BsmgError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
