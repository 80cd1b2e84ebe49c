"""`bsmg doctor`: what a testnet needs, a line each; with `--home` how a running one is, a line a node."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from bsmg.cli.output import FAILURE
from bsmg.client.chain import ChainClient
from bsmg.client.fabric import FabricClient
from bsmg.client.testnet_file import FILE_NAME, ChainInfo, load_testnet
from cosmos_wire.errors import BsmgError
from fabric_adapter.network.build import VERSION, Binaries, cache_root, folder_name
from ibc_core.fabric.membership import read_members
from processes.ports import FIRST_PORT, is_free
from testnet.nodes import COMETBFT

COMETBFT_VERSION = "0.38.26"
DISK_MIN = 2 << 30
MEMORY_MIN = 2 << 30
FILES_MIN = 1024
PORTS_WANTED = 60  # the default testnet's, and some
PORTS_LOOKED_AT = 500
OLD_NS = 30 * 10**9  # a chain whose newest block is older than this stands still
PACKAGES = ("cosmpy", "coincurve", "cryptography", "grpcio", "lmdb", "protobuf", "uvloop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line."""

    name: str
    fine: bool
    text: str


@click.command()
@click.option("--home", type=click.Path(path_type=Path), help="Look at a running testnet's nodes too.")
@click.option("--chain", "chain_id", default="", help="Only this one of its chains.")
def command(home: Path | None, chain_id: str) -> None:
    """Check tools, ports, disk and versions; exit code 1 if something is missing."""
    findings = list(examine())
    if home is not None:
        net = load_testnet(home / FILE_NAME)
        chains = (net.chain(chain_id),) if chain_id else net.chains
        findings += asyncio.run(look_at(chains))
    for item in findings:
        click.echo(f"{'ok  ' if item.fine else 'FAIL'} {item.name:<10} {item.text}")
    if not all(item.fine for item in findings):
        raise click.exceptions.Exit(FAILURE)


def examine() -> Iterator[Finding]:
    """Every check in order."""
    checks: tuple[Callable[[], Finding], ...] = (
        python, cometbft, go, fabric, packages, ports, disk, memory, files, clock,
    )  # fmt: skip
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


def fabric() -> Finding:
    """Only chains of kind `fabric` need it; the embedded ledger is our own."""
    found = Binaries(cache_root(os.environ) / folder_name())
    state = f"in {found.folder}" if found.are_built else "not built yet: four minutes at the first use"
    return Finding(name="fabric", fine=True, text=f"{VERSION} {state}; only for chains of kind fabric")


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


async def look_at(chains: Sequence[ChainInfo]) -> list[Finding]:
    """Each node of each chain, one after the other."""
    return [await node(info, number) for info in chains for number in range(len(info.nodes))]


async def node(info: ChainInfo, number: int) -> Finding:
    """Whether it answers, and how old its newest block is; on Fabric whether the organisations' peers attest too."""
    name, client = info.nodes[number].moniker, ChainClient.of(info, number)
    try:
        head = await client.feed.start()
        age_ns = time.time_ns() - head.time_ns
        text = f"{info.kind}, block {head.height}, {age_ns / 1e9:.1f} s old"
        if isinstance(client, FabricClient):
            text += await attests(client)
        return Finding(name=name, fine=age_ns < OLD_NS, text=text)
    except BsmgError as error:
        return Finding(name=name, fine=False, text=str(error))
    finally:
        await client.close()


async def attests(client: FabricClient) -> str:
    """The membership in force, as the peers attest it."""
    found = await client.membership()
    members = read_members(found)
    return f", attested under membership {found.version}: {members.policy}"
