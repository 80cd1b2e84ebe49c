"""The main job, from nothing to the report: testnet up, agents trade, outage, refusal, report, everything down."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress as Bar

from bsmg.demo import assemble, outage, refusal, report
from bsmg.demo.assemble import Span
from bsmg.demo.check import audited
from bsmg.demo.collect import packet_rows, packets
from bsmg.demo.day import MAIN_GRID, Audited, DayReport, Outage, Refusal
from bsmg.demo.feeder_day import FeederDay
from bsmg.demo.gather import Gatherer, gatherer
from bsmg.demo.physical import Study
from bsmg.demo.progress import Progress
from bsmg.demo.scene import Scene, open_scene
from bsmg.demo.tokens import moved
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import trade
from processes.files import tail
from testnet import lifecycle
from testnet.files import Home
from testnet.topology import Topology, load_topology, parse_topology
from utility_cell.profiles import QUARTERS_PER_DAY

SHORT_DAY_QUARTER = 39  # a few slots only: before noon of the default day the sun strains a feeder
MICROGRIDS = ("mga-1", "mgb-1", "mgf-1")
SHORT_DAY = 16  # so few slots are traded in a shorter window, or most of the time would be waiting for the first
WINDOW = "gates = { window_min_ms = 60_000 }"
ON_COMETBFT = """
[[chain]]
id = "mga-1"
kind = "cometbft"
feeder = "sce56"
{window}
[[chain]]
id = "mgb-1"
kind = "cometbft"
feeder = "bw33"
{window}
[[link]]
a = "mga-1"
b = "mgb-1"
"""
ON_FABRIC = """
[[chain]]
id = "mgf-1"
kind = "{kind}"
profile = "sunny"
cells = 10
{window}
[[link]]
a = "mga-1"
b = "mgf-1"
[[link]]
a = "mgb-1"
b = "mgf-1"
"""
ON_GRID = """
[[chain]]
id = "grid-1"
kind = "cometbft"
role = "grid"
validators = 1
market = {{ cap_e4 = 70_000 }}
{window}
"""
TO_GRID = """
[[link]]
a = "{chain}"
b = "grid-1"
"""
OUTAGE_AFTER = 3  # the outage comes after a third of the day
TOKENS = 25 * 10**10
PATIENCE_MS = 90_000  # beyond the last contract's T_close
READ_EVERY_S = 1.0
TRANSFER_TIMEOUT_MS = 600_000
OPEN_CONTRACTS = (trade.BUYER_STATE_LOCKED, trade.BUYER_STATE_CONFIRMED, trade.BUYER_STATE_COMMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person can choose."""

    folder: Path
    topology: Path | None
    day: date
    slots: int
    seed: int
    keep: bool  # leave the testnet running
    third: str = ""  # kind of the third microgrid's ledger, empty: only two
    quarter: int | None = None  # of the day, that the first slot stands for

    @property
    def first_quarter(self) -> int:
        """A whole day begins at midnight, a short one when the sun strains the feeders, unless told otherwise."""
        if self.quarter is not None:
            return self.quarter
        return 0 if self.slots >= QUARTERS_PER_DAY else SHORT_DAY_QUARTER

    def network(self) -> Topology:
        """The topology that was asked for, or two microgrids on CometBFT, one on Fabric, and the main grid."""
        if self.topology is not None:
            return load_topology(self.topology)
        text = ON_COMETBFT + (ON_FABRIC if self.third else "") + ON_GRID
        text += "".join(TO_GRID.format(chain=chain) for chain in MICROGRIDS[: 3 if self.third else 2])
        window = WINDOW if self.slots <= SHORT_DAY else ""
        return parse_topology(text.format(window=window, kind=self.third), "the demo's topology")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What happened besides trading."""

    suffered: Outage | None
    refused: tuple[Refusal, ...]
    audited: Audited


async def run(options: Options, console: Console) -> DayReport:
    """Everything; whatever fails, what was started is ended."""
    started, home = time.monotonic(), Home((options.folder / "testnet").resolve())
    network = options.network()
    if home.specs.exists():
        lifecycle.down(home, purge=True)
    console.log(f"starting {len(network.chains)} chains: {', '.join(chain.id for chain in network.chains)}")
    request = lifecycle.Request(home=home, topology=network, say=console.log)
    try:
        await lifecycle.up(request)
        async with open_scene(home.testnet) as scene:
            day = await _trade(scene, home, options, console)
    finally:
        if not options.keep and home.specs.exists():
            lifecycle.down(home)
    day = replace(day, wall_s=round(time.monotonic() - started))
    console.log("drawing the report")
    _write(options.folder, day)
    return day


async def _trade(scene: Scene, home: Home, options: Options, console: Console) -> DayReport:
    info = scene.net.chains[0]
    span = Span(first_slot=info.first_slot, slots=options.slots, first_quarter=options.first_quarter)
    agents = await _start_agents(home, options)
    try:
        along = await gatherer(scene, span)
        with Progress(console=console, scene=scene, span=span) as progress:
            work = asyncio.create_task(_events(scene, home, progress))
            await _watch(progress, agents, work, along)
            suffered = outage.with_refunds(scene, await work)
            refused = await _refusals(scene, home, progress)
            await _settle_down(progress)
            progress.say("the audit recomputes the day from public RPC")
            told = Told(suffered=suffered, refused=refused, audited=await audited(scene.net))
    finally:
        await _end_agents(agents)
    return await _report(along, options, told, await _feeders(along, console))


async def _start_agents(home: Home, options: Options) -> asyncio.subprocess.Process:
    log = (home.path / "agents.log").open("ab")
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "utility_cell.agents.run", "--testnet", str(home.testnet)),
            *("--day", options.day.isoformat(), "--quarter", str(options.first_quarter)),
            *("--slots", str(options.slots), "--seed", str(options.seed)),
            stdout=log,
            stderr=log,
        )
    finally:
        log.close()


async def _end_agents(agents: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        agents.terminate()
    await agents.wait()


async def _events(scene: Scene, home: Home, progress: Progress) -> Outage | None:
    """Transfers there and back, and the outage at its time; nothing where no chain is linked."""
    if not scene.net.links:
        return None
    await _round_trip(scene, progress)
    info = scene.net.chains[0]
    third = info.first_slot + progress.span.slots // OUTAGE_AFTER
    # A short day has its outage before the first slot's trades, so that it still has trades.
    if progress.span.slots >= QUARTERS_PER_DAY // 4:
        await scene.until(info.chain_id, third * int(info.doc["slot_ms"]))
    progress.say("the relayer is killed; a transfer runs into its timeout")
    suffered = await outage.suffer(scene, home)
    progress.say("the relayer is back")
    return suffered


async def _round_trip(scene: Scene, progress: Progress) -> None:
    """Tokens of each chain go to every other that it is linked with."""
    ways = scene.ways()
    times_ms = [await scene.time_ms(way.far.chain_id) + TRANSFER_TIMEOUT_MS for way in ways]
    await asyncio.gather(*(scene.send(way, TOKENS, at) for way, at in zip(ways, times_ms, strict=True)))
    progress.say("tokens of each chain are on their way to the others")


async def _refusals(scene: Scene, home: Home, progress: Progress) -> tuple[Refusal, ...]:
    """A forged proof of each kind of ledger, on the first link where it is proven."""
    progress.say("packets with one bit of their proof changed")
    ways = {scene.net.chain(way.near.chain_id).kind: way for way in reversed(scene.ways())}
    found = []
    for way in ways.values():
        refused = await refusal.refuse(scene, home, way)
        progress.say(f"refused: code {refused.code} of code space {refused.codespace}: {refused.log}")
        found.append(refused)
    return tuple(found)


async def _watch(
    progress: Progress, agents: asyncio.subprocess.Process, work: asyncio.Task[Outage | None], along: Gatherer
) -> None:
    """Until every slot is closed and every contract ended."""
    scene, span = progress.scene, progress.span
    info = scene.net.chains[0]
    last_ms = (span.first_slot + span.slots) * int(info.doc["slot_ms"])
    limit_ms = last_ms + int(info.gates_ms["T_close"]) + PATIENCE_MS
    while not await _finished(scene, span):
        await scene.read()
        await along.collect()
        progress.show()
        if agents.returncode is not None:
            log = Path(scene.net.home) / "agents.log"
            raise ToolError(f"agents ended with {agents.returncode}:\n" + "\n".join(tail(log, 10)))
        if work.done():
            work.result()  # a failure there ends the day here
        if await scene.time_ms(info.chain_id) > limit_ms:
            raise ToolError(f"expected every slot closed by {limit_ms}: {progress.line()}")
        await asyncio.sleep(READ_EVERY_S)


async def _finished(scene: Scene, span: Span) -> bool:
    grids = [info.chain_id for info in scene.net.chains if assemble.role_of(info) == MAIN_GRID]
    for log in [log for chain_id, log in scene.logs.items() if chain_id not in grids]:
        closed = {int(seen.attributes["slot"]) for seen in log.of("slot_closed")}
        if any(slot not in closed for slot in range(span.first_slot, span.first_slot + span.slots)):
            return False
    for chain in scene.chains.values():
        sold, bought = await assemble.contracts(chain)
        if any(item.state in (trade.SELLER_STATE_RESERVED, trade.SELLER_STATE_ACTIVE) for item in sold):
            return False
        if any(item.state in OPEN_CONTRACTS for item in bought):
            return False
    return True


async def _settle_down(progress: Progress) -> None:
    """Until no packet is in flight."""
    scene = progress.scene
    first = scene.net.chains[0].chain_id
    limit_ms = await scene.time_ms(first) + PATIENCE_MS
    while True:
        await scene.read()
        progress.show()
        lives = packets(scene.logs, scene.channel_ends()).values()
        if all(life.acknowledged_ms is not None or life.timed_out_ms is not None for life in lives):
            return
        if await scene.time_ms(first) > limit_ms:
            raise ToolError(f"expected no packet in flight, got: {progress.traffic()}")
        await asyncio.sleep(READ_EVERY_S)


async def _feeders(along: Gatherer, console: Console) -> dict[str, FeederDay]:
    """Power flows of every slot of every feeder."""
    seen = await along.seen()
    if along.missed:
        console.log(f"{along.missed} slots' books were gone before they could be read")
    with Bar(console=console, transient=True) as bar:
        task = bar.add_task("power flows", total=sum(len(item.slots) for item in seen.values()))
        return {
            chain_id: await asyncio.to_thread(Study(item).day, along.span.quarter, partial(bar.advance, task))
            for chain_id, item in seen.items()
        }


async def _report(along: Gatherer, options: Options, told: Told, feeders: dict[str, FeederDay]) -> DayReport:
    scene, span = along.scene, along.span
    rows = [
        replace(await assemble.chain_row(scene, info, span), feeder=feeders.get(info.chain_id))
        for info in scene.net.chains
    ]
    return DayReport(
        day=options.day.isoformat(),
        seed=options.seed,
        slot_s=int(scene.net.chains[0].slot_s),
        slots=options.slots,
        wall_s=0,
        chains=tuple(rows),
        contracts=await assemble.contract_rows(scene, span),
        packets=packet_rows(packets(scene.logs, scene.channel_ends())),
        tokens_moved=moved(scene.logs),
        outage=outage.with_refunds(scene, told.suffered),
        refusals=told.refused,
        audited=told.audited,
    )


def _write(folder: Path, day: DayReport) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(day.text(), encoding="utf-8")
    (folder / "report.html").write_text(report.html(day), encoding="utf-8")
