"""The cells of a microgrid: what each consumes and produces, and how it is connected.

A fleet is a TOML file below `fleets`; its powers are ratings in W, its profiles the names of `utility_cell.profiles`.

    [[cell]]
    name = "home-07"               bus = 7                       tan_phi_permille = 484
    loads = { "H0-B" = 40000 }     critical_permille = 100       # the part of its loads that is served first
    sources = { "PV2" = 15000 }                                  # PV follows its schedule, wind (WP) does not
    shiftable = { "HLS_A_11.0" = 11000 }    patience = 16        # may be drawn up to so many quarter hours later
    storage = { capacity_Wh = 2000000, power_W = 500000 }        # only in a cell without sources and shiftable loads
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmos_wire.errors import ToolError
from physics.devices import Storage

FOLDER = Path(__file__).parent / "fleets"
DEFAULT_FLEETS = ("sunny", "windy")  # of chains without a feeder, in turn
PATIENCE = 16  # quarter hours
RATING_MARGIN_PERMILLE = 1_100  # connection rating above the largest sum of what is behind it


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A profile and the power that its full scale stands for."""

    profile: str
    rated_W: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSpec:
    """One cell: a home, a business, a plant, a storage."""

    name: str
    bus: int
    loads: tuple[Asset, ...] = ()
    sources: tuple[Asset, ...] = ()
    shiftable: tuple[Asset, ...] = ()
    patience: int = 0  # quarter hours that a shiftable load may wait
    storage: Storage | None = None
    tan_phi_permille: int = 0
    critical_permille: int = 0

    @property
    def controlled(self) -> bool:
        """Whether its sources follow a schedule: inverters do, wind turbines here don't."""
        return all(asset.profile.startswith("PV") for asset in self.sources)

    @property
    def shiftable_W(self) -> int:
        """Power of all that may wait, at once."""
        return sum(asset.rated_W for asset in self.shiftable)

    @property
    def max_import_W(self) -> int:
        """Connection rating for withdrawal; at least 1 kW."""
        charging = round(self.storage.charge_max_W) if self.storage else 0
        return _rating(sum(a.rated_W for a in self.loads) + self.shiftable_W + charging)

    @property
    def inverter_VA(self) -> int:
        """Apparent power of its photovoltaic inverters: a tenth above their peak, which leaves 0.46 of it at peak."""
        return sum(a.rated_W for a in self.sources if a.profile.startswith("PV")) * RATING_MARGIN_PERMILLE // 1_000

    @property
    def max_export_W(self) -> int:
        """Connection rating for injection; at least 1 kW."""
        discharging = round(self.storage.discharge_max_W) if self.storage else 0
        return _rating(sum(a.rated_W for a in self.sources) + discharging)


def _rating(power_W: int) -> int:
    return max(1_000, power_W * RATING_MARGIN_PERMILLE // 1_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All cells of one microgrid, in the order of their numbers."""

    name: str
    cells: tuple[CellSpec, ...]


def fleet_names() -> tuple[str, ...]:
    """Fleets that ship with the project."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load_fleet(name: str) -> Fleet:
    """Read a shipped fleet; an unknown name lists the known ones."""
    path = FOLDER / f"{name}.toml"
    if not path.exists():
        raise ToolError(f"fleet {name!r} does not exist; known: {', '.join(fleet_names())}")
    doc = tomllib.loads(path.read_text())
    return Fleet(name=name, cells=tuple(_cell(item) for item in doc["cell"]))


def _cell(item: Mapping[str, Any]) -> CellSpec:
    name, bus = str(item.get("name")), item.get("bus")
    tables = [item.get(key, {}) for key in ("loads", "sources", "shiftable")]
    if not isinstance(bus, int) or not all(isinstance(table, dict) for table in tables):
        raise ToolError(f"cell {name!r} needs an integer bus and tables of loads and sources, got {item}")
    loads, sources, shiftable = (_assets(table) for table in tables)
    if "storage" in item and (sources or shiftable):
        raise ToolError(f"cell {name!r}: a storage stands beside plain loads only, got {item}")
    return CellSpec(
        name=name,
        bus=bus,
        loads=loads,
        sources=sources,
        shiftable=shiftable,
        patience=item.get("patience", PATIENCE),
        storage=_storage(item["storage"]) if "storage" in item else None,
        tan_phi_permille=item.get("tan_phi_permille", 0),
        critical_permille=item.get("critical_permille", 0),
    )


def _storage(table: Mapping[str, int]) -> Storage:
    power_W = table["power_W"]
    return Storage(capacity_Wh=table["capacity_Wh"], charge_max_W=power_W, discharge_max_W=power_W)


def _assets(table: Mapping[str, int]) -> tuple[Asset, ...]:
    return tuple(Asset(profile=name, rated_W=rated) for name, rated in sorted(table.items()))
