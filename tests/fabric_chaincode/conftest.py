"""A microgrid for each test, on one cast."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fabric_chaincode.world import Cast, Grid


@pytest.fixture(scope="session")
def cast() -> Cast:
    return Cast()


@pytest.fixture
def bare(cast: Cast, tmp_path: Path) -> Iterator[Grid]:
    """A ledger without genesis."""
    made = Grid(cast, tmp_path / "ledger")
    yield made
    made.close()


@pytest.fixture
def net(bare: Grid) -> Grid:
    """A founded microgrid."""
    bare.found()
    return bare
