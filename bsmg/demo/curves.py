"""Bids and asks of a slot as step curves, and how they met."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bsmg.demo.feeder_day import FeederSlot
from bsmg.demo.style import ASK_COLOUR, BID_COLOUR, KWH, PRICE, TRADE_COLOUR, figure_of, hour, svg

COLUMNS, PANEL = 4, (2.35, 1.95)
Points = tuple[list[float], list[float]]


def steps(side: Sequence[tuple[int, int]]) -> Points:
    """Corners of a side's curve: energy so far in kWh, price in token / kWh."""
    energy, price, total = [], [], 0
    for price_e4, quantity in side:
        energy += [total / KWH, (total + quantity) / KWH]
        price += [price_e4 / PRICE] * 2
        total += quantity
    return energy, price


def small_multiples(slots: Sequence[FeederSlot]) -> str:
    """A panel a slot."""
    rows = -(-len(slots) // COLUMNS)
    figure = figure_of(PANEL[0] * COLUMNS, PANEL[1] * rows + 0.5)
    panels = figure.subplots(rows, COLUMNS, squeeze=False, sharey=True)
    for axes, row in zip(panels.flat, slots, strict=False):
        _panel(axes, row)
    for axes in panels.flat[len(slots) :]:
        axes.set_visible(False)
    _label(figure, panels[0, 0])
    return svg(figure)


def _label(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), fontsize=9, frameon=False)
    figure.supxlabel("kWh of the quarter hour", fontsize=9)
    figure.supylabel("token / kWh", fontsize=9)


def _panel(axes: Axes, row: FeederSlot) -> None:
    axes.plot(*steps(row.bids), color=BID_COLOUR, linewidth=1.4, label="bids")
    axes.plot(*steps(row.asks), color=ASK_COLOUR, linewidth=1.4, label="asks")
    axes.plot(row.free_volume_mWh / KWH, row.free_price_e4 / PRICE, "o", color=TRADE_COLOUR, markersize=5,
              markerfacecolor="none", label="auction without the grid's limits")  # fmt: skip
    axes.plot(row.volume_mWh / KWH, row.price_e4 / PRICE, "o", color=TRADE_COLOUR, markersize=5, label="traded")
    axes.set_title(f"{hour(row.quarter)}   {row.repair if row.free.violations else ''}", fontsize=9, loc="left")
    axes.tick_params(labelsize=8)
    axes.set_ylim(bottom=0)
    totals = sorted(sum(quantity for _, quantity in side) / KWH for side in (row.bids, row.asks))
    right = min(totals[1], 2.5 * max(totals[0], row.free_volume_mWh / KWH)) or 1.0
    axes.set_xlim(0, right * 1.02)
    if right < totals[1]:
        axes.text(1, 0.03, f"… {totals[1]:.1f}", transform=axes.transAxes, ha="right", va="bottom", fontsize=7)
