"""The map of any feeder: every bus has a place of its own, and no two branches cross."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bsmg.demo.feeder_map import Layout, layout_of
from physics.feeders import sce56


def tree(seed: int, buses: int) -> list[tuple[int, int]]:
    random = Random(seed)
    numbers = random.sample(range(1, 1000), buses)
    edges = [(numbers[random.randrange(at)], numbers[at]) for at in range(1, buses)]
    return [edge if random.random() < 0.5 else edge[::-1] for edge in edges]


def cells_of(layout: Layout) -> list[tuple[int, frozenset[tuple[float, int]]]]:
    """What each branch covers beside its parent's place, on a grid of half columns, with its parent."""
    covered = []
    for parent, child in layout.tree:
        (x0, y0), (_, y1), (x1, _) = layout.path((parent, child))
        low, high = min(y0, y1), max(y0, y1)
        cells = {(float(x0), y) for y in range(low, high + 1)} | {(x0 + 0.5, y1), (float(x1), y1)}
        covered.append((parent, frozenset(cells - {(float(x0), y0)})))
    return covered


@given(st.integers(0, 10**6), st.integers(2, 60))
def test_places_are_distinct_and_branches_of_different_parents_never_meet(seed: int, buses: int) -> None:
    edges = tree(seed, buses)
    layout = layout_of(edges[0][0], edges)
    assert len(set(layout.places.values())) == len(layout.places) == buses
    assert layout.loops == ()
    covered = cells_of(layout)
    for at, (parent, cells) in enumerate(covered):
        for other, more in covered[:at]:
            assert other == parent or not cells & more
        assert not cells & {(float(x), y) for bus, (x, y) in layout.places.items() if bus not in layout.tree[at]}


def test_a_loop_is_kept_apart_and_equal_feeders_lie_equally() -> None:
    edges = [(1, 2), (2, 3), (3, 4), (4, 1)]
    layout = layout_of(1, edges)
    assert len(layout.tree) == 3
    assert layout.loops == ((3, 4),)
    assert layout_of(1, edges) == layout


def test_the_longest_path_lies_straight() -> None:
    branches = [(branch.from_bus, branch.to_bus) for branch in sce56().feeder.branches]
    layout = layout_of(1, branches)
    columns, _ = layout.size
    root_row = layout.places[1][1]
    assert sum(row == root_row for _, row in layout.places.values()) == columns


def test_a_single_bus_has_a_place() -> None:
    assert layout_of(7, []).size == (1, 1)
