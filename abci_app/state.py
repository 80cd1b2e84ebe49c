"""Opens the node's durable state for each of its processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from abci_app.memory_state import MemoryState
from abci_app.settings import Operator
from abci_app.state_api import State


@contextmanager
def open_state(_path: Path, _operator: Operator) -> Iterator[State]:
    """For the app process: the one writer."""
    yield MemoryState()
