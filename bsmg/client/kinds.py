"""Which client speaks to which kind of chain."""

from __future__ import annotations

from bsmg.client.chain import ChainClient
from bsmg.client.comet import CometClient
from bsmg.client.fabric import FabricClient
from bsmg.client.testnet_file import ChainInfo
from cosmos_wire.errors import ToolError

CLIENTS: tuple[type[ChainClient], ...] = (CometClient, FabricClient)


def client_of(info: ChainInfo, node: int) -> ChainClient:
    """A client through one node of a chain of testnet.json; raises ToolError for a kind that nobody speaks."""
    for client in CLIENTS:
        if info.kind in client.kinds:
            return client.of(info, node)
    known = ", ".join(kind for client in CLIENTS for kind in client.kinds)
    raise ToolError(f"{info.chain_id}: expected a chain of kind {known}, got {info.kind!r}")
