"""The feeders that ship are the published ones: pandapower's own copies say the same."""

from __future__ import annotations

import numpy as np
import pandapower
import pandapower.networks
import pytest

from energy.grid.fixed import ONE
from energy.grid.network import network_of
from energy.grid.schedule import injection_of
from energy.grid.secure import Certificate, certify
from physics.feeders import BW_BASE_OHM, FEEDERS, bw33
from tests.grid import by_pandapower


def test_the_33_buses_are_those_of_pandapower() -> None:
    theirs, case = pandapower.networks.case33bw(), bw33()
    lines = theirs.line[theirs.line["in_service"]]
    found = {(int(row.from_bus) + 1, int(row.to_bus) + 1): row for row in lines.itertuples()}
    assert set(found) == {(branch.from_bus, branch.to_bus) for branch in case.feeder.branches}
    for branch in case.feeder.branches:
        row = found[branch.from_bus, branch.to_bus]
        ohm = BW_BASE_OHM / ONE
        assert branch.r_pu_q30 * ohm == pytest.approx(row.r_ohm_per_km * row.length_km, abs=1e-6)
        assert branch.x_pu_q30 * ohm == pytest.approx(row.x_ohm_per_km * row.length_km, abs=1e-6)
    loads = {int(row.bus) + 1: (round(row.p_mw * 1e6), round(row.q_mvar * 1e6)) for row in theirs.load.itertuples()}
    assert loads == {site.bus: (site.peak_W, site.peak_var) for site in case.sites if site.peak_W}


def test_the_33_buses_have_the_known_flow_at_peak() -> None:
    """Lowest voltage 0.9131 at bus 18, losses 202.7 kW, as the literature has it."""
    case = bw33()
    panda = by_pandapower.network(case.feeder)
    by_pandapower.solve(panda, [site.baseline() for site in case.sites])
    v = panda.res_bus["vm_pu"].to_numpy()
    assert (round(float(np.min(v)), 4), panda.bus["name"].iloc[int(np.argmin(v))]) == (0.9131, "18")
    assert round(float(panda.res_line["pl_mw"].sum()), 4) == 0.2027


@pytest.mark.parametrize("name", sorted(FEEDERS))
def test_a_feeder_bears_half_its_load_within_the_limits_asked_for(name: str) -> None:
    case = FEEDERS[name](930, 1040)
    assert (case.feeder.vmin_permille, case.feeder.vmax_permille) == (930, 1040)
    net = network_of(case.feeder)
    assert isinstance(certify(net, injection_of(net, [site.baseline(500) for site in case.sites])), Certificate)
