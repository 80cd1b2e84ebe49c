"""Name and version of the application, as its chains report them."""

from __future__ import annotations

NAME, VERSION = "bsmg", "0.1.0"
STATE_VERSION = 1  # of genesis
