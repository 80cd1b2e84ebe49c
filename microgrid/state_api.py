"""What the application needs of its durable state; `microgrid.store.StateDb` is one, `MemoryDb` another."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ibc_core.host import Store

APP, IBC = "app", "ibc"  # the two stores under the app hash
STORES = (APP, IBC)
Changes = Mapping[str, Mapping[bytes, bytes | None]]  # by store name: key -> value, None removes


class Batch(Protocol):
    """What `put` computed and `commit` is to write."""

    @property
    def app_hash(self) -> bytes:
        """Root over all stores after the changes, 32 bytes."""


class Snapshot(Protocol):
    """The state after one block, read only."""

    @property
    def height(self) -> int:
        """Of the block."""

    def store(self, name: str) -> Store:
        """One of its stores."""

    def prove(self, name: str, key: bytes) -> tuple[bytes | None, list[tuple[str, bytes, bytes]]]:
        """(value or None, proof operations (type, key, data), leaf tree first)."""


class State(Protocol):
    """Trees compute, the store writes: `put` changes nothing durable, `commit` is the only write."""

    @property
    def height(self) -> int:
        """Of the last durable block, 0 before the first."""

    @property
    def app_hash(self) -> bytes:
        """Of the last durable block, empty before the first."""

    def store(self, name: str) -> Store:
        """A store at the last durable block."""

    def put(self, changes: Changes) -> Batch:
        """Compute the root after the changes."""

    def commit(self, batch: Any, height: int, meta: bytes) -> None:  # the Batch that this State's `put` made
        """Make the batch durable as block `height`."""


class History(Protocol):
    """States of the past, for queries."""

    def snapshot(self, height: int | None = None) -> AbstractContextManager[Snapshot]:
        """State after block `height`, None for the latest; raises a ChainError naming the lowest kept."""
