"""What all tests share: no example of a property is judged by the clock, and a failure can be replayed.

With CI set the examples follow from the tests alone, so that a change lands or fails by what it changes; elsewhere
they are fresh ones.
"""

import os

from hypothesis import settings

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported: tests share the cores with nets

settings.register_profile("fresh", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "fresh")
