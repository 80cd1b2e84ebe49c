"""Feeders that the project ships: the SCE 56-bus feeder, and random radial ones for tests and studies."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from random import Random

from cosmos_wire.protos import registry as pb
from energy.grid.fixed import ONE
from energy.grid.schedule import BusEnergy
from energy.units import MWH_PER_W, PERMILLE

W_PER_KVA = 1_000
SCE_BASE_W = 1_000_000
SCE_BASE_OHM = 144.0  # 12 kV squared over 1 MVA
POWER_FACTOR = 0.9  # of the spot loads, lagging


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What stands at a bus: peak load and nominal plants, in W, var and VA."""

    bus: int
    peak_VA: int
    capacitor_var: int
    pv_W: int

    @property
    def peak_W(self) -> int:
        """Active power at peak."""
        return round(self.peak_VA * POWER_FACTOR)

    @property
    def peak_var(self) -> int:
        """Reactive power at peak, capacitors not counted."""
        return round(self.peak_VA * math.sqrt(1 - POWER_FACTOR**2))

    def baseline(self, load_permille: int = PERMILLE, pv_permille: int = 0) -> BusEnergy:
        """A slot's energies at a share of peak load and of nominal PV; capacitors run at their nominal power."""
        return BusEnergy(
            bus=self.bus,
            base_p_mWh=(self.peak_W * load_permille - self.pv_W * pv_permille) * MWH_PER_W // PERMILLE,
            base_q_mvarh=(self.peak_var * load_permille // PERMILLE - self.capacitor_var) * MWH_PER_W,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A feeder as a chain registers it, and what stands at its buses."""

    feeder: pb.Feeder
    sites: tuple[Site, ...]


def sce56(vmin_permille: int = 950, vmax_permille: int = 1050) -> Case:
    """The feeder of Gan, Li, Topcu and Low (IEEE TAC 60(1), 2015); ratings and voltage limits are our choice."""
    feeder = pb.Feeder(
        s_base_W=SCE_BASE_W,
        root_bus=1,
        v0_permille=PERMILLE,
        vmin_permille=vmin_permille,
        vmax_permille=vmax_permille,
        branches=[_branch(row) for row in _rows("sce56_branches.csv")],
    )
    sites = tuple(
        Site(
            bus=row["bus"],
            peak_VA=row["peak_kVA"] * W_PER_KVA,
            capacitor_var=row["capacitor_kvar"] * W_PER_KVA,
            pv_W=row["pv_kW"] * W_PER_KVA,
        )
        for row in _rows("sce56_buses.csv")
    )
    return Case(feeder=feeder, sites=sites)


def _branch(row: dict[str, int]) -> pb.Branch:
    per_mohm = ONE / SCE_BASE_OHM / 1000
    return pb.Branch(
        from_bus=row["from_bus"],
        to_bus=row["to_bus"],
        r_pu_q30=round(row["r_mohm"] * per_mohm),
        x_pu_q30=round(row["x_mohm"] * per_mohm),
        s_max_W=row["rating_kVA"] * W_PER_KVA,
    )


def _rows(name: str) -> Iterator[dict[str, int]]:
    text = files("physics").joinpath("data", name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return ({key: int(value) for key, value in row.items()} for row in csv.DictReader(lines))


def random_radial(seed: int, buses: int) -> Case:
    """A random tree with loads, PV and ratings; base 1 MVA, drops of a few percent at peak. Same seed, same feeder."""
    random = Random(seed)  # noqa: S311 - studies, not secrets
    depth = max(4, round(buses**0.5))
    parents = [random.randrange(max(0, at - depth), at) for at in range(1, buses)]
    size = 60.0 / (buses * depth)
    branches = [
        pb.Branch(
            from_bus=parent + 1,
            to_bus=at + 1,
            r_pu_q30=round(ONE * random.uniform(0.002, 0.02) * size),
            x_pu_q30=round(ONE * random.uniform(0.002, 0.02) * size),
            s_max_W=round(random.uniform(0.5, 4.0) * SCE_BASE_W),
        )
        for at, parent in enumerate(parents, 1)
    ]
    sites = tuple(
        Site(
            bus=at + 1,
            peak_VA=round(random.uniform(0, 8e6 / buses)),
            capacitor_var=random.choice((0, 0, 0, round(2e6 / buses))),
            pv_W=random.choice((0, 0, 0, round(4e7 / buses))),
        )
        for at in range(buses)
    )
    feeder = pb.Feeder(
        s_base_W=SCE_BASE_W,
        root_bus=1,
        v0_permille=random.choice((PERMILLE, 1010, 1025)),
        vmin_permille=950,
        vmax_permille=1050,
        branches=branches,
    )
    return Case(feeder=feeder, sites=sites)
