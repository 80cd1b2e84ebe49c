"""What all tests share: no example of a property is judged by the clock, and a failure can be replayed.

With CI set the examples follow from the tests alone, so that a change lands or fails by what it changes; elsewhere
they are fresh ones.

Tests with real processes wait for blocks most of the time: `make test` runs some networks side by side, each in one
process from its first test to its last (`--dist loadscope`, with the scopes of `networks.py`).
"""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.networks import Networks, rank_of

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported: tests share the cores with nets

SLOW_MACHINE = (HealthCheck.too_slow,)  # judges by the clock as well
settings.register_profile("fresh", deadline=None, print_blob=True, suppress_health_check=SLOW_MACHINE)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True, suppress_health_check=SLOW_MACHINE)
settings.load_profile("ci" if os.environ.get("CI") else "fresh")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The network that is up longest comes first, so that the others fit beside it."""
    items.sort(key=lambda item: rank_of(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Networks | None:
    """Which tests a worker gets together."""
    return Networks(config, log) if config.getvalue("dist") == "loadscope" else None
