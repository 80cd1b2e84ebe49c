"""Floats about the grid: power flow, optimal power flow, state estimation, models.

No room that a chain runs imports it, and nothing computed here is believed: a chain checks it in integers
(`energy.grid`), or validators vote on it.
"""

import os

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # feeders are small: threads wait for each other longer than they work
