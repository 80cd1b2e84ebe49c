"""Vectors of other projects, fetched by their package managers, kept in the package managers' caches.

The first run needs the network; afterwards a directory that is there already is used as it is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / ".tools"
FETCH_TIMEOUT_S = 600


def go_module(path: str, version: str) -> Path:
    """Source folder of a Go module in the Go module cache."""
    cache = Path(_run(["go", "env", "GOMODCACHE"], TOOLS.parent).strip())
    folder = cache / f"{path}@{version}"  # the modules used here have no capitals, which the cache would escape
    if folder.is_dir():
        return folder
    return Path(json.loads(_run(["go", "mod", "download", "-json", f"{path}@{version}"], _scratch("go")))["Dir"])


def crate(name: str, version: str) -> Path:
    """Source folder of a crate in Cargo's registry cache."""
    registry = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "registry" / "src"
    pattern = f"*/{name}-{version}"
    if not any(registry.glob(pattern)):
        _run(["cargo", "fetch", "--quiet"], _cargo_project(name, version))
    return next(registry.glob(pattern))


def _cargo_project(name: str, version: str) -> Path:
    """A package whose only dependency is the crate: Cargo fetches what a package depends on."""
    home = _scratch(f"vectors-{name}")
    (home / "src").mkdir(exist_ok=True)
    (home / "src" / "lib.rs").touch()
    manifest = '[package]\nname = "vectors"\nversion = "0.0.0"\nedition = "2021"\n\n[dependencies]\n'
    (home / "Cargo.toml").write_text(f'{manifest}{name} = "={version}"\n')
    return home


def _scratch(name: str) -> Path:
    folder = TOOLS / "vectors" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(command: list[str], folder: Path) -> str:
    program = shutil.which(command[0])
    assert program, f"{command[0]} is needed to fetch test vectors and is not on the PATH"
    done = subprocess.run(
        [program, *command[1:]], cwd=folder, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} failed: {done.stderr[-2000:]}"
    return done.stdout
