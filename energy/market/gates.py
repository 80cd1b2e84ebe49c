"""What block time does to slots: opens them and fires their gates, in the order (time, slot, gate).

A gate fires in the first block with now >= G and height >= height of the slot's previous gate + blocks_min. SEAL waits
for nothing: delivery is physics. Slots that a halt skipped are never created.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cosmos_wire.protos import market as pb
from energy.market import ballot, forward_life, keys, losses, maingrid, mechanism, security, shift, state, storage
from energy.market.clearing import schedule_hash, seal_root
from energy.market.clock import Gate, first_open, gate_ms, last_open
from energy.market.life import BALLOT, RECLEAR, SECURED, SETTLED, require_step
from energy.records import save
from energy.registry import Registry
from energy.units import PERMILLE, stored
from ibc_core.host import Context, event

SUMMARIES_KEPT = 35_136  # a year of quarter hours
SUMMARIES_CUT_MAX = 4  # per CLOSE, so that a smaller limit of a later version is reached without a large block

Due = tuple[int, int, int]  # time in ms, slot, gate


def run_gates(ctx: Context, registry: Registry) -> list[int]:
    """Fire everything that is due in this block; returns the slots that were sealed without a certified schedule."""
    forward_life.close_due(ctx)
    live, params = state.live(ctx), state.params(ctx)
    changed, voided = False, list[int]()
    while (due := _earliest(ctx, live, params)) is not None:
        _, slot, gate = due
        if gate == Gate.OPEN:
            live.slots.append(_open(ctx, registry, slot))
        else:
            _fire(ctx, live, slot, Gate(gate))
            voided += [slot] if gate == Gate.SEAL and state.slot_record(ctx, slot).voided else []
        changed = True
    if changed:
        state.save_live(ctx, live)
    return voided


def _earliest(ctx: Context, live: pb.Live, params: pb.Params) -> Due | None:
    due = [item for item in (_due(ctx, entry) for entry in live.slots) if item is not None]
    slot = _next_to_open(ctx, live, params)
    if slot is not None:
        due.append((gate_ms(params, slot, Gate.OPEN), slot, Gate.OPEN))
    return min(due, default=None)


def _due(ctx: Context, entry: pb.LiveSlot) -> Due | None:
    now_ms, gate = ctx.env.time_ms, entry.next_gate
    waits = ctx.env.height < entry.height_min or (gate == Gate.CLOSE and not entry.settled)
    if entry.gate_ms <= now_ms and not waits:
        return entry.gate_ms, entry.slot, gate
    if gate < Gate.SEAL and entry.seal_ms <= now_ms:
        return entry.seal_ms, entry.slot, Gate.SEAL
    return None


def _next_to_open(ctx: Context, live: pb.Live, params: pb.Params) -> int | None:
    if len(live.slots) >= params.max_live_slots:
        return None
    slot = max(state.last_opened(ctx) + 1, first_open(params, ctx.env.time_ms))
    return slot if slot <= last_open(params, ctx.env.time_ms) else None


def _open(ctx: Context, registry: Registry, slot: int) -> pb.LiveSlot:
    registry.slot_opens(ctx)
    params, last = state.params(ctx), state.last_opened(ctx)
    if slot > last + 1:
        ctx.events.emit(event("slot_skipped", slot=slot, **{"from": last + 1, "to": slot - 1}))
    funded = state.held(ctx, state.BALANCING) >= stored(params.balancing_min)
    record = pb.Slot(
        slot=slot,
        params=params,
        prices=state.frozen_prices(params),
        next_gate=Gate.BID,
        gate_height=ctx.env.height,
        next_seq=1,
        factor_permille=PERMILLE if funded else 0,
        opened_ms=ctx.env.time_ms,
    )
    mechanism.open_with(ctx, record)
    forward_life.slot_opens(ctx, record)
    record.state = pb.SLOT_STATE_FORECAST
    state.save_slot(ctx, record)
    ctx.app.set(keys.LAST_OPENED, str(slot).encode())
    ctx.events.emit(event("slot_opened", slot=slot, factor_permille=record.factor_permille))
    return _entry(record, Gate.BID)


def _entry(record: pb.Slot, gate: Gate) -> pb.LiveSlot:
    blocks = record.params.gates[gate].blocks_min
    if gate == Gate.SECURE and record.state == SECURED:
        blocks = 0
    return pb.LiveSlot(
        slot=record.slot,
        next_gate=gate,
        gate_ms=gate_ms(record.params, record.slot, gate),
        seal_ms=gate_ms(record.params, record.slot, Gate.SEAL),
        height_min=record.gate_height + blocks,
        settled=record.state == SETTLED,
        ballot_height=record.ballot.opened_height if record.state == BALLOT else 0,
    )


def _fire(ctx: Context, live: pb.Live, slot: int, gate: Gate) -> None:
    record = state.slot_record(ctx, slot)
    before = record.state
    record.state = require_step(record, gate)
    record.gate_height = ctx.env.height
    if gate in EFFECTS:
        EFFECTS[gate](ctx, record, before)
    at = next(at for at, entry in enumerate(live.slots) if entry.slot == slot)
    if gate == Gate.CLOSE:
        del live.slots[at]
        return
    record.next_gate = gate + 1
    state.save_slot(ctx, record)
    live.slots[at].CopyFrom(_entry(record, Gate(gate + 1)))


def _clear(ctx: Context, record: pb.Slot, _before: int) -> None:
    security.freeze_baseline(ctx, record)
    voted = security.voted_feeder(ctx) if record.factor_permille else None
    if voted is None and record.factor_permille:
        proposal, secured = security.propose_judged(ctx, record)
    else:
        proposal, secured = mechanism.propose(ctx, record, {}), None
    mechanism.adopt(ctx, record, proposal)
    result = record.clearing
    ctx.events.emit(
        event(
            "slot_cleared",
            slot=record.slot,
            price_e4=result.price_e4,
            volume_mWh=result.volume_mWh,
            welfare=result.welfare,
        )
    )
    if voted is not None and result.volume_mWh:
        record.state = BALLOT
        ballot.open_ballot(ctx, record, proposal, voted)
        return
    if secured is not None and secured.refusal is not None:
        record.state = RECLEAR
        record.factor_permille = min(record.factor_permille, secured.factor_permille)
        security.announce(ctx, record.slot, secured)
        return
    _announce_secured(ctx, record)


def _announce_secured(ctx: Context, record: pb.Slot) -> None:
    ctx.events.emit(event("slot_secured", slot=record.slot, candidate=0, factor_permille=record.factor_permille))


def _secure(ctx: Context, record: pb.Slot, before: int) -> None:
    if before == RECLEAR:
        _announce_secured(ctx, record)
    if before == BALLOT:
        ballot.decide(ctx, record)
    ballot.close(ctx, record.slot)
    shift.release(ctx, record)
    storage.release(ctx, record)
    maingrid.balance(ctx, record)
    ctx.events.emit(
        event(
            "slot_residual",
            slot=record.slot,
            residual_mWh=record.residual_mWh,
            unserved_bid_mWh=record.unserved_bid_mWh,
            unserved_ask_mWh=record.unserved_ask_mWh,
            price_e4=record.clearing.price_e4,
            **_with_main_grid(record),
        )
    )


def _with_main_grid(record: pb.Slot) -> dict[str, int]:
    return {
        "grid_import_mWh": record.grid_import_mWh,
        "grid_export_mWh": record.grid_export_mWh,
        "export_permille": record.export_permille,
        "curtailed_mWh": record.curtailed_mWh,
    }


def _seal(ctx: Context, record: pb.Slot, before: int) -> None:
    if before != pb.SLOT_STATE_RESIDUAL:
        record.voided, record.factor_permille = True, 0
        ballot.close(ctx, record.slot)
        shift.release(ctx, record)
        storage.release(ctx, record)
        security.freeze_baseline(ctx, record)
        maingrid.balance(ctx, record)
    security.keep_baseline(ctx, record)
    record.schedule_hash = record.schedule_hash or schedule_hash([], [])
    record.root = seal_root(ctx.env.chain_id, record)
    voided = str(record.voided).lower()
    ctx.events.emit(
        event("slot_sealed", slot=record.slot, root=record.root.hex(), voided=voided, **_with_main_grid(record))
    )


def cast_votes(ctx: Context, ballots: Sequence[ballot.Ballot]) -> None:
    """Count what the validators of the last commit say; a slot that they secure waits for SECURE no longer."""
    secured = ballot.cast(ctx, ballots)
    if secured:
        live = state.live(ctx)
        for record in secured:
            at = next(at for at, entry in enumerate(live.slots) if entry.slot == record.slot)
            live.slots[at].CopyFrom(_entry(record, Gate(record.next_gate)))
        state.save_live(ctx, live)


def _settle(ctx: Context, record: pb.Slot, _before: int) -> None:
    record.loss_mWh, metered_mWh = losses.metered(ctx, record.slot)
    cursor = pb.SettleCursor(next_cell=1, metered_mWh=metered_mWh)
    save(ctx, keys.work_key(record.slot, keys.CHARGES), cursor)


def _close(ctx: Context, record: pb.Slot, _before: int) -> None:
    ctx.app.set(keys.work_key(record.slot, keys.PRUNE), b"1")
    for name in ("params", "next_gate", "gate_height", "next_seq", "escrow"):
        record.ClearField(name)
    state.save_slot(ctx, record)
    ctx.events.emit(event("slot_closed", slot=record.slot))
    for key, _ in _first_summaries(ctx, record.slot - SUMMARIES_KEPT):
        ctx.app.delete(key)


def _first_summaries(ctx: Context, last: int) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    if last < 0:
        return found
    for pair in ctx.app.iterate(keys.SLOTS):
        if pair[0] > keys.slot_key(last) or len(found) == SUMMARIES_CUT_MAX:
            break
        found.append(pair)
    return found


EFFECTS: Mapping[Gate, Callable[[Context, pb.Slot, int], None]] = {
    Gate.CLEAR: _clear,
    Gate.SECURE: _secure,
    Gate.SEAL: _seal,
    Gate.SETTLE: _settle,
    Gate.CLOSE: _close,
}
