"""One line in the log for each problem, and one when it is over; not one for each attempt."""

from __future__ import annotations

import logging
import re
import time

CHANGING = re.compile(r"\b[0-9a-f]{8,}\b|\d+")  # identifiers, heights, times: the same problem with other numbers


class Trouble:
    """Of one activity."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log, self._what = log, what
        self._known: set[str] = set()
        self._since = 0.0

    def met(self, why: object) -> None:
        """It went wrong."""
        shape = CHANGING.sub("", str(why))
        if not self._known:
            self._since = time.monotonic()
        if shape not in self._known:
            self._known.add(shape)
            self._log.warning("event=trouble with=%s why=%s", self._what, " ".join(str(why).split()))

    def over(self) -> None:
        """It goes well."""
        if self._known:
            self._log.info("event=recovered with=%s after_s=%.1f", self._what, time.monotonic() - self._since)
            self._known.clear()
