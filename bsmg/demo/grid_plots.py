"""Figures of a feeder's day: prices on the map, voltages in their band, loading, curtailment, losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize

from bsmg.demo.feeder_day import FeederDay, FeederSlot, State
from bsmg.demo.feeder_map import Layout, layout_of
from bsmg.demo.style import (
    BLACK,
    BLUE,
    KWH,
    ORANGE,
    PRICE,
    RED,
    SKY,
    day_axes,
    figure_of,
    hour,
    hours,
    legend,
    plain,
    svg,
)

SPREAD_MIN = 0.0005  # token / kWh either way: smaller differences look like none
NAMED_MAX = 90  # buses whose numbers are written
COLOUR_MAP = colormaps["viridis"].resampled(40)  # from 50 colours on the legend becomes a bitmap


def feeder_layout(day: FeederDay) -> Layout:
    """The feeder's map."""
    return layout_of(day.root, day.branches)


def mean_lmps(day: FeederDay) -> tuple[int, ...]:
    """Each bus's mean over the slots that have prices."""
    rows = [row.lmps_e4 for row in day.slots if row.lmps_e4]
    return tuple(round(sum(column) / len(rows)) for column in zip(*rows, strict=True)) if rows else ()


def most_congested(day: FeederDay) -> FeederSlot | None:
    """The slot with prices that differ most from bus to bus."""
    rows = [row for row in day.slots if row.lmps_e4]
    return max(rows, key=lambda row: (max(row.lmps_e4) - min(row.lmps_e4), -row.slot), default=None)


def price_map(day: FeederDay, lmps_e4: Sequence[int], state: State | None) -> str:
    """Buses coloured by price; with a state, branches and buses at a limit are marked."""
    layout = feeder_layout(day)
    columns, rows = layout.size
    figure = figure_of(9, max(2.2, min(6.5, 0.8 + rows * 0.3)))
    axes = figure.subplots()
    _branches(axes, day, layout, state)
    places = [layout.places[bus] for bus in day.buses]
    prices = [price / PRICE for price in lmps_e4]
    middle, spread = (max(prices) + min(prices)) / 2, max(SPREAD_MIN, (max(prices) - min(prices)) / 2)
    norm = Normalize(middle - spread, middle + spread)
    at_limit = [RED if state and state.v and day.at_limit(state.v[at]) else "#555555" for at in range(len(places))]
    dots = axes.scatter(
        [x for x, _ in places],
        [-y for _, y in places],
        c=prices,
        cmap=COLOUR_MAP,
        norm=norm,
        s=90 if len(places) <= NAMED_MAX else 30,
        edgecolors=at_limit,
        linewidths=[2.0 if colour == RED else 0.5 for colour in at_limit],
        zorder=3,
    )
    axes.scatter([0], [-layout.places[day.root][1]], marker="s", s=170, facecolors="none", edgecolors=BLACK, zorder=4)
    _numbers(axes, day, layout)
    bar = figure.colorbar(dots, ax=axes, pad=0.01, fraction=0.04)
    bar.set_label("token / kWh")
    if bar.solids is not None:
        bar.solids.set_edgecolor("face")  # or hairlines show between the colours
    axes.set_axis_off()
    axes.set_xlim(-0.6, columns - 0.4)
    return svg(figure)


def _branches(axes: Axes, day: FeederDay, layout: Layout, state: State | None) -> None:
    marked = day.full_branches(state) if state else set()
    full = [edge for edge in layout.tree if edge in marked]
    usual = [edge for edge in layout.tree if edge not in full]
    for edges, colour, width in ((usual, "#b5b5b5", 1.4), (full, RED, 3.2)):
        lines = [[(x, -y) for x, y in layout.path(edge)] for edge in edges]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, zorder=1))
    loops = [[(x, -y) for x, y in (layout.places[a], layout.places[b])] for a, b in layout.loops]
    axes.add_collection(LineCollection(loops, colors="#b5b5b5", linestyles="dashed", zorder=0))


def _numbers(axes: Axes, day: FeederDay, layout: Layout) -> None:
    if len(day.buses) > NAMED_MAX:
        return
    for bus in day.buses:
        x, y = layout.places[bus]
        axes.annotate(str(bus), (x, -y), xytext=(5, 5), textcoords="offset points", fontsize=7, color=BLACK, zorder=5)


def voltages(day: FeederDay) -> str:
    """The band, all buses between lowest and highest, and what the clearing alone would have made of it."""
    figure, axes = day_axes("voltage, p.u.", 3.4)
    sealed = [(row.quarter / 4, row.sealed.v) for row in day.slots if row.sealed.v]
    if sealed:
        at, v = _held(sealed)
        axes.fill_between(at, [min(r) for r in v], [max(r) for r in v], step="post", color=SKY, alpha=0.55,
                          linewidth=0, label="all buses, as sealed")  # fmt: skip
        axes.step(at, [median(r) for r in v], where="post", color=BLUE, linewidth=1.4, label="median, as sealed")
    free = [(row.quarter / 4, row.free.v) for row in day.slots if row.free.v]
    if free:
        at, v = _held(free)
        for pick, label in ((max, "lowest and highest of the auction without the grid's limits"), (min, None)):
            axes.step(at, [pick(r) for r in v], where="post", color=BLACK, linewidth=1, linestyle="--", label=label)
    for limit, label in ((day.v_max, "limits"), (day.v_min, None)):
        axes.axhline(limit, color=RED, linewidth=1.4, label=label)
    legend(axes, 2)
    return svg(figure)


def _held(rows: list[tuple[float, tuple[float, ...]]]) -> tuple[list[float], list[tuple[float, ...]]]:
    """The last slot is a quarter hour wide too."""
    rows = [*rows, (rows[-1][0] + 0.25, rows[-1][1])]
    return [start for start, _ in rows], [v for _, v in rows]


def loading(day: FeederDay) -> str:
    """How full the fullest branch is, as sealed and without limits; and which branches were the fullest of the day."""
    figure = figure_of(9, 3.4)
    over_day, ranked = figure.subplots(1, 2, width_ratios=(3, 1.4))
    plain(over_day, "fullest branch, % of its rating")
    hours(over_day)
    pairs: tuple[tuple[Callable[[FeederSlot], State], str, str, str], ...] = (
        (lambda row: row.sealed, "as sealed", BLUE, "-"),
        (lambda row: row.free, "without the grid's limits", BLACK, "--"),
    )
    for state, label, colour, line in pairs:
        rows = [(row.quarter / 4, state(row).loading) for row in day.slots if state(row).loading]
        if rows:
            at, loads = _held(rows)
            over_day.step(at, [100 * max(r) for r in loads], line, where="post", color=colour, label=label)
    over_day.set_ylim(bottom=0)
    over_day.axhline(100, color=RED, linewidth=1.4, label="rating")
    legend(over_day, 3)
    _ranked(ranked, day)
    return svg(figure)


def _ranked(axes: Axes, day: FeederDay) -> None:
    rows = [row.sealed.loading for row in day.slots if row.sealed.loading]
    if not rows:
        axes.set_visible(False)
        return
    most = np.array(rows).max(axis=0)
    best = sorted(range(len(most)), key=lambda at: (-most[at], at))[:8]
    axes.barh([f"{a}–{b}" for a, b in (day.branches[at] for at in best)], [100 * most[at] for at in best], color=BLUE)
    axes.axvline(100, color=RED, linewidth=1.4)
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    axes.set_xlabel("most of the day, %")
    axes.set_title("fullest branches", fontsize=9, loc="left")


def curtailment(day: FeederDay) -> str:
    """Offered energy by what became of it, and the share that was lost."""
    figure, axes = day_axes("kWh a quarter hour")
    starts = [row.quarter / 4 for row in day.slots]
    bottom = [0.0] * len(starts)
    parts: tuple[tuple[str, str, Callable[[FeederSlot], int]], ...] = (
        ("sold inside", BLUE, lambda row: row.volume_mWh),
        ("let out to levels 2 and 3", ORANGE, lambda row: max(0, row.asked_mWh - row.volume_mWh - row.curtailed_mWh)),
        ("curtailed", RED, lambda row: row.curtailed_mWh),
    )
    for label, colour, energy in parts:
        heights = [energy(row) / KWH for row in day.slots]
        axes.bar(starts, heights, width=0.24, align="edge", bottom=bottom, color=colour, label=label)
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    legend(axes, 3)
    return svg(figure)


def losses(day: FeederDay) -> str:
    """Losses by the chain's metering and by the flow of the schedule."""
    figure, axes = day_axes("kWh a quarter hour", 2.8)
    rows = [*day.slots, *day.slots[-1:]]
    starts = [row.quarter / 4 for row in day.slots] + [row.quarter / 4 + 0.25 for row in day.slots[-1:]]
    series: tuple[tuple[str, str, str, Callable[[FeederSlot], int]], ...] = (
        ("settled by the chain, from the meters", ORANGE, "-", lambda row: row.loss_mWh),
        ("power flow of the schedule", BLUE, "--", lambda row: row.sealed.loss_mWh),
    )
    for label, colour, line, energy in series:
        axes.step(starts, [energy(row) / KWH for row in rows], line, where="post", color=colour, label=label)
    axes.set_ylim(bottom=0)
    legend(axes)
    return svg(figure)


def caption(row: FeederSlot) -> str:
    """Which slot a map shows."""
    return f"{hour(row.quarter)}, slot {row.slot}"
