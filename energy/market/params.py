"""Which parameters a market can live with."""

from __future__ import annotations

import re
from itertools import pairwise

from cosmos_wire.address import from_bech32
from cosmos_wire.errors import InvalidRequest
from cosmos_wire.protos import market as pb
from energy.errors import SlotsFull
from energy.market.clock import TICK_MS, Gate, gate_ms, slots_needed
from energy.market.mechanism import check_mechanism
from energy.units import PERMILLE, PRICE_MAX_E4, QUANTITY_MAX_MWH, U32_MAX, parse_amount, require_range

SLOT_MS_MAX = 86_400_000
WINDOW_MIN_MS_MAX = 86_400_000
BLOCKS_MIN_MAX = 100
K_DEN_MAX = 1_000_000
UNITS_MAX = 100_000
LIVE_SLOTS_MAX = 1_000
ORDERS_PER_CELL_MAX = 64
FORWARD_LEAD_MAX = 960
DENOM = re.compile(r"[a-zA-Z][a-zA-Z0-9/:._-]{2,127}")
UNCHANGED = ("slot_ms", "denom", "first_slot")  # slot numbers and balances are made of them


def check_params(params: pb.Params) -> None:
    """Refuse parameters that break an order of gates or prices, a bound, or the number of live slots."""
    _check_times(params)
    _check_gates(params)
    _check_prices(params)
    _check_shares(params)
    _check_counts(params)
    _check_names(params)
    if 0 < params.max_live_slots < slots_needed(params):  # 0: a chain whose market opens no slots
        raise SlotsFull(
            f"max_live_slots has to be at least {slots_needed(params)} for this gate table, got {params.max_live_slots}"
        )


def check_change(old: pb.Params, new: pb.Params) -> None:
    """Refuse a change of what live slots and balances are made of."""
    for name in UNCHANGED:
        if getattr(old, name) != getattr(new, name):
            raise InvalidRequest(f"{name} stays {getattr(old, name)!r}, got {getattr(new, name)!r}")


def _check_times(params: pb.Params) -> None:
    for name, top in (("slot_ms", SLOT_MS_MAX), ("window_min_ms", WINDOW_MIN_MS_MAX)):
        value = getattr(params, name)
        require_range(value, (TICK_MS, top), name)
        if value % TICK_MS:
            raise InvalidRequest(f"{name} has to be a multiple of {TICK_MS}, got {value}")


def _check_gates(params: pb.Params) -> None:
    names = [gate.name for gate in Gate]
    if [gate.name for gate in params.gates] != names:
        raise InvalidRequest(f"gates have to be {names}, got {[gate.name for gate in params.gates]}")
    for gate, row in zip(Gate, params.gates, strict=True):
        require_range(row.blocks_min, (0, BLOCKS_MIN_MAX), f"blocks_min of {gate.name}")
        require_range(row.offset_permille, _offset_bounds(gate), f"offset_permille of {gate.name}")
    for gate in (Gate.SEAL, Gate.DELIVER):
        if params.gates[gate].blocks_min:
            raise InvalidRequest(f"{gate.name} waits for nothing: blocks_min 0, got {params.gates[gate].blocks_min}")
    times = [gate_ms(params, 0, gate) for gate in Gate]
    for gate, (before, after) in zip(Gate, pairwise(times), strict=False):
        if after < before:
            raise InvalidRequest(
                f"{Gate(gate + 1).name} has to come after {gate.name}, got {before} ms, then {after} ms"
            )


def _offset_bounds(gate: Gate) -> tuple[int, int]:
    if gate in (Gate.DELIVER, Gate.METER):
        return 0, 0
    return (-PERMILLE, -1) if gate < Gate.DELIVER else (0, 100 * PERMILLE)


def _check_prices(params: pb.Params) -> None:
    row = (params.down_e4, params.floor_e4, params.cap_e4, params.up_e4, PRICE_MAX_E4)
    if list(row) != sorted(row):
        raise InvalidRequest(f"down <= floor <= cap <= up <= {PRICE_MAX_E4} is expected, got {row[:-1]}")
    require_range(params.fee_e4, (0, PRICE_MAX_E4), "fee_e4")
    require_range(params.penalty_permille, (0, 10 * PERMILLE), "penalty_permille")
    check_mechanism(params)
    require_range(params.k_den, (1, K_DEN_MAX), "k_den")
    require_range(params.k_num, (0, params.k_den), "k_num")


def _check_shares(params: pb.Params) -> None:
    for name in ("tol_permille", "alpha_permille", "min_score_permille", "margin_permille"):
        require_range(getattr(params, name), (0, PERMILLE), name)
    require_range(params.e_max_permille, (1, PERMILLE), "e_max_permille")


def _check_counts(params: pb.Params) -> None:
    require_range(params.max_orders_per_cell, (1, ORDERS_PER_CELL_MAX), "max_orders_per_cell")
    require_range(params.max_orders_per_slot, (1, U32_MAX), "max_orders_per_slot")
    require_range(params.max_live_slots, (0, LIVE_SLOTS_MAX), "max_live_slots")
    require_range(params.missed_before_suspension, (1, U32_MAX), "missed_before_suspension")
    require_range(params.settle_units, (1, UNITS_MAX), "settle_units")
    require_range(params.prune_units, (1, UNITS_MAX), "prune_units")
    require_range(params.max_reclear, (0, 100), "max_reclear")
    require_range(params.first_slot, (0, QUANTITY_MAX_MWH), "first_slot")
    parse_amount(params.balancing_min, "balancing_min")
    parse_amount(params.lmp_tau or "0", "lmp_tau")
    require_range(params.lmp_tau_permille, (0, PERMILLE), "lmp_tau_permille")
    for name in ("commit_permille", "unrevealed_permille"):
        require_range(getattr(params, name), (0, PERMILLE), name)
    require_range(params.forward_lead, (0, FORWARD_LEAD_MAX), "forward_lead")
    if params.sealed:
        require_range(params.commit_permille, (1, PERMILLE - 1), "commit_permille of sealed bids")


def _check_names(params: pb.Params) -> None:
    from_bech32(params.utility)
    from_bech32(params.authority)
    if not DENOM.fullmatch(params.denom):
        raise InvalidRequest(f"denom has to match {DENOM.pattern}, got {params.denom[:80]!r}")
