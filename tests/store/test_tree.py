"""The tree against a plain dict: same pairs, a shape that depends on content alone, no page lost or kept too long."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgrid.store.boundaries import SHAPE, Shape, Stretch, cuts, is_marked
from microgrid.store.edit import Editor
from microgrid.store.page import MARK, Inner, Item, Page, decode, encode, leaf_hash
from microgrid.store.tree import EMPTY, Root, Tree, page_id_of

# Small pages reach every branch with few keys; a mask of 255 has hardly a mark, as if an adversary picked the keys.
SHAPES = [Shape(mark_mask=mask, reach=reach) for mask, reach in ((1, 4), (3, 2), (7, 3), (255, 4), (255, 2))]


class Bench:
    """A tree in memory beside a dict."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.pages: dict[int, Page] = {}
        self.ids = itertools.count(1)
        self.root: Root = EMPTY
        self.model: dict[bytes, bytes] = {}

    def load(self, page_id: int) -> Page:
        page = self.pages[page_id]
        return decode(page_id, encode(page))  # as if read from disk

    @property
    def tree(self) -> Tree:
        return Tree(self.root, self.load)

    def entry(self, key: bytes, value: bytes) -> Item:
        flags = MARK if is_marked(self.shape, 0, key) else 0
        return Item(key, leaf_hash(key, value), 0, 1, flags, b"\0" + value)

    def change(self, changes: Mapping[bytes, bytes | None]) -> None:
        edits: dict[bytes, Item | None] = {}
        for key, value in changes.items():
            if self.model.get(key) == value:
                continue
            if value is None:
                edits[key] = None
                del self.model[key]
            else:
                edits[key] = self.entry(key, value)
                self.model[key] = value
        editor = Editor(self.tree, self.shape, lambda: next(self.ids))
        root = editor.apply(edits)
        self.pages.update(editor.made)
        assert len(set(editor.dropped)) == len(editor.dropped)
        for page_id in editor.dropped:
            del self.pages[page_id]
        self.root = root

    def check(self) -> None:
        found = {item.key: item.ref[1:] for item in self.tree.entries(b"")} if self.root.item else {}
        assert list(found) == sorted(self.model)
        assert found == self.model
        fresh = Bench(self.shape)
        fresh.change(self.model)
        assert (self.root.hash, self.root.level) == (fresh.root.hash, fresh.root.level)
        assert [item[:5] for item in self.standing()] == [item[:5] for item in fresh.standing()]
        assert {page_id_of(item) for item in self.standing()} == set(self.pages)

    def standing(self) -> list[Item]:
        """Items that stand for pages, from the root down, each level in order."""
        found = [] if self.root.item is None else [self.root.item]
        every = list(found)
        for _ in range(self.root.level):
            found = [item for each in found for item in self.load(page_id_of(each)).items]
            every += found
        return every


def pool(rng: random.Random, shape: Shape, kind: str) -> list[bytes]:
    """Keys to edit: any, or such as an adversary would pick."""
    keys = [bytes(rng.randrange(4) for _ in range(rng.randint(1, 5))) + rng.randbytes(1) for _ in range(500)]
    if kind == "any":
        return keys
    return [key for key in keys if is_marked(shape, 0, key) == (kind == "marked")] or keys


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["any", "marked", "unmarked"])
def test_random_history(shape: Shape, kind: str) -> None:
    rng = random.Random(f"{shape}{kind}")
    bench = Bench(shape)
    keys = pool(rng, shape, kind)
    for _ in range(60):
        changes = {
            rng.choice(keys): rng.choice([None, rng.randbytes(2)]) for _ in range(rng.choice([1, 1, 2, 6, 40, 200]))
        }
        if rng.random() < 0.03:
            changes = dict.fromkeys(bench.model)
        bench.change(changes)
        bench.check()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SHAPES),
    st.lists(
        st.dictionaries(st.binary(min_size=1, max_size=3), st.none() | st.binary(min_size=1, max_size=2)), max_size=8
    ),
)
def test_any_history(shape: Shape, history: list[dict[bytes, bytes | None]]) -> None:
    bench = Bench(shape)
    for changes in history:
        bench.change(changes)
        bench.check()


def test_production_shape_over_many_keys() -> None:
    rng = random.Random(7)
    bench = Bench(SHAPE)
    keys = [rng.randbytes(6) for _ in range(3_000)]
    bench.change(dict.fromkeys(keys, b"1"))
    for _ in range(6):
        bench.change({rng.choice(keys): rng.choice([None, rng.randbytes(3)]) for _ in range(300)})
        bench.change({rng.choice(keys): rng.randbytes(3)})
        bench.check()


@pytest.mark.parametrize("kind", ["any", "marked", "unmarked", "rising"])
def test_depth_and_pages_stay_bounded_whoever_picks_the_keys(kind: str) -> None:
    bench = Bench(SHAPE)
    rng = random.Random(11)
    numbers = (n.to_bytes(4, "big") for n in itertools.count())
    wanted: dict[str, bool | None] = {"any": None, "marked": True, "unmarked": False, "rising": None}
    keys = (key for key in numbers if wanted[kind] is None or is_marked(SHAPE, 0, key) == wanted[kind])
    bench.change(dict.fromkeys(itertools.islice(keys, 4000), b"x"))
    assert bench.root.item is not None
    assert bench.root.item.size == 4_000
    # A tree of 4,000 leaves is at least 12 deep; each level may add 2.
    assert bench.root.item.height <= 12 + 2 * (bench.root.level + 1)
    assert max(len(page.items) for page in bench.pages.values()) <= 2 * SHAPE.reach + 2 * 36
    before = next(bench.ids)
    for _ in range(50):
        bench.change({rng.choice(list(bench.model)) + b"!": b"y"})
    assert (next(bench.ids) - before) / 50 < 60, "pages written for one insertion"
    bench.check()


def leaves(shape: Shape, keys: list[bytes]) -> list[int]:
    marks = [is_marked(shape, 0, key) for key in keys]
    marks[0] = True
    stretch = Stretch(keys=keys, marks=marks, first_open=False, last="end", known=frozenset())
    return [at for at, _ in cuts(shape, stretch)]


@given(st.sets(st.integers(0, 2**16), min_size=1, max_size=400), st.sampled_from([*SHAPES, SHAPE]))
def test_runs_have_at_least_two_and_a_bounded_number_of_keys(numbers: set[int], shape: Shape) -> None:
    found = leaves(shape, [n.to_bytes(3, "big") for n in sorted(numbers)])
    sizes = [right - left for left, right in itertools.pairwise([*found, len(numbers)])]
    assert found[0] == 0
    assert min(sizes[:-1], default=2) >= 2
    assert max(sizes) <= 2 * shape.reach + 2 * 36


def test_heights_and_sizes_are_the_true_ones() -> None:
    bench = Bench(SHAPES[1])
    bench.change({n.to_bytes(2, "big"): b"v" for n in range(300)})

    def walk(node: Item | Inner, level: int) -> tuple[int, int]:
        if isinstance(node, Inner):
            left, right = walk(node.left, level), walk(node.right, level)
            truth = max(left[0], right[0]) + 1, left[1] + right[1]
        elif level == 0:
            truth = 0, 1
        else:
            truth = walk(bench.load(page_id_of(node)).root, level - 1)
        assert (node.height, node.size) == truth
        return truth

    assert bench.root.item is not None
    assert walk(bench.root.item, bench.root.level + 1)[1] == 300
