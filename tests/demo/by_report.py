"""A report's schedules solved again by pandapower from report.json alone: `python -m tests.demo.by_report FILE`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any as Json

import pandapower
from google.protobuf import json_format

from cosmos_wire.protos import registry
from energy.grid.schedule import BusEnergy
from tests.grid import by_pandapower

SLACK = 1e-6


def violations(feeder_day: Json) -> dict[int, list[str]]:
    """Limits that sealed schedules break, by slot; slots without any are left out."""
    feeder = json_format.ParseDict(feeder_day["feeder"], registry.Feeder())
    net, found = by_pandapower.network(feeder), {}
    for slot in feeder_day["slots"]:
        rows = zip(feeder_day["buses"], slot["p_mWh"], slot["q_mvarh"], strict=True)
        try:
            by_pandapower.solve(net, [BusEnergy(bus=bus, base_p_mWh=p, base_q_mvarh=q) for bus, p, q in rows])
        except pandapower.LoadflowNotConverged:
            found[slot["slot"]] = ["no AC solution"]
            continue
        broken = by_pandapower.violations(net, feeder, SLACK)
        if broken:
            found[slot["slot"]] = broken
    return found


def main() -> None:
    """Print every feeder's verdict; exit code 1 when a limit is broken."""
    doc, wrong = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), 0
    for chain in doc["chains"]:
        if chain["feeder"] is not None:
            found = violations(chain["feeder"])
            print(f"{chain['chain_id']}: {len(chain['feeder']['slots'])} schedules, {len(found)} break a limit")
            for slot, broken in found.items():
                print(f"  slot {slot}: {broken[0]} and {len(broken) - 1} more")
            wrong += len(found)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
