"""A feeder drawn as a tree: the root left, the longest path straight, laterals above and below, no two lines crossing.

The layout is a function of the feeder alone. A branch runs up or down at its parent's column, then right to its child.
Branches that close a loop are drawn as they are, dashed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Edge = tuple[int, int]
Contour = dict[int, tuple[int, int]]  # column -> lowest and highest place that a subtree uses


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Places of buses (column, row), the tree's branches (parent, child), and those that close loops."""

    places: Mapping[int, tuple[int, int]]
    tree: tuple[Edge, ...]
    loops: tuple[Edge, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows in use."""
        columns, rows = zip(*self.places.values(), strict=True)
        return max(columns) + 1, max(rows) + 1

    def path(self, edge: Edge) -> list[tuple[int, int]]:
        """Corner points of a tree's branch."""
        (x0, y0), (x1, y1) = (self.places[bus] for bus in edge)
        return [(x0, y0), (x0, y1), (x1, y1)]


def layout_of(root: int, branches: Sequence[Edge]) -> Layout:
    """Where every bus lies; equal feeders lie equally."""
    tree, loops = _spanning(root, branches)
    children: dict[int, list[int]] = defaultdict(list)
    for parent, child in tree:
        children[parent].append(child)
    order = [root, *(child for _, child in tree)]  # every bus behind its parent
    offsets: dict[int, int] = {root: 0}
    contours: dict[int, Contour] = {}
    for bus in reversed(order):
        contours[bus] = _merge(sorted(children[bus], key=lambda at: (-len(contours[at]), at)), contours, offsets)
    rows, columns = {root: 0}, {root: 0}
    for parent, child in tree:
        rows[child], columns[child] = rows[parent] + offsets[child], columns[parent] + 1
    top = min(rows.values())
    return Layout(places={bus: (columns[bus], rows[bus] - top) for bus in order}, tree=tree, loops=loops)


def _spanning(root: int, branches: Sequence[Edge]) -> tuple[tuple[Edge, ...], tuple[Edge, ...]]:
    neighbours: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for at, (here, there) in enumerate(branches):
        neighbours[here].append((there, at))
        neighbours[there].append((here, at))
    tree: list[Edge] = []
    used: set[int] = set()
    seen, queue = {root}, [root]
    for bus in queue:
        for other, at in sorted(neighbours[bus]):
            if other not in seen:
                seen.add(other)
                used.add(at)
                queue.append(other)
                tree.append((bus, other))
    return tuple(tree), tuple(edge for at, edge in enumerate(branches) if at not in used)


def _merge(children: Sequence[int], contours: dict[int, Contour], offsets: dict[int, int]) -> Contour:
    """Put the deepest child straight ahead and the others, in turn, below and above, as close as they fit."""
    taken: Contour = {0: (0, 0)}
    for number, child in enumerate(children):
        shape = contours.pop(child)
        down, up = _fit(taken, shape, 1), _fit(taken, shape, -1)
        offset = 0 if number == 0 else min((down, up), key=lambda at: (abs(at), (at > 0) == bool(number % 2)))
        offsets[child] = offset
        _take(taken, {0: (min(0, offset), max(0, offset))})
        _take(taken, {column + 1: (low + offset, high + offset) for column, (low, high) in shape.items()})
    return taken


def _fit(taken: Contour, shape: Contour, way: int) -> int:
    """The nearest offset on one side at which the shape keeps a row's distance in every column."""
    needed = [0]
    for column, (low, high) in shape.items():
        if column + 1 in taken:
            below, above = taken[column + 1]
            needed.append(above + 1 - low if way > 0 else high - below + 1)
    return way * max(1, *needed)


def _take(taken: Contour, shape: Contour) -> None:
    for column, (low, high) in shape.items():
        now = taken.get(column, (low, high))
        taken[column] = min(now[0], low), max(now[1], high)
