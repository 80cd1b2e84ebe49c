"""What a node's operator decides: `config/app.toml`, every key with a default."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from cosmos_wire.errors import ToolError
from microgrid.coins import GasPrice, parse_gas_prices

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
