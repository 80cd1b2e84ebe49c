"""Parameters, the terms that two chains must share, and what genesis has to satisfy (docs/trade.md 2 and 6)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from google.protobuf import json_format

from cosmos_wire.address import from_bech32
from cosmos_wire.protos import trade
from energy.trade.arithmetic import PPM
from energy.trade.errors import Malformed

LEVEL_MICROGRID, LEVEL_GRID = 2, 3
DURATION_MS_MAX = 1_000 * 86_400 * 365
IDENTITY_CHARS_MAX, CHAIN_ID_CHARS_MAX = 128, 50
ENERGY_MWH_MAX = 10**12


def read_params(doc: Mapping[str, object]) -> trade.Params:
    """Parameters from genesis JSON; raises Malformed with the field and what it has to be."""
    params = trade.Params()
    try:
        json_format.ParseDict(doc, params)
    except json_format.ParseError as error:
        raise Malformed(f"trade.params: {error}") from error
    check_params(params)
    return params


def check_params(params: trade.Params) -> None:
    """Refuse parameters with which money could be stuck or paid twice."""
    _require(params.slot_ms > 0 and params.slot_ms % 1000 == 0, "slot_ms has to be a multiple of 1000")
    _require(params.window_ms >= params.slot_ms and params.window_ms % 1000 == 0, "window_ms: slot_ms or more, of 1000")
    for label, clock in (("level2", params.level2), ("level3", params.level3)):
        check_clock(label, clock, params.max_skew_s * 1000)
    for name in (
        "meter_ms",
        "disp_ms",
        "close_ms",
    ):  # a tie line has one delivery, whatever the levels of its contracts
        _require(getattr(params.level2, name) == getattr(params.level3, name), f"{name} has to be equal at both levels")
    for name in ("tol_ppm", "pen_tol_ppm", "penalty_ppm", "grid_penalty_ppm", "loss_ppm"):
        _require(getattr(params, name) <= PPM, f"{name} has to be at most {PPM}")
    _require(0 < params.line_max_mwh <= ENERGY_MWH_MAX, f"line_max_mwh has to be 1..{ENERGY_MWH_MAX}")
    _require(params.tol_mwh <= params.line_max_mwh, "tol_mwh has to be at most line_max_mwh")
    _require(params.floor_e4 <= params.cap_e4, "floor_e4 has to be at most cap_e4")
    _require(params.sweeps_per_block > 0, "sweeps_per_block has to be positive")
    _check_names(params)


def check_clock(label: str, clock: trade.LevelClock, skew_ms: int) -> None:
    """T_lock <= T_gate < T_act <= T0 < T_meter < T_disp and T_disp + 2 x skew <= T_close."""
    lock, gate, act = clock.lock_permille, clock.gate_permille, clock.act_permille
    _require(lock >= gate > act, f"{label}: T_lock <= T_gate < T_act, got offsets {lock}, {gate}, {act}")
    _require(0 < clock.meter_ms < clock.disp_ms, f"{label}: T1 < T_meter < T_disp")
    _require(clock.disp_ms + 2 * skew_ms <= clock.close_ms, f"{label}: T_disp + 2 x skew <= T_close")
    _require(clock.disp_ms < clock.close_ms <= DURATION_MS_MAX, f"{label}: T_disp < T_close, within a year")


def _check_names(params: trade.Params) -> None:
    from_bech32(params.utility)
    _require(bool(params.denom), "denom has to be named")
    _require(0 < len(params.buyer_identity) <= IDENTITY_CHARS_MAX, "buyer_identity has to be 1..128 characters")
    _require(len(params.grid) <= CHAIN_ID_CHARS_MAX, f"grid has to be a chain id of at most {CHAIN_ID_CHARS_MAX}")
    channels = [entry.channel_id for entry in params.arbiters]
    _require(len(channels) == len(dict.fromkeys(channels)), "arbiters: one a channel")


def _require(holds: bool, what: str) -> None:  # noqa: FBT001  (a condition is all that it takes)
    if not holds:
        raise Malformed(f"trade.params: {what}")


def require_level(level: int) -> None:
    """Contracts are of level 2 or 3."""
    if level not in {LEVEL_MICROGRID, LEVEL_GRID}:
        raise Malformed(f"level has to be 2 or 3, got {level}")


def terms_for(params: trade.Params, level: int, channel_id: str) -> trade.Terms:
    """The terms of a contract made now."""
    arbiter = next((entry.account for entry in params.arbiters if entry.channel_id == channel_id), "")
    return trade.Terms(
        clock=params.level2 if level == LEVEL_MICROGRID else params.level3,
        max_skew_s=params.max_skew_s,
        tol_ppm=params.tol_ppm,
        tol_mwh=params.tol_mwh,
        pen_tol_ppm=params.pen_tol_ppm,
        penalty_ppm=params.penalty_ppm if level == LEVEL_MICROGRID else params.grid_penalty_ppm,
        loss_ppm=params.loss_ppm,
        line_max_mwh=params.line_max_mwh,
        arbiter=arbiter,
        slot_ms=params.slot_ms,
        window_ms=params.window_ms,
    )


def terms_hash(terms: trade.Terms) -> bytes:
    """SHA-256 of what both sides must share. The fee is the buyer's chain's own affair and stays out."""
    shared = trade.Terms()
    shared.CopyFrom(terms)
    shared.clock.fee_e4 = 0
    return sha256(shared.SerializeToString(deterministic=True)).digest()


def default_params(utility: str, denom: str, buyer_identity: str) -> trade.Params:
    """Production parameters: 900 s slots, the long windows of 36, 60 and 84 hours."""
    hour = 3_600_000
    windows = {"meter_ms": 36 * hour, "disp_ms": 60 * hour, "close_ms": 84 * hour}
    return trade.Params(
        level2=trade.LevelClock(lock_permille=300, gate_permille=280, act_permille=150, fee_e4=1500, **windows),
        level3=trade.LevelClock(lock_permille=78, gate_permille=67, act_permille=33, fee_e4=2500, **windows),
        finality_blocks=1,
        max_skew_s=120,
        tol_ppm=20_000,
        tol_mwh=1_000,
        pen_tol_ppm=50_000,
        penalty_ppm=200_000,
        loss_ppm=0,
        line_max_mwh=10**9,
        forward_timeout_s=600,
        utility=utility,
        denom=denom,
        slot_ms=900_000,
        window_ms=900_000,
        cap_e4=10_000,
        sweeps_per_block=256,
        buyer_identity=buyer_identity,
    )
