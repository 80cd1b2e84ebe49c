"""The files below a testnet's home."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from processes import files

DEFAULT_HOME = Path("build/testnet")


@dataclass(frozen=True, slots=True)
class Home(files.Home):
    """Where things are."""

    @property
    def testnet(self) -> Path:
        """What other programs read."""
        return self.path / "testnet.json"

    @property
    def topology(self) -> Path:
        """The topology that it was made from."""
        return self.path / "topology.json"

    def keys(self, chain_id: str) -> Path:
        """Key files of a chain's accounts and meters."""
        return self.path / "keys" / chain_id

    def node(self, moniker: str) -> Path:
        """Home of a node, CometBFT's and the application's."""
        return self.path / "nodes" / moniker

    def genesis(self, chain_id: str) -> Path:
        """Genesis file of a chain."""
        return self.path / "genesis" / f"{chain_id}.json"

    def network(self, chain_id: str) -> Path:
        """Home of a Fabric chain's network."""
        return self.path / "fabric" / chain_id

    def relayer(self, number: int) -> Path:
        """Folder of a relayer."""
        return self.path / "relayers" / f"relayer-{number}"
