"""`bsmg cell commit` and `bsmg cell reveal`: sealed bids. What was committed is kept in a file until it is revealed."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any as Json

import click
from google.protobuf import json_format

from bsmg.cli.output import message_doc, note
from bsmg.cli.target import Target, run, with_target
from bsmg.cli.tx import finish
from bsmg.client.chain import ChainClient
from bsmg.client.lane import TxOutcome
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import market, market_query, market_tx
from energy.market.reveal import commit_hash
from energy.units import PERMILLE
from processes.files import read_json, write_json

QUERY = "/bsmg.market.v1.Query/"
SALT_BYTES = 32
SIDES = {"bid": market.SIDE_BID, "ask": market.SIDE_ASK}


@click.command("commit")
@click.argument("slot", type=click.IntRange(0))
@click.argument("side", type=click.Choice(sorted(SIDES)))
@click.argument("price_e4", type=click.IntRange(0))
@click.argument("quantity_mwh", type=click.IntRange(1))
@click.option("--from", "sender", required=True, help="The cell: its name in testnet.json, or a key file.")
@click.option("--keep", type=click.Path(path_type=Path), required=True, help="File for the order and its salt.")
@click.option("--min-fill", type=click.IntRange(0), default=0, help="Least fill, mWh.")
@click.option("--valid-to", type=click.IntRange(0), default=0, help="Last slot that the unserved part moves to.")
@with_target
def commit(target: Target, **flags: Json) -> None:
    """Commit to an order without showing it; PRICE_E4 is 1e-4 token a kWh, QUANTITY_MWH milliwatt hours.

    The escrow declared is the worst case of any such order, so that it tells the quantity but not the price.
    """
    if flags["keep"].exists():
        raise ToolError(f"--keep: expected a new file, {flags['keep']} is there")
    finish(run(target, lambda client: _commit(client, target, flags)))


async def _commit(client: ChainClient, target: Target, flags: Json) -> TxOutcome:
    lane = client.lane(target.credential(flags["sender"]))
    order = market_tx.MsgPlaceOrder(
        cell=lane.address,
        slot=flags["slot"],
        side=SIDES[flags["side"]],
        price_e4=flags["price_e4"],
        quantity_mWh=flags["quantity_mwh"],
        min_fill_mWh=flags["min_fill"],
        valid_to=flags["valid_to"],
    )
    request = market_query.QuerySlotRequest(slot=order.slot)
    record = (await client.query(QUERY + "Slot", request, market_query.QuerySlotResponse)).slot
    salt = secrets.token_bytes(SALT_BYTES)
    digest = commit_hash(client.chain_id, order, salt)
    write_json(flags["keep"], {"order": message_doc(order), "salt": salt.hex()})  # before it is sent, or it is lost
    note(f"keep {flags['keep']}: bsmg cell reveal {flags['keep']} --from {flags['sender']}")
    escrow = worst_e4(record) * order.quantity_mWh
    return await lane.submit(
        [market_tx.MsgCommitOrder(cell=order.cell, slot=order.slot, hash=digest, escrow=str(escrow))]
    )


def worst_e4(record: market.Slot) -> int:
    """What an order of the slot holds a mWh at most, 1e-4 token a kWh, whatever its side, price and kind."""
    prices = record.prices
    penalty = max(prices.pen_e4, record.params.penalty_permille * prices.cap_e4 // PERMILLE)
    return max(prices.cap_e4, prices.up_e4 - prices.floor_e4) + prices.fee_e4 + penalty


@click.command("reveal")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--from", "sender", required=True, help="The cell that committed.")
@with_target
def reveal(target: Target, file: Path, sender: str) -> None:
    """Open the order of FILE, once the slot takes reveals."""
    finish(run(target, lambda client: _reveal(client, target, (file, sender))))


async def _reveal(client: ChainClient, target: Target, what: tuple[Path, str]) -> TxOutcome:
    file, sender = what
    lane, doc = client.lane(target.credential(sender)), read_json(file)
    order = json_format.ParseDict(doc["order"], market_tx.MsgPlaceOrder())
    salt = bytes.fromhex(doc["salt"])
    digest = commit_hash(client.chain_id, order, salt)
    request = market_query.QueryCommitsRequest(cell=order.cell, slot=order.slot)
    found = (await client.query(QUERY + "Commits", request, market_query.QueryCommitsResponse)).orders
    seq = next((item.seq for item in found if item.commit.hash == digest), None)
    if seq is None:
        raise ToolError(f"expected a commit with the hash {digest.hex()} in slot {order.slot}, got {len(found)} others")
    return await lane.submit([market_tx.MsgRevealOrder(cell=order.cell, seq=seq, salt=salt, order=order)])
