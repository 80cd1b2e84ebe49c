"""The durable, versioned Merkle store."""

from microgrid.store.db import Batch, Snapshot, StateDb
from microgrid.store.disk import StoreOptions

__all__ = ["Batch", "Snapshot", "StateDb", "StoreOptions"]
