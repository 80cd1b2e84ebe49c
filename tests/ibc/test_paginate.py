"""Pages against the obvious slice of a sorted list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_wire.errors import InvalidRequest
from cosmos_wire.protos import pagination
from ibc_core.host import MemoryStore
from ibc_core.paginate import paginate, paginate_items

KEYS = st.lists(st.binary(min_size=1, max_size=3), unique=True, max_size=30)


def store_of(keys: list[bytes]) -> MemoryStore:
    store = MemoryStore()
    store.set(b"a", b"before")
    store.set(b"q/", b"after")
    for key in keys:
        store.set(b"p/" + key, b"v" + key)
    return store


@given(keys=KEYS, limit=st.integers(1, 7), reverse=st.booleans())
def test_following_next_key_gives_everything_once(keys: list[bytes], limit: int, reverse: bool) -> None:
    store, seen, key = store_of(keys), [], b""
    while True:
        request = pagination.PageRequest(key=key, limit=limit, reverse=reverse)
        items, page = paginate(store, b"p/", request)
        in_memory = paginate_items(sorted((k, b"v" + k) for k in keys), request)
        assert (items, page) == in_memory
        seen += [k for k, _ in items]
        key = page.next_key
        if not key:
            break
    assert seen == sorted(keys, reverse=reverse)


@given(keys=KEYS, limit=st.integers(1, 7), offset=st.integers(0, 40))
def test_offset_pages_are_slices_and_count(keys: list[bytes], limit: int, offset: int) -> None:
    request = pagination.PageRequest(offset=offset, limit=limit, count_total=True)
    items, page = paginate(store_of(keys), b"p/", request)
    assert [k for k, _ in items] == sorted(keys)[offset : offset + limit]
    assert page.total == len(keys)
    assert page.next_key == b"".join(sorted(keys)[offset + limit : offset + limit + 1])


def test_no_limit_means_a_hundred_and_the_total() -> None:
    keys = [b"%03d" % n for n in range(150)]
    items, page = paginate(store_of(keys), b"p/", pagination.PageRequest())
    assert (len(items), page.total, page.next_key) == (100, 150, b"100")


def test_the_total_is_asked_for() -> None:
    _, page = paginate(store_of([b"1", b"2", b"3"]), b"p/", pagination.PageRequest(limit=1))
    assert page.total == 0


def test_filtered_items_do_not_count() -> None:
    keys = [b"%d" % n for n in range(10)]
    request = pagination.PageRequest(limit=2, offset=1, count_total=True)
    items, page = paginate(store_of(keys), b"p/", request, keep=lambda k, _: int(k) % 2 == 0)
    assert [k for k, _ in items] == [b"2", b"4"]
    assert (page.next_key, page.total) == (b"6", 5)


def test_the_largest_offset_and_limit() -> None:
    request = pagination.PageRequest(offset=2**64 - 1, limit=2**64 - 1, count_total=True)
    items, page = paginate(store_of([b"1"]), b"p/", request)
    assert (items, page.total) == ([], 1)


def test_key_and_offset_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="got both"):
        paginate(store_of([]), b"p/", pagination.PageRequest(key=b"1", offset=1))
