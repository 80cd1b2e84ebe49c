"""`bsmg demo`: the main job."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console

from bsmg.demo.report import tables
from bsmg.demo.run import Options, run
from cosmos_wire.errors import ToolError
from testnet.topology import FABRIC, FABRIC_EMBEDDED
from utility_cell.profiles import first_quarter

SLOTS_MAX = 96
THIRD = {"embedded": FABRIC_EMBEDDED, "real": FABRIC, "none": ""}


@click.command("demo")
@click.option("--slots", type=click.IntRange(1, SLOTS_MAX), default=SLOTS_MAX, help="Quarter hours to trade.")
@click.option("--quarter", type=click.IntRange(0, SLOTS_MAX - 1), help="Quarter hour of the day to begin with.")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), default="2016-04-26", help="Day of 2016 to replay.")
@click.option("--seed", type=int, default=1, help="Seed of the cells' prices.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path("demo"), help="Where the report goes.")
@click.option("--topology", type=click.Path(path_type=Path, exists=True), help="Another testnet than the default.")
@click.option(
    "--fabric",
    type=click.Choice(list(THIRD)),
    default="embedded",
    show_default=True,
    help="Ledger of the third microgrid.",
)
@click.option("--keep", is_flag=True, help="Leave the testnet running.")
def command(  # noqa: PLR0913  (one parameter a flag)
    *,
    slots: int,
    quarter: int | None,
    day: datetime,
    seed: int,
    folder: Path,
    topology: Path | None,
    fabric: str,
    keep: bool,
) -> None:
    """Microgrids trade a real day, with proofs; ends with tables and FOLDER/report.html."""
    console = Console()
    options = Options(
        folder=folder,
        topology=topology,
        day=day.date(),
        slots=slots,
        seed=seed,
        keep=keep,
        third=THIRD[fabric],
        quarter=quarter,
    )
    first_quarter(options.day, options.first_quarter, slots)  # refuses what has no profiles before anything is started
    done = asyncio.run(run(options, console))
    for table in tables(done):
        console.print(table)
    for item in done.refusals:
        way = f"from {item.source} to {item.target}"
        console.print(f"A forged proof {way} was refused: {item.codespace}/{item.code}: {item.log}")
    console.print(f"{done.wall_s} s; report: {folder / 'report.html'}, {folder / 'report.json'}")
    if done.audited is not None and done.audited.differences:
        raise ToolError("audit: expected no differences, got:\n" + "\n".join(done.audited.differences))
    if not done.conserved:
        raise ToolError("supply: expected it conserved on every chain, got a difference; see the report")
    if not done.energy_conserved:
        raise ToolError("energy: expected meters, balances and contracts to agree, got a difference; see report.json")
