"""Configuration of a node: CometBFT's config.toml and the application's app.toml. What isn't here is the default."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from testnet.topology import Chain

UNIX_HOME_MAX = 90  # bytes; the kernel takes 107 for a whole name
SHORT_ROOT = Path("/tmp")  # noqa: S108  (its own folder below, mode 0700; TMPDIR may be as long as the home)
VOTING_MS = 350  # what several validators need beside timeout_commit; measured with four on two cores
ALONE_MS = 50  # what one needs
TIMEOUT_COMMIT_MIN_MS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node: where it lives and where it listens."""

    chain: Chain
    index: int
    home: Path
    host: str
    ports: dict[str, int]  # rpc, p2p, metrics, grpc, rest

    @property
    def moniker(self) -> str:
        """`mga-1-0`."""
        return f"{self.chain.id}-{self.index}"

    def at(self, service: str) -> str:
        """`host:port` of a service."""
        return f"{self.host}:{self.ports[service]}"

    @property
    def abci(self) -> str:
        """Address of the application's ABCI socket."""
        return f"unix://{self.socket('abci')}"

    def socket(self, name: str) -> Path:
        """A unix socket in the node's home; where that is long all are in a short folder of the testnet's."""
        if len(os.fsencode(self.home)) <= UNIX_HOME_MAX:
            return self.home / f"{name}.sock"
        return short_folder(self.home.parent.parent) / f"{self.moniker}-{name}.sock"


def short_folder(home: Path) -> Path:
    """Where the unix sockets of a testnet with a long name are; one folder a testnet."""
    return SHORT_ROOT / f"bsmg-{os.getuid()}-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"


def comet_config(node: Node, peers: str) -> str:
    """Text of config/config.toml."""
    chain = node.chain
    overhead_ms = VOTING_MS if chain.validators > 1 else ALONE_MS
    commit_ms = max(TIMEOUT_COMMIT_MIN_MS, chain.block_time_ms - overhead_ms)
    return f"""# Written by `bsmg testnet up`; what is not here has CometBFT's default.
proxy_app = "{node.abci}"
moniker = "{node.moniker}"
log_level = "info"
db_backend = "goleveldb"
abci = "socket"

[rpc]
laddr = "tcp://{node.at("rpc")}"
cors_allowed_origins = ["*"]
max_subscription_clients = 200
max_subscriptions_per_client = 20
experimental_close_on_slow_client = false
max_body_bytes = 4000000
pprof_laddr = ""

[p2p]
laddr = "tcp://{node.at("p2p")}"
external_address = "{node.at("p2p")}"
persistent_peers = "{peers}"
addr_book_strict = false
allow_duplicate_ip = true
pex = false
max_num_inbound_peers = 200
handshake_timeout = "20s"
persistent_peers_max_dial_period = "5s"

[mempool]
recheck = true

[consensus]
timeout_propose = "1s"
timeout_commit = "{commit_ms}ms"
create_empty_blocks = true
create_empty_blocks_interval = "0s"

[tx_index]
indexer = "{chain.indexer}"

[instrumentation]
prometheus = true
prometheus_listen_addr = "{node.at("metrics")}"
"""


def app_config(node: Node) -> str:
    """Text of config/app.toml. A bare number as gas price is in the chain's own denom."""
    price = node.chain.min_gas_price
    if price.replace(".", "", 1).isdigit():
        price = "" if not price.strip("0.") else price + node.chain.denom
    return f"""# Written by `bsmg testnet up`
min_gas_price = "{price}"
versions_kept = {node.chain.versions_kept}
"""
