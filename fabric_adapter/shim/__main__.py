"""Serve a chaincode: `python -m fabric_adapter.shim --address HOST:PORT --package-id ID --chaincode NAME`.

The package id is what the peer's `install` answers, `label:sha256`. Without the TLS options the server is in the clear.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from cosmos_wire.errors import ToolError
from fabric_adapter import serving
from fabric_adapter.chaincodes import load
from fabric_adapter.shim.server import ServerTls, Service, serve


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
    """Serve until cancelled."""
    service = Service(
        address=options.address,
        package_id=options.package_id,
        program=load(options.chaincode),
        tls=tls_of(options),
    )
    await serve(service, lambda where: logging.info("%s at %s", options.chaincode, where))


def main() -> None:
    """By the command line's options, until SIGTERM."""
    options = parser().parse_args()
    serving.main(lambda: run(options))


if __name__ == "__main__":
    main()
