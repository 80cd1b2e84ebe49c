"""`bsmg cell ...`: the cells of a microgrid, and joining one on a running net."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from bsmg.cli import sealed
from bsmg.cli.messages import signature
from bsmg.cli.output import message_doc, note, show
from bsmg.cli.target import Target, run, with_target
from bsmg.cli.tx import finish
from bsmg.client.chain import ChainClient
from bsmg.client.fabric_lane import address_of
from bsmg.client.keys import key_from_mnemonic, new_mnemonic, write_key_file
from bsmg.client.lane import TxOutcome
from bsmg.client.testnet_file import ChainInfo
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Message, bank_tx, coin, pagination, registry, registry_query, registry_tx
from fabric_adapter.identity import load_identity
from fabric_adapter.network.members import add_member
from fabric_adapter.network.plan import Home as NetworkHome
from processes.files import read_json
from testnet.keys import Ed25519, new_ed25519, write_device

CELLS_MAX = 10_000
START_AMOUNT = 10**16  # as the cells of genesis: a day's trading and the collateral
PATH = "/bsmg.registry.v1.Query/"


@click.group()
def command() -> None:
    """Join a microgrid, show its cells."""


command.add_command(sealed.commit)
command.add_command(sealed.reveal)


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
    meter: Ed25519


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """A new account: its address, and how its key is kept once the chain has taken it; returns the file."""

    address: str
    keep: Callable[[], Path]


@command.command()
@click.argument("name")
@click.option("--bus", type=click.IntRange(0, 65_535), default=0, show_default=True, help="Bus it is connected to.")
@click.option("--import-w", type=click.IntRange(1), default=10_000, show_default=True, help="Rating for withdrawal, W.")
@click.option("--export-w", type=click.IntRange(0), default=10_000, show_default=True, help="Rating for injection, W.")
@with_target
def join(target: Target, name: str, **ratings: int) -> None:
    """Register NAME and its meter on a running testnet; pays it a start out of the faucet.

    Signs with the faucet and the utility cell of testnet.json. Keys go below DIR/keys; on Fabric the cell becomes a
    member of the organisation of --node, whose authority signs its certificate.
    """
    info = target.info()
    if info is None:
        raise ToolError("cell join: expected a testnet (--home), got --rpc")
    cell = Joining(
        name=name,
        bus=ratings["bus"],
        max_import_W=ratings["import_w"],
        max_export_W=ratings["export_w"],
        meter=new_ed25519(),
    )
    folder = target.home / "keys" / info.chain_id
    if (folder / f"{name}.mnemonic").exists() or name in [account.name for account in info.accounts]:
        raise ToolError(f"cell: expected a new name, got {name!r}; known: {signature([a.name for a in info.accounts])}")
    new = _member(target, info, name) if info.fabric else _holder(folder, info, name)
    outcome = run(target, lambda client: _join(client, target, (cell, new.address)))
    if outcome.ok:
        note(f"keys: {[str(new.keep()), str(save_meter(folder, cell, info.chain_id))]}")
    finish(outcome)


def _holder(folder: Path, info: ChainInfo, name: str) -> Newcomer:
    """An account of fresh words."""
    words, file = new_mnemonic(), folder / f"{name}.mnemonic"

    def keep() -> Path:
        write_key_file(file, words)
        return file

    return Newcomer(address=key_from_mnemonic(words).address(info.bech32_prefix), keep=keep)


def _member(target: Target, info: ChainInfo, name: str) -> Newcomer:
    """A member of the organisation of the node; one that an earlier attempt has enrolled is taken."""
    home, msp_id = NetworkHome(Path(info.fabric)), info.nodes[target.node].msp_id
    org = next(org["name"] for org in read_json(home.document)["orgs"] if org["msp_id"] == msp_id)
    file = home.crypto(org) / "members" / f"{name}.crt"
    if not file.exists():
        add_member(home, org, name)
    identity = load_identity(msp_id, file, file.with_suffix(".key"))
    return Newcomer(address=address_of(identity, info.bech32_prefix), keep=lambda: file)


async def _join(client: ChainClient, target: Target, who: tuple[Joining, str]) -> TxOutcome:
    """The faucet pays, the utility cell registers; the first refusal ends it."""
    cell, address = who
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


def save_meter(folder: Path, cell: Joining, chain_id: str) -> Path:
    """Write the meter's key; returns its file."""
    return write_device(folder, f"{cell.name}-meter@{chain_id.rpartition('-')[0]}", cell.meter)
