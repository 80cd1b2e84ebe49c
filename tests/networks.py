"""Which tests share a network of real processes: they run in one process, one after the other."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

# Networks by the beginnings of their files; other tests share one with their folder.
NETWORKS = (
    ("mixed", ("tests/e2e/test_fabric_",)),
    ("grid", ("tests/e2e/test_main_grid.py",)),
    ("star", ("tests/e2e/test_utility_cell.py",)),
    ("e2e", ("tests/e2e/",)),
    ("one each", ("tests/fabric_net/test_lifecycle.py", "tests/fabric_net/test_microgrid.py")),
)
LONGEST_FIRST = ("e2e", "mixed", "tests/client", "tests/audit", "tests/testnet", "tests/ballot", "grid",
                 "tests/fabric_node", "one each", "star")  # fmt: skip


def network_of(nodeid: str) -> str:
    """The network that a test runs on."""
    for name, beginnings in NETWORKS:
        if nodeid.startswith(beginnings):
            return name
    return nodeid.split("::", maxsplit=1)[0].rpartition("/")[0]


def rank_of(nodeid: str) -> int:
    """The place of its network in the order in which they start."""
    network = network_of(nodeid)
    return LONGEST_FIRST.index(network) if network in LONGEST_FIRST else len(LONGEST_FIRST)


class Networks(LoadScopeScheduling):
    """A worker gets all tests of a network."""

    def _split_scope(self, nodeid: str) -> str:
        return network_of(nodeid)
