"""A testnet's life: up, down, status, logs; kill, freeze, restart of one node."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any as Json

from cosmos_wire.errors import ToolError
from processes import control, ports, watch
from processes.control import ask, end_leftovers, is_running, launch, matching
from processes.files import read_json, read_specs, write_json, write_specs
from testnet import chains, document, links, ready
from testnet.chains import Made
from testnet.config import short_folder
from testnet.files import DEFAULT_HOME, Home
from testnet.nodes import COMETBFT
from testnet.topology import Topology

ATTEMPTS = 3  # another program may take a port between lease and listen
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What `up` is asked for."""

    home: Home
    topology: Topology
    say: Say
    held: bool = False  # a stopped testnet comes up again whatever topology it was made from


async def up(request: Request) -> dict[str, Json]:
    """Bring a testnet up, or the one that this home already holds up again; returns testnet.json."""
    home = request.home
    check_home(home)
    if home.testnet.exists():
        check_topology(request)
        return await _guarded(request, _resume(request))
    ports.release(home.path)  # of a start that came to nothing
    for attempt in range(1, ATTEMPTS + 1):
        home.path.mkdir(parents=True, exist_ok=True)
        end_leftovers(home)
        _clear(home)
        write_specs(home, [])  # from now on the folder is ours
        try:
            return await _guarded(request, _fresh(request))
        except watch.ProcessDiedError as error:
            if not error.port_taken or attempt == ATTEMPTS:
                raise
            request.say("a port was taken by another program; starting again with others")
    raise ToolError("testnet: expected free ports, got none")


def check_topology(request: Request) -> None:
    """Refuse to bring up another testnet than the one that was asked for."""
    home = request.home
    if request.held or not home.topology.exists() or read_json(home.topology) == _topology_doc(request.topology):
        return
    raise ToolError(
        f"testnet {home.path}: expected the topology that it was made from, got another one; leave it out to bring "
        "the testnet up as it is, or begin anew after `bsmg testnet down --purge`"
    )


def remember(home: Home, topology: Topology) -> None:
    """Keep the topology that a testnet is made from."""
    write_json(home.topology, _topology_doc(topology))


def _topology_doc(topology: Topology) -> Json:
    """A topology as JSON gives it back."""
    return json.loads(json.dumps(asdict(topology)))


async def _guarded(request: Request, work: Awaitable[dict[str, Json]]) -> dict[str, Json]:
    """Whatever ends a start before its end also ends what was started."""
    try:
        return await work
    except BaseException:
        control.stop(request.home)
        raise


def check_home(home: Home) -> None:
    """Refuse a folder in which a testnet runs, or with files that aren't ours."""
    if is_running(home):
        raise ToolError(f"testnet {home.path}: expected none that runs, got one; `bsmg testnet down` ends it")
    if home.path.exists() and not home.specs.exists() and any(home.path.iterdir()):
        raise ToolError(f"{home.path}: expected a new or empty folder, or a testnet's, got other files")
    if not COMETBFT.exists():
        raise ToolError(f"{COMETBFT}: expected CometBFT, got nothing; run `make setup`")


def _clear(home: Home) -> None:
    """Back to an empty folder; leases stay, so that the next attempt gets other ports."""
    for item in home.path.iterdir():
        shutil.rmtree(item) if item.is_dir() else item.unlink()


async def _fresh(request: Request) -> dict[str, Json]:
    home, topology = request.home, request.topology
    await asyncio.to_thread(chains.build_tools, topology, request.say)
    made = chains.make_chains(home, topology, int(time.time() * 1000))
    remember(home, topology)
    write_specs(home, [*chains.first_specs(made, request.say), *chains.later_specs(made)])
    doc = document.testnet_doc(home, [document.chain_doc(home, item) for item in made])
    _check_wanted_gates(topology, doc)
    nodes = sum(len(item.nodes) for item in made)
    request.say(f"{_count(len(made), 'chain')}, {_count(nodes, 'node')} in {home.path}")
    await _start_nodes(home, made)
    await watch.unless_one_dies(home, _chains_work(doc))
    request.say("every chain makes blocks")
    if topology.relayer.count and topology.links:
        doc = await watch.unless_one_dies(home, _link(request, made, doc))
        request.say("every channel is open")
    return document.save(home, doc, ask(home, "status")["processes"])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


async def _start_nodes(home: Home, made: Sequence[Made]) -> None:
    """Applications and ledgers first: CometBFT waits three seconds between its attempts, fronts follow a genesis."""
    launch(home)
    specs = read_specs(home)
    ask(home, "start", names=[spec.name for spec in specs if chains.is_first(spec)])
    await watch.unless_one_dies(home, chains.first_listen(made))
    ask(home, "start", names=[spec.name for spec in specs if spec.name.endswith(("/cometbft", "/query"))])
    await watch.unless_one_dies(home, chains.begin(home, made))
    ask(home, "start", names=[spec.name for spec in specs])


async def _chains_work(doc: dict[str, Json]) -> None:
    await asyncio.gather(*(ready.chain_works(chain) for chain in doc["chains"]))


async def _link(request: Request, made: Sequence[Made], doc: dict[str, Json]) -> dict[str, Json]:
    """Open the links, check the gates against the blocks' real pace, start the relayers."""
    home = request.home
    ids = await links.open_links(home, request.topology, made)
    await _check_gates(request.topology, doc)
    relayers = links.write_relayers(home, request.topology, made, ids)
    write_specs(home, [*read_specs(home), *(spec for spec, _ in relayers)])
    ask(home, "start", names=[spec.name for spec, _ in relayers])
    docs = [{"name": spec.node, "pid": 0, "metrics": url, "config": spec.argv[-1]} for spec, url in relayers]
    return {**doc, "relayers": docs, "links": links.link_docs(ids)}


def _trading(topology: Topology, doc: dict[str, Json]) -> list[dict[str, Json]]:
    trading = {end for link in topology.links if "trade" in link.channels for end in (link.a, link.b)}
    return [chain for chain in doc["chains"] if chain["chain_id"] in trading]


def _check_wanted_gates(topology: Topology, doc: dict[str, Json]) -> None:
    """Before anything runs: gates that are too narrow even for the block interval that was asked for."""
    for chain in _trading(topology, doc):
        ready.check_gates(chain["chain_id"], chain["gates_ms"], chain["slot_ms"], chain["block_time_ms"])


async def _check_gates(topology: Topology, doc: dict[str, Json]) -> None:
    for chain in _trading(topology, doc):
        interval_ms = await ready.block_interval_ms(chain)
        chain["block_interval_ms"] = interval_ms
        ready.check_gates(chain["chain_id"], chain["gates_ms"], chain["slot_ms"], interval_ms)


async def _resume(request: Request) -> dict[str, Json]:
    """Start the processes of a testnet that was stopped."""
    home = request.home
    end_leftovers(home)
    doc = dict(read_json(home.testnet))
    short_folder(home.path).mkdir(mode=0o700, exist_ok=True)  # `down` took it away
    launch(home)
    specs = read_specs(home)
    ask(home, "start", names=[spec.name for spec in specs if chains.is_first(spec)])
    ask(home, "start", names=[spec.name for spec in specs])
    await watch.unless_one_dies(home, _chains_work(doc))
    return document.save(home, doc, ask(home, "status")["processes"])


def down(home: Home, *, purge: bool = False) -> None:
    """Stop what `up` started, and nothing else; with `purge` also delete the folder."""
    if not home.specs.exists():
        raise ToolError(
            f"{home.path}: expected a testnet's folder, got {'other files' if home.path.exists() else 'none'}"
        )
    control.stop(home)
    if purge:  # until then its ports stay reserved, so that it can come up again
        shutil.rmtree(home.path)
        ports.release(home.path)
    shutil.rmtree(short_folder(home.path), ignore_errors=True)


def restart(home: Home, name: str) -> list[str]:
    """Thaw what is frozen and start what has ended; new pids go into testnet.json."""
    names = matching([spec.name for spec in read_specs(home)], name)
    table = ask(home, "status")["processes"]
    ask(home, "signal", names=[n for n in names if n in table and table[n]["alive"]], signal=signal.SIGCONT)
    table = ask(home, "start", names=names)["processes"]
    document.refresh(home, table)
    return names


def home_of(path: Path | None) -> Home:
    """The home of a flag, of BSMG_TESTNET, or build/testnet."""
    chosen = path or Path(os.environ.get("BSMG_TESTNET", DEFAULT_HOME))
    return Home(chosen.resolve())
