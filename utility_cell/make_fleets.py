"""Write the fleets that stand on the shipped feeders: a cell of loads at every load bus, plants and storages by list.

    python -m utility_cell.make_fleets     # writes utility_cell/fleets/sce56.toml and bw33.toml

A bus's peak load is shared out to household and business profiles, whose kinds alternate by bus.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from physics.feeders import Case, Site, feeder_case
from utility_cell.profiles import SCALE, load_profiles

FOLDER = Path(__file__).resolve().parent / "fleets"
HOMES = ("H0-A", "H0-B", "H0-C", "H0-G", "H0-L")
TRADES = ("G0-A", "G1-A", "G1-B", "G2-A", "G3-A", "G4-A", "G5-A", "G6-A", "L0-A", "L1-A", "L2-A")
TAN_PHI_PERMILLE = 484  # power factor 0.9
CRITICAL = 4  # every so many cells have a part that is served first
CRITICAL_PERMILLE = 200
CARS = 3  # at every so many load buses cars charge
CAR_PROFILES = ("HLS_A_3.7", "HLS_B_3.7")
SMALL_W = 90_000
Row = Mapping[str, object]

HEADS = {
    "sce56": "A suburb on the SCE 56-bus feeder: far more sun at noon than it needs, short from the evening on.",
    "bw33": "A town on Baran and Wu's 33-bus feeder: wind in the night, short for most of the day.",
}
# PV series reach 0.62 of their rating in a year: modules of 8,100 kW feed in 5 MW, 1,600 kW 1 MW, 1,300 kW 0.8 MW.
PLANTS: Mapping[str, Sequence[Row]] = {
    "sce56": (
        {"name": "solar-45", "bus": 45, "sources": {"PV3": 8_100_000}},
        {"name": "solar-53", "bus": 53, "sources": {"PV4": 1_600_000}},
        {"name": "solar-19", "bus": 19, "sources": {"PV3": 1_300_000}},
        {"name": "cold-store-37", "bus": 37, "shiftable": {"G3-A": 500_000}, "patience": 24},
        {"name": "cold-store-52", "bus": 52, "shiftable": {"G3-A": 400_000}, "patience": 24},
        {"name": "battery-32", "bus": 32, "storage": {"capacity_Wh": 1_000_000, "power_W": 250_000}},
        {"name": "battery-10", "bus": 10, "storage": {"capacity_Wh": 1_000_000, "power_W": 250_000}},
    ),
    "bw33": (
        {"name": "wind-18", "bus": 18, "sources": {"WP10": 400_000}},
        {"name": "wind-25", "bus": 25, "sources": {"WP7": 500_000}},
        {"name": "solar-22", "bus": 22, "sources": {"PV4": 800_000}},
        {"name": "solar-33", "bus": 33, "sources": {"PV3": 600_000}},
        {"name": "battery-06", "bus": 6, "storage": {"capacity_Wh": 800_000, "power_W": 200_000}},
        {"name": "battery-30", "bus": 30, "storage": {"capacity_Wh": 600_000, "power_W": 150_000}},
    ),
}


def cells(name: str, case: Case) -> Iterator[Row]:
    """Every cell of a fleet: loads by bus, then the plants."""
    loaded = [site for site in case.sites if site.peak_W]
    for number, site in enumerate(loaded):
        yield _loads(number, site)
    for plant in PLANTS[name]:
        consumes = "shiftable" in plant
        yield {**plant, "tan_phi_permille": TAN_PHI_PERMILLE} if consumes else plant


def _loads(number: int, site: Site) -> Row:
    """Two thirds households, one third a business; larger buses the other way round. At most the peak in a year."""
    mix = {HOMES[number % len(HOMES)]: 2, TRADES[number % len(TRADES)]: 1}
    small = site.peak_W < SMALL_W
    if not small:
        mix = {profile: 3 - share for profile, share in mix.items()}
    row: dict[str, object] = {
        "name": f"{'homes' if small else 'shops'}-{site.bus:02d}",
        "bus": site.bus,
        "tan_phi_permille": TAN_PHI_PERMILLE,
        "loads": _scaled(mix, site.peak_W),
    }
    if number % CARS == 0:
        row["shiftable"] = {CAR_PROFILES[number // CARS % 2]: math.ceil(site.peak_W / 4_000) * 1_000}
    if number % CRITICAL == 1:
        row["critical_permille"] = CRITICAL_PERMILLE
    return row


def _scaled(mix: Mapping[str, int], peak_W: int) -> dict[str, int]:
    """Ratings in the proportions of a mix whose largest quarter hour of the year is the peak."""
    columns = [[share * value for value in load_profiles().column(profile)] for profile, share in mix.items()]
    most = max(map(sum, zip(*columns, strict=True)))
    return {profile: peak_W * share * SCALE // most for profile, share in mix.items()}


def text_of(name: str) -> str:
    """The file of a fleet."""
    blocks = "\n".join(_block(row) for row in cells(name, feeder_case(name)))
    return f"# {HEADS[name]}\n# Written by python -m utility_cell.make_fleets.\n{blocks}"


def _block(row: Row) -> str:
    return "[[cell]]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in row.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f'"{key}" = {each}' for key, each in value.items()) + " }"
    return f'"{value}"' if isinstance(value, str) else str(value)


def main() -> None:
    """Write both files."""
    for name in PLANTS:
        (FOLDER / f"{name}.toml").write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    main()
