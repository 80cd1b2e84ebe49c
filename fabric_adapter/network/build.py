"""Fabric's programs, built once from the module in `binaries/` and kept outside the checkout."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cosmos_wire.errors import ToolError
from processes.files import tail

SOURCE = Path(__file__).resolve().parent / "binaries"
CHECKOUT_GO = Path(__file__).resolve().parents[2] / ".tools" / "bin" / "go"
VERSION = "v2.5.0"
PROGRAMS = ("peer", "orderer", "configtxgen")
MODULE = "github.com/hyperledger/fabric"
FLAGS = ("-p", "1", "-mod=readonly", "-buildvcs=false", "-tags", "nopkcs11", "-trimpath")
LINK = f"-s -w -X {MODULE}/common/metadata.Version={VERSION}"
LAST_LINES = 15
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Binaries:
    """Folder with Fabric's programs."""

    folder: Path

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def are_built(self) -> bool:
        """Whether every program is there."""
        return all(os.access(self.folder / name, os.X_OK) for name in PROGRAMS)


def cache_root(environment: Mapping[str, str]) -> Path:
    """`$XDG_CACHE_HOME/bsmg` or `~/.cache/bsmg`."""
    given = environment.get("XDG_CACHE_HOME", "")
    base = Path(given) if Path(given).is_absolute() else Path(environment.get("HOME", "/tmp")) / ".cache"  # noqa: S108
    return base / "bsmg"


def folder_name() -> str:
    """Of the sources' contents: another version never meets the old programs."""
    state = hashlib.sha256(" ".join((*PROGRAMS, *FLAGS, LINK)).encode())
    for name in ("go.mod", "go.sum"):
        state.update((SOURCE / name).read_bytes())
    return f"fabric-{state.hexdigest()[:16]}"


def ensure(say: Say) -> Binaries:
    """The programs, built if they are not there yet; raises ToolError with the compiler's last lines."""
    binaries = Binaries(cache_root(os.environ) / folder_name())
    if binaries.are_built:
        return binaries
    binaries.folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(binaries.folder.with_suffix(".lock")):
        if not binaries.are_built:
            say(f"Hyperledger Fabric {VERSION} into {binaries.folder} (built once, about four minutes)")
            _build(binaries.folder, say)
    return binaries


def _build(folder: Path, say: Say) -> None:
    """Into a folder beside it, moved when everything is there: a build that was cut short leaves nothing half done."""
    beside = folder.with_suffix(f".{os.getpid()}")
    log = folder.with_suffix(".log")
    beside.mkdir()
    try:
        for number, program in enumerate(PROGRAMS, 1):
            say(f"building {program} ({number} of {len(PROGRAMS)})")
            target = ["-o", str(beside / program), f"{MODULE}/cmd/{program}"]
            _run([go_command(), "build", *FLAGS, "-ldflags", LINK, *target], log)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def go_command() -> str:
    """The checkout's Go, or the system's."""
    found = str(CHECKOUT_GO) if CHECKOUT_GO.exists() else shutil.which("go")
    if found is None:
        raise ToolError("go: expected a Go toolchain in .tools/bin or on the path, got none; run `make setup`")
    return found


def _run(command: list[str], log: Path) -> None:
    """At low priority, with a compiler at a time: whoever builds beside a running testnet should not stop it."""
    environment = {**os.environ, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""}
    nice = ["nice", "-n", "10"] if shutil.which("nice") else []
    with log.open("wb") as out:
        whole = [*nice, *command]
        code = subprocess.run(whole, cwd=SOURCE, env=environment, stdout=out, stderr=out, check=False).returncode
    if code:
        lines = "\n".join(tail(log, LAST_LINES))
        raise ToolError(f"{command[-1]}: expected `go build` to succeed, got exit code {code}:\n{lines}")


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
