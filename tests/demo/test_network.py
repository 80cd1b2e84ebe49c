"""The demo's own topology: microgrids, each linked with the others and with the main grid."""

from __future__ import annotations

from datetime import date
from itertools import combinations
from pathlib import Path

import pytest

from bsmg.demo.run import Options


@pytest.mark.parametrize("third", ["", "fabric-embedded", "fabric"])
@pytest.mark.parametrize("slots", [8, 96])
def test_every_chain_is_linked_with_every_other_and_one_is_the_main_grids(third: str, slots: int) -> None:
    options = Options(folder=Path(), topology=None, day=date(2016, 4, 26), slots=slots, seed=1, keep=False, third=third)
    network = options.network()
    ids = [chain.id for chain in network.chains]
    assert {frozenset((link.a, link.b)) for link in network.links} == {frozenset(pair) for pair in combinations(ids, 2)}
    (grid,) = [chain for chain in network.chains if chain.is_grid]
    assert (grid.id, grid.validators) == ("grid-1", 1)
    assert {chain.grid for chain in network.chains} == {"grid-1"}
    assert all(grid.market.fit_e4 <= chain.market.fit_e4 for chain in network.chains)
    assert all(grid.market.cap_e4 <= chain.market.cap_e4 for chain in network.chains)
