"""Pages of a store as the Cosmos SDK's `types/query` cuts them: by key or by offset, forward or in reverse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from cosmos_wire.errors import InvalidRequest
from cosmos_wire.protos import pagination
from ibc_core.host import Store

OFFSET_MAX = 2**63 - 1  # no store holds more, and `islice` takes no more
LIMIT_DEFAULT = 100  # the SDK's DefaultLimit; a request without a limit also gets the total

Pair = tuple[bytes, bytes]
Page = tuple[list[Pair], pagination.PageResponse]


def paginate(
    store: Store,
    prefix: bytes,
    request: pagination.PageRequest,
    keep: Callable[[bytes, bytes], bool] | None = None,
) -> Page:
    """One page of the pairs below `prefix` for which `keep(key, value)` holds, and where the next page begins.

    Keys, in the items and in `next_key`, are without the prefix, as in the SDK's prefix stores. Raises InvalidRequest
    when both a key and an offset are given.
    """
    if request.key and request.offset:
        raise InvalidRequest(
            f"either offset or key is expected, got both: offset {request.offset}, key {request.key!r}"
        )
    pairs = _pairs(store, prefix, request)
    found: Iterable[Pair] = pairs if keep is None else (pair for pair in pairs if keep(*pair))
    return _cut(found, request)


def paginate_items(items: Sequence[Pair], request: pagination.PageRequest) -> Page:
    """The same for pairs that are in memory, ascending by key."""
    if request.key and request.offset:
        raise InvalidRequest(
            f"either offset or key is expected, got both: offset {request.offset}, key {request.key!r}"
        )
    ordered: Iterable[Pair] = reversed(items) if request.reverse else items
    return _cut((pair for pair in ordered if _reached(pair[0], request)), request)


def _pairs(store: Store, prefix: bytes, request: pagination.PageRequest) -> Iterator[Pair]:
    start = b"" if request.reverse else prefix + request.key
    pairs = ((key[len(prefix) :], value) for key, value in store.iterate(prefix, start))
    if not request.reverse:
        return pairs
    # A store walks upwards only, so a page in reverse costs the whole prefix.
    return (pair for pair in reversed(list(pairs)) if _reached(pair[0], request))


def _reached(key: bytes, request: pagination.PageRequest) -> bool:
    return not request.key or (key <= request.key if request.reverse else key >= request.key)


def _cut(pairs: Iterable[Pair], request: pagination.PageRequest) -> Page:
    limit = request.limit or LIMIT_DEFAULT
    rest = iter(pairs)
    passed = 0 if request.key else sum(1 for _ in islice(rest, min(request.offset, OFFSET_MAX)))
    items: list[Pair] = []
    following = None
    for pair in rest:
        if len(items) == limit:
            following = pair
            break
        items.append(pair)
    response = pagination.PageResponse(next_key=following[0] if following else b"")
    if not request.key and (request.count_total or not request.limit):
        response.total = passed + len(items) + (following is not None) + sum(1 for _ in rest)
    return items, response
