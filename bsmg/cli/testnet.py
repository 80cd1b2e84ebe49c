"""`bsmg testnet ...`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any as Json

import click

from bsmg.cli import kept
from bsmg.cli.output import note, show
from processes import control
from processes.files import read_json, read_specs, tail
from testnet import lifecycle, ready
from testnet.files import Home
from testnet.topology import load_topology

home_option = click.option(
    "--home",
    "home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder; default $BSMG_TESTNET or build/testnet.",
)


@click.group()
def command() -> None:
    """Bring whole networks up and down."""


@command.command()
@click.option(
    "--topology", type=click.Path(path_type=Path), help="TOML file; default: two linked chains of four validators."
)
@home_option
@click.option("--detach", is_flag=True, help="Return when every chain makes blocks and every channel is open.")
@click.option(
    "--relayers", type=click.IntRange(0, 16), help="Instead of relayer.count; 0: chains only, links unopened."
)
def up(topology: Path | None, home: Path | None, detach: bool, relayers: int | None) -> None:
    """Start a testnet, or one that was stopped again. Without --detach it ends with Ctrl-C."""
    place = lifecycle.home_of(home)
    held = topology is None and relayers is None
    request = lifecycle.Request(home=place, topology=load_topology(topology, relayers), say=note, held=held)
    doc = asyncio.run(kept.started(f"testnet {place.path}", lifecycle.up(request)))
    _summary(doc, place)
    if not detach:
        note("Ctrl-C ends it")
        asyncio.run(kept.stay(place, lambda: lifecycle.down(place)))


def _summary(doc: dict[str, Json], place: Home) -> None:
    for chain in doc["chains"]:
        node = chain["nodes"][0]
        where = ", ".join(f"{name} {node[name]}" for name in ("rpc", "grpc", "rest", "peer") if name in node)
        note(f"{chain['chain_id']}: {len(chain['nodes'])} nodes, {where}")
    for link in doc["links"]:
        channels = ", ".join(f"{port} {channel}" for port, channel in link["a"]["channels"].items())
        if client := link["a"].get("v2_client_id"):
            channels += f", IBC v2 {client}"
        note(f"{link['a']['chain_id']} - {link['b']['chain_id']}: {channels}")
    note(str(place.testnet))


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
    """Heights and processes; last lines of what has died."""
    place = lifecycle.home_of(home)
    doc = asyncio.run(_status(place))
    if as_json:
        show(doc)
        return
    for node in doc["nodes"]:
        states = ", ".join(f"{role} {state}" for role, state in node["processes"].items())
        click.echo(f"{node['name']:<14} height {node['height'] or '-':<8} {states}")
    for item in doc["dead"]:
        click.echo(f"{item['name']} ended ({item['exit']}); its last lines ({item['log']}):")
        click.echo("\n".join(f"    {line}" for line in item["lines"]))


async def _status(place: Home) -> dict[str, Json]:
    table = control.ask(place, "status")["processes"]
    names = list(dict.fromkeys(name.partition("/")[0] for name in table))
    found = _nodes(place)
    heights = await asyncio.gather(*(_height(found.get(name)) for name in names))
    nodes = [
        {"name": name, "height": height, "processes": _states(table, name)}
        for name, height in zip(names, heights, strict=True)
    ]
    return {"home": str(place.path), "nodes": nodes, "dead": _dead(place, table)}


def _nodes(place: Home) -> dict[str, Json]:
    if not place.testnet.exists():
        return {}
    return {node["moniker"]: node for chain in read_json(place.testnet)["chains"] for node in chain["nodes"]}


def _states(table: dict[str, Json], node: str) -> dict[str, str]:
    states = {}
    for name, item in table.items():
        if name.partition("/")[0] == node:
            running = "frozen" if item["frozen"] else f"pid {item['pid']}"
            states[name.partition("/")[2]] = running if item["alive"] else f"ended ({item['exit']})"
    return states


def _dead(place: Home, table: dict[str, Json]) -> list[dict[str, Json]]:
    logs = {spec.name: Path(spec.log) for spec in read_specs(place)}
    return [
        {"name": name, "exit": item["exit"], "log": str(logs[name]), "lines": tail(logs[name], 12)}
        for name, item in table.items()
        if not item["alive"]
    ]


async def _height(node: Json) -> int | None:
    return await ready.node_height(node) if node else None


@command.command()
@click.argument("node", required=False)
@home_option
@click.option("-n", "lines", default=20, show_default=True, help="Lines of each log.")
@click.option("-f", "--follow", is_flag=True, help="Go on as the logs grow.")
def logs(node: str | None, home: Path | None, lines: int, follow: bool) -> None:
    """Last lines of a node (mga-1-0), one of its processes (mga-1-0/app), or all."""
    kept.show_logs(lifecycle.home_of(home), node, lines, follow=follow)


@command.command()
@click.argument("node")
@home_option
def kill(node: str, home: Path | None) -> None:
    """SIGKILL a node, or one of its processes."""
    click.echo("\n".join(control.kill(lifecycle.home_of(home), node)))


@command.command()
@click.argument("node")
@home_option
def freeze(node: str, home: Path | None) -> None:
    """Stop a node's processes without ending them."""
    click.echo("\n".join(control.freeze(lifecycle.home_of(home), node)))


@command.command()
@click.argument("node")
@home_option
def restart(node: str, home: Path | None) -> None:
    """Thaw what is frozen and start what has ended."""
    click.echo("\n".join(lifecycle.restart(lifecycle.home_of(home), node)))
