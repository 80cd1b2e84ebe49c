"""A network's life, whatever its kind: up, down, kill and restart of one process, new members."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any as Json

from cosmos_wire.errors import ToolError
from fabric_adapter.embedded.nodes import Embedded
from fabric_adapter.errors import FabricError
from fabric_adapter.network import admin, document, members
from fabric_adapter.network.backends import BackEnd, Say
from fabric_adapter.network.plan import (
    EMBEDDED,
    LEDGER,
    REAL,
    Home,
    Peer,
    Plan,
    Wish,
    make_plan,
    ports_needed,
    read_plan,
)
from fabric_adapter.network.real import Real
from processes import control, ports
from processes.control import ask
from processes.files import read_json, read_specs, tail, write_json, write_specs
from processes.watch import ProcessDiedError, accepts, unless_one_dies

ATTEMPTS = 3  # another program may take a port between lease and listen
UP_TIMEOUT_S = 60.0
STATUS_TIMEOUT_S = 3.0
DEFAULT_HOME = Path("build/fabric")
LAST_LINES = 6
PING: Sequence[bytes] = (b"ping",)
BACK_ENDS: Mapping[str, BackEnd] = {REAL: Real(), EMBEDDED: Embedded()}


def back_end(kind: str) -> BackEnd:
    """Of a kind that a plan names."""
    return BACK_ENDS[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What `up` is asked for."""

    home: Home
    wish: Wish
    say: Say


async def up(request: Request) -> dict[str, Json]:
    """Bring a network up, or the one that this home already holds up again; returns fabric.json."""
    home = request.home
    check_home(home)
    if home.document.exists():
        return await _guarded(home, _resume(request))
    await asyncio.to_thread(back_end(request.wish.kind).prepare, request.say)
    ports.release(home.path)  # of a start that came to nothing
    for attempt in range(1, ATTEMPTS + 1):
        home.path.mkdir(parents=True, exist_ok=True)
        control.end_leftovers(home)
        _clear(home)
        write_specs(home, [])  # from now on the folder is ours
        try:
            return await _guarded(home, _fresh(request))
        except ProcessDiedError as error:
            if not error.port_taken or attempt == ATTEMPTS:
                raise
            request.say("a port was taken by another program; starting again with others")
    raise ToolError("network: expected free ports, got none")


async def _guarded(home: Home, work: Awaitable[dict[str, Json]]) -> dict[str, Json]:
    """Whatever ends a start before its end also ends what was started; the nodes' last words go with it."""
    try:
        return await work
    except ToolError as error:
        said = last_words(home)
        control.stop(home)
        if isinstance(error, ProcessDiedError) or not said:
            raise
        raise ToolError(f"{error}\n{said}") from error
    except BaseException:
        control.stop(home)
        raise


def last_words(home: Home) -> str:
    """Last lines of every log that has any."""
    found = [(spec, tail(Path(spec.log), LAST_LINES)) for spec in read_specs(home)]
    return "\n".join(f"{spec.name} ({spec.log}):\n    " + "\n    ".join(lines) for spec, lines in found if lines)


def check_home(home: Home) -> None:
    """Refuse a folder in which a network runs, or with files that aren't ours."""
    if control.is_running(home):
        raise ToolError(f"{home.path}: expected no running network, got one; `bsmg fabric down` ends it")
    if home.path.exists() and not home.specs.exists() and any(home.path.iterdir()):
        raise ToolError(f"{home.path}: expected a new or empty folder, or a network's, got other files")


def _clear(home: Home) -> None:
    """Back to an empty folder; leases stay, so that the next attempt gets other ports."""
    for item in home.path.iterdir():
        shutil.rmtree(item) if item.is_dir() else item.unlink()


async def _fresh(request: Request) -> dict[str, Json]:
    home = request.home
    plan = make_plan(request.wish, ports.lease(home.path, ports_needed(request.wish)))
    package_id = await asyncio.to_thread(_write_files, home, plan)
    request.say(f"{len(plan.peers)} organisations, channel {plan.wish.channel}, in {home.path}")
    await start(home, plan)
    await unless_one_dies(home, join(home, plan, package_id), UP_TIMEOUT_S)
    request.say(f"chaincode {plan.wish.chaincode} answers; endorsement {plan.endorsement}")
    doc = document.made(home, plan, package_id)
    return document.save(home, doc, ask(home, "status")["processes"])


def _write_files(home: Home, plan: Plan) -> str:
    """Everything but the document; returns the package id."""
    write_json(home.plan, plan.doc())
    members.make_all(home, plan)
    made = back_end(plan.wish.kind).write(home, plan)
    write_specs(home, made.specs)
    return made.package_id


async def start(home: Home, plan: Plan) -> None:
    """Everything at once; back when every port listens."""
    control.launch(home)
    ask(home, "start", names=[spec.name for spec in read_specs(home)])
    addresses = back_end(plan.wish.kind).addresses(plan).values()
    work = asyncio.gather(*(accepts(f"tcp://{address}") for each in addresses for address in each))
    await unless_one_dies(home, work, UP_TIMEOUT_S)


async def join(home: Home, plan: Plan, package_id: str) -> None:
    """Channel and chaincode; back when the chaincode answers on every peer."""
    await back_end(plan.wish.kind).join(home, plan, package_id)
    await admin.chaincode_answers(home, plan, PING)


async def _resume(request: Request) -> dict[str, Json]:
    """Start the processes of a network that was stopped, as the kind that it is."""
    home, plan = request.home, read_plan(request.home)
    await asyncio.to_thread(back_end(plan.wish.kind).prepare, request.say)
    control.end_leftovers(home)
    await start(home, plan)
    await unless_one_dies(home, admin.chaincode_answers(home, plan, PING), UP_TIMEOUT_S)
    return document.save(home, dict(read_json(home.document)), ask(home, "status")["processes"])


def down(home: Home, *, purge: bool = False) -> None:
    """Stop what `up` started, and nothing else; with `purge` also delete the folder."""
    if not home.specs.exists():
        found = "other files" if home.path.exists() else "none"
        raise ToolError(f"{home.path}: expected a network's folder, got {found}")
    control.stop(home)
    if purge:  # until then its ports stay reserved, so that it can come up again
        shutil.rmtree(home.path)
        ports.release(home.path)


def kill(home: Home, name: str) -> list[str]:
    """SIGKILL a process."""
    return control.kill(home, name)


async def restart(home: Home, name: str) -> list[str]:
    """Start a process that has ended; back when it listens."""
    names = control.matching([spec.name for spec in read_specs(home)], name)
    table = ask(home, "start", names=names)["processes"]
    if home.document.exists():
        document.save(home, dict(read_json(home.document)), table)
    plan = read_plan(home)
    where = back_end(plan.wish.kind).addresses(plan)
    await unless_one_listens(home, [address for item in names for address in where[item]])
    return names


async def unless_one_listens(home: Home, addresses: Sequence[str]) -> None:
    """Wait until these addresses take connections; raises ToolError with the logs' last lines when they don't."""
    try:
        async with asyncio.timeout(UP_TIMEOUT_S):
            await asyncio.gather(*(accepts(f"tcp://{address}") for address in addresses))
    except TimeoutError as error:
        wanted = ", ".join(addresses)
        raise ToolError(f"{wanted}: expected to listen within {UP_TIMEOUT_S:.0f} s\n{last_words(home)}") from error


def enroll(home: Home, org: int, name: str, role: str = "client") -> Path:
    """A new member of an organisation, known at once; returns the certificate's file, the key lies beside it."""
    plan = read_plan(home)
    if not 1 <= org <= len(plan.peers):
        raise ToolError(f"organisation: expected 1 to {len(plan.peers)}, got {org}")
    peer = plan.peers[org - 1]
    made = members.add_member(home, peer.org, name, role)
    if home.document.exists():
        doc = dict(read_json(home.document))
        doc["orgs"][org - 1]["members"] = document.members(home, peer)
        document.write(home, doc)
    return made


async def status(home: Home) -> dict[str, Json]:
    """Processes, the peers' blocks, and the last lines of what has died."""
    table = ask(home, "status")["processes"]
    logs = {spec.name: Path(spec.log) for spec in read_specs(home)}
    blocks = await _blocks(home, [name for name, item in table.items() if item["alive"]])
    found = {
        name: {
            "pid": item["pid"],
            "alive": item["alive"],
            "exit": item["exit"],
            "blocks": blocks.get(name),
            "log": str(logs[name]),
            "lines": [] if item["alive"] else tail(logs[name], LAST_LINES),
        }
        for name, item in table.items()
    }
    return {"home": str(home.path), "processes": found}


async def _blocks(home: Home, alive: Sequence[str]) -> dict[str, int]:
    """How many blocks each peer has, of those that answer at once."""
    plan = read_plan(home)
    where = {peer.name: peer for peer in plan.peers} | {LEDGER: plan.peers[0]}
    names = [name for name in alive if name in where]
    heights = await asyncio.gather(*(_height(home, plan, where[name]) for name in names))
    return {name: height for name, height in zip(names, heights, strict=True) if height is not None}


async def _height(home: Home, plan: Plan, peer: Peer) -> int | None:
    async with admin.gateway(home, plan, peer) as client:
        try:
            async with asyncio.timeout(STATUS_TIMEOUT_S):
                return await client.height()
        except (FabricError, TimeoutError):
            return None


def home_of(path: Path | None) -> Home:
    """The home of a flag, of BSMG_FABRIC, or build/fabric."""
    chosen = path or Path(os.environ.get("BSMG_FABRIC", DEFAULT_HOME))
    return Home(chosen.resolve())
