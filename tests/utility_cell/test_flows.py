"""Tie lines: what the meters of a microgrid draw is what its lines bring, to the mWh."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from utility_cell.flows import TieLines

CHAINS = ("mga-1", "mgb-1", "mgc-1")
SLOT = 7
ENDS = [(a, b) for a in CHAINS for b in CHAINS if a != b]


def lines(nets: dict[str, int], contracts: dict[tuple[str, str], int]) -> TieLines:
    made = TieLines(nets=lambda chain, _: nets[chain], members=frozenset(CHAINS))
    for chain in CHAINS:
        made.dispatch(SLOT, chain, {ends: energy for ends, energy in contracts.items() if chain in ends})
    return made


@given(
    nets=st.tuples(*[st.integers(-(10**9), 10**9)] * 3),
    energies=st.lists(st.integers(0, 10**9), min_size=6, max_size=6),
)
def test_the_lines_of_a_microgrid_bring_what_its_meters_draw(nets: tuple[int, ...], energies: list[int]) -> None:
    by_chain, contracts = dict(zip(CHAINS, nets, strict=True)), dict(zip(ENDS, energies, strict=True))
    flows = lines(by_chain, contracts)
    for chain in CHAINS:
        others = [other for other in CHAINS if other != chain]
        bought = sum(flows.between(SLOT, other, chain) for other in others)
        sold = sum(flows.between(SLOT, chain, other) for other in others)
        assert bought - sold + flows.from_grid(SLOT, chain) == by_chain[chain]
        assert sold == min(max(0, -by_chain[chain]), sum(contracts[chain, other] for other in others))
    assert sum(flows.from_grid(SLOT, chain) for chain in CHAINS) == sum(nets)
    assert all(0 <= flows.between(SLOT, *ends) <= energy for ends, energy in contracts.items())


def test_what_a_seller_lacks_is_missing_on_all_its_lines() -> None:
    flows = lines({"mga-1": -600, "mgb-1": 500, "mgc-1": 400}, {("mga-1", "mgb-1"): 800, ("mga-1", "mgc-1"): 400})
    assert (flows.between(SLOT, "mga-1", "mgb-1"), flows.between(SLOT, "mga-1", "mgc-1")) == (400, 200)
    assert [flows.from_grid(SLOT, chain) for chain in CHAINS] == [0, 100, 200]


def test_a_slot_is_settled_when_everybody_has_spoken_and_the_first_word_counts() -> None:
    flows = TieLines(nets=lambda _chain, _slot: -1_000, members=frozenset(CHAINS[:2]))
    flows.dispatch(SLOT, "mga-1", {("mga-1", "mgb-1"): 300})
    assert not flows.settled(SLOT)
    flows.dispatch(SLOT, "mgb-1", {("mga-1", "mgb-1"): 999})
    assert flows.settled(SLOT)
    assert flows.between(SLOT, "mga-1", "mgb-1") == 300
    assert not flows.settled(SLOT + 1)
    assert flows.from_grid(SLOT + 1, "mga-1") == -1_000
