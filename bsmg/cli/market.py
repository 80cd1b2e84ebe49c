"""`bsmg market report` and `bsmg market bench`: the mechanisms compared, without a chain."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from bsmg.cli.output import note, show
from bsmg.market import bench, books, report, whole
from cosmos_wire.errors import ToolError
from energy.mechanisms.catalogue import CATALOGUE
from energy.mechanisms.fees import NO_FEES

WIDTH = 150
mechanism_option = click.option(
    "--mechanism", "names", multiple=True, type=click.Choice(list(CATALOGUE)), help="Only these; default all."
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON on standard output instead of a table.")


@click.group()
def command() -> None:
    """Compare market mechanisms, measure their speed."""


@command.command("report")
@click.option(
    "--books", "count", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Per population."
)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--fees/--no-fees", default=True, show_default=True, help="A matrix of grid fees over four areas.")
@mechanism_option
@json_option
def report_command(count: int, seed: int, fees: bool, names: tuple[str, ...], as_json: bool) -> None:
    """Individual rationality, budget balance, incentive compatibility, efficiency, on random books.

    Ends with 1 when a measurement contradicts what is claimed of a mechanism.
    """
    table = books.fees() if fees else NO_FEES
    found = report.measure(report.Options(count=count, seed=seed, names=names or tuple(CATALOGUE), table=table))
    if as_json:
        details = {name: {key: part.document() for key, part in parts.items()} for name, parts in found.items()}
        show({"books": count, "seed": seed, "fees": fees, "summary": report.summary(found), "populations": details})
    else:
        _print_report(found)
    against = report.contradictions(found)
    if against:
        raise ToolError(f"measured against what is claimed: {'; '.join(against)}")


def _print_report(found: report.Report) -> None:
    names = [population.name for population in report.POPULATIONS]
    table = Table(
        "mechanism",
        "nobody loses",
        "budget",
        "surplus, % of best welfare",
        "books in deficit",
        "efficiency % (worst)",
        "truthful for",
        f"lies that pay, %: {', '.join(names)}",
        "best lie, %",
    )
    for row in report.summary(found):
        paying = ", ".join(f"{value / 10:.1f}" for value in row["paying_lies_permille"])
        table.add_row(
            row["mechanism"],
            "yes" if row["rational"] else "NO",
            row["budget"],
            f"{row['surplus_permille'] / 10:.1f}",
            str(row["books_with_deficit"]),
            f"{row['efficiency_permille'] / 10:.1f} ({row['worst_efficiency_permille'] / 10:.1f})",
            row["truthful"],
            paying,
            f"{row['best_lie_permille'] / 10:.1f}",
        )
    Console(width=WIDTH).print(table)


@command.command("bench")
@click.option(
    "--orders", "sizes", multiple=True, type=click.IntRange(2, 100_000), default=bench.SIZES, show_default=True
)
@click.option("--runs", type=click.IntRange(1, 100), default=3, show_default=True, help="The best one counts.")
@mechanism_option
@json_option
def bench_command(sizes: tuple[int, ...], runs: int, names: tuple[str, ...], as_json: bool) -> None:
    """Clear books and check the outcomes; ends with 1 when either takes the chain's own clearing above its limit."""
    found = bench.measure(sizes, runs, names)
    if as_json:
        show({"required_ms": bench.REQUIRED_MS, "timings": [timing.document() for timing in found]})
    else:
        _print_bench(found)
    slow = [timing for timing in found if not timing.met and timing.mechanism == bench.CHAIN]
    if slow:
        raise ToolError(f"at most {bench.REQUIRED_MS} ms are allowed, took {slow[0].total_ms:.1f} ms")


def _print_bench(found: list[bench.Timing]) -> None:
    table = Table(
        "mechanism", "fees", "orders", "clear ms", "check ms", "validator ms", f"<= {bench.REQUIRED_MS:.0f} ms"
    )
    for timing in found:
        table.add_row(
            timing.mechanism,
            timing.fees,
            str(timing.orders),
            f"{timing.clear_ms:.2f}",
            f"{timing.check_ms:.2f}",
            f"{timing.total_ms:.2f}",
            "yes" if timing.met else "no",
        )
    Console(width=WIDTH).print(table)
    note("CPU time of one process; VCG and Vickrey take 200 orders at most.")


@command.command("slot")
@click.option(
    "--cells", "sizes", multiple=True, type=click.IntRange(2, 100_000), default=whole.SIZES, show_default=True
)
@json_option
def slot_command(sizes: tuple[int, ...], as_json: bool) -> None:
    """Run whole slots in which every cell orders, is metered and settled, on one validator's state machine.

    Ends with 1 when a slot's work does not fit into its 900 s with a margin of 5.
    """
    found = [whole.measure(size) for size in sizes]
    if as_json:
        show({"required_margin": whole.REQUIRED_MARGIN, "slots": [item.document() for item in found]})
    else:
        _print_slots(found)
    tight = [item for item in found if item.margin < whole.REQUIRED_MARGIN]
    if tight:
        raise ToolError(
            f"a margin of {whole.REQUIRED_MARGIN} is required, {tight[0].cells} cells have {tight[0].margin:.1f}"
        )


def _print_slots(found: list[whole.WholeSlot]) -> None:
    table = Table("cells", *(f"{phase} ms" for phase in whole.PHASES), "total ms", "blocks", "fits into 900 s")
    for item in found:
        times = (f"{item.phases[phase]:.1f}" for phase in whole.PHASES)
        table.add_row(str(item.cells), *times, f"{item.total_ms:.1f}", str(item.blocks), f"{item.margin:.0f} times")
    Console(width=WIDTH).print(table)
    note("CPU time of one process with the durable store; consensus itself is not in it.")
