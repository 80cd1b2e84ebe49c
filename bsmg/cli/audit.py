"""`bsmg audit`: recompute clearings, settlements, contracts and balances from public RPC, and compare to the unit."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from bsmg.audit import sources
from bsmg.audit.fetch import PROOFS
from bsmg.audit.record import ChainRecord
from bsmg.audit.report import console, document, lines, not_checked, tables
from bsmg.audit.run import audit
from bsmg.audit.sources import Source
from bsmg.cli.output import FAILURE, note
from bsmg.client.testnet_file import FILE_NAME, ChainInfo, load_testnet
from testnet.files import DEFAULT_HOME

PROGRESS_BLOCKS = 500


@click.command("audit")
@click.option("--rpc", "urls", multiple=True, help="A node's RPC; once for each chain.")
@click.option("--home", type=click.Path(path_type=Path), help="A testnet's folder: each chain's first node.")
@click.option(
    "--light/--no-light",
    default=True,
    help="Verify signatures: of commits, on Fabric of transactions (default).",
)
@click.option("--to-height", type=click.IntRange(0), default=0, help="Last block; default the newest.")
@click.option(
    "--proofs",
    type=click.IntRange(0),
    default=PROOFS,
    show_default=True,
    help="Records of the end state that a node has to prove, taken at random when it tells more.",
)
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write the result here too.")
def command(  # noqa: PLR0913  (one parameter a flag)
    urls: tuple[str, ...], home: Path | None, *, light: bool, to_height: int, proofs: int, file: Path | None
) -> None:
    """A sceptic's program: exit code 0 when chains did what their rules say, 1 with every difference otherwise.

    It asks nodes for genesis, blocks, results and final state, replays all of it with code of its own, and trusts no
    answer that a header it has checked can contradict. Of a Fabric microgrid of a testnet it reads the ledger too: who
    signed and endorsed what, and whether Ticks did just that. What was not checked is said.
    """
    records = asyncio.run(read_all(urls or home_chains(home), light=light, to_height=to_height, proofs=proofs))
    note("replaying")
    found = audit(records, light=light)
    screen = console()
    for table in tables(found):
        screen.print(table)
    for line in (*lines(found), *not_checked(found)):
        click.echo(line)
    result = document(found, [record.final.height for record in records])
    if file is not None:
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if len(records) == 1:
        click.echo("one chain only: packets, vouchers and contracts were not compared with another chain")
    total = sum(len(findings.differences) for findings in found)
    click.echo("the audit agrees with every unit" if not total else f"{total} differences")
    if total:
        raise click.exceptions.Exit(FAILURE)


def home_chains(home: Path | None) -> tuple[ChainInfo, ...]:
    """The chains of a testnet."""
    folder = home or Path(os.environ.get("BSMG_TESTNET", DEFAULT_HOME))
    return load_testnet(folder / FILE_NAME).chains


async def read_all(
    found: Sequence[Source], *, light: bool, to_height: int = 0, proofs: int = PROOFS
) -> list[ChainRecord]:
    """The records of several chains, one after the other, with a word about progress."""
    return await sources.read_all(found, _progress, light=light, to_height=to_height, proofs=proofs)


def _progress(url: str) -> Callable[[int, int], None]:
    def tell(height: int, last: int) -> None:
        if height == last or height % PROGRESS_BLOCKS < 64:
            note(f"{url}: block {height} of {last}")

    return tell
