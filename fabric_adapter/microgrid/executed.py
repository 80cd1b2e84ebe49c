"""Which transactions were executed while their inbox keys are still there, so that none is executed twice.

Deleting a key costs a message to each peer. A Tick with many transactions leaves their keys where they are and notes
their tickets in the state; Ticks with few delete them, the oldest first. A ticket is forgotten by the Tick
that deletes its key, and a key of this name can't come again: Fabric takes a transaction id once.

    sy/executed/<height, 8 bytes>      tickets, 40 bytes each, of a Tick's transactions with keys left
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fabric_adapter.microgrid.layout import TICKET_BYTES
from ibc_core.host import Store

PREFIX = b"sy/executed/"
REMOVED_MAX = 32  # keys that a Tick deletes, less one for each transaction that it executes
KEPT_MAX = 20_000  # whatever is more is deleted at once


class Known:
    """Reads what Ticks noted, each value once: most of them stay for many Ticks. Any thread may call."""

    def __init__(self) -> None:
        self._parts: Mapping[bytes, frozenset[bytes]] = {}  # by value, of those that were there at the last call

    def of(self, store: Store) -> frozenset[bytes]:
        """Tickets of executed transactions whose keys may still be there."""
        before = self._parts
        parts = {value: before.get(value) or frozenset(_split(value)) for _, value in store.iterate(PREFIX)}
        self._parts = parts
        return frozenset().union(*parts.values())


def settle(store: Store, height: int, tickets: Sequence[bytes]) -> list[bytes]:
    """Note what this Tick executed; whose inbox keys it is to delete, the oldest first."""
    if tickets:
        store.set(PREFIX + height.to_bytes(8, "big"), b"".join(tickets))
    kept = list(store.iterate(PREFIX))
    count = max(REMOVED_MAX - len(tickets), sum(len(value) for _, value in kept) // TICKET_BYTES - KEPT_MAX)
    removed: list[bytes] = []
    for key, value in kept:
        left = (count - len(removed)) * TICKET_BYTES
        if left <= 0:
            break
        removed += _split(value[:left])
        if len(value) > left:
            store.set(key, value[left:])
        else:
            store.delete(key)
    return removed


def _split(value: bytes) -> list[bytes]:
    return [value[at : at + TICKET_BYTES] for at in range(0, len(value), TICKET_BYTES)]
