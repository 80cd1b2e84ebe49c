"""The durable, versioned Merkle store."""

from abci_app.store.db import Batch, Snapshot, StateDb
from abci_app.store.disk import StoreOptions

__all__ = ["Batch", "Snapshot", "StateDb", "StoreOptions"]
