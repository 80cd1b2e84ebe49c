"""Last: the mixed network is stopped, comes up again with all it knew, and leaves nothing behind."""

from __future__ import annotations

from tests.e2e.conftest import bsmg
from tests.e2e.net import C, F, Net, conserved, opened, quiet, transfer
from tests.e2e.test_zz_down import left_behind

PROCESSES = {"fabric-embedded": 1 * 3 + 1 + 2 + 1, "fabric": 4 * 3 + 4 + 2 + 1}


async def test_down_and_up_again(mixed: Net) -> None:
    async with opened(mixed) as (comet, fabric):
        await quiet(comet, fabric)
        held = await fabric.balance(fabric.faucet.address)
        heights = [(await side.client.head()).height for side in (comet, fabric)]
    home = str(mixed.home.path)
    bsmg("testnet", "down", "--home", home)
    bsmg("testnet", "up", "--detach", "--home", home)
    async with opened(mixed) as (comet, fabric):
        assert await fabric.balance(fabric.faucet.address) == held
        for side, height in zip((comet, fabric), heights, strict=True):
            assert (await side.client.feed.wait_above(height)).height > height
        assert (await transfer(comet, fabric, (comet.denom, 3))).ok
        assert (await transfer(fabric, comet, (fabric.denom, 3))).ok
        await quiet(comet, fabric)
        assert await conserved(comet, fabric)
        assert {C, F} == {info.chain_id for info in mixed.file.chains}


def test_down_leaves_no_process_and_no_port(mixed: Net) -> None:
    assert left_behind(mixed, PROCESSES[mixed.file.chain(F).kind]) == []
