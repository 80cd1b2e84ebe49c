"""A process that commits until it is killed: PATH SEED. It prints each height after its commit."""

from __future__ import annotations

import sys
from pathlib import Path

from microgrid.store import StateDb, StoreOptions
from tests.store.model import changes_of


def main() -> None:
    db = StateDb.open(Path(sys.argv[1]), StoreOptions(versions_kept=5, map_size=1 << 28))
    while True:
        height = db.height + 1
        batch = db.put(changes_of(int(sys.argv[2]), height))
        db.commit(batch, height, b"meta %d" % height)
        sys.stdout.write(f"{height}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
