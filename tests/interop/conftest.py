"""One testnet for all clients of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import net as testnet
from tests.interop.net import Net


@pytest.fixture(scope="session")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    home: Path = tmp_path_factory.mktemp("interop") / "net"
    try:
        yield testnet.up(home)
    finally:
        testnet.down(home)
