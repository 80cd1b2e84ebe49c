"""`bsmg cell ...`: the cells of a microgrid, and joining one on a running net."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any as Json

import click

from bsmg.cli.messages import signature
from bsmg.cli.output import message_doc, note, show
from bsmg.cli.target import Target, run, with_target
from bsmg.cli.tx import finish
from bsmg.client.chain import ChainClient
from bsmg.client.keys import key_from_mnemonic, new_mnemonic, write_key_file
from bsmg.client.lane import TxOutcome
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Message, bank_tx, coin, pagination, registry, registry_query, registry_tx
from testnet.keys import Ed25519, new_ed25519, write_device

CELLS_MAX = 10_000
START_AMOUNT = 10**16  # as the cells of genesis: a day's trading and the collateral
PATH = "/bsmg.registry.v1.Query/"


@click.group()
def command() -> None:
    """Join a microgrid, show its cells."""


@command.command("list")
@with_target
def list_(target: Target) -> None:
    """Every cell of a microgrid."""

    async def cells(client: ChainClient) -> list[registry.Cell]:
        request = registry_query.QueryCellsRequest(pagination=pagination.PageRequest(limit=CELLS_MAX))
        return list((await client.query(PATH + "Cells", request, registry_query.QueryCellsResponse)).cells)

    for cell in run(target, cells):
        status = registry.Status.Name(cell.status).removeprefix("STATUS_")
        click.echo(
            f"{cell.number:>5} {cell.id:<28} bus {cell.bus:<4} {status:<10} "
            f"score {cell.score_permille:>4} {cell.address}"
        )


@command.command("show")
@click.argument("cell")
@with_target
def show_cell(target: Target, cell: str) -> None:
    """One cell, by identity, address or name."""

    async def found(client: ChainClient) -> registry.Cell:
        wanted = cell if "@" in cell else target.address(cell)
        request = registry_query.QueryCellRequest(cell=wanted)
        return (await client.query(PATH + "Cell", request, registry_query.QueryCellResponse)).cell

    show(message_doc(run(target, found)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """What a new cell is."""

    name: str
    bus: int
    max_import_W: int
    max_export_W: int
    words: str
    meter: Ed25519


@command.command()
@click.argument("name")
@click.option("--bus", type=click.IntRange(0, 65_535), default=0, show_default=True, help="Bus it is connected to.")
@click.option("--import-w", type=click.IntRange(1), default=10_000, show_default=True, help="Rating for withdrawal, W.")
@click.option("--export-w", type=click.IntRange(0), default=10_000, show_default=True, help="Rating for injection, W.")
@with_target
def join(target: Target, name: str, **ratings: int) -> None:
    """Register NAME and its meter on a running testnet; pays it a start out of the faucet.

    Signs with the faucet and the utility cell, whose words are in testnet.json. Keys go below DIR/keys.
    """
    info = target.info()
    if info is None:
        raise ToolError("cell join: expected a testnet (--home), got --rpc")
    cell = Joining(
        name=name,
        bus=ratings["bus"],
        max_import_W=ratings["import_w"],
        max_export_W=ratings["export_w"],
        words=new_mnemonic(),
        meter=new_ed25519(),
    )
    folder = target.home / "keys" / info.chain_id
    if (folder / f"{name}.mnemonic").exists():
        raise ToolError(f"cell: expected a new name, got {name!r}; known: {signature([a.name for a in info.accounts])}")
    outcome = run(target, lambda client: _join(client, target, cell))
    if outcome.ok:
        note(f"keys: {save(folder, cell, info.chain_id)}")
    finish(outcome)


async def _join(client: ChainClient, target: Target, cell: Joining) -> TxOutcome:
    """The faucet pays, the utility cell registers; the first refusal ends it."""
    address = key_from_mnemonic(cell.words).address(client.prefix)
    faucet, utility = (client.lane(target.credential(name)) for name in ("faucet", "utility-cell"))
    amount = [coin.Coin(denom=target.denom, amount=str(START_AMOUNT))]
    payment = bank_tx.MsgSend(from_address=faucet.address, to_address=address, amount=amount)
    paid = await faucet.submit([payment])
    if not paid.ok:
        return paid
    return await utility.submit(registration(cell, address, utility.address, client.chain_id))


def registration(cell: Joining, address: str, utility: str, chain_id: str) -> list[Message]:
    """The utility cell's two messages: the cell, and its meter."""
    microgrid = chain_id.rpartition("-")[0]
    identity = f"{cell.name}@{microgrid}"
    registered = registry_tx.MsgRegisterCell(
        utility=utility,
        cell=address,
        id=identity,
        bus=cell.bus,
        max_import_W=cell.max_import_W,
        max_export_W=cell.max_export_W,
    )
    device = f"{cell.name}-meter@{microgrid}"
    meter = registry_tx.MsgRegisterDevice(utility=utility, cell=identity, device=device, pubkey=cell.meter.public)
    return [registered, meter]


def save(folder: Path, cell: Joining, chain_id: str) -> list[Json]:
    """Write the cell's mnemonic and its meter's key; returns their paths."""
    words = folder / f"{cell.name}.mnemonic"
    write_key_file(words, cell.words)
    device = write_device(folder, f"{cell.name}-meter@{chain_id.rpartition('-')[0]}", cell.meter)
    return [str(words), str(device)]
