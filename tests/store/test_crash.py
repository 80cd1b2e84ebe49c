"""kill -9 at any instant, then open again: the last commit is there, whole, and goes on to the same hashes."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from microgrid.store import StateDb, StoreOptions
from tests.store.model import changes_of, state_at

SEED, KILLS = 5, 8
OPTIONS = StoreOptions(versions_kept=5, map_size=1 << 28)


def run_and_kill(path: Path, commits: int, spin: int) -> int:
    """Start the writer, kill it after so many commits and a little more; the last height that it told."""
    command = [sys.executable, "-m", "tests.store.writer", str(path), str(SEED)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = [int(child.stdout.readline()) for _ in range(commits)]
        for _ in range(spin):  # a random moment inside the next commit
            pass
        child.kill()
        told += [int(line) for line in child.stdout.read().split()]
    return told[-1]


def test_killed_at_random_moments(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    told = 0
    for _ in range(KILLS):
        told = max(told, run_and_kill(tmp_path / "db", rng.randint(1, 25), rng.randrange(40_000)))
        db = StateDb.open(tmp_path / "db", OPTIONS)
        assert told <= db.height <= told + 1, "a commit that was told is never lost; the next one may be there"
        assert db.meta == b"meta %d" % db.height
        pairs = state_at(SEED, db.height)
        for name, entries in pairs.items():
            assert dict(db.store(name).iterate(b"")) == entries
            with db.snapshot() as snapshot:
                assert dict(snapshot.store(name).iterate(b"")) == entries
        told = db.height
        db.close()
    assert hash_of_history(tmp_path / "other", told) == reopened_hash(tmp_path / "db")


def hash_of_history(path: Path, height: int) -> bytes:
    """App hash of the same blocks in a store that nobody killed."""
    db = StateDb.open(path, OPTIONS)
    for each in range(1, height + 1):
        db.commit(db.put(changes_of(SEED, each)), each, b"")
    found = db.app_hash
    db.close()
    return found


def reopened_hash(path: Path) -> bytes:
    db = StateDb.open(path, OPTIONS)
    found = db.app_hash
    db.close()
    return found
