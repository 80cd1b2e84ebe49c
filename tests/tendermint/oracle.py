"""CometBFT's own answers: the Go program `tests/oracle/light`, built once and asked a batch of questions at a time."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "tests" / "oracle" / "light"
BUILD_TIMEOUT_S = ASK_TIMEOUT_S = 600

Question = Mapping[str, str | int | bytes | list[bytes]]


@dataclass(frozen=True)
class Answer:
    """`out` is a result in hexadecimal or a verdict, "error" or "panic"; `detail` says why."""

    out: str
    detail: str


def build() -> Path:
    """The program, compiled again when its source has changed."""
    digest = hashlib.sha256(b"".join((SOURCE / name).read_bytes() for name in ("main.go", "go.mod", "go.sum")))
    program = ROOT / ".tools" / "oracle" / f"light-{digest.hexdigest()[:16]}"
    if not program.exists():
        go = shutil.which("go")
        assert go, "go is needed to build the oracle and is not on the PATH"
        program.parent.mkdir(parents=True, exist_ok=True)
        partial = program.with_suffix(f".{os.getpid()}")
        done = subprocess.run(
            [go, "build", "-o", str(partial), "."],
            cwd=SOURCE,
            env={**os.environ, "GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"building the oracle failed: {done.stderr[-2000:]}"
        partial.replace(program)
    return program


def ask(program: Path, questions: Iterable[Question]) -> list[Answer]:
    """One answer a question, in order."""
    lines = "\n".join(json.dumps({name: _plain(value) for name, value in each.items()}) for each in questions)
    done = subprocess.run(
        [str(program)], input=lines, capture_output=True, text=True, timeout=ASK_TIMEOUT_S, check=True
    )
    return [Answer(**json.loads(line)) for line in done.stdout.splitlines()]


def _plain(value: str | int | bytes | list[bytes]) -> str | int | list[str]:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [base64.b64encode(each).decode() for each in value]
    return value
