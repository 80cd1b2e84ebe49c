"""How everything in the report looks: colours that the colour-blind tell apart (Okabe and Ito), units, SVG as text."""

from __future__ import annotations

import io
import re

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "bsmg"
mpl.rcParams["svg.fonttype"] = "none"  # text stays text: small, and a reader can search it
mpl.rcParams["font.family"] = "sans-serif"
mpl.rcParams["axes.spines.top"] = mpl.rcParams["axes.spines.right"] = False
BLACK, ORANGE, SKY, GREEN = "#222222", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, RED, PURPLE, GREY = "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#8a8a8a"
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9",
    "#7a6a00", "#8a8a8a", "#004b75", "#9c6b00", "#6fcfb0", "#8c3f6b",
)  # fmt: skip
BID_COLOUR, ASK_COLOUR, TRADE_COLOUR = BLUE, RED, BLACK
KWH = 1_000_000  # mWh
TOKEN = 10**10  # base units
PRICE = 10_000  # e4
NUMBER = re.compile(r"(?<=[ \"ML])-?\d+\.\d{3,}")


def figure_of(width: float, height: float) -> Figure:
    """A figure of a size in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def day_axes(y_label: str, height: float = 3.0) -> tuple[Figure, Axes]:
    """One plot over the hours of the day."""
    figure = figure_of(9, height)
    axes = figure.subplots()
    plain(axes, y_label)
    hours(axes)
    return figure, axes


def hours(axes: Axes) -> None:
    """The hours of the day below."""
    axes.set_xlabel("hour of the day")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=9, steps=[1, 2, 2.5, 3, 5, 6, 10]))
    axes.xaxis.set_major_formatter(lambda at, _: f"{int(at):02d}:{round(at % 1 * 60):02d}")
    axes.margins(x=0.01)


def plain(axes: Axes, y_label: str) -> None:
    """Grid lines behind, a label."""
    axes.set_ylabel(y_label)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)


def legend(axes: Axes, columns: int = 4) -> None:
    """Above the plot, where it hides nothing."""
    labels = axes.get_legend_handles_labels()[1]
    if labels:
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=min(len(labels), columns), fontsize=9, frameon=False
        )


def hour(quarter: int) -> str:
    """`14:15` of a quarter of the day."""
    return f"{quarter // 4:02d}:{quarter % 4 * 15:02d}"


def svg(figure: Figure) -> str:
    """The figure as an element for a page; numbers to a hundredth of a point."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"^.*?(?=<svg)", "", out.getvalue(), flags=re.DOTALL)
    return NUMBER.sub(lambda found: f"{float(found[0]):.2f}", text)
