"""The files that every home of processes has, and how JSON gets there whole."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any as Json

from cosmos_wire.errors import ToolError

TAIL_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Home:
    """Where things are."""

    path: Path

    @property
    def specs(self) -> Path:
        """Every process that belongs to it."""
        return self.path / "processes.json"

    @property
    def state(self) -> Path:
        """The supervisor's pids."""
        return self.path / "supervisor.json"

    @property
    def log(self) -> Path:
        """The supervisor's own log."""
        return self.path / "supervisor.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """A process to keep: how to start it, where it writes, and in which round it is stopped (0 first)."""

    name: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    log: str
    stop_round: int

    @property
    def node(self) -> str:
        """The node or relayer it belongs to: `mga-1-0/app` -> `mga-1-0`."""
        return self.name.partition("/")[0]

    def doc(self) -> dict[str, Json]:
        """JSON form."""
        return {
            "name": self.name,
            "argv": list(self.argv),
            "env": dict(self.env),
            "log": self.log,
            "stop_round": self.stop_round,
        }

    @classmethod
    def of_doc(cls, doc: dict[str, Json]) -> ProcessSpec:
        """From the JSON form."""
        return cls(
            name=doc["name"],
            argv=tuple(doc["argv"]),
            env=tuple(sorted(doc["env"].items())),
            log=doc["log"],
            stop_round=doc["stop_round"],
        )


def write_json(path: Path, doc: Json) -> None:
    """Write so that a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(doc, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


def read_json(path: Path) -> Json:
    """Parsed JSON; raises ToolError when the file is missing or is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ToolError(f"{path}: expected a running or stopped network's file, got {error.strerror}") from error
    except ValueError as error:
        raise ToolError(f"{path}: expected JSON, got {error}") from error


def read_specs(home: Home) -> list[ProcessSpec]:
    """Processes of a home, none before the first `up`."""
    return [ProcessSpec.of_doc(doc) for doc in read_json(home.specs)] if home.specs.exists() else []


def write_specs(home: Home, specs: Sequence[ProcessSpec]) -> None:
    """Remember the processes."""
    write_json(home.specs, [spec.doc() for spec in specs])


def tail(path: Path, lines: int) -> list[str]:
    """Last lines of a log, none if there is no log."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []
