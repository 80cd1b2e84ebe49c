"""Which transactions were executed while their inbox keys are still there, so that none is executed twice.

Deleting a key costs a message to each peer. A Tick with many transactions leaves their keys where they are and notes
their identifiers in the state; Ticks with few delete them, the oldest first. An identifier is forgotten by the Tick
that deletes its key, and a key of this name can't come again: Fabric takes a transaction id once.

    sy/executed/<height, 8 bytes>      transaction ids, 32 bytes each, of a Tick's transactions with keys left
"""

from __future__ import annotations

from collections.abc import Sequence

from ibc_core.host import Store

PREFIX = b"sy/executed/"
ID_BYTES = 32
REMOVED_MAX = 32  # keys that a Tick deletes, less one for each transaction that it executes
KEPT_MAX = 20_000  # whatever is more is deleted at once


def known(store: Store) -> frozenset[str]:
    """Identifiers of executed transactions whose keys may still be there."""
    return frozenset(tx_id.hex() for _, value in store.iterate(PREFIX) for tx_id in _split(value))


def settle(store: Store, height: int, tx_ids: Sequence[str]) -> list[str]:
    """Note what this Tick executed; which inbox keys it is to delete, the oldest first."""
    if tx_ids:
        store.set(PREFIX + height.to_bytes(8, "big"), b"".join(map(bytes.fromhex, tx_ids)))
    kept = [(key, _split(value)) for key, value in store.iterate(PREFIX)]
    count = max(REMOVED_MAX - len(tx_ids), sum(len(ids) for _, ids in kept) - KEPT_MAX)
    removed: list[str] = []
    for key, ids in kept:
        left = count - len(removed)
        if left <= 0:
            break
        removed += [tx_id.hex() for tx_id in ids[:left]]
        if len(ids) > left:
            store.set(key, b"".join(ids[left:]))
        else:
            store.delete(key)
    return removed


def _split(value: bytes) -> list[bytes]:
    return [value[at : at + ID_BYTES] for at in range(0, len(value), ID_BYTES)]
