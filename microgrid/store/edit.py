"""Changing a tree: edits of a level become new pages of it, and those the edits of the level above.

Pages are immutable. A batch of edits is split into *regions*: runs of neighbouring pages that are cut anew. A page of
which only values change is a region of its own and keeps its boundaries. A region in which keys come or go grows to
both sides until a hard boundary that no edit can move, or until `Shape.margin` untouched items lie between.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from microgrid.store.boundaries import Shape, Stretch, cuts, is_marked
from microgrid.store.page import HARD, MARK, Item, Page
from microgrid.store.tree import EMPTY, Root, Tree, page_id_of, page_ref

LOOP_EDITS_MAX = 64
Edits = Mapping[bytes, Item | None]  # new item, or None for a removal


@dataclass(slots=True)
class Region:
    """Neighbouring old pages, with the edits that fall on them."""

    pages: list[Page]
    merged: list[list[Item]]  # items of each page after its edits
    moved: list[bytes]  # keys that come or go, ascending
    first_open: bool = False
    last: str = "end"
    edited: list[list[bytes]] = field(default_factory=list)  # edited keys of each page

    @property
    def first(self) -> bytes:
        """First old key of the region."""
        return self.pages[0].keys[0]


class Editor:
    """One application of edits to one tree. `made` and `dropped` tell what to write and what dies with it."""

    def __init__(self, tree: Tree, shape: Shape, next_id: Callable[[], int]) -> None:
        self.tree = tree
        self.shape = shape
        self.next_id = next_id
        self.made: dict[int, Page] = {}
        self.dropped: list[int] = []

    def apply(self, edits: Edits) -> Root:
        """New root after edits of level 0; None edits name keys that are there."""
        level = 0
        while edits:
            pending = sorted(edits)
            above, count = _Level(self, level, edits, pending).run()
            if level >= self.tree.root.level and count <= 1:
                return self._settle(level, above)
            edits, level = above, level + 1
        return self.tree.root

    def _settle(self, level: int, above: Edits) -> Root:
        """The lowest level that has one page is the top: tops of one item go."""
        if not above:
            return self.tree.root
        item = next((item for item in above.values() if item is not None), None)
        if item is None:
            return EMPTY
        page = self.page(item)
        while level and len(page.items) == 1:
            self._discard(page.id)
            item, level = page.items[0], level - 1
            page = self.page(item)
        return Root(level, item)

    def page(self, item: Item) -> Page:
        """Page that an item stands for, new or old."""
        page_id = page_id_of(item)
        return self.made.get(page_id) or self.tree.load(page_id)

    def _discard(self, page_id: int) -> None:
        if self.made.pop(page_id, None) is None:
            self.dropped.append(page_id)

    def stand_for(self, page: Page, *, hard: bool) -> Item:
        """Item of the level above for a page."""
        root, first = page.root, page.keys[0]
        marked = is_marked(self.shape, page.level + 1, first)
        flags = (MARK if marked else 0) | (HARD if hard else 0)
        return Item(first, root.hash, root.height, root.size, flags, page_ref(page.id))

    def make(self, level: int, items: list[Item]) -> Page:
        """A new page."""
        page = Page(self.next_id(), level, items)
        self.made[page.id] = page
        return page


class _Level:
    """Edits of one level."""

    def __init__(self, editor: Editor, level: int, edits: Edits, pending: list[bytes]) -> None:
        self.editor = editor
        self.tree = editor.tree
        self.margin = editor.shape.margin
        self.level = level
        self.edits = edits
        self.pending = pending
        self.at = 0  # first edit that no region has yet
        self.after: bytes | None = None  # first key of the page that follows the newest region
        self.regions: list[Region] = []

    def run(self) -> tuple[dict[bytes, Item | None], int]:
        """Edits of the level above, and the number of pages in the regions."""
        while self.at < len(self.pending):
            region = self._take_page(self.pending[self.at])
            if region.moved:
                region = self._grow_left(region)
                self._grow_right(region)
            self.regions.append(region)
        above: dict[bytes, Item | None] = {}
        count = sum(self._finish(region, above) for region in self.regions)
        return above, count

    def _take_page(self, key: bytes) -> Region:
        page, self.after = self.tree.locate(self.level, key)
        region = Region([], [], [])
        self._absorb(region, page)
        return region

    def _absorb(self, region: Region, page: Page) -> None:
        """Append a page with the pending edits below `after`."""
        end = len(self.pending) if self.after is None else bisect_left(self.pending, self.after, self.at)
        keys = self.pending[self.at : end]
        self.at = end
        items, moved = _merge(page, keys, self.edits)
        region.pages.append(page)
        region.merged.append(items)
        region.edited.append(keys)
        region.moved += moved

    def _grow_left(self, region: Region) -> Region:
        while not self._left_is_fixed(region):
            found = self.tree.locate_before(self.level, region.first)
            if found is None:
                return region
            if self.regions and self.regions[-1].pages[-1].id == found[0].id:
                region = _joined(self.regions.pop(), region)
                continue
            page = found[0]
            region.pages.insert(0, page)
            region.merged.insert(0, list(page.items))
            region.edited.insert(0, [])
        return region

    def _left_is_fixed(self, region: Region) -> bool:
        if not region.pages[0].keys:
            return True
        item = self.tree.standing_for(self.level, region.first)
        if item is None:
            return True
        if item.flags & HARD and region.moved[0] > region.first:
            region.first_open = False
            return True
        untouched = sum(bisect_left(page.keys, region.moved[0]) for page in region.pages)
        region.first_open = untouched >= self.margin
        return region.first_open

    def _grow_right(self, region: Region) -> None:
        while self.after is not None:
            page, after = self.tree.locate(self.level, self.after)
            edited = self.at < len(self.pending) and (after is None or self.pending[self.at] < after)
            if not edited:
                region.last = self._right_side(region, page)
                if region.last:
                    return
            self.after = after
            self._absorb(region, page)
        region.last = "end"

    def _right_side(self, region: Region, following: Page) -> str:
        """Whether the region can end before a page: "hard" or "open", empty when it can't."""
        item = self.tree.standing_for(self.level, following.keys[0])
        assert item is not None
        new_last = next((items[-1] for items in reversed(region.merged) if items), None)
        if item.flags & HARD and new_last is not None and not self._is_wall(region, new_last):
            return "hard"
        highest = region.moved[-1]
        untouched = sum(len(page.keys) - bisect_left(page.keys, highest) for page in region.pages)
        return "open" if untouched > self.margin else ""

    def _is_wall(self, region: Region, last: Item) -> bool:
        """Whether no page can begin after this item: it is marked, or the first of its level."""
        if last.flags & MARK:
            return True
        alone = sum(map(len, region.merged)) == 1
        return alone and self.tree.locate_before(self.level, region.first) is None

    def _finish(self, region: Region, above: dict[bytes, Item | None]) -> int:
        if region.moved:
            return self._cut(region, above)
        for page, items, keys in zip(region.pages, region.merged, region.edited, strict=True):
            self._replace(page, items, keys, above)
        return len(region.pages)

    def _replace(self, old: Page, items: list[Item], keys: list[bytes], above: dict[bytes, Item | None]) -> None:
        """A page of which only values change."""
        if not keys:
            return
        page = self.editor.make(self.level, items)
        page.build_from(old, [bisect_left(old.keys, key) for key in keys])
        standing = self.tree.standing_for(self.level, old.keys[0])
        hard = standing is None or bool(standing.flags & HARD)
        above[old.keys[0]] = self.editor.stand_for(page, hard=hard)
        self._drop(old)

    def _drop(self, page: Page) -> None:
        if page.id:
            self.editor.dropped.append(page.id)

    def _cut(self, region: Region, above: dict[bytes, Item | None]) -> int:
        items = [item for part in region.merged for item in part]
        olds = {page.keys[0]: page for page in region.pages if page.keys}
        found = self._cuts(region, items, olds) if items else []
        kept: set[int] = set()
        fresh: dict[bytes, Item | None] = {}
        for number, (start, hard) in enumerate(found):
            end = found[number + 1][0] if number + 1 < len(found) else len(items)
            self._place(items[start:end], olds, hard=hard, out=(fresh, kept))
        for first, page in olds.items():
            if page.id not in kept:
                self._drop(page)
                above[first] = None
        above.update(fresh)
        return len(found)

    def _cuts(self, region: Region, items: list[Item], olds: Mapping[bytes, Page]) -> list[tuple[int, bool]]:
        at_start = not region.first_open and self._begins_level(region)
        marks = [bool(item.flags & MARK) for item in items]
        marks[0] = marks[0] or at_start
        keys = [item.key for item in items]
        known = frozenset(index for index, key in enumerate(keys) if key in olds)
        stretch = Stretch(keys=keys, marks=marks, first_open=region.first_open, last=region.last, known=known)
        return cuts(self.editor.shape, stretch)

    def _begins_level(self, region: Region) -> bool:
        if not region.pages[0].keys:
            return True
        return self.tree.locate_before(self.level, region.first) is None

    def _place(
        self,
        items: list[Item],
        olds: Mapping[bytes, Page],
        *,
        hard: bool,
        out: tuple[dict[bytes, Item | None], set[int]],
    ) -> None:
        """Stand a run of items in for the level above: the old page where it is the same, else a new one."""
        fresh, kept = out
        first = items[0].key
        old = olds.get(first)
        if old is None or old.items != items or not old.id:
            fresh[first] = self.editor.stand_for(self.editor.make(self.level, items), hard=hard)
            return
        kept.add(old.id)
        standing = self.tree.standing_for(self.level, first)
        if standing is None or bool(standing.flags & HARD) != hard:
            fresh[first] = self.editor.stand_for(old, hard=hard)


def _merge(page: Page, keys: list[bytes], edits: Edits) -> tuple[list[Item], list[bytes]]:
    """Items of a page after edits, and the keys that come or go."""
    items = list(page.items)
    if len(keys) > LOOP_EDITS_MAX:
        return _merge_many(page, keys, edits)
    moved: list[bytes] = []
    shift = 0  # items is edited in place: index there = index in the page + shift
    for key in keys:
        index = bisect_left(page.keys, key)
        present = index < len(page.keys) and page.keys[index] == key
        new = edits[key]
        if present and new is not None:
            items[index + shift] = new
        elif present:
            del items[index + shift]
            shift -= 1
            moved.append(key)
        elif new is not None:
            items.insert(index + shift, new)
            shift += 1
            moved.append(key)
    return items, moved


def _merge_many(page: Page, keys: list[bytes], edits: Edits) -> tuple[list[Item], list[bytes]]:
    """The same by a table: a list with many insertions would cost the square of their number."""
    old = dict(zip(page.keys, page.items, strict=True))
    moved = [key for key in keys if (key in old) != (edits[key] is not None)]
    wanted = {**old, **{key: edits[key] for key in keys}}
    return [item for _, item in sorted(wanted.items()) if item is not None], moved


def _joined(left: Region, right: Region) -> Region:
    return Region(
        pages=left.pages + right.pages,
        merged=left.merged + right.merged,
        edited=left.edited + right.edited,
        moved=left.moved + right.moved,
        first_open=left.first_open,
        last=right.last,
    )
