"""`bsmg bill CELL`: what a cell paid and got, line by line, and what it would have without the market."""

from __future__ import annotations

import click
from rich.table import Table

from bsmg.audit.report import console
from bsmg.audit.statements import Bill, lines_of, read_statements, slots_of_day, tokens
from bsmg.cli.target import Target, run, with_target
from bsmg.client.chain import ChainClient
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import market, market_query, registry_query


@click.command("bill")
@click.argument("cell")
@click.option("--slot", type=click.IntRange(0), help="One slot.")
@click.option("--day", help="A date (UTC), a trading day's number (96 slots, 0 first), or `all`.")
@with_target
def command(target: Target, *, cell: str, slot: int | None, day: str | None) -> None:
    """CELL is an identity, an account's name or an address. Without --slot and --day: everything."""
    if slot is not None and day is not None:
        raise ToolError("expected --slot or --day, got both")
    params, statements = run(target, lambda client: _read(client, target.address(cell)))
    wanted = {slot} if slot is not None else _slots(params, day or "all", statements)
    chosen = tuple(item for item in statements if item.slot in wanted)
    if not chosen:
        known = f"{statements[0].slot} to {statements[-1].slot}" if statements else "none"
        raise ToolError(f"statements of {cell}: expected some in {slot or day or 'all'}, settled slots are {known}")
    bill = Bill(statements=chosen, up_e4=params.up_e4, down_e4=params.down_e4, denom=params.denom)
    show(bill, cell, in_full=slot is not None)


def _slots(params: market.Params, day: str, statements: list[market.Statement]) -> set[int]:
    try:
        return slots_of_day(params, day, [item.slot for item in statements])
    except ValueError as error:
        raise ToolError(f"--day: expected a date such as 2016-04-26, a number or all, got {day!r}") from error


async def _read(client: ChainClient, cell: str) -> tuple[market.Params, list[market.Statement]]:
    path = "/bsmg.registry.v1.Query/Cell"
    request = registry_query.QueryCellRequest(cell=cell)
    found = (await client.query(path, request, registry_query.QueryCellResponse)).cell
    path = "/bsmg.market.v1.Query/Params"
    answer = await client.query(path, market_query.QueryParamsRequest(), market_query.QueryParamsResponse)
    return answer.params, await read_statements(client, found.address)


def show(bill: Bill, cell: str, *, in_full: bool) -> None:
    """Lines of one slot, or one line a slot; then the sums."""
    screen = console()
    screen.print(slot_table(bill, cell) if in_full else day_table(bill, cell))
    bought, sold = bill.energy_mWh
    click.echo(f"sum: {bill.net} {bill.denom} base units = {tokens(bill.net)} tokens (negative: paid)")
    click.echo(f"metered: {bought} mWh in, {sold} mWh out")
    click.echo(f"alone, buying at {bill.up_e4}e-4 and selling at {bill.down_e4}e-4 a kWh: {tokens(bill.alone)}")
    click.echo(f"the market is worth {tokens(bill.net - bill.alone)} tokens to {cell}")
    for name, text in (("arrears", "not paid yet, by the cell"), ("escrow_back", "escrow that came back, not income")):
        if bill.total(name):
            click.echo(f"{text}: {tokens(bill.total(name))}")


def slot_table(bill: Bill, cell: str) -> Table:
    """One slot, line by line."""
    statement = bill.statements[0]
    made = Table(title=f"{cell}, slot {statement.slot}, score {statement.score_permille}", title_justify="left")
    _columns(made, ("line", ""), ("base units", "tokens"))
    for what, how, amount in lines_of(statement):
        made.add_row(what, how, str(amount), tokens(amount))
    made.add_row("net", "", str(bill.net), tokens(bill.net), style="bold")
    return made


def day_table(bill: Bill, cell: str) -> Table:
    """One line a slot."""
    made = Table(title=f"{cell}, {len(bill.statements)} slots; energy mWh, money in tokens", title_justify="left")
    flows = ("trade", "main grid", "imbalance", "penalty", "fee", "losses", "catch-up", "net")
    numbers = ("bought", "sold", "in", "out", "price e-4", *flows)
    _columns(made, ("slot",), numbers)
    moneys = ("trade", "grid", "imbalance", "penalty", "fee", "loss", "catch_up", "net")
    for item in bill.statements:
        money = [getattr(item, name) for name in moneys]
        energy = (item.bought_mWh, item.sold_mWh, item.import_mWh, item.export_mWh, item.price_e4)
        made.add_row(str(item.slot), *map(str, energy), *(tokens(int(part or 0)) for part in money))
    energies = ("bought_mWh", "sold_mWh", "import_mWh", "export_mWh")
    sums = [str(bill.total(name)) for name in energies], [tokens(bill.total(name)) for name in moneys]
    made.add_row("sum", *sums[0], "", *sums[1], style="bold")
    return made


def _columns(made: Table, texts: tuple[str, ...], numbers: tuple[str, ...]) -> None:
    for name in texts:
        made.add_column(name)
    for name in numbers:
        made.add_column(name, justify="right", overflow="fold")
