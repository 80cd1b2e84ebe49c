"""Where a node's unix sockets are: a name of more than 107 bytes can't be bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from testnet.config import Node
from testnet.topology import DEFAULT, parse_topology

UNIX_NAME_MAX = 107


@pytest.mark.parametrize("length", range(60, 130))
def test_both_sockets_of_a_node_are_in_one_folder_and_can_be_bound(length: int) -> None:
    """With a limit for each name a home of 90 bytes had one socket of them in a folder that nobody had made."""
    home = Path("/" + "h" * (length - len("//nodes/mga-1-0"))) / "nodes" / "mga-1-0"
    node = Node(chain=parse_topology(DEFAULT, "default").chains[0], index=0, home=home, host="127.0.0.1", ports={})
    assert len(str(home)) == length
    assert node.socket("abci").parent == node.socket("query").parent
    assert max(len(str(node.socket(name))) for name in ("abci", "query")) <= UNIX_NAME_MAX
