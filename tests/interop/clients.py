"""Other people's clients, fetched once through their registries' ordinary tools into `.tools/interop`."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT_TOOLS = HERE.parents[1] / ".tools"
ROOT = CHECKOUT_TOOLS / "interop"
BUILD_S_MAX = 2_400
COSMJS, COSMPY, GRPCURL = "0.39.0", "0.12.2", "v1.9.3"
SCURE_BASE = "2.0.0"  # what CosmJS 0.39 was made with: 2.4 refuses the unlimited length that `fromBech32` asks for
# The Go relayer's keys are C (libsecp256k1): without a C compiler it can't be built.
GO_ENV = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false", "CGO_ENABLED": "1"}


def rly() -> Path:
    """The Go relayer, by the wrapper module beside this file."""
    return _go_wrapper("rly")


def simd10() -> Path:
    """ibc-go v10's test chain, by the wrapper module beside this file."""
    return _go_wrapper("simd10")


def simd8() -> Path:
    """ibc-go v8's test chain, by the wrapper module beside this file."""
    return _go_wrapper("simd8")


def _go_wrapper(name: str) -> Path:
    sources = [HERE / name / file for file in ("main.go", "go.mod", "go.sum")]

    def build(target: Path) -> None:
        _run([_go(), "build", "-o", str(target), "."], cwd=HERE / name, env=GO_ENV)

    return _once(ROOT / "bin" / name, build, sources)


def grpcurl() -> Path:
    """grpcurl."""

    def build(target: Path) -> None:
        module = f"github.com/fullstorydev/grpcurl/cmd/grpcurl@{GRPCURL}"
        _run(
            [_go(), "install", module],
            cwd=HERE,
            env={"GOTOOLCHAIN": "local", "GOFLAGS": "", "GOBIN": str(target.parent)},
        )

    return _once(ROOT / "bin" / "grpcurl", build)


def cosmjs() -> Path:
    """Folder with `node_modules/@cosmjs`."""

    def build(target: Path) -> None:
        folder = target.parents[3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(json.dumps({"private": True, "overrides": {"@scure/base": SCURE_BASE}}))
        names = [
            f"@cosmjs/{name}@{COSMJS}" for name in ("stargate", "proto-signing", "tendermint-rpc", "amino", "crypto")
        ]
        _run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *names], cwd=folder)

    return _once(ROOT / f"cosmjs-{COSMJS}" / "node_modules" / "@cosmjs" / "stargate" / "package.json", build).parents[3]


def cosmpy_python() -> Path:
    """A Python that has cosmpy and nothing of ours."""
    folder = ROOT / "cosmpy"

    def build(_target: Path) -> None:
        _run([sys.executable, "-m", "venv", str(folder)], cwd=ROOT)
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", f"cosmpy=={COSMPY}"], cwd=ROOT)

    return _once(folder / "bin" / "cosmpy-ready", build).with_name("python")


def _once(target: Path, build: Callable[[Path], None], sources: list[Path] | None = None) -> Path:
    """Build when it is missing or was built from other sources, by their content: checkouts give new times."""
    target.parent.mkdir(parents=True, exist_ok=True)
    mark = target.with_name(target.name + ".sources")
    digest = sha256(b"".join(item.read_bytes() for item in sources or ())).hexdigest()
    with (ROOT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists() or (sources and not (mark.exists() and mark.read_text() == digest)):
            build(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
            if sources:
                mark.write_text(digest)
    return target


def _go() -> str:
    own = CHECKOUT_TOOLS / "bin" / "go"
    found = str(own) if own.exists() else shutil.which("go")
    assert found, "expected a Go toolchain in .tools/bin or on the path, found none"
    return found


def _run(command: list[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> None:
    whole = {**os.environ, **(env or {})}
    done = subprocess.run(
        ["nice", "-n", "10", *command],
        cwd=cwd,
        env=whole,
        capture_output=True,
        text=True,
        timeout=BUILD_S_MAX,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"expected `{' '.join(command)}` to succeed, it said:\n{done.stderr[-2000:]}")
