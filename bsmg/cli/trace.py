"""`bsmg trace CONTRACT`: every packet of a contract between chains, its proofs, its money, its two ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table

from bsmg.audit.report import console
from bsmg.audit.trace import PacketStory, Story, trace
from bsmg.cli.audit import home_chains, read_all
from cosmos_wire.protos import trade, trade_packet

ACK_CHARACTERS = 44


@click.command("trace")
@click.argument("contract")
@click.option("--rpc", "urls", multiple=True, help="A node's RPC; once for each of the two chains.")
@click.option("--home", type=click.Path(path_type=Path), help="A testnet's folder: the first node of each chain.")
def command(contract: str, urls: tuple[str, ...], home: Path | None) -> None:
    """CONTRACT is the id in hexadecimal, or its first digits."""
    records = asyncio.run(read_all(urls or home_chains(home), light=False))
    story = trace(records, contract)
    for line in head_lines(story):
        click.echo(line)
    screen = console()
    screen.print(packet_table(story))
    screen.print(step_table(story))
    for line in end_lines(story):
        click.echo(line)


def head_lines(story: Story) -> Iterator[str]:
    """What was agreed."""
    lock = story.lock
    yield f"contract {story.contract_id.hex()}"
    yield f"slot {lock.slot}: {story.seller_chain or 'unknown'} sells to {story.buyer_chain or 'unknown'}"
    price = f"{lock.price_e4}e-4 a kWh, rate {lock.rate.num}/{lock.rate.den}"
    yield f"asked {lock.energy_mwh} mWh (at least {lock.energy_min_mwh}) at {price}, locked {lock.locked} {lock.denom}"


def packet_table(story: Story) -> Table:
    """One line a packet: heights, block times, proof heights, latency."""
    made = Table(title="Packets (height at block time; proof: header of the other chain)", title_justify="left")
    for name in ("packet", "from", "sent", "received", "proof", "acknowledged", "proof", "answer"):
        made.add_column(name)
    for name in ("ms to arrive", "ms in all"):
        made.add_column(name, justify="right")
    for packet in story.packets:
        last = "timed out" if "timed out" in packet.stations else "acknowledged"
        times = [_number(packet.latency_ms(name)) for name in ("received", last)]
        name = f"{packet.kind} {packet.packet.sequence}"
        cells = [*_place(packet, "sent")[:1], *_place(packet, "received"), *_place(packet, last)]
        made.add_row(name, packet.source, *cells, _answer(packet), *times)
    return made


def _place(packet: PacketStory, name: str) -> tuple[str, str]:
    station = packet.stations.get(name)
    if station is None:
        return "-", "-"
    late = " (timed out)" if name == "timed out" else ""
    return f"{station.height} {clock(station.time_ms)}{late}", str(station.proof_height)


def _answer(packet: PacketStory) -> str:
    text = packet.ack.decode("utf-8", "replace")
    return text if len(text) <= ACK_CHARACTERS else text[: ACK_CHARACTERS - 3] + "..."


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def step_table(story: Story) -> Table:
    """State changes of both chains by block time."""
    made = Table(title="Steps by block time", title_justify="left")
    for name in ("time", "chain", "height", "step", "state", "energy and money"):
        made.add_column(name)
    for step in story.steps:
        made.add_row(clock(step.time_ms), step.chain_id, str(step.height), step.kind, step.state, step.details)
    return made


def end_lines(story: Story) -> Iterator[str]:
    """The two ends and what was paid."""
    sold, bought = story.sold, story.bought
    if sold is not None:
        state = trade.SellerState.Name(sold.state).removeprefix("SELLER_STATE_")
        outcome = sold.settlement
        basis = trade_packet.Basis.Name(outcome.basis).removeprefix("BASIS_")
        paid = f"delivered {outcome.lo_mwh} to {outcome.hi_mwh} of {sold.energy_mwh} mWh by {basis}"
        yield f"end on {story.seller_chain} (seller): {state}, {paid}, collateral left {sold.collateral or 0}"
    if bought is not None:
        state = trade.BuyerState.Name(bought.state).removeprefix("BUYER_STATE_")
        parts = {
            "seller": bought.paid_seller,
            "pool": bought.paid_pool,
            "fee": bought.paid_fee,
            "buyer": bought.paid_buyer,
        }
        paid = ", ".join(f"{name} {amount or 0}" for name, amount in parts.items())
        reason = f" ({bought.reason})" if bought.reason else ""
        yield f"end on {story.buyer_chain} (buyer): {state}{reason}, {paid}, escrow left {bought.escrow or 0}"


def clock(time_ms: int) -> str:
    """Time of day, UTC, to the millisecond."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
