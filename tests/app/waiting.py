"""Waits for an outside process by asking it, with a bound."""

from __future__ import annotations

import threading
from collections.abc import Callable

PAUSE_S, TRIES_MAX = 0.1, 900


def until(holds: Callable[[], bool], what: str, details: Callable[[], str]) -> None:
    """Ask until it holds; fails with the details after 90 s."""
    pause = threading.Event()
    for _ in range(TRIES_MAX):
        if holds():
            return
        pause.wait(PAUSE_S)
    raise AssertionError(f"{what} did not come\n{details()}")
