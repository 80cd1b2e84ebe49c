"""One testnet for all clients of a run, and simd chains that start when a test asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop import net as testnet
from tests.interop.net import Chain, Net
from tests.interop.simd import Simd, Version, simd


@pytest.fixture(scope="session")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    home: Path = tmp_path_factory.mktemp("interop") / "net"
    try:
        yield testnet.up(home)
    finally:
        testnet.down(home)


@pytest.fixture(scope="module")
def own_net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """For a file that leaves channels behind, or compares accounts: the others count on those of `net`."""
    home: Path = tmp_path_factory.mktemp("interop-own") / "net"
    try:
        yield testnet.up(home)
    finally:
        testnet.down(home)


class Sims:
    """simd chains by version and letter; each starts at first use and stays."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self.home, self.stack = home, stack
        self._running: dict[str, Simd] = {}

    def simd(self, version: Version, letter: str = "a") -> Simd:
        name = f"sim{version[1:]}{letter}-1"
        if name not in self._running:
            started = simd(self.home / name, version=version, chain_id=name)
            self._running[name] = self.stack.enter_context(started)
        return self._running[name]

    def running(self) -> list[Simd]:
        return list(self._running.values())

    def chain(self, version: Version, letter: str = "a") -> Chain:
        return self.simd(version, letter).chain()


@pytest.fixture(scope="session")
def sims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sims]:
    with ExitStack() as stack:
        yield Sims(tmp_path_factory.mktemp("sims"), stack)
