"""The independent AC power flow: pandapower, built from the feeder alone. Slow to import, so tests use it sparingly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandapower

from cosmos_wire.protos import registry as pb
from energy.grid.schedule import BusEnergy

KV = 10.0
MWH_PER_MW = 250 * 10**6  # mWh of a slot


def network(feeder: pb.Feeder) -> Any:
    """The feeder at 10 kV; any level will do, for impedances are given in p.u."""
    net = pandapower.create_empty_network(f_hz=50.0, sn_mva=feeder.s_base_W / 1e6)
    numbers = sorted({feeder.root_bus, *(b for br in feeder.branches for b in (br.from_bus, br.to_bus))})
    buses = {number: pandapower.create_bus(net, KV, name=str(number)) for number in numbers}
    pandapower.create_ext_grid(net, buses[feeder.root_bus], vm_pu=feeder.v0_permille / 1000)
    ohm = KV**2 / (feeder.s_base_W / 1e6) / 2**30
    for branch in feeder.branches:
        pandapower.create_line_from_parameters(
            net,
            buses[branch.from_bus],
            buses[branch.to_bus],
            length_km=1.0,
            r_ohm_per_km=branch.r_pu_q30 * ohm,
            x_ohm_per_km=branch.x_pu_q30 * ohm,
            c_nf_per_km=0.0,
            max_i_ka=1.0,
        )
    for number in numbers:
        pandapower.create_load(net, buses[number], p_mw=0.0, q_mvar=0.0, name=str(number))
    return net


def solve(net: Any, energies: Sequence[BusEnergy]) -> None:
    """Run the AC power flow of a schedule; raises pandapower's own error when it does not converge."""
    p, q = dict.fromkeys((energy.bus for energy in energies), 0.0), dict.fromkeys((e.bus for e in energies), 0.0)
    for energy in energies:
        p[energy.bus] += (energy.base_p_mWh + energy.trade_p_mWh) / MWH_PER_MW
        permille = energy.base_q_permille + energy.trade_q_permille
        q[energy.bus] += (energy.base_q_mvarh + permille / 1000) / MWH_PER_MW
    net.load["p_mw"] = [p.get(int(name), 0.0) for name in net.load["name"]]
    net.load["q_mvar"] = [q.get(int(name), 0.0) for name in net.load["name"]]
    pandapower.runpp(net, algorithm="nr", tolerance_mva=1e-10, max_iteration=50, numba=False)


def violations(net: Any, feeder: pb.Feeder, slack: float) -> list[str]:
    """Limits of the feeder that the solution breaks, in words."""
    v = net.res_bus["vm_pu"].to_numpy()
    low, high = feeder.vmin_permille / 1000 - slack, feeder.vmax_permille / 1000 + slack
    found = [f"bus {net.bus['name'].iloc[at]}: {v[at]}" for at in np.nonzero((v < low) | (v > high))[0]]
    line = net.res_line
    most = np.maximum(
        np.hypot(line["p_from_mw"], line["q_from_mvar"]), np.hypot(line["p_to_mw"], line["q_to_mvar"])
    ).to_numpy()
    limits = np.array([branch.s_max_W / 1e6 for branch in feeder.branches])
    return found + [f"branch {at}: {most[at]}" for at in np.nonzero(most > limits + slack)[0]]
