"""A network's life: up, down, kill and restart of one process."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any as Json

from cosmos_wire.errors import ToolError
from fabric_adapter.errors import FabricError
from fabric_adapter.network import admin, build, config, document, members, package
from fabric_adapter.network.build import Binaries
from fabric_adapter.network.plan import ORDERER, Home, Peer, Plan, Wish, make_plan, ports_needed, read_plan
from processes import control, ports
from processes.control import ask
from processes.files import ProcessSpec, read_json, read_specs, tail, write_json, write_specs
from processes.watch import ProcessDiedError, accepts, unless_one_dies

ATTEMPTS = 3  # another program may take a port between lease and listen
UP_TIMEOUT_S = 60.0
STATUS_TIMEOUT_S = 3.0
DEFAULT_HOME = Path("build/fabric")
CHAINCODE_ROUND, PEER_ROUND, ORDERER_ROUND = 0, 1, 2
LOG_LEVEL = "warning:gossip=error:comm.grpc=error:orderer.consensus.etcdraft=warning"
LOG_FORMAT = "%{time:2006-01-02 15:04:05.000} %{level:.4s} [%{module}] %{message}"  # without colours
LOGGING = (("FABRIC_LOGGING_FORMAT", LOG_FORMAT), ("FABRIC_LOGGING_SPEC", LOG_LEVEL))
LAST_LINES = 6
PING: Sequence[bytes] = (b"ping",)
Say = Callable[[str], None]


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
    binaries = await asyncio.to_thread(build.ensure, request.say)
    if home.document.exists():
        return await _guarded(home, _resume(home))
    ports.release(home.path)  # of a start that came to nothing
    for attempt in range(1, ATTEMPTS + 1):
        home.path.mkdir(parents=True, exist_ok=True)
        control.end_leftovers(home)
        _clear(home)
        write_specs(home, [])  # from now on the folder is ours
        try:
            return await _guarded(home, _fresh(request, binaries))
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


async def _fresh(request: Request, binaries: Binaries) -> dict[str, Json]:
    home = request.home
    plan = make_plan(request.wish, ports.lease(home.path, ports_needed(request.wish)))
    package_id = await asyncio.to_thread(_write_files, home, plan, binaries)
    request.say(f"{len(plan.peers)} organisations, channel {plan.wish.channel}, in {home.path}")
    await _start(home, plan)
    await unless_one_dies(home, _join(home, plan, package_id), UP_TIMEOUT_S)
    request.say(f"chaincode {plan.wish.chaincode} answers; endorsement {plan.endorsement}")
    doc = document.made(home, plan, package_id)
    return document.save(home, doc, ask(home, "status")["processes"])


def _write_files(home: Home, plan: Plan, binaries: Binaries) -> str:
    """Certificates, configuration, first block, package, processes; returns the package id."""
    write_json(home.plan, plan.doc())
    members.make_all(home, plan)
    package_id = write_node_files(home, plan, binaries)
    write_specs(home, specs(home, plan, binaries, package_id))
    return package_id


def write_node_files(home: Home, plan: Plan, binaries: Binaries) -> str:
    """What nodes need beside plan and certificates: configuration, first block, package; returns the package id."""
    config.write_all(home, plan)
    _first_block(home, plan, binaries)
    package_id, archive = package.make(home, plan)
    home.package.write_bytes(archive)
    return package_id


def _first_block(home: Home, plan: Plan, binaries: Binaries) -> None:
    command = [binaries["configtxgen"], "-profile", config.PROFILE, "-channelID", plan.wish.channel]
    done = subprocess.run(
        [*command, "-configPath", str(home.block.parent), "-outputBlock", str(home.block)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "FABRIC_LOGGING_SPEC": "warning"},
    )
    if done.returncode:
        reason = done.stderr.partition("goroutine 1")[0].strip()[-2000:]
        raise ToolError(f"configtxgen: expected the channel's first block, got:\n{reason}")


def specs(home: Home, plan: Plan, binaries: Binaries, package_id: str) -> list[ProcessSpec]:
    """The processes."""
    nodes = [_node(home, ORDERER, (binaries["orderer"], "start"), ORDERER_ROUND)]
    nodes += [_node(home, peer.name, (binaries["peer"], "node", "start"), PEER_ROUND) for peer in plan.peers]
    return [*nodes, _chaincode(home, plan, package_id)]


def _node(home: Home, name: str, argv: Sequence[str], stop_round: int) -> ProcessSpec:
    folder = home.node(name)
    return ProcessSpec(
        name=name,
        argv=tuple(argv),
        env=(
            ("FABRIC_CFG_PATH", str(folder)),
            ("FABRIC_LOGGING_FORMAT", LOG_FORMAT),
            ("FABRIC_LOGGING_SPEC", LOG_LEVEL),
        ),
        log=str(folder / "log"),
        stop_round=stop_round,
    )


def _chaincode(home: Home, plan: Plan, package_id: str) -> ProcessSpec:
    keys = home.crypto(plan.peers[0].org)
    options = {
        "--address": plan.chaincode_address,
        "--package-id": package_id,
        "--chaincode": plan.wish.factory,
        "--tls-certificate": str(keys / "tls" / "chaincode.crt"),
        "--tls-key": str(keys / "tls" / "chaincode.key"),
        "--client-roots": str(keys / "tlsca.crt"),
    }
    words = [word for pair in options.items() for word in pair]
    return ProcessSpec(
        name=plan.chaincode_process,
        argv=(sys.executable, "-m", "fabric_adapter.shim", *words),
        env=(),
        log=str(home.node(plan.chaincode_process) / "log"),
        stop_round=CHAINCODE_ROUND,
    )


async def _start(home: Home, plan: Plan) -> None:
    """Everything at once; back when every port listens: peers that join earlier find each other late."""
    control.launch(home)
    ask(home, "start", names=[spec.name for spec in read_specs(home)])
    addresses = [plan.orderer_address, plan.chaincode_address, *(peer.address for peer in plan.peers)]
    addresses.append(plan.orderer_address.rpartition(":")[0] + f":{plan.orderer['admin']}")
    work = asyncio.gather(*(accepts(f"tcp://{address}") for address in addresses))
    await unless_one_dies(home, work, UP_TIMEOUT_S)


async def _join(home: Home, plan: Plan, package_id: str) -> None:
    await admin.join_orderer(home, plan)
    await asyncio.gather(*(_equip(home, peer) for peer in plan.peers))
    await admin.deploy(home, plan, package_id)
    await admin.chaincode_answers(home, plan, PING)


async def _equip(home: Home, peer: Peer) -> None:
    await admin.join_peer(home, peer)
    await admin.install(home, peer)


async def _resume(home: Home) -> dict[str, Json]:
    """Start the processes of a network that was stopped."""
    control.end_leftovers(home)
    plan = read_plan(home)
    await _start(home, plan)
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
    where = {peer.name: peer.address for peer in plan.peers}
    where |= {ORDERER: plan.orderer_address, plan.chaincode_process: plan.chaincode_address}
    await unless_one_listens(home, [where[item] for item in names])
    return names


async def unless_one_listens(home: Home, addresses: Sequence[str]) -> None:
    """Wait until these addresses take connections; raises ToolError with the logs' last lines when they don't."""
    try:
        async with asyncio.timeout(UP_TIMEOUT_S):
            await asyncio.gather(*(accepts(f"tcp://{address}") for address in addresses))
    except TimeoutError as error:
        wanted = ", ".join(addresses)
        raise ToolError(f"{wanted}: expected to listen within {UP_TIMEOUT_S:.0f} s\n{last_words(home)}") from error


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
    peers = [peer for peer in plan.peers if peer.name in alive]
    heights = await asyncio.gather(*(_height(home, plan, peer) for peer in peers))
    return {peer.name: height for peer, height in zip(peers, heights, strict=True) if height is not None}


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
