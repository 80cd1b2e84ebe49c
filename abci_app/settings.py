"""What a node's processes are started with: flags, and `HOME/config/app.toml` for what the operator decides."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from abci_app.coins import GasPrice, parse_gas_prices
from cosmos_wire.errors import ToolError

ROLES = ("app", "query")
LOG_LEVELS = ("debug", "info", "warning", "error")
VERSIONS_KEPT_DEFAULT = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """`config/app.toml`; every key has a default."""

    min_gas_price: str = ""  # `0.01bmga`, several with commas, empty for none
    versions_kept: int = VERSIONS_KEPT_DEFAULT  # states of the past that can be queried
    retain_blocks: int = 0  # CometBFT's old blocks to keep, 0 = all
    map_bytes: int = 64 << 30  # largest size of the state database, a sparse file
    query_nice: int = 5  # how far the query process steps back, 0..19
    query_concurrency: int = 4  # queries answered at the same time
    log_level: str = "info"
    grpc: str = ""  # listeners, when no flag is given
    rest: str = ""

    @property
    def gas_prices(self) -> tuple[GasPrice, ...]:
        """The minimum, parsed."""
        return parse_gas_prices(self.min_gas_price)


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


def read_operator(path: Path) -> Operator:
    """The file, or defaults when there is none; raises ToolError for an unknown key or a wrong type."""
    if not path.exists():
        return Operator()
    try:
        found = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ToolError(f"{path}: expected TOML: {error}") from error
    defaults = Operator()
    for key, value in found.items():
        wanted = type(getattr(defaults, key, None))
        if key not in Operator.__slots__:
            raise ToolError(f"{path}: unknown key {key!r}; known are {', '.join(sorted(Operator.__slots__))}")
        if type(value) is not wanted:
            raise ToolError(f"{path}: {key}: expected {wanted.__name__}, got {value!r}")
    operator = Operator(**found)
    if operator.log_level not in LOG_LEVELS:
        raise ToolError(f"{path}: log_level: expected one of {', '.join(LOG_LEVELS)}, got {operator.log_level!r}")
    assert operator.gas_prices is not None  # raises for a price that is none
    return operator


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
