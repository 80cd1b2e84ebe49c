"""The matrix of the OPF-m cone programme: which row and column holds what.

It depends on the feeder and on which bus and direction each block has, not on a slot's quantities and prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import clarabel
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from energy.grid.fixed import ONE
from energy.grid.network import Network
from energy.units import PERMILLE

Floats = NDArray[np.float64]
P, Q, L, V, P_FREE, Q_FREE, V_FREE = range(7)  # columns of a branch, in blocks of all branches

Shape = tuple[int, int, int]  # of a block: place of its bus, direction, reactive_permille


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Places of columns and rows; branch k (1..m) has place k - 1 in each group."""

    net: Network
    shapes: tuple[Shape, ...]
    local: bool
    gan: bool  # the upper limit holds for the voltages without losses

    @property
    def m(self) -> int:
        """Number of branches."""
        return self.net.size - 1

    @property
    def drawn(self) -> int:
        """Column of what is drawn at the root; the next one is what is fed back."""
        return len(self.shapes)

    @property
    def columns(self) -> int:
        """Number of columns."""
        return len(self.shapes) + 2 + 7 * self.m

    def column(self, kind: int, branch: int) -> int:
        """Column of P, Q, ... of a branch."""
        return self.drawn + 2 + kind * self.m + branch - 1

    def row(self, kind: int, bus: int) -> int:
        """Equality row of a bus: kinds 0 p (the root has one), 1 q, 2 v, 3 to 5 the same without losses."""
        return bus if kind == 0 else kind * self.m + bus

    @property
    def equalities(self) -> int:
        """Number of equality rows."""
        return 6 * self.m + 1 + self.local

    @property
    def bounds(self) -> int:
        """Number of bounds: fills from both sides, the root's two, the voltages' two."""
        return 2 * len(self.shapes) + 2 + 2 * self.m

    def cones(self) -> list[object]:
        """Clarabel's cones in the order of the rows."""
        currents = [clarabel.SecondOrderConeT(4)] * self.m
        ratings = [clarabel.SecondOrderConeT(3)] * (2 * self.m)
        return [clarabel.ZeroConeT(self.equalities), clarabel.NonnegativeConeT(self.bounds), *currents, *ratings]


def layout_of(net: Network, shapes: Sequence[Shape], local: bool, gan: bool) -> Layout:  # noqa: FBT001 - two facts
    """The layout of a problem's blocks."""
    return Layout(net=net, shapes=tuple(shapes), local=local, gan=gan)


class Triplets:
    """Entries of a sparse matrix."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.columns: list[int] = []
        self.values: list[float] = []

    def put(self, row: int, column: int, value: float) -> None:
        """Add a value at a place."""
        self.rows.append(row)
        self.columns.append(column)
        self.values.append(value)

    def matrix(self, rows: int, columns: int) -> sparse.csc_matrix:
        """The compressed matrix."""
        return sparse.csc_matrix((self.values, (self.rows, self.columns)), shape=(rows, columns))


def matrix_of(layout: Layout) -> sparse.csc_matrix:
    """A of  A x + s = b."""
    out = Triplets()
    for branch in range(1, layout.net.size):
        _balances(layout, branch, out)
        _drops(layout, branch, out)
    _blocks(layout, out)
    _bounds(layout, out)
    _cones(layout, out)
    return out.matrix(layout.equalities + layout.bounds + 10 * layout.m, layout.columns)


def _balances(layout: Layout, branch: int, out: Triplets) -> None:
    net, row, column = layout.net, layout.row, layout.column
    above = net.parent[branch]
    r, x = net.r[branch] / ONE, net.x[branch] / ONE
    for kind, free, flow, flow_free, loss in ((0, 3, P, P_FREE, r), (1, 4, Q, Q_FREE, x)):
        out.put(row(kind, branch), column(flow, branch), 1.0)
        out.put(row(free, branch), column(flow_free, branch), 1.0)
        if above or kind == 0:
            out.put(row(kind, above), column(flow, branch), -1.0)
            out.put(row(kind, above), column(L, branch), -loss)
        if above:
            out.put(row(free, above), column(flow_free, branch), -1.0)


def _drops(layout: Layout, branch: int, out: Triplets) -> None:
    net, row, column = layout.net, layout.row, layout.column
    above = net.parent[branch]
    r, x = net.r[branch] / ONE, net.x[branch] / ONE
    out.put(row(2, branch), column(L, branch), r * r + x * x)
    for kind, flow_p, flow_q, voltage in ((2, P, Q, V), (5, P_FREE, Q_FREE, V_FREE)):
        out.put(row(kind, branch), column(flow_p, branch), 2 * r)
        out.put(row(kind, branch), column(flow_q, branch), 2 * x)
        out.put(row(kind, branch), column(voltage, branch), 1.0)
        if above:
            out.put(row(kind, branch), column(voltage, above), -1.0)


def _blocks(layout: Layout, out: Triplets) -> None:
    out.put(layout.row(0, 0), layout.drawn, 1.0)
    out.put(layout.row(0, 0), layout.drawn + 1, -1.0)
    for at, (bus, direction, reactive) in enumerate(layout.shapes):
        if direction:
            out.put(layout.row(0, bus), at, -float(direction))
        if bus and direction:
            out.put(layout.row(3, bus), at, -float(direction))
        if bus and reactive:
            out.put(layout.row(1, bus), at, -reactive / PERMILLE)
            out.put(layout.row(4, bus), at, -reactive / PERMILLE)
        if layout.local and direction:
            out.put(layout.equalities - 1, at, float(direction))


def _bounds(layout: Layout, out: Triplets) -> None:
    row, fills = layout.equalities, len(layout.shapes)
    for at in range(fills + 2):
        out.put(row + at, at, -1.0)
    row += fills + 2
    for at in range(fills):
        out.put(row + at, at, 1.0)
    row += fills
    for branch in range(1, layout.net.size):
        out.put(row + branch - 1, layout.column(V, branch), -1.0)
        out.put(row + layout.m + branch - 1, layout.column(V_FREE if layout.gan else V, branch), 1.0)


def _cones(layout: Layout, out: Triplets) -> None:
    net, column, m = layout.net, layout.column, layout.m
    first = layout.equalities + layout.bounds
    for branch in range(1, net.size):
        p, q, l_, v = (column(kind, branch) for kind in (P, Q, L, V))
        row = first + 4 * (branch - 1)
        for at, entries in enumerate((((v, 1.0), (l_, 1.0)), ((v, 1.0), (l_, -1.0)), ((p, 2.0),), ((q, 2.0),))):
            for place, value in entries:
                out.put(row + at, place, -value)
        near, far = first + 4 * m + 3 * (branch - 1), first + 7 * m + 3 * (branch - 1)
        for flow, at, loss in ((p, 1, net.r[branch] / ONE), (q, 2, net.x[branch] / ONE)):
            out.put(near + at, flow, -1.0)
            out.put(far + at, flow, -1.0)
            out.put(far + at, l_, -loss)
