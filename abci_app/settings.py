"""What a node's processes are started with: flags, and `HOME/config/app.toml` for what the operator decides."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from microgrid.operator import Operator, read_operator

ROLES = ("app", "query")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One process of a node."""

    role: str
    home: Path
    abci: str
    query_socket: Path
    grpc: str
    rest: str
    rpc: str
    operator: Operator

    @property
    def state_path(self) -> Path:
        """Folder of the state database."""
        return self.home / "data" / "state"


def read(arguments: Sequence[str]) -> Settings:
    """Flags over the file over defaults; raises ToolError with what is wrong."""
    flags = _parser().parse_args(arguments)
    home = Path(flags.home)
    operator = read_operator(home / "config" / "app.toml")
    return Settings(
        role=flags.role,
        home=home,
        abci=flags.abci or f"unix://{home / 'abci.sock'}",
        query_socket=Path(flags.query_socket or home / "query.sock"),
        grpc=flags.grpc or operator.grpc,
        rest=flags.rest or operator.rest,
        rpc=flags.rpc,
        operator=operator,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m abci_app.node", description="One process of a microgrid's node.")
    parser.add_argument("--role", choices=ROLES, required=True)
    parser.add_argument("--home", required=True, help="the node's folder; state in HOME/data/state")
    parser.add_argument("--abci", default="", help="unix://PATH or tcp://HOST:PORT; default unix://HOME/abci.sock")
    parser.add_argument("--query-socket", default="", help="unix socket between the two; default HOME/query.sock")
    parser.add_argument("--grpc", default="", help="HOST:PORT, role query")
    parser.add_argument("--rest", default="", help="HOST:PORT, role query")
    parser.add_argument("--rpc", default="", help="CometBFT's RPC of the same node, http://HOST:PORT, role query")
    return parser
