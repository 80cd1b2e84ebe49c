"""Readings held against measurements: silent meters are estimated, false ones found, honest ones left alone."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from physics.feeders import sce56
from physics.powerflow import grid_of
from physics.scada import MeterCheck, MeterSite, Scada

CASE = sce56()
GRID = grid_of(CASE.feeder)
CHECK = MeterCheck(GRID)
KW = 250_000  # mWh of 1 kW over a slot
TAN = 0.48


def homes(seed: int) -> tuple[list[MeterSite], dict[str, int]]:
    """Two meters at each loaded bus, forecast to a fifth."""
    random, sites, truth = Random(seed), [], {}
    for site in CASE.sites:
        for number in range(2 if site.peak_W else 0):
            device, energy = f"m{site.bus}-{number}", random.randrange(5, 45) * KW
            rating = 100 * KW
            expected = round(energy * random.uniform(0.8, 1.2))
            sites.append(
                MeterSite(device=device, bus=site.bus, low_mWh=-rating, high_mWh=rating, expected_mWh=expected)
            )
            truth[device] = energy
    return sites, truth


def measured(sites: list[MeterSite], truth: dict[str, int], slot: int) -> list:
    p, q = np.zeros(len(GRID.buses)), np.zeros(len(GRID.buses))
    for site in sites:
        at = GRID.buses.index(site.bus)
        p[at] += truth[site.device] / (250 * GRID.s_base_W)
        q[at] += TAN * truth[site.device] / (250 * GRID.s_base_W)
    return Scada(GRID, seed=7).measure(slot, p, q)


@pytest.mark.parametrize("seed", range(5))
def test_honest_meters_are_left_alone(seed: int) -> None:
    sites, truth = homes(seed)
    found = CHECK.judge(sites, truth, measured(sites, truth, seed))
    assert (found.silent, found.disputed) == ({}, {})
    assert found.largest < 4


@pytest.mark.parametrize("seed", range(5))
def test_silent_meters_get_what_the_state_says(seed: int) -> None:
    """One alone at its bus to 3 kW; two at one bus together to 3 kW, each nearer than its forecast on average."""
    sites, truth = homes(seed)
    alone, pair = sites[0], [sites[4], sites[5]]
    quiet = {alone.device, *(site.device for site in pair)}
    said = {device: energy for device, energy in truth.items() if device not in quiet}
    found = CHECK.judge(sites, said, measured(sites, truth, seed))
    assert set(found.silent) == quiet
    assert abs(found.silent[alone.device] - truth[alone.device]) <= 3 * KW
    assert abs(sum(found.silent[s.device] - truth[s.device] for s in pair)) <= 3 * KW
    assert found.disputed == {}


@pytest.mark.parametrize("seed", range(8))
def test_a_false_reading_is_found_and_the_neighbour_at_its_bus_is_not_blamed(seed: int) -> None:
    sites, truth = homes(seed)
    liar = sites[Random(seed).randrange(len(sites))]
    said = {**truth, liar.device: truth[liar.device] - 40 * KW}
    found = CHECK.judge(sites, said, measured(sites, truth, seed))
    assert list(found.disputed) == [liar.device]
    assert abs(found.disputed[liar.device] - truth[liar.device]) <= 3 * KW


def test_estimates_stay_inside_the_rating() -> None:
    sites, truth = homes(1)
    small = MeterSite(device=sites[0].device, bus=sites[0].bus, low_mWh=0, high_mWh=KW, expected_mWh=KW)
    said = {device: energy for device, energy in truth.items() if device != small.device}
    found = CHECK.judge([small, *sites[1:]], said, measured(sites, truth, 1))
    assert found.silent == {small.device: KW}


def test_noise_is_the_slots_own_and_the_same_again() -> None:
    sites, truth = homes(2)
    assert measured(sites, truth, 5) == measured(sites, truth, 5)
    assert measured(sites, truth, 5) != measured(sites, truth, 6)
