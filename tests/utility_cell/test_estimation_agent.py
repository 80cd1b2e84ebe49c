"""The utility cell's word on a slot's meters, from readings and from what it measures itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bsmg.client.errors import QueryRefused
from cosmos_wire.protos import Message, meter_tx, registry, registry_query
from physics.feeders import feeder_case
from utility_cell.agents.cell import CellAgent, CellIdentity
from utility_cell.agents.estimation import EstimationAgent
from utility_cell.agents.run import DEFAULT_DAY
from utility_cell.fleet import load_fleet
from utility_cell.profiles import first_quarter, load_profiles
from utility_cell.world import MWH_PER_W_QUARTER, Calendar

FIRST = 1_000
CASE, FLEET, PROFILES = feeder_case("sce56"), load_fleet("sce56"), load_profiles()
CALENDAR = Calendar(first_slot=FIRST, first_quarter=first_quarter(DEFAULT_DAY) + 20)
CAPACITORS = {site.bus: -site.capacitor_var * MWH_PER_W_QUARTER for site in CASE.sites if site.capacitor_var}


class Client:
    chain_id = "mga-1"

    def __init__(self, feeder: registry.Feeder | None) -> None:
        self.feeder = feeder

    async def query(self, path: str, _request: Message, _response: type[Message]) -> Any:
        assert path.endswith("/Feeder")
        if self.feeder is None:
            raise QueryRefused(path, "memory", 3, "no feeder is set")
        return registry_query.QueryFeederResponse(feeder=self.feeder)


def cells() -> list[CellAgent]:
    identity = {"chain_id": "mga-1", "address": "bsmg1cell", "device_seed": b"\x01" * 32}
    return [
        CellAgent(
            spec=spec,
            identity=CellIdentity(device=f"{spec.name}@mga", **identity),
            calendar=CALENDAR,
            profiles=PROFILES,
            seed=1,
        )
        for spec in FLEET.cells
    ]


def agent_of(own: Sequence[CellAgent], feeder: registry.Feeder | None = CASE.feeder) -> EstimationAgent:
    return EstimationAgent(
        chain=Client(feeder),  # type: ignore[arg-type]  # a fake with `query`
        address="bsmg1utility",
        cells=own,
        capacitors=CAPACITORS,
    )


def reading(cell: CellAgent, shift_mWh: int = 0) -> meter_tx.Reading:
    net = cell.net_mWh(FIRST) + shift_mWh
    return meter_tx.Reading(device=cell.identity.device, slot=FIRST, import_mWh=max(0, net), export_mWh=max(0, -net))


async def test_honest_readings_get_nothing_but_a_root() -> None:
    own = cells()
    message = await agent_of(own).message(FIRST, [reading(cell) for cell in own])
    assert message is not None
    assert (list(message.estimates), len(message.residual_root)) == ([], 32)


@pytest.mark.parametrize("place", [0, 17, 40])
async def test_a_silent_meter_is_estimated(place: int) -> None:
    own = cells()
    message = await agent_of(own).message(FIRST, [reading(cell) for cell in own if cell is not own[place]])
    assert message is not None
    (estimate,) = message.estimates
    assert (estimate.device, estimate.flagged) == (own[place].identity.device, False)
    assert abs(estimate.net_mWh - own[place].net_mWh(FIRST)) <= 4_000 * MWH_PER_W_QUARTER


@pytest.mark.parametrize("place", [0, 17, 40])
async def test_a_false_reading_is_doubted(place: int) -> None:
    own = cells()
    said = [reading(cell, 30_000 * MWH_PER_W_QUARTER if cell is own[place] else 0) for cell in own]
    message = await agent_of(own).message(FIRST, said)
    assert message is not None
    assert [(item.device, item.flagged) for item in message.estimates] == [(own[place].identity.device, True)]


async def test_without_a_feeder_there_is_nothing_to_hold_readings_against() -> None:
    own = cells()
    assert await agent_of(own, None).message(FIRST, [reading(cell) for cell in own]) is None
