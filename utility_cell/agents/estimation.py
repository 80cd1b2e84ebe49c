"""The utility cell's state estimation: estimates for silent meters, doubts about others, a root over all residuals.

It runs on the readings that the concentrator has collected and on the utility cell's own measurements of the feeder,
which the simulated world makes from what the devices really draw.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from bsmg.client.chain import ChainClient
from cosmos_wire.protos import meter_tx, registry
from energy.records import u16, u64
from energy.units import MWH_PER_W, PERMILLE, slot_energy_mWh
from physics.errors import ObservabilityError, PowerFlowError
from physics.powerflow import Grid, grid_of
from physics.scada import MeterCheck, MeterSite, Scada, Verdict
from utility_cell.agents.cell import CellAgent
from utility_cell.agents.physics import read_feeder

log = logging.getLogger("agents")
DOMAIN = b"bsmg/residuals/1"
ENERGY_BYTES = 8


@dataclass(slots=True, kw_only=True)
class EstimationAgent:
    """Judges the meters of one microgrid; `capacitors` are mvarh by bus, withdrawal positive."""

    chain: ChainClient
    address: str
    cells: Sequence[CellAgent]
    capacitors: Mapping[int, int] = field(default_factory=dict)
    seed: int = 1
    feeder: registry.Feeder | None = None
    check: MeterCheck | None = None
    scada: Scada | None = None

    async def message(self, slot: int, readings: Sequence[meter_tx.Reading]) -> meter_tx.MsgPostEstimate | None:
        """What there is to say of a slot's meters; None without a feeder, or when too little is known to tell."""
        feeder = await read_feeder(self.chain)
        if feeder is None:
            return None
        self._follow(feeder)
        said = {reading.device: reading.import_mWh - reading.export_mWh for reading in readings}
        try:
            found = await asyncio.to_thread(self._judge, slot, said)
        except (ObservabilityError, PowerFlowError) as error:
            log.warning("%s slot %d: no state estimate: %s", self.chain.chain_id, slot, error)
            return None
        rows = [(device, energy, False) for device, energy in found.silent.items()]
        rows += [(device, energy, True) for device, energy in found.disputed.items()]
        return meter_tx.MsgPostEstimate(
            utility=self.address,
            slot=slot,
            estimates=[meter_tx.Estimate(device=name, net_mWh=net, flagged=doubt) for name, net, doubt in sorted(rows)],
            residual_root=residual_root(slot, found),
        )

    def _follow(self, feeder: registry.Feeder) -> None:
        """Models of the feeder in force, made anew when it changes."""
        if feeder != self.feeder:
            grid = grid_of(feeder)
            self.feeder, self.check, self.scada = feeder, MeterCheck(grid), Scada(grid, self.seed)

    def _judge(self, slot: int, said: Mapping[str, int]) -> Verdict:
        assert self.check is not None  # a feeder is followed before
        assert self.scada is not None
        grid = self.scada.grid
        on_feeder = [cell for cell in self.cells if cell.spec.bus in grid.buses]
        measured = self.scada.measure(slot, *self._drawn(grid, on_feeder, slot))
        return self.check.judge([_site(cell, slot) for cell in on_feeder], said, measured)

    def _drawn(self, grid: Grid, cells: Sequence[CellAgent], slot: int) -> tuple[np.ndarray, np.ndarray]:
        """What the world withdraws in a slot, p.u. by bus."""
        p, q, place = np.zeros(len(grid.buses)), np.zeros(len(grid.buses)), {b: at for at, b in enumerate(grid.buses)}
        for bus, q_mvarh in self.capacitors.items():
            q[place[bus]] += q_mvarh
        for cell in cells:
            net = cell.net_mWh(slot)
            p[place[cell.spec.bus]] += net
            q[place[cell.spec.bus]] += net * cell.spec.tan_phi_permille / PERMILLE
        unit = MWH_PER_W * grid.s_base_W
        return p / unit, q / unit


def _site(cell: CellAgent, slot: int) -> MeterSite:
    spec, quarter = cell.spec, cell.calendar.quarter(slot)
    return MeterSite(
        device=cell.identity.device,
        bus=spec.bus,
        low_mWh=-slot_energy_mWh(spec.max_export_W),
        high_mWh=slot_energy_mWh(spec.max_import_W),
        expected_mWh=cell.forecast(cell.profiles, spec, quarter),
    )


def residual_root(slot: int, found: Verdict) -> bytes:
    """SHA-256 of `bsmg/residuals/1`, slot u64, and by bus: number u16, sum of readings and estimate i64, big-endian."""
    parts = [DOMAIN, u64(slot)]
    for bus, energies in sorted(found.buses.items()):
        parts += [u16(bus), *(energy.to_bytes(ENERGY_BYTES, "big", signed=True) for energy in energies)]
    return sha256(b"".join(parts)).digest()
