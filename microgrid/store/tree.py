"""Reading a tree of pages: look-up, order, neighbours. A tree is a root item and the level of the page behind it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from microgrid.store.page import Item, Page

EMPTY_ROOT = sha256(b"").digest()  # as IAVL has it: the simple tree above needs a value

LoadPage = Callable[[int], Page]


def page_ref(page_id: int) -> bytes:
    """Reference of an item to its page."""
    return page_id.to_bytes(8, "big")


def page_id_of(item: Item) -> int:
    """Id of the page that an item above level 0 stands for."""
    return int.from_bytes(item.ref, "big")


@dataclass(frozen=True, slots=True)
class Root:
    """Top of a tree: the item that stands for the page at `level`, None for an empty tree."""

    level: int
    item: Item | None

    @property
    def hash(self) -> bytes:
        """Root hash, 32 bytes."""
        return self.item.hash if self.item is not None else EMPTY_ROOT


EMPTY = Root(0, None)


class Tree:
    """A version of one tree; pages come from `load`."""

    __slots__ = ("load", "root")

    def __init__(self, root: Root, load: LoadPage) -> None:
        self.root = root
        self.load = load

    def top(self, level: int) -> Page:
        """The only page of a level at or above the root's; above it a page (id 0) that is on no disk."""
        item = self.root.item
        if item is None:
            return Page(0, level, [])
        if level == self.root.level:
            return self.load(page_id_of(item))
        return Page(0, level, [item])

    def locate(self, level: int, key: bytes) -> tuple[Page, bytes | None]:
        """Page of the level in whose range the key lies, and the first key of the page after it."""
        page, after = self.top(max(level, self.root.level)), None
        while page.level > level:
            index = max(bisect_right(page.keys, key) - 1, 0)
            if index + 1 < len(page.keys):
                after = page.keys[index + 1]
            page = self.load(page_id_of(page.items[index]))
        return page, after

    def locate_before(self, level: int, first: bytes) -> tuple[Page, Item | None] | None:
        """The page left of the one that begins at `first`, with the item that stands for it; None at the left end."""
        page, item = self.top(max(level, self.root.level)), None
        if not page.keys or page.keys[0] >= first:
            return None
        while page.level > level:
            item = page.items[bisect_left(page.keys, first) - 1]
            page = self.load(page_id_of(item))
        return page, item

    def standing_for(self, level: int, first: bytes) -> Item | None:
        """The item one level up that stands for the page that begins at `first`; None for the top page."""
        if level >= self.root.level:
            return None
        page, _ = self.locate(level + 1, first)
        return page.items[bisect_left(page.keys, first)]

    def find(self, key: bytes) -> Item | None:
        """Entry of a key."""
        page, _ = self.locate(0, key)
        index = bisect_left(page.keys, key)
        return page.items[index] if index < len(page.keys) and page.keys[index] == key else None

    def neighbours(self, key: bytes) -> tuple[bytes | None, bytes | None]:
        """Nearest keys below and above one that is absent."""
        page, after = self.locate(0, key)
        index = bisect_left(page.keys, key)
        below = page.keys[index - 1] if index else None
        return below, page.keys[index] if index < len(page.keys) else after

    def entries(self, start: bytes) -> Iterator[Item]:
        """Entries from `start` on, ascending."""
        page, after = self.locate(0, start)
        yield from page.items[bisect_left(page.keys, start) :]
        while after is not None:
            page, after = self.locate(0, after)
            yield from page.items

    def pages_to(self, key: bytes) -> Iterator[tuple[Page, int]]:
        """Pages from the root down to an entry that is there, each with the index that leads on."""
        page = self.top(self.root.level)
        while True:
            index = bisect_right(page.keys, key) - 1
            yield page, index
            if page.level == 0:
                return
            page = self.load(page_id_of(page.items[index]))
