"""Parameters that a testnet starts with: the slot protocol's table 1.1 and section 8."""

from __future__ import annotations

from google.protobuf import json_format

from cosmos_wire.protos import market as pb
from energy.market.clock import slots_needed

# name, offset in permille of the window, least number of blocks since the slot's previous gate
GATES = (
    ("OPEN", -1000, 0),
    ("BID", -867, 0),
    ("CLEAR", -667, 2),
    ("SECURE", -600, 3),
    ("SEAL", -33, 0),
    ("DELIVER", 0, 0),
    ("METER", 0, 0),
    ("METER_CLOSE", 100, 2),
    ("SETTLE", 167, 0),
    ("CLOSE", 400, 0),
)
PRODUCTION_SLOT_MS = 900_000
LIVE_SLOTS_MIN = 8
LMP_TAU = 2 * 10**8  # 0.02 token: several times what C2's box and a solver's rounding cost on a feeder of megawatts
LMP_TAU_PERMILLE = 10  # of the turnover: what one price for all buses loses where the feeder binds


def default_params(slot_ms: int, window_min_ms: int, denom: str, utility: str, first_slot: int) -> pb.Params:
    """Market parameters for slots of any length; slots shorter than 900 s get the test column of section 8.

    `max_live_slots` is what the gate table needs, at least 8. The utility cell is also the authority over parameters.
    """
    production = slot_ms >= PRODUCTION_SLOT_MS
    params = pb.Params(
        slot_ms=slot_ms,
        window_min_ms=window_min_ms,
        gates=[pb.Gate(name=name, offset_permille=offset, blocks_min=blocks) for name, offset, blocks in GATES],
        mechanism=pb.MECHANISM_UNIFORM_K,
        k_num=1,
        k_den=2,
        max_orders_per_cell=8,
        max_orders_per_slot=80_000,
        max_reclear=5,
        tol_permille=50,
        penalty_permille=500,
        fee_e4=200,
        floor_e4=20_000,
        cap_e4=80_000,
        up_e4=100_000,
        down_e4=10_000,
        alpha_permille=100,
        e_max_permille=500,
        min_score_permille=200 if production else 0,
        missed_before_suspension=4,
        settle_units=500 if production else 50,
        prune_units=2_000 if production else 200,
        balancing_min=str(10**12),
        margin_permille=2,
        utility=utility,
        denom=denom,
        first_slot=first_slot,
        authority=utility,
        lmp_tau=str(LMP_TAU),
        lmp_tau_permille=LMP_TAU_PERMILLE,
    )
    params.max_live_slots = max(LIVE_SLOTS_MIN, slots_needed(params))
    return params


def params_document(params: pb.Params) -> dict[str, object]:
    """The parameters as they stand in genesis."""
    return dict(json_format.MessageToDict(params, preserving_proto_field_name=True))
