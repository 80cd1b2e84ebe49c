"""`bsmg slot [NUMBER]`: the market's slots in a table."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from bsmg.cli.output import message_doc, show
from bsmg.cli.target import Target, run, with_target
from bsmg.client.chain import ChainClient
from cosmos_wire.protos import market, market_query, pagination

LIVE_MAX = 1000
HEAD = (
    f"{'slot':<12} {'delivery':<10} {'state':<11} {'price_e4':>9} {'volume_mWh':>12} {'residual_mWh':>13} {'orders':>7}"
)


@click.command()
@click.argument("number", type=click.IntRange(0), required=False)
@click.option("--all", "every", is_flag=True, help="Closed ones too.")
@with_target
def command(target: Target, number: int | None, every: bool) -> None:
    """Live slots of the market, or everything about one."""
    if number is not None:
        show(message_doc(run(target, lambda client: _one(client, number))))
        return
    click.echo(HEAD)
    for slot in run(target, lambda client: _many(client, live=not every)):
        click.echo(line(slot))


async def _one(client: ChainClient, number: int) -> market.Slot:
    request, path = market_query.QuerySlotRequest(slot=number), "/bsmg.market.v1.Query/Slot"
    return (await client.query(path, request, market_query.QuerySlotResponse)).slot


async def _many(client: ChainClient, *, live: bool) -> list[market.Slot]:
    request = market_query.QuerySlotsRequest(live=live, pagination=pagination.PageRequest(limit=LIVE_MAX))
    return list((await client.query("/bsmg.market.v1.Query/Slots", request, market_query.QuerySlotsResponse)).slots)


def line(slot: market.Slot) -> str:
    """One row of the table; delivery is its start in UTC."""
    start = datetime.fromtimestamp(slot.slot * slot.params.slot_ms // 1000, UTC) if slot.params.slot_ms else None
    state = market.SlotState.Name(slot.state).removeprefix("SLOT_STATE_")
    return (
        f"{slot.slot:<12} {start.strftime('%H:%M:%S') if start else '-':<10} {state:<11} {slot.clearing.price_e4:>9} "
        f"{slot.clearing.volume_mWh:>12} {slot.residual_mWh:>13} {slot.orders:>7}"
    )
