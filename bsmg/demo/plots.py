"""Plots of a day as inline SVG, without a display and without a clock in the output."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bsmg.demo.day import MAIN_GRID_LEVEL, ChainRow, ContractRow, DayReport
from bsmg.demo.style import COLOURS, KWH, PRICE, TOKEN, day_axes, figure_of, legend, plain, svg

HEIGHT = 3.4
CELLS_MAX = 60  # bars whose names can be read


def prices(day: DayReport) -> str:
    """Clearing price of each chain over the day; no line where nothing was traded."""
    figure, axes = _axes("token / kWh")
    for colour, chain in zip(COLOURS, day.microgrids, strict=False):
        points = [(row.quarter / 4, row.price_e4 / PRICE if row.volume_mWh else float("nan")) for row in chain.slots]
        points += [(hour + 0.25, price) for hour, price in points[-1:]]  # the last slot is a quarter hour wide too
        axes.step(*_columns(points), where="post", color=colour, label=f"{chain.chain_id} ({chain.fleet})")
    legend(axes)
    return svg(figure)


def energy_by_level(day: DayReport) -> str:
    """Stacked energy a slot: each chain's auction, each direction between them."""
    figure, axes = _axes("kWh a quarter hour")
    quarters = sorted({row.quarter for chain in day.chains for row in chain.slots})
    bottom = dict.fromkeys(quarters, 0.0)
    for colour, (label, heights) in zip(COLOURS, _levels(day), strict=False):
        values = [heights.get(q, 0) / KWH for q in quarters]
        axes.bar(
            [q / 4 for q in quarters],
            values,
            width=0.24,
            align="edge",
            bottom=[bottom[q] for q in quarters],
            color=colour,
            label=label,
        )
        for quarter, value in zip(quarters, values, strict=True):
            bottom[quarter] += value
    legend(axes)
    return svg(figure)


def _levels(day: DayReport) -> list[tuple[str, dict[int, int]]]:
    levels: dict[str, dict[int, int]] = {}
    for chain in day.microgrids:
        levels[f"level 1 {chain.chain_id}"] = {row.quarter: row.volume_mWh for row in chain.slots}
    for contract in sorted(day.contracts, key=lambda item: (item.level, item.seller_chain, item.buyer_chain)):
        label = _way(day, contract)
        column = levels.setdefault(label, {})
        column[contract.quarter] = column.get(contract.quarter, 0) + contract.delivered_mWh
    return list(levels.items())


def _way(day: DayReport, contract: ContractRow) -> str:
    if contract.level == MAIN_GRID_LEVEL:
        inside = {chain.chain_id for chain in day.microgrids}
        return f"level 3 {'to' if contract.seller_chain in inside else 'from'} the main grid"
    return f"level 2 {contract.seller_chain} to {contract.buyer_chain}"


def latency(day: DayReport) -> str:
    """Share of packets acknowledged within a time."""
    figure, axes = _axes("share of packets", x_label="seconds from sending to acknowledgement", hours=False)
    for colour, row in zip(COLOURS, [p for p in day.packets if p.latency_ms], strict=False):
        times = sorted(row.latency_ms)
        points = [(ms / 1_000, (i + 1) / len(times)) for i, ms in enumerate(times)]
        axes.step(*_columns(points), where="post", color=colour, label=f"{row.source} to {row.destination}, {row.port}")
    legend(axes)
    return svg(figure)


def costs(chain: ChainRow) -> str:
    """Cells' cost of the day without and with trading; of very many those for whom most is at stake."""
    figure, axes = _axes("token", x_label="", hours=False)
    most = sorted(chain.cells, key=lambda cell: (-abs(cell.cost_without), cell.cell))[:CELLS_MAX]
    cells = [cell for cell in chain.cells if cell in most]
    names = [cell.cell.split("@")[0] for cell in cells]
    places = range(len(names))
    without = [cell.cost_without / TOKEN for cell in cells]
    with_trading = [cell.cost / TOKEN for cell in cells]
    axes.bar([x - 0.2 for x in places], without, 0.4, color="#bbbbbb", label="alone")
    axes.bar([x + 0.2 for x in places], with_trading, 0.4, color=COLOURS[0], label="trading")
    axes.set_xticks(list(places), names, rotation=60, ha="right")
    axes.axhline(0, color="#444444", linewidth=0.8)
    legend(axes)
    return svg(figure)


def _columns(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _axes(y_label: str, x_label: str = "hour of the day", *, hours: bool = True) -> tuple[Figure, Axes]:
    if hours:
        return day_axes(y_label, HEIGHT)
    figure = figure_of(9, HEIGHT)
    axes = figure.subplots()
    plain(axes, y_label)
    axes.set_xlabel(x_label)
    return figure, axes
