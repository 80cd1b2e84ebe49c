"""`bsmg slot [NUMBER]`: the market's slots in a table."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any as Json

import click

from bsmg.cli.output import message_doc, show
from bsmg.cli.target import Target, run, with_target
from bsmg.client.chain import ChainClient
from bsmg.client.errors import QueryRefused
from cosmos_wire.protos import market, market_query, pagination

LIVE_MAX = 1000
SERVICE = "/bsmg.market.v1.Query"
SCHEDULED = range(market.SLOT_STATE_RECLEAR, market.SLOT_STATE_CLOSED)  # from CLEAR to CLOSE
HEAD = (
    f"{'slot':<12} {'delivery':<10} {'state':<11} {'price_e4':>9} {'volume_mWh':>12} {'factor':>7} "
    f"{'curtailed_mWh':>14} {'residual_mWh':>13} {'orders':>7}"
)


@click.command()
@click.argument("number", type=click.IntRange(0), required=False)
@click.option("--all", "every", is_flag=True, help="Closed ones too.")
@with_target
def command(target: Target, number: int | None, every: bool) -> None:
    """Live slots of the market, or everything about one: with its schedule and marginal prices while it lives."""
    if number is not None:
        show(run(target, lambda client: about(client, number)))
        return
    click.echo(HEAD)
    for slot in run(target, lambda client: _many(client, live=not every)):
        click.echo(line(slot))


async def about(client: ChainClient, number: int) -> dict[str, Json]:
    """A slot's record; while it lives its schedule too, and the marginal prices that were certified."""
    request = market_query.QuerySlotRequest(slot=number)
    found = (await client.query(f"{SERVICE}/Slot", request, market_query.QuerySlotResponse)).slot
    doc = message_doc(found)
    if found.state in SCHEDULED:
        with suppress(QueryRefused):  # it closed just now
            doc["schedule"] = await _schedule(client, number)
            doc["lmps"] = await _lmps(client, number)
    return doc


async def _schedule(client: ChainClient, number: int) -> dict[str, Json]:
    request = market_query.QueryScheduleRequest(slot=number)
    found = await client.query(f"{SERVICE}/Schedule", request, market_query.QueryScheduleResponse)
    return message_doc(found)


async def _lmps(client: ChainClient, number: int) -> dict[str, Json]:
    request = market_query.QueryLmpsRequest(slot=number)
    return message_doc(await client.query(f"{SERVICE}/Lmps", request, market_query.QueryLmpsResponse))


async def _many(client: ChainClient, *, live: bool) -> list[market.Slot]:
    request = market_query.QuerySlotsRequest(live=live, pagination=pagination.PageRequest(limit=LIVE_MAX))
    return list((await client.query(f"{SERVICE}/Slots", request, market_query.QuerySlotsResponse)).slots)


def line(slot: market.Slot) -> str:
    """One row of the table; delivery is its start in UTC."""
    start = datetime.fromtimestamp(slot.slot * slot.params.slot_ms // 1000, UTC) if slot.params.slot_ms else None
    state = market.SlotState.Name(slot.state).removeprefix("SLOT_STATE_")
    return (
        f"{slot.slot:<12} {start.strftime('%H:%M:%S') if start else '-':<10} {state:<11} {slot.clearing.price_e4:>9} "
        f"{slot.clearing.volume_mWh:>12} {slot.factor_permille:>7} {slot.curtailed_mWh:>14} {slot.residual_mWh:>13} "
        f"{slot.orders:>7}"
    )
