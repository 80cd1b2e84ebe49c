"""Builds the oracle of sign modes and account keys (`amino/`, the Cosmos SDK itself) and asks it questions."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TOOLS = HERE.parents[1] / ".tools"
BUILD_S_MAX, ANSWER_S_MAX = 1_800, 300

Question = dict[str, Any]
Answer = dict[str, Any]


def ask(descriptors: Path, questions: Iterable[Question]) -> list[Answer]:
    """One answer for each question, in order; `descriptors` is a FileDescriptorSet of messages that Go lacks."""
    text = "".join(json.dumps(item) + "\n" for item in questions)
    done = subprocess.run(
        [str(_built()), str(descriptors)], input=text, capture_output=True, text=True, timeout=ANSWER_S_MAX, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _built() -> Path:
    target = TOOLS / "bin" / "bsmg-oracle-amino"
    local = TOOLS / "bin" / "go"
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    command = [str(local) if local.exists() else "go", "build", "-o", str(target), "."]
    subprocess.run(command, cwd=HERE / "amino", env=env, timeout=BUILD_S_MAX, check=True)
    return target
