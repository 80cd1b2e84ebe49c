"""`bsmg doctor`: what a testnet needs, a line each."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from bsmg.cli.output import FAILURE
from processes.ports import FIRST_PORT, is_free
from testnet.nodes import COMETBFT

COMETBFT_VERSION = "0.38.26"
DISK_MIN = 2 << 30
MEMORY_MIN = 2 << 30
FILES_MIN = 1024
PORTS_WANTED = 60  # the default testnet's, and some
PORTS_LOOKED_AT = 500
PACKAGES = ("cosmpy", "coincurve", "cryptography", "grpcio", "lmdb", "protobuf", "uvloop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line."""

    name: str
    fine: bool
    text: str


@click.command()
def command() -> None:
    """Check tools, ports, disk and versions; exit code 1 if something is missing."""
    findings = list(examine())
    for item in findings:
        click.echo(f"{'ok  ' if item.fine else 'FAIL'} {item.name:<10} {item.text}")
    if not all(item.fine for item in findings):
        raise click.exceptions.Exit(FAILURE)


def examine() -> Iterator[Finding]:
    """Every check in order."""
    checks: tuple[Callable[[], Finding], ...] = (python, cometbft, go, packages, ports, disk, memory, files, clock)
    return (check() for check in checks)


def python() -> Finding:
    """Version of the interpreter."""
    fine = (3, 11) <= sys.version_info[:2] < (3, 13)
    return Finding(name="python", fine=fine, text=f"{sys.version.split()[0]}, expected 3.11 or 3.12")


def _version(command: list[str]) -> str:
    """First line that a command prints, or why it can't."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"none ({error})"
    return (done.stdout or done.stderr).strip().partition("\n")[0]


def cometbft() -> Finding:
    """The consensus engine."""
    found = _version([str(COMETBFT), "version"])
    hint = "" if found == COMETBFT_VERSION else "; run `make setup`"
    return Finding(name="cometbft", fine=not hint, text=f"{found}, expected {COMETBFT_VERSION} at {COMETBFT}{hint}")


def go() -> Finding:
    """Only set-up and tests need it."""
    own = COMETBFT.with_name("go")
    found = _version([str(own), "version"])
    return Finding(name="go", fine=found.startswith("go version"), text=f"{found}; only for set-up and tests")


def packages() -> Finding:
    """Libraries whose versions matter."""
    try:
        found = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    except importlib.metadata.PackageNotFoundError as error:
        return Finding(name="packages", fine=False, text=f"expected {error.name}, got none; run `make setup`")
    return Finding(name="packages", fine=True, text=", ".join(found))


def ports() -> Finding:
    """Free ones on loopback."""
    free = sum(is_free(port) for port in range(FIRST_PORT, FIRST_PORT + PORTS_LOOKED_AT))
    text = f"{free} of {PORTS_LOOKED_AT} from {FIRST_PORT} are free, expected at least {PORTS_WANTED}"
    return Finding(name="ports", fine=free >= PORTS_WANTED, text=text)


def disk() -> Finding:
    """Where a testnet would be."""
    free = shutil.disk_usage(Path.cwd()).free
    return Finding(name="disk", fine=free >= DISK_MIN, text=f"{free >> 20} MiB free, expected {DISK_MIN >> 20} MiB")


def memory() -> Finding:
    """Of the whole machine."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    text = f"{total >> 20} MiB and {os.cpu_count()} processors, expected {MEMORY_MIN >> 20} MiB"
    return Finding(name="memory", fine=total >= MEMORY_MIN, text=text)


def files() -> Finding:
    """Open files that a process may have."""
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    fine = soft == resource.RLIM_INFINITY or soft >= FILES_MIN
    return Finding(name="files", fine=fine, text=f"{soft} open files a process, expected {FILES_MIN}")


def clock() -> Finding:
    """Block time is refused 60 s ahead of the local clock, so the clock has to be sane."""
    year = int(_version(["date", "-u", "+%Y"]) or 0)
    return Finding(name="clock", fine=year >= 2024, text=f"the year is {year}")
