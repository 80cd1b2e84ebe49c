"""Some ticks in a process of its own: `python -m tests.fabric_chaincode.day` prints the last state hash."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cosmos_wire.protos import market as pb
from tests.fabric_chaincode.world import Cast, Grid, send

ROOT = Path(__file__).resolve().parent.parent.parent


def hashes(*seeds: str) -> list[str]:
    """What processes with these seeds of Python's hashes print."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "proto")))
    running = [
        subprocess.Popen(
            [sys.executable, "-m", __name__],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        for seed in seeds
    ]
    return [process.communicate()[0].decode().strip() for process in running]


def main() -> None:
    """A trading slot, up to its end."""
    from tests.fabric_chaincode.test_market import ASK, BID, FIRST_SLOT, place, until

    with tempfile.TemporaryDirectory() as folder:
        net = Grid(Cast(), Path(folder))
        net.found()
        until(net, FIRST_SLOT, pb.SLOT_STATE_BIDDING)
        sent = [place(net, n, (BID, ASK)[n % 2], 40_000 + (-1) ** n * 500, 10_000) for n in range(1, 26)]
        sent += [net.submit(net.cast.alice, send(net.cast.alice, cell)) for cell in net.cast.cells]
        net.tick(*sent)
        until(net, FIRST_SLOT, pb.SLOT_STATE_METERING)
        print(net.record.state_hash.hex())
        net.close()


if __name__ == "__main__":
    main()
