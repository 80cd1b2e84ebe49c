"""The harness itself: a stock chain starts, makes blocks, ends and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.net import until
from tests.interop.simd import FUNDS, Version, simd

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("version", ["v10", "v8"])
def test_a_chain_starts_makes_blocks_and_comes_back(tmp_path: Path, version: Version) -> None:
    with simd(tmp_path / "home", version=version, chain_id="alone-7") as one:
        chain = one.chain()
        assert chain.balances("relayer") == {"stake": FUNDS}
        until(lambda: int(chain.status()["latest_block_height"]) >= 3, "blocks", one.log)
        one.kill()
        before = one.log()
        one.start()
        until(lambda: int(chain.status()["latest_block_height"]) >= 5, "blocks after the kill", lambda: before)
