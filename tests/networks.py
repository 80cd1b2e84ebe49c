"""Which tests share a network of real processes: they run in one process, one after the other."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

# Networks by the beginnings of their files, the longest first; other tests share one with their folder.
NETWORKS = (
    ("mixed", ("tests/e2e/test_fabric_",)),
    ("grid", ("tests/e2e/test_main_grid.py",)),
    ("star", ("tests/e2e/test_utility_cell.py",)),
    ("e2e", ("tests/e2e/",)),
)


def network_of(nodeid: str) -> str:
    """The network that a test runs on."""
    for name, beginnings in NETWORKS:
        if nodeid.startswith(beginnings):
            return name
    return nodeid.rsplit("/", 1)[0]


ORDER = ("e2e", "mixed", "tests/ballot", "tests/audit", "grid", "star")


def rank_of(nodeid: str) -> int:
    """Its place in the order in which networks start."""
    network = network_of(nodeid)
    return ORDER.index(network) if network in ORDER else len(ORDER)


class Networks(LoadScopeScheduling):
    """A worker gets all tests of a network."""

    def _split_scope(self, nodeid: str) -> str:
        return network_of(nodeid)
