"""An AC optimal power flow that shares nothing with ours: pandapower's interior point on the full equations."""

from __future__ import annotations

from typing import Any

import pandapower

from cosmos_wire.protos import registry as pb
from energy.grid.dispatch import Problem
from tests.grid import by_pandapower
from tests.grid.by_pandapower import KV, MWH_PER_MW


def cheapest(problem: Problem, feeder: pb.Feeder) -> float:
    """Base units of the best schedule that it finds; blocks without reactive parts, import dearer than export."""
    net = by_pandapower.network(feeder)
    place = {int(name): at for at, name in net.bus["name"].items()}
    for energy in problem.base:
        at = place[energy.bus]
        net.load.loc[net.load["bus"] == at, "p_mw"] += energy.base_p_mWh / MWH_PER_MW
        net.load.loc[net.load["bus"] == at, "q_mvar"] += energy.base_q_mvarh / MWH_PER_MW
    net.bus["min_vm_pu"], net.bus["max_vm_pu"] = feeder.vmin_permille / 1000, feeder.vmax_permille / 1000
    root = place[feeder.root_bus]
    net.bus.loc[root, ["min_vm_pu", "max_vm_pu"]] = feeder.v0_permille / 1000
    ratings = [branch.s_max_W / 1e6 for branch in feeder.branches]
    net.line["max_i_ka"] = [rating / (3**0.5 * KV) for rating in ratings]
    net.line["max_loading_percent"] = 100.0
    for block in problem.blocks:
        most = block.quantity_mWh / MWH_PER_MW
        low, high = (-most, 0.0) if block.direction > 0 else (0.0, most)
        made = pandapower.create_sgen(
            net,
            place[block.bus],
            0.0,
            0.0,
            min_p_mw=low,
            max_p_mw=high,
            min_q_mvar=0.0,
            max_q_mvar=0.0,
            controllable=True,
        )
        pandapower.create_poly_cost(net, made, "sgen", cp1_eur_per_mw=block.price_e4 / 1e4)
    _root_prices(net, problem, root)
    pandapower.runopp(net, init="flat", calculate_voltage_angles=False, numba=False)
    return float(net.res_cost) * 1e4 * MWH_PER_MW


def _root_prices(net: Any, problem: Problem, root: int) -> None:
    """Imports at the external grid for the import price, exports as a load next to it that pays the export price."""
    net.ext_grid["min_p_mw"], net.ext_grid["max_p_mw"] = 0.0, 50.0
    net.ext_grid["min_q_mvar"], net.ext_grid["max_q_mvar"] = -50.0, 50.0
    pandapower.create_poly_cost(net, 0, "ext_grid", cp1_eur_per_mw=problem.import_e4 / 1e4)
    fed = pandapower.create_sgen(
        net, root, 0.0, 0.0, min_p_mw=-50.0, max_p_mw=0.0, min_q_mvar=0.0, max_q_mvar=0.0, controllable=True
    )
    pandapower.create_poly_cost(net, fed, "sgen", cp1_eur_per_mw=problem.export_e4 / 1e4)
