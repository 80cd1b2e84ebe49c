from __future__ import annotations

from pathlib import Path

import pytest

from tests.tendermint import oracle


@pytest.fixture(scope="session")
def cometbft() -> Path:
    """The oracle program."""
    return oracle.build()
