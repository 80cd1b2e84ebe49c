"""Handlers of `bsmg.meter.v1.Msg`."""

from __future__ import annotations

from collections.abc import Sequence

from cosmos_wire import ed25519
from cosmos_wire.errors import ChainError, InvalidRequest
from cosmos_wire.protos import meter as pb
from cosmos_wire.protos import meter_tx as tx
from cosmos_wire.protos import registry as registry_pb
from energy.errors import (
    AboveRating,
    BadSignature,
    Duplicate,
    NotAuthorized,
    NotMissing,
    TotalsDoNotContinue,
    UnknownDevice,
)
from energy.market.module import Market
from energy.meter import state
from energy.meter.reading import sign_bytes
from energy.registry import Registry
from energy.units import require_range, slot_energy_mWh
from ibc_core.host import Context, event

BATCH_MAX = 500
SIGNATURE_GAS = 600
RATING_NUM, RATING_DEN = 12, 10  # a meter may show 1.2 x the rating
GAP_MAX_MWH = 10**13  # of one device at once; sums over all devices of a slot stay below 2^63
ROOT_BYTES = (0, 32)
OWN_SPACES = ("meter", "market")


class Handlers:
    """The messages, with the modules they need."""

    def __init__(self, market: Market, registry: Registry) -> None:
        self.market = market
        self.registry = registry

    def submit_readings(self, ctx: Context, msg: tx.MsgSubmitReadings) -> tx.MsgSubmitReadingsResponse:
        """Take 1..500 readings from anybody: the devices sign. A refused one gets its code and stops nothing else."""
        require_range(len(msg.readings), (1, BATCH_MAX), "number of readings")
        return tx.MsgSubmitReadingsResponse(results=[self._submit(ctx, reading) for reading in msg.readings])

    def _submit(self, ctx: Context, reading: tx.Reading) -> tx.ReadingResult:
        try:
            device = self._check(ctx, reading)
        except ChainError as error:
            if error.codespace not in OWN_SPACES:
                raise  # gas and the like end the transaction
            return tx.ReadingResult(code=error.code, log=str(error), codespace=error.codespace)
        self._accept(ctx, reading, self.registry.cell_of_device(ctx, device))
        return tx.ReadingResult()

    def _check(self, ctx: Context, reading: tx.Reading) -> registry_pb.Device:
        device = self._device(ctx, reading.device)
        self.market.require_metering(ctx, reading.slot)
        if state.reading(ctx, reading.slot, reading.device) is not None:
            raise Duplicate(f"{reading.device} reported slot {reading.slot} already")
        cell = self.registry.cell_of_device(ctx, device)
        _require_rating("import_mWh", reading.import_mWh, cell.max_import_W)
        _require_rating("export_mWh", reading.export_mWh, cell.max_export_W)
        _check_totals(reading, state.totals(ctx, reading.device), cell)
        ctx.gas.consume(SIGNATURE_GAS, "ed25519")
        if not ed25519.verify(device.pubkey, sign_bytes(ctx.env.chain_id, reading), reading.signature):
            raise BadSignature(f"the reading has to be signed by {reading.device} for chain {ctx.env.chain_id}")
        return device

    def _accept(self, ctx: Context, reading: tx.Reading, cell: registry_pb.Cell) -> None:
        said = state.cell_meter(ctx, reading.slot, cell.number)
        before = state.totals(ctx, reading.device)
        if before is None:
            said.first_readings += 1
        else:
            bought, sold = _gap(reading, before)
            said.gap_mWh += bought - sold
        said.import_mWh += reading.import_mWh
        said.export_mWh += reading.export_mWh
        said.readings += 1
        guess = state.estimate(ctx, reading.slot, reading.device)
        if guess is not None:
            said.estimates -= 1
            said.estimated_mWh -= guess.net_mWh
            state.drop_estimate(ctx, reading.slot, reading.device)
        state.save_cell_meter(ctx, reading.slot, cell.number, said)
        state.save_reading(ctx, reading)

    def post_estimate(self, ctx: Context, msg: tx.MsgPostEstimate) -> tx.MsgPostEstimateResponse:
        """The utility cell's estimates for silent devices, all or none. A reading that comes later replaces one.

        A flagged one may be of a device that reported: it marks the reading as disputed and changes nothing else, for a
        signed reading whose counters continue is worth more than the utility cell's word.
        """
        expected = self.market.params(ctx).utility
        if msg.utility != expected:
            raise NotAuthorized(f"the utility cell {expected} is expected, got {msg.utility}")
        self.market.require_metering(ctx, msg.slot)
        require_range(len(msg.estimates), (0, BATCH_MAX), "number of estimates")
        if len(msg.residual_root) not in ROOT_BYTES:
            raise InvalidRequest(f"residual_root has to be 0 or 32 bytes, got {len(msg.residual_root)}")
        cells = self._check_estimates(ctx, msg.slot, msg.estimates)
        for estimate, cell in zip(msg.estimates, cells, strict=True):
            self._keep_estimate(ctx, msg.slot, estimate, cell)
        if msg.residual_root:
            ctx.app.set(state.root_key(msg.slot), msg.residual_root)
        ctx.events.emit(event("estimates_posted", slot=msg.slot, count=len(msg.estimates)))
        return tx.MsgPostEstimateResponse()

    def _keep_estimate(self, ctx: Context, slot: int, estimate: tx.Estimate, cell: registry_pb.Cell) -> None:
        said, reading = state.cell_meter(ctx, slot, cell.number), state.reading(ctx, slot, estimate.device)
        if reading is not None:
            said.flagged += 1
            state.save_flag(ctx, slot, estimate)
            net_mWh = reading.import_mWh - reading.export_mWh
            ctx.events.emit(
                event(
                    "reading_disputed",
                    slot=slot,
                    device=estimate.device,
                    cell=cell.address,
                    reading_mWh=net_mWh,
                    estimate_mWh=estimate.net_mWh,
                )
            )
        else:
            said.estimates += 1
            said.estimated_mWh += estimate.net_mWh
            state.save_estimate(ctx, slot, estimate)
        state.save_cell_meter(ctx, slot, cell.number, said)

    def _check_estimates(self, ctx: Context, slot: int, estimates: Sequence[tx.Estimate]) -> list[registry_pb.Cell]:
        names = [estimate.device for estimate in estimates]
        if len(dict.fromkeys(names)) != len(names):
            raise NotMissing("a device may be estimated once in a message")
        return [self._check_estimate(ctx, slot, estimate) for estimate in estimates]

    def _check_estimate(self, ctx: Context, slot: int, estimate: tx.Estimate) -> registry_pb.Cell:
        device = self._device(ctx, estimate.device)
        if not estimate.flagged and state.reading(ctx, slot, estimate.device) is not None:
            raise NotMissing(f"{estimate.device} reported slot {slot} itself")
        if state.flag(ctx, slot, estimate.device) is not None:
            raise NotMissing(f"the reading of {estimate.device} for slot {slot} is disputed already")
        if state.estimate(ctx, slot, estimate.device) is not None:
            raise NotMissing(f"{estimate.device} has an estimate for slot {slot} already")
        cell = self.registry.cell_of_device(ctx, device)
        bounds = -slot_energy_mWh(cell.max_export_W), slot_energy_mWh(cell.max_import_W)
        require_range(estimate.net_mWh, bounds, "net_mWh", AboveRating)
        return cell

    def _device(self, ctx: Context, text: str) -> registry_pb.Device:
        device = self.registry.device(ctx, text)
        if device is None or device.status != registry_pb.STATUS_ACTIVE:
            raise UnknownDevice(f"no active device has the identity {text[:80]!r}")
        return device


def _require_rating(what: str, energy_mWh: int, rating_W: int) -> None:
    require_range(energy_mWh, (0, _most_mWh(rating_W)), what, AboveRating)


def _most_mWh(rating_W: int) -> int:
    return slot_energy_mWh(rating_W) * RATING_NUM // RATING_DEN


def _gap(reading: tx.Reading, before: pb.Totals) -> tuple[int, int]:
    """Import and export that the counters show between the last reading and this slot."""
    return (
        reading.import_total_mWh - reading.import_mWh - before.import_total_mWh,
        reading.export_total_mWh - reading.export_mWh - before.export_total_mWh,
    )


def _check_totals(reading: tx.Reading, before: pb.Totals | None, cell: registry_pb.Cell) -> None:
    if before is None:
        if reading.import_total_mWh < reading.import_mWh or reading.export_total_mWh < reading.export_mWh:
            raise TotalsDoNotContinue("a counter can't be below the energy of its slot")
        return
    if reading.slot <= before.slot:
        raise TotalsDoNotContinue(f"the next reading has to be of a slot after {before.slot}, got {reading.slot}")
    gaps, missed = _gap(reading, before), reading.slot - before.slot - 1
    for what, gap, rating_W in zip(("import", "export"), gaps, (cell.max_import_W, cell.max_export_W), strict=True):
        most = min(missed * _most_mWh(rating_W), GAP_MAX_MWH)
        if not 0 <= gap <= most:
            raise TotalsDoNotContinue(
                f"the {what} counter may run 0..{most} mWh ahead for {missed} slots without a reading, runs {gap}"
            )
