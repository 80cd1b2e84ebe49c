"""Random changes of two stores, the same for a seed and a height in every process."""

from __future__ import annotations

import random

Pairs = dict[str, dict[bytes, bytes]]


def changes_of(seed: int, height: int) -> dict[str, dict[bytes, bytes | None]]:
    """Changes of one block: short and long values, removals, also of absent keys."""
    rng = random.Random(f"{seed}/{height}")
    made: dict[str, dict[bytes, bytes | None]] = {"app": {}, "ibc": {b"seed": b"1"}}
    for _ in range(rng.choice([0, 1, 3, 20])):
        key = b"k/%d" % rng.randrange(300)
        size = rng.choice([1, 20, 96, 97, 300, 9_000])
        made[rng.choice(["app", "ibc"])][key] = None if rng.random() < 0.3 else rng.randbytes(size)
    return made


def apply(pairs: Pairs, changes: dict[str, dict[bytes, bytes | None]]) -> None:
    """Change the model."""
    for name, entries in changes.items():
        for key, value in entries.items():
            if value is None:
                pairs[name].pop(key, None)
            else:
                pairs[name][key] = value


def state_at(seed: int, height: int) -> Pairs:
    """The model after all blocks up to a height."""
    pairs: Pairs = {"app": {}, "ibc": {}}
    for each in range(1, height + 1):
        apply(pairs, changes_of(seed, each))
    return pairs
