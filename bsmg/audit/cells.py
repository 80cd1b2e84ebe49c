"""Cells and devices as the registry's messages make them, and what devices say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any as Json

from google.protobuf import json_format

from bsmg.audit.settle import Said
from bsmg.audit.stage import Stage
from cosmos_wire import ed25519
from cosmos_wire.protos import meter_tx, registry, registry_tx

FULL_SCORE = 1000
READING_DOMAIN = b"bsmg/reading/1"


@dataclass(slots=True, kw_only=True)
class Cell:
    """A cell's account with the market."""

    number: int
    id: str
    address: str
    bus: int
    import_W: int = 0
    export_W: int = 0
    tangent: int = 0  # tan phi, permille
    devices: int = 0
    score: int = FULL_SCORE
    collateral: int = 0
    arrears: int = 0
    owed: int = 0
    missed: int = 0
    assumed_mWh: int = 0
    status: int = registry.STATUS_ACTIVE
    next_status: int = 0


@dataclass(slots=True, kw_only=True)
class Device:
    """A meter; `totals` are its counters after the last accepted reading."""

    id: str
    cell: Cell
    pubkey: bytes
    status: int = registry.STATUS_ACTIVE
    next_status: int = 0
    totals: tuple[int, int] | None = None


@dataclass(slots=True, kw_only=True)
class Meters:
    """What was said about one slot."""

    cells: dict[int, Said] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    estimates: dict[str, int] = field(default_factory=dict)

    def of(self, number: int) -> Said:
        """A cell's sums, made when first asked for."""
        return self.cells.setdefault(number, Said())


class Cells:
    """The registry's replay."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.by_number: dict[int, Cell] = {}
        self.by_id: dict[str, Cell] = {}
        self.by_address: dict[str, Cell] = {}
        self.devices: dict[str, Device] = {}
        self.waiting: dict[str, None] = {}
        self.feeder: registry.Feeder | None = None
        self.next_feeder: registry.Feeder | None = None

    def load(self, doc: Mapping[str, Json]) -> None:
        """Cells and devices of genesis."""
        for item in doc.get("cells", ()):
            record = json_format.ParseDict(item, registry.Cell())
            cell = self._add(record.id, record.address, (record.bus, record.tan_phi_permille))
            cell.import_W, cell.export_W = record.max_import_W, record.max_export_W
            cell.score = record.score_permille or FULL_SCORE
            cell.status = record.status or registry.STATUS_ACTIVE
            cell.collateral, cell.arrears = int(record.collateral or 0), int(record.arrears or 0)
            cell.owed, cell.missed = int(record.owed or 0), record.missed
        if "feeder" in doc:
            self.feeder = json_format.ParseDict(doc["feeder"], registry.Feeder())
        for item in doc.get("devices", ()):
            device = json_format.ParseDict(item, registry.Device())
            self._add_device(device.id, device.cell, device.pubkey, device.status or registry.STATUS_ACTIVE)

    def set_feeder(self, msg: registry_tx.MsgSetFeeder) -> None:
        """In force when the next slot opens."""
        self.next_feeder = registry.Feeder()
        self.next_feeder.CopyFrom(msg.feeder)

    def _add(self, ident: str, address: str, place: tuple[int, int]) -> Cell:
        bus, tangent = place
        cell = Cell(number=len(self.by_number) + 1, id=ident, address=address, bus=bus, tangent=tangent)
        self.by_number[cell.number] = self.by_id[ident] = self.by_address[address] = cell
        return cell

    def _add_device(self, ident: str, cell: str, pubkey: bytes, status: int) -> None:
        owner = self.by_id[cell]
        self.devices[ident] = Device(id=ident, cell=owner, pubkey=pubkey, status=status)
        owner.devices += status == registry.STATUS_ACTIVE

    def register_cell(self, msg: registry_tx.MsgRegisterCell, answer: registry_tx.MsgRegisterCellResponse) -> None:
        """A new cell gets the next number."""
        cell = self._add(msg.id, msg.cell, (msg.bus, msg.tan_phi_permille))
        cell.import_W, cell.export_W = msg.max_import_W, msg.max_export_W
        self.stage.findings.equal("cells", f"{self.stage.place}: number of {msg.id}", cell.number, answer.number)

    def register_device(self, msg: registry_tx.MsgRegisterDevice) -> None:
        """A new meter, active at once."""
        self._add_device(msg.device, msg.cell, msg.pubkey, registry.STATUS_ACTIVE)

    def set_status(self, msg: registry_tx.MsgSetStatus) -> None:
        """Takes effect when the next slot opens."""
        found = self.by_id.get(msg.id) or self.devices[msg.id]
        found.next_status = msg.status
        self.waiting[msg.id] = None

    def slot_opens(self) -> None:
        """What waited comes into force."""
        for ident in self.waiting:
            found: Cell | Device = self.by_id.get(ident) or self.devices[ident]
            if isinstance(found, Device):
                before = found.status == registry.STATUS_ACTIVE
                found.cell.devices += (found.next_status == registry.STATUS_ACTIVE) - before
            found.status, found.next_status = found.next_status, 0
        self.waiting = {}
        self.feeder, self.next_feeder = self.next_feeder or self.feeder, None

    def reading(self, said: Meters, reading: meter_tx.Reading) -> None:
        """An accepted reading: its signature is checked again, its sums are kept."""
        device, findings = self.devices[reading.device], self.stage.findings
        findings.count("readings")
        if not ed25519.verify(device.pubkey, reading_bytes(self.stage.chain_id, reading), reading.signature):
            name = f"{self.stage.place}: reading of {reading.device} for slot {reading.slot}"
            findings.add("readings", name, "a signature by the device", "none that verifies")
        sums = said.of(device.cell.number)
        if device.totals is None:
            sums.first_readings += 1
        else:
            bought = reading.import_total_mWh - reading.import_mWh - device.totals[0]
            sums.gap_mWh += bought - (reading.export_total_mWh - reading.export_mWh - device.totals[1])
        sums.import_mWh += reading.import_mWh
        sums.export_mWh += reading.export_mWh
        sums.readings += 1
        if reading.device in said.estimates:
            sums.estimates -= 1
            sums.estimated_mWh -= said.estimates.pop(reading.device)
        said.read.add(reading.device)
        device.totals = reading.import_total_mWh, reading.export_total_mWh

    def estimate(self, said: Meters, estimate: meter_tx.Estimate) -> None:
        """The utility cell's word for a silent device, or against a reading: that changes nothing but a mark."""
        sums = said.of(self.devices[estimate.device].cell.number)
        if estimate.device in said.read:
            sums.disputed = True
            return
        sums.estimates += 1
        sums.estimated_mWh += estimate.net_mWh
        said.estimates[estimate.device] = estimate.net_mWh


def reading_bytes(chain_id: str, reading: meter_tx.Reading) -> bytes:
    """What a device signs: domain, chain, device behind their lengths, then five numbers of eight bytes."""
    chain, device = chain_id.encode(), reading.device.encode()
    numbers = (
        reading.slot,
        reading.import_mWh,
        reading.export_mWh,
        reading.import_total_mWh,
        reading.export_total_mWh,
    )
    head = READING_DOMAIN + bytes([len(chain)]) + chain + bytes([len(device)]) + device
    return head + b"".join(number.to_bytes(8, "big") for number in numbers)
