"""`bsmg relayer ...`: carry packets between chains. Each command needs the configuration file only."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from bsmg.cli.output import show
from cosmos_wire.errors import ToolError
from ibc_relayer import cli
from ibc_relayer.plan import End

config_option = click.option(
    "--config", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The relayer's TOML file."
)


@click.group()
def command() -> None:
    """Carry packets between chains."""


@command.command()
@config_option
def start(config: Path) -> None:
    """Relay until SIGTERM or Ctrl-C."""
    cli.set_up_logging()
    asyncio.run(cli.start(config))


@command.command()
@config_option
@click.option(
    "--metrics", default="", help="Metrics of the running relayer, http://HOST:PORT/metrics, to be shown too."
)
def status(config: Path, metrics: str) -> None:
    """Clients, channels and balances of every path."""
    show(asyncio.run(cli.path_status(config)))
    if metrics:
        click.echo(asyncio.run(cli.metrics_text(metrics)))


@command.command()
@config_option
def clear(config: Path) -> None:
    """Relay what is pending now, then end."""
    show(asyncio.run(cli.path_clear(config)))


@command.group()
def path() -> None:
    """One path after the other."""


@path.command()
@config_option
def create(config: Path) -> None:
    """Make the clients, connections and channels that are missing."""
    show(asyncio.run(cli.path_create(config)))


@path.command()
@config_option
def pending(config: Path) -> None:
    """Packets and acknowledgements on their way."""
    show(asyncio.run(cli.path_pending(config)))


path.add_command(clear)


@path.command()
@config_option
@click.argument("chain")
@click.argument("channel", metavar="PORT/CHANNEL|CLIENT")
@click.argument("sequence", type=click.IntRange(1))
def trace(config: Path, chain: str, channel: str, sequence: int) -> None:
    """What both chains say of one packet: `bsmg relayer path trace mga-1 transfer/channel-0 7 --config FILE`.

    IBC v2: the sending client alone, `07-tendermint-0`.
    """
    port, slash, name = channel.rpartition("/")
    if slash and not port:
        raise ToolError(f"channel: expected PORT/CHANNEL or a client, got {channel!r}")
    show(asyncio.run(cli.path_trace(config, chain, End(port, name), sequence)))
