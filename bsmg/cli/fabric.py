"""`bsmg fabric ...`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any as Json

import click

from bsmg.cli import kept
from bsmg.cli.output import note, show
from fabric_adapter.chaincodes import KEY_VALUE, NAMED
from fabric_adapter.network import lifecycle
from fabric_adapter.network.plan import CHAINCODE, CHANNEL, EMBEDDED, ORGS_MAX, REAL, Batch, Home, Wish

home_option = click.option(
    "--home",
    "home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder; default $BSMG_FABRIC or build/fabric.",
)


@click.group()
def command() -> None:
    """Bring a Hyperledger Fabric network, or an embedded ledger of its kind, up and down on this machine."""


@command.command()
@home_option
@click.option("--embedded", is_flag=True, help="The embedded ledger: one process, nothing to build.")
@click.option("--orgs", type=click.IntRange(1, ORGS_MAX), default=2, show_default=True, help="One peer each.")
@click.option("--channel", default=CHANNEL, show_default=True)
@click.option("--name", default=CHAINCODE, show_default=True, help="Name of the chaincode.")
@click.option("--chaincode", default=KEY_VALUE, show_default=True, help=f"{', '.join(NAMED)} or MODULE:NAME.")
@click.option("--endorsement", default="", help="Policy, as \"OutOf(1, 'Org1MSP.peer', ...)\"; default: every peer.")
@click.option("--batch-ms", type=click.IntRange(1, 60_000), help="Batch timeout; default 200, embedded 10.")
@click.option("--detach", is_flag=True, help="Return when the chaincode answers on every peer.")
def up(  # noqa: PLR0913, PLR0917  (click gives every flag by name)
    home: Path | None,
    embedded: bool,
    orgs: int,
    channel: str,
    name: str,
    chaincode: str,
    endorsement: str,
    batch_ms: int | None,
    detach: bool,
) -> None:
    """Start a network, or one that was stopped again. Without --detach it ends with Ctrl-C."""
    place = lifecycle.home_of(home)
    wish = Wish(
        kind=EMBEDDED if embedded else REAL,
        orgs=orgs,
        channel=channel,
        chaincode=name,
        factory=chaincode,
        endorsement=endorsement,
        batch=Batch(timeout_ms=batch_ms) if batch_ms else None,
    )
    request = lifecycle.Request(home=place, wish=wish, say=note)
    doc = asyncio.run(kept.started(f"network {place.path}", lifecycle.up(request)))
    _summary(doc, place)
    if not detach:
        note("Ctrl-C ends it")
        asyncio.run(kept.stay(place, lambda: lifecycle.down(place)))


def _summary(doc: dict[str, Json], place: Home) -> None:
    for org in doc["orgs"]:
        note(f"{org['msp_id']}: gateway {org['gateway']}, members {', '.join(org['members'])}")
    note(f"{doc['kind']}: channel {doc['channel']}, chaincode {doc['chaincode']}")
    note(str(place.document))


@command.command()
@home_option
@click.option("--purge", is_flag=True, help="Also delete the folder.")
def down(home: Path | None, purge: bool) -> None:
    """Stop what `up` started, and nothing else."""
    lifecycle.down(lifecycle.home_of(home), purge=purge)


@command.command()
@home_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(home: Path | None, as_json: bool) -> None:
    """Blocks and processes; last lines of what has died."""
    place = lifecycle.home_of(home)
    doc = asyncio.run(lifecycle.status(place))
    if as_json:
        show(doc)
        return
    for name, item in doc["processes"].items():
        state = f"pid {item['pid']}" if item["alive"] else f"ended ({item['exit']})"
        blocks = "" if item["blocks"] is None else f"{item['blocks']} blocks"
        click.echo(f"{name:<10} {state:<16} {blocks}".rstrip())
        if not item["alive"]:
            click.echo("\n".join(f"    {line}" for line in item["lines"]))


@command.command()
@click.argument("process", required=False)
@home_option
@click.option("-n", "lines", default=20, show_default=True, help="Lines of each log.")
@click.option("-f", "--follow", is_flag=True, help="Go on as the logs grow.")
def logs(process: str | None, home: Path | None, lines: int, follow: bool) -> None:
    """Last lines of one process (peer1, orderer, chaincode), or of all."""
    kept.show_logs(lifecycle.home_of(home), process, lines, follow=follow)


@command.command()
@click.argument("process")
@home_option
def kill(process: str, home: Path | None) -> None:
    """SIGKILL a process: peer1, orderer, chaincode."""
    click.echo("\n".join(lifecycle.kill(lifecycle.home_of(home), process)))


@command.command()
@click.argument("process")
@home_option
def restart(process: str, home: Path | None) -> None:
    """Start a process that has ended; back when it listens."""
    click.echo("\n".join(asyncio.run(lifecycle.restart(lifecycle.home_of(home), process))))


@command.command()
@click.argument("name")
@click.option("--org", type=click.IntRange(1, ORGS_MAX), default=1, show_default=True)
@click.option("--role", type=click.Choice(["client", "admin"]), default="client", show_default=True)
@home_option
def enroll(name: str, org: int, role: str, home: Path | None) -> None:
    """Issue a certificate to a new member of an organisation."""
    click.echo(str(lifecycle.enroll(lifecycle.home_of(home), org, name, role)))
