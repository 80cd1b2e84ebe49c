"""Outcomes of the cases on a real network, kept as data: `python -m tests.fabric_conformance.record [OUT.json]`."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any as Json

from fabric_adapter.network.plan import REAL
from tests.fabric_conformance.catalogue import CASES
from tests.fabric_conformance.world import POLICIES, up

TARGET = Path(__file__).parent / "outcomes.json"


async def of_kind(kind: str) -> dict[str, Json]:
    """Of every case, each on a network of its policy."""
    found: dict[str, Json] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, policy in POLICIES.items():
            async with up(Path(folder) / name, kind, policy) as world:
                found |= {case.name: await case.outcome(world) for case in CASES if case.policy == name}
    return found


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    kind = sys.argv[2] if len(sys.argv) > 2 else REAL
    out.write_text(json.dumps(asyncio.run(of_kind(kind)), indent=1, sort_keys=True) + "\n")
