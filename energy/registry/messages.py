"""Handlers of `bsmg.registry.v1.Msg`: the utility cell enrols cells and devices."""

from __future__ import annotations

from collections.abc import Callable

from cosmos_wire.address import from_bech32
from cosmos_wire.errors import InvalidPubKey, InvalidRequest, Unauthorized
from cosmos_wire.protos import registry as pb
from cosmos_wire.protos import registry_tx as tx
from energy.errors import Exists, Unknown
from energy.records import save
from energy.registry import state
from energy.registry.feeder import check_feeder
from energy.registry.identity import require_id
from energy.units import PERMILLE, RATING_MAX_W, U16_MAX, require_range
from ibc_core.host import Context, event

Votes = Callable[[Context], bool]  # whether validators can vote on schedules

PUBKEY_BYTES = 32
TAN_PHI_MAX = 10_000
DEVICES_PER_CELL_MAX = 16
STATUSES = (pb.STATUS_ACTIVE, pb.STATUS_SUSPENDED, pb.STATUS_REMOVED)


def register_cell(ctx: Context, msg: tx.MsgRegisterCell) -> tx.MsgRegisterCellResponse:
    """Enrol a cell, active at once; raises Unauthorized, BadId, Exists, InvalidRequest."""
    _require_utility(ctx, msg.utility)
    record = pb.Cell(
        id=msg.id,
        address=msg.cell,
        bus=msg.bus,
        max_import_W=msg.max_import_W,
        max_export_W=msg.max_export_W,
        tan_phi_permille=msg.tan_phi_permille,
        inverter_VA=msg.inverter_VA,
        status=pb.STATUS_ACTIVE,
        score_permille=PERMILLE,
    )
    check_new_cell(ctx, record)
    number = state.add_cell(ctx, record)
    ctx.events.emit(event("cell_registered", cell=msg.cell, id=msg.id, number=number))
    return tx.MsgRegisterCellResponse(number=number)


def register_device(ctx: Context, msg: tx.MsgRegisterDevice) -> tx.MsgRegisterDeviceResponse:
    """Enrol a metering device of a cell; raises Unauthorized, BadId, Exists, Unknown, InvalidPubKey."""
    _require_utility(ctx, msg.utility)
    record = pb.Device(id=msg.device, cell=msg.cell, pubkey=msg.pubkey, status=pb.STATUS_ACTIVE)
    state.add_device(ctx, record, check_new_device(ctx, record))
    ctx.events.emit(event("device_registered", cell=msg.cell, device=msg.device))
    return tx.MsgRegisterDeviceResponse()


def set_status(ctx: Context, msg: tx.MsgSetStatus) -> tx.MsgSetStatusResponse:
    """Change the status of a cell or device from the next OPEN on; REMOVED is for good."""
    _require_utility(ctx, msg.utility)
    if msg.status not in STATUSES:
        raise InvalidRequest(f"status has to be ACTIVE, SUSPENDED or REMOVED, got {msg.status}")
    cell, device = state.cell_of_id(ctx, msg.id), state.device(ctx, msg.id)
    found = cell or device
    if found is None:
        raise Unknown(f"no cell or device has the identity {msg.id[:80]!r}")
    if pb.STATUS_REMOVED in (found.status, found.next_status):
        raise InvalidRequest(f"{msg.id} is removed; its status can't change to {msg.status}")
    found.next_status = msg.status
    if isinstance(found, pb.Cell):
        state.save_cell(ctx, found)
    else:
        state.save_device(ctx, found)
    ctx.app.set(state.CHANGES + msg.id.encode(), b"1")
    ctx.events.emit(event("status_changes", id=msg.id, status=pb.Status.Name(msg.status)))
    return tx.MsgSetStatusResponse()


def set_feeder(votes: Votes, ctx: Context, msg: tx.MsgSetFeeder) -> tx.MsgSetFeederResponse:
    """Keep a feeder from the next OPEN on: mode CHAIN certifies every schedule against it, BALLOT has it voted on."""
    _require_utility(ctx, msg.utility)
    check_feeder(msg.feeder, votes=votes(ctx))
    save(ctx, state.FEEDER_NEXT, msg.feeder)
    ctx.events.emit(event("feeder_changes", branches=len(msg.feeder.branches)))
    return tx.MsgSetFeederResponse()


def update_params(ctx: Context, msg: tx.MsgUpdateParams) -> tx.MsgUpdateParamsResponse:
    """Hand the registry to another account; the microgrid's name stays, identities carry it."""
    _require_utility(ctx, msg.authority)
    from_bech32(msg.params.utility)
    if msg.params.microgrid != state.params(ctx).microgrid:
        raise InvalidRequest(f"microgrid stays {state.params(ctx).microgrid!r}, got {msg.params.microgrid[:80]!r}")
    save(ctx, state.PARAMS, msg.params)
    return tx.MsgUpdateParamsResponse()


def check_new_cell(ctx: Context, record: pb.Cell) -> None:
    """What a cell has to be to enter the registry, by message or genesis."""
    require_id(record.id, state.params(ctx).microgrid)
    from_bech32(record.address)
    require_range(record.bus, (0, U16_MAX), "bus")
    require_range(record.max_import_W, (0, RATING_MAX_W), "max_import_W")
    require_range(record.max_export_W, (0, RATING_MAX_W), "max_export_W")
    require_range(record.tan_phi_permille, (0, TAN_PHI_MAX), "tan_phi_permille")
    require_range(record.inverter_VA, (0, RATING_MAX_W), "inverter_VA")
    _require_free_id(ctx, record.id)
    if state.cell_at(ctx, record.address) is not None:
        raise Exists(f"{record.address} has a cell already")


def check_new_device(ctx: Context, record: pb.Device) -> pb.Cell:
    """What a device has to be to enter the registry; returns its cell."""
    require_id(record.id, state.params(ctx).microgrid)
    if len(record.pubkey) != PUBKEY_BYTES:
        raise InvalidPubKey(f"an ed25519 key of {PUBKEY_BYTES} bytes is expected, got {len(record.pubkey)}")
    owner = state.cell_of_id(ctx, record.cell)
    if owner is None or owner.status == pb.STATUS_REMOVED:
        raise Unknown(f"no cell has the identity {record.cell[:80]!r}")
    require_range(owner.devices, (0, DEVICES_PER_CELL_MAX - 1), f"number of devices that {owner.id} has before")
    _require_free_id(ctx, record.id)
    return owner


def _require_free_id(ctx: Context, text: str) -> None:
    if state.cell_of_id(ctx, text) is not None or state.device(ctx, text) is not None:
        raise Exists(f"{text} is registered already")


def _require_utility(ctx: Context, sender: str) -> None:
    expected = state.params(ctx).utility
    if sender != expected:
        raise Unauthorized(f"the registry is the utility cell's, {expected}, got {sender}")
