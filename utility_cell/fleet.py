"""The cells of a microgrid: what each consumes and produces, and how it is connected.

A fleet is a TOML file below `fleets`; its powers are ratings in W, its profiles the names of `utility_cell.profiles`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cosmos_wire.errors import ToolError

FOLDER = Path(__file__).parent / "fleets"
RATING_MARGIN_PERMILLE = 1_100  # connection rating above the largest sum of what is behind it


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A profile and the power that its full scale stands for."""

    profile: str
    rated_W: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSpec:
    """One cell: a home, a business, a plant."""

    name: str
    bus: int
    loads: tuple[Asset, ...]
    sources: tuple[Asset, ...]

    @property
    def max_import_W(self) -> int:
        """Connection rating for withdrawal; at least 1 kW."""
        return max(1_000, sum(a.rated_W for a in self.loads) * RATING_MARGIN_PERMILLE // 1_000)

    @property
    def max_export_W(self) -> int:
        """Connection rating for injection; at least 1 kW."""
        return max(1_000, sum(a.rated_W for a in self.sources) * RATING_MARGIN_PERMILLE // 1_000)


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


def _cell(item: Mapping[str, object]) -> CellSpec:
    bus, loads, sources = item["bus"], item.get("loads", {}), item.get("sources", {})
    if not isinstance(bus, int) or not isinstance(loads, dict) or not isinstance(sources, dict):
        raise ToolError(f"cell {item.get('name')!r} needs an integer bus and tables of loads and sources, got {item}")
    return CellSpec(name=str(item["name"]), bus=bus, loads=_assets(loads), sources=_assets(sources))


def _assets(table: Mapping[str, int]) -> tuple[Asset, ...]:
    return tuple(Asset(profile=name, rated_W=rated) for name, rated in sorted(table.items()))
