"""Feeders that the project ships: SCE's of 56 buses, Baran and Wu's of 33; and random ones for tests and studies."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from random import Random

from cosmos_wire.protos import registry as pb
from energy.grid.fixed import ONE
from energy.grid.schedule import BusEnergy
from energy.units import MWH_PER_W, PERMILLE
from physics.errors import ModelError

W_PER_KVA = 1_000
SCE_BASE_W = 1_000_000
SCE_BASE_OHM = 144.0  # 12 kV squared over 1 MVA
POWER_FACTOR = 0.9  # of the SCE feeder's spot loads, lagging
BW_BASE_W = 10_000_000
BW_BASE_OHM = 16.02756  # 12.66 kV squared over 10 MVA


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What stands at a bus: peak load, capacitors and nominal plants, in W and var."""

    bus: int
    peak_W: int
    peak_var: int  # capacitors not counted
    capacitor_var: int = 0
    pv_W: int = 0

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
    return Case(feeder=feeder, sites=tuple(_sce_site(row) for row in _rows("sce56_buses.csv")))


def _sce_site(row: dict[str, int]) -> Site:
    peak_W, peak_var = _at_power_factor(row["peak_kVA"] * W_PER_KVA)
    return Site(
        bus=row["bus"],
        peak_W=peak_W,
        peak_var=peak_var,
        capacitor_var=row["capacitor_kvar"] * W_PER_KVA,
        pv_W=row["pv_kW"] * W_PER_KVA,
    )


def bw33(vmin_permille: int = 900, vmax_permille: int = 1050) -> Case:
    """The feeder of Baran and Wu (IEEE Trans. Power Delivery 4(2), 1989); ratings and voltage limits are our choice."""
    per_e4_ohm = ONE / BW_BASE_OHM / 10_000
    branches = [
        pb.Branch(
            from_bus=row["from_bus"],
            to_bus=row["to_bus"],
            r_pu_q30=round(row["r_e4_ohm"] * per_e4_ohm),
            x_pu_q30=round(row["x_e4_ohm"] * per_e4_ohm),
            s_max_W=row["rating_kVA"] * W_PER_KVA,
        )
        for row in _rows("bw33_branches.csv")
    ]
    feeder = pb.Feeder(
        s_base_W=BW_BASE_W,
        root_bus=1,
        v0_permille=PERMILLE,
        vmin_permille=vmin_permille,
        vmax_permille=vmax_permille,
        branches=branches,
    )
    rows = _rows("bw33_buses.csv")
    sites = (Site(bus=r["bus"], peak_W=r["peak_kW"] * 1000, peak_var=r["peak_kvar"] * 1000) for r in rows)
    return Case(feeder=feeder, sites=tuple(sites))


FEEDERS: Mapping[str, Callable[[int, int], Case]] = {"sce56": sce56, "bw33": bw33}  # by (vmin, vmax) permille
LIMITS_PERMILLE = {"sce56": (970, 1032), "bw33": (940, 1030)}  # vmin and vmax that the fleets are made for


def feeder_case(name: str, vmin_permille: int = 0, vmax_permille: int = 0) -> Case:
    """A shipped feeder by name; a limit of 0 is the one that its fleet of cells is made for; raises ModelError."""
    if name not in FEEDERS:
        raise ModelError(f"feeder {name!r} does not exist; known: {', '.join(sorted(FEEDERS))}")
    low, high = LIMITS_PERMILLE[name]
    return FEEDERS[name](vmin_permille or low, vmax_permille or high)


def _at_power_factor(peak_VA: int) -> tuple[int, int]:
    """Active and reactive power of a spot load."""
    return round(peak_VA * POWER_FACTOR), round(peak_VA * math.sqrt(1 - POWER_FACTOR**2))


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
    sites = tuple(_random_site(random, at + 1, buses) for at in range(buses))
    feeder = pb.Feeder(
        s_base_W=SCE_BASE_W,
        root_bus=1,
        v0_permille=random.choice((PERMILLE, 1010, 1025)),
        vmin_permille=950,
        vmax_permille=1050,
        branches=branches,
    )
    return Case(feeder=feeder, sites=sites)


def _random_site(random: Random, bus: int, buses: int) -> Site:
    peak_W, peak_var = _at_power_factor(round(random.uniform(0, 8e6 / buses)))
    return Site(
        bus=bus,
        peak_W=peak_W,
        peak_var=peak_var,
        capacitor_var=random.choice((0, 0, 0, round(2e6 / buses))),
        pv_W=random.choice((0, 0, 0, round(4e7 / buses))),
    )
