"""Builds the Go oracle (once, when a source is newer) and asks it questions."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TOOLS = HERE.parents[1] / ".tools" / "bin"
BUILD_S_MAX, ANSWER_S_MAX = 900, 300


@cache
def oracle() -> Path:
    """Path of the oracle's binary, built if need be; test processes that run side by side build it once."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    binary = TOOLS / "bsmg-oracle"
    with (TOOLS / ".bsmg-oracle.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_fresh(binary):
            _build(binary)
    return binary


def _is_fresh(binary: Path) -> bool:
    sources = [*HERE.glob("*.go"), HERE / "go.mod", HERE / "go.sum"]
    return binary.exists() and all(source.stat().st_mtime < binary.stat().st_mtime for source in sources)


def _build(binary: Path) -> None:
    local = TOOLS / "go"
    command = [str(local) if local.exists() else "go", "build", "-o", str(binary), "."]
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}
    done = subprocess.run(command, cwd=HERE, env=env, capture_output=True, text=True, timeout=BUILD_S_MAX, check=False)
    if done.returncode:
        raise RuntimeError(f"expected the oracle to build, `{' '.join(command)}` said:\n{done.stderr[-2000:]}")


def ask(command: str, cases: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Answers of a sub-command, one for each case, in order: {"ok": bool, "error"?: str, ...}."""
    lines = [json.dumps(case) for case in cases]
    text = "".join(line + "\n" for line in lines)
    done = subprocess.run(
        [str(oracle()), command], input=text, capture_output=True, text=True, timeout=ANSWER_S_MAX, check=False
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode or len(answers) != len(lines):
        raise RuntimeError(f"expected {len(lines)} answers of {command}, got {len(answers)}: {done.stderr[-500:]}")
    return answers
