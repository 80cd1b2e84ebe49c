"""The same verdicts against pandapower, which shares no code with the power flow that the other tests lean on."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from energy.grid.network import network_of
from energy.grid.schedule import BusEnergy, injection_of
from energy.grid.secure import Certificate, certify
from physics.feeders import Case, random_radial, sce56
from physics.powerflow import PowerFlow, grid_of
from tests.grid import by_pandapower
from tests.grid.cases import SLACK, random_energies, solve


@pytest.mark.parametrize("case", [sce56(), random_radial(2, 30)], ids=["sce56", "tree of 30"])
def test_pandapower_finds_no_violation_in_what_is_accepted(case: Case) -> None:
    random, net = Random(11), network_of(case.feeder)
    flow, panda = PowerFlow(grid_of(case.feeder)), by_pandapower.network(case.feeder)
    accepted = 0
    for _ in range(40):
        energies = random_energies(case, random, 2.0)
        if not isinstance(certify(net, injection_of(net, energies)), Certificate):
            continue
        accepted += 1
        by_pandapower.solve(panda, energies)
        assert by_pandapower.violations(panda, case.feeder, SLACK) == []
        ours, theirs = solve(flow, energies).v, panda.res_bus["vm_pu"].to_numpy()
        assert np.max(np.abs(ours - theirs)) < SLACK
    assert accepted >= 5


def test_the_feeder_of_the_paper_has_its_known_flow() -> None:
    """Peak load with all capacitors: lowest voltage 0.9700 at bus 37, as two transcriptions of the paper give it."""
    case = sce56(900, 1100)
    panda = by_pandapower.network(case.feeder)
    by_pandapower.solve(panda, [site.baseline() for site in case.sites])
    v = panda.res_bus["vm_pu"].to_numpy()
    assert (round(float(np.min(v)), 4), panda.bus["name"].iloc[int(np.argmin(v))]) == (0.97, "37")
    without = [site.baseline() for site in case.sites]
    by_pandapower.solve(
        panda, [_without_capacitor(e, s.capacitor_var) for e, s in zip(without, case.sites, strict=True)]
    )
    v = panda.res_bus["vm_pu"].to_numpy()
    assert (round(float(np.min(v)), 4), panda.bus["name"].iloc[int(np.argmin(v))]) == (0.9337, "52")
    assert round(float(panda.res_line["pl_mw"].sum()), 4) == 0.1075


def _without_capacitor(energy: BusEnergy, capacitor_var: int) -> BusEnergy:
    return replace(energy, base_q_mvarh=energy.base_q_mvarh + capacitor_var * 250)
